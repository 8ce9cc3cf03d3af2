"""Random queries that look at other cells than their own: windows, values at other cells, joins by value, sub-queries, set operations."""
import itertools

import numpy as np

from model.arrays import TEXT, Column, Table, is_float, is_number, sql
from model.expressions import BIGINT, Expressions
from model.queries import Overflow, Query, aggregate, filler, key_list, result_kind, sort_key

MOST_CELLS = 400  # of an array that is gone through cell by cell


class Region:
    """Where the FROM item's cells lie: which cell is at a position of each dimension (absolute ones), and the region's ends."""

    def __init__(self, array, table, lows, highs):
        self.dims = [a for a in array.axes if a.name in table.dims]
        self.low = [lows[a.name] for a in self.dims]
        self.high = [highs[a.name] for a in self.dims]
        columns = [table.columns["#" + a.name].values.tolist() for a in self.dims]
        self.cells = {at: k for k, at in enumerate(zip(*columns))} if columns else {}
        self.places = list(zip(*columns))


def base(rng, arrays):
    """FROM a whole array or a slice of runs: text, array, cells, region."""
    array = rng.choice([a for a in arrays if len(a.table) <= MOST_CELLS] or [None])
    if array is None:
        return None
    text, table, lows, highs = "{" + array.name + "}", array.table, {}, {}
    for axis in array.axes:
        lows[axis.name], highs[axis.name] = 0, len(axis) - 1
    if rng.random() < 0.3:
        items, keep = [], np.ones(len(table), bool)
        for axis in array.axes:
            lo, hi = sorted([rng.randrange(len(axis)), rng.randrange(len(axis))])
            items.append(f"#{axis.name} => {lo} : {hi}")
            lows[axis.name], highs[axis.name] = lo, hi
            at = table.columns["#" + axis.name].values
            keep &= (at >= lo) & (at <= hi)
        text += "[" + ", ".join(items) + "]"
        table = table.take(keep)
    return text, array, table, Region(array, table, lows, highs)


def filtered(rng, table):
    if rng.random() < 0.6:
        return "", np.ones(len(table), bool)
    e = Expressions(rng, table).condition(1)
    return f" WHERE {e.text}", e.valid & e.values


# ---- windows of cells ----

def window_item(rng, axis):
    """A bracket item and what it covers: position → list of positions, past the ends too; None: to the end."""
    d, n = axis.name, len(axis)
    which = rng.choice(["positions", "positions", "coordinates", "open left", "open right", "all"])
    before, after = rng.randint(-1, 3), rng.randint(0, 3)
    if which == "coordinates" and axis.form in ("integer", "descending"):
        step = abs(axis.line[1])
        item = f"{d} - {before * step} : {d} + {after * step}"
        if axis.form == "integer":
            return item, lambda p: (p - before, p + after)
        return item, lambda p: tuple(sorted((p - after, p + before)))  # descending: both orders mean the same
    if which == "open left":
        return f"* : #{d}" if rng.random() < 0.5 and axis.kind != TEXT else f"#{d} => * : #{d}", lambda p: (None, p)
    if which == "open right":
        return f"#{d} : *", lambda p: (p, None)
    if which == "all":
        return f"{d} => * : *", lambda p: (None, None)
    lo = f"#{d} - {before}" if before >= 0 else f"#{d} + {-before}"
    return f"{lo} : #{d} + {after}", lambda p: (p - before, p + after)


def reflect(p, lo, hi):
    n = hi - lo
    if n == 0:
        return lo
    k = (p - lo) % (2 * n)
    return lo + (k if k <= n else 2 * n - k)


def covered(lo, hi, first, last, edge):
    """Positions of one dimension that a window covers; None: EDGE NULL and it leaves the array."""
    lo, hi = first if lo is None else lo, last if hi is None else hi
    out = []
    for p in range(lo, hi + 1):
        if first <= p <= last:
            out.append(p)
        elif edge == "NULL":
            return None
        elif edge == "NEAREST":
            out.append(min(max(p, first), last))
        elif edge == "WRAP":
            out.append(first + (p - first) % (last - first + 1))
        elif edge == "REFLECT":
            out.append(reflect(p, first, last))
    return out


