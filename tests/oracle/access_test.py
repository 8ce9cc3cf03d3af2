#!/usr/bin/python3
"""Values at other cells, v[…], and array functions in FROM, computed by NumPy too: access_test.py [queries, default 120].

Random arrays of one to four dimensions with every kind of axis and type, EMPTY cells, NULL and NaN. An access is NumPy's
indexing of the whole array, filled is where, and transpose, reshape, roll, concat and diff are NumPy's own. Every session (workers,
memory, tiny tiles, plain plans) must give the same. A failure can be repeated with the seed that is printed: TESSERA_SEED=…"""
import calendar
import datetime
import os
import random
import sys
from decimal import Decimal

import numpy as np
import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402
from model.arrays import DATE, TEXT, TYPES, Array, Axis, is_float, is_number, sql  # noqa: E402


class Grid:
    """All cells of an array: which exist, and each attribute's values as objects, None where NULL or EMPTY."""

    def __init__(self, axes, present, attrs, kinds):
        self.axes, self.present, self.attrs, self.kinds = axes, present, attrs, kinds

    @staticmethod
    def of(array):
        shape = [len(a) for a in array.axes]
        at = tuple(array.table.columns["#" + a.name].values for a in array.axes)
        present = np.zeros(shape, bool)
        present[at] = True
        attrs, kinds = {}, {}
        for name, word in array.attrs.items():
            column = array.table.columns[name]
            attrs[name] = np.full(shape, None, object)
            attrs[name][at] = np.fromiter(column.list(), object, len(column.values))
            kinds[name] = TYPES[word][0]
        return Grid([a.coords for a in array.axes], present, attrs, kinds)

    def rows(self, names):
        """As SELECT gives them: coordinates and values of the cells that exist, in C order."""
        out = []
        for at in zip(*np.nonzero(self.present)):
            out.append([c[k] for c, k in zip(self.axes, at)] + [self.attrs[n][at] for n in names])
        return out

    def over(self, axes, move, kinds=None):
        """The same attributes moved by a function of NumPy."""
        return Grid(axes, move(self.present), {n: move(v) for n, v in self.attrs.items()}, kinds or self.kinds)


def plain(value, kind):
    """A value to compare by: floats by their bits but for which NaN."""
    if value is None:
        return None
    if is_float(kind):
        value = np.array(float(value), kind)[()]
        return "nan" if np.isnan(value) else value.tobytes()
    if is_number(kind):
        return int(value)
    return value


def same(got, want, kinds):
    return len(got) == len(want) and all(
        [plain(v, k) for v, k in zip(g, kinds)] == [plain(v, k) for v, k in zip(w, kinds)] for g, w in zip(got, want))


class Question:
    def __init__(self, text, kinds, rows, error=None):
        self.text, self.kinds, self.rows, self.error = text, kinds, rows, error


def ask(count, sessions, q):
    for name, conn, tiny in sessions:
        text = q.text.format(a="a_tiny" if tiny else "a", b="b_tiny" if tiny else "b")
        try:
            got, error = conn.execute(text).fetchall(), None
        except psycopg.Error as e:
            got, error = str(e), e.sqlstate
        if q.error or error:
            count.check(error == q.error, f"{name}: {text}\n  error {error}, wanted {q.error}: {str(got)[:300]}")
        else:
            count.check(same(got, q.rows, q.kinds),
                        f"{name}: {text}\n  got    {str(got)[:600]}\n  wanted {str(q.rows)[:600]}")


# ---- accesses ----

def months_before(day, n):
    month = day.year * 12 + day.month - 1 - n
    year, month = month // 12, month % 12 + 1
    return datetime.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def look_up(coords, values):
    """Positions of coordinates, -1 where they are on no cell."""
    place = {c: k for k, c in enumerate(coords)}
    return np.array([place.get(v, -1) if v is not None else -1 for v in values.ravel()], int).reshape(values.shape)


