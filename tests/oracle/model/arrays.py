"""Random arrays: the same cells as SQL that stores them and as NumPy columns that queries are computed from."""
import datetime
from decimal import Decimal

import numpy as np

DATE, TEXT = "date", "text"
#        SQL name   what NumPy computes it with   OID on the wire
TYPES = {"BOOLEAN": (np.dtype(bool), 16),
         "TINYINT": (np.dtype("i1"), 21), "SMALLINT": (np.dtype("i2"), 21), "INTEGER": (np.dtype("i4"), 23),
         "BIGINT": (np.dtype("i8"), 20), "UTINYINT": (np.dtype("u1"), 21), "USMALLINT": (np.dtype("u2"), 23),
         "UINTEGER": (np.dtype("u4"), 20), "UBIGINT": (np.dtype("u8"), 1700), "REAL": (np.dtype("f4"), 700),
         "DOUBLE": (np.dtype("f8"), 701), "DATE": (DATE, 1082), "TEXT": (TEXT, 25)}
OIDS = {kind: oid for kind, oid in TYPES.values()}
WORDS = ["", "a", "A", "ab", "abc", "b", "zebra", "žluť", "it's", "a%c", "_", "10", "9"]


def is_number(kind):
    return isinstance(kind, np.dtype) and kind != bool


def is_float(kind):
    return isinstance(kind, np.dtype) and kind.kind == "f"


def sql(value, kind):
    """A value as a literal; floats so that they read back exactly."""
    if value is None:
        return "NULL"
    if kind == TEXT:
        return "'" + value.replace("'", "''") + "'"
    if kind == DATE:
        return f"DATE '{value}'"
    if kind == bool:
        return "true" if value else "false"
    if is_float(kind):
        return repr(float(value)) if np.isfinite(value) and kind == np.dtype("f8") else f"'{value}'::" + \
            ("double" if kind == np.dtype("f8") else "real")
    return str(int(value))


class Column:
    """Values of one kind, and which of them are not NULL."""

    def __init__(self, kind, values, valid=None):
        self.kind, self.values = kind, values
        self.valid = np.ones(len(values), bool) if valid is None else valid

    def take(self, which):
        return Column(self.kind, self.values[which], self.valid[which])

    def list(self):
        return [v if ok else None for v, ok in zip(self.values.tolist(), self.valid.tolist())]


class Table:
    """Cells that exist, in row-major order: a column a dimension, position (#d) and attribute."""

    def __init__(self, dims, columns, lows=None):
        self.dims, self.columns = dims, columns
        self.lows = lows or {}

    def __len__(self):
        return len(next(iter(self.columns.values())).values) if self.columns else 0

    def take(self, which):
        return Table(self.dims, {n: c.take(which) for n, c in self.columns.items()}, self.lows)