def windowed(rng, arrays):
    """agg(x) OVER [ … ] beside the cells."""
    found = base(rng, arrays)
    if found is None or not len(found[2]):
        return None
    text, array, table, region = found
    where, mask = filtered(rng, table)
    names = rng.sample(range(len(region.dims)), rng.randint(1, min(2, len(region.dims))))
    items = {d: window_item(rng, region.dims[d]) for d in names}
    edge = rng.choice(["", "", "SHRINK", "NULL", "NEAREST", "REFLECT", "WRAP"])
    calls = []
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(["count(*)", "count", "sum", "avg", "min", "max", "median", "variance", "stddev_pop", "bool_or"])
        make = Expressions(rng, table)
        e = make.condition(0) if name == "bool_or" else (make.column(is_number) or make.number(0))
        inside = make.condition(1) if rng.random() < 0.2 else None
        calls.append((name, e, inside))
    bracket = ", ".join(i[0] for i in items.values())
    over = f"OVER [{bracket}]" if not edge else f"OVER ([{bracket}] EDGE {edge})"
    rows, error = [], None
    for k, place in enumerate(region.places):
        if not mask[k]:
            continue
        spans = []
        for d, (first, last) in enumerate(zip(region.low, region.high)):
            lo, hi = items[d][1](place[d]) if d in items else (place[d], place[d])
            spans.append(covered(lo, hi, first, last, edge))
        row = [table.columns[d].list()[k] for d in table.dims]
        for name, e, inside in calls:
            try:
                row.append(None if None in spans else one_window(name, e, inside, mask, region, spans))
            except Overflow:
                error = "22003"
        rows.append(tuple(row))
    select = ", ".join(table.dims + [f"{call_text(*c)} {over} AS w{k}" for k, c in enumerate(calls)])
    kinds = [table.columns[d].kind for d in table.dims] + [BIGINT if c[0] == "count(*)" else result_kind(c[0], c[1].kind) for c in calls]
    return Query(f"SELECT {select} FROM {text}{where}", kinds, rows, error=error)


def call_text(name, e, inside):
    argument = "*" if name == "count(*)" else e.text
    return f"{name.split('(')[0]}({argument})" + (f" FILTER (WHERE {inside.text})" if inside else "")


def one_window(name, e, inside, mask, region, spans):
    cells = [region.cells[p] for p in itertools.product(*spans) if p in region.cells]
    cells = [c for c in cells if mask[c] and (inside is None or (inside.valid[c] and inside.values[c]))]
    return len(cells) if name == "count(*)" else aggregate(name, e.take(np.array(cells, int)))


# ---- values at other cells ----

def neighbour(rng, region, table):
    """v[…]: text, and for each cell the cell that is meant or None."""
    d = rng.randrange(len(region.dims))
    axis = region.dims[d]
    which = rng.choice(["shift", "shift", "coordinate", "at", "position", "gather"])
    if which == "shift":
        by = rng.randint(-3, 3)
        item, to = f"#{axis.name} {'-' if by < 0 else '+'} {abs(by)}", [p[d] + by for p in region.places]
    elif which == "coordinate" and axis.form in ("integer", "descending"):
        by = rng.randint(-2, 2)
        item, to = f"{axis.name} - {by} * {axis.line[1]}", [p[d] - by for p in region.places]
    elif which == "at":
        at = rng.randrange(len(axis))
        item, to = f"{axis.name} => {sql(axis.coords[at], axis.kind)}", [at] * len(region.places)
    elif which == "gather" and any(c.kind in (np.dtype("i4"), np.dtype("i2"), np.dtype("i1")) for n, c in table.columns.items() if n[0] in "vw"):
        name = rng.choice([n for n, c in table.columns.items() if n[0] in "vw" and c.kind in (np.dtype("i4"), np.dtype("i2"), np.dtype("i1"))])
        c = table.columns[name]
        item, to = f"#{axis.name} => {name}", [int(v) if ok else None for v, ok in zip(c.values.tolist(), c.valid.tolist())]
    else:
        at = rng.randint(0, len(axis) + 1)
        item, to = f"#{axis.name} => {at}", [at] * len(region.places)
    cells = []
    for place, t in zip(region.places, to):
        inside = t is not None and region.low[d] <= t <= region.high[d]
        cells.append(region.cells.get(place[:d] + (t,) + place[d + 1:]) if inside else None)
    return item, cells


