"""Random chains of sub-queries, each over the one before: the cells that a filter, a window, a grouping, a join … leaves are those that the
next one begins with. Everything in between is exact, so that the answer is."""
import itertools

import numpy as np

from model.arrays import DATE, TEXT, Column, Table, as_array, is_float, is_number, sql
from model.expressions import BIGINT, BOOL, INT, Expressions
from model.queries import Near, Overflow, Query, aggregate, filler, grouped, key_list, plain, result_kind, slice_axis, sort_key

MOST_CELLS = 600


class Relation:
    """A FROM item. axes: of each dimension the coordinates in order, or None where only the cells are known. steps: a slice that
    leaves cells out, whose positions are the array's yet."""

    def __init__(self, text, table, axes=None, steps=False):
        self.text, self.table, self.axes, self.steps = text, table, axes, steps

    def names(self):
        return list(self.table.columns)

    def attrs(self):
        return [n for n in self.table.columns if n not in self.table.dims]

    def places(self):
        """Each cell's position on each axis."""
        at = [{c: p for p, c in enumerate(self.axes[d])} for d in self.table.dims]
        return list(zip(*[[a[c] for c in self.table.columns[d].values.tolist()] for a, d in zip(at, self.table.dims)]))


class Unclear(Exception):
    """The answer hangs on which of 0 and -0 is met first."""


def one_zero(*columns):
    for c in columns:
        if is_float(c.kind):
            zeros = c.values[c.valid & (c.values == 0)]
            if len(set(np.signbit(zeros).tolist())) > 1:
                raise Unclear


class Names:
    """Names that no other column or FROM item has."""

    def __init__(self):
        self.n = 0

    def __call__(self, letter="x"):
        self.n += 1
        return f"{letter}{self.n}"


def column(kind, values):
    """From Python values, None for NULL and "NaN" for NaN."""
    fill = filler(kind).tolist()[0]
    return Column(kind, as_array([fill if v is None else float("nan") if v == "NaN" else v for v in values], kind),
                  np.array([v is not None for v in values], bool))


def row_major(table, axes):
    at = [{c: p for p, c in enumerate(axes[d])} for d in table.dims]
    keys = [np.array([a[c] for c in table.columns[d].values.tolist()], int) for a, d in zip(at, table.dims)]
    return table.take(np.lexsort(keys[::-1])) if len(table) else table


def relation_of(text, columns, dims, axes):
    """With dimensions first and, where the axes are known, in row-major order."""
    table = Table(dims, {**{d: columns[d] for d in dims}, **columns})
    return Relation(text, row_major(table, axes) if dims and axes else table, axes if dims else {})


def kept(rel, attrs=None):
    """A select list of all dimensions, bracketed, and attributes."""
    return [f"[{d}]" for d in rel.table.dims] + (rel.attrs() if attrs is None else attrs)


def base(rng, arrays):
    """An array or a slice of one."""
    array = rng.choice([a for a in arrays if len(a.table) <= MOST_CELLS] or [None])
    if array is None:
        return None
    columns, axes, items, keep = array.table.columns, {}, [], np.ones(len(array.table), bool)
    sliced, steps = rng.random() < 0.5, False
    for axis in array.axes:
        item, at, drops = slice_axis(rng, axis) if sliced else ("", list(range(len(axis))), False)
        items.append(item)
        keep &= np.isin(columns["#" + axis.name].values, at)
        steps |= len(at) > 1 and at[1] - at[0] > 1
        if not drops:
            axes[axis.name] = [axis.coords[k] for k in at]
    text = "{" + array.name + "}" + (f"[{', '.join(items)}]" if sliced else "")
    gone = set(array.table.dims) - set(axes)
    table = Table(list(axes), {n: c for n, c in columns.items() if n[0] != "#" and n not in gone}).take(keep)
    return Relation(text, table, axes, steps)


# ---- steps that keep the shape ----

def where(rng, rel, new, arrays):
    e = Expressions(rng, rel.table).condition(1)
    return Relation(f"(SELECT {', '.join(kept(rel))} FROM {rel.text} AS {new('q')} WHERE {e.text})", rel.table.take(e.valid & e.values), rel.axes)


