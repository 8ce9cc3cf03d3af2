"""Products and factorisations of matrices, beside the plain call of the same OpenBLAS or LAPACK on the same data in memory ("blas":
a loaded library by ctypes, its fastest kernels, all processors): what the machine itself can do.

Sizes are for MILLIONS=100, and go with its root, so that a short run has smaller matrices of the same shapes."""
import ctypes
import ctypes.util
import functools
import os

import numpy as np

from data import Data, noise
from harness import Server
from peers import CORES, lazy
from workload import free_port, row


@functools.cache
def library():
    """Tessera's OpenBLAS, on as many threads as there are processors."""
    lib = ctypes.CDLL(ctypes.util.find_library("openblas"))
    lib.openblas_set_num_threads(CORES)
    return lib


def call(name, *args):
    """A routine of Fortran's: numbers go by reference, arrays by their memory."""
    kept = [a.ctypes if isinstance(a, np.ndarray) else ctypes.c_char(a.encode()) if isinstance(a, str)
            else ctypes.c_double(a) if isinstance(a, float) else ctypes.c_int(a) for a in args]
    getattr(library(), name + "_")(*[a.data_as(ctypes.c_void_p) if hasattr(a, "data_as") else ctypes.byref(a) for a in kept])


# Rows of C are columns of Fortran: a matrix here is its transpose there.
def gemm(a, b, out):
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    call("dgemm", "N", "N", n, m, k, 1.0, b, n, a, k, 0.0, out, n)
    return out.sum()


def syrk(a, out):
    n, k = a.shape[1], a.shape[0]
    call("dsyrk", "L", "N", n, k, 1.0, a, n, 0.0, out, n)
    return 2 * np.triu(out).sum() - np.trace(out)


@functools.cache
def zeros(n, m):
    return np.zeros((n, m))


def side(n, scale):
    return max(64, round(n * scale / 64) * 64)


def products(n, scale, bench):
    for name, edge in (("4096", side(4096, scale)), ("8192", side(8192, scale))):
        a = Data(f"left_{name}", {"i": edge, "j": edge}, v=noise)
        b = Data(f"right_{name}", {"i": edge, "j": edge}, v=noise)
        sql = f"SELECT sum(v) FROM {a.name} @ {b.name}"
        said = dict(goal=1.5, rtol=1e-6, wanted=0.9, plain=lambda a=a, b=b, e=edge: gemm(a["v"], b["v"], zeros(e, e)),
                    numpy=lambda a=a, b=b: (a["v"] @ b["v"]).sum(),
                    dask=lambda a=a, b=b: (lazy(a["v"]) @ lazy(b["v"])).sum().compute())
        yield row(f"matmul {edge} x {edge}", [a, b], tessera=sql, **said)
        if name == "4096":
            small = Server(dir=os.path.join(bench.dir, "small"), port=free_port(), sets=["memory_limit=64MB"])
            yield row(f"matmul {edge} x {edge}, 64 MiB", [a, b], tessera=lambda conn: conn.execute("SELECT sum(v) FROM l @ r").fetchall(),
                      server=small, prepare=lambda conn, a=a, b=b: load(conn, bench.dir, l=a, r=b), **{**said, "wanted": 0.7})


def load(conn, dir, **arrays):
    for name, data in arrays.items():
        path = os.path.join(dir, name + ".npy")
        data.make()
        data.save(path)
        conn.execute(data.definition(name))
        conn.execute(f"COPY {name} FROM '{path}'")
        os.unlink(path)


def rows(n, bench):
    scale = (n / 100e6) ** 0.5
    yield from products(n, scale, bench)
    long, edge = round(1_000_000 * scale ** 2), side(8192, scale)
    x = Data("observed", {"i": long, "j": 200}, v=noise)
    yield row(f"Gram matrix of {long:,} x 200", [x], goal=1.5, rtol=1e-6, wanted=0.9,
              tessera="SELECT sum(v) FROM transpose(observed) @ observed",
              plain=lambda: syrk(x["v"], zeros(200, 200)),
              numpy=lambda: (x["v"].T @ x["v"]).sum(),
              dask=lambda: (lazy(x["v"]).T @ lazy(x["v"])).sum().compute())
    yield from factorisations(scale, edge)


def factorisations(scale, edge):
    spd = Data("definite", {"i": edge, "j": edge}, v=lambda shape, rng: definite(shape, rng))
    b = Data("wanted", {"i": edge, "j": 1}, v=noise)

    def potrf():
        out = spd["v"].copy()
        call("dpotrf", "U", edge, out, edge, 0)
        return np.abs(np.tril(out)).sum()

    def gesv():
        out, x, pivots = spd["v"].copy(), b["v"].copy(), np.zeros(edge, np.int32)
        call("dgesv", edge, 1, out, edge, pivots, x, edge, 0)
        return x.sum()
    yield row(f"Cholesky {edge} x {edge}", [spd], goal=1.5, rtol=1e-6, wanted=0.9,
              tessera="SELECT sum(abs(v)) FROM cholesky(definite)", plain=potrf,
              numpy=lambda: np.abs(np.linalg.cholesky(spd["v"])).sum(),
              dask=lambda: abs_sum(da_linalg().cholesky(square(spd["v"]))))
    yield row(f"solve {edge} x {edge}", [spd, b], goal=1.5, rtol=1e-6, wanted=0.9,
              tessera="SELECT sum(v) FROM solve(definite, wanted)", plain=gesv,
              numpy=lambda: np.linalg.solve(spd["v"], b["v"]).sum(),
              dask=lambda: da_linalg().solve(square(spd["v"]), lazy(b["v"])).sum().compute())
    tall, wide = round(1_000_000 * scale ** 2), (round(100_000 * scale), side(1000, scale))
    t = Data("tall", {"i": tall, "j": 64}, v=noise)
    yield row(f"QR of {tall:,} x 64", [t], goal=1.5, rtol=1e-6,
              tessera="WITH (q, r) AS qr(tall) SELECT sum(abs(v)) FROM r",
              numpy=lambda: np.abs(np.linalg.qr(t["v"], "r")).sum(),
              dask=lambda: abs_sum(da_linalg().qr(lazy(t["v"]))[1]))
    m = Data("components", {"i": wide[0], "j": wide[1]}, v=low_rank)

    def randomised():
        import dask.array as da
        return da.linalg.svd_compressed(lazy(m["v"]), 20, n_power_iter=2, seed=1)[1].sum().compute()
    yield row(f"svd(m, 20) of {wide[0]:,} x {wide[1]}", [m], goal=1.5, rtol=1e-3,
              tessera="WITH (u, s, vt) AS svd(components, 20) SELECT sum(v) FROM s",
              numpy=lambda: np.linalg.svd(m["v"], full_matrices=False)[1][:20].sum(), dask=randomised)


def definite(shape, rng):
    out = rng.standard_normal(shape)
    out += out.T
    out[np.diag_indices(shape[0])] += 4 * shape[0] ** 0.5 + 1
    return out


def low_rank(shape, rng):
    """Twenty-odd directions that stand out of noise."""
    size = 100 * 0.8 ** np.arange(30)
    return rng.standard_normal((shape[0], 30)) * size @ rng.standard_normal((30, shape[1])) + rng.standard_normal(shape)


def da_linalg():
    import dask.array as da
    return da.linalg


def square(x):
    """Dask's factorisations take square chunks."""
    import dask.array as da
    return da.from_array(x, chunks=(min(1024, x.shape[0]),) * 2)


def abs_sum(x):
    return abs(x).sum().compute()