def neighbours(rng, arrays):
    """Cells with the values at others beside them, those in a condition too."""
    found = base(rng, arrays)
    if found is None or not len(found[2]):
        return None
    text, array, table, region = found
    columns, texts = [], []
    for _ in range(rng.randint(1, 3)):
        item, cells = neighbour(rng, region, table)
        name = rng.choice(list(array.attrs))
        c = table.columns[name]
        at = np.array([0 if k is None else k for k in cells], int)
        there = np.array([k is not None for k in cells], bool)
        columns.append(Column(c.kind, c.values[at], c.valid[at] & there))
        texts.append(f"{name}[{item}]")
    where, mask = filtered(rng, table)
    if rng.random() < 0.3:
        where += (" AND " if where else " WHERE ") + f"{texts[0]} IS NOT NULL"
        mask = mask & columns[0].valid
    outs = [table.columns[d] for d in table.dims] + columns
    rows = list(zip(*[key_list(c.take(mask), False) for c in outs]))
    select = ", ".join(table.dims + [f"{t} AS n{k}" for k, t in enumerate(texts)])
    return Query(f"SELECT {select} FROM {text}{where}", [c.kind for c in outs], rows)


# ---- windows of rows ----

def row_windows(rng, arrays):
    """Ranks, neighbours and running totals in an order that is total."""
    array = rng.choice(arrays)
    if len(array.table) > 4 * MOST_CELLS:
        return None
    table, text = array.table, "{" + array.name + "}"
    where, mask = filtered(rng, table)
    table = table.take(mask)
    make = Expressions(rng, table)
    partition = make.column(lambda k: is_number(k) and not is_float(k)) if rng.random() < 0.6 else None
    key = make.any()
    value = make.column(is_number)
    if key is None or key.error or value is None or key.text[0] in "0123456789":
        return None
    desc = rng.random() < 0.5
    order = f"ORDER BY {key.text}{' DESC' if desc else ''}, " + ", ".join(table.dims)
    keys = [sort_key(key.values, key.valid, key.kind, desc, desc)]
    keys += [sort_key(c.values, c.valid, c.kind, False, False) for c in (table.columns[d] for d in table.dims)]
    sequence = np.lexsort(keys[::-1]) if len(table) else np.arange(0)
    groups = {}
    parts = key_list(partition) if partition else [0] * len(table)
    for k in sequence.tolist():
        groups.setdefault(parts[k], []).append(k)
    over = f"OVER ({f'PARTITION BY {partition.text} ' if partition else ''}{order}"
    n = rng.randint(1, 3)
    lo, hi = rng.randint(0, 3), rng.randint(0, 2)
    calls = [("row_number()", BIGINT), (f"lag({value.text}, {n})", value.kind), (f"lead({value.text}, {n})", value.kind), ("count(*)", BIGINT),
             (f"first_value({value.text})", value.kind), (f"sum({value.text})", result_kind("sum", value.kind)), (f"max({value.text})", value.kind), ("rank()", BIGINT)]
    call, kind = rng.choice(calls)
    framed = call.startswith(("sum", "max", "count", "first")) and rng.random() < 0.7
    frame = f" ROWS BETWEEN {lo} PRECEDING AND {hi} FOLLOWING" if framed else ""
    out, error = [None] * len(table), None
    values = key_list(value, False)
    for cells in groups.values():
        for at, k in enumerate(cells):
            seen = cells[max(0, at - lo):at + hi + 1] if framed else cells[:at + 1]
            try:
                out[k] = row_value(call, at, cells, seen, n, values, value)
            except Overflow:
                error = "22003"
    rows = list(zip(*[key_list(table.columns[d], False) for d in table.dims], out))
    return Query(f"SELECT {', '.join(table.dims)}, {call} {over}{frame}) AS w FROM {text}{where}", [table.columns[d].kind for d in table.dims] + [kind], rows,
                 error=error)


