"""Compressed tiles: expressions straight from them, slices, and writing: loads, stored results. What is stored is durable when a side is
done: Tessera commits, a peer's files are synced."""
import functools
import os

import numpy as np

from data import Data, decimal, noise, relief, smooth
from peers import evaluate, lazy
from stores import (Values, duckdb_cells, duckdb_file, duckdb_loads, from_blosc2, from_hdf5, from_tiledb, from_zarr, made, open_zarr, storing, to_blosc2,
                    to_hdf5, to_tiledb, to_zarr)
from workload import row

KINDS = {"smooth": smooth, "two decimals": decimal, "noise": noise, "real relief": relief}
SLICES = 40
SLICED = 1 << 15          # cells of the peers' chunks that slices are taken of: 256 KiB, as Tessera's tiles


def rows(n, bench):
    at = lambda name: lambda form: os.path.join(bench.files, f"{name}.{form}")
    for kind, maker in KINDS.items():
        yield scan(n, at("scan_" + maker.__name__), kind, maker)
    yield from slices(n, at("cube"))
    yield load(5 * n, at("five"), "two decimals", "5×, ")
    for kind in ("smooth", "noise"):
        yield load(n, at(kind), kind)
    yield csv(n, at("csv"))
    yield from results(n, at("result"))


def scan(n, at, kind, maker):
    side = round(n ** 0.5)
    x = Data("packed_" + maker.__name__, {"i": side, "j": side}, a=maker, b=maker, c=maker)

    def by_blosc2():
        a, b, c = (from_blosc2(made(at(k + ".b2nd"), lambda p, k=k: to_blosc2(p, x[k]))) for k in "abc")
        return float((a * b + c).sum())

    def by_zarr():
        a, b, c = (from_zarr(made(at(k + ".zarr"), lambda p, k=k: to_zarr(p, lazy(x[k])))) for k in "abc")
        return (a * b + c).sum().compute()

    def by_tiledb():
        t = from_tiledb(made(at("tdb"), lambda p: to_tiledb(p, x.dims, x.arrays)))
        step = max(1, (1 << 24) // side)
        return sum(float(evaluate("sum(a*b+c)", **t[lo:lo + step])) for lo in range(0, side, step))
    return row(f"sum(a*b+c) from compressed tiles ({kind})", [x], goal=2, limit=("zstd_out_" + maker.__name__, 24 * x.size), wanted=0.7,
               before={"tessera": "SET tile_cache = off"}, tessera=f"SELECT sum(a * b + c) FROM {x.name}", judge="numpy",
               numpy=lambda: (x["a"] * x["b"] + x["c"]).sum(), blosc2=by_blosc2, zarr=by_zarr, tiledb=by_tiledb,
               note="files in the page cache")


def slices(n, at):
    """Each run takes SLICES of them at places from a seed, as bytes of doubles, and adds them up."""
    side = round((1.25 * n) ** (1 / 3))
    cube = Data("cube", {"x": side, "y": side, "z": side}, v=smooth)
    rng = np.random.default_rng(3)
    edge = min(100, side)
    some = lambda limit: int(rng.integers(0, limit))

    def box():
        lo = some(side - edge + 1), some(side - edge + 1)
        return some(side), slice(lo[0], lo[0] + edge), slice(lo[1], lo[1] + edge)
    yield slices_of(cube, at, "one cell", [(some(side), some(side), some(side)) for _ in range(SLICES)])
    yield slices_of(cube, at, "100²", [box() for _ in range(SLICES)])
    for d, dim in enumerate(cube.dims):
        yield slices_of(cube, at, f"a plane across {dim}",
                        [tuple(some(side) if k == d else slice(0, side) for k in range(3)) for _ in range(SLICES)])


def slices_of(cube, at, kind, cuts):
    total = lambda source: sum(float(np.sum(source[c])) for c in cuts)
    tiledb = functools.cache(lambda: Values(made(at("tdb"), lambda p: to_tiledb(p, cube.dims, cube.arrays, SLICED))))
    return row(f"slices: {kind}", [cube], goal=2, note=f"{SLICES} of them, as bytes of doubles", judge="numpy",
               tessera=lambda conn: sum(fetch(conn, c) for c in cuts), numpy=lambda: total(cube["v"]),
               zarr=lambda: total(open_zarr(made(at("zarr"), lambda p: to_zarr(p, lazy(cube["v"]), SLICED)))), tiledb=lambda: total(tiledb()),
               h5py=lambda: total(from_hdf5(made(at("h5"), lambda p: to_hdf5(p, cube["v"], SLICED)))),
               blosc2=lambda: total(from_blosc2(made(at("b2nd"), lambda p: to_blosc2(p, cube["v"], SLICED << 3)))))


def fetch(conn, cut):
    """The sum of a slice: one value by a prepared statement, else by COPY as bytes."""
    if all(isinstance(c, int) for c in cut):
        return conn.execute("SELECT v FROM cube[x => %b, y => %b, z => %b]", cut, prepare=True).fetchone()[0]
    dims = ", ".join(f"{d} => {c}" if isinstance(c, int) else f"{d} => {c.start} : {c.stop - 1}" for d, c in zip("xyz", cut))
    with conn.cursor().copy(f"COPY (SELECT v FROM cube[{dims}]) TO STDOUT (FORMAT raw)") as out:
        return float(np.frombuffer(b"".join(out)).sum())


def load(n, at, kind, times=""):
    side = round(n ** 0.5)
    maker = KINDS[kind]
    x = Data("loaded", {"i": side, "j": side}, v=maker)
    source = lambda: np.load(made(at("source.npy"), lambda p: x.save(p)), mmap_mode="r")
    k = side // 3
    look = lambda v: np.asarray(v[k:k + 3, k:k + 3]).ravel()

    def ready(conn):
        source()
        conn.execute("DROP ARRAY IF EXISTS loaded")
        conn.execute(x.definition())
    sides = storing(at, source, lambda v: v, x.dims, look)
    return row(f"load .npy, durable ({times}{kind})", [x], goal=1.5, limit=("write_" + maker.__name__, 8 * x.size), wanted=0.7, stored=False,
               before={"tessera": ready}, tessera=(lambda conn: conn.execute(f"COPY loaded FROM '{at('source.npy')}'"),
                                                   f"SELECT v FROM loaded[i => {k} : {k + 2}, j => {k} : {k + 2}]"),
               duckdb=(lambda: duckdb_loads(at("duckdb"), source()),
                       lambda: duckdb_cells(at("duckdb"), [i * side + j for i in range(k, k + 3) for j in range(k, k + 3)])), **sides)


def csv(n, at):
    """Lines of two coordinates and a value, some 17 bytes each."""
    side = round((0.6 * n) ** 0.5)
    x = Data("lines", {"i": side, "j": side}, v=decimal)
    look = f"SELECT count(*), sum(v) FROM lines_2 WHERE i = {side // 2}"

    def ready(conn):
        made(at("csv"), lambda p: conn.execute(f"COPY (SELECT i, j, v FROM lines) TO '{p}' (FORMAT csv, HEADER)"))
        conn.execute("DROP ARRAY IF EXISTS lines_2")
        conn.execute(x.definition("lines_2"))

    def by_duckdb():
        conn = duckdb_file(at("duckdb"))
        conn.execute(f"CREATE OR REPLACE TABLE lines_2 AS SELECT * FROM read_csv('{at('csv')}')")
        conn.execute("CHECKPOINT")
    return row("load CSV, durable", [x], goal=1.5, before={"tessera": ready}, note=f"{17 * x.size / 1e9:.2f} GB",
               tessera=(lambda conn: conn.execute(f"COPY lines_2 FROM '{at('csv')}' (FORMAT csv, HEADER)"), look),
               duckdb=(by_duckdb, lambda: duckdb_file(at("duckdb")).execute(look).fetchall()))


def results(n, at):
    """Statements that store what they compute."""
    side = round(n ** 0.5)
    x = Data("field", {"i": side, "j": side}, v=decimal)
    t = Data("tall", {"j": side, "i": side}, v=decimal)
    yield result("CREATE ARRAY AS 2a + 1", x, at, "SELECT [i], [j], 2 * v + 1 AS v FROM field", lambda v: 2 * v + 1, "write_decimal")
    yield result("transpose and store", x, at, "SELECT * FROM transpose(field)", lambda v: v.T, "write_decimal", dims=t.dims)
    yield result("cumulative sum along axis 0 and store", x, at, "SELECT [i], [j], sum(v) OVER [* : i] AS v FROM field",
                 lambda v: v.cumsum(axis=0), "write_smooth")


def result(name, x, at, query, compute, limit, dims=None):
    side = x.shape[0]
    a, b = side // 3, side // 5
    first, second = dims or x.dims
    sides = storing(at, lambda: x["v"], compute, x.dims, lambda v: np.asarray(v[a:a + 3, b:b + 3]).ravel())
    return row(name, [x], goal=2, limit=(limit, 8 * x.size), wanted=0.7 if "CREATE" in name else None,
               before={"tessera": "DROP ARRAY IF EXISTS result"},
               tessera=(f"CREATE ARRAY result AS {query}", f"SELECT v FROM result[{first} => {a} : {a + 2}, {second} => {b} : {b + 2}]"), **sides)