def compute(rng, rel, new, arrays):
    make = Expressions(rng, rel.table)
    e = make.number(2) if rng.random() < 0.7 else make.condition(1)
    if e.weak or e.text == "true":
        return None
    name = new()
    text = f"(SELECT {', '.join(kept(rel))}, {e.text} AS {name} FROM {rel.text} AS {new('q')})"
    return Relation(text, Table(rel.table.dims, {**rel.table.columns, name: Column(e.kind, e.values, e.valid)}), rel.axes)


def exact_call(rng, table, extremes=True):
    """An aggregate whose result has no rounding: text, kind, function of a group's cells."""
    make = Expressions(rng, table)
    name = rng.choice(["count(*)", "count", "count distinct", "sum", "min", "max", "bool_or", "bool_and"])
    if name == "count(*)":
        return "count(*)", BIGINT, lambda at: len(at)
    whole = lambda kind: is_number(kind) and not is_float(kind)  # noqa: E731
    wanted = {"sum": whole, "min": lambda k: k != bool, "max": lambda k: k != bool, "bool_or": lambda k: k == bool,
              "bool_and": lambda k: k == bool}.get(name, lambda k: True)
    e = make.column(wanted)
    if e is None:
        return None
    inside = make.condition(1) if rng.random() < 0.2 else None
    argument = f"DISTINCT {e.text}" if name == "count distinct" else e.text
    text = f"{name.split()[0]}({argument})" + (f" FILTER (WHERE {inside.text})" if inside else "")

    def value(at):
        at = np.array(at, int)
        v = aggregate(name, e.take(at[(inside.valid & inside.values)[at]] if inside else at))
        return v.value + 0.0 if isinstance(v, Near) else v  # extremes are never -0
    return text, result_kind(name, e.kind), value


def span(rng, d, n):
    """A window's item, and the positions it covers."""
    which = rng.choice(["near", "near", "left", "right", "all"])
    if which == "near":
        before, after = rng.randint(0, 3), rng.randint(0, 3)
        return f"#{d} - {before} : #{d} + {after}", lambda p: range(max(0, p - before), min(n, p + after + 1))
    if which == "left":
        return f"#{d} => * : #{d}", lambda p: range(0, p + 1)
    if which == "right":
        return f"#{d} => #{d} : *", lambda p: range(p, n)
    return f"#{d} => * : *", lambda p: range(n)


def afresh(rel, new):
    """With positions of its own."""
    return Relation(f"(SELECT {', '.join(kept(rel))} FROM {rel.text} AS {new('q')})", rel.table, rel.axes) if rel.steps else rel


def cell_window(rng, rel, new, arrays):
    if not rel.table.dims or rel.axes is None:
        return None
    rel = afresh(rel, new)
    call = exact_call(rng, rel.table)
    if call is None:
        return None
    dims = rel.table.dims
    over = set(rng.sample(dims, rng.randint(1, min(2, len(dims)))))
    items = {d: span(rng, d, len(rel.axes[d])) for d in dims if d in over}
    places = rel.places()
    at = {p: k for k, p in enumerate(places)}
    values = []
    for place in places:
        spans = [items[d][1](p) if d in items else (p,) for d, p in zip(dims, place)]
        values.append(call[2]([at[p] for p in itertools.product(*spans) if p in at]))
    name = new()
    text = f"(SELECT {', '.join(kept(rel))}, {call[0]} OVER [{', '.join(i[0] for i in items.values())}] AS {name} FROM {rel.text} AS {new('q')})"
    return Relation(text, Table(dims, {**rel.table.columns, name: column(call[1], values)}), rel.axes)


def total_order(rng, rel):
    """ORDER BY that leaves no ties, as text, and the sequence of cells; a list of rows is ordered by all that it shows."""
    names = rel.table.dims or rel.names()
    if not rel.table.dims:
        one_zero(*rel.table.columns.values())
    first = [rng.choice(rel.names())] if rng.random() < 0.6 else []
    terms, keys = [], []
    for n in first + [x for x in names if x not in first]:
        c, desc = rel.table.columns[n], rng.random() < 0.3
        nulls = rng.choice(["", "", " NULLS FIRST", " NULLS LAST"])
        terms.append(f"{n}{' DESC' if desc else ''}{nulls}")
        keys.append(sort_key(c.values, c.valid, c.kind, desc, nulls == " NULLS FIRST" or (desc and not nulls)))
    return ", ".join(terms), (np.lexsort(keys[::-1]) if len(rel.table) else np.arange(0)), terms


