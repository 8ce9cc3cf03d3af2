"""The same work through Tessera, NumPy and Dask, in one run, on the same data; prints a table of medians and ratios.

    bench.py [MILLIONS_OF_DOUBLES]

Data: a smooth field with noise in its last digits, 3-D, as .npy for all. NumPy has it in memory, Dask reads the .npy in chunks
(memory-mapped), Tessera reads its own compressed tiles: warm (cached or in the page cache) and, for the scan, cold. Runs alternate; a
row's figure is the median of RUNS, after one that is not counted. Each answer is compared with NumPy's before it is timed."""
import os
import shutil
import statistics
import subprocess
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


def synced(path):
    """Waits until a file, or every file of a folder, is on disk."""
    for name in [path] if os.path.isfile(path) else [os.path.join(path, f) for f in os.listdir(path)]:
        with open(name, "rb") as f:
            os.fsync(f.fileno())


def saved(path, save):
    """A function that saves an array and gives what lies in the file."""
    def run():
        save(path)
        return np.load(path, mmap_mode="r")
    return run


def workloads(conn, x, d, n, dir):
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
        ("a time step to .npy",
         saved(f"{dir}/ours.npy", lambda p: conn.execute(f"COPY (SELECT [lat], [lon], v FROM f[time => 7]) TO '{p}' (FORMAT npy)")),
         saved(f"{dir}/numpy.npy", lambda p: np.save(p, x[7])), saved(f"{dir}/dask.npy", lambda p: np.save(p, d[7].compute()))),
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
                f.flush()
                os.fsync(f.fileno())
        times["NumPy"].append(timed(numpy_copy))
        os.unlink(copy)
        stack = os.path.join(dir, "stack")

        def dask_copy():
            da.to_npy_stack(stack, da.from_array(np.load(path, mmap_mode="r"), chunks=(8, -1, -1)))
            synced(stack)
        times["Dask"].append(timed(dask_copy))
        shutil.rmtree(stack)
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
        print(f"{x.size / 1e6:.0f} million doubles, {x.nbytes / 1e6:.0f} MB; {os.cpu_count()} processors; "
              f"NumPy {np.__version__}, Dask {__import__('dask').__version__}; milliseconds, medians of {RUNS}\n")
        limits(x, path)
        d = da.from_array(np.load(path, mmap_mode="r"), chunks=(32, 250, 400))
        print("| workload | Tessera | NumPy | Dask | best peer / Tessera | |\n|---|---|---|---|---|---|")
        load(server, conn, path, x, dir)
        for name, ours, numpy, dask in workloads(conn, x, d, n, dir):
            want = numpy()
            assert close(ours(), want) and close(dask(), want), f"{name}: answers differ"
            times = {"Tessera": [], "NumPy": [], "Dask": []}
            for _ in range(RUNS):
                for who, fn in (("Tessera", ours), ("NumPy", numpy), ("Dask", dask)):
                    times[who].append(timed(fn))
            line(name, times)
        cold(server, conn, path, x)


def limits(x, path):
    """What the machine can do at best: memory by one processor, the page cache, the disk (when the cache can be dropped)."""
    def read():
        with open(path, "rb", buffering=0) as f:
            buffer = bytearray(4 << 20)
            while f.readinto(buffer):
                pass
    memory = min(timed(x.sum) for _ in range(RUNS))
    cached = min(timed(read) for _ in range(3))
    disk = f", disk {x.nbytes / timed(read) / 1e9:.1f}" if drop_caches() else ""
    print(f"GB/s: one processor's sum in memory {x.nbytes / memory / 1e9:.1f}, page cache {x.nbytes / cached / 1e9:.1f}{disk}\n", flush=True)


# A process of its own: one that has mapped a file before may still hold its pages.
COLD_PEER = """
import os, sys, time
import dask.array as da, numpy as np
da.ones((64, 64), chunks=8).sum().compute()
os.sync()
open("/proc/sys/vm/drop_caches", "w").write("3")
start = time.perf_counter()
if sys.argv[1] == "NumPy":
    (np.load(sys.argv[2]) * 1.8).mean()
else:
    (da.from_array(np.load(sys.argv[2], mmap_mode="r"), chunks=(32, 250, 400)) * 1.8).mean().compute()
print(time.perf_counter() - start)
"""


def cold(server, conn, path, x):
    """The scan with nothing cached: the server restarted, the page cache dropped."""
    times = {"Tessera": [], "NumPy": [], "Dask": []}
    conn.close()
    copy = shutil.copy(path, path + ".cold")
    for _ in range(3):
        server.stop()
        if not drop_caches():
            print("| cold scan | not measured: the page cache can be dropped by root only | | | | |")
            return
        server.start()
        with server.connect() as c:
            times["Tessera"].append(timed(lambda: c.execute("SELECT avg(v * 1.8) FROM f").fetchone()))
        for peer in ("NumPy", "Dask"):
            out = subprocess.run([sys.executable, "-c", COLD_PEER, peer, copy], check=True, capture_output=True, text=True)
            times[peer].append(float(out.stdout))
    rate = x.nbytes / statistics.median(times["Tessera"]) / 1e9
    line("cold: avg(v * 1.8)", times, f"{rate:.2f} GB/s of values")


if __name__ == "__main__":
    main()
