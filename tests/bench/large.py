"""An array much larger than the memory allowed: the server makes it, with memory_limit = 1 GiB, and both it and Dask work on it in a
control group of 1.5 GiB (the half for the page cache), so what does not stream is killed or swaps pages in again and again."""
import contextlib
import os
import shutil

import numpy as np

from harness import Server
from peers import fresh
from stores import from_zarr, to_zarr
from workload import fork, free_port, row

GROUP = "/sys/fs/cgroup/memory/tessera-bench"
MEMORY = 3 << 29
RUNS = int(os.environ.get("LARGE_RUNS", 3))


def size_gb(dir):
    """LARGE_GB, else 30 or what the disk has room for: at times four copies, compressed, of a ratio of 2.5 and more."""
    return float(os.environ.get("LARGE_GB", min(30, shutil.disk_usage(dir).free / 1e9 * 0.5)))


def confine(name, pid):
    """Moves a process to a group of limited memory; False where that is not allowed (no root, or another kind of control groups)."""
    try:
        os.makedirs(f"{GROUP}-{name}", exist_ok=True)
        with open(f"{GROUP}-{name}/memory.limit_in_bytes", "w") as f:
            f.write(str(MEMORY))
        with open(f"{GROUP}-{name}/cgroup.procs", "w") as f:
            f.write(str(pid))
        return True
    except OSError:
        return False


def rows(n, bench):
    side = int((size_gb(bench.dir) * 1e9 / 8) ** 0.5)
    server = Server(dir=os.path.join(bench.dir, "large"), port=free_port(), sets=["memory_limit=1GB"])
    exported, zarr = (os.path.join(bench.dir, f"large-{k}.zarr") for k in ("exported", "chunked"))

    def prepare(conn):
        confine("tessera", server.process.pid)
        conn.execute(f"""CREATE ARRAY big AS SELECT [i], [j], round(280 + 30 * sin(i / 900.0) * cos(j / 700.0) + 0.05 * random_normal(1), 2)
            AS v FROM GRID [i => 0 : {side - 1}, j => 0 : {side - 1}]""")
        if bench.takes_part("dask"):
            conn.execute(f"COPY big TO '{fresh(exported)}' (FORMAT zarr)")
            copy = fork.Process(target=lambda: to_zarr(zarr, from_zarr(exported + "/v")))    # in chunks that suit Dask
            copy.start()
            copy.join()
            shutil.rmtree(exported)

    def dask(compute):
        def run():
            confine("dask", os.getpid())
            return compute(from_zarr(zarr))
        return run

    def row_of(what, sql, compute, limit="read_decimal", look=None, **others):
        return row(f"{side * side * 8 / 1e9:.1f} GB: {what}", goal=2, limit=(limit, 8 * side * side), wanted=0.7, server=server, prepare=prepare,
                   runs=RUNS, tessera=sql, dask=(dask(compute), look) if look else dask(compute), **others)
    yield row_of("scan, aggregate", "SELECT avg(v * 1.8 + 32), max(v * v) FROM big", scan)
    yield row_of("3×3 mean", f"""SELECT sum(m) FROM (SELECT [i], [j], avg(v) OVER [#i - 1 : #i + 1, #j - 1 : #j + 1] AS m FROM big)
        [i => 1 : {side - 2}, j => 1 : {side - 2}] AS t""", mean3)
    yield row_of("group by value", """SELECT count(*), sum(k * n) FROM (SELECT floor(v * 10) AS k, count(*) AS n FROM big
        GROUP BY floor(v * 10)) AS t""", grouped)
    yield row_of("join with its transpose", "SELECT sum(a.v * b.v) FROM big AS a JOIN big AS b ON a.i = b.j AND a.j = b.i",
                 lambda d: (d * d.T).sum().compute())
    out = os.path.join(bench.dir, "large-transposed.zarr")
    yield row_of("transpose and store", ("CREATE ARRAY turned AS SELECT * FROM transpose(big)", "SELECT sum(v) FROM turned[j => 5]"),
                 lambda d: to_zarr(out, d.T), "write_decimal", before={"tessera": "DROP ARRAY IF EXISTS turned"},
                 look=lambda: from_zarr(out)[5].sum().compute())
    bench.use(None, None)
    for name in ("tessera", "dask"):
        with contextlib.suppress(OSError):          # there is none, or a process has not quite ended
            os.rmdir(f"{GROUP}-{name}")


def scan(d):
    import dask
    return dask.compute((d * 1.8 + 32).mean(), (d * d).max())


def mean3(d):
    import scipy.ndimage
    m = d.map_overlap(lambda b: scipy.ndimage.uniform_filter(b, 3, mode="nearest"), depth=1, boundary="nearest")
    return m[1:-1, 1:-1].sum().compute()


def grouped(d):
    import dask.array as da
    count, edges = da.histogram(da.floor(d * 10), bins=2000, range=(1999.5, 3999.5))
    count = count.compute()
    return [int((count > 0).sum()), float((count * (np.floor(edges[:-1]) + 1)).sum())]