def row_window(rng, rel, new, arrays):
    if not rel.table.dims:
        return None
    order, sequence, _ = total_order(rng, rel)
    by = rng.sample(rel.names(), rng.choice([0, 1, 1, 2]) if len(rel.names()) > 1 else 0)
    parts = {}
    keys = list(zip(*[key_list(rel.table.columns[n]) for n in by])) if by else [()] * len(rel.table)
    for k in sequence.tolist():
        parts.setdefault(keys[k], []).append(k)
    which, out = rng.choice(["row_number", "lag", "lead", "first_value", "last_value", "aggregate", "aggregate"]), [None] * len(rel.table)
    over = f"OVER ({f'PARTITION BY {chr(44).join(by)} ' if by else ''}ORDER BY {order}"
    if which == "aggregate":
        call = exact_call(rng, rel.table)
        if call is None or "DISTINCT" in call[0]:
            return None
        lo, hi = rng.randint(0, 3), rng.randint(0, 2)
        framed = rng.random() < 0.6
        text = f"{call[0]} {over}{f' ROWS BETWEEN {lo} PRECEDING AND {hi} FOLLOWING' if framed else ''})"
        for cells in parts.values():
            for at, k in enumerate(cells):
                out[k] = call[2](cells[max(0, at - lo):at + hi + 1] if framed else cells[:at + 1])
        kind = call[1]
    else:
        name, n = rng.choice(rel.names()), rng.randint(0, 3)
        values, kind = key_list(rel.table.columns[name], False), rel.table.columns[name].kind
        for cells in parts.values():
            for at, k in enumerate(cells):
                if which == "row_number":
                    out[k] = at + 1
                elif which in ("lag", "lead"):
                    to = at - n if which == "lag" else at + n
                    out[k] = values[cells[to]] if 0 <= to < len(cells) else None
                else:
                    out[k] = values[cells[0] if which == "first_value" else cells[at]]
        if which == "row_number":
            kind = BIGINT
        argument = {"row_number": "", "lag": f"{name}, {n}", "lead": f"{name}, {n}"}.get(which, name)
        text = f"{which}({argument}) {over})"
    new_name = new()
    text = f"(SELECT {', '.join(kept(rel))}, {text} AS {new_name} FROM {rel.text} AS {new('q')})"
    return Relation(text, Table(rel.table.dims, {**rel.table.columns, new_name: column(kind, out)}), rel.axes)


def member(rng, rel, new, arrays):
    """WHERE … IN, EXISTS and the like, of another array's values."""
    other = base(rng, arrays)
    pair = other and comparable(rng, rel, other)
    if not pair:
        return None
    if rng.random() < 0.5:
        other = where(rng, other, new, arrays)
    x, y = (r.table.columns[n] for r, n in zip((rel, other), pair))
    values = key_list(y)
    some, has_null = {v for v in values if v is not None and v != "NaN"}, None in values
    which = rng.choice(["IN", "NOT IN", "EXISTS", "NOT EXISTS"])
    q, r = new("q"), new("q")
    if which.endswith("IN"):
        condition = f"{q}.{pair[0]} {which} (SELECT {pair[1]} FROM {other.text} AS {r})"
    else:
        condition = f"{which} (SELECT 1 FROM {other.text} AS {r} WHERE {r}.{pair[1]} = {q}.{pair[0]})"
    keep = []
    for v in key_list(x):
        hit = v is not None and v in some
        if which in ("IN", "EXISTS"):
            keep.append(hit)
        elif which == "NOT EXISTS":
            keep.append(not hit)
        else:
            keep.append(not values or (v is not None and not hit and not has_null))
    return Relation(f"(SELECT {', '.join(kept(rel))} FROM {rel.text} AS {q} WHERE {condition})", rel.table.take(np.array(keep, bool)), rel.axes)


def beside(rng, rel, new, arrays):
    """A correlated scalar sub-query as a column."""
    other = base(rng, arrays)
    pair = other and comparable(rng, rel, other)
    call = exact_call(rng, other.table) if pair else None
    if call is None:
        return None
    keys, at = key_list(other.table.columns[pair[1]]), {}
    for k, v in enumerate(keys):
        if v is not None and v != "NaN":
            at.setdefault(v, []).append(k)
    out = [call[2](at.get(v, []) if v is not None else []) for v in key_list(rel.table.columns[pair[0]])]
    q, r, name = new("q"), new("q"), new()
    text = f"(SELECT {', '.join(kept(rel))}, (SELECT {call[0]} FROM {other.text} AS {r} WHERE {r}.{pair[1]} = {q}.{pair[0]}) AS {name} FROM {rel.text} AS {q})"
    return Relation(text, Table(rel.table.dims, {**rel.table.columns, name: column(call[1], out)}), rel.axes)