def row_value(call, at, cells, seen, n, values, value):
    if call in ("row_number()", "rank()"):
        return at + 1
    if call == "count(*)":
        return len(seen)
    if call.startswith(("lag", "lead")):
        to = at - n if call.startswith("lag") else at + n
        return values[cells[to]] if 0 <= to < len(cells) else None
    if call.startswith("first_value"):
        return values[seen[0]]
    return aggregate("sum" if call.startswith("sum") else "max", value.take(np.array(seen, int)))


# ---- joins by value ----

def pairs_of(x, y, left, right):
    """Cells whose keys are equal, for an inner, left, right or full join; -1: nothing on that side."""
    at = {}
    for m, key in enumerate(key_list(y)):
        if key is not None and key != "NaN":
            at.setdefault(key, []).append(m)
    out, met = [], set()
    for k, key in enumerate(key_list(x)):
        hits = at.get(key, []) if key is not None and key != "NaN" else []
        out += [(k, m) for m in hits]
        met.update(hits)
        if left and not hits:
            out.append((k, -1))
    if right:
        out += [(-1, m) for m in range(len(y.values)) if m not in met]
    return out


def both_keys(rng, a, b):
    """An attribute or dimension of each that can be compared; two dimensions would have to line up."""
    names = [(x, y) for x in a.table.columns for y in b.table.columns if "#" not in x + y and not (x in a.table.dims and y in b.table.dims) and
             (a.table.columns[x].kind == b.table.columns[y].kind or
              (is_number(a.table.columns[x].kind) and is_number(b.table.columns[y].kind) and not is_float(a.table.columns[x].kind) and not is_float(b.table.columns[y].kind)))]
    return rng.choice(names) if names else None


def shown(rng, array, alias):
    return [(f"{alias}.{n}", array.table.columns[n]) for n in rng.sample(list(array.attrs), rng.randint(1, len(array.attrs)))] + \
        [(f"{alias}.{d}", array.table.columns[d]) for d in array.table.dims if rng.random() < 0.5]


def value_join(rng, arrays):
    a, b = rng.choice(arrays), rng.choice(arrays)
    keys = both_keys(rng, a, b)
    if keys is None or len(a.table) > 2 * MOST_CELLS or len(b.table) > 2 * MOST_CELLS:
        return None
    word = rng.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
    pairs = pairs_of(a.table.columns[keys[0]], b.table.columns[keys[1]], word in ("LEFT JOIN", "FULL JOIN"), word in ("RIGHT JOIN", "FULL JOIN"))
    if len(pairs) > 20000:
        return None
    columns, names = [], []
    for side, array, alias in ((0, a, "p"), (1, b, "q")):
        at = np.array([pair[side] for pair in pairs], int)
        for name, c in shown(rng, array, alias):
            padded = Column(c.kind, np.append(c.values, filler(c.kind)), np.append(c.valid, False)).take(at)
            columns.append(padded)
            names.append(name)
    text = f"{{{a.name}}} AS p {word} {{{b.name}}} AS q ON p.{keys[0]} = q.{keys[1]}"
    if rng.random() < 0.5 or len(pairs) > 3000:
        return Query(f"SELECT count(*), {', '.join(f'count({n})' for n in names)} FROM {text}", [BIGINT] * (1 + len(names)),
                     [tuple([len(pairs)] + [int(c.valid.sum()) for c in columns])])
    return Query(f"SELECT {', '.join(names)} FROM {text}", [c.kind for c in columns], list(zip(*[key_list(c) for c in columns])), ordered=False)


# ---- sub-queries ----

