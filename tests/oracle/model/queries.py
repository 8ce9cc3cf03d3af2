"""Random queries over random arrays, with the answer that NumPy gives."""
import datetime
import math

import numpy as np

from model.arrays import DATE, TEXT, Array, Axis, Column, Table, as_array, is_float, is_number, random_values, sql
from model.expressions import BIGINT, BOOL, DOUBLE, Expressions


class Near:
    """A float that only has to come near: sums, averages and what is made of them."""

    def __init__(self, value, tolerance):
        self.value, self.tolerance = value, tolerance

    def __repr__(self):
        return f"{self.value!r}±{self.tolerance:.1g}"


class Query:
    """SQL with {name} for each array, the kind of each output, and its rows (ordered or not) or its error."""

    def __init__(self, text, kinds, rows, ordered=True, error=None):
        self.text, self.kinds, self.rows, self.ordered, self.error = text, kinds, rows, ordered, error


# ---- FROM ----

def slice_axis(rng, axis):
    """An item of a slice, the positions it selects, and whether it drops the dimension."""
    n, d = len(axis), axis.name
    which = rng.choice(["all", "all", "step", "range", "range", "positions", "one", "last", "stepped range"])
    everything = list(range(n))
    if which == "all":
        return f"{d} => *", everything, False
    if which == "step":
        step = rng.randint(1, 4)
        return f"{d} => * : * : {step}", everything[::step], False
    if which == "one":
        k = rng.randrange(n)
        return f"{d} => {sql(axis.coords[k], axis.kind)}", [k], True
    if which == "last":
        return f"#{d} => -1", [n - 1], True
    lo, hi = sorted([rng.randrange(n), rng.randrange(n)])
    if which == "positions" or axis.kind == TEXT:
        return f"#{d} => {lo} : {hi}", everything[lo:hi + 1], False
    item = f"{d} => {sql(axis.coords[lo], axis.kind)} : {sql(axis.coords[hi], axis.kind)}"
    if which == "stepped range":
        step = rng.randint(1, 3)
        return f"{item} : {step}", everything[lo:hi + 1:step], False
    return item, everything[lo:hi + 1], False


def from_array(rng, array):
    """FROM an array, sliced or not: text, cells, and whether a slice steps."""
    table = array.table
    if rng.random() < 0.4:
        return "{" + array.name + "}", table, False
    items, keep, dims, stepped, lows = [], np.ones(len(table), bool), [], False, {}
    for axis in array.axes:
        item, at, drops = slice_axis(rng, axis)
        items.append(item)
        keep &= np.isin(table.columns["#" + axis.name].values, at)
        stepped |= " : " in item and item.count(" : ") == 2
        if not drops:
            dims.append(axis.name)
            lows[axis.name] = at[0] if at else 0
    text = "{" + array.name + "}[" + ", ".join(items) + "]"
    gone = set(table.dims) - set(dims)
    columns = {n: c for n, c in table.columns.items() if n.lstrip("#") not in gone}
    return text, Table(dims, columns, lows).take(keep), stepped


def filler(kind):
    return as_array({TEXT: [""], DATE: [datetime.date(2000, 1, 1)]}.get(kind, [0]), kind)


def from_join(rng, a, b, left):
    """The natural join of two arrays: cells of a with those of b at the same coordinates."""
    x, y = a.table, b.table
    shared = [d for d in x.dims if d in y.dims]
    extra = [d for d in y.dims if d not in x.dims]
    at = {}
    for k, key in enumerate(zip(*[y.columns[d].values.tolist() for d in shared])):
        at.setdefault(key, []).append(k)
    pairs = []
    for k, key in enumerate(zip(*[x.columns[d].values.tolist() for d in shared])):
        pairs += [(k, m) for m in at.get(key, [-1] if left else [])]
    i = np.array([p[0] for p in pairs], int)
    j = np.array([p[1] for p in pairs], int)
    columns = {n: c.take(i) for n, c in x.columns.items() if not n.startswith("#")}
    for n, c in y.columns.items():
        if n in extra or n in b.attrs:
            columns[n] = Column(c.kind, np.append(c.values, filler(c.kind)), np.append(c.valid, False)).take(j)  # -1: none
    word = "NATURAL LEFT JOIN" if left else "NATURAL JOIN"
    if rng.random() < 0.4:
        join = f"{{{a.name}}} {'LEFT ' if left else ''}JOIN {{{b.name}}} USING ({', '.join(shared)})"
    else:
        join = f"{{{a.name}}} {word} {{{b.name}}}"
    return join, Table(x.dims + extra, columns)


