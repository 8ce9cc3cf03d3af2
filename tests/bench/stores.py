"""Peers that store: how an array gets into a file of each, compressed by shuffle and zstd as Tessera's tiles are (HDF5: lzf), and out of it."""
import functools
import os

import numpy as np

from peers import CORES, boxes, fresh, lazy, synced

ZSTD_LEVEL = 1
CELLS = 1 << 20           # of a chunk, where nobody says otherwise


def to_zarr(path, x, cells=CELLS):
    """A Dask array, durable."""
    import dask.array as da
    import zarr
    from zarr.codecs import BloscCodec
    target = zarr.create_array(fresh(path), shape=x.shape, chunks=boxes(x.shape, cells), dtype="f8",
                               compressors=BloscCodec(cname="zstd", clevel=ZSTD_LEVEL, shuffle="shuffle"))
    da.store(x.rechunk(target.chunks), target, lock=False)
    synced(path)


def from_zarr(path):
    import dask.array as da
    return da.from_zarr(path)


def blosc2_params():
    import blosc2
    return {"cparams": blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=ZSTD_LEVEL, filters=[blosc2.Filter.SHUFFLE], nthreads=CORES),
            "dparams": blosc2.DParams(nthreads=CORES)}


def to_blosc2(path, x, cells=None):
    """An array, durable; in chunks as Blosc2 chooses them, or boxes of so many cells."""
    import blosc2
    blosc2.asarray(x, urlpath=fresh(path), mode="w", chunks=boxes(x.shape, cells) if cells else None, **blosc2_params())
    synced(path)


def open_zarr(path):
    import zarr
    return zarr.open_array(path, mode="r")


def from_blosc2(path):
    import blosc2
    return blosc2.open(path)


def to_tiledb(path, dims, attrs, cells=CELLS):
    """Arrays by name, durable."""
    import tiledb
    filters = tiledb.FilterList([tiledb.ByteShuffleFilter(), tiledb.ZstdFilter(level=ZSTD_LEVEL)])
    domain = tiledb.Domain(*[tiledb.Dim(name=d, domain=(0, n - 1), tile=t, dtype=np.int64)
                             for (d, n), t in zip(dims.items(), boxes(tuple(dims.values()), cells))])
    tiledb.Array.create(fresh(path), tiledb.ArraySchema(domain=domain, attrs=[tiledb.Attr(name=a, dtype="f8", filters=filters)
                                                                              for a in attrs]))
    with tiledb.open(path, "w") as out:
        out[:] = dict(attrs)
    synced(path)


class Values:
    """TileDB's array, slices of which are its one attribute."""

    def __init__(self, path):
        import tiledb
        self.array = tiledb.open(path)

    def __getitem__(self, cut):
        got = self.array[cut]
        return got["v"] if isinstance(got, dict) else got


@functools.cache
def from_tiledb(path):
    import tiledb
    return tiledb.open(path)


def to_hdf5(path, x, cells=1 << 17):
    import h5py
    with h5py.File(fresh(path), "w") as f:
        f.create_dataset("v", data=x, chunks=boxes(x.shape, cells), shuffle=True, compression="lzf")
    synced(path)


@functools.cache
def from_hdf5(path):
    import h5py
    return h5py.File(path, "r")["v"]


def to_npy(path, x):
    with open(path, "wb") as f:
        np.save(f, x)
        f.flush()
        os.fsync(f.fileno())


def made(path, make):
    """A file that a peer reads, made when first asked for."""
    if not os.path.exists(path):
        make(path)
    return path


@functools.cache
def duckdb_file(path):
    """A new database on disk."""
    import duckdb
    return duckdb.connect(fresh(path))


def duckdb_loads(path, x):
    """An array's values as a table of a database on disk, durable."""
    values = x.reshape(-1)  # noqa: F841 (DuckDB finds it by its name)
    conn = duckdb_file(path)
    conn.execute("CREATE OR REPLACE TABLE t AS SELECT * FROM values")
    conn.execute("CHECKPOINT")


def duckdb_cells(path, places):
    """Of what was loaded, by their places."""
    rows = duckdb_file(path).execute(f"SELECT * FROM t WHERE rowid IN ({', '.join(map(str, places))}) ORDER BY rowid").fetchall()
    return [r[0] for r in rows]


def storing(at, source, compute, dims, look):
    """Sides that compute a result from what `source()` gives and store it, each in its own way; `look` takes a few cells of what is
    stored. Those that do not compute take NumPy's result."""
    return {"numpy": (lambda: to_npy(at("npy"), compute(source())), lambda: look(np.load(at("npy"), mmap_mode="r"))),
            "zarr": (lambda: to_zarr(at("zarr"), compute(lazy(source()))), lambda: look(open_zarr(at("zarr")))),
            "blosc2": (lambda: to_blosc2(at("b2nd"), compute(source())), lambda: look(from_blosc2(at("b2nd")))),
            "tiledb": (lambda: to_tiledb(at("tdb"), dims, {"v": compute(source())}), lambda: look(Values(at("tdb")))),
            "h5py": (lambda: to_hdf5(at("h5"), compute(source())), lambda: look(from_hdf5(at("h5"))))}
