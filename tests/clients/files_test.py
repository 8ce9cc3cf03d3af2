"""Files that Python writes and Tessera reads, and the other way: Zarr (xarray, zarr-python), npz and raw (NumPy), NetCDF (xarray,
netCDF4), binary COPY (psycopg). What goes out must come back the same."""
import os
import shutil
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd
import psycopg
import xarray as xr
import zarr

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Count, Server, seed  # noqa: E402

warnings.filterwarnings("ignore")

ALL_TYPES = {"b": ("BOOLEAN", "?"), "i1": ("TINYINT", "i1"), "i2": ("SMALLINT", "i2"), "i4": ("INTEGER", "i4"), "i8": ("BIGINT", "i8"),
             "u1": ("UTINYINT", "u1"), "u2": ("USMALLINT", "u2"), "u4": ("UINTEGER", "u4"), "u8": ("UBIGINT", "u8"),
             "f4": ("REAL", "f4"), "f8": ("DOUBLE", "f8"), "d": ("DATE", "M8[D]"), "t": ("TIMESTAMP", "M8[us]"), "s": ("TEXT", "O")}


class Files:
    """A server and a folder for the files."""

    def __init__(self, count, server, rng):
        self.count, self.rng = count, rng
        self.dir = tempfile.mkdtemp(prefix="tessera-files-")
        self.server, self.conn = server, server.connect(prepare_threshold=None)

    def path(self, name):
        return os.path.join(self.dir, name)

    def rows(self, sql):
        return self.conn.execute(sql).fetchall()

    def column(self, sql, dtype, shape=None):
        """One column of a query as an array; NULL becomes None (objects), NaN or NaT."""
        got = [r[-1] for r in self.rows(sql)]
        if np.dtype(dtype).kind in "fM":
            a = np.array([np.nan if v is None and np.dtype(dtype).kind == "f" else "NaT" if v is None else v for v in got], dtype=dtype)
        else:
            a = np.array(got, dtype=object if None in got else dtype)
        return a.reshape(shape) if shape else a

    def same(self, got, want, what):
        got, want = np.asarray(got), np.asarray(want)
        if want.dtype.kind in "fM":
            ok = got.shape == want.shape and np.array_equal(got, want.astype(got.dtype), equal_nan=True)
        else:
            ok = got.shape == want.shape and bool(np.all(got == want))
        return self.count.check(ok, f"{what}: got {got.ravel()[:12]!r}, wanted {want.ravel()[:12]!r}")

    def error(self, sql, state, part):
        try:
            self.conn.execute(sql)
            self.count.check(False, f"no error: {sql}")
        except psycopg.Error as e:
            text = f"{e} {e.diag.message_hint or ''}"
            self.count.check(e.sqlstate == state and part in text, f"{sql}: {e.sqlstate} {text}, wanted {state} {part}")

    def done(self):
        self.conn.close()
        shutil.rmtree(self.dir)