def membership(rng, arrays):
    """IN, NOT IN, EXISTS and scalar sub-queries, correlated or not."""
    a, b = rng.choice(arrays), rng.choice(arrays)
    keys = both_keys(rng, a, b)
    if keys is None:
        return None
    x, y = a.table.columns[keys[0]], b.table.columns[keys[1]]
    inside, mask = ("", np.ones(len(b.table), bool))
    if rng.random() < 0.5:
        e = Expressions(rng, Table([], {n: b.table.columns[n] for n in b.attrs})).condition(1)
        inside, mask = e.text, e.valid & e.values
    y = y.take(mask)
    wanted = [v for v in key_list(y)]
    some, has_null = {v for v in wanted if v is not None and v != "NaN"}, None in wanted
    counts = {v: wanted.count(v) for v in some} if len(wanted) < 3000 else None
    which = rng.choice(["IN", "NOT IN", "EXISTS", "NOT EXISTS", "count"])
    dims = a.table.dims
    values = key_list(x)
    where_in = f" WHERE {inside}" if inside else ""
    where_and = f" AND {inside}" if inside else ""
    if which == "count":
        if counts is None or len(a.table) > MOST_CELLS:
            return None
        text = f"SELECT {', '.join('p.' + d for d in dims)}, (SELECT count(*) FROM {{{b.name}}} AS q WHERE q.{keys[1]} = p.{keys[0]}{where_and}) AS n FROM {{{a.name}}} AS p"
        rows = list(zip(*[key_list(a.table.columns[d], False) for d in dims], [counts.get(v, 0) if v is not None else 0 for v in values]))
        return Query(text, [a.table.columns[d].kind for d in dims] + [BIGINT], rows)
    keep = []
    for v in values:
        hit = v is not None and v in some
        if which in ("IN", "EXISTS"):
            keep.append(hit)
        elif which == "NOT EXISTS":
            keep.append(not hit)
        else:
            keep.append(not wanted or (v is not None and not hit and not has_null))
    if which.endswith("IN"):
        condition = f"p.{keys[0]} {which} (SELECT {keys[1]} FROM {{{b.name}}}{where_in})"
    else:
        condition = f"{which} (SELECT 1 FROM {{{b.name}}} AS q WHERE q.{keys[1]} = p.{keys[0]}{where_and})"
    table = a.table.take(np.array(keep, bool))
    rows = list(zip(*[key_list(table.columns[d], False) for d in dims]))
    return Query(f"SELECT {', '.join('p.' + d for d in dims)} FROM {{{a.name}}} AS p WHERE {condition}", [table.columns[d].kind for d in dims], rows)


# ---- set operations ----

def set_operation(rng, arrays):
    array = rng.choice(arrays)
    make = Expressions(rng, array.table)
    names = rng.sample(list(array.attrs), rng.randint(1, min(2, len(array.attrs))))
    sides = []
    for _ in range(2):
        e = make.condition(1)
        table = array.table.take(e.valid & e.values)
        sides.append((f"SELECT {', '.join(names)} FROM {{{array.name}}} WHERE {e.text}", list(zip(*[key_list(table.columns[n]) for n in names]))))
    word, everything = rng.choice(["UNION", "INTERSECT", "EXCEPT"]), rng.random() < 0.5
    left, right = sides[0][1], sides[1][1]
    count = {row: [0, 0] for row in left + right}
    for k, side in enumerate((left, right)):
        for row in side:
            count[row][k] += 1
    rows = []
    for row, (m, n) in count.items():
        if word == "UNION":
            times = m + n if everything else 1
        elif word == "INTERSECT":
            times = min(m, n) if everything else int(m > 0 and n > 0)
        else:
            times = max(0, m - n) if everything else int(m > 0 and n == 0)
        rows += [row] * times
    return Query(f"{sides[0][0]} {word}{' ALL' if everything else ''} {sides[1][0]}", [array.table.columns[n].kind for n in names], rows, ordered=False)


SHAPES = [windowed, windowed, neighbours, row_windows, value_join, membership, set_operation]


def relation(rng, arrays):
    return rng.choice(SHAPES)(rng, arrays)
