"""Aggregates: of a whole array, along each axis, by groups, of what a filter leaves."""
import numpy as np

from data import Data, clustered, decimal, distinct, integers, noise
from peers import evaluate, lazy, scratch
from workload import row

TILE = 180


def rows(n, bench):
    yield from whole(n)
    yield from by_axis(n)
    yield from by_group(n)
    yield by_month(n)
    yield from filtered(n)


def whole(n):
    side = round(n ** 0.5)
    g = Data("field", {"i": side, "j": side}, v=decimal)
    four = "sum(v), min(v), max(v), avg(v)"
    of = lambda x: [x.sum(), x.min(), x.max(), x.mean()]

    def of_dask(x):
        import dask
        return list(dask.compute(x.sum(), x.min(), x.max(), x.mean()))
    yield row("sum, min, max, avg of all", [g], goal=50, tessera=f"SELECT {four} FROM field", numpy=lambda: of(g["v"]),
              dask=lambda: of_dask(lazy(g["v"])), duckdb=f"SELECT {four} FROM field",
              numexpr=lambda: [evaluate("sum(v)", v=g["v"]), evaluate("min(v)", v=g["v"]), evaluate("max(v)", v=g["v"]),
                               evaluate("sum(v)", v=g["v"]) / g.size])
    # Half of each axis, on the bounds of tiles.
    t = Data("tiled", g.dims, tile=TILE, v=decimal)
    lo, hi = side // 4 // TILE * TILE, side // 4 * 3 // TILE * TILE
    cut = (slice(lo, hi), slice(lo, hi))
    yield row("the same of a tile-aligned region", [t], goal=50, tessera=f"SELECT {four} FROM tiled[i => {lo} : {hi - 1}, j => {lo} : {hi - 1}]",
              numpy=lambda: of(t["v"][cut]), dask=lambda: of_dask(lazy(t["v"])[cut]),
              duckdb=f"SELECT {four} FROM tiled WHERE i BETWEEN {lo} AND {hi - 1} AND j BETWEEN {lo} AND {hi - 1}")


def by_axis(n):
    side = round((1.25 * n) ** (1 / 3))
    cube = Data("cube", {"x": side, "y": side, "z": side}, v=decimal)
    for axis, (dim, which) in enumerate((("x", "first"), ("y", "middle"), ("z", "last"))):
        rest = [d for d in cube.dims if d != dim]
        sql = f"SELECT sum(m * {rest[0]} + m * m * {rest[1]}) FROM (SELECT {{0}}, avg(v) AS m FROM cube GROUP BY {', '.join(rest)}) AS t"
        i, j = np.arange(side)[:, None], np.arange(side)[None, :]
        tell = lambda m: (m * i + m * m * j).sum()
        yield row(f"mean over the {which} axis", [cube], goal=1.5, limit=("memory", 8 * cube.size), wanted=0.7,
                  note="of the means a weighted sum is asked for",
                  tessera=sql.format(", ".join(f"[{d}]" for d in rest)), numpy=lambda a=axis: tell(cube["v"].mean(axis=a)),
                  dask=lambda a=axis: tell(lazy(cube["v"]).mean(axis=a).compute()),
                  xarray=lambda d=dim: tell(in_xarray(cube).mean(d).values), duckdb=sql.format(", ".join(rest)))


def in_xarray(data):
    import xarray
    return xarray.DataArray(data["v"], dims=list(data.dims))