def random_item(rng, g, array, d):
    """Text of an item of the bracket, and the positions along dimension d that it means."""
    axis, name, n = array.axes[d], array.axes[d].name, len(array.axes[d])
    own = np.indices(g.present.shape)[d]
    coords = np.fromiter(axis.coords, object, n)
    k = rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, n // 2, n])
    word = f"{'+' if k >= 0 else '-'} {abs(k)}"
    forms = ["step", "step", "constant", "position", "other", "nowhere"]
    numeric = [a for a, kind in g.kinds.items() if is_number(kind)]
    integers = [a for a in numeric if not is_float(g.kinds[a])]
    alike = [a for a, kind in g.kinds.items()
             if kind == axis.kind or (is_number(axis.kind) and is_number(kind) and not is_float(axis.kind))]
    forms += ["gather"] * 2 * bool(integers) + ["by value"] * 3 * bool(alike)
    if axis.form in ("integer", "descending", "double", "date"):
        forms += ["coordinate", "coordinate"]
    if axis.kind == DATE:
        forms += ["months"]
    form = rng.choice(forms)
    if form == "step":
        return rng.choice([f"#{name} {word}", f"#{name} => #{name} {word}"]), own + k
    if form == "constant":
        return f"{name} => {sql(axis.coords[k % n], axis.kind)}", np.full(own.shape, k % n)
    if form == "position":
        at = rng.choice([0, n - 1, n, -1, 10**18, k])
        return f"#{name} => {at}", np.full(own.shape, at, object).astype(float).clip(-1, n).astype(int)
    if form == "other":
        e = rng.randrange(len(array.axes))
        return f"#{name} => 2 * #{array.axes[e].name} {word}", 2 * np.indices(g.present.shape)[e] + k
    if form == "gather":
        a = rng.choice(integers)
        v = np.fromiter((-1 if x is None or not 0 <= x < n else int(x) for x in g.attrs[a].ravel()), int)
        return f"#{name} => {a}", v.reshape(own.shape)
    if form == "by value":
        a = rng.choice(alike)
        return f"{name} => {a}", look_up(axis.coords, g.attrs[a])
    if form == "coordinate":
        step = axis.coords[1] - axis.coords[0] if n > 1 else 1
        if axis.kind == DATE:
            days = step.days if n > 1 else 1
            return rng.choice([f"{name} {word[0]} {abs(k) * days}",
                               f"{name} {word[0]} INTERVAL '{abs(k) * days} days'"]), own + k
        if axis.form == "double":
            by = axis.line[1] * k
            return f"{name} {'+' if by >= 0 else '-'} {abs(by)}", own + k
        by = int(axis.line[1]) * k
        return f"{name} {'+' if by >= 0 else '-'} {abs(by)}", own + k
    if form == "months":
        values = np.fromiter((months_before(x, k) for x in coords), object, n)
        return f"{name} - INTERVAL '{k} months'", look_up(axis.coords, values)[own]
    return f"{name} => NULL", np.full(own.shape, -1)


def random_access(rng, g, array, item=None):
    """An access's text, kind and values over all cells."""
    name = rng.choice(list(g.attrs))
    dims = rng.sample(range(len(array.axes)), rng.randint(1, len(array.axes)))
    at, ok, items = list(np.indices(g.present.shape)), np.ones(g.present.shape, bool), []
    for d in dims:
        text, at[d] = random_item(rng, g, array, d)
        items.append(text)
        ok &= (at[d] >= 0) & (at[d] < len(array.axes[d]))
        at[d] = np.where(ok, at[d], 0)
    values = np.where(ok, g.attrs[name][tuple(at)], None)
    return f"{item + '.' if item else ''}{name}[{', '.join(items)}]", g.kinds[name], values


