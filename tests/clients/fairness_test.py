"""A client that reads one cell at a time beside thirty-two that scan without end: it waits no longer than beside two, give or take, and all
scans get on.

    fairness_test.py
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, until  # noqa: E402

CELLS, MANY, FEW, READS = 4_000_000, 32, 2, 300


class Scans:
    """Clients that run a scan of some tens of milliseconds over and over."""

    def __init__(self, server, n):
        self.conns = [server.connect() for _ in range(n)]
        self.done, self.over = [0] * n, False
        self.threads = [threading.Thread(target=self.run, args=(k,)) for k in range(n)]

    def run(self, k):
        while not self.over:
            self.conns[k].execute("SELECT sum(sqrt(abs(sin(v) * cos(v * 2))) + exp(-abs(v))), stddev(v * v) FROM big").fetchall()
            self.done[k] += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.over = True
        for t in self.threads:
            t.join()
        for conn in self.conns:
            conn.close()


def late(conn):
    """Milliseconds that all but one in a hundred reads take at most."""
    took = []
    for i in range(READS):
        start = time.perf_counter()
        conn.execute("SELECT v FROM big[i => %b]", (i * 9973 % CELLS,), prepare=True).fetchone()
        took.append((time.perf_counter() - start) * 1e3)
        time.sleep(0.002)
    return sorted(took)[READS * 99 // 100]


def main():
    count = Count()
    with Server(sets=["workers=2"]) as server, server.connect() as conn:
        conn.execute(f"CREATE ARRAY big (i BIGINT DIMENSION [0 : {CELLS - 1}], v DOUBLE NOT NULL)")
        conn.execute(f"INSERT INTO big SELECT [i], random(1) FROM GRID [i => 0 : {CELLS - 1}]")
        late(conn)
        with Scans(server, FEW):
            few = late(conn)
        with Scans(server, MANY) as scans:
            many = late(conn)
            count.check(until(lambda: min(scans.done) >= 2), "every scan gets on")
        print(f"99 of 100 reads within {few:.1f} ms beside {FEW} scans, {many:.1f} ms beside {MANY}; scans done: {min(scans.done)} to {max(scans.done)}")
        count.check(many < 4 * max(few, 5), f"a read waits {many:.1f} ms beside {MANY} scans, {few:.1f} beside {FEW}")
        count.check(max(scans.done) <= 4 * max(2, min(scans.done)), f"scans have equal shares: {sorted(scans.done)}")
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
