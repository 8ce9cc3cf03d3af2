#!/usr/bin/python3
"""Matrix products of random arrays against products cell by cell: a @ b with batches and vectors, and sums of products over joins
in many spellings; EMPTY, NULL, NaN and infinities, integers and both floats, axes of labels and axes that overlap in part.

Then large ones, of several units each, against NumPy, the same to the bit whatever the workers, the cache and the memory.

    matrix_test.py [ROUNDS]"""
import math
import os
import random
import sys

import numpy as np

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


# What a cell is made of: dense, some missing, nearly all missing; %s is the type.
CELLS = ["SELECT [i], [j], random_normal({0})::{1} AS v FROM GRID [i => 0 : {2}, j => 0 : {3}]",
         "SELECT [i], [j], CASE WHEN random({0} + 7) > 0.1 THEN random_normal({0})::{1} END AS v FROM GRID [i => 0 : {2}, j => 0 : {3}] "
         "WHERE random({0} + 8) > 0.2",
         "SELECT [i], [j], random_normal({0})::{1} AS v FROM GRID [i => 0 : {2}, j => 0 : {3}] WHERE random({0} + 9) < 0.002",
         "SELECT [i], [j], random_normal({0})::{1} AS v FROM GRID [i => 0 : {2}, j => 0 : {3}] WHERE i // 300 % 2 = 0 OR j // 300 % 2 = 0",
         "SELECT [i], [j], CASE WHEN i = j THEN 'Infinity' WHEN i = j + 1 THEN 'NaN' ELSE random_normal({0}) END::{1} AS v "
         "FROM GRID [i => 0 : {2}, j => 0 : {3}] WHERE i < 500 OR j < 300"]
MOST_FETCHED = 400_000
SIZES = [(0, 5, 3), (5, 0, 3), (1, 1, 1), (1, 4000, 1), (7, 3, 1), (1, 400, 300), (600, 385, 530), (70, 1100, 300), (1100, 500, 40)]


def fill(conn, name, n, m, k, kind, cells):
    conn.execute(f"DROP ARRAY IF EXISTS {name}")
    last = [x - 1 if x else "*" for x in (n, m)]
    conn.execute(f"CREATE ARRAY {name} (i BIGINT DIMENSION [0 : {last[0]}] TILE 200, j BIGINT DIMENSION [0 : {last[1]}] TILE 150, v {kind})")
    if n and m:
        conn.execute(f"INSERT INTO {name} " + cells.format(k, kind, n - 1, m - 1))


def taken(conn, name, shape):
    """Its values with 0 for EMPTY, which cells exist, and which are NULL."""
    v, there, null = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    rows = conn.execute(f"SELECT i, j, v FROM {name}").fetchall()
    if rows:
        i, j = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        there[i, j] = True
        null[i, j] = [r[2] is None for r in rows]
        v[i, j] = [0 if r[2] is None else r[2] for r in rows]
    return v, there, null


def right(rows, a, b, rtol):
    """Are the rows of a product those of NumPy's? What is not finite is multiplied cell by cell."""
    (x, xt, xn), (y, yt, yn) = a, b
    met = xt.astype(np.float32) @ yt.astype(np.float32) > 0
    told = (xn.astype(np.float32) @ yt.astype(np.float32) + xt.astype(np.float32) @ yn.astype(np.float32)) > 0
    xf, yf = np.where(np.isfinite(x), x, 0), np.where(np.isfinite(y), y, 0)
    want, size = xf @ yf, np.abs(xf) @ np.abs(yf)
    with np.errstate(invalid="ignore"):
        for i, j in zip(*np.nonzero(~np.isfinite(x))):
            want[i] += np.where(yt[j], x[i, j] * y[j], 0)
        for j, k in zip(*np.nonzero(~np.isfinite(y))):
            want[:, k] += np.where(xt[:, j], x[:, j] * y[j, k], 0)
    want[told], size[told] = math.nan, 0
    if len(rows) != met.sum():
        return f"{len(rows)} cells, wanted {met.sum()}"
    if not len(rows):
        return None
    i, k = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    got = np.array([math.nan if r[2] is None else r[2] for r in rows])
    w, null = want[i, k], np.array([r[2] is None for r in rows])
    with np.errstate(invalid="ignore"):
        near = (np.abs(got - w) <= rtol * size[i, k]) | (got == w) | (np.isnan(got) & np.isnan(w))
    near &= met[i, k] & (null == told[i, k])
    bad = np.nonzero(~near)[0]
    return f"{len(bad)} of {len(rows)} cells, first {rows[bad[0]]}, wanted {w[bad[0]]}" if len(bad) else None


# Sums are exact, so they tell whether the cells are the same to the bit; and how many cells are not those across the diagonal.
DIGEST = "SELECT count(*), count(v), sum(v), sum(v * ((i * 7 + k * 3) % 11)), sum(v * (k % 5)) FROM ({}) AS t (i, k, v) WHERE v < 'Infinity'"
TURNED = "WITH g AS (SELECT [i], [k], v FROM ({}) AS t (i, k, v)) SELECT count(*) FROM g AS x JOIN g AS y ON x.i = y.k AND x.k = y.i WHERE x.v IS DISTINCT FROM y.v"


def large(rng, count, conns, size, kind):
    """a @ b and Gram matrices in each spelling; those are symmetric to the bit."""
    n, inner, m = size
    conn = conns[0][0]
    fill(conn, "p", n, inner, rng.randint(1, 99), kind, rng.choice(CELLS))
    fill(conn, "q", inner, m, rng.randint(1, 99), kind, rng.choice(CELLS))
    p, q = taken(conn, "p", (n, inner)), taken(conn, "q", (inner, m))
    turned = tuple(x.T for x in p)
    cases = [("SELECT * FROM p @ transpose(p)", p, turned, n * n), ("SELECT * FROM transpose(p) @ p", turned, p, inner * inner),
             ("SELECT [x.j], [y.j AS k], sum(x.v * y.v) AS v FROM p x JOIN p y ON x.i = y.i GROUP BY x.j, y.j", None, None, inner * inner)]
    if inner and n and m:
        cases.append(("SELECT * FROM p @ q", p, q, n * m))
        cases.append(("SELECT [p.i], [q.j AS k], sum(p.v * q.v) AS v FROM p JOIN q ON p.j = q.i GROUP BY p.i, q.j", None, None, n * m))
    for sql, a, b, cells in cases:
        if cells > 4 * MOST_FETCHED:
            continue
        if a and cells <= MOST_FETCHED:
            wrong = right(conn.execute(sql).fetchall(), a, b, 1e-4 if kind == "REAL" else 1e-12)
            count.check(wrong is None, f"{size} {kind} {sql}: {wrong}")
        first = None
        for c, name in conns:
            digest = c.execute(DIGEST.format(sql)).fetchall()
            first = first or digest
            count.equal(repr(digest), repr(first), f"{size} {kind} {name}: bits of {sql}")
        if "q" not in sql:
            count.equal(conn.execute(TURNED.format(sql)).fetchall(), [(0,)], f"{size} {kind} cells across the diagonal: {sql}")


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
        conns[-1][0].execute("SET query_memory_limit = '32MB'")     # a unit of a product is 4 MB
        for k, size in enumerate(SIZES):
            large(random.Random(first + k), count, conns, size, ("DOUBLE", "REAL")[(first + k) % 2])
        for conn, _ in conns:
            conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