def accesses(rng, g, array):
    found = [random_access(rng, g, array) for _ in range(rng.randint(1, 5))]
    brackets = ", ".join(f"[{a.name}]" for a in array.axes)
    where, keep = "", g.present
    if rng.random() < 0.4:
        d = rng.randrange(len(array.axes))
        at = rng.randrange(len(array.axes[d]))
        where, keep = f" WHERE #{array.axes[d].name} >= {at}", keep & (np.indices(keep.shape)[d] >= at)
    if rng.random() < 0.3:
        where += (" AND " if where else " WHERE ") + found[0][0] + " IS NOT NULL"
        keep = keep & np.vectorize(lambda v: v is not None, otypes=[bool])(found[0][2])
    shown = Grid(g.axes, keep, {str(k): v for k, (_, _, v) in enumerate(found)}, None)
    text = f"SELECT {brackets}, " + ", ".join(f"{t} AS x{k}" for k, (t, _, _) in enumerate(found)) + " FROM {a}" + where
    return Question(text, [a.kind for a in array.axes] + [k for _, k, _ in found], shown.rows(shown.attrs))


def self_join(rng, g, array):
    """The same accesses through the right side of a join: the item is bound once more as their source."""
    found = [random_access(rng, g, array, "s") for _ in range(rng.randint(1, 3))]
    if any(n in t for t, _, _ in found for n in (f"=> {x}]" for x in g.attrs)):
        return None  # the columns of both sides have one name
    names = ", ".join(a.name for a in array.axes)
    shown = Grid(g.axes, g.present, {str(k): v for k, (_, _, v) in enumerate(found)}, None)
    plain_texts = [t for t, _, _ in found]
    if any(f"=> {x}" in t for t in plain_texts for x in g.attrs):
        return None
    text = f"SELECT {names}, " + ", ".join(plain_texts) + f" FROM {{a}} AS r JOIN {{a}} AS s USING ({names})"
    return Question(text, [a.kind for a in array.axes] + [k for _, k, _ in found], shown.rows(shown.attrs))


# ---- array functions ----

def select_all(g, array, call):
    return "SELECT * FROM " + call, [a.kind for a in array.axes] + list(g.kinds.values())


def filled(rng, g, array):
    values, parts = {}, []
    for name, kind in g.kinds.items():
        values[name] = None
        if rng.random() < 0.7:
            values[name] = {TEXT: "filler", DATE: datetime.date(1999, 1, 2)}.get(kind, True if kind == bool else 7)
            parts.append(f"{name} => {sql(values[name], kind)}")
    if not parts:
        return None
    text, kinds = select_all(g, array, f"filled({{a}}, {', '.join(parts)})")
    full = {n: np.where(g.present, v, values[n]) for n, v in g.attrs.items()}
    return Question(text, kinds, Grid(g.axes, np.ones_like(g.present), full, None).rows(g.attrs))


def transpose(rng, g, array):
    order = rng.sample(range(len(array.axes)), len(array.axes))
    names = ", ".join(array.axes[d].name for d in order)
    if rng.random() < 0.5:
        order, names = list(range(len(array.axes)))[::-1], ""
    moved = g.over([g.axes[d] for d in order], lambda v: np.transpose(v, order))
    kinds = [array.axes[d].kind for d in order] + list(g.kinds.values())
    return Question(f"SELECT * FROM transpose({{a}}{', ' * bool(names)}{names})", kinds, moved.rows(g.attrs))


def reshape(rng, g, array):
    n, shape = g.present.size, []
    while n > 1 and len(shape) < 4:
        m = rng.choice([k for k in range(1, n + 1) if n % k == 0])
        shape.append(m)
        n //= m
    shape.append(n)
    rng.shuffle(shape)
    lows = [rng.randint(-5, 5) for _ in shape]
    bracket = ", ".join(f"{c} => {lo} : {lo + m - 1}" for c, lo, m in zip("pqrst", lows, shape))
    moved = g.over([list(range(lo, lo + m)) for lo, m in zip(lows, shape)], lambda v: v.reshape(shape))
    kinds = [np.dtype("i8")] * len(shape) + list(g.kinds.values())
    return Question(f"SELECT * FROM reshape({{a}}, [{bracket}])", kinds, moved.rows(g.attrs))


