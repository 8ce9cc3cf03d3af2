#!/usr/bin/python3
"""Compares expressions with NumPy on random arrays: expr_test.py [PATH/expr_oracle]; TESSERA_SEED=… for others."""
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import seed  # noqa: E402

NAMES = {
    "tinyint": np.int8, "smallint": np.int16, "integer": np.int32, "bigint": np.int64,
    "utinyint": np.uint8, "usmallint": np.uint16, "uinteger": np.uint32, "ubigint": np.uint64,
    "real": np.float32, "double": np.float64, "double precision": np.float64, "boolean": np.uint8,
    "date": np.int32, "timestamp": np.int64,
}
INTS = ["tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"]
FLOATS = ["real", "double"]
n_checks = 0


class Oracle:
    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, expr, cols, present=None):
        """cols: (type name, values, valid or None). Gives (type, values, valid) or an SQLSTATE."""
        n = len(cols[0][1])
        w = self.p.stdin
        w.write(f"{expr}\n{n} {len(cols)} {int(present is not None)}\n".encode())
        for name, _, valid in cols:
            w.write(f"{name} {int(valid is not None)}\n".encode())
        if present is not None:
            w.write(present.astype(np.uint8).tobytes())
        for name, values, valid in cols:
            w.write(np.ascontiguousarray(values, NAMES[name]).tobytes())
            if valid is not None:
                w.write(valid.astype(np.uint8).tobytes())
        w.flush()
        head = self.p.stdout.readline().decode().strip()
        if not head:
            raise SystemExit(f"expr_oracle died on {expr}")
        if head.startswith("error"):
            return head.split(" ", 2)[1]
        if "|" not in head:
            return "filter", np.frombuffer(self.p.stdout.read(n), np.uint8).astype(bool), None
        name, rest = head[3:].split("|")
        has_valid = int(rest.split()[0])
        t = np.dtype(NAMES[name])
        values = np.frombuffer(self.p.stdout.read(n * t.itemsize), t)
        valid = np.ones(n, bool)
        if has_valid:
            valid = np.frombuffer(self.p.stdout.read(n), np.uint8).astype(bool)
        return name, values, valid


def random_column(rng, name, n, small=False):
    t = np.dtype(NAMES[name])
    if t.kind == "f":
        v = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 0.5]
        k = rng.random(n) < 0.2
        v[k] = rng.choice(special, k.sum())
        return v.astype(t)
    info = np.iinfo(t)
    if small:
        return rng.integers(max(info.min, -9), min(info.max, 10), n, dtype=t)
    v = rng.integers(info.min, info.max, n, dtype=t, endpoint=True)
    k = rng.random(n) < 0.2
    v[k] = rng.choice(np.array([0, 1, info.max, info.min, 2], t), k.sum())
    return v


def fail(expr, cols, got, want, i=None):
    print(f"FAILED {expr} over {[c[0] for c in cols]}: got {got}, want {want}")
    if i is not None:
        print("  at", i, "of", len(cols[0][1]), [c[1][i] for c in cols])
    sys.exit(1)


def ulps(got, want):
    bits = {2: np.int16, 4: np.int32, 8: np.int64}[got.dtype.itemsize]
    a, b = got.view(bits).astype(object), want.view(bits).astype(object)
    least = np.iinfo(bits).min
    order = lambda x: x if x >= 0 else least - x
    return np.array([abs(order(x) - order(y)) for x, y in zip(a, b)], dtype=float)


def check(o, expr, cols, want, want_type, valid=None, bits=0, present=None):
    """The result equals `want` in valid cells: to the bit, or within `bits` units in the last
    place."""
    global n_checks
    n_checks += 1
    got = o.ask(expr, cols, present)
    if isinstance(got, str):
        fail(expr, cols, got, want_type)
    name, values, ok = got
    if NAMES[name] != NAMES[want_type]:
        fail(expr, cols, name, want_type)
    expect_ok = np.ones(len(values), bool) if valid is None else valid
    look = np.ones(len(values), bool) if present is None else present.astype(bool)
    bad = look & (ok != expect_ok)
    if bad.any():
        i = int(np.nonzero(bad)[0][0])
        fail(expr, cols, f"valid={ok[i]}", expect_ok[i], i)
    look = look & expect_ok
    want = np.asarray(want).astype(values.dtype)
    if values.dtype.kind == "f":
        both_nan = np.isnan(values) & np.isnan(want)
        either_zero = "maximum" in expr or "minimum" in expr  # NumPy's depends on its SIMD path
        same_sign = np.signbit(values) == np.signbit(want)
        same = both_nan | ((values == want) & (same_sign | either_zero))
        if bits:
            same |= ~np.isnan(values) & ~np.isnan(want) & (ulps(values, want) <= bits)
    else:
        same = values == want
    bad = look & ~same
    if bad.any():
        i = int(np.nonzero(bad)[0][0])
        fail(expr, cols, values[i], want[i], i)