def by_group(n):
    line = Data("line", {"i": n}, v=decimal, k=integers, d=distinct)
    tell = lambda keys, means: np.array([len(means), (np.asarray(keys) * np.asarray(means)).sum()])

    def by_modulo():
        k = np.arange(n) % 1000
        return tell(np.arange(1000), np.bincount(k, line["v"], 1000) / np.bincount(k, minlength=1000))

    def by_modulo_dask():
        rows = n // 1000 * 1000              # a reshape says it better than a shuffle
        x = lazy(line["v"])
        total = x[:rows].reshape(-1, 1000).sum(axis=0).compute()
        count = np.full(1000, n // 1000, float)
        total[:n - rows] += line["v"][rows:]
        count[:n - rows] += 1
        return tell(np.arange(1000), total / count)
    sql = "SELECT count(*), sum(k * m) FROM (SELECT {0} AS k, avg(v) AS m FROM line GROUP BY {0}) AS t"
    yield row("GROUP BY i % 1000", [line], goal=1.5, tessera=sql.format("i % 1000"), duckdb=sql.format("i % 1000"),
              numpy=by_modulo, dask=by_modulo_dask)
    bins = lambda key, v: np.bincount(key, v) / np.bincount(key)

    def by_value_dask():
        import dask.array as da
        k, v = lazy(line["k"]), lazy(line["v"])
        total, count = da.bincount(k, v, 1000).compute(), da.bincount(k, minlength=1000).compute()
        return tell(np.arange(1000), total / count)
    yield row("GROUP BY 1,000 values", [line], goal=1.5, tessera=sql.replace("{0} AS k", "k").format("k"),
              duckdb=sql.replace("{0} AS k", "k").format("k"), numpy=lambda: tell(np.arange(1000), bins(line["k"], line["v"])),
              dask=by_value_dask)

    def by_distinct():
        top = int(line["d"].max()) + 1
        count = np.bincount(line["d"], minlength=top)
        seen = count > 0
        return tell(np.flatnonzero(seen), np.bincount(line["d"], line["v"], top)[seen] / count[seen])
    yield row("GROUP BY n/10 values", [line], goal=1.5, tessera=sql.format("d"), duckdb=sql.format("d"), numpy=by_distinct)


def by_month(n):
    """A year's course at each of 2,500 places: means by month over ten or a hundred years of days."""
    place = 50
    daily = Data("daily", {"time": n // place ** 2, "y": place, "x": place}, v=decimal, axes={
        "time": ("TIMESTAMP DIMENSION ['1900-01-01' : * : INTERVAL '1 day']", "TIMESTAMP '1900-01-01' + {} * INTERVAL '1 day'")})
    days = np.datetime64("1900-01-01") + np.arange(n // place ** 2)
    month = days.astype("datetime64[M]")
    first = np.flatnonzero(np.concatenate([[True], month[1:] != month[:-1]]))
    length = np.diff(np.append(first, len(days)))
    tell = lambda m: [len(m), float((np.asarray(m) * np.arange(len(m))).sum())]
    sql = """SELECT count(*), sum(m * (12 * (extract(year FROM month) - 1900) + extract(month FROM month) - 1)) FROM
        (SELECT date_trunc('month', time) AS month, avg(v) AS m FROM daily GROUP BY date_trunc('month', time)) AS t"""

    def by_xarray():
        x = in_xarray(daily).assign_coords(time=days.astype("datetime64[ns]"))
        return tell(x.mean(["y", "x"]).resample(time="MS").mean().values)
    return row("GROUP BY month of a time axis", [daily], goal=1.5, limit=("memory", 8 * daily.size), tessera=sql, duckdb=sql,
               numpy=lambda: tell(np.add.reduceat(daily["v"].reshape(len(days), -1).mean(axis=1), first) / length),
               dask=lambda: tell(np.add.reduceat(lazy(daily["v"]).mean(axis=(1, 2)).compute(), first) / length), xarray=by_xarray)


def filtered(n):
    for maker, which in ((clustered, "clustered"), (noise, "random")):
        f = Data("f_" + which, {"i": n}, v=maker, w=decimal)

        def bounds(f=f):
            return (0.5, 0.51) if f.name == "f_clustered" else (2.3263, 99.0)
        lo, hi = bounds()
        sql = f"SELECT count(*), avg(w) FROM {f.name} WHERE v > {lo} AND v < {hi}"

        def numpy(f=f, lo=lo, hi=hi):
            keep = f["w"][(f["v"] > lo) & (f["v"] < hi)]
            return [keep.size, keep.mean()]

        def in_dask(f=f, lo=lo, hi=hi):
            import dask
            import dask.array as da
            v, w = lazy(f["v"]), lazy(f["w"])
            keep = (v > lo) & (v < hi)
            count, total = dask.compute(keep.sum(), da.where(keep, w, 0).sum())
            return [count, total / count]

        def in_numexpr(f=f, lo=lo, hi=hi):
            keep = evaluate("(v > lo) & (v < hi)", v=f["v"], lo=lo, hi=hi)
            w = f["w"][keep]
            return [w.size, w.mean()]
        yield row(f"filter 1 % of {which} values, count, avg", [f], goal=2, tessera=sql, duckdb=sql, numpy=numpy, numexpr=in_numexpr,
                  dask=in_dask)