# ---- plain selects ----

def sort_key(values, valid, kind, desc, nulls_first):
    """Ranks that sort as ORDER BY does: NaN above numbers, NULL last (first when descending)."""
    distinct = {}
    real = [v for v, ok in zip(values.tolist(), valid) if ok and v == v]
    ranked = sorted(set(real), key=(lambda v: v.encode()) if kind == TEXT else None)
    distinct = {v: r for r, v in enumerate(ranked)}
    out = []
    for v, ok in zip(values.tolist(), valid):
        if not ok:
            out.append(-10**9 if nulls_first else 10**9)
        else:
            r = distinct[v] if v == v else len(ranked)
            out.append(-r if desc else r)
    return np.array(out, int)


def plain(rng, text, table, where, brackets=False):
    make = Expressions(rng, table, safe=rng.random() < 0.6)
    outs = [e for e in (make.any() for _ in range(rng.randint(1, 4))) if e is not None]
    error = next((e.error for e in outs if e.error), None)
    dims = [make_dim(table, d) for d in table.dims]
    if brackets:
        return shaped(rng, text, table, where, outs, error)
    select = ", ".join([d.text for d in dims] + [f"{e.text} AS e{k}" for k, e in enumerate(outs)])
    if not dims and not outs:
        return None
    query = f"SELECT {select} FROM {text}{where}"
    columns = dims + outs
    if error is None and rng.random() < 0.2 and outs:
        rows = list(dict.fromkeys(zip(*[key_list(c) for c in outs])))
        select = ", ".join(f"{e.text} AS e{k}" for k, e in enumerate(outs))
        return Query(f"SELECT DISTINCT {select} FROM {text}{where}", [e.kind for e in outs], rows, ordered=False)
    order = np.arange(len(table))
    sortable = [e for e in outs if e.text[0] not in "0123456789"]  # an integer there is a column's number
    if rng.random() < 0.4 and sortable:
        keys = []
        terms = []
        for e in rng.sample(sortable, rng.randint(1, min(2, len(sortable)))):
            desc, nulls = rng.random() < 0.5, rng.choice(["", "", " NULLS FIRST", " NULLS LAST"])
            first = nulls == " NULLS FIRST" or (desc and not nulls)
            keys.append(sort_key(e.values, e.valid, e.kind, desc, first))
            terms.append(f"{e.text}{' DESC' if desc else ''}{nulls}")
        for d in dims:  # axes may descend: what sorts is the coordinate
            keys.append(sort_key(d.values, d.valid, d.kind, False, False))
            terms.append(d.text)
        query += " ORDER BY " + ", ".join(terms)
        order = np.lexsort(keys[::-1]) if len(table) else order
    rows = list(zip(*[key_list(c.take(order), False) for c in columns]))
    if error is None and rng.random() < 0.3:
        n, skip = rng.randint(0, 20), rng.choice([0, 0, 1, 7])
        query += f" LIMIT {n}" + (f" OFFSET {skip}" if skip else "")
        rows = rows[skip:skip + n]
    error = error if len(table) else None
    return Query(query, [c.kind for c in columns], rows, error=error)


def shaped(rng, text, table, where, outs, error):
    """All dimensions in brackets, in any order: the cells in the order of the result, as a sub-query or not."""
    if not table.dims:
        return None
    order = rng.sample(table.dims, len(table.dims))
    rows = np.lexsort([table.columns["#" + d].values for d in reversed(order)]) if len(table) else []
    dims = [make_dim(table, d) for d in order]
    inner = f"SELECT {', '.join([f'[{d}]' for d in order] + [f'{e.text} AS e{k}' for k, e in enumerate(outs)])} FROM {text}{where}"
    columns = dims + outs
    if rng.random() < 0.5:  # a sub-query starts afresh: its positions count from its own first cell
        inner = f"SELECT * FROM ({inner}) AS q"
    values = list(zip(*[key_list(c.take(rows), False) for c in columns]))
    return Query(inner, [c.kind for c in columns], values, error=error if len(table) else None)


