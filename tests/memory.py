"""Works on an array ten times memory_limit and watches the server's anonymous memory: it may exceed the limit by 64 MiB.

    memory.py [LIMIT_MIB]
"""
import sys
import threading
import time

from harness import Count, Server

ALLOWANCE = 64 << 20


class Watch(threading.Thread):
    """Samples the server's anonymous resident memory until stopped."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.stopped = server, 0, False

    def run(self):
        while not self.stopped:
            self.peak = max(self.peak, self.server.peak_anonymous_bytes())
            time.sleep(0.005)

    def take(self):
        peak, self.peak = self.peak, 0
        return peak


def statements(n):
    """What is asked: name, statement, check of the rows (None: any)."""
    half, part = n // 2, n // 4
    return [
        ("create", f"CREATE ARRAY big AS SELECT [i], random(7) AS v, i % 1000 AS k FROM GRID [i => 0 : {n - 1}]", None),
        ("scan", "SELECT count(*), sum(v), min(k), max(k) FROM big", lambda r: r[0][0] == n and abs(r[0][1] / half - 1) < 0.01),
        ("filter", "SELECT count(*) FROM big WHERE v < 0.25", lambda r: abs(r[0][0] / (n / 4) - 1) < 0.01),
        ("group by dimension", "SELECT count(*) FROM (SELECT [i // 1000 AS b], avg(v) AS m FROM big GROUP BY b) AS s WHERE m > 0",
         lambda r: r[0][0] == (n + 999) // 1000),
        ("group by value", "SELECT k, avg(v) FROM big GROUP BY k ORDER BY k", lambda r: len(r) == 1000),
        ("group by many values", "SELECT count(*) FROM (SELECT (v * 1e7)::bigint AS b, count(*) AS c FROM big GROUP BY b) AS s",
         lambda r: r[0][0] > n // 10),
        ("median", "SELECT median(v) FROM big", lambda r: abs(r[0][0] - 0.5) < 0.01),
        ("sort", "SELECT i FROM big ORDER BY v DESC LIMIT 10", lambda r: len(r) == 10),
        ("sort all", "SELECT max(v) FROM (SELECT v FROM big ORDER BY v OFFSET 10) AS s", lambda r: r[0][0] > 0.99),
        ("join", "SELECT count(*) FROM big AS a JOIN big AS b ON a.i = b.i WHERE a.v = b.v", lambda r: r[0][0] == n),
        ("window in order", "SELECT count(*), sum(d) FROM (SELECT v - lag(v) OVER (ORDER BY i) AS d FROM big) AS s",
         lambda r: r[0][0] == n and abs(r[0][1]) < 1),
        ("window, one partition", "SELECT max(a), min(b), max(c), max(l) FROM (SELECT row_number() OVER w AS a, ntile(4) OVER w AS b, "
         "count(*) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS c, last_value(v) OVER (ORDER BY v ROWS "
         f"BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS l FROM big[0 : {part - 1}] WINDOW w AS (ORDER BY v)) AS s",
         lambda r: r[0][:3] == (part, 1, part) and r[0][3] > 0.99),
        ("window, long frame", f"SELECT min(a), max(a), max(b) FROM (SELECT count(*) OVER w AS a, max(v) OVER w AS b FROM big WINDOW w AS "
         f"(ORDER BY i ROWS BETWEEN {half // 2} PRECEDING AND {half // 2} FOLLOWING)) AS s",
         lambda r: r[0][:2] == (half // 2 + 1, half // 2 * 2 + 1)),
        ("window, partitions", "SELECT count(*), max(r) FROM (SELECT rank() OVER (PARTITION BY k ORDER BY v) AS r, avg(v) OVER (PARTITION BY k) "
         f"AS m, median(v) OVER (PARTITION BY k) AS d FROM big[0 : {part - 1}]) AS s WHERE abs(m - 0.5) < 0.1 AND abs(d - 0.5) < 0.2",
         lambda r: r[0] == (part, (part + 999) // 1000)),
        ("distinct on", f"SELECT count(*), sum(i) FROM (SELECT DISTINCT ON (k) k, i FROM big[0 : {part - 1}] ORDER BY k, i) AS s",
         lambda r: r[0] == (1000, 499500)),
        ("in ten million", "SELECT count(*) FROM big[* : 999999] WHERE i * 10 IN (SELECT i * 2 FROM big[* : 9999999])",
         lambda r: r[0][0] == min(10**6, n)),
        ("by key", "SELECT sum((SELECT max(b.v) FROM big[* : 999999] AS b WHERE b.i = a.i)) / sum(v) FROM big[* : 999999] AS a",
         lambda r: r[0][0] == 1),
        ("except", "SELECT count(*) FROM (SELECT i FROM big[* : 999999] EXCEPT ALL SELECT i * 2 FROM big[* : 999999]) AS s",
         lambda r: r[0][0] == 500000),
        ("join by value", f"SELECT count(*), sum(a.k) = sum(b.k) FROM big[i => 0 : {n // 8 - 1}] AS a JOIN big[i => 0 : {n // 16 - 1}] AS b ON a.v = b.v",
         lambda r: r[0] == (n // 16, True)),
        ("full join by value", f"SELECT count(*), count(a.k), count(b.k) FROM big[i => 0 : {n // 16 - 1}] AS a "
         f"FULL JOIN big[i => {n // 32} : {n // 8 - 1}] AS b ON a.v = b.v", lambda r: r[0] == (n // 8, n // 16, n // 8 - n // 32)),
        ("asof join", f"SELECT count(*), count(b.v), bool_and(b.v <= a.v) FROM big[i => 0 : {n // 16 - 1}] AS a ASOF JOIN big[i => 0 : {n // 16 - 1}] AS b "
         "ON a.v >= b.v", lambda r: r[0] == (n // 16, n // 16, True)),
        ("rolling mean", "SELECT max(m), count(*) FROM (SELECT [i], avg(v) OVER [#i - 50 : #i + 50] AS m FROM big) AS s",
         lambda r: 0.5 < r[0][0] < 0.8 and r[0][1] == n),
        ("long rolling mean", "SELECT max(m), min(m) FROM (SELECT [i], avg(v) OVER ([#i - 500000 : #i] EDGE NULL) AS m FROM big) AS s",
         lambda r: 0.49 < r[0][1] < r[0][0] < 0.51),
        ("cumulative sum", "SELECT max(m), sum(k) FROM (SELECT [i], sum(v) OVER [* : i] AS m, k FROM big) AS s",
         lambda r: abs(r[0][0] / half - 1) < 0.01),
        ("cumulative maximum", "SELECT max(m), min(m) FROM (SELECT [i], max(k) OVER [i : *] AS m FROM big) AS s", lambda r: r[0][0] == 999),
        ("rewrite", "UPDATE big SET v = v + 1", None),
        ("after the rewrite", "SELECT min(v) >= 1 FROM big", lambda r: r[0][0] is True),
        ("copy of it", "CREATE ARRAY other AS SELECT [i], v * 2 AS w FROM big WHERE k < 500", None),
        ("delete", "DELETE FROM big WHERE k >= 500", None),
        ("three dimensions", f"CREATE ARRAY cube AS SELECT [x], [y], [z], random(3) AS v"
         f" FROM GRID [x => 0 : 99, y => 0 : 99, z => 0 : {n * 2 // 10000 - 1}]", None),
    ] + [
        (f"cumulative sum along {d}", f"SELECT max(m) FROM (SELECT [*], sum(v) OVER [* : {d}] AS m FROM cube) AS s", lambda r: r[0][0] > 40)
        for d in "xyz"
    ] + [
        ("rolling mean of a cube", "SELECT max(m) FROM (SELECT [*], avg(v) OVER [#x - 2 : #x + 2, #y - 2 : #y + 2, #z - 30 : #z + 30] AS m FROM cube) AS s",
         lambda r: 0.5 < r[0][0] < 0.8),
        ("after the delete", "SELECT count(*) FROM big", lambda r: abs(r[0][0] / half - 1) < 0.01),
    ]


def main():
    limit = (int(sys.argv[1]) if len(sys.argv) > 1 else 64) << 20
    n = limit * 10 // 16     # two columns of 8 bytes
    count = Count()
    with Server(sets=[f"memory_limit={limit}B", "file_root=/tmp"]) as server, server.connect() as conn:
        watch = Watch(server)
        watch.start()
        for name, sql, good in statements(n):
            started = time.time()
            rows = []
            try:
                cursor = conn.execute(sql)
                rows = cursor.fetchall() if cursor.description else []
                problem = None if good is None or good(rows) else f"answered {rows[:3]}"
            except Exception as e:  # whatever the server or the driver says is the test's result
                problem = str(e).splitlines()[0]
            peak = watch.take()
            print(f"{name:22} {time.time() - started:6.2f} s   peak {peak >> 20:4} MiB of {limit >> 20}")
            count.check(problem is None, f"{name}: {problem}")
            count.check(peak <= limit + ALLOWANCE, f"{name}: {peak >> 20} MiB, limit {limit >> 20}")
        watch.stopped = True
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
