#!/usr/bin/python3
"""The same random window queries to PostgreSQL 15 and to Tessera: partitions, orders with ties and NULLs, frames of every
kind with every exclusion, all functions, several windows in one SELECT. TESSERA_SEED=… repeats a run."""
import math
import os
import random
import sys

import psycopg

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, Text, seed  # noqa: E402
from postgres_test import Postgres  # noqa: E402

COLUMNS = {"id": "integer", "g": "integer", "h": "text", "k": "integer", "a": "smallint", "b": "bigint", "x": "real",
           "y": "double precision", "s": "text", "d": "date", "ts": "timestamp", "f": "boolean"}
NUMBERS = ["k", "a", "b", "x", "y", "id"]
# What differs in type or meaning (NUMERIC, NaN) is cast, or left out.
AGGREGATES = ["count(*)", "count({v})", "sum({i})::float8", "sum(y)", "sum(x)::float8", "avg({n}::float8)", "min({v})", "max({v})",
              "bool_and(f)", "bool_or(f)", "stddev_samp({n}::float8)", "var_pop({n}::float8)", "corr(y, k::float8)", "regr_slope(y, k::float8)",
              "covar_pop(k::float8, y)", "string_agg(s, ',')", "bit_xor(k)", "bit_or(a)"]
FUNCTIONS = ["row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile({small})", "ntile(k + 20)", "lag({v})",
             "lead({v})", "lag({v}, {any})", "lead({v}, {any})", "lag({i}, {any}, {i})", "lead(s, {any}, 'none')", "lag(y, k, -1)",
             "lead(d, a::integer % 5)", "first_value({v})", "last_value({v})", "nth_value({v}, {small})", "nth_value({v}, k + 12)"]


def rows(rng, n):
    """Tuples of literals; `id` tells the rows apart."""
    def some(values, nulls=0.12):
        return "NULL" if rng.random() < nulls else str(rng.choice(values))
    out = []
    groups = [rng.randrange(1, 5), rng.randrange(1, 4)]
    for i in range(n):
        out.append((str(i), some(range(groups[0])), some([f"'{c}'" for c in "pqr"[:groups[1]]]), some(range(-10, 11)),
                    some(range(0, 30)), some([-5, 0, 3, 10 ** 12, 7]), some([0.5, 1.5, -2.25, 100, 0]),
                    some([round(rng.uniform(-50, 50), 1), 1e4, 0.1, -0.25]),
                    some([f"'{w}'" for w in ("", "abc", "abcdefghij", "abcdefghik", "z", "žlu")]),
                    some([f"'2020-{m:02}-{d:02}'" for m in (1, 2, 3) for d in (1, 15, 28)]),
                    some([f"'2020-01-{d:02} {h:02}:30:00'" for d in (1, 2, 5) for h in (0, 12, 23)]), some(["true", "false"])))
    return out


