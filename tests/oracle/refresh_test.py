#!/usr/bin/python3
"""Materialized arrays: incremental refreshes beside whole ones. refresh_test.py [rounds, default 60].

Random sources (fixed, growing and labelled axes, tiles that don't divide them, EMPTY, NULL and NaN), random queries of the kinds that
can be refreshed in part, random changes of the sources, in transactions too. After each change the array that was refreshed
incrementally, the one refreshed at the commit and a copy refreshed as a whole must be the same to the bit, axes included; and a change
of one cell must have written no more tiles than it reaches. A failure can be repeated with the seed that is printed: TESSERA_SEED=…"""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, psycopg, seed  # noqa: E402


class Axis:
    def __init__(self, r, name):
        self.name = name
        self.kind = r.choice(["fixed", "fixed", "grows", "step", "descending", "dates", "texts", "labels"])
        self.n = r.choice([3, 7, 12, 20])
        self.tile = r.choice([2, 3, 4, 5, 8])

    def sql(self):
        n, tile = self.n, f"TILE {self.tile}"
        return {"fixed": f"{self.name} INTEGER DIMENSION [0 : {n - 1}] {tile}",
                "grows": f"{self.name} INTEGER DIMENSION [0 : *] {tile}",
                "step": f"{self.name} DOUBLE DIMENSION [0.5 : {0.5 + 0.25 * (n - 1)} : 0.25] {tile}",
                "descending": f"{self.name} INTEGER DIMENSION [{n - 1} : 0 : -1] {tile}",
                "dates": f"{self.name} DATE DIMENSION {tile}",
                "texts": f"{self.name} TEXT DIMENSION {tile}",
                "labels": f"{self.name} INTEGER DIMENSION ({', '.join(str(k * k) for k in range(n))}) {tile}"}[self.kind]

    def at(self, k):
        """The literal of coordinate number k; past the end where it may grow."""
        return {"fixed": str(k), "grows": str(k), "descending": str(k), "step": str(0.5 + 0.25 * k), "labels": str(k * k),
                "dates": f"DATE '2024-01-01' + {k}", "texts": f"'t{k:03}'"}[self.kind]

    def growing(self):
        return self.kind in ("grows", "dates", "texts")


class Source:
    def __init__(self, r, name, axes):
        self.name, self.axes = name, axes
        self.top = {a.name: r.randrange(1, a.n + 1) if a.growing() else a.n for a in axes}   # coordinates in use

    def create(self):
        return f"CREATE ARRAY {self.name} ({', '.join(a.sql() for a in self.axes)}, v DOUBLE, k INTEGER)"

    def some(self, r, axis, grow=False):
        if grow and axis.growing() and r.random() < 0.5:
            self.top[axis.name] += 1
            return self.top[axis.name] - 1
        return r.randrange(self.top[axis.name])

    def value(self, r):
        v = r.choice(["NULL", "'NaN'", "0", "-1.5", str(r.randrange(100)), repr(r.uniform(-5, 5))])
        return f"{v}, {r.choice(['NULL', str(r.randrange(-9, 9))])}"

    def insert(self, r, n, grow=False):
        cells = {tuple(self.some(r, a, grow) for a in self.axes): self.value(r) for _ in range(n)}
        rows = ", ".join("(" + ", ".join(a.at(k) for a, k in zip(self.axes, at)) + f", {v})" for at, v in cells.items())
        return f"INSERT INTO {self.name} VALUES {rows} ON CONFLICT REPLACE"

    def where(self, r):
        a = r.choice(self.axes)
        one = f"{a.name} = {a.at(self.some(r, a))}"
        all_ = " AND ".join(f"{a.name} = {a.at(self.some(r, a))}" for a in self.axes)
        return r.choice([one, all_, all_, "k > 3"])

    def change(self, r):
        """One statement; whether it may be small."""
        kind = r.choice(["cell", "cell", "cells", "grow", "update", "update", "delete", "emptied", "copy", "wide", "nothing"])
        if kind == "cell":
            return self.insert(r, 1)
        if kind == "cells":
            return self.insert(r, r.choice([3, 30]))
        if kind == "grow":
            return self.insert(r, r.choice([1, 5]), True)
        if kind == "update":
            return f"UPDATE {self.name} SET {r.choice(['v = v + 1', 'k = 2', 'v = NULL', 'v = -v, k = 1'])} WHERE {self.where(r)}"
        if kind == "delete":
            return f"DELETE FROM {self.name} WHERE {self.where(r)}"
        if kind == "emptied":
            return r.choice([f"DELETE FROM {self.name}", f"TRUNCATE {self.name}"]) if r.random() < 0.3 else self.insert(r, 2)
        if kind == "copy":
            dims = ", ".join(f"[{a.name}]" for a in self.axes)
            return f"INSERT INTO {self.name} SELECT {dims}, v * 2 AS v, k FROM {self.name} WHERE {self.where(r)} ON CONFLICT REPLACE"
        if kind == "wide":
            return f"UPDATE {self.name} SET v = coalesce(v, 0) * 1.5"
        return f"UPDATE {self.name} SET v = 1 WHERE k = 1000"


