"""The same work through Tessera, NumPy and Dask, in one run, on the same data; prints a table of medians and ratios.

    bench.py [MILLIONS_OF_DOUBLES]

Data: a smooth field with noise in its last digits, 3-D, as .npy for all. NumPy has it in memory, Dask reads the .npy in chunks
(memory-mapped), Tessera reads its own compressed tiles: warm (cached or in the page cache) and, for the scan, cold. Runs alternate; a
row's figure is the median of RUNS, after one that is not counted. Each answer is compared with NumPy's before it is timed."""
import os
import statistics
import sys
import tempfile
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import dask.array as da
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server  # noqa: E402

RUNS = 5


def field(n_time, n_lat, n_lon):
    """Temperatures: a smooth function of place and season, with noise."""
    rng = np.random.default_rng(1)
    t = np.arange(n_time)[:, None, None] * (2 * np.pi / 365.25)
    lat = np.linspace(-np.pi / 2, np.pi / 2, n_lat)[None, :, None]
    lon = np.linspace(0, 2 * np.pi, n_lon)[None, None, :]
    out = np.empty((n_time, n_lat, n_lon))
    for i in range(n_time):
        out[i] = (288 + 30 * np.cos(lat) + 10 * np.sin(t[i]) * np.sin(lat) + 3 * np.cos(4 * lon)
                  + rng.normal(0, 0.5, (n_lat, n_lon)))[0].round(2)
    return out