def roll(rng, g, array):
    d = rng.randrange(len(array.axes))
    by = rng.choice([1, -1, 2, 0, rng.randint(-100, 100)])
    text, kinds = select_all(g, array, f"roll({{a}}, {array.axes[d].name}, {by})")
    return Question(text, kinds, g.over(g.axes, lambda v: np.roll(v, by, axis=d)).rows(g.attrs))


def concat(rng, g, array):
    """Two slices of one array, put together again where they follow on."""
    d = rng.randrange(len(array.axes))
    n, name = len(array.axes[d]), array.axes[d].name
    if n < 2:
        return None
    cut = rng.randint(1, n - 1)
    text, kinds = select_all(g, array, f"concat({{a}}[#{name} => 0 : {cut - 1}], {{a}}[#{name} => {cut} : *], {name})")
    halves = [g.over(g.axes, lambda v, k=k: np.take(v, range(cut) if k == 0 else range(cut, n), axis=d)) for k in (0, 1)]
    joined = Grid(g.axes, np.concatenate([h.present for h in halves], axis=d),
                  {a: np.concatenate([h.attrs[a] for h in halves], axis=d) for a in g.attrs}, g.kinds)
    return Question(text, kinds, joined.rows(g.attrs))


def diff(rng, g, array):
    d, order = rng.randrange(len(array.axes)), rng.choice([1, 1, 2, 3])
    names = [n for n, kind in g.kinds.items() if is_number(kind)]
    if not names:
        return None
    present, attrs, error = g.present, {n: g.attrs[n] for n in names}, None
    for _ in range(order):
        later = [slice(None)] * present.ndim
        before = list(later)
        later[d], before[d] = slice(1, None), slice(None, -1)
        later, before = tuple(later), tuple(before)
        both = present[later] & present[before]
        for n in names:
            x, y, kind = attrs[n][later], attrs[n][before], g.kinds[n]
            out = np.full(both.shape, None, object)
            for at in zip(*np.nonzero(both)):
                if x[at] is None or y[at] is None:
                    continue
                if is_float(kind):
                    out[at] = np.diff(np.array([y[at], x[at]], kind))[0]
                else:
                    out[at] = int(x[at]) - int(y[at])
                    info = np.iinfo(kind)
                    if not info.min <= out[at] <= info.max:
                        error = "22003"
            attrs[n] = out
        present = both
    if not present.size:
        error = None  # nothing asks for the differences on the way
    kinds = [a.kind for a in array.axes] + [g.kinds[n] for n in names]
    axes = [c[min(order, len(c)):] if k == d else c for k, c in enumerate(g.axes)]
    text = f"SELECT * FROM diff({{a}}, {array.axes[d].name}, {order})"
    if not all(is_number(k) for k in g.kinds.values()):
        kept = ", ".join(f"[{a.name}]" for a in array.axes) + ", " + ", ".join(names)
        text = f"SELECT * FROM diff((SELECT {kept} FROM {{a}}), {array.axes[d].name}, {order})"
    return Question(text, kinds, None if error else Grid(axes, present, attrs, None).rows(names), error)


# ---- large arrays ----

