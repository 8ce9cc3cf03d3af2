#!/usr/bin/python3
"""Windows of cells, OVER [ … ], computed by NumPy too: window_test.py [queries, default 250].

Random arrays of one to three dimensions, with EMPTY cells, NULL and NaN, tiles that don't divide them, and windows by
position and by coordinate with each kind of edge. Answers must be those of np.pad and reductions of what it gives, and the
same bytes whatever the workers, memory, tiles and plan. A failure can be repeated with the seed that is printed:
TESSERA_SEED=…"""
import math
import os
import random
import sys

import numpy as np
import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

NAMES = "xyz"
TYPES = {"TINYINT": np.int8, "SMALLINT": np.int16, "INTEGER": np.int32, "BIGINT": np.int64, "UTINYINT": np.uint8,
         "USMALLINT": np.uint16, "UINTEGER": np.uint32, "UBIGINT": np.uint64, "REAL": np.float32, "DOUBLE": np.float64,
         "BOOLEAN": np.bool_, "TEXT": object, "DATE": "datetime64[D]"}
EDGES = {"SHRINK": None, "NULL": None, "NEAREST": "edge", "REFLECT": "reflect", "WRAP": "wrap"}


class Near0(float):
    """A variance that is lost in rounding."""


class Axis:
    def __init__(self, rng, name):
        self.name, self.n = name, rng.choice([1, 2, 5, 9, 14, 23, 40])
        self.kind = rng.choice(["integer", "from below 0", "step", "descending", "float", "labels", "date", "grows"])
        lo = {"from below 0": -7, "date": 18993}.get(self.kind, rng.randrange(0, 50))
        step = {"step": 3, "descending": -1, "float": 0.1}.get(self.kind, 1)
        if self.kind == "labels":
            self.coords = np.cumsum([rng.randrange(1, 6) for _ in range(self.n)])
        elif self.kind == "float":
            self.coords = np.array([(3 + k) / 10 for k in range(self.n)])
        else:
            self.coords = lo + step * np.arange(self.n)
        self.tile = rng.choice([None, None, 1, 3, 7, 16])

    def text(self, k):
        if self.kind == "date":
            return f"DATE '{np.datetime64(int(self.coords[k]), 'D')}'"
        return repr(float(self.coords[k])) if self.kind == "float" else str(self.coords[k])

    def define(self):
        tile = f" TILE {self.tile}" if self.tile else ""
        first, last = self.text(0), self.text(self.n - 1)
        if self.kind == "labels":
            return f"{self.name} INTEGER DIMENSION ({', '.join(map(str, self.coords))}){tile}"
        step = {"step": " : 3", "descending": " : -1", "float": " : 0.1"}.get(self.kind, "")
        kind = {"float": "DOUBLE", "date": "DATE"}.get(self.kind, "INTEGER")
        if self.kind == "grows":
            last = "*"
        return f"{self.name} {kind} DIMENSION [{first} : {last}{step}]{tile}"

    def item(self, rng, edge):
        """An item of a window, and for each cell its virtual positions [lo, hi)."""
        n, name = self.n, self.name
        at = np.arange(n)
        a, b = sorted(rng.choices([-30, -5, -3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 4, 7, 25], k=2))
        shift = lambda k: f"+ {k}" if k > 0 else f"- {-k}" if k else ""  # noqa: E731
        how = rng.randrange(8)
        if how == 0:
            return f"* : #{name} {shift(b)}", 0 * at, at + b + 1
        if how == 1:
            return f"#{name} {shift(a)} : *", at + a, 0 * at + n
        if how == 2:
            return f"{name} => * : *", 0 * at, 0 * at + n
        if how == 3:
            k = rng.randrange(n)
            return f"#{name} => {k} : #{name}", 0 * at + k, at + 1
        by_coordinate = how >= 6 and not (self.kind == "labels" and EDGES[edge])
        if not by_coordinate:
            return f"#{name} {shift(a)} : #{name} {shift(b)}", at + a, at + b + 1
        unit = 0.1 if self.kind == "float" else 1
        lo, hi = self.coords + a * unit, self.coords + b * unit
        sign = -1 if self.kind == "descending" else 1
        text = [shift(a), shift(b)]
        if self.kind == "float":
            text = [f"{'+' if k > 0 else '-'} {abs(k) / 10}" if k else "" for k in (a, b)]
        first = np.round(self.coords[0], 9)
        if self.kind == "labels":
            los, his = np.searchsorted(self.coords, lo), np.searchsorted(self.coords, hi, side="right")
            self.beyond = (lo < first) | (hi > self.coords[-1])
        else:
            step = {"step": 3, "descending": -1, "float": 0.1}.get(self.kind, 1)
            ends = sorted([a * sign, b * sign])
            los = at + math.ceil(round(ends[0] * unit / abs(step), 9))
            his = at + math.floor(round(ends[1] * unit / abs(step), 9)) + 1
        return f"{name} {text[0]} : {name} {text[1]}", los, np.maximum(his, los)