def python_op(op, a, b):
    a, b = int(a), int(b)
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "//": lambda: a // b,
            "%": lambda: a % b}[op]()


def int_arithmetic(o, rng, n):
    for t in INTS:
        info = np.iinfo(NAMES[t])
        for op in ["+", "-", "*", "//", "%"]:
            for const in [None, "a", "b"]:
                a, b = random_column(rng, t, n), random_column(rng, t, n)
                if const == "a":
                    a[:] = a[0]
                if const == "b":
                    b[:] = b[0] if b[0] else 3
                exact = [None if op in ("//", "%") and y == 0 else python_op(op, x, y)
                         for x, y in zip(a, b)]
                fits = np.array([r is not None and info.min <= r <= info.max for r in exact])
                want = np.array([r if f else 0 for r, f in zip(exact, fits)], NAMES[t])
                va = rng.random(n) < 0.9
                cols = [(t, a, va), (t, b, None)]
                cast = lambda x: f"(cast {t} {x})"
                expr = f"({op} {cast(a[0]) if const == 'a' else 'c0'} " \
                       f"{cast(b[0]) if const == 'b' else 'c1'})"
                valid = None if const == "a" else va
                # Cells that would fail do not exist: no error.
                check(o, expr, cols, want, t, valid, present=fits)
                counted = fits if const == "a" else fits | ~va
                if not counted.all():
                    want_code = "22003" if [e for e, f in zip(exact, counted) if not f][0] \
                        is not None else "22012"
                    got = o.ask(expr, cols)
                    if got != want_code:
                        fail(expr, cols, got, want_code)


def float_arithmetic(o, rng, n):
    ops = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide,
           "//": np.floor_divide, "%": np.mod, "fmod": np.fmod, "maximum": np.maximum,
           "minimum": np.minimum, "copysign": np.copysign, "nextafter": np.nextafter,
           "heaviside": np.heaviside}
    for t in FLOATS:
        for op, f in ops.items():
            a, b = random_column(rng, t, n), random_column(rng, t, n)
            va, vb = rng.random(n) < 0.8, rng.random(n) < 0.8
            check(o, f"({op} c0 c1)", [(t, a, va), (t, b, vb)], f(a, b), t, va & vb)
            k = b[0] if np.isfinite(b[0]) else b.dtype.type(2.5)
            check(o, f"({op} c0 {float(k)!r})", [(t, a, None)], f(a, k), t)
            check(o, f"({op} {float(k)!r} c0)", [(t, a, va)], f(k, a), t, va)
        one = {"-": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square,
               "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
               "round": np.rint, "rint": np.rint, "reciprocal": np.reciprocal}
        for op, f in one.items():
            a = random_column(rng, t, n)
            check(o, f"({op} c0)", [(t, a, None)], f(a), t)
        for op, f in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
                      "signbit": np.signbit}.items():
            a = random_column(rng, t, n)
            check(o, f"({op} c0)", [(t, a, None)], f(a), "boolean")
        for digits in [-2, -1, 0, 1, 2, 5]:
            a = random_column(rng, "double", n)
            check(o, f"(round c0 {digits})", [("double", a, None)], np.round(a, digits), "double")


