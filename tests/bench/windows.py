"""Windows of cells, and what goes along an axis: moving means and maxima, cumulative sums, transposing."""
import os

import numpy as np

from data import Data, decimal
from peers import fresh, lazy, scratch, synced
from workload import execute, row


def rows(n, bench):
    side = round(n ** 0.5)
    g = Data("field", {"i": side, "j": side}, v=decimal)
    yield moving(g, side, "3×3 mean", "avg", 3, "uniform_filter")
    yield moving(g, side, "31×31 mean", "avg", 31, "uniform_filter")
    yield moving(g, side, "31×31 max", "max", 31, "maximum_filter")


def moving(g, side, name, aggregate, width, filter):
    """All the window's results are computed and summed, less those that the edge cuts."""
    h = width // 2
    inner = f"[i => {h} : {side - 1 - h}, j => {h} : {side - 1 - h}]"

    def by_scipy():
        import scipy.ndimage
        out = getattr(scipy.ndimage, filter)(g["v"], width, output=scratch(g["v"]), mode="nearest")
        return out[h:side - h, h:side - h].sum()

    def by_dask():
        import scipy.ndimage
        x = lazy(g["v"]).map_overlap(lambda b: getattr(scipy.ndimage, filter)(b, width, mode="nearest"), depth=h, boundary="nearest")
        return x[h:side - h, h:side - h].sum().compute()

    def by_xarray():
        from aggregates import in_xarray
        r = in_xarray(g).rolling(i=width, j=width, center=True)
        return float((r.mean() if aggregate == "avg" else r.max())[h:side - h, h:side - h].sum())
    sql = f"""SELECT sum(m) FROM (SELECT [i], [j], {aggregate}(v) OVER [#i - {h} : #i + {h}, #j - {h} : #j + {h}] AS m FROM field)
        {inner} AS t"""
    duck = f"""SELECT sum(m) FROM (SELECT i, j, {aggregate}(m) OVER (PARTITION BY i ORDER BY j ROWS BETWEEN {h} PRECEDING AND {h} FOLLOWING)
        AS m FROM (SELECT i, j, {aggregate}(v) OVER (PARTITION BY j ORDER BY i ROWS BETWEEN {h} PRECEDING AND {h} FOLLOWING) AS m FROM field))
        WHERE i BETWEEN {h} AND {side - 1 - h} AND j BETWEEN {h} AND {side - 1 - h}"""
    return row(name, [g], goal=3, tessera=sql, numpy=by_scipy, dask=by_dask, duckdb=duck, xarray=by_xarray,
               note="NumPy: scipy.ndimage; the results are summed")
