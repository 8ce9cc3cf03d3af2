"""Where does the server's time go in each workload? Runs every row's Tessera side for a second or more under `perf record`, and writes the
symbols that cost most (build/bench/profile.md)."""
import os
import signal
import subprocess
import time

from peers import fresh

TOP = 3
SECONDS = 2


def top(bench, row):
    """[(percent, symbol)] of the row."""
    side = bench.tessera_side(row)
    path = fresh(os.path.join(bench.dir, "perf.data"))
    try:
        if side.ask("run") is None:
            return [(0.0, side.result.failure)]
        perf = subprocess.Popen(["perf", "record", "-q", "-o", path, "-p", str(side.pid())], stderr=subprocess.DEVNULL)
        while not os.path.exists(path) and perf.poll() is None:
            time.sleep(0.05)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and side.ask("run"):
            pass
        perf.send_signal(signal.SIGINT)
        perf.wait()
    finally:
        side.end()
    out = subprocess.run(["perf", "report", "-i", path, "--stdio", "--no-children", "-F", "overhead,dso,symbol"], capture_output=True, text=True)
    found = []
    for line in out.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].endswith("%"):
            found.append((float(words[0][:-1]), " ".join(words[3:]) + (f" ({words[1]})" if words[1] != "tesserad" else "")))
    return found[:TOP]


def table(profiles):
    lines = ["| workload | " + " | ".join(f"{k + 1}." for k in range(TOP)) + " |", "|---|" + "---|" * TOP]
    for name, found in profiles:
        cells = [f"{percent:.0f} % `{symbol}`" for percent, symbol in found] + [""] * (TOP - len(found))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