def math_functions(o, rng, n):
    one = {"sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
           "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
           "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "exp": np.exp,
           "exp2": np.exp2, "expm1": np.expm1, "ln": np.log, "log": np.log10, "log2": np.log2,
           "log1p": np.log1p, "cbrt": np.cbrt, "degrees": np.degrees, "radians": np.radians}
    for t in FLOATS:
        for op, f in one.items():
            a = random_column(rng, t, n)
            exact = f(a.astype(np.longdouble)).astype(a.dtype)
            check(o, f"({op} c0)", [(t, a, None)], exact, t, bits=2)
        for op, f in {"pow": np.power, "atan2": np.arctan2, "hypot": np.hypot}.items():
            a, b = random_column(rng, t, n), random_column(rng, t, n)
            exact = f(a.astype(np.longdouble), b.astype(np.longdouble)).astype(a.dtype)
            check(o, f"({op} c0 c1)", [(t, a, None), (t, b, None)], exact, t, bits=2)
        a = random_column(rng, t, n)
        check(o, "(^ c0 2)", [(t, a, None)], np.square(a), t)
    # Integers go through DOUBLE PRECISION.
    for t in INTS:
        a = random_column(rng, t, n)
        check(o, "(sqrt c0)", [(t, a, None)], np.sqrt(a.astype(np.float64)), "double")
        check(o, "(/ c0 c1)", [(t, a, None), (t, a[::-1], None)],
              a.astype(float) / a[::-1].astype(float), "double")


def comparisons(o, rng, n):
    ops = {"=": np.equal, "<>": np.not_equal, "<": np.less, "<=": np.less_equal,
           ">": np.greater, ">=": np.greater_equal}
    for t in INTS + FLOATS:
        for u in INTS + FLOATS:
            a, b = random_column(rng, t, n), random_column(rng, u, n)
            k = rng.random(n) < 0.3
            with np.errstate(all="ignore"):
                b[k] = a[k].astype(b.dtype)
            va = rng.random(n) < 0.8
            for op, f in ops.items():
                if a.dtype.kind != "f" and b.dtype.kind != "f":
                    want = f(a.astype(object), b.astype(object)).astype(bool)
                else:
                    want = f(a, b)
                check(o, f"({op} c0 c1)", [(t, a, va), (u, b, None)], want, "boolean", va)
    for t in INTS:
        a = random_column(rng, t, n, small=True)
        for k in [-300, -1, 0, 3, 300, 2 ** 40, -2 ** 63, 2 ** 64 - 1]:
            for op, f in ops.items():
                check(o, f"({op} c0 {k})", [(t, a, None)],
                      f(a.astype(object), k).astype(bool), "boolean")


def promotion(o, rng, n):
    for t in INTS + FLOATS:
        for u in INTS + FLOATS:
            a, b = random_column(rng, t, n, True), random_column(rng, u, n, True)
            want = np.maximum(a, b)
            name = [k for k, v in NAMES.items() if v == want.dtype.type][0]
            check(o, "(maximum c0 c1)", [(t, a, None), (u, b, None)], want, name)


def casts(o, rng, n):
    for t in INTS + FLOATS:
        for u in INTS + FLOATS:
            a = random_column(rng, t, n)
            d = np.dtype(NAMES[u])
            if d.kind == "f":
                check(o, f"(cast {u} c0)", [(t, a, None)], a.astype(d), u)
                continue
            info = np.iinfo(d)
            whole = [None if x != x or abs(x) == np.inf else int(np.rint(x)) for x in a.tolist()] \
                if a.dtype.kind == "f" else a.tolist()
            if a.dtype == np.float32:
                whole = [None if not np.isfinite(x) else int(np.rint(np.float64(x))) for x in a]
            fits = np.array([x is not None and info.min <= x <= info.max for x in whole])
            want = np.array([x if f else 0 for x, f in zip(whole, fits)], d)
            check(o, f"(cast {u} c0)", [(t, a, None)], want, u, present=fits)
            if not fits.all() and o.ask(f"(cast {u} c0)", [(t, a, None)]) != "22003":
                fail(f"(cast {u} c0)", [(t, a, None)], "no error", "22003")