# ---- array functions ----

def array_function(rng, rel, new, arrays):
    dims = rel.table.dims
    if not dims or rel.axes is None or not rel.attrs():
        return None
    rel = afresh(rel, new)
    size = int(np.prod([len(rel.axes[d]) for d in dims]))
    which = rng.choice(["filled", "roll", "transpose", "reshape"])
    columns, axes = rel.table.columns, rel.axes
    places = rel.places()
    if which == "filled":
        if size > MOST_CELLS:
            return None
        name = rng.choice(rel.attrs())
        kind = columns[name].kind
        value = {TEXT: "filler", DATE: None}.get(kind, True if kind == bool else 7)
        if value is None:
            return None
        at = {p: k for k, p in enumerate(places)}
        every = list(itertools.product(*[range(len(axes[d])) for d in dims]))
        new_columns = {d: column(columns[d].kind, [axes[d][p[n]] for p in every]) for n, d in enumerate(dims)}
        for n in rel.attrs():
            values = key_list(columns[n], False)
            new_columns[n] = column(columns[n].kind, [values[at[p]] if p in at else value if n == name else None for p in every])
        return relation_of(f"filled({rel.text}, {name} => {sql(value, kind)})", new_columns, dims, axes)
    if which == "roll":
        d, by = rng.choice(dims), rng.randint(-4, 4)
        n, at = len(axes[d]), dims.index(d)
        moved = column(columns[d].kind, [axes[d][(p[at] + by) % n] for p in places])
        return relation_of(f"roll({rel.text}, {d}, {by})", {**columns, d: moved}, dims, axes)
    if which == "transpose":
        order = rng.sample(dims, len(dims))
        return relation_of(f"transpose({rel.text}, {', '.join(order)})", columns, order, axes)
    name, lo = new("d"), rng.randint(-5, 5)
    flat = np.ravel_multi_index(tuple(np.array(places, int).T), [len(axes[d]) for d in dims]) if places else np.array([], int)
    new_columns = {name: column(BIGINT, [lo + int(k) for k in flat]), **{n: columns[n] for n in rel.attrs()}}
    return relation_of(f"reshape({rel.text}, [{name} => {lo} : {lo + size - 1}])", new_columns, [name], {name: list(range(lo, lo + size))})


# ---- groups ----

def grouped_by(rel, keys, calls):
    """Rows of keys and results, one a group."""
    groups = {}
    for k, key in enumerate(zip(*[key_list(c) for c in keys])):
        groups.setdefault(key, []).append(k)
    return [key + tuple(call[2](cells) for call in calls) for key, cells in groups.items()]


def some_calls(rng, rel, new):
    calls = [c for c in (exact_call(rng, rel.table) for _ in range(rng.randint(1, 3))) if c is not None]
    return calls, [new() for _ in calls]


def having(rng, calls, rows, n_keys):
    """A condition on one of the results."""
    if rng.random() < 0.7 or not calls:
        return "", rows
    k = rng.randrange(len(calls))
    if calls[k][1] != BIGINT:
        return f" HAVING {calls[k][0]} IS NOT NULL", [r for r in rows if r[n_keys + k] is not None]
    least = rng.randint(0, 4)
    return f" HAVING {calls[k][0]} > {least}", [r for r in rows if r[n_keys + k] is not None and r[n_keys + k] > least]


def group_dims(rng, rel, new, arrays):
    if not rel.table.dims:
        return None
    dims = rng.sample(rel.table.dims, rng.randint(1, len(rel.table.dims)))
    calls, names = some_calls(rng, rel, new)
    if not calls:
        return None
    rows = grouped_by(rel, [rel.table.columns[d] for d in dims], calls)
    more, rows = having(rng, calls, rows, len(dims))
    columns = {n: column(k, [r[i] for r in rows]) for i, (n, k) in
               enumerate(zip(dims + names, [rel.table.columns[d].kind for d in dims] + [c[1] for c in calls]))}
    select = [f"[{d}]" for d in dims] + [f"{c[0]} AS {n}" for c, n in zip(calls, names)]
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {new('q')} GROUP BY {', '.join(dims)}{more})"
    return relation_of(text, columns, dims, rel.axes and {d: rel.axes[d] for d in dims})