def make_dim(table, name):
    c = table.columns[name]
    out = Column(c.kind, c.values, c.valid)
    out.text = name
    return out


def key_list(column, fold=True):
    """Values to compare and hash: NaN as one value, and for keys 0 and -0 as one."""
    out = []
    for v, ok in zip(column.values.tolist(), column.valid.tolist()):
        if not ok:
            out.append(None)
        elif isinstance(v, float) and v != v:
            out.append("NaN")
        else:
            out.append(v + 0.0 if fold and isinstance(v, float) else v)
    return out


# ---- groups ----

def fsum(values):
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):
        with np.errstate(all="ignore"):
            return float(np.sum(np.array(values, "f8")))


class Overflow(Exception):
    pass


def integer(v, lo=-2**63, hi=2**63 - 1):
    if not lo <= v <= hi:
        raise Overflow
    return v


def aggregate(name, column, other=None, q=None):
    """The aggregate of one group's values; None is NULL."""
    values = column.values[column.valid].tolist()
    if name == "count":
        return len(values)
    if name == "count distinct":
        return len({"NaN" if v != v else v for v in values})
    if not values:
        return None
    kind = column.kind
    if name in ("bool_and", "bool_or"):
        return all(values) if name == "bool_and" else any(values)
    if name.startswith("nan"):
        real = [v for v in values if v == v]
        if not real:
            return Near(0.0, 0.0) if name == "nansum" else None
        return aggregate({"nansum": "sum", "nanmean": "avg", "nanmin": "min", "nanmax": "max"}[name],
                         Column(column.kind, np.array(real, column.kind)))
    if name in ("argmin", "argmax"):
        f = np.argmin if name == "argmin" else np.argmax
        return other.values[column.valid].tolist()[int(f(column.values[column.valid]))]
    if name in ("first", "last"):  # of distinct coordinates
        at = other.values[column.valid]
        v = values[int(np.argmin(at) if name == "first" else np.argmax(at))]
        return "NaN" if v != v else v
    if name in ("min", "max"):
        if is_float(kind) and any(v != v for v in values):
            return "NaN"
        key = (lambda v: v.encode()) if kind == TEXT else None
        v = min(values, key=key) if name == "min" else max(values, key=key)
        return Near(v, 0.0) if is_float(kind) and v == 0 else v  # 0 or -0
    if name == "sum" and not is_float(kind):
        return integer(sum(values), *((0, 2**64 - 1) if kind.kind == "u" else ()))
    if name == "prod" and not is_float(kind):
        return integer(math.prod(values), *((0, 2**64 - 1) if kind.kind == "u" else ()))
    floats = np.array(values, "f8")
    magnitude = fsum([abs(v) for v in floats if math.isfinite(v)])
    with np.errstate(all="ignore"):
        if name in ("sum", "avg"):
            exact = sum(values) if not is_float(kind) else fsum(floats)
            v = exact / (len(values) if name == "avg" else 1)
            return near(float(v), 1e-12 * abs(v) + 1e-15 * magnitude / (len(values) if name == "avg" else 1))
        if name == "prod":
            v = float(np.prod(floats))
            return near(v, 1e-12 * abs(v))
        if name in ("median", "quantile"):
            v = quantile(np.sort(floats), 0.5 if name == "median" else q)
            if v is None:
                return Near(0.0, math.inf)
            return near(v, 1e-14 * float(np.max(np.abs(floats))) if np.all(np.isfinite(floats)) else 0.0)
        if name.startswith(("var", "stddev")):
            ddof = 0 if name.endswith("_pop") else 1
            if len(values) <= ddof:
                return None
            v = float(np.var(floats, ddof=ddof)) if np.all(np.isfinite(floats)) else math.nan
            if math.isfinite(v):
                mean = fsum(floats) / len(values)
                v = fsum([(x - mean) ** 2 for x in floats]) / (len(values) - ddof)
            scale = 1e-9 * abs(v) + 1e-13 * magnitude ** 2 / len(values) ** 2
            if name.startswith("stddev"):
                return near(math.sqrt(v) if v == v else v, 1e-9 * math.sqrt(abs(v)) + math.sqrt(scale) * 1e-3)
            return near(v, scale)
    raise AssertionError(name)