def logic(o, rng, n):
    def three(v, ok):
        return np.where(ok, v, -1)
    a, b, c = (rng.integers(0, 2, n) for _ in range(3))
    va, vb, vc = (rng.random(n) < 0.7 for _ in range(3))
    cols = [("boolean", a, va), ("boolean", b, vb), ("boolean", c, vc)]
    x, y, z = three(a, va), three(b, vb), three(c, vc)
    and3 = np.where((x == 0) | (y == 0) | (z == 0), 0,
                    np.where((x == -1) | (y == -1) | (z == -1), -1, 1))
    or3 = np.where((x == 1) | (y == 1) | (z == 1), 1,
                   np.where((x == -1) | (y == -1) | (z == -1), -1, 0))
    check(o, "(and c0 c1 c2)", cols, and3 == 1, "boolean", and3 >= 0)
    check(o, "(or c0 c1 c2)", cols, or3 == 1, "boolean", or3 >= 0)
    check(o, "(not c0)", cols, x == 0, "boolean", va)
    check(o, "(isnull c0)", cols, ~va, "boolean")
    check(o, "(notnull (and c0 c1 c2))", cols, and3 >= 0, "boolean")
    check(o, "(distinct c0 c1)", cols, x != y, "boolean")
    check(o, "(same c0 c1)", cols, x == y, "boolean")
    present = rng.random(n) < 0.5
    got = o.ask("filter (and c0 (or c1 c2))", cols, present)[1]
    or2 = np.where((y == 1) | (z == 1), 1, 0)
    if not np.array_equal(got, present & (x == 1) & (or2 == 1)):
        fail("filter", cols, "other cells", "those")


def branches(o, rng, n):
    t = "integer"
    a, b = random_column(rng, t, n, True), random_column(rng, t, n, True)
    va = rng.random(n) < 0.8
    cols = [(t, a, va), (t, b, None)]
    # The branch that would divide by zero is not taken there.
    safe = np.where(b == 0, 1, b)
    check(o, "(case (<> c1 0) (// c0 c1) -7)", cols, np.where(b != 0, a // safe, -7), t,
          va | (b == 0))
    check(o, "(and (<> c1 0) (> (// c0 c1) 1))", cols, (b != 0) & (a // safe > 1), "boolean",
          va | (b == 0))
    check(o, "(or (= c1 0) (> (// c0 c1) 1))", cols, (b == 0) | (a // safe > 1), "boolean",
          va | (b == 0))
    check(o, "(coalesce c0 (// 100 (case (= c1 0) 1 c1)))", cols,
          np.where(va, a, 100 // safe), t)
    check(o, "(greatest c0 c1 3)", cols, np.where(va, np.maximum(a, b), b).clip(3), t)
    check(o, "(least c0 c1)", cols, np.where(va, np.minimum(a, b), b), t)
    check(o, "(nullif c1 3)", cols, b, t, b != 3)
    check(o, "(in c1 1 3 5 100000000000)", cols, np.isin(b, [1, 3, 5]), "boolean")
    many = " ".join(str(k) for k in range(-9, 40, 2))
    check(o, f"(in c1 {many})", cols, np.isin(b, list(range(-9, 40, 2))), "boolean")
    check(o, "(in c1 1 null)", cols, b == 1, "boolean", b == 1)
    check(o, "(clip c1 -2 4)", cols, np.clip(b, -2, 4), t)
    for u in FLOATS:
        x, y, z = (random_column(rng, u, n) for _ in range(3))
        f = [(u, x, va), (u, y, None), (u, z, None)]
        check(o, "(+ (* c0 c1) c2)", f, x * y + z, u, va)
        check(o, "(- (* c0 c1) (/ (* c0 c1) (+ c2 273.15)))", f,
              x * y - (x * y) / (z + np.dtype(NAMES[u]).type(273.15)), u, va)


def main():
    o = Oracle(sys.argv[1] if len(sys.argv) > 1 else "build/release/oracle/expr_oracle")
    rng = np.random.default_rng(seed())
    with np.errstate(all="ignore"):
        for n in [1, 63, 64, 65, 1000, 1024, 1025, 5000]:
            for part in [int_arithmetic, float_arithmetic, math_functions, comparisons, promotion,
                         casts, logic, branches]:
                if n in (63, 64, 65, 1000) and part in (casts, promotion, comparisons) and n != 65:
                    continue
                part(o, rng, n)
    print(f"{n_checks} passed, 0 failed")


if __name__ == "__main__":
    main()
