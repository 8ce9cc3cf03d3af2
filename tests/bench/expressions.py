"""Expressions over arrays whose decoded tiles are cached."""
import numpy as np

from data import Data, decimal, noise, smooth
from peers import evaluate, lazy, scratch
from workload import row


def rows(n, bench):
    side = round(n ** 0.5)
    abc = Data("abc", {"i": side, "j": side}, a=smooth, b=decimal, c=noise)

    def fused():
        t = scratch(abc["a"])
        np.multiply(abc["a"], abc["b"], out=t)
        np.add(t, abc["c"], out=t)
        return t.sum()
    yield row("sum(a*b+c)", [abc], goal=2, limit=("memory", 24 * abc.size), wanted=0.8,
              tessera="SELECT sum(a * b + c) FROM abc",
              numpy=fused,
              numexpr=lambda: evaluate("sum(a*b+c)", a=abc["a"], b=abc["b"], c=abc["c"]),
              dask=lambda: (lazy(abc["a"]) * lazy(abc["b"]) + lazy(abc["c"])).sum().compute(),
              duckdb="SELECT sum(a * b + c) FROM abc")

    def circle():
        t, u = scratch(abc["a"]), scratch(abc["a"], 1)
        np.square(np.sin(abc["a"], out=t), out=t)
        np.square(np.cos(abc["b"], out=u), out=u)
        return np.sqrt(np.add(t, u, out=t), out=t).mean()

    def circle_dask():
        import dask.array as da
        return da.sqrt(da.sin(lazy(abc["a"])) ** 2 + da.cos(lazy(abc["b"])) ** 2).mean().compute()
    yield row("avg(sqrt(sin(a)^2+cos(b)^2))", [abc], goal=3, limit=("sincos", abc.size), wanted=0.8,
              tessera="SELECT avg(sqrt(sin(a) ^ 2 + cos(b) ^ 2)) FROM abc",
              numpy=circle,
              numexpr=lambda: evaluate("sum(sqrt(sin(a)**2+cos(b)**2))", a=abc["a"], b=abc["b"]) / abc.size,
              dask=circle_dask,
              duckdb="SELECT avg(sqrt(sin(a) ^ 2 + cos(b) ^ 2)) FROM abc")