def group_windows(rng, rel, new, arrays):
    """Windows over the groups of the same SELECT."""
    by = rng.sample(rel.names(), rng.randint(1, min(2, len(rel.names()))))
    calls, names = some_calls(rng, rel, new)
    if not calls:
        return None
    rows = grouped_by(rel, [rel.table.columns[n] for n in by], calls)
    more, rows = having(rng, calls, rows, len(by))
    kinds = [rel.table.columns[n].kind for n in by] + [c[1] for c in calls]
    groups = Table([], {n: column(k, [r[i] for r in rows]) for i, (n, k) in enumerate(zip(by + names, kinds))})
    texts, keys, terms = dict(zip(by + names, by + [c[0] for c in calls])), [], []
    for n in ([rng.choice(names)] if rng.random() < 0.5 else []) + by:
        c, desc = groups.columns[n], rng.random() < 0.3
        terms.append(f"{texts[n]}{' DESC' if desc else ''}")
        keys.append(sort_key(c.values, c.valid, c.kind, desc, desc))
    sequence = np.lexsort(keys[::-1]).tolist() if rows else []
    part, parts = rng.choice(by + names) if rng.random() < 0.4 else None, {}
    values = key_list(groups.columns[part]) if part else [None] * len(rows)
    for k in sequence:
        parts.setdefault(values[k], []).append(k)
    of, name, out = rng.choice(names), new(), [None] * len(rows)
    which = rng.choice(["row_number", "lag", "max" if groups.columns[of].kind != BOOL else "count"])
    shown = key_list(groups.columns[of], False)
    for cells in parts.values():
        for at, k in enumerate(cells):
            if which in ("max", "count"):
                v = aggregate(which, groups.columns[of].take(np.array(cells[:at + 1], int)))
                out[k] = v.value + 0.0 if isinstance(v, Near) else v
            else:
                out[k] = at + 1 if which == "row_number" else shown[cells[at - 1]] if at else None
    kind = groups.columns[of].kind if which in ("lag", "max") else BIGINT
    call = f"{which}({'' if which == 'row_number' else texts[of]})"
    over = f"OVER ({f'PARTITION BY {texts[part]} ' if part else ''}ORDER BY {', '.join(terms)})"
    select = by + [f"{c[0]} AS {n}" for c, n in zip(calls, names)] + [f"{call} {over} AS {name}"]
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {new('q')} GROUP BY {', '.join(by)}{more})"
    return Relation(text, Table([], {**groups.columns, name: column(kind, out)}), {})