def drop_caches():
    """True when the page cache could be emptied (root only)."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        return True
    except OSError:
        return False


def timed(fn):
    start = time.perf_counter()
    fn()
    return time.perf_counter() - start


def close(a, b):
    return np.allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=1e-9, atol=1e-9, equal_nan=True)


def workloads(conn, x, d, n):
    """(name, Tessera, NumPy, Dask) as functions that give an answer."""
    ask = lambda sql: (lambda: np.array(conn.execute(sql).fetchall(), dtype=float).squeeze())
    t0, t1 = n[0] // 3, n[0] // 3 + n[0] // 4
    return [
        ("sum of all", ask("SELECT sum(v) FROM f"), lambda: x.sum(), lambda: d.sum().compute()),
        ("avg(v * 1.8 - 459.67)", ask("SELECT avg(v * 1.8 - 459.67) FROM f"), lambda: (x * 1.8 - 459.67).mean(),
         lambda: (d * 1.8 - 459.67).mean().compute()),
        ("avg(sqrt(sin(v)^2 + cos(v)^2))", ask("SELECT avg(sqrt(sin(v) ^ 2 + cos(v) ^ 2)) FROM f"),
         lambda: np.sqrt(np.sin(x) ** 2 + np.cos(x) ** 2).mean(), lambda: da.sqrt(da.sin(d) ** 2 + da.cos(d) ** 2).mean().compute()),
        ("slice, mean", ask(f"SELECT avg(v) FROM f[time => {t0} : {t1 - 1}, lat => 10 : 59]"), lambda: x[t0:t1, 10:60].mean(),
         lambda: d[t0:t1, 10:60].mean().compute()),
        ("one time step's rows", ask("SELECT v FROM f[time => 7]"), lambda: x[7].ravel().copy(), lambda: d[7].compute().ravel()),
        ("mean by lat", ask("SELECT lat, avg(v) FROM f GROUP BY lat ORDER BY lat"),
         lambda: np.column_stack([np.arange(n[1]), x.mean(axis=(0, 2))]),
         lambda: np.column_stack([np.arange(n[1]), d.mean(axis=(0, 2)).compute()])),
        ("mean by time", ask("SELECT time, avg(v) FROM f GROUP BY time ORDER BY time"),
         lambda: np.column_stack([np.arange(n[0]), x.mean(axis=(1, 2))]),
         lambda: np.column_stack([np.arange(n[0]), d.mean(axis=(1, 2)).compute()])),
        ("filter v > 310, count and mean", ask("SELECT count(*), avg(v) FROM f WHERE v > 310"),
         lambda: (lambda s: np.array([s.size, s.mean()]))(x[x > 310]),
         lambda: np.array(da.compute((d > 310).sum(), da.where(d > 310, d, 0).sum() / (d > 310).sum()))),
    ]


def line(name, times, note=""):
    t = {k: statistics.median(v) * 1e3 for k, v in times.items()}
    best = min(v for k, v in t.items() if k != "Tessera")
    print(f"| {name} | {t['Tessera']:.1f} | {t.get('NumPy', float('nan')):.1f} | {t.get('Dask', float('nan')):.1f} | "
          f"{best / t['Tessera']:.2f} | {note} |", flush=True)


def load(server, conn, path, x, dir):
    times = {"Tessera": [], "NumPy": [], "Dask": []}
    for _ in range(3):
        conn.execute("DROP ARRAY IF EXISTS f")
        conn.execute(f"CREATE ARRAY f (time BIGINT DIMENSION [0 : {x.shape[0] - 1}], lat BIGINT DIMENSION [0 : {x.shape[1] - 1}], "
                     f"lon BIGINT DIMENSION [0 : {x.shape[2] - 1}], v DOUBLE)")
        times["Tessera"].append(timed(lambda: conn.execute(f"COPY f FROM '{path}'")))
        copy = os.path.join(dir, "copy.npy")

        def numpy_copy():
            with open(copy, "wb") as f:
                np.save(f, np.load(path))
                os.fsync(f.fileno())
        times["NumPy"].append(timed(numpy_copy))
        os.unlink(copy)
        times["Dask"].append(timed(lambda: da.to_npy_stack(os.path.join(dir, "stack"), da.from_array(np.load(path, mmap_mode="r"), chunks=(8, -1, -1)))))
    rate = x.nbytes / statistics.median(times["Tessera"]) / 1e6
    stored = conn.execute("SELECT bytes FROM sys.arrays WHERE name = 'f'").fetchone()[0]
    line("load .npy, durable", times, f"{rate:.0f} MB/s, compressed {x.nbytes / stored:.1f} times")


def main():
    millions = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    n = (max(8, millions * 1_000_000 // (250 * 400)), 250, 400)
    with tempfile.TemporaryDirectory() as dir, Server() as server, server.connect() as conn:
        x = field(*n)
        path = os.path.join(dir, "f.npy")
        np.save(path, x)
        d = da.from_array(np.load(path, mmap_mode="r"), chunks=(32, 250, 400))
        print(f"{x.size / 1e6:.0f} million doubles, {x.nbytes / 1e6:.0f} MB; {os.cpu_count()} processors; "
              f"NumPy {np.__version__}, Dask {__import__('dask').__version__}; milliseconds, medians of {RUNS}\n")
        print("| workload | Tessera | NumPy | Dask | best peer / Tessera | |\n|---|---|---|---|---|---|")
        load(server, conn, path, x, dir)
        for name, ours, numpy, dask in workloads(conn, x, d, n):
            want = numpy()
            assert close(ours(), want) and close(dask(), want), f"{name}: answers differ"
            times = {"Tessera": [], "NumPy": [], "Dask": []}
            for _ in range(RUNS):
                for who, fn in (("Tessera", ours), ("NumPy", numpy), ("Dask", dask)):
                    times[who].append(timed(fn))
            line(name, times)
        cold(server, conn, path, x)


def cold(server, conn, path, x):
    """The scan with nothing cached: the server restarted, the page cache dropped."""
    times = {"Tessera": [], "NumPy": [], "Dask": []}
    conn.close()
    for _ in range(3):
        server.stop()
        if not drop_caches():
            print("| cold scan | not measured: the page cache can be dropped by root only | | | | |")
            return
        server.start()
        with server.connect() as c:
            times["Tessera"].append(timed(lambda: c.execute("SELECT avg(v * 1.8) FROM f").fetchone()))
        drop_caches()
        times["NumPy"].append(timed(lambda: (np.load(path) * 1.8).mean()))
        drop_caches()
        d = da.from_array(np.load(path, mmap_mode="r"), chunks=(32, 250, 400))
        times["Dask"].append(timed(lambda: (d * 1.8).mean().compute()))
    rate = x.nbytes / statistics.median(times["Tessera"]) / 1e9
    line("cold: avg(v * 1.8)", times, f"{rate:.2f} GB/s of values")


if __name__ == "__main__":
    main()