def window(r, a):
    lo, hi = r.choice([(1, 1), (2, 0), (0, 1), (1, 3)])
    if a.kind in ("fixed", "grows", "descending") and r.random() < 0.3:
        return f"{a.name} - {lo} : {a.name} + {hi}"
    return r.choice([f"#{a.name} - {lo} : #{a.name} + {hi}"] * 4 + [f"* : #{a.name}"])


def query(r, a, b):
    """A SELECT that can be refreshed in part. a has all axes, b the first ones of a."""
    dims = [x.name for x in a.axes]
    one = r.choice(a.axes)
    brackets = ", ".join(f"[{d}]" for d in dims)
    agg = r.choice(["sum(v)", "avg(v)", "max(v)", "count(*)", "sum(k)", "min(k)", "stddev(v)", "median(v)", "count(v) FILTER (WHERE k > 0)"])
    plain = [x for x in a.axes if x.kind in ("fixed", "grows")]
    numeric = [x for x in a.axes if x.kind in ("fixed", "grows", "descending")]
    kinds = ["map", "filter", "window", "window", "group", "block", "join", "anomaly", "slice", "near", "filled", "transpose", "left"]
    if plain:
        kinds += ["fixed place", "computed"]
    if numeric:
        kinds += ["by coordinate", "computed group"]
    kind = r.choice(kinds)
    over = ", ".join(window(r, x) for x in r.sample(a.axes, r.randrange(1, len(a.axes) + 1)))
    edge = r.choice(["", "", " EDGE NULL", " EDGE NEAREST", " EDGE REFLECT", " EDGE WRAP"])
    if " : " in over and "* :" in over or any(f"{x.name} -" in over.replace("#" + x.name, "") for x in a.axes):
        edge = ""
    if kind == "map":
        return kind, f"SELECT {brackets}, v * 2 + k AS w, k FROM {a.name}"
    if kind == "filter":
        return kind, f"SELECT {brackets}, v FROM {a.name} WHERE {r.choice(['v > 0', 'k IS NOT NULL', 'k BETWEEN -3 AND 5 AND v < 50'])}"
    if kind == "window":
        return kind, f"SELECT {brackets}, {agg} OVER ([{over}]{edge}) AS w FROM {a.name}"
    if kind == "group":
        keys = r.sample(dims, r.randrange(1, len(dims) + 1))
        return kind, f"SELECT {', '.join(f'[{d}]' for d in keys)}, {agg} AS w FROM {a.name} GROUP BY {', '.join(keys)}"
    if kind == "block":
        keys = r.sample(dims, r.randrange(1, len(dims) + 1))
        blocks = ", ".join(f"{d} => {r.choice([2, 3, 5])}" for d in keys)
        return kind, f"SELECT {', '.join(f'[{d}]' for d in keys)}, {agg} AS w FROM {a.name} GROUP BY BLOCK [{blocks}]"
    shared = ", ".join(x.name for x in b.axes)
    if kind == "join":
        return kind, f"SELECT {brackets}, {a.name}.v - {b.name}.v AS w FROM {a.name} JOIN {b.name} USING ({shared})"
    if kind == "left":
        return kind, f"SELECT {brackets}, {a.name}.v AS v, {b.name}.v AS w FROM {a.name} LEFT JOIN {b.name} USING ({shared})"
    if kind == "anomaly":
        key = r.choice(dims)
        return kind, (f"SELECT {brackets}, {a.name}.v - m AS w FROM {a.name} JOIN (SELECT [{key}], avg(v) AS m FROM {a.name} GROUP BY {key}) AS c "
                      f"USING ({key})")
    if kind == "slice":
        return kind, f"SELECT {brackets}, v + 1 AS w FROM {a.name}[{one.name} => * : * : {r.choice([1, 2, 3])}]"
    if kind == "near":
        return kind, f"SELECT {brackets}, v - v[#{one.name} - {r.choice([1, 2])}] AS w FROM {a.name}"
    if kind == "filled":
        return kind, f"SELECT {brackets}, coalesce(v, 0) AS w FROM filled({a.name}, 0)"
    if kind == "transpose":
        return kind, f"SELECT {', '.join(f'[{d}]' for d in reversed(dims))}, v AS w FROM {a.name}"
    if kind == "fixed place":
        x = r.choice(plain)
        return kind, f"SELECT {brackets}, v - v[{x.name} => 0] AS w FROM {a.name}"
    if kind == "by coordinate":
        x = r.choice(numeric)
        return kind, f"SELECT {brackets}, v - v[{x.name} => {x.name} - 1] AS w FROM {a.name}"
    if kind == "computed":
        x = r.choice(plain)
        return kind, f"SELECT [{x.name} // 3 AS m], {agg} AS w FROM {a.name} GROUP BY {x.name} // 3"
    x = r.choice(numeric)
    return kind, f"SELECT [{x.name} % 4 AS m], {agg} AS w FROM {a.name} GROUP BY {x.name} % 4"