class Array:
    def __init__(self, rng, name):
        self.name = name
        self.axes = [Axis(rng, NAMES[d]) for d in range(rng.choice([1, 1, 2, 2, 3]))]
        while math.prod(a.n for a in self.axes) > 700:
            self.axes = [Axis(rng, NAMES[d]) for d in range(len(self.axes))]
        shape = tuple(a.n for a in self.axes)
        gen = np.random.default_rng(rng.randrange(1 << 32))
        self.type = rng.choice(list(TYPES))
        self.present = gen.random(shape) < rng.choice([1, 1, 0.8, 0.3])
        self.valid = gen.random(shape) < rng.choice([1, 1, 0.7])
        kind = TYPES[self.type]
        if self.type == "TEXT":
            self.v = np.array(["", "a", "b", "bb", "long text number one", "long text number two"], object)[gen.integers(0, 6, shape)]
        elif self.type == "DATE":
            self.v = gen.integers(0, 40, shape).astype("datetime64[D]")
        elif self.type == "BOOLEAN":
            self.v = gen.random(shape) < 0.5
        elif np.issubdtype(kind, np.floating):
            spread = 30 if kind == np.float64 else 8
            self.v = (gen.integers(-1000, 1000, shape) * 10.0 ** gen.integers(-spread, spread, shape) / 7).astype(kind) \
                if rng.random() < 0.5 else (gen.integers(-100, 100, shape) / 4).astype(kind)
            if rng.random() < 0.5:
                self.v[gen.random(shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        else:
            high = min(int(np.iinfo(kind).max), 1 << 40)
            self.v = gen.integers(max(int(np.iinfo(kind).min), -high), high, shape, endpoint=True).astype(kind)
        self.w = gen.integers(0, 9, shape)

    def literal(self, v):
        if self.type == "TEXT":
            return f"'{v}'"
        if self.type == "DATE":
            return f"DATE '{v}'"
        if self.type in ("REAL", "DOUBLE"):
            return repr(float(v)) if np.isfinite(v) else f"'{'NaN' if np.isnan(v) else 'Infinity' if v > 0 else '-Infinity'}'"
        return str(v)

    def statements(self):
        dims = ", ".join(a.define() for a in self.axes)
        yield f"CREATE ARRAY {self.name} ({dims}, v {self.type}, w INTEGER)"
        rows = []
        for at in zip(*np.nonzero(self.present)):
            place = ", ".join(a.text(k) for a, k in zip(self.axes, at))
            rows.append(f"({place}, {self.literal(self.v[at]) if self.valid[at] else 'NULL'}, {self.w[at]})")
        if rows:
            yield f"INSERT INTO {self.name} VALUES {', '.join(rows)}"

    def edges_known(self):
        """A growing axis ends at its last cell, and may not have one."""
        for d, a in enumerate(self.axes):
            others = tuple(k for k in range(len(self.axes)) if k != d)
            used = np.nonzero(self.present.any(axis=others))[0]
            if a.kind == "grows" and (len(used) == 0 or used[-1] != a.n - 1):
                return False
        return True


def total(values):
    if any(math.isnan(x) for x in values) or (math.inf in values and -math.inf in values):
        return math.nan
    return math.fsum(values)


def extreme(values, best):
    return math.nan if any(isinstance(x, float) and math.isnan(x) for x in values) else best(values)


def mode(values):
    count = {}
    for x in values:
        key = "nan" if x != x else x
        count[key] = count.get(key, 0) + 1
    most = max(count.values())
    rest = [x for x in count if count[x] == most and x != "nan"]
    return min(rest) if rest else math.nan


def variance(values, ddof):
    if len(values) <= ddof:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    with np.errstate(all="ignore"):
        mean = math.fsum(values) / len(values)
        spread = math.fsum((x - mean) ** 2 for x in values) / (len(values) - ddof)
        return spread if spread > 1e-25 * mean * mean else Near0(mean * mean * 1e-25)


def quantile(values, q):
    at = q * (len(values) - 1)
    if at == int(at) and not any(x != x for x in values):
        return float(sorted(values)[int(at)])  # NumPy goes from it to an infinite neighbour by nothing: NaN
    with np.errstate(all="ignore"):
        return float(np.quantile(np.array(values, float), q))


def distinct(values):
    return {"nan" if x != x else x for x in values}


ANY = {
    "count(v)": len,
    "count(DISTINCT v)": lambda x: len(distinct(x)),
    "min(v)": lambda x: extreme(x, min) if x else None,
    "max(v)": lambda x: extreme(x, max) if x else None,
    "mode(v)": lambda x: mode(x) if x else None,
}
NUMERIC = {
    "sum(v)": lambda x: (total(x) if isinstance(x[0], float) else sum(x)) if x else None,
    "avg(v)": lambda x: (total(x) / len(x) if isinstance(x[0], float) else sum(x) / len(x)) if x else None,
    "median(v)": lambda x: quantile(x, 0.5) if x else None,
    "quantile(v, 0.3)": lambda x: quantile(x, 0.3) if x else None,
    "var_pop(v)": lambda x: variance(x, 0),
    "variance(v)": lambda x: variance(x, 1),
    "sum(DISTINCT v)": lambda x: (total(distinct(x) - {"nan"} | ({math.nan} if "nan" in distinct(x) else set()))
                                  if isinstance(x[0], float) else sum(set(x))) if x else None,
}
LOOSE = ("var", "avg", "median", "quantile")    # the last bit may be another's


def model(array, items, edge, where, filtered, call):
    """The result of each cell: a list in row-major order of those that exist; None: NULL."""
    shape = array.v.shape
    seen = array.present & where
    sources = []
    for d, a in enumerate(array.axes):
        n = a.n
        lo, hi, leaves = np.arange(n), np.arange(n) + 1, np.zeros(n, bool)
        if d in items:
            lo, hi = items[d][1], items[d][2]
            hi = np.maximum(lo, hi)
            leaves = (hi > lo) & ((lo < 0) | (hi > n))
            if items[d][3] is not None:
                leaves = items[d][3]
        before, after = max(0, -lo.min()), max(0, hi.max() - n)
        if EDGES[edge]:
            ids = np.pad(np.arange(n), (before, after), mode=EDGES[edge] if n > 1 else "edge")
        else:
            ids = np.pad(np.arange(n), (before, after), constant_values=-1)
        sources.append([(ids[lo[k] + before:hi[k] + before], leaves[k]) for k in range(n)])
    out = []
    counts = seen & array.valid & filtered
    values = array.v.tolist()
    for at in zip(*np.nonzero(seen)):
        picked = [sources[d][k] for d, k in enumerate(at)]
        if edge == "NULL" and any(leaves for _, leaves in picked):
            out.append(None)
            continue
        ids = [s[s >= 0] for s, _ in picked]
        cells = []
        for pos in np.array(np.meshgrid(*ids, indexing="ij")).reshape(len(shape), -1).T:
            pos = tuple(pos)
            if call == "count(*)":
                cells += [1] if seen[pos] and filtered[pos] else []
            elif counts[pos]:
                x = values
                for k in pos:
                    x = x[k]
                cells.append(x)
        out.append((ANY | NUMERIC | {"count(*)": len})[call](cells))
    return out


def close(got, want, call, kind):
    if want is None or got is None:
        return want is None and got is None
    if kind is np.float32 and call[:3] in ("min", "max", "mod"):
        got, want = float(np.float32(got)), float(want)
    if isinstance(want, Near0):
        return float(got) <= want
    if isinstance(want, float) and (math.isnan(want) or math.isnan(float(got))):
        return math.isnan(want) and math.isnan(float(got)) or (not math.isfinite(float(got)) and call.startswith(LOOSE))
    if isinstance(want, (float, int)) and not isinstance(want, bool):
        if call.startswith(LOOSE) or isinstance(want, float):
            scale = 1e-9 if call.startswith("var") else 1e-14
            return float(got) == want or abs(float(got) - want) <= scale * max(abs(want), 1e-300)
        return got == want
    return got == want


def question(rng, array):
    edge = rng.choice(list(EDGES))
    calls = list(ANY) + ["count(*)"]
    if array.type not in ("TEXT", "DATE", "BOOLEAN"):
        calls += list(NUMERIC) * 2
    call = rng.choice(calls)
    items = {}
    for d, a in enumerate(array.axes):
        if rng.random() < 0.75 or not items and d == len(array.axes) - 1:
            a.beyond = None
            items[d] = a.item(rng, edge) + (a.beyond,)
    where = filtered = np.ones(array.v.shape, bool)
    clause = condition = ""
    if rng.random() < 0.3:
        k = rng.randrange(9)
        where, clause = array.w >= k, f" WHERE w >= {k}"
    if rng.random() < 0.2:
        d = rng.randrange(len(array.axes))
        k = rng.randrange(array.axes[d].n)
        reach = np.arange(array.axes[d].n) <= k
        where = where & reach.reshape([-1 if i == d else 1 for i in range(len(array.axes))])
        clause += (" AND " if clause else " WHERE ") + f"#{array.axes[d].name} <= {k}"
    if rng.random() < 0.2:
        filtered, condition = array.w % 3 > 0, " FILTER (WHERE w % 3 > 0)"
    window = f"([{', '.join(items[d][0] for d in items)}] EDGE {edge})"
    sql = f"SELECT v, {call}{condition} OVER {window} FROM {array.name}{clause}"
    return sql, call, lambda: model(array, items, edge, where, filtered, call)


def ask(count, sessions, sql, call, want, kind):
    first = None
    for name, conn in sessions:
        try:
            rows = conn.execute(sql).fetchall()
        except psycopg.Error as e:
            rows = f"{e.sqlstate} {e}"
        if first is not None:
            text = [list(map(repr, r)) for r in rows] if isinstance(rows, list) else rows
            count.check(text == first, f"{name}: another answer: {sql}\n  {str(text)[:600]}\n  {str(first)[:600]}")
            continue
        first = [list(map(repr, r)) for r in rows] if isinstance(rows, list) else rows
        if isinstance(rows, str):
            over = "22003" in rows and call.startswith(("sum", "prod"))
            count.check(over, f"{sql}\n  {rows}")
            continue
        want = want()
        got = [r[1] for r in rows]
        good = len(got) == len(want) and all(close(g, w, call, kind) for g, w in zip(got, want))
        count.check(good, f"{sql}\n  got    {str(got)[:800]}\n  wanted {str(want)[:800]}")


def rolling(count, sessions, rng):
    """A larger array against sliding_window_view and cumsum."""
    n, m = rng.randrange(300, 900), rng.randrange(40, 90)
    for _, conn in sessions[:1] + sessions[-1:]:
        conn.execute(f"CREATE ARRAY large (t INTEGER DIMENSION [0 : {n - 1}] TILE 37, x INTEGER DIMENSION [0 : {m - 1}] TILE 29,"
                     " v DOUBLE)")
        conn.execute(f"INSERT INTO large SELECT [t], [x], ((t * 7919 + x * 104729) % 100003) / 4 AS v"
                     f" FROM GRID [t => 0 : {n - 1}, x => 0 : {m - 1}]")
    t, x = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    v = ((t * 7919 + x * 104729) % 100003) / 4
    views = np.lib.stride_tricks.sliding_window_view
    k = rng.randrange(1, 60)
    cases = {
        f"avg(v) OVER ([#t - {k} : #t + {k}, #x - 2 : #x + 2] EDGE WRAP)":
            views(np.pad(v, ((k, k), (2, 2)), mode="wrap"), (2 * k + 1, 5)).mean(axis=(2, 3)),
        f"max(v) OVER ([#t - {k} : #t + {k}] EDGE REFLECT)":
            views(np.pad(v, ((k, k), (0, 0)), mode="reflect"), 2 * k + 1, axis=0).max(axis=2),
        f"median(v) OVER ([#x - {k % 7} : #x + {k % 7}] EDGE NEAREST)":
            np.median(views(np.pad(v, ((0, 0), (k % 7, k % 7)), mode="edge"), 2 * (k % 7) + 1, axis=1), axis=2),
        "sum(v) OVER [* : t]": np.cumsum(v, axis=0),
        "sum(v) OVER [* : x]": np.cumsum(v, axis=1),
        "sum(v) OVER [x : *]": np.cumsum(v[:, ::-1], axis=1)[:, ::-1],
        "max(v) OVER [* : t]": np.maximum.accumulate(v, axis=0),
        "sum(v) OVER [* : t, * : x]": np.cumsum(np.cumsum(v, axis=0), axis=1),
        "sum(v) OVER [t => * : *]": np.broadcast_to(v.sum(axis=0), v.shape),
    }
    for call, want in cases.items():
        first = None
        for name, conn in sessions:
            got = np.array([r[0] for r in conn.execute(f"SELECT {call} FROM large").fetchall()]).reshape(want.shape)
            if first is None:
                first = got
                count.check(np.allclose(got, want, rtol=1e-13, atol=0), f"{call}: {np.abs(got - want).max()}")
            count.check(np.array_equal(got, first), f"{name}: another answer: {call}")
    for _, conn in sessions[:1] + sessions[-1:]:
        conn.execute("DROP ARRAY large")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    rng = random.Random(seed())
    count = Count()
    with Server(sets=["workers=4"]) as roomy, Server(sets=["workers=1", "memory_limit=64MB", "tile_size=512B"]) as small:
        sessions = [("default", roomy.connect()), ("one worker", roomy.connect()), ("plain plans", roomy.connect()),
                    ("64 MB, tiny tiles", small.connect())]
        sessions[1][1].execute("SET max_workers = 1")
        sessions[2][1].execute("SET optimizer = off")
        asked = 0
        while asked < n:
            array = Array(rng, "a")
            if not array.edges_known():
                continue
            for _, conn in sessions[:1] + sessions[-1:]:
                conn.execute("DROP ARRAY IF EXISTS a")
                for sql in array.statements():
                    conn.execute(sql)
            for _ in range(8):
                ask(count, sessions, *question(rng, array), TYPES[array.type])
                asked += 1
        rolling(count, sessions, rng)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