def quantile(ordered, q):
    """np.quantile, but between two equal infinities is that infinity, and a value itself has no part of an infinity after it; None between others."""
    at = (len(ordered) - 1) * q
    a, b = float(ordered[math.floor(at)]), float(ordered[math.ceil(at)])
    if a == b and not np.isnan(ordered[-1]):
        return a
    if np.isnan(ordered[-1]) or (math.isfinite(a) and math.isfinite(b)):
        return float(np.quantile(ordered, q))
    return a if a == b else None


def near(v, tolerance):
    return "NaN" if v != v else Near(v, 0.0 if not math.isfinite(v) or not math.isfinite(tolerance) else tolerance)


def result_kind(name, kind):
    if name.startswith("count"):
        return BIGINT
    if name in ("bool_and", "bool_or"):
        return BOOL
    if name in ("min", "max", "nanmin", "nanmax", "first", "last"):
        return kind
    if name in ("sum", "prod", "nansum") and not is_float(kind):
        return np.dtype("u8") if kind.kind == "u" else BIGINT
    return DOUBLE


def block_key(table, axis_of, dim, size):
    """The first coordinate of each cell's block, blocks counted from the slice's first cell."""
    at = table.columns["#" + dim].values
    first = table.lows[dim] + (at - table.lows[dim]) // size * size
    kind = table.columns[dim].kind
    return Column(kind, as_array(axis_of[dim].coords, kind)[first])


