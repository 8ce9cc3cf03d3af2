"""Works on arrays ten times memory_limit and watches the server's anonymous memory: it may exceed the limit by 64 MiB. Each statement is
first stopped by statement_timeout after a moment, which it must obey, and then runs to its end, in SECONDS at most. What counts is the time
of the clock or of processors, whichever is less: a busy machine makes the first longer, many workers the second.

    memory.py [LIMIT_MIB] [long] [only PART-OF-A-NAME …]
"""
import shutil
import sys
import tempfile
import threading
import time

import psycopg
from harness import PATIENCE_S, Count, Server
from memory_statements import SETUP, statements

ALLOWANCE = 64 << 20
SECONDS = 120         # more than any statement takes on ten times 64 MiB; with more data more
STOP_AFTER = 0.1
STOPS_WITHIN = 2      # more: about one on an idle machine


class Watch(threading.Thread):
    """Samples the server's anonymous resident memory until stopped."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.stopped = server, 0, False

    def run(self):
        while not self.stopped:
            self.peak = max(self.peak, self.server.peak_anonymous_bytes())
            time.sleep(0.01)

    def take(self):
        peak, self.peak = self.peak, 0
        return peak


class Stopwatch:
    """Seconds of the clock and of processors since it was made."""

    def __init__(self, server):
        self.server, self.began, self.cpu_began = server, time.monotonic(), cpu_seconds(server)

    def read(self):
        return time.monotonic() - self.began, cpu_seconds(self.server) - self.cpu_began


def too_long(seconds, cpu, most):
    return min(seconds, cpu) > most or seconds > most + 5 * PATIENCE_S


def stop(server, conn, sql):
    """How long the statement goes on after its time is over. What it does is undone."""
    watch = Stopwatch(server)
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"SET LOCAL statement_timeout = '{int(STOP_AFTER * 1000)}ms'")
            watch = Stopwatch(server)
            conn.execute(sql)
    except psycopg.Error:
        pass  # 57014, or what the statement is refused with
    seconds, cpu = watch.read()
    return seconds - STOP_AFTER, cpu


def run(conn, sql, good):
    """The problem, or None. `good`: a check of the rows, the SQLSTATE that must come, or None: any rows."""
    try:
        cursor = conn.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    except psycopg.Error as e:
        if e.sqlstate != good:
            return f"{e.sqlstate} {str(e).splitlines()[0]}"
        return None if e.diag.message_hint else "no hint"
    if isinstance(good, str):
        return f"not refused with {good}"
    return None if good is None or good(rows) else f"answered {rows[:3]}"


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main():
    args = sys.argv[1:]
    limit = (int(args.pop(0)) if args and args[0].isdigit() else 64) << 20
    long = "long" in args
    only = args[args.index("only") + 1:] if "only" in args else []
    n = limit * 10 // 16     # two columns of 8 bytes
    seconds_at_most = SECONDS * max(1, limit // (64 << 20))
    count = Count()
    folder = tempfile.mkdtemp(prefix="tessera-memory-")
    sets = [f"memory_limit={limit}B", f"file_root={folder}", f"statement_timeout={seconds_at_most + 5 * PATIENCE_S}s"]
    with Server(sets=sets) as server, server.connect() as conn:
        watch = Watch(server)
        watch.start()
        began = time.time()
        for name, sql, good, kind in statements(n, folder, n // 8 if long else n // 32):
            if kind != SETUP and (kind == "long" and not long or only and not any(o in name for o in only)):
                continue
            over = stop(server, conn, sql)
            taken = Stopwatch(server)
            problem = run(conn, sql, good)
            seconds, cpu = taken.read()
            peak = watch.take()
            print(f"{name:26} {seconds:6.2f} s ({cpu:6.2f} of processors)   stopped after {over[0]:5.2f} s   peak {peak >> 20:4} MiB of {limit >> 20}", flush=True)
            count.check(problem is None, f"{name}: {problem}")
            count.check(peak <= limit + ALLOWANCE, f"{name}: {peak >> 20} MiB, limit {limit >> 20}")
            count.check(not too_long(seconds, cpu, seconds_at_most), f"{name}: took {seconds:.0f} s, {cpu:.0f} of processors")
            count.check(not too_long(*over, STOPS_WITHIN), f"{name}: went on for {over[0]:.2f} s after its time was over, {over[1]:.2f} of processors")
        watch.stopped = True
        print(f"{time.time() - began:.0f} s, {cpu_seconds(server):.0f} of processors")
    shutil.rmtree(folder, ignore_errors=True)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
