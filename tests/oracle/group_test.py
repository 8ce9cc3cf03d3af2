#!/usr/bin/python3
"""Random groupings and aggregates, computed by NumPy and exact fractions too: group_test.py [queries, default 300].

Keys are dimensions, expressions of them, blocks, attributes, and sets of those; arrays have EMPTY, NULL and NaN. Answers must
be the same bytes whatever the workers, optimizer, memory and tiles. A failure can be repeated with TESSERA_SEED=…"""
import datetime
import itertools
import math
import os
import random
import sys
from fractions import Fraction

import numpy as np
import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402
from model.arrays import DATE, TEXT, TYPES, Array, is_float, is_number  # noqa: E402

INT8 = np.dtype("i8")
F8 = np.dtype("f8")


class Near:
    """A number known to some digits; of none (tolerance None) only that it is one."""

    def __init__(self, value, tolerance=1e-9):
        self.value, self.tolerance = value, tolerance

    def __repr__(self):
        return f"Near({self.value})"


class Estimate:
    """A number of distinct values, of which six standard errors and one collision may be missing."""

    def __init__(self, value):
        self.value = value


class Overflows(Exception):
    pass


# ---- values ----

def plain(v, kind):
    """As it is compared and grouped: NaN is one value, -0.0 is 0.0."""
    if v is None or kind in (TEXT, DATE) or isinstance(v, (datetime.datetime, str)):
        return v
    if isinstance(v, float):
        return "NaN" if math.isnan(v) else v + 0.0
    return v


def rank(v):
    """In order: numbers, NaN, NULL."""
    return (2, 0) if v is None else (1, 0) if isinstance(v, float) and math.isnan(v) else (0, v)


def parse(text, kind):
    if text is None:
        return None
    if kind == "list":
        return [int(x) for x in text[1:-1].split(",")] if len(text) > 2 else []
    if kind == "timestamp":
        return datetime.datetime.fromisoformat(text)
    if kind == DATE:
        return datetime.date.fromisoformat(text)
    if kind == bool:
        return text == "t"
    if kind == TEXT:
        return text
    if is_float(kind):
        return plain(float(kind.type(text)), kind)
    return int(text)


def same(got, want):
    if isinstance(want, Estimate):
        return abs(got - want.value) <= 0.1 * want.value + 1
    if isinstance(want, Near):
        if want.tolerance is None:
            return got is not None
        return isinstance(got, (int, float)) and abs(got - want.value) <= want.tolerance * max(abs(want.value), 1e-290)
    return got == want


# ---- keys ----

class Key:
    def __init__(self, text, values, kind, block=None):
        self.text, self.values, self.kind, self.block = text, values, kind, block


