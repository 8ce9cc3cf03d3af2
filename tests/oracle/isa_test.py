#!/usr/bin/python3
"""The same statements on each instruction set's kernels: arithmetic, comparisons, conditions and aggregates must have the same bits
everywhere, the functions of the vector library are one unit in the last place off at most (3.5 with fast_math)."""
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

SETS = ["baseline", "avx2", "avx512"]
SETUP = [
    # NULLs, zeros of both signs, infinities and NaN among random numbers; rows of 67 fill no block
    """CREATE ARRAY a AS SELECT [i], [j],
         CASE WHEN random(1) < 0.05 THEN NULL WHEN random(2) < 0.02 THEN -0.0 WHEN random(3) < 0.3 THEN 1e12 * (random(4) - 0.5)
              ELSE random(5) * 2 - 1 END AS x,
         random(6) * 6 - 3 AS y, CASE WHEN random(7) < 0.001 THEN 'nan'::double WHEN random(8) < 0.001 THEN 'inf' ELSE random(9) END AS odd,
         (random(10) * 400 - 200)::real AS f, (random(11) * 200 - 100)::tinyint AS b, (random(12) * 2000 - 1000)::integer AS k,
         (random(13) * 1000)::usmallint AS u, random(14) < 0.3 AS flag
       FROM GRID [i => 0 : 298, j => 0 : 66]""",
]
EXACT = [
    "x + y", "x - y", "x * y", "x / y", "x // y", "x % y", "x * y + odd", "x * y - odd", "odd - x * y", "x * 3 + 1", "f * f + f", "1 - f * 2",
    "sqrt(abs(x))", "floor(x)", "round(x)", "-x", "abs(odd)", "sign(x)", "greatest(x, y, odd)", "least(x, odd)", "x::real", "y::integer",
    "k + b", "k * b", "k // 7", "k % 7", "u & 15", "b::double * f", "x > y", "odd >= 0.5", "f <> 0", "NOT (x < y)", "k = b", "flag",
    "CASE WHEN x > 0 THEN y WHEN y > 0 OR k > 0 THEN odd ELSE f END", "CASE WHEN k > 0 AND NOT (u < 500) THEN k END", "coalesce(x, odd, 0)",
    "x IN (0, 1)", "k BETWEEN -5 AND 500", "x IS NULL",
]
AGGREGATES = ["sum", "avg", "min", "max", "stddev", "variance", "count"]
FUNCTIONS = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "exp": np.exp, "ln": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "expm1": np.expm1, "cbrt": np.cbrt,
}


def bits(v):
    if isinstance(v, float):
        return "NaN" if v != v else struct.pack("<d", v)
    return v


def answers(conn, texts):
    out = {}
    for text in texts:
        out[text] = [tuple(map(bits, row)) for row in conn.execute(text).fetchall()]
    return out


def statements():
    for i, e in enumerate(EXACT):
        yield f"SELECT {e} FROM a"
        number = not any(op in e for op in "<>=") and "IS NULL" not in e and "BETWEEN" not in e and "IN (" not in e and e != "flag"
        if number or e.startswith("CASE"):
            yield "SELECT " + ", ".join(f"{agg}({e})" for agg in AGGREGATES) + " FROM a WHERE i < 298"
            yield "SELECT j, " + ", ".join(f"{agg}({e})" for agg in AGGREGATES) + " FROM a GROUP BY j ORDER BY j"
            yield f"SELECT i % 7 AS g, sum({e}) FILTER (WHERE flag), min({e}) FROM a WHERE y > 1 GROUP BY g ORDER BY g"
        else:
            yield f"SELECT count(*), sum(y), max(x) FROM a WHERE {e}"


def ulps(got, want):
    """How far is it from a value of 64 bits' precision?"""
    return float(np.max(np.abs(got - want) / np.spacing(np.abs(want.astype(np.float64)))))


def check_functions(t, conn, isa, fast):
    conn.execute(f"SET fast_math = {'on' if fast else 'off'}")
    most = 3.6 if fast else 1.05
    for name, fn in FUNCTIONS.items():
        arg = "random(21) * 0.98 + 0.01" if name in ("asin", "acos", "ln", "log2", "log10", "log1p") else "random(22) * 12 - 6"
        rows = np.array(conn.execute(f"SELECT {arg} AS v, {name}({arg}) FROM GRID [i => 0 : 4098]").fetchall())
        worst = ulps(rows[:, 1], fn(rows[:, 0].astype(np.longdouble)))
        t.check(worst <= most, f"{isa}, fast_math {fast}: {name} is {worst:.2f} units off")


def check_fast(t, conn):
    """fast_math rounds x * y + z once."""
    conn.execute("SET fast_math = on")
    once = conn.execute("SELECT y * y - 1.5 FROM a").fetchall()
    conn.execute("SET fast_math = off")
    twice = conn.execute("SELECT y * y - 1.5, y FROM a").fetchall()
    t.check(all(got == v * v - 1.5 for got, v in twice), "without fast_math, two roundings")
    t.check(any(a[0] != b[0] for a, b in zip(once, twice)), "with fast_math, one")


def main():
    t = Count()
    print(f"seed {seed()}")
    first = None
    for isa in SETS:
        with Server(sets=[f"instruction_set={isa}"]) as server:
            conn = server.connect(autocommit=True)
            t.equal(conn.execute("SHOW instruction_set").fetchone()[0], isa, "the setting")
            for text in SETUP:
                conn.execute(text)
            got = answers(conn, list(statements()))
            first = first or got
            for text in got:
                same = sorted(map(str, got[text])) == sorted(map(str, first[text]))
                t.check(same, f"{isa} differs from {SETS[0]}: {text}")
            check_functions(t, conn, isa, False)
            check_functions(t, conn, isa, True)
            check_fast(t, conn)
            conn.close()
    t.finish()


main()