def content(conn, name):
    rows = conn.execute(f"SELECT * FROM {name}").fetchall()
    axes = conn.execute("SELECT position, name, type, axis, length FROM sys.dimensions WHERE array_name = %s ORDER BY 1", (name,)).fetchall()
    return sorted(repr(x) for x in rows), axes


def explained(conn, name):
    text = "\n".join(x[0] for x in conn.execute(f"EXPLAIN ANALYZE REFRESH MATERIALIZED ARRAY {name}").fetchall())
    touched = re.search(r"tiles of the result: (\d+) of (\d+)", text)
    return text, touched and (int(touched[1]), int(touched[2]))


def one_round(count, conn, r, seen):
    try:
        compare(count, conn, r, seen)
    finally:
        conn.execute("ROLLBACK")
        conn.execute("DROP ARRAY IF EXISTS a, b CASCADE")


def compare(count, conn, r, seen):
    axes = [Axis(r, n) for n in "xyz"[:r.choice([1, 2, 2, 3])]]
    a = Source(r, "a", axes)
    b = Source(r, "b", axes[:r.randrange(1, len(axes) + 1)])
    for s in (a, b):
        conn.execute(s.create())
        for _ in range(r.randrange(0, 3)):
            conn.execute(s.insert(r, r.choice([5, 60]), True))
    kind, text = query(r, a, b)
    what = f"{a.create()}; {text}"
    made = 0
    try:
        for name, how in (("m", "MANUAL INCREMENTAL"), ("c", "ON COMMIT INCREMENTAL"), ("f", "MANUAL")):
            conn.execute(f"CREATE MATERIALIZED ARRAY {name} REFRESH {how} AS {text}")
            made += 1
    except psycopg.Error as e:
        if not count.check(e.sqlstate in ("0A000", "22023", "42P16", "22003", "42804"), f"{what}: {e.sqlstate} {e}"):
            return
        seen[f"refused {e.sqlstate}"] = seen.get(f"refused {e.sqlstate}", 0) + 1
        count.check(made == 0, f"{what}: refused after {made}")
    if made == 3:
        seen[kind] = seen.get(kind, 0) + 1
        for _ in range(r.randrange(3, 9)):
            changes = [r.choice([a, a, b]).change(r) for _ in range(r.choice([1, 1, 1, 3]))]
            block = len(changes) > 1 or r.random() < 0.2
            try:
                if block:
                    conn.execute("BEGIN")
                for n, change in enumerate(changes):
                    conn.execute(change)
                    if block and n == 0 and r.random() < 0.3:
                        conn.execute("SAVEPOINT s")
                        conn.execute(a.change(r))
                        conn.execute("ROLLBACK TO s")
                if block:
                    conn.execute("COMMIT" if r.random() < 0.8 else "ROLLBACK")
            except psycopg.Error as e:
                if not count.check(e.sqlstate in ("22003",), f"{what}; {changes}: {e.sqlstate} {e}"):
                    return
                conn.execute("ROLLBACK")
            how, touched = explained(conn, "m")
            seen["as a whole" if "as a whole" in how else "in part"] = seen.get("as a whole" if "as a whole" in how else "in part", 0) + 1
            conn.execute("REFRESH MATERIALIZED ARRAY f")
            want = content(conn, "f")
            ok = count.check(content(conn, "m") == want, f"{what}; {changes}: incremental\n{how}\n{content(conn, 'm')}\n{want}")
            ok = count.check(content(conn, "c") == want, f"{what}; {changes}: on commit\n{content(conn, 'c')}\n{want}") and ok
            if not ok:
                return
            if touched and touched[1] >= 8 and len(changes) == 1 and kind in ("map", "filter", "near") and \
                    changes[0].startswith("INSERT") and changes[0].count("(") == 1 and "grown" not in how:
                seen["one cell"] = seen.get("one cell", 0) + 1
                most, of_m = 1, dict(conn.execute("SELECT name, tile FROM sys.dimensions WHERE array_name = 'm'").fetchall())
                for x in axes:                       # a place in the source's tile, and for near one more
                    most *= -(-x.tile // of_m[x.name]) + 1 + (kind == "near")
                count.check(touched[0] <= most, f"{what}; {changes}: {touched}")
            if touched:
                seen["tiles"] = seen.get("tiles", 0) + touched[1]
                seen["touched"] = seen.get("touched", 0) + touched[0]
        _, touched = explained(conn, "m")
        count.check(touched is None or touched[0] == 0, f"{what}: nothing has changed, {touched}")
        for name in "mcf":
            conn.execute(f"CHECK ARRAY {name}")


def main():
    count, r, seen = Count(), random.Random(seed()), {}
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with Server(sets=["memory_limit=128MB"]) as server:
        sessions = [server.session(*s) for s in (["tile_size = '512B'"], ["tile_size = '512B'", "max_workers = 1"],
                                                 ["tile_size = '4kB'", "max_workers = 4"], ["optimizer = off", "tile_size = '512B'"])]
        for k in range(rounds):
            one_round(count, sessions[k % len(sessions)], r, seen)
            if count.failed > 5:
                break
    print(", ".join(f"{k}: {v}" for k, v in sorted(seen.items())))
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