class Axis:
    """One dimension: its coordinates, and how SQL declares it."""

    def __init__(self, rng, name, n):
        self.name, self.kind = name, None
        form = rng.choice(["integer", "integer", "descending", "double", "date", "month", "numbers", "texts", "grows"])
        if form in ("integer", "descending"):
            lo, step = rng.randint(-20, 20), rng.choice([1, 1, 2, 3]) * (-1 if form == "descending" else 1)
            self.kind, coords = np.dtype("i4"), [lo + k * step for k in range(n)]
            self.sql = f"INTEGER DIMENSION [{coords[0]} : {coords[-1]} : {step}]"
            self.line = (lo, step)
        elif form == "double":
            lo, step = Decimal(rng.randint(-30, 30)) / 10, Decimal(rng.choice(["0.1", "0.25", "0.3", "-0.5"]))
            self.kind, coords = np.dtype("f8"), [float(lo + k * step) for k in range(n)]
            self.sql = f"DOUBLE DIMENSION [{lo} : {lo + (n - 1) * step} : {step}]"
            self.line = (lo, step)
        elif form in ("date", "month"):
            start = datetime.date(2020, rng.randint(1, 12), 28)
            self.kind = DATE
            if form == "date":
                step = rng.choice([1, 7])
                coords = [start + datetime.timedelta(k * step) for k in range(n)]
                self.sql = f"DATE DIMENSION ['{coords[0]}' : '{coords[-1]}' : {step}]"
            else:
                coords = [datetime.date(start.year + (start.month - 1 + k) // 12, (start.month - 1 + k) % 12 + 1, 28)
                          for k in range(n)]
                self.sql = f"DATE DIMENSION ['{coords[0]}' : '{coords[-1]}' : INTERVAL '1 month']"
        elif form == "texts":
            self.kind, coords = TEXT, [f"{rng.choice('xyz')}{k}" for k in range(n)]
            self.sql = "TEXT DIMENSION (" + ", ".join(sql(x, TEXT) for x in coords) + ")"
        else:
            self.kind, coords = np.dtype("i4"), sorted(rng.sample(range(-50, 3 * n + 50), n))
            labels = ", ".join(map(str, coords))
            self.sql = f"INTEGER DIMENSION ({labels})" if form == "numbers" else "INTEGER DIMENSION"
        self.form, self.coords = form, coords

    def __len__(self):
        return len(self.coords)

    def overlapping(self, rng):
        """Another axis of the same name that lines up with this one, of another extent."""
        other = Axis.__new__(Axis)
        other.name, other.kind, other.form = self.name, self.kind, self.form
        n = len(self)
        if self.form in ("integer", "descending", "double"):
            shift, n = rng.randint(-n // 2, n // 2), max(1, n + rng.randint(-2, 3))
            lo, step = self.line[0] + shift * self.line[1], self.line[1]
            other.line = (lo, step)
            other.coords = [lo + k * step for k in range(n)]
            word = "INTEGER" if self.form != "double" else "DOUBLE"
            other.sql = f"{word} DIMENSION [{other.coords[0]} : {other.coords[-1]} : {step}]"
            if self.form == "double":
                other.coords = [float(x) for x in other.coords]
        elif self.form in ("date", "month"):
            other.coords, other.sql = self.coords, self.sql
        else:
            keep = sorted(rng.sample(range(n), rng.randint(1, n)))
            other.coords = [self.coords[k] for k in keep]
            other.sql = ("TEXT" if self.kind == TEXT else "INTEGER") + " DIMENSION (" + \
                ", ".join(sql(x, self.kind) for x in other.coords) + ")"
            if self.form == "grows":
                other.form = "numbers"
        return other


def object_array(values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


def as_array(values, kind):
    return np.array(values, kind) if isinstance(kind, np.dtype) else object_array(values)


def random_values(rng, kind, n):
    """Values with the patterns that matter: constant, sequence, few, wide; NaN and infinities."""
    if kind == TEXT:
        return object_array([rng.choice(WORDS) for _ in range(n)])
    if kind == DATE:
        return object_array([datetime.date(2019, 12, 1) + datetime.timedelta(rng.randint(0, 90)) for _ in range(n)])
    if kind == bool:
        return np.array([rng.random() < 0.5 for _ in range(n)], bool)
    pattern = rng.choice(["constant", "sequence", "few", "few", "wide", "special"])
    if is_float(kind):
        values = {"constant": lambda k: 2.5, "sequence": lambda k: k / 4, "few": lambda k: rng.choice([-1.5, 0.0, 1, 7]),
                  "wide": lambda k: rng.uniform(-1e3, 1e3) * 10.0 ** rng.randint(-8, 8),
                  "special": lambda k: rng.choice([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1.5, -2.25])}
        return np.array([values[pattern](k) for k in range(n)], kind)
    info = np.iinfo(kind)
    lo, hi = max(info.min, -2**40), min(info.max, 2**40)
    values = {"constant": lambda k: 7, "sequence": lambda k: k % 100, "few": lambda k: rng.randint(0, 4),
              "wide": lambda k: rng.randint(lo, hi),
              "special": lambda k: rng.choice([0, 1, 2, info.min, info.max]) if rng.random() < 0.1 else k % 5}
    return np.array([values[pattern](k) for k in range(n)], kind)


class Array:
    """A stored array. `tiny` is the name of its twin with tiny tiles."""

    def __init__(self, rng, name, axes=None, prefix="v"):
        self.name, self.tiny = name, name + "_tiny"
        if axes is None:
            n_dims = rng.choice([1, 2, 2, 3, 4])
            most = {1: 700, 2: 27, 3: 9, 4: 5}[n_dims] if rng.random() < 0.95 else {1: 9000, 2: 95, 3: 21, 4: 10}[n_dims]
            axes = [Axis(rng, "ijkl"[d], rng.randint(1, most)) for d in range(n_dims)]
        self.axes = axes
        n = int(np.prod([len(a) for a in axes]))
        present = self.pattern(rng, n)
        if not present.any():
            present[0] = True
        for d, axis in enumerate(axes):  # a growing axis has the labels that came, no others
            if axis.form == "grows":
                seen = np.unravel_index(np.flatnonzero(present), [len(a) for a in axes])[d]
                missing = sorted(set(range(len(axis))) - set(seen.tolist()))
                for k in missing:
                    at = [0] * len(axes)
                    at[d] = k
                    present[np.ravel_multi_index(at, [len(a) for a in axes])] = True
        cells = np.flatnonzero(present)
        at = np.unravel_index(cells, [len(a) for a in axes])
        columns = {}
        for d, axis in enumerate(axes):
            columns[axis.name] = Column(axis.kind, as_array(axis.coords, axis.kind)[at[d]])
            columns["#" + axis.name] = Column(np.dtype("i8"), at[d].astype("i8"))
        self.attrs = {}
        for k in range(rng.randint(1, 4)):
            word = rng.choice(list(TYPES))
            kind = TYPES[word][0]
            valid = self.pattern(rng, len(cells))
            columns[f"{prefix}{k}"] = Column(kind, random_values(rng, kind, len(cells)), valid)
            self.attrs[f"{prefix}{k}"] = word
        self.table = Table([a.name for a in axes], columns, {a.name: 0 for a in axes})
        self.tiles = [rng.choice(["", f" TILE {rng.randint(1, len(a) + 2)}"]) for a in axes]
        self.tiny_tiles = [f" TILE {rng.randint(1, 3)}" for a in axes]

    @staticmethod
    def pattern(rng, n):
        """Which of n are there: all, most, few, a run, every third."""
        which = rng.choice(["all", "all", "most", "few", "run", "third"])
        if which == "all":
            return np.ones(n, bool)
        if which in ("most", "few"):
            return np.array([rng.random() < (0.9 if which == "most" else 0.1) for _ in range(n)], bool)
        out = np.zeros(n, bool)
        if which == "run":
            lo = rng.randrange(n) if n else 0
            out[lo:lo + n // 2 + 1] = True
        else:
            out[::3] = True
        return out

    def statements(self):
        """CREATE and INSERT, of both twins."""
        names = self.table.dims + list(self.attrs)
        columns = [self.table.columns[n] for n in names]
        rows = ["(" + ", ".join(sql(v, c.kind) for v, c in zip(row, columns)) + ")"
                for row in zip(*[c.list() for c in columns])]
        for name, tiles in ((self.name, self.tiles), (self.tiny, self.tiny_tiles)):
            parts = [f"{a.name} {a.sql}{t}" for a, t in zip(self.axes, tiles)]
            parts += [f"{n} {word}" for n, word in self.attrs.items()]
            yield f"CREATE ARRAY {name} ({', '.join(parts)})"
            for lo in range(0, len(rows), 500):
                yield f"INSERT INTO {name} VALUES " + ", ".join(rows[lo:lo + 500])
