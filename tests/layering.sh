#!/bin/sh
# Do includes point down only (server -> query -> storage -> storage/base; client -> storage/base), and is each library named in
# one file alone?
set -u
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "$1"; }
forbid() { # FOLDER PATTERN: no include of the pattern below the folder
    found=$(grep -rnE "#include \"($2)" "$1" --include='*.[chy]' --include='*.inc')
    if [ -n "$found" ]; then bad "$found"; else ok; fi
}
only() { # HEADER FILE…: nobody else includes the library's header
    header=$1
    shift
    found=$(grep -rlE "#include <$header" storage query server client --include='*.[chy]' | sort | tr '\n' ' ')
    for f in $found; do
        case " $* " in *" $f "*) ok ;; *) bad "$f includes <$header>" ;; esac
    done
}
forbid storage/base 'storage/[a-z_]+\.h|storage/files|query/|server/|client/'
forbid storage 'query/|server/|client/'
forbid query 'server/|client/'
forbid server 'client/'
forbid client 'storage/[a-z_]+\.h|storage/files|query/|server/'
only 'sqlite3\.h' storage/catalog.c storage/catalog_internal.h
only 'lmdb\.h' storage/store.c storage/store_lmdb.h
only 'zstd\.h' storage/codec_zstd.c
only 'uv\.h' server/loop.c
only 'zip\.h' storage/files/zip.c
only 'zip\.h' storage/files/zip.c
only 'jansson\.h' storage/files/zarr_meta.c
only 'netcdf\.h' storage/files/netcdf_helper_main.c
only 'sleef\.h' query/vecmath.c
only 'fftw3\.h' query/op_fft.c
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