def group_keys(rng, make, table, axis_of, stepped):
    """GROUP BY: what is selected, what is grouped by, and the key columns."""
    numbers = [n for n, c in table.columns.items() if is_number(c.kind) and not is_float(c.kind)]
    which = rng.choice(["none", "dims", "dims", "floor", "value", "values", "expression", "block"])
    if which == "none" or (which in ("dims", "block") and not table.dims):
        return [], [], []
    if which == "dims":
        dims = rng.sample(table.dims, rng.randint(1, len(table.dims)))
        shape = "[{}]" if rng.random() < 0.5 else "{}"
        return [shape.format(d) for d in dims], dims, [table.columns[d] for d in dims]
    if which == "block" and not stepped and axis_of:
        dims = sorted(rng.sample(table.dims, rng.randint(1, len(table.dims))))
        sizes = [rng.randint(1, 5) for _ in dims]
        keys = [block_key(table, axis_of, d, s) for d, s in zip(dims, sizes)]
        return [f"[{d}]" for d in dims], [f"BLOCK [{', '.join(f'{d} => {s}' for d, s in zip(dims, sizes))}]"], keys
    if which == "floor" and numbers:
        name, k = rng.choice(numbers), rng.randint(2, 5)
        c = table.columns[name]
        key = Column(c.kind, c.values // c.kind.type(k), c.valid)
        return [f"{name} // {k} AS key"], ["key"], [key]
    if which == "expression":
        e = make.number(1)
        if not e.weak and not e.error:
            return [f"{e.text} AS key"], ["key"], [e]
    names = rng.sample(list(table.columns), min(len(table.columns), 2 if which == "values" else 1))
    return names, names, [table.columns[n] for n in names]


def grouped(rng, text, table, where, axis_of, stepped):
    make = Expressions(rng, table)
    select, by, keys = group_keys(rng, make, table, axis_of, stepped)
    calls = []
    for _ in range(rng.randint(1, 4)):
        name = rng.choice(["count", "sum", "avg", "min", "max", "count distinct", "median", "quantile", "stddev", "var_pop",
                           "variance", "stddev_pop", "bool_and", "bool_or", "prod", "count(*)", "nansum", "nanmean", "nanmin",
                           "nanmax", "argmin", "argmax", "first", "last"])
        other = None
        if name in ("argmin", "argmax", "first", "last"):  # one dimension, whose coordinates come in order
            if len(table.dims) != 1 or not is_number(table.columns[table.dims[0]].kind):
                continue
            other = table.columns[table.dims[0]]
        q = rng.choice([0, 0.25, 0.3, 0.9, 1])
        if name in ("bool_and", "bool_or"):
            e = make.condition(1)
        elif name in ("count", "count distinct", "min", "max"):
            e = make.any() or make.number(0)
            e = make.number(0) if e.kind == BOOL and name in ("min", "max") else e
        else:
            e = make.number(1)
            if name in ("nansum", "nanmean", "nanmin", "nanmax", "argmin", "argmax"):
                e = make.column(is_float) or e
            if other and (e.weak or (name in ("first", "last") and not e.valid.all())):
                continue
        filtered = make.condition(1) if rng.random() < 0.2 else None
        argument = {"count(*)": "*", "count distinct": f"DISTINCT {e.text}", "quantile": f"{e.text}, {q}"}.get(name, e.text)
        if other:
            argument += f", {table.dims[0]}"
        call = f"{name.split('(')[0].split()[0]}({argument})" + (f" FILTER (WHERE {filtered.text})" if filtered else "")
        calls.append((name, e, q, filtered, call, other))
    if not calls and not keys:
        return None
    groups = {}
    if keys:
        for k, key in enumerate(zip(*[key_list(c) for c in keys])):
            groups.setdefault(key, []).append(k)
    else:
        groups[()] = list(range(len(table)))
    rows, error = [], None
    for key, cells in groups.items():
        row = list(key)
        for name, e, q, filtered, _, other in calls:
            at = np.array(cells, int)
            if filtered:
                at = at[(filtered.values & filtered.valid)[at]]
            try:
                row.append(len(at) if name == "count(*)" else aggregate(name, e.take(at), other and other.take(at), q))
            except Overflow:
                error = "22003"
        rows.append(tuple(row))
    text = f"SELECT {', '.join(select + [c[4] + f' AS a{k}' for k, c in enumerate(calls)])} FROM {text}{where}"
    if by:
        text += f" GROUP BY {', '.join(by)}"
    kinds = [c.kind for c in keys] + [c[5].kind if c[0] in ("argmin", "argmax") else result_kind(c[0], c[1].kind) for c in calls]
    counts = [k for k, c in enumerate(calls) if c[0].startswith("count")]
    if counts and by and rng.random() < 0.4:
        at, least = counts[0], rng.randint(1, 4)
        text += f" HAVING {calls[at][4]} >= {least}"
        if error is None:
            rows = [row for row in rows if row[len(keys) + at] >= least]
        else:
            error = "unsure"
    return Query(text, kinds, rows, ordered=False, error=error)


# ---- all of it ----

class Change:
    """A statement that changes an array, with the error it raises or None; the model has changed already."""

    def __init__(self, text, array, error):
        self.text, self.array, self.error = text, array, error

    def cells(self):
        table = self.array.table
        names = table.dims + list(self.array.attrs)
        columns = [table.columns[n] for n in names]
        rows = list(zip(*[key_list(c, False) for c in columns]))
        return Query(f"SELECT {', '.join(names)} FROM {{{self.array.name}}}", [c.kind for c in columns], rows)


def target(rng, array):
    """What UPDATE and DELETE change: text after the name, and the cells."""
    table, text = array.table, ""
    mask = np.ones(len(table), bool)
    if rng.random() < 0.4:
        items = []
        for axis in array.axes:
            item, at, _ = slice_axis(rng, axis)
            items.append(item)
            mask &= np.isin(table.columns["#" + axis.name].values, at)
        text = "[" + ", ".join(items) + "]"
    return text, mask


def condition(rng, array, text, mask):
    """WHERE, over what the target leaves; a dimension that its slice dropped has no name."""
    if rng.random() < 0.3:
        return "", mask
    names = set(array.attrs) if text else set(array.table.columns)
    columns = {n: c for n, c in array.table.columns.items() if n in names}
    e = Expressions(rng, Table([], columns)).condition(1)
    return f" WHERE {e.text}", mask & e.valid & e.values


def update(rng, array):
    table, (text, mask) = array.table, target(rng, array)
    where, mask = condition(rng, array, text, mask)
    name = rng.choice(list(array.attrs))
    kind = table.columns[name].kind
    hit = table.take(mask)
    if is_number(kind):
        columns = {n: c for n, c in hit.columns.items() if n in array.attrs or not text}
        make = Expressions(rng, Table([], columns), safe=rng.random() < 0.7)
        e = make.number(1)
        new = make.converted(e, kind, e.text)
        if new is None:
            return None
    else:
        new = Expressions(rng, hit).literal(random_values(rng, kind, 1).tolist()[0], kind)
    error = new.error if len(hit) else None
    if error is None:
        old = table.columns[name]
        values, valid = old.values.copy(), old.valid.copy()
        values[mask], valid[mask] = new.values, new.valid
        table.columns[name] = Column(kind, values, valid)
    return Change(f"UPDATE {{{array.name}}}{text} SET {name} = {new.text}{where}", array, error)


def delete(rng, array):
    text, mask = target(rng, array)
    where, mask = condition(rng, array, text, mask)
    array.table = array.table.take(~mask)
    return Change(f"DELETE FROM {{{array.name}}}{text}{where}", array, None)


def insert(rng, array):
    """Cells at random places, some of which may be taken."""
    table, shape = array.table, [len(a) for a in array.axes]
    size = int(np.prod(shape))
    places = sorted(rng.sample(range(size), rng.randint(1, min(size, 12))))
    taken = np.ravel_multi_index([table.columns["#" + a.name].values for a in array.axes], shape) if len(table) else np.array([], int)
    clash = np.isin(places, taken)
    names = list(array.attrs)
    new = {n: Column(table.columns[n].kind, random_values(rng, table.columns[n].kind, len(places)),
                     np.array([rng.random() < 0.8 for _ in places], bool)) for n in names}
    at = np.unravel_index(places, shape)
    rows = []
    for k in range(len(places)):
        row = [sql(a.coords[at[d][k]], a.kind) for d, a in enumerate(array.axes)]
        rows.append("(" + ", ".join(row + [sql(c.list()[k], c.kind) for c in new.values()]) + ")")
    how = rng.choice(["", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE", " ON CONFLICT DO NOTHING", " ON CONFLICT DO UPDATE"])
    set_name = rng.choice(names)
    if how.endswith("UPDATE"):
        how = f" ON CONFLICT ({', '.join(table.dims)}) DO UPDATE SET {set_name} = excluded.{set_name}"
    statement = f"INSERT INTO {{{array.name}}} VALUES {', '.join(rows)}{how}"
    if not how and clash.any():
        return Change(statement, array, "23505")
    keep_new = np.ones(len(places), bool) if how == " ON CONFLICT REPLACE" else ~clash
    keep_old = ~np.isin(taken, places) if how == " ON CONFLICT REPLACE" else np.ones(len(taken), bool)
    for d, a in enumerate(array.axes):
        new[a.name] = Column(a.kind, as_array(a.coords, a.kind)[at[d]])
        new["#" + a.name] = Column(BIGINT, at[d].astype("i8"))
    if "UPDATE" in how:
        old, at_old = table.columns[set_name], {place: k for k, place in enumerate(taken.tolist())}
        values, valid = old.values.copy(), old.valid.copy()
        for k in np.flatnonzero(clash):
            values[at_old[places[k]]], valid[at_old[places[k]]] = new[set_name].values[k], new[set_name].valid[k]
        table.columns[set_name] = Column(old.kind, values, valid)
    order = np.argsort(np.concatenate([taken[keep_old], np.array(places)[keep_new]]), kind="stable")
    columns = {}
    for n, c in table.columns.items():
        x, y = c.take(keep_old), new[n].take(keep_new)
        columns[n] = Column(c.kind, np.concatenate([x.values, y.values])[order], np.concatenate([x.valid, y.valid])[order])
    array.table = Table(table.dims, columns, table.lows)
    return Change(statement, array, None)


def update_from(rng, array, other):
    """Values of another array's cells at the same coordinates."""
    x, y = array.table, other.table
    pairs = [(n, m) for n in array.attrs for m in other.attrs if x.columns[n].kind == y.columns[m].kind]
    if not pairs or not set(y.dims) <= set(x.dims):
        return None
    n, m = rng.choice(pairs)
    at = {key: k for k, key in enumerate(zip(*[y.columns[d].values.tolist() for d in y.dims]))}
    hits = [at.get(key, -1) for key in zip(*[x.columns[d].values.tolist() for d in y.dims])]
    old, source = x.columns[n], y.columns[m]
    values, valid = old.values.copy(), old.valid.copy()
    for k, hit in enumerate(hits):
        if hit >= 0:
            values[k], valid[k] = source.values[hit], source.valid[hit]
    x.columns[n] = Column(old.kind, values, valid)
    on = " AND ".join(f"t.{d} = s.{d}" for d in y.dims)
    return Change(f"UPDATE {{{array.name}}} AS t SET {n} = s.{m} FROM {{{other.name}}} AS s WHERE {on}", array, None)


class World:
    """Arrays to ask about, numbered from `first`, and pairs of them that can be joined."""

    def __init__(self, rng, n, first=0):
        self.rng = rng
        self.arrays = [Array(rng, f"a{k}") for k in range(first, first + n)]
        self.pairs = []
        for k, a in enumerate(self.arrays, first):
            axes = [x.overlapping(rng) for x in a.axes if x.form != "grows" and rng.random() < 0.7]
            if not axes:
                continue
            if rng.random() < 0.3 and len(a.axes) < 4:
                axes.append(Axis(rng, "m", rng.randint(1, 3)))
            rng.shuffle(axes)
            b = Array(rng, f"b{k}", axes, prefix="w")
            self.pairs.append((a, b))

    def all(self):
        return self.arrays + [b for _, b in self.pairs]

    def change(self):
        if self.pairs and self.rng.random() < 0.2:
            return update_from(self.rng, *self.rng.sample(self.rng.choice(self.pairs), 2))
        return self.rng.choice([update, delete, insert, insert])(self.rng, self.rng.choice(self.all()))

    def undone(self):
        """A change that is to be rolled back: the model stays as it was."""
        before = [(a, a.table) for a in self.all()]
        for a, table in before:
            a.table = Table(table.dims, dict(table.columns), table.lows)
        statement = self.change()
        for a, table in before:
            a.table = table
        return statement

    def query(self):
        """One query, sometimes as a sub-query or a WITH of another, or with rows added to its own."""
        rng, q = self.rng, self.simple()
        if q is None or q.error or rng.random() < 0.7:
            return q
        names = [f"c{k}" for k in range(len(q.kinds))]
        ordered = q.ordered and " ORDER BY " not in q.text  # an order inside promises nothing outside
        kind = q.kinds[0]
        which = rng.choice(["sub-query", "with", "count", "union"])
        if which == "union":
            if not rng.random() < 0.5 or " ORDER BY " in q.text or " LIMIT " in q.text:
                return q
            return Query(f"{q.text} UNION ALL {q.text}", q.kinds, q.rows + q.rows, ordered=q.ordered)
        if which == "count":
            n = len([row for row in q.rows if row[0] is not None])
            return Query(f"SELECT count(*), count(c0) FROM ({q.text}) AS q ({', '.join(names)})", [BIGINT, BIGINT],
                         [(len(q.rows), n)])
        keep = [row for row in q.rows if row[0] is not None] if rng.random() < 0.5 else q.rows
        where = " WHERE c0 IS NOT NULL" if keep is not q.rows else ""
        if which == "with" and ordered:
            return Query(f"WITH q ({', '.join(names)}) AS ({q.text}) SELECT {names[-1]}, c0 FROM q{where}",
                         [q.kinds[-1], kind], [(row[-1], row[0]) for row in keep], ordered=ordered)
        return Query(f"SELECT {', '.join(names)} FROM ({q.text}) AS q ({', '.join(names)}){where}", q.kinds, keep,
                     ordered=ordered)

    def simple(self):
        rng, axis_of, stepped = self.rng, None, True
        if self.pairs and rng.random() < 0.25:
            a, b = rng.choice(self.pairs)
            left = all(d in a.table.dims for d in b.table.dims) and rng.random() < 0.4
            text, table = from_join(rng, a, b, left)
        else:
            a = rng.choice(self.all())
            text, table, stepped = from_array(rng, a)
            axis_of = {x.name: x for x in a.axes}
        where = ""
        if rng.random() < 0.5:
            condition = Expressions(rng, table).condition(2)
            where = f" WHERE {condition.text}"
            table = table.take(condition.valid & condition.values)
        if rng.random() < 0.5:
            return plain(rng, text, table, where, axis_of is not None and rng.random() < 0.3)
        return grouped(rng, text, table, where, axis_of, stepped)