def month_blocks(coords, months):
    """The first coordinate of each one's block of so many months, counted from the first."""
    def after(k):
        m = coords[0].month - 1 + k * months
        year, month = coords[0].year + m // 12, m % 12 + 1
        last = [31, 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        return datetime.date(year, month, min(coords[0].day, last))
    out, k, first = [], 0, None
    for c in coords:
        fresh = first is None
        while c >= after(k + 1):
            k, fresh = k + 1, True
        first = c if fresh else first
        out.append(first)
    return out


def random_key(rng, a, blocks):
    t = a.table
    axis = rng.choice(a.axes)
    column, pos = t.columns[axis.name], t.columns["#" + axis.name].values
    form = rng.choice(["plain", "plain", "position", "expression", "attribute", "attribute", "block", "block"])
    if form == "block" and axis.name not in blocks:
        n = rng.randint(1, len(axis) + 1)
        coords = axis.coords if axis.form != "grows" else sorted(axis.coords)
        firsts = [coords[k // n * n] for k in range(len(coords))]
        size = str(n)
        if axis.kind == DATE and rng.random() < 0.6:
            n = rng.choice([1, 2, 12])
            firsts, size = month_blocks(coords, n), f"INTERVAL '{n} months'"
        blocks[axis.name] = True
        return Key(axis.name, [firsts[p] for p in pos], axis.kind, f"{axis.name} => {size}")
    if form == "attribute":
        name = rng.choice(list(a.attrs))
        return Key(name, t.columns[name].list(), TYPES[a.attrs[name]][0])
    if form == "position":
        n = rng.randint(1, 4)
        return Key(f"#{axis.name} // {n}", [int(p) // n for p in pos], INT8)
    if form == "expression" and axis.kind == DATE:
        if rng.random() < 0.5:
            return Key(f"date_trunc('month', {axis.name})", [datetime.datetime(v.year, v.month, 1) for v in column.values], "timestamp")
        return Key(f"extract(doy FROM {axis.name})::int", [v.timetuple().tm_yday for v in column.values], np.dtype("i4"))
    if form == "expression" and axis.kind == np.dtype("i4"):
        n = rng.randint(2, 5)
        return Key(f"({axis.name} % {n})", [int(v) % n for v in column.values], np.dtype("i4"))
    if axis.name in blocks:
        return None
    blocks[axis.name] = False
    return Key(axis.name, column.values.tolist(), axis.kind)


def random_groups(rng, a):
    """GROUP BY's text, the keys, and the sets as lists of key numbers."""
    blocks = {}
    keys = [k for k in (random_key(rng, a, blocks) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))) if k]
    seen = {}
    keys = [seen.setdefault(k.text, k) for k in keys if k.text not in seen]
    part = {k.text: f"BLOCK [{k.block}]" if k.block else k.text for k in keys}
    every = list(range(len(keys)))
    form = rng.choice(["list", "list", "list", "rollup", "cube", "sets"])
    lead = [k for k in every if keys[k].block]  # BLOCK stands in no ROLLUP
    rest = [k for k in every if not keys[k].block]
    if form == "list" or not rest:
        return ", ".join(part[k.text] for k in keys) or "()", keys, [every]
    before = "".join(part[keys[k].text] + ", " for k in lead)
    texts = ", ".join(keys[k].text for k in rest)
    if form == "rollup":
        return f"{before}ROLLUP ({texts})", keys, [lead + rest[:n] for n in range(len(rest), -1, -1)]
    if form == "cube":
        return f"{before}CUBE ({texts})", keys, [lead + list(s) for n in range(len(rest) + 1) for s in itertools.combinations(rest, n)]
    sets = [rest] + [sorted(rng.sample(rest, rng.randint(0, len(rest)))) for _ in range(rng.randint(0, 2))]
    return (before + "GROUPING SETS (" + ", ".join("(" + ", ".join(keys[k].text for k in s) + ")" for s in sets) + ")", keys,
            [lead + s for s in sets])


# ---- aggregates: SQL, the result's kind, and what a list of cells' numbers gives ----

def finite(xs):
    return all(math.isfinite(x) for x in xs)


def total(xs, unsigned):
    s = sum(xs)
    if not (0 <= s < 2**64 if unsigned else -2**63 <= s < 2**63):
        raise Overflows
    return s


def float_sum(xs):
    if not finite(xs):
        s = float(sum(x for x in xs if not math.isfinite(x)))
        return plain(s, F8)
    return Near(math.fsum(xs), 1e-12)


def exact_quotient(a, b):
    return Near(float(a / b), 1e-9) if b else None


def moments(name, ys, xs):
    """Of pairs, as PostgreSQL defines them."""
    n = len(xs)
    if name == "regr_count":
        return n
    if n == 0 or (name == "covar_samp" and n == 1):
        return None
    if not finite(xs) or not finite(ys):
        return "NaN" if name not in ("regr_avgx", "regr_avgy") else Near(0, None)
    xs, ys = [Fraction(x) for x in xs], [Fraction(y) for y in ys]
    mx, my = sum(xs) / n, sum(ys) / n
    sxx, syy = sum((x - mx) ** 2 for x in xs), sum((y - my) ** 2 for y in ys)
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys))
    if max(abs(float(mx)), abs(float(my))) > 1e6:  # digits go when sums are taken apart
        return Near(0, None) if (sxx and syy) or name in ("covar_pop", "covar_samp", "regr_sxx", "regr_syy", "regr_sxy", "regr_avgx", "regr_avgy") else "?"
    if name == "corr":
        return Near(float(sxy) / math.sqrt(float(sxx) * float(syy)), 1e-6) if sxx and syy else None
    if name in ("regr_slope", "regr_intercept", "regr_r2") and not sxx:
        return None
    value = {"covar_pop": lambda: sxy / n, "covar_samp": lambda: sxy / (n - 1), "regr_avgx": lambda: mx, "regr_avgy": lambda: my,
             "regr_sxx": lambda: sxx, "regr_syy": lambda: syy, "regr_sxy": lambda: sxy, "regr_slope": lambda: sxy / sxx,
             "regr_intercept": lambda: my - sxy / sxx * mx, "regr_r2": lambda: sxy * sxy / (sxx * syy) if syy else Fraction(1)}[name]()
    return Near(float(value), 1e-6) if value else Near(0, None)


def spread(xs, ddof, root):
    if len(xs) <= ddof:
        return None
    if not finite(xs):
        return "NaN"
    if max(map(abs, xs)) > 1e100:
        return Near(0, None)
    xs = [Fraction(x) for x in xs]
    mean = sum(xs) / len(xs)
    v = float(sum((x - mean) ** 2 for x in xs) / (len(xs) - ddof))
    return Near(math.sqrt(v) if root else v, 1e-6) if v > 1e-12 * float(mean * mean) else Near(0, None)


def quantile(xs, q):
    if not xs:
        return None
    if not finite(xs):
        return "NaN" if any(math.isnan(x) for x in xs) else Near(0, None)
    return plain(float(np.quantile(np.array(xs, "f8"), q)), F8)


def mode(xs):
    counts = {}
    for x in xs:
        counts[plain(x, None)] = counts.get(plain(x, None), 0) + 1
    most = max(counts.values(), default=0)
    best = [x for x, n in counts.items() if n == most]
    return min(best, key=lambda x: rank(float("nan") if x == "NaN" and not isinstance(xs[0], str) else x)) if best else None


def extreme(xs, f):
    if not xs:
        return None
    return "NaN" if any(isinstance(x, float) and math.isnan(x) for x in xs) else plain(f(xs), None)


def numeric_aggregate(rng, name, word, a):
    kind = TYPES[word][0]
    q = rng.choice([0, 0.1, 0.25, 0.5, 0.9, 1])
    flt, unsigned = is_float(kind), word.startswith("U")
    drop = lambda xs: [x for x in xs if not (isinstance(x, float) and math.isnan(x))]  # noqa: E731
    as_float = lambda xs: [float(x) for x in xs]  # noqa: E731
    lo, hi, bins = rng.choice([(-2.0, 7.0, 9), (0.0, 100.0, 7), (-1000.0, 1000.0, 1), (0.1, 0.7, 6)])
    sums = (F8, float_sum) if flt else (np.dtype("u8") if unsigned else INT8, lambda xs: total(xs, unsigned))
    choices = [
        (f"sum({name})", sums[0], lambda xs: sums[1](xs) if xs else None),
        (f"avg({name})", F8, lambda xs: None if not xs else (Near(0, None) if finite(xs) and flt else plain(float(sum(as_float(xs)) / len(xs)), F8))
         if flt else Near(float(Fraction(sum(xs), len(xs))), 1e-12)),
        (f"median({name})", F8, lambda xs: quantile(as_float(xs), 0.5)),
        (f"quantile({name}, {q})", F8, lambda xs: quantile(as_float(xs), q)),
        (f"percentile_cont({q}) WITHIN GROUP (ORDER BY {name})", F8, lambda xs: quantile(as_float(xs), q)),
        (f"nanmedian({name})", F8, lambda xs: quantile(as_float(drop(xs)), 0.5)),
        (f"nanquantile({name}, {q})", F8, lambda xs: quantile(as_float(drop(xs)), q)),
        (f"nansum({name})", sums[0], lambda xs: (sums[1](drop(xs)) if drop(xs) else 0.0 if flt else 0) if xs else None),
        (f"nanmin({name})", kind, lambda xs: extreme(drop(xs), min)), (f"nanmax({name})", kind, lambda xs: extreme(drop(xs), max)),
        (f"nanstd({name})", F8, lambda xs: spread(as_float(drop(xs)), 0, True)),
        (f"stddev({name})", F8, lambda xs: spread(as_float(xs), 1, True)), (f"var_pop({name})", F8, lambda xs: spread(as_float(xs), 0, False)),
        (f"approx_quantile({name}, {q})", F8, lambda xs: approx_quantile(as_float(xs), q)),
        (f"histogram({name}, {lo}, {hi}, {bins})", "list",
         lambda xs: np.histogram([x for x in as_float(xs) if math.isfinite(x)], bins, (lo, hi))[0].tolist()),
    ]
    if not flt:
        fold = {"bit_and": lambda x, y: x & y, "bit_or": lambda x, y: x | y, "bit_xor": lambda x, y: x ^ y}
        for f, g in fold.items():
            def bits(xs, g=g):
                out = None
                for x in xs:
                    out = x if out is None else g(out, x)
                return out
            choices.append((f"{f}({name})", kind, bits))
        choices.append((f"sum(DISTINCT {name})", sums[0], lambda xs: sums[1](list(set(xs))) if xs else None))
        if word != "UBIGINT":
            choices.append((f"array_agg({name}) FILTER (WHERE {name} IS NOT NULL)", "list", lambda xs: xs or None))
            choices.append((f"array_agg({name} ORDER BY {name} DESC) FILTER (WHERE {name} IS NOT NULL)", "list", lambda xs: sorted(xs, reverse=True) or None))
    return rng.choice(choices)


def approx_quantile(xs, q):
    if not xs:
        return None
    if any(math.isnan(x) for x in xs):
        return "NaN"
    x = sorted(xs)[min(int(math.floor(q * (len(xs) - 1))), len(xs) - 1)]
    return Near(x, 2.0 ** -9) if math.isfinite(x) else x


def any_aggregate(rng, name, kind):
    q = rng.choice([0, 0.3, 0.5, 1])

    def disc(xs, reverse):
        xs = sorted(xs, key=rank, reverse=reverse)
        return plain(xs[max(math.ceil(q * len(xs)) - 1, 0)], kind) if xs else None
    choices = [
        (f"count({name})", INT8, len), (f"count(DISTINCT {name})", INT8, lambda xs: len({plain(x, kind) for x in xs})),
        (f"min({name})", kind, lambda xs: extreme(xs, min)), (f"max({name})", kind, lambda xs: extreme(xs, max)),
        (f"mode({name})", kind, mode), (f"percentile_disc({q}) WITHIN GROUP (ORDER BY {name})", kind, lambda xs: disc(xs, False)),
        (f"percentile_disc({q}) WITHIN GROUP (ORDER BY {name} DESC)", kind, lambda xs: disc(xs, True)),
        (f"approx_count_distinct({name})", INT8, lambda xs: Estimate(len({plain(x, kind) for x in xs}))),
    ]
    if kind == TEXT:
        choices += [(f"string_agg({name}, '|')", TEXT, lambda xs: "|".join(xs) if xs else None),
                    (f"string_agg({name}, '' ORDER BY {name} DESC)", TEXT, lambda xs: "".join(sorted(xs, key=str.encode, reverse=True)) if xs else None),
                    (f"string_agg(DISTINCT {name}, ',')", TEXT, lambda xs: ",".join(sorted(set(xs), key=str.encode)) if xs else None)]
    if kind == bool:
        choices += [(f"bool_and({name})", bool, lambda xs: all(xs) if xs else None), (f"bool_or({name})", bool, lambda xs: any(xs) if xs else None)]
    return rng.choice(choices)


class Aggregate:
    """Its text, its kind, and its value over cells given by their numbers."""

    def __init__(self, rng, a):
        t = a.table
        names = list(a.attrs)
        name = rng.choice(names)
        word = a.attrs[name]
        numbers = [n for n in names if is_number(TYPES[a.attrs[n]][0])]
        form = rng.choice(["star", "number", "number", "any", "any", "pair", "pick"])
        axis = rng.choice(a.axes)
        values = {n: t.columns[n].list() for n in names}
        pos = t.columns["#" + axis.name].values
        kept = lambda cells, *ns: [c for c in cells if all(values[n][c] is not None for n in ns)]  # noqa: E731
        if form == "pair" and numbers:
            f = rng.choice(["corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "regr_r2", "regr_count", "regr_avgx",
                            "regr_avgy", "regr_sxx", "regr_syy", "regr_sxy"])
            y, x = rng.choice(numbers), rng.choice(numbers)
            self.text, self.kind = f"{f}({y}, {x})", INT8 if f == "regr_count" else F8
            self.of = lambda cells: moments(f, [float(values[y][c]) for c in kept(cells, y, x)], [float(values[x][c]) for c in kept(cells, y, x)])
        elif form == "pick":
            f = rng.choice(["first", "last"])
            self.text, self.kind = f"{f}({name}, #{axis.name})", TYPES[word][0]

            def pick(cells):
                cells = kept(cells, name)
                best = min(cells, key=lambda c: (pos[c] if f == "first" else -pos[c]), default=None)
                return None if best is None else plain(values[name][best], self.kind)
            self.of = pick
        elif form == "star":
            self.text, self.kind, self.of = "count(*)", INT8, len
        else:
            if form == "number" and numbers:
                name = rng.choice(numbers)
                self.text, self.kind, f = numeric_aggregate(rng, name, a.attrs[name], a)
            else:
                self.text, self.kind, f = any_aggregate(rng, name, TYPES[word][0])
            self.of = lambda cells: f([values[name][c] for c in kept(cells, name)])
        if rng.random() < 0.2 and "FILTER" not in self.text:
            of = self.of
            self.text += f" FILTER (WHERE #{axis.name} % 2 = 0)"
            self.of = lambda cells: of([c for c in cells if pos[c] % 2 == 0])


def random_query(rng, a):
    """Text, kinds, rows or an SQLSTATE."""
    groups, keys, sets = random_groups(rng, a)
    aggs = [Aggregate(rng, a) for _ in range(rng.randint(1, 3))]
    where, cells = "", list(range(len(a.table)))
    if rng.random() < 0.3:
        axis = rng.choice(a.axes)
        pos, n = a.table.columns["#" + axis.name].values, rng.randint(0, len(axis))
        where, cells = f" WHERE #{axis.name} >= {n}", [c for c in cells if pos[c] >= n]
    items = [k.text for k in keys] + [g.text for g in aggs]
    if keys:
        items.append("grouping(" + ", ".join(k.text for k in keys) + ")")
    text = f"SELECT {', '.join(items)} FROM {{name}}{where} GROUP BY {groups}"
    rows = []
    try:
        for s in sets:
            found = {} if s else {(): []}
            for c in cells:
                found.setdefault(tuple(plain(keys[k].values[c], keys[k].kind) for k in s), []).append(c)
            for values, members in found.items():
                shown = dict(zip(s, values))
                row = [shown.get(k) for k in range(len(keys))] + [g.of(members) for g in aggs]
                if keys:
                    row.append(sum((k not in s) << (len(keys) - 1 - k) for k in range(len(keys))))
                rows.append(row)
    except Overflows:
        return text, None, "22003"
    return text, [k.kind for k in keys] + [g.kind for g in aggs] + [np.dtype("i4")] * bool(keys), rows


def row_key(row, n, last):
    return tuple((v is None, str(v)) for v in row[:n]) + ((row[-1],) if last else ())


def connect(server, *settings):
    return server.session(*settings, as_text=(16, 20, 21, 23, 25, 700, 701, 1016, 1082, 1114, 1700))


def run(conn, text):
    try:
        return conn.execute(text).fetchall()
    except psycopg.Error as e:
        return e.sqlstate or str(e)


def check(count, a, sessions, query):
    text, kinds, want = query
    first = run(sessions[0][1], text.format(name=a.name))
    for name, conn, tiny in sessions[1:]:
        got = run(conn, text.format(name=a.tiny if tiny else a.name))
        if not count.check(got == first, f"{name}: another answer: {text}\n  {str(got)[:300]}\n  {str(first)[:300]}"):
            return
    if kinds is None or isinstance(first, str):
        count.equal(first, want, text)
        return
    got = [[parse(v, k) for v, k in zip(row, kinds)] for row in first]
    keyed = "grouping(" in text
    n_keys = query_keys(text)
    got.sort(key=lambda r: row_key(r, n_keys, keyed))
    want.sort(key=lambda r: row_key(r, n_keys, keyed))
    ok = len(got) == len(want) and all(same(g, w) for x, y in zip(got, want) for g, w in zip(x, y) if w != "?")
    bad = next(((x, y) for x, y in zip(got, want) if not all(same(g, w) for g, w in zip(x, y) if w != "?")), None)
    count.check(ok, f"{text.format(name=a.name)}\n  {len(got)} rows for {len(want)}; got, wanted: {str(bad)[:500]}")


def query_keys(text):
    inside = text.rsplit("grouping(", 1)[1].split(" FROM {name}")[0] if "grouping(" in text else ""
    depth, n = 0, 1 if inside else 0
    for ch in inside[:-1]:
        depth += (ch == "(") - (ch == ")")
        n += ch == "," and depth == 0
    return n


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rng = random.Random(seed())
    count = Count()
    errors = 0
    with Server(sets=["workers=4"]) as roomy, Server(sets=["workers=1", "memory_limit=64MB"]) as small:
        sessions = [("default", connect(roomy), False), ("one worker", connect(roomy, "max_workers = 1"), False),
                    ("no optimizer", connect(roomy, "optimizer = off"), False), ("64MB", connect(small), False), ("tiny tiles", connect(roomy), True)]
        done = 0
        while done < n:
            a = Array(rng, f"a{done}")
            for statement in a.statements():
                for conn in (sessions[0][1], sessions[3][1]):
                    conn.execute(statement)
            for _ in range(min(15, n - done)):
                query = random_query(rng, a)
                errors += query[1] is None
                check(count, a, sessions, query)
                done += 1
        for _, conn, _ in sessions:
            conn.close()
    print(f"{n} queries, {errors} of them errors")
    count.check(errors < n // 5, "most queries have an answer")
    return count.finish()


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
