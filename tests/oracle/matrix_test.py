#!/usr/bin/python3
"""Matrix products of random arrays against products cell by cell: a @ b with batches and vectors, and sums of products over joins
in many spellings; EMPTY, NULL, NaN and infinities, integers and both floats, axes of labels and axes that overlap in part.

    matrix_test.py [ROUNDS]"""
import math
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
SETTINGS = [["SET max_workers = 1"], ["SET tile_cache = off"], ["SET query_memory_limit = '8MB'"]]
TYPES = ["DOUBLE", "REAL", "BIGINT", "INTEGER"]


class Axis:
    """Coordinates of a dimension and how CREATE ARRAY says them."""

    def __init__(self, rng, n, labels, steps=(1, 1, 2)):
        lo = rng.randint(-5, 5)
        if labels:
            self.coords = [lo + 2 * i + rng.randint(0, 1) for i in range(n)]
            self.text = f"({', '.join(map(str, self.coords))})"
        else:
            step = rng.choice(steps)
            self.coords = [lo + i * step for i in range(n)]
            self.text = f"[{lo} : {self.coords[-1]} : {step}]"

    def part(self, rng):
        """An axis that has some of its coordinates and some others."""
        other = Axis.__new__(Axis)
        lo, hi = self.coords[0] + rng.randint(-2, 2), self.coords[-1] + rng.randint(-2, 2)
        other.coords = list(range(lo, max(hi, lo) + 1))
        other.text = f"[{lo} : {other.coords[-1]}]"
        return other


def value(rng, kind, odd):
    if rng.random() < 0.08:
        return None
    if kind in ("BIGINT", "INTEGER"):
        return rng.randint(-9, 9) if rng.random() < 0.9 else rng.randint(-2**30, 2**30)
    if odd and rng.random() < 0.1:
        return rng.choice([math.nan, math.inf, -math.inf])
    return rng.randint(-64, 64) / 8


def literal(v):
    if v is None:
        return "NULL"
    if isinstance(v, float) and not math.isfinite(v):
        return {"nan": "'NaN'", "inf": "'Infinity'", "-inf": "'-Infinity'"}[str(v)]
    return str(v)


def make(rng, conn, name, dims, column="v"):
    """Creates an array of random density; returns {coordinates: value}."""
    kind, odd = rng.choice(TYPES), rng.random() < 0.3
    density, nulls = rng.choice([1, 1, 0.9, 0.5, 0.03]), rng.random() < 0.5
    conn.execute(f"DROP ARRAY IF EXISTS {name}")
    tile = rng.choice(["", "", " TILE 3", " TILE 7"])
    conn.execute(f"CREATE ARRAY {name} ({', '.join(f'{d} INTEGER DIMENSION {a.text}{tile}' for d, a in dims)}, {column} {kind})")
    cells = {}

    def fill(at, rest):
        if rest:
            for x in rest[0][1].coords:
                fill(at + (x,), rest[1:])
        elif rng.random() < density:
            v = value(rng, kind, odd)
            cells[at] = 1 if v is None and not nulls else v

    fill((), dims)
    if cells:
        rows = ", ".join("(" + ", ".join(map(str, at)) + f", {literal(v)})" for at, v in cells.items())
        conn.execute(f"INSERT INTO {name} VALUES {rows}")
    return cells, kind


def product(left, right, place, spread):
    """{result: value}: place(l, r) is where two cells meet, or None."""
    out, told = {}, set()
    for l, x in left.items():
        for r, y in right.items():
            at = place(l, r)
            if at is None:
                continue
            null = x is None or y is None
            if null == spread:
                told.add(at)
            out[at] = out.get(at, 0) + (0 if null else x * y)
    for at in out:
        if (at in told) == spread:
            out[at] = None
    return out


def same(got, want, kind):
    if set(got) != set(want):
        return False
    for at, w in want.items():
        g = got[at]
        if (g is None) != (w is None):
            return False
        if w is None:
            continue
        if isinstance(w, float) and math.isnan(w):
            if not math.isnan(g):
                return False
        elif isinstance(w, float) and math.isinf(w):
            if g != w:
                return False
        elif kind == "int":
            if g != w:
                return False
        elif abs(g - w) > (1e-4 if kind == "REAL" else 1e-9) * (1 + abs(w)) * 64:
            return False
    return True


def kind_of(a, b):
    if a in ("BIGINT", "INTEGER") and b in ("BIGINT", "INTEGER"):
        return "int"
    return "REAL" if a == b == "REAL" else "DOUBLE"