def values(rng, dtype, shape):
    """Random values of the whole range."""
    kind = np.dtype(dtype).kind
    if dtype == "O":
        texts = np.array(["", "a", "Zürich", "日本語", "x" * 40, "two words"], dtype=object)
        return texts[rng.integers(1, len(texts), shape)]
    if kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    if kind == "M":
        span = 20000 if dtype == "M8[D]" else 20000 * 86400 * 10**6
        return rng.integers(-span, span, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


# ---- Zarr that Python wrote ----


def xarray_dataset(rng):
    temp = rng.normal(size=(10, 7, 9)).astype("f4")
    temp[0, 0, 0] = np.nan
    n = rng.integers(-50, 50, (10, 7, 9)) / 2.0
    n[1, 2, 3] = np.nan
    return xr.Dataset(
        {"temp": (("time", "lat", "lon"), temp, {"units": "K", "long_name": "air temperature"}), "n": (("time", "lat", "lon"), n),
         "flag": (("lat", "lon"), rng.integers(0, 2, (7, 9)).astype(bool)),
         "name": (("lat",), np.array([f"n{i}ü" for i in range(7)], dtype=object)),
         "when": (("time",), pd.date_range("1999-01-01", periods=10, freq="7h"))},
        coords={"time": pd.date_range("2020-01-01", periods=10), "lat": np.linspace(-3, 3, 7), "lon": np.arange(9) * 0.25})


def write_xarray(ds, path, version):
    import numcodecs
    codecs = lambda *c: {"compressors": list(c) or None}  # noqa: E731
    zstd, gzip = (zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()) if version == 3 else (numcodecs.Zstd(), numcodecs.GZip())
    encoding = {k: codecs() for k in ("flag", "name", "when", "time", "lat", "lon")}
    encoding["temp"] = {"chunks": (4, 3, 5), **codecs(zstd)}
    encoding["n"] = {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -999, **codecs(gzip)}
    ds.to_zarr(path, zarr_format=version, mode="w", consolidated=version == 2, encoding=encoding)


def zarr_from_xarray(f):
    for version in (2, 3):
        ds, path = xarray_dataset(f.rng), f.path(f"x{version}.zarr")
        write_xarray(ds, path, version)
        what = f"xarray's Zarr {version}: "
        f.same(f.column(f"SELECT temp FROM read_zarr('{path}', 'temp')", "f4", (10, 7, 9)), ds.temp, what + "temp")
        f.same(f.column(f"SELECT n FROM read_zarr('{path}', 'n')", "f8", (10, 7, 9)), ds.n, what + "packed")
        f.count.equal(f.rows(f"SELECT count(n), count(*) FROM read_zarr('{path}', 'n')"), [(629, 630)], what + "NULLs")
        f.same(f.column(f"SELECT flag FROM read_zarr('{path}', 'flag')", "?", (7, 9)), ds.flag, what + "booleans")
        f.same(f.column(f"SELECT name FROM read_zarr('{path}', 'name')", "O"), ds.name, what + "texts")
        f.same(f.column(f"SELECT \"when\" FROM read_zarr('{path}', 'when')", "M8[us]"), ds.when, what + "times")
        f.same(f.column(f"SELECT time FROM read_zarr('{path}', 'when')", "M8[us]"), ds.time, what + "time axis")
        got = f.rows(f"SELECT temp::double FROM read_zarr('{path}', 'temp')[time => '2020-01-04', lat => 1, lon => 0.75]")
        f.count.equal(got, [(float(ds.temp.values[3, 4, 3]),)], what + "a cell by coordinates")
        f.error(f"SELECT * FROM read_zarr('{path}', 'flag', 'name')", "22000", "differ in dimensions")
        f.error(f"SELECT * FROM read_zarr('{path}', 'tempp')", "42703", 'Perhaps you meant "temp"')
    # The first variable by name, and those that share its dimensions.
    f.count.equal([d.name for d in f.conn.execute(f"SELECT * FROM read_zarr('{path}')").description], ["lat", "lon", "flag"], "default variables")


def zarr_from_numpy(f):
    import numcodecs
    a = np.arange(60).reshape(3, 4, 5)
    for dtype in ("i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u4", "<u8", "<f2", ">f4", "<f8", "?", "<M8[s]", "<M8[D]", "<M8[M]", "<U4", "S4"):
        want = (a % 2 if dtype == "?" else a).astype(dtype)
        for order in "CF":
            if order == "F" and np.dtype(dtype).kind in "US":
                continue
            path, size = f.path("plain.zarr"), np.dtype(dtype).itemsize
            for version, compressors, separator in ((2, [numcodecs.Zstd()], "."), (2, None, "/"), (2, [numcodecs.Zlib()], "."), (3, None, "/")):
                if version == 3 and (dtype[0] == ">" or np.dtype(dtype).kind in "SU" or order == "F"):
                    continue
                filters = [numcodecs.Shuffle(size)] if version == 2 and size > 1 and compressors else None
                more = {"filters": filters} if version == 2 else {}
                z = zarr.create_array(store=path, shape=a.shape, chunks=(2, 3, 2), dtype=np.dtype(dtype), zarr_format=version, order=order,
                                      compressors=compressors if version == 2 else (zarr.codecs.ZstdCodec(),), overwrite=True,
                                      chunk_key_encoding={"name": "v2" if version == 2 else "default", "configuration": {"separator": separator}}, **more)
                z[:] = want
                plain = want.astype("M8[D]") if dtype == "<M8[M]" else want.astype("M8[us]") if dtype == "<M8[s]" else want.astype("O") if \
                    want.dtype.kind == "U" else np.char.decode(want).astype("O") if want.dtype.kind == "S" else want
                kind = "f4" if dtype == "<f2" else "O" if want.dtype.kind in "US" else plain.dtype
                f.same(f.column(f"SELECT v FROM read_zarr('{path}')", kind, a.shape), plain, f"Zarr {version} {dtype} {order} {compressors}")
    # Chunks that are not there hold the fill value; a slice reads what it covers.
    z = zarr.create_array(store=f.path("holes.zarr"), shape=(100, 100), chunks=(30, 40), dtype="i4", zarr_format=2, fill_value=7, overwrite=True,
                          compressors=None)
    z[60:, 40:] = 1
    want = z[:]
    f.same(f.column(f"SELECT v FROM read_zarr('{f.path('holes.zarr')}')", "i4", (100, 100)), want, "missing chunks")
    f.same(f.column(f"SELECT v FROM read_zarr('{f.path('holes.zarr')}')[50 : 69, 35 : 44]", "i4", (20, 10)), want[50:70, 35:45], "a slice")
    big = zarr.create_array(store=f.path("big.zarr"), shape=(2000, 1500), chunks=(2000, 1500), dtype="i4", zarr_format=2, compressors=None)
    big[:] = np.arange(3_000_000).reshape(2000, 1500)
    f.count.equal(f.rows(f"SELECT sum(v), count(*) FROM read_zarr('{f.path('big.zarr')}')[1000 : 1009, 3 : 5]"), [(int(big[1000:1010, 3:6].sum()), 30)], "part of a large plain chunk")
    # Several stores lie end to end.
    for i in range(3):
        xr.Dataset({"v": (("t",), np.arange(4) + 10 * i)}, coords={"t": np.arange(4) + 4 * i}).to_zarr(
            f.path(f"part{2 - i}.zarr"), zarr_format=3, encoding={"v": {"compressors": None}})
    got = f.rows(f"SELECT t, v FROM read_zarr('{f.path('part*.zarr')}')")
    f.count.equal(got, [(4 * i + k, 10 * i + k) for i in range(3) for k in range(4)], "a glob")


def zarr_refusals(f):
    zarr.create_array(store=f.path("blosc.zarr"), shape=(4,), chunks=(2,), dtype="i4", zarr_format=3, compressors=zarr.codecs.BloscCodec())
    f.error(f"SELECT * FROM read_zarr('{f.path('blosc.zarr')}')", "0A000", '"blosc"')
    zarr.create_array(store=f.path("shard.zarr"), shape=(8,), chunks=(2,), shards=(4,), dtype="i4", zarr_format=3)
    f.error(f"SELECT * FROM read_zarr('{f.path('shard.zarr')}')", "0A000", '"sharding_indexed"')
    f.error(f"SELECT * FROM read_zarr('{f.path('none.zarr')}')", "58P01", "No such file")
    os.mkdir(f.path("empty.zarr"))
    f.error(f"SELECT * FROM read_zarr('{f.path('empty.zarr')}')", "22P04", "is not a Zarr array or group")


# ---- what Tessera writes ----


def make_array(f, name, missing, shape=(5, 7, 4)):
    """An array of every type over a time, a float and a text axis; `missing`: with NULLs and EMPTY cells."""
    cols = ", ".join(f"a_{k} {t[0]}" for k, t in ALL_TYPES.items())
    labels = ", ".join(f"'{c}'" for c in "ähzq"[:shape[2]])
    f.conn.execute(f"DROP ARRAY IF EXISTS {name}")
    f.conn.execute(f"CREATE ARRAY {name} (time TIMESTAMP DIMENSION ['2020-01-30' : * : INTERVAL '1 month'] TILE 2, "
                   f"lat DOUBLE DIMENSION [-1.5 : {-1.5 + 0.25 * (shape[1] - 1)} : 0.25] TILE 3, k TEXT DIMENSION ({labels}), {cols})")
    f.conn.execute(f"ALTER ARRAY {name} ALTER a_f4 SET (unit = 'K', comment = 'a comment')")
    data = {k: values(f.rng, t[1], shape) for k, t in ALL_TYPES.items()}
    null = {k: f.rng.random(shape) < (0.2 if missing else 0) for k in ALL_TYPES}
    empty = f.rng.random(shape) < (0.2 if missing else 0)
    if missing:
        empty[:2, :3, :] = True  # a whole chunk
        empty[-1, -1, -1] = False
        data["f8"][-1, 0, 0], null["f8"][-1, 0, 0], empty[-1, 0, 0] = np.nan, False, False
    with f.conn.cursor().copy(f"COPY {name} FROM STDIN") as out:
        for index in np.ndindex(shape):
            if not empty[index]:
                coords = [str(np.datetime64("2020-01-30") if index[0] == 0 else month_later(index[0])), -1.5 + 0.25 * index[1], "ähzq"[index[2]]]
                out.write_row(coords + [None if null[k][index] else text_of(data[k][index]) for k in ALL_TYPES])
    return data, {k: null[k] | empty for k in ALL_TYPES}


def month_later(n):
    return pd.Timestamp("2020-01-30") + pd.DateOffset(months=n)


def text_of(v):
    return str(v).replace("T", " ") if isinstance(v, np.datetime64) else bool(v) if isinstance(v, np.bool_) else v if isinstance(v, str) else repr(v.item())


def same_cells(f, name, source, what):
    """Each cell and its coordinates; EMPTY comes back as NULL."""
    cols = ", ".join(f"a_{k}" for k in ALL_TYPES)
    want = {r[:3]: r[3:] for r in f.rows(f"SELECT time, lat, k, {cols} FROM {name}")}
    got = {r[:3]: r[3:] for r in f.rows(f"SELECT time, lat, k, {cols} FROM {source}")}
    f.count.check(set(want) <= set(got), f"{what}: all cells are there")
    for key, row in got.items():
        expect = want.get(key, (None,) * len(ALL_TYPES))
        if repr(expect) != repr(row):
            f.count.check(False, f"{what}: {key}: got {row}, wanted {expect}")
            return
    f.count.check(True, what)


def open_with_xarray(f, ds, data, missing, what):
    f.same(ds["time"].values.astype("M8[us]"), np.array([month_later(i) for i in range(5)], dtype="M8[us]"),
           what + " time")
    f.same(ds["lat"].values, -1.5 + 0.25 * np.arange(7), what + " lat")
    f.same(ds["k"].values.astype("O"), np.array(list("ähzq"), dtype="O"), what + " text labels")
    f.count.equal(ds["a_f4"].attrs.get("units"), "K", what + " units")
    f.count.equal(ds["a_f4"].attrs.get("long_name"), "a comment", what + " comment")
    for k, (_, dtype) in ALL_TYPES.items():
        got = ds["a_" + k].values
        hole = missing[k]
        if not hole.any() and dtype != "O":
            f.count.check(got.dtype.kind == np.dtype(dtype).kind, f"{what} {k}: dtype {got.dtype}")
        if dtype == "O":
            hole_got = np.array([v is None or v != v for v in got.ravel()]).reshape(got.shape)
        else:
            hole_got = np.isnat(got) if got.dtype.kind == "M" else np.isnan(got) if got.dtype.kind == "f" else np.zeros(got.shape, bool)
        hole_want = hole | np.isnan(data[k]) if np.dtype(dtype).kind == "f" else hole
        f.same(hole_got, hole_want, f"{what} {k}: which are missing")
        f.same(got[~hole_want], data[k][~hole_want], f"{what} {k}")


def zarr_out(f):
    for missing in (False, True):
        data, holes = make_array(f, "z", missing)
        for version in (2, 3):
            path, what = f.path(f"out{version}.zarr"), f"COPY TO Zarr {version}{' with holes' if missing else ''}"
            n = f.conn.execute(f"COPY z TO '{path}' (FORMAT zarr, VERSION {version})").rowcount
            f.count.equal(n, f.rows("SELECT count(*) FROM z")[0][0], what + " count")
            same_cells(f, "z", f"read_zarr('{path}')", what)
            f.conn.execute(f"CREATE ARRAY IF NOT EXISTS y AS SELECT * FROM z")
            f.conn.execute(f"TRUNCATE y")
            f.conn.execute(f"COPY y FROM '{path}'")
            same_cells(f, "z", "y", what + " and COPY FROM")
            f.conn.execute("DROP ARRAY y")
            open_with_xarray(f, xr.open_zarr(path), data, holes, what)
            z = zarr.open_group(path, mode="r")
            f.count.equal(z["a_i4"].chunks, (2, 3, 4), what + " chunks")
            f.count.equal(sorted(os.listdir(f.dir)), sorted(set(os.listdir(f.dir)) - {p for p in os.listdir(f.dir) if p.endswith("~")}),
                          what + " leaves nothing behind")
    f.conn.execute(f"COPY (SELECT [lat], [k], max(a_i4) AS m FROM z GROUP BY lat, k) TO '{f.path('m.zarr')}'")
    f.count.equal(f.rows(f"SELECT * FROM read_zarr('{f.path('m.zarr')}') WHERE m IS NOT NULL"),
                  [r for r in f.rows("SELECT [lat], [k], max(a_i4) AS m FROM z GROUP BY lat, k") if r[2] is not None], "a query")
    f.conn.execute(f"COPY (SELECT i, i * i AS sq FROM GRID [i => 0 : 9999] WHERE i % 2 = 0) TO '{f.path('rows.zarr')}'")
    f.count.equal(f.rows(f"SELECT count(*), sum(sq), max(i) FROM read_zarr('{f.path('rows.zarr')}')"),
                  f.rows("SELECT count(*), sum(i * i), max(i) FROM GRID [i => 0 : 9999] WHERE i % 2 = 0"), "rows")
    f.conn.execute(f"COPY (SELECT * FROM z[#lat => 0 : 6 : 2, #time => 1 : 4 : 3]) TO '{f.path('step.zarr')}'")
    same = f.rows("SELECT time, lat, k, a_i8 FROM z[#lat => 0 : 6 : 2, #time => 1 : 4 : 3] WHERE a_i8 IS NOT NULL")
    f.count.equal(f.rows(f"SELECT time, lat, k, a_i8 FROM read_zarr('{f.path('step.zarr')}') WHERE a_i8 IS NOT NULL"), same, "steps")
    f.conn.execute(f"COPY z TO '{f.path('m.zarr')}'")
    f.count.equal(f.rows(f"SELECT count(a_i4) FROM read_zarr('{f.path('m.zarr')}')"), f.rows("SELECT count(a_i4) FROM z"), "replaced")
    os.mkdir(f.path("mine"))
    open(f.path("mine/letter"), "w").close()
    f.error(f"COPY z TO '{f.path('mine')}' (FORMAT zarr)", "42809", "not a Zarr directory")
    os.mkfifo(f.path("fifo"))
    for fmt in ("npz", "netcdf", "zarr"):
        f.error(f"COPY (SELECT [i], i AS v FROM GRID [i => 0 : 3]) TO '{f.path('fifo')}' (FORMAT {fmt})", "42809", "is not a")
    f.error("COPY z TO STDOUT (FORMAT zarr)", "0A000", "goes to a file only")
    f.error(f"COPY z TO '{f.path('q.zarr')}' (FORMAT zarr, VERSION 4)", "22023", "2 or 3")
    f.error(f"COPY (SELECT i, i FROM GRID [i => 0 : 3]) TO '{f.path('q.zarr')}'", "42701", "stands twice")
    f.error("COPY (SELECT [i], CASE WHEN i % 300 = 299 THEN NULL ELSE ((i % 256) - 128)::tinyint END AS v FROM GRID [i => 0 : 999]) "
            f"TO '{f.path('q.zarr')}'", "42804", "leave none")


def netcdf_out(f):
    for missing in (False, True):
        data, holes = make_array(f, "z", missing)
        path, what = f.path("out.nc"), f"COPY TO NetCDF{' with holes' if missing else ''}"
        f.count.equal(f.conn.execute(f"COPY z TO '{path}'").rowcount, f.rows("SELECT count(*) FROM z")[0][0], what + " count")
        same_cells(f, "z", f"read_netcdf('{path}')", what)
        f.conn.execute("CREATE ARRAY y AS SELECT * FROM z")
        f.conn.execute("TRUNCATE y")
        f.conn.execute(f"COPY y FROM '{path}'")
        same_cells(f, "z", "y", what + " and COPY FROM")
        f.conn.execute("DROP ARRAY y")
        with xr.open_dataset(path, engine="netcdf4") as ds:
            open_with_xarray(f, ds, data, holes, what)
    f.conn.execute(f"COPY (SELECT i, i * i AS sq FROM GRID [i => 0 : 9999] WHERE i % 2 = 0) TO '{f.path('rows.nc')}'")
    f.count.equal(f.rows(f"SELECT count(*), sum(sq), max(i) FROM read_netcdf('{f.path('rows.nc')}')"),
                  f.rows("SELECT count(*), sum(i * i), max(i) FROM GRID [i => 0 : 9999] WHERE i % 2 = 0"), "rows to NetCDF")
    f.conn.execute("CREATE OR REPLACE VIEW e AS SELECT [i], 1 AS v FROM GRID [i => 0 : 9] WHERE i > 20")
    f.conn.execute(f"COPY e TO '{f.path('empty.nc')}'")
    f.error(f"COPY z TO '{f.path('no/where.nc')}'", "58030", "No such file")
    f.error("COPY z TO STDOUT (FORMAT netcdf)", "0A000", "goes to a file only")


# ---- PostgreSQL's binary format ----


PG_TYPES = ["timestamp", "float8", "text", "bool", "int2", "int2", "int4", "int8", "int2", "int4", "int8", "numeric", "float4", "float8", "date",
            "timestamp", "text"]


def binary(f):
    make_array(f, "z", True)
    cols = "time, lat, k, " + ", ".join(f"a_{k}" for k in ALL_TYPES)
    want = f.rows(f"SELECT {cols} FROM z")
    with f.conn.cursor().copy(f"COPY (SELECT {cols} FROM z) TO STDOUT (FORMAT binary)") as out:
        out.set_types(PG_TYPES)
        got = list(out.rows())
    exact = f.conn.cursor(binary=True).execute(f"SELECT {cols} FROM z").fetchall()
    f.count.equal(repr(got), repr(exact), "binary COPY TO STDOUT")
    f.conn.execute("CREATE ARRAY y AS SELECT * FROM z")
    for part in (1, 5000):
        f.conn.execute("TRUNCATE y")
        with f.conn.cursor().copy("COPY z TO STDOUT (FORMAT binary)") as out:
            blob = b"".join(bytes(b) for b in out)
        with f.conn.cursor().copy("COPY y FROM STDIN WITH BINARY") as into:
            for at in range(0, len(blob), part if part > 1 else 7):
                into.write(blob[at:at + (part if part > 1 else 7)])
        f.count.equal(repr(f.rows(f"SELECT {cols} FROM y")), repr(want), f"binary in pieces of {part}")
    f.conn.execute("TRUNCATE y")
    with f.conn.cursor().copy("COPY y FROM STDIN (FORMAT binary)") as into:
        into.set_types(PG_TYPES)
        for r in want:
            into.write_row(r)
    f.count.equal(repr(f.rows(f"SELECT {cols} FROM y")), repr(want), "psycopg's binary rows")
    path = f.path("z.bin")
    f.count.equal(f.conn.execute(f"COPY z TO '{path}' (FORMAT binary)").rowcount, len(want), "binary to a file")
    f.count.equal(open(path, "rb").read(), blob, "the file is what the client gets")
    f.conn.execute("TRUNCATE y")
    f.conn.execute(f"COPY y FROM '{path}' (FORMAT binary) WHERE lat > 0 AND a_i4 IS NOT NULL")
    f.count.equal(repr(f.rows(f"SELECT {cols} FROM y")), repr(f.rows(f"SELECT {cols} FROM z WHERE lat > 0 AND a_i4 IS NOT NULL")), "binary WHERE")
    f.conn.execute("CREATE TABLE big (i BIGINT, s TEXT)")
    f.conn.execute(f"COPY (SELECT i, 'n' || i::text AS s FROM GRID [i => 0 : 199999]) TO '{f.path('big.bin')}' (FORMAT binary)")
    f.count.equal(f.conn.execute(f"COPY big FROM '{f.path('big.bin')}' (FORMAT binary)").rowcount, 200000, "many rows")
    f.count.equal(f.rows("SELECT count(*), sum(i), max(s) FROM big"), [(200000, 19999900000, "n99999")], "many rows back")
    f.conn.execute("DROP ARRAY y")
    f.conn.execute("DROP ARRAY big")

    f.conn.execute("CREATE TABLE t (a INTEGER, b TINYINT, s TEXT)")
    head, end = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
    row = lambda *fields: len(fields).to_bytes(2, "big") + b"".join(  # noqa: E731
        b"\xff\xff\xff\xff" if x is None else len(x).to_bytes(4, "big") + x for x in fields)
    good = row(b"\0\0\0\x07", b"\0\x08", b"x")
    for data, state, part in ((b"PGCOPX", "22P04", "signature"), (b"", "22P04", "signature"), (head[:15], "22P04", "header"),
                              (head[:11] + b"\0\1\0\0" + bytes(4) + end, "22P04", "OIDS"), (head[:11] + b"\1\0\0\0" + bytes(4), "22P04", "critical flags"),
                              (head + good[:-1], "22P04", "unexpected EOF"), (head + row(b"1"), "22P04", "row field count is 1, expected 3"),
                              (head + good + end + b"x", "22P04", "after EOF"), (head + row(b"\0\0\7", b"\0\7", b"x") + end, "08P01", "insufficient data"),
                              (head + row(b"\0\0\0\0\7", b"\0\7", b"x") + end, "22P03", "incorrect binary"),
                              (head + row(b"\0\0\0\7", b"\1\0", b"x") + end, "22003", "tinyint"), (head + row(None, None, b"\xff") + end, "22021", "UTF8"),
                              (head + b"\0\3\xff\xff\xff\xf0" + end, "22P04", "field size")):
        try:
            with f.conn.cursor().copy("COPY t FROM STDIN (FORMAT binary)") as into:
                into.write(data)
                into.write(b"")
            f.count.check(False, f"no error for {data!r}")
        except psycopg.Error as e:
            f.count.check(e.sqlstate == state and part in str(e), f"{data!r}: {e.sqlstate} {e}, wanted {state} {part}")
    f.error("COPY t FROM STDIN (FORMAT binary, DELIMITER ',')", "42601", "not an option")
    f.error("COPY t TO STDOUT (FORMAT binary, HEADER)", "42601", "not an option")
    f.error("COPY t TO STDOUT (VERSION 3)", "42601", "not an option")
    f.error("COPY t TO STDOUT (QUOTE '#')", "42601", "FORMAT csv")


def where(f):
    f.conn.execute("DROP TABLE IF EXISTS w")
    f.conn.execute("CREATE ARRAY w (i INTEGER DIMENSION [0 : *], v DOUBLE, s TEXT)")
    with f.conn.cursor().copy("COPY w (i, v, s) FROM STDIN WHERE v > 2 AND s LIKE 'a%'") as out:
        for i in range(1000):
            out.write_row((i, i % 7 if i % 5 else None, "ab"[i % 2]))
    keep = [i for i in range(1000) if i % 5 and i % 7 > 2 and i % 2 == 0]
    f.count.equal([r[0] for r in f.rows("SELECT i FROM w")], keep, "WHERE from the client")
    np.save(f.path("w.npy"), np.arange(1000) / 4)
    f.conn.execute("TRUNCATE w")
    f.conn.execute(f"COPY w (i, v) FROM '{f.path('w.npy')}' WHERE i % 10 = 3 OR v > 240")
    f.count.equal(f.rows("SELECT i, v FROM w"), [(i, i / 4) for i in range(1000) if i % 10 == 3 or i / 4 > 240], "WHERE from npy")
    with open(f.path("w.csv"), "w") as out:
        out.write("i,v,s\n" + "".join(f"{i},{i / 8},x{i}\n" for i in range(1000)))
    f.conn.execute("TRUNCATE w")
    f.conn.execute(f"COPY w FROM '{f.path('w.csv')}' WHERE s LIKE '%7' AND v < 50")
    f.count.equal(f.rows("SELECT i, s FROM w"), [(i, f"x{i}") for i in range(1000) if i % 10 == 7 and i / 8 < 50], "WHERE from csv")
    f.error("COPY w FROM STDIN WHERE nothing > 1", "42703", "nothing")
    f.error("COPY w FROM STDIN WHERE v", "42804", "boolean")
    f.error("COPY w FROM STDIN WHERE v > (SELECT max(v) FROM w)", "0A000", "subquery")


# ---- npz and raw ----


def npz(f):
    data, _ = make_array(f, "z", False)
    n = f.conn.execute(f"COPY z TO '{f.path('z.npz')}'").rowcount
    f.count.equal(n, 5 * 7 * 4, "COPY TO npz count")
    with np.load(f.path("z.npz")) as got:
        f.count.equal(sorted(got.files), sorted(["time", "lat", "k"] + [f"a_{k}" for k in ALL_TYPES]), "npz members")
        for k, (_, dtype) in ALL_TYPES.items():
            f.count.check(dtype == "O" or got[f"a_{k}"].dtype == np.dtype(dtype), f"npz {k}: {got[f'a_{k}'].dtype}")
            f.same(got[f"a_{k}"].astype(dtype), data[k], f"npz {k}")
        f.same(got["lat"], -1.5 + 0.25 * np.arange(7), "npz lat")
        f.count.equal(list(got["k"]), list("ähzq"), "npz text labels")
        f.count.equal(got["time"].dtype, np.dtype("M8[us]"), "npz time")
    f.conn.execute("CREATE ARRAY y AS SELECT * FROM z")
    f.conn.execute("TRUNCATE y")
    f.conn.execute(f"COPY y FROM '{f.path('z.npz')}'")
    same_cells(f, "z", "y", "npz and back, by coordinates")
    f.conn.execute("DROP ARRAY y")
    f.same(f.column(f"SELECT a_i4 FROM read_npz('{f.path('z.npz')}', 'a_i4')", "i4", (5, 7, 4)), data["i4"], "read_npz")
    got = f.rows(f"SELECT a_i2, a_s FROM read_npz('{f.path('z.npz')}', 'a_i2', 'a_s')[2, 3, 1]")
    f.count.equal(got, [(int(data["i2"][2, 3, 1]), data["s"][2, 3, 1])], "two members")
    a = f.rng.normal(size=(300, 400))
    for save in (np.savez, np.savez_compressed):
        save(f.path("a.npz"), a)
        f.same(f.column(f"SELECT arr_0 FROM read_npz('{f.path('a.npz')}')", "f8", a.shape), a, f"{save.__name__}")
        f.count.equal(f.rows(f"SELECT d0, d1, arr_0 FROM read_npz('{f.path('a.npz')}')[7 : 8, 399 : 399]"),
                      [(7, 399, a[7, 399]), (8, 399, a[8, 399])], f"a slice of {save.__name__}")
    np.savez(f.path("p1.npz"), v=np.arange(6).reshape(2, 3))
    np.savez_compressed(f.path("p2.npz"), v=np.arange(6, 15).reshape(3, 3))
    f.same(f.column(f"SELECT v FROM read_npz('{f.path('p?.npz')}', 'v')", "i8"), np.arange(15), "a glob of npz")
    f.conn.execute(f"COPY (SELECT i, 'é' || i::text AS s FROM GRID [i => 0 : 9999] WHERE i % 3 = 0) TO '{f.path('rows.npz')}'")
    with np.load(f.path("rows.npz")) as got:
        f.same(got["i"], np.arange(0, 10000, 3), "rows to npz")
        f.count.equal(got["s"][100], "é300", "texts to npz")
    f.error(f"SELECT * FROM read_npz('{f.path('z.npz')}')", "22023", "There are")
    f.error(f"SELECT * FROM read_npz('{f.path('z.npz')}', 'a_i3')", "42703", 'Perhaps you meant "a_i')
    f.error(f"SELECT * FROM read_npz('{f.path('z.npz')}', 'a_i4', 'lat')", "22000", "differ in shape")
    f.error("COPY z TO STDOUT (FORMAT npz)", "0A000", "goes to a file only")
    f.conn.execute("UPDATE z[#time => 0] SET a_i4 = NULL, a_f8 = NULL, a_t = NULL, a_d = NULL WHERE k = 'h'")
    f.error(f"COPY z TO '{f.path('no.npz')}'", "42804", "is missing")
    f.conn.execute(f"COPY (SELECT [*], a_f8, a_d FROM z) TO '{f.path('no.npz')}'")
    with np.load(f.path("no.npz")) as got:
        f.count.equal((int(np.isnan(got["a_f8"]).sum()), int(np.isnat(got["a_d"]).sum())), (7, 7), "NaN and NaT")


def raw(f):
    a = f.rng.integers(-1000, 1000, (20, 30)).astype("<i4")
    for dtype in ("<i4", ">i4", "int32", "INTEGER", "float64", "float16", "datetime64[s]", "bool", "int8", "u1"):
        np_type = {"INTEGER": "<i4", "datetime64[s]": "M8[s]"}.get(dtype, dtype)
        want = a.astype(np_type)
        want.tofile(f.path("a.raw"))
        plain = want.astype("M8[us]") if dtype[0] == "d" else want
        f.same(f.column(f"SELECT v FROM read_raw('{f.path('a.raw')}', '{dtype}', [i => 0 : 19, j => 10 : 39])", plain.dtype.newbyteorder("=") if
                        dtype != "float16" else "f4", a.shape), plain, f"read_raw {dtype}")
    a.tofile(f.path("a.raw"))
    f.count.equal(f.rows(f"SELECT i, j, v FROM read_raw('{f.path('a.raw')}', 'int32', [i => 0 : 19, j => 10 : 39])[3 : 3, 12 : 12]"), [(3, 12, int(a[3, 2]))],
                  "a cell by coordinates")
    f.conn.execute("CREATE ARRAY r (i INTEGER DIMENSION [5 : *] TILE 4, j INTEGER DIMENSION [-3 : 26], v INTEGER, w REAL)")
    f.conn.execute(f"COPY r (v) FROM '{f.path('a.raw')}'")
    f.same(f.column("SELECT v FROM r", "i4", (20, 30)), a, "COPY FROM raw")
    f.count.equal(f.rows("SELECT min(i), max(i), min(j), max(j) FROM r"), [(5, 24, -3, 26)], "its coordinates")
    f.conn.execute(f"COPY (SELECT [i], [j], v FROM r) TO '{f.path('b.raw')}'")
    f.count.equal(open(f.path("b.raw"), "rb").read(), a.tobytes(), "COPY TO raw")
    f.conn.execute("UPDATE r SET w = v / 4.0")
    with f.conn.cursor().copy("COPY (SELECT [*], w FROM r) TO STDOUT (FORMAT raw)") as out:
        f.count.equal(b"".join(bytes(b) for b in out), (a / 4).astype("f4").tobytes(), "raw to the client")
    with f.conn.cursor().copy("COPY (SELECT [*], w FROM r) TO STDOUT (FORMAT npy)") as out:
        import io
        f.same(np.load(io.BytesIO(b"".join(bytes(b) for b in out))), (a / 4).astype("f4"), "npy to the client")
    f.error(f"COPY r FROM '{f.path('a.raw')}'", "22023", "one attribute")
    f.error(f"COPY r TO '{f.path('c.raw')}'", "22023", "2 columns cannot be written as raw")
    f.error(f"SELECT * FROM read_raw('{f.path('a.raw')}', 'int32', [i => 0 : 20, j => 0 : 29])", "22P04", "20 positions")
    f.error(f"SELECT * FROM read_raw('{f.path('a.raw')}', 'int32', [i => 0 : 20, j => 0 : 30])", "22P04", "not whole rows")
    f.error(f"SELECT * FROM read_raw('{f.path('a.raw')}', 'complex', [i => 0 : 20])", "22023", "not a type")
    f.error(f"SELECT * FROM read_raw('{f.path('a.raw')}', 'int32')", "42883", "bracket of dimensions")


# ---- tiles ----


def decode_tiles(blob):
    """The stream as storage/files/tile_stream.h lays it out: {name: values}, {name: bits of presence and validity}, coordinates."""
    import io
    import struct

    import numcodecs
    s = io.BytesIO(blob)
    take = lambda f: struct.unpack("<" + f, s.read(struct.calcsize("<" + f)))[0]  # noqa: E731
    text = lambda: s.read(take("I")).decode()  # noqa: E731
    dtypes = {"boolean": "?", "tinyint": "i1", "smallint": "<i2", "integer": "<i4", "bigint": "<i8", "utinyint": "u1", "usmallint": "<u2",
              "uinteger": "<u4", "ubigint": "<u8", "real": "<f4", "double precision": "<f8", "date": "<i4", "timestamp": "<i8", "text": "O"}

    def block(width):
        codec, plain, payload = take("B"), take("Q"), take("Q")
        data = s.read(payload)
        if codec == 1:
            return data * (plain // width)
        if codec == 3:
            data = numcodecs.Zstd().decode(data)
            data = np.frombuffer(data, "u1").reshape(width, -1).T.tobytes()
        assert len(data) == plain
        return data

    def column(dtype, n):
        if dtype != "O":
            return np.frombuffer(block(np.dtype(dtype).itemsize), dtype)
        data, out, at = block(1), [], 0
        while at < len(data):
            length = int.from_bytes(data[at:at + 4], "little")
            out.append(data[at + 4:at + 4 + length].decode())
            at += 4 + length
        return np.array(out, dtype="O")

    assert s.read(8) == b"TSTREAM\1"
    n_dims, n_attrs = take("I"), take("I")
    text()
    dims, coords, attrs = [], {}, []
    for _ in range(n_dims):
        name, kind, _, _, n, tile, listed = text(), text(), text(), text(), take("Q"), take("Q"), take("B")
        dims.append((n, tile))
        coords[name] = column(dtypes[kind], n) if listed else np.arange(n)
    for _ in range(n_attrs):
        attrs.append((text(), dtypes[text()]))
        text(), text()
    shape, grid = tuple(n for n, _ in dims), tuple(-(-n // t) for n, t in dims)
    values = {name: np.zeros(shape, dtype) for name, dtype in attrs}
    there = {name: np.zeros(shape, bool) for name, _ in attrs}
    while (var := take("I")) != 0xFFFFFFFF:
        index, flags = np.unravel_index(take("Q"), grid), take("B")
        box = tuple(slice(i * t, min((i + 1) * t, n)) for i, (n, t) in zip(index, dims))
        name, dtype = attrs[var]
        part, n = there[name][box].shape, there[name][box].size
        fine = np.ones(n, bool)
        for bit in (1, 2):
            if flags & bit:
                fine &= np.unpackbits(np.frombuffer(block(1), "u1"), bitorder="little")[:n].astype(bool)
        values[name][box] = column(dtype, n).reshape(part)
        there[name][box] = fine.reshape(part)
    assert s.read() == b""
    return values, there, coords


def tiles(f):
    for missing in (False, True):
        data, holes = make_array(f, "z", missing)
        path, what = f.path("z.tile"), f"tiles{' with holes' if missing else ''}"
        n = f.conn.execute(f"COPY z TO '{path}'").rowcount
        f.count.equal(n, f.rows("SELECT count(*) FROM z")[0][0], what + " count")
        cols = "time, lat, k, " + ", ".join(f"a_{k}" for k in ALL_TYPES)
        want = repr(f.rows(f"SELECT {cols} FROM z"))
        f.count.equal(repr(f.rows(f"SELECT {cols} FROM read_tile('{path}')")), want, what + ": the same, EMPTY cells too")
        f.count.equal(repr(f.rows(f"SELECT {cols} FROM read_tile('{path}')[lat => -1 : -0.25]")),
                      repr(f.rows(f"SELECT {cols} FROM z[lat => -1 : -0.25]")), what + ": a slice")
        with f.conn.cursor().copy("COPY z TO STDOUT (FORMAT tile)") as out:
            blob = b"".join(bytes(b) for b in out)
        values, there, coords = decode_tiles(blob)
        f.same(coords["lat"], -1.5 + 0.25 * np.arange(7), what + ": lat")
        f.count.equal(list(coords["k"]), list("ähzq"), what + ": labels")
        for k, (_, dtype) in ALL_TYPES.items():
            f.same(there[f"a_{k}"], ~holes[k], f"{what} {k}: which are there")
            got = values[f"a_{k}"].astype("M8[D]") if k == "d" else values[f"a_{k}"].astype("M8[us]") if k == "t" else values[f"a_{k}"]
            f.same(got[~holes[k]], data[k][~holes[k]], f"{what} {k} in Python")
        f.conn.execute("CREATE ARRAY y AS SELECT * FROM z")
        f.conn.execute("TRUNCATE y")
        with f.conn.cursor().copy("COPY y FROM STDIN (FORMAT tile)") as into:
            into.write(blob)
        f.count.equal(repr(f.rows(f"SELECT {cols} FROM y")), want, what + " from the client")
        f.conn.execute("TRUNCATE y")
        f.conn.execute(f"COPY y FROM '{path}'")
        f.count.equal(repr(f.rows(f"SELECT {cols} FROM y")), want, what + " from a file")
        f.conn.execute("DROP ARRAY y")
    f.conn.execute("CREATE ARRAY n (d0 BIGINT DIMENSION [0 : 9], v DOUBLE)")
    with f.conn.cursor().copy("COPY n FROM STDIN (FORMAT npy)") as into:
        import io
        out = io.BytesIO()
        np.save(out, np.arange(10) / 8)
        into.write(out.getvalue())
    f.count.equal([r[0] for r in f.rows("SELECT v FROM n")], [i / 8 for i in range(10)], "npy from the client")
    f.error(f"SELECT * FROM read_tile('{f.path('w.npy')}')", "22P04", "not a tile file")


def main():
    rng = np.random.default_rng(seed())
    count = Count()
    with Server() as server:
        f = Files(count, server, rng)
        for test in (zarr_from_xarray, zarr_from_numpy, zarr_refusals, zarr_out, netcdf_out, binary, where, npz, raw, tiles):
            test(f)
        f.done()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