class Query:
    def __init__(self, rng):
        self.rng = rng

    def fill(self, text):
        r = self.rng
        return text.format(v=r.choice(list(COLUMNS)[1:-1]), i=r.choice(["k", "a", "id"]), n=r.choice(NUMBERS), small=r.randrange(1, 6), any=r.randrange(-3, 5))

    def offset(self, key):
        """An offset for RANGE over that key."""
        r = self.rng
        if key in ("k", "a", "b", "id"):
            return str(r.choice([0, 1, 2, 3, 10, 100]))
        if key in ("x", "y"):
            return r.choice(["0.5", "0", "1.25", "10.0", "1e9"]) + "::float8"
        return "interval '" + r.choice(["0 days", "1 day", "2 days", "1 month", "20 days 12 hours", "13 hours"]) + "'"

    def frame(self, order):
        r = self.rng
        unit = r.choice(["ROWS", "ROWS", "RANGE", "RANGE", "GROUPS"])
        ranged = len(order) == 1 and order[0][0] in ("k", "a", "b", "id", "x", "y", "d", "ts")
        if unit == "GROUPS" and not order:
            unit = "ROWS"
        bounds = [(0, "UNBOUNDED PRECEDING"), (2, "CURRENT ROW"), (4, "UNBOUNDED FOLLOWING")]
        if unit != "RANGE" or ranged:
            for _ in range(2):
                n = self.offset(order[0][0]) if unit == "RANGE" else str(r.choice([0, 1, 2, 3, 7, 40]))
                bounds += [(1, f"{n} PRECEDING"), (3, f"{n} FOLLOWING")] * 2
        start = r.choice([b for b in bounds if b[0] < 4])
        end = r.choice([b for b in bounds if b[0] > 0 and b[0] >= start[0]])
        text = f"{unit} BETWEEN {start[1]} AND {end[1]}"
        if end[0] == 2 and r.random() < 0.3:
            text = f"{unit} {start[1]}"
        return text + r.choice(["", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS"])

    def window(self, total):
        """The text in OVER's parentheses. total: the order leaves no ties, as functions that tell rows apart want it."""
        r = self.rng
        partition = r.sample(["g", "h", "(k + 30) % 3", "f", "g + 1"], r.choice([0, 0, 1, 1, 2]))
        order = [(c, r.choice(["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]))
                 for c in r.sample(["g", "h", "k", "a", "b", "x", "y", "s", "d", "ts", "f", "id"], r.choice([0, 1, 1, 1, 2]))]
        if total and not any(c == "id" for c, _ in order):
            order.append(("id", r.choice(["", " DESC"])))
        parts = []
        if partition:
            parts.append("PARTITION BY " + ", ".join(partition))
        if order:
            parts.append("ORDER BY " + ", ".join(c + how for c, how in order))
        if r.random() < 0.75:
            parts.append(self.frame(order))
        return " ".join(parts)

    def call(self):
        r = self.rng
        if r.random() < 0.5:
            text = self.fill(r.choice(FUNCTIONS))
            untied = text.split("(")[0] not in ("rank", "dense_rank", "percent_rank", "cume_dist")
            return text, untied
        text = self.fill(r.choice(AGGREGATES))
        if r.random() < 0.3:
            cut = "::float8" if text.endswith("::float8") else ""
            text = text[:len(text) - len(cut)]
            return (text + r.choice([" FILTER (WHERE f)", " FILTER (WHERE k > 0)", " FILTER (WHERE g IS NULL)"]), True, cut)
        return text, True

    def target(self):
        text, untied, *cut = self.call()
        if not cut and text.endswith(")::float8") and not text.startswith(("avg", "stddev", "var", "corr", "regr", "covar")):
            text, cut = text[:-8], ["::float8"]
        over = f"{text} OVER ({self.window(untied)})"
        return f"({over}){cut[0]}" if cut and cut[0] else over

    def text(self):
        r = self.rng
        targets = [self.target() for _ in range(r.choice([1, 1, 2, 3, 4]))]
        where = r.choice(["", "", "", "WHERE k > 0", "WHERE id % 3 <> 1", "WHERE f", "WHERE id < 0"])
        return f"SELECT id, {', '.join(targets)} FROM w {where} ORDER BY id"


# Written out: names of windows, windows in ORDER BY and expressions, over groups, in sub-queries, DISTINCT ON.
FIXED = [
    "SELECT id, sum(k) OVER w1, rank() OVER (w1 ORDER BY id) FROM w WINDOW w1 AS (PARTITION BY g) ORDER BY id",
    "SELECT id, sum(k) OVER w2 FROM w WINDOW w1 AS (PARTITION BY g), w2 AS (w1 ORDER BY id ROWS 2 PRECEDING) ORDER BY id",
    "SELECT id, count(*) OVER (w1 ROWS UNBOUNDED PRECEDING) FROM w WINDOW w1 AS (ORDER BY id DESC) ORDER BY id",
    "SELECT id FROM w ORDER BY row_number() OVER (ORDER BY id DESC)",
    "SELECT id FROM w ORDER BY rank() OVER (ORDER BY k), id DESC LIMIT 7",
    "SELECT id, k - lag(k) OVER (ORDER BY id) AS change, k * 2 > sum(k) OVER (PARTITION BY g) FROM w ORDER BY id",
    "SELECT g, sum(k), rank() OVER (ORDER BY sum(k) DESC, g) FROM w GROUP BY g ORDER BY g",
    "SELECT g, h, count(*), sum(count(*)) OVER (PARTITION BY g ORDER BY h)::bigint FROM w GROUP BY g, h ORDER BY g, h",
    "SELECT g, row_number() OVER (ORDER BY g) FROM w GROUP BY g HAVING count(*) > 2 ORDER BY g",
    "SELECT sum(k) OVER () FROM w GROUP BY k ORDER BY 1",
    "SELECT q.id, q.n FROM (SELECT id, g, row_number() OVER (PARTITION BY g ORDER BY id) AS n FROM w) AS q WHERE q.n <= 2 AND q.g > 0 ORDER BY q.id",
    "SELECT q.g, max(q.n) FROM (SELECT g, count(*) OVER (PARTITION BY g) AS n FROM w) AS q GROUP BY q.g ORDER BY q.g",
    "SELECT DISTINCT g, count(*) OVER (PARTITION BY g) FROM w ORDER BY g",
    "SELECT count(*) OVER (), 1 AS one", "SELECT row_number() OVER ()",
    "SELECT id, CASE WHEN row_number() OVER (ORDER BY id) % 2 = 0 THEN 'even' ELSE 'odd' END FROM w ORDER BY id",
    "SELECT DISTINCT ON (g) g, id FROM w ORDER BY g, id DESC", "SELECT DISTINCT ON (g, h) id, g, h FROM w ORDER BY g, h, id",
    "SELECT DISTINCT ON (g) id FROM w ORDER BY g DESC NULLS LAST, k, id LIMIT 3", "SELECT DISTINCT ON ((k + 30) % 3) (k + 30) % 3, id FROM w ORDER BY (k + 30) % 3, id",
    "SELECT DISTINCT ON (g, h) g, h, k, id FROM w ORDER BY h, g, k DESC, id", "SELECT DISTINCT ON (1) g, id FROM w ORDER BY 1, 2",
    "SELECT DISTINCT ON (n) g AS n, id FROM w ORDER BY n, id", "SELECT count(*) FROM (SELECT DISTINCT ON (g) g, id FROM w ORDER BY g, id) AS q",
    "SELECT q.g FROM (SELECT DISTINCT ON (g) g, id FROM w ORDER BY g, id) AS q ORDER BY q.id", "SELECT DISTINCT ON (g) g, count(*) FROM w GROUP BY g, h ORDER BY g, count(*) DESC",
    "SELECT DISTINCT ON (g) g, row_number() OVER (ORDER BY id) FROM w ORDER BY g, id",
    "SELECT id, sum(k) OVER (ORDER BY id) + sum(a) OVER (ORDER BY id DESC) FROM w ORDER BY 2 NULLS FIRST, 1",
]

# Frames and partitions of more rows than are looked at together, or than the states of a frame's rows are kept of.
LONG = 60000
LONG_FRAMES = [f"SELECT sum(a)::float8, sum(hash)::float8 FROM (SELECT sum(v) OVER w AS a, id::bigint * (count(*) FILTER (WHERE v % 7 = 0) OVER w) % 1000003 AS hash "
               f"FROM long WINDOW w AS ({w})) AS q" for w in (
    "ORDER BY id ROWS 20000 PRECEDING", "ORDER BY id ROWS BETWEEN 15000 PRECEDING AND 15000 FOLLOWING", "PARTITION BY k ORDER BY v, id ROWS 12000 PRECEDING",
    "ORDER BY v RANGE BETWEEN 2000 PRECEDING AND 3000 FOLLOWING", "ORDER BY v GROUPS BETWEEN 1500 PRECEDING AND 100 PRECEDING", "ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ORDER BY id ROWS BETWEEN 5000 FOLLOWING AND 30000 FOLLOWING", "PARTITION BY k", "")]
LONG_FRAMES += [
    "SELECT count(*), sum(a)::float8, sum(b)::float8, sum(c)::float8 FROM (SELECT lag(v, 17000) OVER (ORDER BY id) AS a, nth_value(v, 20000) OVER (ORDER BY id) AS b, "
    "last_value(id) OVER (PARTITION BY k ORDER BY v, id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) % 7 AS c FROM long) AS q WHERE c < 100",
    "SELECT sum(a * id)::float8, sum(b * id)::float8, sum(c), sum(d) FROM (SELECT id::bigint, ntile(777) OVER (ORDER BY id DESC) AS a, dense_rank() OVER (ORDER BY v) AS b, "
    "percent_rank() OVER (PARTITION BY k ORDER BY s) AS c, cume_dist() OVER (ORDER BY s, v) AS d FROM long) AS q",
    "SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY s DESC, id) AS n FROM long) AS q WHERE n % 5000 = 1 ORDER BY id",
]

ERRORS = [
    "SELECT row_number() FROM w", "SELECT id FROM w WHERE row_number() OVER () = 1", "SELECT count(*) FROM w GROUP BY rank() OVER ()",
    "SELECT g FROM w GROUP BY g HAVING rank() OVER () = 1", "SELECT sum(rank() OVER ()) FROM w", "SELECT rank() OVER (ORDER BY rank() OVER ()) FROM w",
    "SELECT sum(k) OVER nothing FROM w", "SELECT sum(k) OVER (nothing) FROM w", "SELECT abs(k) OVER () FROM w", "SELECT count(DISTINCT k) OVER () FROM w",
    "SELECT string_agg(s, ',' ORDER BY s) OVER () FROM w", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY y) OVER () FROM w",
    "SELECT row_number() FILTER (WHERE f) OVER () FROM w", "SELECT lag() OVER () FROM w", "SELECT lag(k, 1, 2, 3) OVER () FROM w", 
    "SELECT ntile() OVER () FROM w", "SELECT ntile(0) OVER () FROM w", "SELECT ntile(-1) OVER () FROM w", "SELECT nth_value(k, 0) OVER () FROM w", "SELECT lag(k, 'x') OVER () FROM w",
    "SELECT lag(k, 1, d) OVER () FROM w", "SELECT sum(k) OVER (ROWS -1 PRECEDING) FROM w", "SELECT sum(k) OVER (ROWS BETWEEN CURRENT ROW AND -1 FOLLOWING) FROM w",
    "SELECT sum(k) OVER (ROWS NULL PRECEDING) FROM w", "SELECT sum(k) OVER (ORDER BY k RANGE NULL PRECEDING) FROM w", "SELECT sum(k) OVER (ORDER BY k RANGE -1 PRECEDING) FROM w",
    
    "SELECT sum(k) OVER (ROWS k PRECEDING) FROM w", "SELECT sum(k) OVER (ROWS true PRECEDING) FROM w", "SELECT sum(k) OVER (ROWS UNBOUNDED FOLLOWING) FROM w",
    "SELECT sum(k) OVER (ROWS BETWEEN CURRENT ROW AND UNBOUNDED PRECEDING) FROM w", "SELECT sum(k) OVER (ROWS BETWEEN CURRENT ROW AND 1 PRECEDING) FROM w",
    "SELECT sum(k) OVER (ROWS BETWEEN 1 FOLLOWING AND CURRENT ROW) FROM w", "SELECT sum(k) OVER (ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING) FROM w", "SELECT sum(k) OVER (ROWS 1 FOLLOWING) FROM w",
    "SELECT sum(k) OVER (GROUPS 1 PRECEDING) FROM w", "SELECT sum(k) OVER (GROUPS CURRENT ROW) FROM w", "SELECT sum(k) OVER (RANGE 1 PRECEDING) FROM w", "SELECT sum(k) OVER (ORDER BY k, g RANGE 1 PRECEDING) FROM w",
    "SELECT sum(k) OVER (ORDER BY s RANGE 1 PRECEDING) FROM w", "SELECT sum(k) OVER (ORDER BY d RANGE 1 PRECEDING) FROM w", "SELECT sum(k) OVER (ORDER BY k RANGE interval '1 day' PRECEDING) FROM w",
    "SELECT sum(k) OVER (ORDER BY k RANGE 1.5::float8 PRECEDING) FROM w", "SELECT sum(k) OVER (w1 PARTITION BY h) FROM w WINDOW w1 AS (PARTITION BY g)",
    "SELECT sum(k) OVER (w1 ORDER BY h) FROM w WINDOW w1 AS (ORDER BY g)", "SELECT sum(k) OVER (w1) FROM w WINDOW w1 AS (ORDER BY g ROWS 1 PRECEDING)",
    "SELECT sum(k) OVER w1 FROM w WINDOW w1 AS (w2), w2 AS (ORDER BY g)", "SELECT sum(k) OVER w1 FROM w WINDOW w1 AS (w1)",
    "SELECT sum(k) OVER w1 FROM w WINDOW w1 AS (ORDER BY g), w1 AS (ORDER BY h)", "SELECT k, sum(id) OVER () FROM w GROUP BY k", "SELECT sum(nothing) OVER () FROM w", "SELECT sum(k) OVER (PARTITION BY nothing) FROM w",
    "SELECT sum(s) OVER () FROM w", "SELECT sum(k) OVER (ORDER BY 1, nothing) FROM w", "SELECT DISTINCT ON (g) id FROM w ORDER BY id", "SELECT DISTINCT ON (nothing) id FROM w", "SELECT DISTINCT ON (5) id FROM w",
    "SELECT DISTINCT ON (g) g, id FROM w ORDER BY id, g", "UPDATE w SET k = row_number() OVER ()", "DELETE FROM w WHERE rank() OVER () = 1", "SELECT id FROM w LIMIT row_number() OVER ()",
]


def ask(conn, sql):
    try:
        cur = conn.execute(sql)
        return (cur.fetchall() if cur.description else []), cur.description
    except psycopg.Error as e:
        return f"ERROR {e.sqlstate}", str(e)


def near(got, want, oid):
    if got == want or got is None or want is None or oid not in (700, 701):
        return got == want
    x, y = float(got), float(want)
    if math.isnan(x) or math.isnan(y) or math.isinf(x) or math.isinf(y):
        return got == want
    # PostgreSQL takes values out of running sums, which leaves their rounding errors behind.
    return abs(x - y) <= 1e-9 * max(abs(x), abs(y)) + 1e-5


def compare(count, pg, ours, sql):
    want, columns = ask(pg, sql)
    got, why = ask(ours, sql)
    if isinstance(want, str) or isinstance(got, str):
        if want == "ERROR 22008" or want == "ERROR 22003":
            return  # where calendars and numbers end is not the same
        count.check(got == want, f"{sql}\n  got    {got} {why if isinstance(got, str) else ''}\n  wanted {want} {columns if isinstance(want, str) else ''}")
        return
    oids = [d.type_code for d in columns]
    bad = [(p, q) for p, q in zip(got, want) if not all(near(a, b, t) for a, b, t in zip(p, q, oids))]
    if count.check(len(got) == len(want) and not bad, f"{sql}\n  got    {[b[0] for b in bad][:4]}\n  wanted {[b[1] for b in bad][:4]}"):
        count.equal([d.type_code for d in why], oids, f"types of {sql}")


def long_extremes(count, ours):
    """What PostgreSQL works out anew for each row: against a queue, and plain aggregates of some frames, to the bit."""
    rows = ours.execute("SELECT v, s FROM long ORDER BY id").fetchall()
    v, s = [int(r[0]) for r in rows], [r[1] for r in rows]
    for before, after in ((20000, 0), (11000, 1000), (3, 30000), (17, 0)):
        frame = f"OVER (ORDER BY id ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING)"
        got = ours.execute(f"SELECT min(v) {frame}, max(s) {frame}, sum(x) {frame}, stddev(x) {frame}, argmax(x, id) {frame}, histogram(x, 0, 1500, 400) {frame} "
                           "FROM (SELECT id, v, s, v / 7.0 - 1e-9 * id AS x FROM long) AS q ORDER BY id").fetchall()
        wanted = [(str(min(v[lo:hi])), max(s[lo:hi])) for lo, hi in ((max(0, i - before), i + after + 1) for i in range(0, LONG, 997))]
        count.equal([g[:2] for g in got[::997]], wanted, f"min and max of {frame}")
        for i in range(0, LONG, 9973):
            plain = ours.execute("SELECT min(v), max(s), sum(x), stddev(x), argmax(x, id), histogram(x, 0, 1500, 400) FROM (SELECT id, v, s, v / 7.0 - 1e-9 * id AS x FROM long) "
                                 f"AS q WHERE id BETWEEN {i - before} AND {i + after}").fetchone()
            count.equal(got[i], plain, f"row {i} of {frame}")


def main():
    count = Count()
    n_queries = int(sys.argv[1]) if len(sys.argv) > 1 else 800
    rng = random.Random(seed())
    with Postgres() as pg, Server() as server:
        ours = server.connect()
        for conn in (pg, ours):
            for oid in range(16, 3000):
                conn.adapters.register_loader(oid, Text)
            conn.execute("CREATE TABLE w (" + ", ".join(f"{c} {t}" for c, t in COLUMNS.items()) + ")")
        for i in range(n_queries):
            if i % 100 == 0:
                data = rows(rng, rng.choice([0, 1, 2, 17, 40, 40, 90, 200]))
                for conn in (pg, ours):
                    conn.execute("TRUNCATE w")
                    if data:
                        conn.execute("INSERT INTO w VALUES " + ", ".join("(" + ", ".join(r) + ")" for r in data))
                for sql in FIXED:
                    compare(count, pg, ours, sql)
            compare(count, pg, ours, Query(rng).text())
        for conn in (pg, ours):
            conn.execute("CREATE TABLE long (id integer, k integer, v integer, s text)")
            conn.execute(f"INSERT INTO long SELECT g, (g::bigint * 7919 % 3)::integer, (g::bigint * g % 10007)::integer, "
                         f"(g::bigint * 104729 % 5003)::text FROM generate_series(0, {LONG - 1}) AS g")
        for sql in LONG_FRAMES:
            compare(count, pg, ours, sql)
        long_extremes(count, ours)
        pg.execute("INSERT INTO w (id, k) VALUES (1000, 1), (1001, 2)")
        ours.execute("INSERT INTO w (id, k) VALUES (1000, 1), (1001, 2)")
        for sql in ERRORS:
            want = ask(pg, sql)
            count.check(isinstance(want[0], str), f"PostgreSQL refuses {sql}")
            compare(count, pg, ours, sql)
        ours.close()
        pg.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