def check(count, conns, sql, n_dims, want, kind):
    for conn, name in conns:
        try:
            rows = conn.execute(sql).fetchall()
        except Exception as e:  # noqa: BLE001
            count.check(False, f"{name}: {sql}\n  {e}")
            continue
        got = {tuple(r[:n_dims]): r[n_dims] for r in rows}
        ok = len(got) == len(rows) and same(got, want, kind)
        count.check(ok, f"{name}: {sql}\n  got    {sorted(got.items())[:8]}\n  wanted {sorted(want.items(), key=str)[:8]}")


def products(rng, count, conns):
    """a @ b: matrices, vectors, batches."""
    conn = conns[0][0]
    big = 40 if rng.random() < 0.15 else 12
    i, k, j, t = (Axis(rng, rng.randint(1, big), rng.random() < 0.3) for _ in range(4))
    form = rng.choice(["mm", "mm", "mv", "vm", "vv", "batch", "left batch", "right batch"])
    lead = [("t", t)]
    dims_a = {"mm": [("i", i), ("j", j)], "mv": [("i", i), ("j", j)], "vm": [("j", j)], "vv": [("j", j)],
              "batch": lead + [("i", i), ("j", j)], "left batch": lead + [("i", i), ("j", j)],
              "right batch": [("i", i), ("j", j)]}[form]
    dims_b = {"mm": [("j", j), ("k", k)], "mv": [("j", j)], "vm": [("j", j), ("k", k)], "vv": [("j", j)],
              "batch": lead + [("j", j), ("k", k)], "left batch": [("j", j), ("k", k)],
              "right batch": lead + [("j", j), ("k", k)]}[form]
    a, ka = make(rng, conn, "a", dims_a)
    b, kb = make(rng, conn, "b", dims_b)
    names_a, names_b = [d for d, _ in dims_a], [d for d, _ in dims_b]
    out = [d for d in ("t", "i", "k") if d in names_a + names_b]

    def place(l, r):
        x, y = dict(zip(names_a, l)), dict(zip(names_b, r))
        if any(x[d] != y[d] for d in x if d in y):
            return None
        x.update(y)
        return tuple(x[d] for d in out)

    check(count, conns, "SELECT * FROM a @ b", len(out), product(a, b, place, True), kind_of(ka, kb))


SPELLINGS = [
    ("SELECT [a.i], [b.k], sum(a.v * b.w) AS x FROM a JOIN b ON a.j = b.j GROUP BY a.i, b.k", ("i", "k")),
    ("SELECT [b.k], [a.i], sum(b.w * a.v) AS x FROM b JOIN a ON a.j = b.j GROUP BY b.k, a.i", ("k", "i")),
    ("SELECT [a.i], [b.k], sum(b.w * a.v) AS x FROM a, b WHERE a.j = b.j GROUP BY a.i, b.k", ("i", "k")),
    ("SELECT [i], [k], sum(v * w) AS x FROM a NATURAL JOIN b GROUP BY i, k", ("i", "k")),
    ("SELECT i, k, sum(v * w) AS x FROM a NATURAL JOIN b GROUP BY i, k ORDER BY i, k", ("i", "k")),
]


def sums(rng, count, conns):
    """Sums of products over a join, in any spelling, on axes that overlap in part."""
    conn = conns[0][0]
    i, k, j = (Axis(rng, rng.randint(1, 14), rng.random() < 0.3, (1,)) for _ in range(3))
    a, ka = make(rng, conn, "a", [("i", i), ("j", j)] if rng.random() < 0.6 else [("j", j), ("i", i)])
    b, kb = make(rng, conn, "b", [("j", j.part(rng) if rng.random() < 0.5 else j), ("k", k)], "w")
    names_a = [r[0] for r in conn.execute("SELECT name FROM sys.dimensions WHERE array_name = 'a' ORDER BY position").fetchall()]
    sql, out = rng.choice(SPELLINGS)

    def place(l, r):
        x, y = dict(zip(names_a, l)), dict(zip(("j", "k"), r))
        if x["j"] != y["j"]:
            return None
        x.update(y)
        return tuple(x[d] for d in out)

    check(count, conns, sql, 2, product(a, b, place, False), "int" if kind_of(ka, kb) == "int" else kind_of(ka, kb))


def main():
    first = seed()
    count = Count()
    with Server(sets=["workers=4", "memory_limit=64MB"]) as server:
        conns = [(server.connect(prepare_threshold=None), "default")]
        for settings in SETTINGS:
            conn = server.connect(prepare_threshold=None)
            for s in settings:
                conn.execute(s)
            conns.append((conn, settings[0]))
        for k in range(ROUNDS):
            rng = random.Random(first + k)
            (products if rng.random() < 0.6 else sums)(rng, count, conns)
        for conn, _ in conns:
            conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
