"""Random expressions over a table's columns: SQL text, and the value that NumPy gives for every cell."""
import numpy as np

from model.arrays import DATE, TEXT, WORDS, Column, as_array, is_float, is_number, object_array, sql

BOOL, BIGINT, INT, DOUBLE = np.dtype(bool), np.dtype("i8"), np.dtype("i4"), np.dtype("f8")


class Expr(Column):
    """weak: a literal, which takes the type of the column that it meets. error: the SQLSTATE that computing it raises."""

    def __init__(self, text, kind, values, valid, weak=False, error=None):
        super().__init__(kind, values, valid)
        self.text, self.weak, self.error = text, weak, error


def common(a, b):
    """The type that two numbers are promoted to."""
    if a.weak == b.weak:
        return np.result_type(a.kind, b.kind)
    weak, strong = (a, b) if a.weak else (b, a)
    if is_float(weak.kind) and not is_float(strong.kind):
        return DOUBLE
    return strong.kind


def first_error(*exprs):
    return next((e.error for e in exprs if e.error), None)


class Expressions:
    """Makes expressions over one table. With `safe` they raise no error on any cell."""

    def __init__(self, rng, table, safe=True):
        self.rng, self.table, self.safe = rng, table, safe
        self.n = len(table)

    def literal(self, value, kind, text=None):
        values = as_array([value] * self.n, kind)
        return Expr(text or sql(value, kind), kind, values, np.ones(self.n, bool), weak=is_number(kind))

    def column(self, wanted):
        """A column of a kind that `wanted` accepts; None when there is none."""
        names = [n for n, c in self.table.columns.items() if wanted(c.kind)]
        if not names:
            return None
        name = self.rng.choice(names)
        c = self.table.columns[name]
        return Expr(name, c.kind, c.values, c.valid)

    # ---- numbers ----

    def number(self, depth=2):
        column = self.column(is_number) if self.rng.random() < 0.9 else None
        if depth == 0 or column is None or self.rng.random() < 0.25:
            return column or self.literal(self.rng.randint(0, 9), INT)
        make = self.rng.choice([self.arithmetic, self.arithmetic, self.function, self.case, self.coalesce, self.cast,
                                self.extreme])
        for _ in range(20):
            e = make(depth - 1)
            if e is not None and not (self.safe and e.error):
                return e
        return column

    def operand(self, depth, other=None):
        if self.rng.random() < 0.4:
            return self.literal(self.rng.randint(1, 9), INT)
        if self.rng.random() < 0.2:
            return self.literal(self.rng.choice([0.5, 1.5, 2.25, 0.1]), DOUBLE)
        return self.number(depth)

    def arithmetic(self, depth):
        a, b = self.number(depth), self.operand(depth)
        if a.weak and b.weak:
            return None
        if self.rng.random() < 0.3:
            a, b = b, a
        op = self.rng.choice(["+", "-", "*", "/", "//", "%"])
        kind, valid = common(a, b), a.valid & b.valid
        if op == "/" and not is_float(kind):
            kind = DOUBLE
        text, error = f"({a.text} {op} {b.text})", first_error(a, b)
        if is_float(kind):
            x, y = a.values.astype(kind), b.values.astype(kind)
            f = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide, "//": np.floor_divide,
                 "%": np.remainder}[op]
            with np.errstate(all="ignore"):
                values = f(x, y)
            return Expr(text, kind, values, valid, error=error)
        values, info = np.zeros(self.n, kind), np.iinfo(kind)
        for k in np.flatnonzero(valid):
            x, y = int(a.values[k]), int(b.values[k])
            if op in ("//", "%") and y == 0:
                error = error or "22012"
                continue
            v = x + y if op == "+" else x - y if op == "-" else x * y if op == "*" else x // y if op == "//" else x % y
            if info.min <= v <= info.max:
                values[k] = v
            else:
                error = error or "22003"
        return Expr(text, kind, values, valid, error=error)

    def function(self, depth):
        a = self.number(depth)
        if a.weak:
            return None
        name = self.rng.choice(["abs", "sign", "floor", "ceil", "trunc", "round", "sqrt", "-", "square"])
        error, kind = a.error, a.kind
        if is_float(kind) or name == "sqrt":
            kind = kind if is_float(kind) else DOUBLE
            f = {"abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint,
                 "sqrt": np.sqrt, "-": np.negative, "square": np.square}[name]
            with np.errstate(all="ignore"):
                values = f(a.values.astype(kind))
        else:
            exact = [int(v) for v in a.values]
            exact = {"abs": lambda v: abs(v), "sign": lambda v: (v > 0) - (v < 0), "-": lambda v: -v,
                     "square": lambda v: v * v}.get(name, lambda v: v)
            info, values = np.iinfo(kind), np.zeros(self.n, kind)
            for k in np.flatnonzero(a.valid):
                v = exact(int(a.values[k]))
                if info.min <= v <= info.max:
                    values[k] = v
                else:
                    error = error or "22003"
        text = f"(- {a.text})" if name == "-" else f"{name}({a.text})"
        return Expr(text, kind, values, a.valid, error=error)

    def cast(self, depth):
        a = self.number(depth)
        word, kind = self.rng.choice([("BIGINT", BIGINT), ("INTEGER", INT), ("DOUBLE", DOUBLE), ("REAL", np.dtype("f4")),
                                      ("SMALLINT", np.dtype("i2")), ("UTINYINT", np.dtype("u1"))])
        return self.converted(a, kind, f"({a.text})::{word}")

    def converted(self, a, kind, text):
        """A number as another type; None where a float would become infinite."""
        error = a.error
        if is_float(kind):
            with np.errstate(all="ignore"):
                values = a.values.astype(kind)
            if is_float(a.kind) and np.any(np.isinf(values) & np.isfinite(a.values) & a.valid):
                return None
        else:
            info, values = np.iinfo(kind), np.zeros(self.n, kind)
            for k in np.flatnonzero(a.valid):
                v = np.rint(a.values[k]) if is_float(a.kind) else a.values[k]
                if not np.isfinite(v) or not info.min <= int(v) <= info.max:
                    error = error or "22003"
                else:
                    values[k] = int(v)
        return Expr(text, kind, values, a.valid, error=error)

    def extreme(self, depth):
        """greatest and least pass NULL over and have NaN as the largest, as in PostgreSQL."""
        a, b = self.number(depth), self.number(depth)
        if a.weak or b.weak or a.kind != b.kind or is_float(a.kind):
            return None
        name = self.rng.choice(["greatest", "least"])
        values = (np.maximum if name == "greatest" else np.minimum)(a.values, b.values)
        values = np.where(a.valid & b.valid, values, np.where(a.valid, a.values, b.values))
        return Expr(f"{name}({a.text}, {b.text})", a.kind, values, a.valid | b.valid, error=first_error(a, b))

    def case(self, depth):
        when, a, b = self.condition(depth), self.number(depth), self.operand(depth)
        if (a.weak and b.weak) or first_error(when, a, b):
            return None
        kind, yes = common(a, b), when.valid & when.values
        with np.errstate(all="ignore"):
            values = np.where(yes, a.values.astype(kind), b.values.astype(kind))
        return Expr(f"(CASE WHEN {when.text} THEN {a.text} ELSE {b.text} END)", kind, values,
                    np.where(yes, a.valid, b.valid))

    def coalesce(self, depth):
        a, b = self.number(depth), self.operand(depth)
        if (a.weak and b.weak) or first_error(a, b):
            return None
        kind = common(a, b)
        with np.errstate(all="ignore"):
            values = np.where(a.valid, a.values.astype(kind), b.values.astype(kind))
        return Expr(f"coalesce({a.text}, {b.text})", kind, values, a.valid | b.valid)

    # ---- conditions ----

    def condition(self, depth=2):
        if depth > 0 and self.rng.random() < 0.4:
            return self.rng.choice([self.both, self.both, self.negated])(depth - 1)
        for _ in range(20):
            make = self.rng.choice([self.compare, self.compare, self.compare, self.null_test, self.between, self.in_list,
                                    self.text_test, self.date_test, self.boolean])
            e = make(depth)
            if e is not None and not e.error:
                return e
        return self.literal(True, BOOL)

    def both(self, depth):
        a, b = self.condition(depth), self.condition(depth)
        at, bt, af, bf = a.valid & a.values, b.valid & b.values, a.valid & ~a.values, b.valid & ~b.values
        if self.rng.random() < 0.5:
            true, false, word = at & bt, af | bf, "AND"
        else:
            true, false, word = at | bt, af & bf, "OR"
        return Expr(f"({a.text} {word} {b.text})", BOOL, true, true | false)

    def negated(self, depth):
        a = self.condition(depth)
        return Expr(f"(NOT {a.text})", BOOL, ~a.values, a.valid)

    def comparison(self, op, a, b):
        f = {"=": np.equal, "<>": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
             ">=": np.greater_equal}[op]
        if is_number(a.kind) and (is_float(a.kind) or is_float(b.kind)):
            kind = common(a, b)
            with np.errstate(all="ignore"):
                values = f(a.values.astype(kind), b.values.astype(kind))
        else:
            texts = a.kind == TEXT  # bytewise
            x = object_array([v.encode() if texts else v for v in a.values.tolist()])
            y = object_array([v.encode() if texts else v for v in b.values.tolist()])
            values = f(x, y).astype(bool)
        return Expr(f"({a.text} {op} {b.text})", BOOL, values, a.valid & b.valid, error=first_error(a, b))

    def compare(self, depth):
        a = self.number(min(depth, 1))
        b = self.operand(0)
        if a.weak and b.weak:
            return None
        if self.rng.random() < 0.5 and self.n and not is_float(a.kind) and not a.weak and a.valid.any():
            v = int(self.rng.choice(a.values[a.valid].tolist()))
            if abs(v) >= 2**63:
                return None
            b = self.literal(v, BIGINT, f"({v})" if v < 0 else str(v))
        return self.comparison(self.rng.choice(["=", "<>", "<", "<=", ">", ">="]), a, b)

    def null_test(self, depth):
        a = self.column(lambda kind: True)
        if a is None:
            return None
        no = self.rng.random() < 0.5
        return Expr(f"({a.text} IS {'NOT ' if no else ''}NULL)", BOOL, a.valid if no else ~a.valid, np.ones(self.n, bool))

    def between(self, depth):
        a = self.column(is_number)
        if a is None:
            return None
        lo, hi = self.literal(self.rng.randint(0, 5), INT), self.literal(self.rng.randint(0, 50), INT)
        x, y = self.comparison(">=", a, lo), self.comparison("<=", a, hi)
        return Expr(f"({a.text} BETWEEN {lo.text} AND {hi.text})", BOOL, x.values & y.values, a.valid)

    def in_list(self, depth):
        a = self.column(lambda kind: is_number(kind) or kind == TEXT)
        if a is None:
            return None
        if a.kind == TEXT:
            items = [self.literal(w, TEXT) for w in self.rng.sample(WORDS, 3)]
        else:
            items = [self.literal(k, INT) for k in self.rng.sample(range(10), 3)]
        values = np.zeros(self.n, bool)
        for item in items:
            values |= self.comparison("=", a, item).values
        no = self.rng.random() < 0.3
        return Expr(f"({a.text} {'NOT ' if no else ''}IN ({', '.join(i.text for i in items)}))", BOOL,
                    ~values if no else values, a.valid)

    def text_test(self, depth):
        a = self.column(lambda kind: kind == TEXT)
        if a is None:
            return None
        if self.rng.random() < 0.5:
            return self.comparison(self.rng.choice(["=", "<>", "<", ">="]), a, self.literal(self.rng.choice(WORDS), TEXT))
        start = self.rng.choice(["a", "z", ""])
        values = np.array([v.startswith(start) for v in a.values], bool)
        return Expr(f"({a.text} LIKE '{start}%')", BOOL, values, a.valid)

    def date_test(self, depth):
        a = self.column(lambda kind: kind == DATE)
        if a is None or not self.n:
            return None
        day = self.rng.choice(a.values.tolist())
        return self.comparison(self.rng.choice(["=", "<>", "<", ">="]), a, self.literal(day, DATE))

    def boolean(self, depth):
        return self.column(lambda kind: kind == bool)

    # ---- anything ----

    def any(self):
        which = self.rng.random()
        if which < 0.6:
            return self.number(2)
        if which < 0.75:
            return self.condition(1)
        return self.column(lambda kind: True)
