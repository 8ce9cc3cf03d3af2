"""The same work through Tessera and its peers, in one run, on the same data: prints a line a workload, writes build/bench/report.md and
chart.svg. See README.md here.

    bench.py [--readme]      with --readme also the README's section
    bench.py --profile       where Tessera's time goes instead

Sizes and choice by environment (make's variables): MILLIONS=100 ONLY=regex SIDES=tessera,numpy RUNS=5 …"""
import os
import signal
import subprocess
import sys
import tempfile

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import aggregates  # noqa: E402
import costs  # noqa: E402
import expressions  # noqa: E402
import growth  # noqa: E402
import large  # noqa: E402
import matrices  # noqa: E402
import report  # noqa: E402
import small  # noqa: E402
import sorting  # noqa: E402
import storage  # noqa: E402
import windows  # noqa: E402
import workload  # noqa: E402
from harness import BUILD, Server  # noqa: E402

FAMILIES = [expressions, aggregates, windows, sorting, storage, matrices, small, large]
OUT = "build/bench"


def limits(dir):
    """The machine's, from limits.c: name → value in its unit (thousand millions a second)."""
    out = subprocess.run([os.path.join(BUILD, "bench-limits"), os.path.join(dir, "limit")], check=True, capture_output=True, text=True)
    print(out.stdout)
    found = {line.split()[0]: float(line.split()[1]) for line in out.stdout.splitlines()}
    for kind in ("smooth", "decimal", "noise"):         # what is stored goes through the codec and to the disk
        found["write_" + kind] = min(found["zstd_in_" + kind], found["disk_write"] * found["zstd_ratio_" + kind])
        found["read_" + kind] = min(found["zstd_out_" + kind], found["disk_read"] * found["zstd_ratio_" + kind])
    return found, out.stdout


def versions():
    import importlib.metadata
    names = ["numpy", "numexpr", "dask", "zarr", "xarray", "blosc2", "tiledb", "duckdb", "h5py"]
    return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)


def rows(bench, n, families=FAMILIES):
    """Those that are asked for."""
    return (row for family in families for row in family.rows(n, bench) if bench.matches(row))


def run(bench, n, families=FAMILIES, after=None):
    """Measures every row, a line each as it comes; `after` gets what is done so far: a run that is ended leaves a report."""
    done = []
    for row in rows(bench, n, families):
        results = bench.measure(row)
        done.append((row, results))
        times = "  ".join(f"{report.NAMES[who]} {report.took(r)} ({r.cpu_s * 1e3:.0f})" for who, r in results.items())
        print(f"{row.name:40} {times}  ratio {report.number(report.ratio(results))} (goal {row.goal:g})"
              + (f"  {report.number(report.fraction(row, results, {}))} of the plain call" if "plain" in results else ""), flush=True)
        if after:
            after(done)
    return done


def profiles(bench, n):
    found, bench.who = [], ["tessera"]
    for row in rows(bench, n):
        if "tessera" in row.sides:
            found.append((row.name, costs.top(bench, row)))
            print(f"{row.name:50} " + ", ".join(f"{p:.0f} % {s}" for p, s in found[-1][1]), flush=True)
    with open(f"{OUT}/profile.md", "w") as f:
        f.write("# What the server's time goes to\n\n" + costs.table(found) + "\n")


def grow(bench, millions, done):
    """Tessera at smaller sizes; the rows at the full size are there already. Rows of their own size are left out."""
    families = [f for f in FAMILIES if f not in (matrices, small, large)]
    grown = {growth.STEPS[-1]: done}
    for step in growth.STEPS[:-1]:
        print(f"\nat {step}/8:")
        bench.who = ["tessera"]
        grown[step] = run(bench, int(millions * 1e6 * step / 8), families)
    return grown


def main():
    millions = float(os.environ.get("MILLIONS", 100))
    only = os.environ.get("ONLY", "")
    profiling = "--profile" in sys.argv
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # servers are stopped, files removed
    sides = os.environ.get("SIDES")
    os.makedirs(OUT, exist_ok=True)
    memory = max(4, round(millions * 0.12))     # GB: what a row's arrays, decoded, take twice over
    sets = [f"memory_limit={memory}GB", f"cache_size={memory // 2}GB"]
    with tempfile.TemporaryDirectory(dir=OUT) as dir, Server(dir=os.path.abspath(os.path.join(dir, "db")), port=workload.free_port(), sets=sets) as server:
        machine, said = limits(dir) if not only and not profiling else ({}, "")
        bench = workload.Bench(server, os.path.abspath(dir), only, sides.split(",") if sides else None)
        intro = (f"{millions:g} million doubles an array, {os.cpu_count()} processors, {versions()}; Tessera with {', '.join(sets)}. "
                 f"Milliseconds, medians of {workload.RUNS}; a ratio above 1 is in Tessera's favour.\n\n"
                 f"The machine's limits:\n\n```\n{said}```")
        try:
            if profiling:
                return profiles(bench, int(millions * 1e6))
            done = run(bench, int(millions * 1e6), after=lambda d: report.write(OUT, intro, d, machine))
            grown = {} if only and "GROWTH" not in os.environ else grow(bench, millions, done)
        finally:
            bench.close()
    report.write(OUT, intro, done, machine, "## Growth\n\n" + growth.table(grown) if grown else "")
    print(f"{OUT}/report.md and {OUT}/chart.svg are written")
    if "--readme" in sys.argv:
        report.rewrite("README.md", "\n\n".join((intro, report.table(done, machine), report.below(done, machine))))


if __name__ == "__main__":
    main()