def large(count, sessions, rng):
    """Stencils of two and three dimensions and gathers on arrays of many tiles."""
    n, m, k = rng.randint(200, 400), rng.randint(90, 200), rng.randint(5, 12)
    cells = "((i * 7919 + j * 104729 + k * 1299709) % 100003)"
    for _, conn, _ in sessions[:1] + sessions[-1:]:
        conn.execute(f"CREATE ARRAY big (i INTEGER DIMENSION [0 : {n - 1}] TILE 37, j INTEGER DIMENSION [0 : {m - 1}] TILE 29,"
                     f" k INTEGER DIMENSION [0 : {k - 1}] TILE 3, v DOUBLE, p INTEGER)")
        conn.execute(f"INSERT INTO big SELECT [i], [j], [k], {cells} / 8 AS v, ((i * 31 + j * 17 + k) * 7919 % {n + 3})::int - 1"
                     f" AS p FROM GRID [i => 0 : {n - 1}, j => 0 : {m - 1}, k => 0 : {k - 1}]")
    i, j, l = np.meshgrid(np.arange(n), np.arange(m), np.arange(k), indexing="ij")
    v = ((i * 7919 + j * 104729 + l * 1299709) % 100003) / 8
    p = (i * 31 + j * 17 + l) * 7919 % (n + 3) - 1
    pad = np.pad(v, 2, constant_values=np.nan)

    def at(a, b, c):
        return pad[2 + a:2 + a + n, 2 + b:2 + b + m, 2 + c:2 + c + k]

    def gather(rows):
        ok = (rows >= 0) & (rows < n)
        return np.where(ok, v[np.where(ok, rows, 0), j, l], np.nan)

    cases = {
        "v[#i - 1] + v[#i + 1] + v[#j - 1] + v[#j + 1] - 4 * v": at(-1, 0, 0) + at(1, 0, 0) + at(0, -1, 0) + at(0, 1, 0) - 4 * v,
        "v[#i - 2, #j + 1, #k - 1] - v[#k + 2]": at(-2, 1, -1) - at(0, 0, 2),
        "v[i => p]": gather(p),
        "v[i => p[#j => 0]] - v[i => 5]": gather(np.broadcast_to(p[:, :1], p.shape)) - v[5:6],
        f"v[#i => {n - 1} - #i] + v[#j => {m - 1} - #j]": v[::-1] + v[:, ::-1],
        "v[#i => #k, #k => 0]": np.broadcast_to(v[np.arange(k), :, 0].T[None], v.shape),
    }
    for text, want in cases.items():
        for name, conn, _ in sessions:
            got = np.array([r[0] for r in conn.execute(f"SELECT {text} FROM big").fetchall()], float).reshape(want.shape)
            count.check(np.array_equal(got, want, equal_nan=True), f"{name}: {text}: {np.nanmax(np.abs(got - want))}")
    moved = {
        f"reshape(big, [x => 0 : {m - 1}, y => 0 : {n * k - 1}])": v.reshape(m, n * k),
        "transpose(big)": v.T,
        "roll(big, i, 13)": np.roll(v, 13, axis=0),
        "diff(big, j, 2)": np.diff(v, 2, axis=1),
        f"concat(big[i => 0 : {n // 3}], big[i => {n // 3 + 1} : *], i)": v,
    }
    for text, want in moved.items():
        for name, conn, _ in sessions:
            got = np.array([r[0] for r in conn.execute(f"SELECT v FROM {text}").fetchall()]).reshape(want.shape)
            count.check(np.array_equal(got, want), f"{name}: {text}")
    for _, conn, _ in sessions[:1] + sessions[-1:]:
        conn.execute("DROP ARRAY big")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    rng = random.Random(seed())
    count = Count()
    kinds = [accesses] * 8 + [self_join, filled, transpose, reshape, roll, concat, diff]
    empty = asked = 0
    with Server(sets=["workers=4"]) as roomy, Server(sets=["workers=1", "memory_limit=64MB"]) as small:
        sessions = [("default", roomy.session(), False), ("one worker", roomy.session("max_workers = 1"), False),
                    ("no optimizer", roomy.session("optimizer = off"), False), ("tiny tiles", roomy.session(), True),
                    ("64MB", small.session(), False)]
        while asked < n:
            array = Array(rng, "a")
            g = Grid.of(array)
            for statement in array.statements():
                for conn in (sessions[0][1], sessions[-1][1]):
                    conn.execute(statement)
            for _ in range(12):
                q = rng.choice(kinds)(rng, g, array)
                if not q:
                    continue
                ask(count, sessions, q)
                asked += 1
                empty += not q.rows
            for conn in (sessions[0][1], sessions[-1][1]):
                conn.execute("DROP ARRAY a, a_tiny")
        large(count, sessions, rng)
        for _, conn, _ in sessions:
            conn.close()
    print(f"{asked} queries, {empty} without rows")
    count.check(empty < asked // 2, "most queries have an answer")
    return count.finish()


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
