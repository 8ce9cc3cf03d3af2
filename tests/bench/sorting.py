"""Order: quantiles, the largest, sorting."""
import numpy as np

from data import Data, decimal, noise
from peers import lazy, scratch
from workload import row


def rows(n, bench):
    x = Data("loose", {"i": n}, v=noise)
    yield quantiles(x, "noise")
    yield quantiles(Data("neat", {"i": n}, v=decimal), "two decimals")

    def top():
        import dask.array as da
        return da.topk(lazy(x["v"]), 100).compute()
    yield row("top 100", [x], goal=2, tessera="SELECT v FROM loose ORDER BY v DESC LIMIT 100",
              duckdb="SELECT v FROM loose ORDER BY v DESC LIMIT 100",
              numpy=lambda: np.sort(np.partition(x["v"], n - 100)[n - 100:])[::-1], dask=top)
    sql = "SELECT sum(k * v) FROM (SELECT v, row_number() OVER (ORDER BY v) AS k FROM loose) AS t"

    def ranks():
        t = scratch(x["v"])
        t[:] = x["v"]
        t.sort()
        return np.dot(t, scratch_ranks(x))
    yield row("sort, sum of rank × value", [x], goal=2, tessera=sql, duckdb=sql, numpy=ranks)


def quantiles(x, which):
    sql = f"SELECT median(v), quantile(v, 0.99) FROM {x.name}"
    return row(f"median, 0.99 quantile ({which})", [x], goal=2, tessera=sql,
               duckdb=sql.replace("quantile(", "quantile_cont("), numpy=lambda: np.quantile(x["v"], [0.5, 0.99]))


def scratch_ranks(x):
    t = scratch(x["v"], 1)
    if t[1] != 2:
        t[:] = np.arange(1, x.size + 1)
    return t
