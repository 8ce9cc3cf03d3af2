#!/usr/bin/python3
"""Sums along axes of random arrays, of numbers of all sizes: axes_test.py [arrays, default 60].

Groups by dimensions, parts of them, and what comes again along them, must have the bits that groups by value have (which are summed
cell by cell), and those of the exact sum where the numbers are of one size; whatever the workers, tiles and memory.
A failure can be repeated with TESSERA_SEED=…"""
import math
import os
import random
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

NAMES = "xyz"
KINDS = {   # SQL of a value, of the cell's number n; and whether the exact sum is asked for
    "decimal": ("round(250 + 20 * random(1), 2)", True),
    "around zero": ("(random(1) - 0.5) ^ 3", True),
    "zeros first": ("CASE WHEN n < 700 THEN 0 ELSE random(1) - 0.5 END", True),
    "growing": ("(random(1) - 0.5) * 2.0 ^ (n % 40)", True),
    "large": ("(random(1) - 0.5) * 1e30", True),
    "tiny": ("(random(1) - 0.5) * 1e-300", True),
    "odd": ("CASE WHEN random(2) < 0.002 THEN 'nan'::double WHEN random(3) < 0.0005 THEN 'inf' WHEN random(4) < 0.0005 THEN '-inf' ELSE random(1) END",
            False),
    "nan": ("CASE WHEN random(2) < 0.01 THEN 'nan'::double ELSE random(1) - 0.5 END", False),
    "two sizes": ("CASE WHEN n % 1000 = 999 THEN 1e25 ELSE 1 END * (random(1) - 0.5)", False),
    "all sizes": ("(random(1) - 0.5) * 10.0 ^ (n % 300 - 150)", False),
    "holes": ("CASE WHEN n % 401 = 0 THEN NULL ELSE random(1) * 100 END", True),
}


def bits(x):
    if x is None:
        return None
    return "nan" if x != x else struct.pack("<d", x)


def make(conn, rng, kind, real):
    shape = [rng.choice([1, 3, 7, 8, 31, 33, 100]) for _ in range(rng.randint(1, 3))]
    if len(shape) == 1 or rng.random() < 0.2:
        shape[rng.randrange(len(shape))] = rng.choice([1000, 3001])
    while math.prod(shape) > 40000:
        shape[shape.index(max(shape))] //= 3
    lows = [rng.choice([0, 0, 5, -4]) for _ in shape]
    names = NAMES[:len(shape)]
    dims = ", ".join(f"{d} BIGINT DIMENSION [{lo} : {lo + n - 1}] TILE {rng.choice([n, n, min(n, 8), min(n, 33)])}" for d, lo, n in zip(names, lows, shape))
    conn.execute("DROP ARRAY IF EXISTS a")
    conn.execute(f"CREATE ARRAY a ({dims}, v {'REAL' if real else 'DOUBLE'}, {', '.join(f'{d}v BIGINT' for d in names)})")
    number = names[0]
    for d, n in zip(names[1:], shape[1:]):
        number = f"({number}) * {n} + {d}"
    gaps = " WHERE n % 777 <> 5" if rng.random() < 0.2 else ""
    inner = ", ".join(f"[{d}]" for d in names)
    grid = ", ".join(f"{d} => {lo} : {lo + n - 1}" for d, lo, n in zip(names, lows, shape))
    conn.execute(f"""INSERT INTO a SELECT {inner}, ({KINDS[kind][0]}){'::real' if real else ''}, {', '.join(names)}
        FROM (SELECT {inner}, abs({number}) AS n FROM GRID [{grid}]) AS g{gaps}""")
    return names, shape, lows


def keys_of(rng, names):
    """Expressions of dimensions, and the same of the attributes that repeat them."""
    by_dim, by_value = [], []
    for d in rng.sample(names, rng.randint(1, len(names))):
        m = rng.choice([1, 2, 7, 24, 100, 1000])
        form = rng.choice(["{0}", "{0}", "{0}", f"{{0}} % {m}", f"({{0}} % {m}) / 3", f"{{0}} / {m}", f"{{0}} % {m} + {{0}} % 3"])
        by_dim.append(form.format(d))
        by_value.append(form.format(d + "v"))
    return by_dim, by_value


def exact(conn, keys):
    """The correctly rounded sums, by key, where there are no special values."""
    groups = {}
    for *key, v in conn.execute(f"SELECT {', '.join(keys)}, v::double FROM a").fetchall():
        if v is not None:
            groups.setdefault(tuple(key), []).append(v)
    return {k: math.fsum(v) for k, v in groups.items()}


def check(conn, count, rng, kind, names, shape):
    by_dim, by_value = keys_of(rng, names)
    # Selected attributes' keys come as rows of values; those of dimensions likewise, without brackets.
    ask = "SELECT {0}, sum(v), avg(v), count(v), min(v), max(v), count(*) FROM a GROUP BY {0}"
    simple = "SELECT {0}, sum(v), avg(v) FROM a GROUP BY {0}"
    region = rng.choice(["", f"[{names[0]} => 1 : *]"])
    n = len(by_dim)
    for sql in (ask, simple):
        table = {}
        for form, keys in (("dim", by_dim), ("value", by_value)):
            text = sql.format(", ".join(keys)).replace("FROM a", "FROM a" + region)
            for settings in ({"max_workers": 1}, {"max_workers": 4}):
                for k, v in settings.items():
                    conn.execute(f"SET {k} = {v}")
                rows = conn.execute(text).fetchall()
                table[form, str(settings)] = sorted((r[:n], [bits(x) if isinstance(x, float) else x for x in r[n:]]) for r in rows)
        first = next(iter(table.values()))
        for who, got in table.items():
            count.equal(got == first, True, f"{kind} {shape} {text} {who}: first difference {next(((a, b) for a, b in zip(got, first) if a != b), None)}")
        if KINDS[kind][1] and not region:
            want = exact(conn, by_value)
            got = {k: v[0] for k, v in first}
            for k, v in want.items():
                count.check(got[k] == bits(v), f"{kind} {shape} {text} at {k}: exact {v}")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    count, rng = Count(), random.Random(seed())
    with Server(sets=["memory_limit=64MB"]) as server:
        conn = server.session()
        for i in range(n):
            kind = rng.choice(list(KINDS))
            real = rng.random() < 0.25 and kind not in ("large", "tiny", "all sizes", "two sizes")
            names, shape, _ = make(conn, rng, kind, real)
            for _ in range(4):
                check(conn, count, rng, kind, names, shape)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