def group_blocks(rng, rel, new, arrays):
    """BLOCK, with a key by value or without."""
    if not rel.table.dims or rel.axes is None:
        return None
    rel = afresh(rel, new)
    dims = [d for d in rel.table.dims if rng.random() < 0.7] or rel.table.dims[:1]
    sizes = [rng.randint(1, 4) for _ in dims]
    places = rel.places()
    at = [rel.table.dims.index(d) for d in dims]
    keys = [column(rel.table.columns[d].kind, [rel.axes[d][p[n] // s * s] for p in places]) for d, n, s in zip(dims, at, sizes)]
    calls, names = some_calls(rng, rel, new)
    if not calls:
        return None
    by = f"BLOCK [{', '.join(f'{d} => {s}' for d, s in zip(dims, sizes))}]"
    value = rng.choice(rel.attrs()) if rel.attrs() and rng.random() < 0.5 else None
    if value:
        keys.append(rel.table.columns[value])
        by = rng.choice([f"{by}, {value}", f"{value}, {by}"])
    rows = grouped_by(rel, keys, calls)
    more, rows = having(rng, calls, rows, len(keys))
    head = dims + ([value] if value else [])
    columns = {n: column(k, [r[i] for r in rows]) for i, (n, k) in enumerate(zip(head + names, [k.kind for k in keys] + [c[1] for c in calls]))}
    select = [d if value else f"[{d}]" for d in dims] + ([value] if value else []) + [f"{c[0]} AS {n}" for c, n in zip(calls, names)]
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {new('q')} GROUP BY {by}{more})"
    return relation_of(text, columns, [] if value else dims, {} if value else {d: rel.axes[d][::s] for d, s in zip(dims, sizes)})


def group_values(rng, rel, new, arrays):
    by = rng.sample(rel.names(), rng.randint(1, min(2, len(rel.names()))))
    calls, names = some_calls(rng, rel, new)
    rows = grouped_by(rel, [rel.table.columns[n] for n in by], calls)
    more, rows = having(rng, calls, rows, len(by))
    kinds = [rel.table.columns[n].kind for n in by] + [c[1] for c in calls]
    columns = {n: column(k, [r[i] for r in rows]) for i, (n, k) in enumerate(zip(by + names, kinds))}
    select = by + [f"{c[0]} AS {n}" for c, n in zip(calls, names)]
    return Relation(f"(SELECT {', '.join(select)} FROM {rel.text} AS {new('q')} GROUP BY {', '.join(by)}{more})", Table([], columns), {})


def grouping_sets(rng, rel, new, arrays):
    by = rng.sample(rel.names(), rng.randint(1, min(3, len(rel.names()))))
    calls, names = some_calls(rng, rel, new)
    which = rng.choice(["ROLLUP", "CUBE", "GROUPING SETS"])
    if which == "ROLLUP":
        sets = [by[:n] for n in range(len(by), -1, -1)]
    elif which == "CUBE":
        sets = [list(s) for n in range(len(by), -1, -1) for s in itertools.combinations(by, n)]
    else:
        sets = [rng.sample(by, rng.randint(0, len(by))) for _ in range(rng.randint(1, 3))]
        by = [n for n in by if any(n in s for s in sets)]
        if not by:
            return None
    inside = ", ".join(by) if which != "GROUPING SETS" else ", ".join(f"({', '.join(s)})" for s in sets)
    rows, marks = [], [new() for _ in by]
    for s in sets:
        at = [by.index(n) for n in s]
        found = grouped_by(rel, [rel.table.columns[n] for n in s], calls) if s else [tuple(c[2](list(range(len(rel.table)))) for c in calls)]
        for row in found:
            key = [None] * len(by)
            for i, v in zip(at, row):
                key[i] = v
            rows.append(tuple(key) + tuple(int(n not in s) for n in by) + row[len(s):])
    kinds = [rel.table.columns[n].kind for n in by] + [INT] * len(by) + [c[1] for c in calls]
    columns = {n: column(k, [r[i] for r in rows]) for i, (n, k) in enumerate(zip(by + marks + names, kinds))}
    select = by + [f"grouping({n}) AS {m}" for n, m in zip(by, marks)] + [f"{c[0]} AS {n}" for c, n in zip(calls, names)]
    return Relation(f"(SELECT {', '.join(select)} FROM {rel.text} AS {new('q')} GROUP BY {which} ({inside}))", Table([], columns), {})


# ---- rows ----

def some_rows(rng, rel, new, arrays):
    """ORDER BY … LIMIT."""
    order, sequence, _ = total_order(rng, rel)
    n, skip = rng.randint(0, 40), rng.choice([0, 0, 3])
    names = rel.names()
    text = f"(SELECT {', '.join(names)} FROM {rel.text} AS {new('q')} ORDER BY {order} LIMIT {n}{f' OFFSET {skip}' if skip else ''})"
    return Relation(text, Table([], rel.table.columns).take(sequence[skip:skip + n]), {})


def one_of_each(rng, rel, new, arrays):
    """DISTINCT, or DISTINCT ON: the first of each group in an order."""
    names = rel.names()
    if rng.random() < 0.4:
        names = rng.sample(names, rng.randint(1, len(names)))
        rows = dict.fromkeys(zip(*[key_list(rel.table.columns[n]) for n in names]))
        one_zero(*[rel.table.columns[n] for n in names])
        columns = {n: column(rel.table.columns[n].kind, [r[i] for r in rows]) for i, n in enumerate(names)}
        return Relation(f"(SELECT DISTINCT {', '.join(names)} FROM {rel.text} AS {new('q')})", Table([], columns), {})
    one_zero(*rel.table.columns.values())
    order, sequence, terms = total_order(rng, rel)
    n = rng.randint(1, len(terms))
    on = [t.split()[0] for t in terms[:n]]
    seen, keep = set(), []
    keys = list(zip(*[key_list(rel.table.columns[x]) for x in on]))
    for k in sequence.tolist():
        if keys[k] not in seen:
            seen.add(keys[k])
            keep.append(k)
    text = f"(SELECT DISTINCT ON ({', '.join(on)}) {', '.join(names)} FROM {rel.text} AS {new('q')} ORDER BY {order})"
    return Relation(text, Table([], rel.table.columns).take(np.array(keep, int)), {})


def union(rng, rel, new, arrays):
    names = rel.names()
    a, b = where(rng, rel, new, arrays), where(rng, rel, new, arrays)
    x, y = (list(zip(*[key_list(r.table.columns[n]) for n in names])) for r in (a, b))
    one_zero(*rel.table.columns.values())
    word = rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
    rows = {"UNION": list(dict.fromkeys(x + y)), "UNION ALL": x + y, "INTERSECT": [r for r in dict.fromkeys(x) if r in set(y)],
            "EXCEPT": [r for r in dict.fromkeys(x) if r not in set(y)]}[word]
    columns = {n: column(rel.table.columns[n].kind, [r[i] for r in rows]) for i, n in enumerate(names)}
    some = ", ".join(names)
    return Relation(f"(SELECT {some} FROM {a.text} AS {new('q')} {word} SELECT {some} FROM {b.text} AS {new('q')})", Table([], columns), {})


# ---- joins ----

def comparable(rng, a, b, apart=True):
    """A column of each that can be compared; not two dimensions, which would have to line up."""
    names = [(x, y) for x in a.names() for y in b.names() if not (apart and x in a.table.dims and y in b.table.dims)]
    ok = lambda k, m: k == m or (is_number(k) and is_number(m) and not is_float(k) and not is_float(m))  # noqa: E731
    names = [(x, y) for x, y in names if ok(a.table.columns[x].kind, b.table.columns[y].kind)]
    return rng.choice(names) if names else None


def matches(left, right, kept_left, kept_right):
    """Pairs of cells with equal keys; -1 where the other side has none."""
    at, out, met = {}, [], set()
    for m, key in enumerate(right):
        if None not in key and "NaN" not in key:
            at.setdefault(key, []).append(m)
    for k, key in enumerate(left):
        hits = at.get(key, [])
        out += [(k, m) for m in hits]
        met.update(hits)
        if kept_left and not hits:
            out.append((k, -1))
    return out + [(-1, m) for m in range(len(right)) if kept_right and m not in met]


def padded(c, at):
    return Column(c.kind, np.append(c.values, filler(c.kind)), np.append(c.valid, False)).take(np.array(at, int))


WORDS = [("JOIN", False, False), ("JOIN", False, False), ("LEFT JOIN", True, False), ("RIGHT JOIN", False, True), ("FULL JOIN", True, True)]


def shortened(rng, rel, new, arrays):
    """Another FROM item: an array after a step or two."""
    for _ in range(rng.randint(0, 2)):
        rel = rng.choice([where, compute, cell_window, row_window, group_dims])(rng, rel, new, arrays) or rel
    return rel


def value_join(rng, rel, new, arrays):
    other = base(rng, arrays)
    other = other and shortened(rng, other, new, arrays)
    pair = other and comparable(rng, rel, other)
    if not pair:
        return None
    word, left, right = rng.choice(WORDS)
    keys = [[(v,) for v in key_list(r.table.columns[n])] for r, n in zip((rel, other), pair)]
    pairs = matches(*keys, left, right)
    if len(pairs) > 4 * MOST_CELLS:
        return None
    q, r, columns, select = new("q"), new("q"), {}, []
    for side, relation, alias in ((0, rel, q), (1, other, r)):
        for n in rng.sample(relation.names(), rng.randint(1, len(relation.names()))):
            name = new()
            columns[name] = padded(relation.table.columns[n], [p[side] for p in pairs])
            select.append(f"{alias}.{n} AS {name}")
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {q} {word} {other.text} AS {r} ON {q}.{pair[0]} = {r}.{pair[1]})"
    return Relation(text, Table([], columns), {})


def dimension_join(rng, rel, new, arrays):
    """With something made of the same array, whose axes line up."""
    if not rel.table.dims or rel.axes is None:
        return None
    rel = afresh(rel, new)
    other = group_dims(rng, rel, new, arrays) if rng.random() < 0.5 else shortened(rng, where(rng, rel, new, arrays), new, arrays)
    if other is None:
        return None
    word, left, right = rng.choice(WORDS)
    shared = [d for d in rel.table.dims if d in other.table.dims]
    broadcasts = len(shared) < len(rel.table.dims)
    if not shared or (broadcasts and right):
        return None
    keys = [list(zip(*[r.table.columns[d].values.tolist() for d in shared])) for r in (rel, other)]
    pairs = matches(*keys, left, right)
    columns = {}
    for d in rel.table.dims:
        c = padded(rel.table.columns[d], [p[0] for p in pairs])
        if d in shared:
            e = padded(other.table.columns[d], [p[1] for p in pairs])
            c = Column(c.kind, np.where(c.valid, c.values, e.values), c.valid | e.valid)
        columns[d] = c
    q, r = new("q"), new("q")
    select = [f"[{d}]" for d in rel.table.dims]
    for side, relation, alias in ((0, rel, q), (1, other, r)):
        for n in relation.attrs():
            name = new()
            columns[name] = padded(relation.table.columns[n], [p[side] for p in pairs])
            select.append(f"{alias}.{n} AS {name}")
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {q} {word} {other.text} AS {r} USING ({', '.join(shared)}))"
    return relation_of(text, columns, rel.table.dims, rel.axes)


def asof_join(rng, rel, new, arrays):
    """The latest row of a side that has each time once."""
    other = base(rng, arrays)
    other = other and group_dims(rng, other, new, arrays)
    if other is None or len(other.table.dims) != 1:
        return None
    t = other.table.dims[0]
    y = other.table.columns[t]
    if y.kind == TEXT:
        return None
    names = [n for n in rel.names() if rel.table.columns[n].kind == y.kind and n not in rel.table.dims]
    if not names:
        return None
    name, left, op = rng.choice(names), rng.random() < 0.5, rng.choice([">=", ">", "<=", "<"])
    f = {">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, "<": lambda a, b: a < b}[op]
    times, pairs = y.values.tolist(), []
    for k, (v, ok) in enumerate(zip(rel.table.columns[name].values.tolist(), rel.table.columns[name].valid.tolist())):
        fits = [m for m in range(len(times)) if ok and f(v, times[m])]
        if fits:
            pairs.append((k, (max if op[0] == ">" else min)(fits, key=lambda m: times[m])))
        elif left:
            pairs.append((k, -1))
    q, r, columns, select = new("q"), new("q"), {}, []
    for side, relation, alias in ((0, rel, q), (1, other, r)):
        for n in relation.names():
            out = new()
            columns[out] = padded(relation.table.columns[n], [p[side] for p in pairs])
            select.append(f"{alias}.{n} AS {out}")
    text = f"(SELECT {', '.join(select)} FROM {rel.text} AS {q} ASOF {'LEFT ' if left else ''}JOIN {other.text} AS {r} ON {q}.{name} {op} {r}.{t})"
    return Relation(text, Table([], columns), {})


STEPS = [where, where, compute, compute, cell_window, cell_window, row_window, row_window, member, beside, array_function, array_function, group_dims,
         group_dims, group_blocks, group_blocks, group_values, group_windows, group_windows, grouping_sets, some_rows, one_of_each, union, value_join, dimension_join, dimension_join,
         asof_join]


def composition(rng, arrays):
    rel, new = base(rng, arrays), Names()
    if rel is None:
        return None
    for _ in range(rng.randint(1, 5)):
        try:
            after = rng.choice(STEPS)(rng, rel, new, arrays)
        except (Overflow, Unclear):
            continue
        if after is None or len(after.table) > 4 * MOST_CELLS or not after.names() or len(after.text) > 4000:
            continue
        rel = after
    return finish(rng, rel, new)


def finish(rng, rel, new):
    """The outermost SELECT."""
    try:
        return outermost(rng, rel, new)
    except Unclear:
        return None


def outermost(rng, rel, new):
    which, text = rng.random(), f"{rel.text} AS {new('q')}"
    if which < 0.2:
        return grouped(rng, text, rel.table, "", None, True)
    if which < 0.4 and rel.axes is not None and rel.table.dims:
        return plain(rng, text, rel.table, "")
    names, ordered = rel.names(), False
    columns = [rel.table.columns[n] for n in names]
    query = f"SELECT {', '.join(names)} FROM {text}"
    if which < 0.6:
        order, sequence, _ = total_order(rng, rel)
        columns, query, ordered = [c.take(sequence) for c in columns], f"{query} ORDER BY {order}", True
        if rng.random() < 0.5:
            n = rng.randint(0, 20)
            columns, query = [c.take(slice(0, n)) for c in columns], f"{query} LIMIT {n}"
    return Query(query, [c.kind for c in columns], list(zip(*[key_list(c, not ordered) for c in columns])), ordered=ordered)
