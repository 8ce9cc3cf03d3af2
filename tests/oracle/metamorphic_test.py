#!/usr/bin/python3
"""Answers that must agree with each other, whatever they are: metamorphic_test.py [queries, default 400].

Ternary logic partitioning (Rigger and Su 2020): the rows of a query are those where p is true, false and unknown, together; so are its
counts, sums, extremes and groups. The filter pushed down keeps as many rows as evaluating it says are true (NoREC). The optimised plan's
answer is the plain one's. Views, WITH and sub-queries are what they stand for. So are the groups that HAVING keeps, the pairs that ON keeps, and
what windows below a filter give; an outer join is the inner one and the rows that it leaves out."""
import os
import random
import re
import sys
from collections import Counter

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Count, Server, seed  # noqa: E402
from model.arrays import Table, is_float, is_number  # noqa: E402
from model.compositions import Relation, Unclear, column, comparable, grouped_by, padded, matches  # noqa: E402
from model.expressions import BIGINT, Expressions  # noqa: E402
from model.nesting import Nesting  # noqa: E402
from model.queries import World, from_array, from_join, key_list  # noqa: E402
from numpy_test import Names, connect  # noqa: E402,F401


def rows(conn, sql):
    try:
        return conn.execute(sql).fetchall()
    except psycopg.Error as e:
        return e.sqlstate


def source(rng, world):
    """FROM: text, cells, and the names that are attributes or dimensions."""
    if world.pairs and rng.random() < 0.4:
        a, b = rng.choice(world.pairs)
        left = all(d in a.table.dims for d in b.table.dims) and rng.random() < 0.5
        return from_join(rng, a, b, left)
    text, table, _ = from_array(rng, rng.choice(world.all()))
    return text, table


def partitions(condition):
    return [f"({condition})", f"NOT ({condition})", f"({condition}) IS NULL"]


def united(parts):
    return Counter(row for part in parts for row in part)


def total(values):
    known = [int(v) for v in values if v is not None]
    return sum(known) if known else None


def extreme(values, least):
    known = [v for v in values if v is not None]
    return (min if least else max)(known) if known else None


def one(rng, count, conns, world):
    text, table = source(rng, world)
    names = [n for n in table.columns if n[0] != "#"]
    make = Expressions(rng, table)
    condition = make.condition(2).text
    conn = conns[0]
    text = text.format_map(Names(rng.random() < 0.3))
    parts = [f"FROM {text} WHERE {p}" for p in partitions(condition)]
    select = f"SELECT {', '.join(names)}"
    everything = rows(conn, f"{select} FROM {text}")
    pieces = [rows(conn, f"{select} {p}") for p in parts]
    label = f"{select} FROM {text} by {condition}"
    if isinstance(everything, str) or any(isinstance(p, str) for p in pieces):
        count.check(everything == pieces[0] or not isinstance(everything, str), f"{label}: {everything} {[p for p in pieces if isinstance(p, str)]}")
        return
    count.check(Counter(everything) == united(pieces), f"rows of {label}: {len(everything)} are not {[len(p) for p in pieces]}")
    plain = rows(conns[1], f"{select} {parts[0]}")
    count.check(plain == pieces[0], f"optimizer off: {label}")
    evaluated = rows(conn, f"SELECT count(*) FILTER (WHERE {condition}), sum(CASE WHEN {condition} THEN 1 ELSE 0 END) FROM {text}")[0]
    pushed = len(pieces[0])
    count.check(int(evaluated[0]) == pushed and int(evaluated[1] or 0) == pushed, f"NoREC: {label}: {evaluated}, {pushed}")
    for wrap in (f"WITH q AS ({select} FROM {text}) {select} FROM q WHERE {condition}", f"{select} FROM ({select} FROM {text}) AS q WHERE {condition}"):
        if "#" not in condition:
            count.check(Counter(rows(conn, wrap)) == Counter(pieces[0]), f"{wrap}")
    aggregates(rng, count, conn, table, text, parts, label)


def aggregates(rng, count, conn, table, text, parts, label):
    integers = [n for n, c in table.columns.items() if n[0] != "#" and is_number(c.kind) and not is_float(c.kind)]
    if not integers:
        return
    v, key = rng.choice(integers), rng.choice(integers)
    sql = f"SELECT count(*), count({v}), sum({v}::double precision::bigint % 1000), min({v}), max({v})"
    whole = rows(conn, f"{sql} FROM {text}")
    pieces = [rows(conn, f"{sql} {p}") for p in parts]
    if isinstance(whole, str) or any(isinstance(p, str) for p in pieces):
        return
    columns = list(zip(*[p[0] for p in pieces]))
    want = (str(total(columns[0])), str(total(columns[1])), total(columns[2]), extreme([int(x) for x in columns[3] if x is not None], True), extreme([int(x) for x in columns[4] if x is not None], False))
    got = tuple(whole[0][:2]) + tuple(None if x is None else int(x) for x in whole[0][2:])
    count.equal(got, want, f"aggregates of {label}")
    groups = rows(conn, f"SELECT {key}, count(*), count({v}) FROM {text} GROUP BY {key}")
    merged = {}
    for p in parts:
        for k, n, m in rows(conn, f"SELECT {key}, count(*), count({v}) {p} GROUP BY {key}"):
            old = merged.get(k, (0, 0))
            merged[k] = (old[0] + int(n), old[1] + int(m))
    count.equal({k: (int(n), int(m)) for k, n, m in groups}, merged, f"groups by {key} of {label}")


def partitioned(count, conns, query, condition, label, tail=""):
    """query's rows are those that the condition's parts keep; with the optimizer and without."""
    for conn in conns:
        whole, pieces = rows(conn, query.format("true") + tail), [rows(conn, query.format(p) + tail) for p in partitions(condition)]
        if isinstance(whole, str) or any(isinstance(p, str) for p in pieces):
            count.check(isinstance(whole, str), f"{label} {query} by {condition}: {[p for p in pieces if isinstance(p, str)]}")
        else:
            count.check(Counter(whole) == united(pieces), f"{label}: {query} by {condition}: {len(whole)} are not {[len(p) for p in pieces]}")


def windows_below(rng, count, conns, world):
    """A filter over a window is not one below it."""
    text, table = source(rng, world)
    names = [n for n in table.columns if n[0] != "#"]
    if not table.dims:
        return
    plain = Table(table.dims, {n: table.columns[n] for n in names})
    condition = Expressions(rng, plain).condition(2).text
    by = f"PARTITION BY {rng.choice(names)} " if rng.random() < 0.5 else ""
    call = rng.choice([f"row_number() OVER ({by}ORDER BY {', '.join(table.dims)})", f"count(*) OVER ({by})",
                       f"lag({rng.choice(names)}, 1) OVER ({by}ORDER BY {', '.join(table.dims)})",
                       f"count({rng.choice(names)}) OVER [#{table.dims[0]} - 1 : #{table.dims[0]} + 1]"])
    text = text.format_map(Names(rng.random() < 0.3))
    partitioned(count, conns, f"SELECT * FROM (SELECT {', '.join(names)}, {call} AS w FROM {text}) AS q WHERE {{0}}", condition, "windows")


def having(rng, count, conns, world):
    """Groups by what their aggregates are."""
    text, table = source(rng, world)
    names = [n for n in table.columns if n[0] != "#"]
    key, v = rng.choice(names), rng.choice(names)
    at = [("count(*)", BIGINT, len), (f"count({v})", BIGINT, lambda cells: int(table.columns[v].valid[cells].sum()))]
    try:
        groups = grouped_by(Relation(text, table), [table.columns[key]], at)
    except Unclear:
        return
    model = Table([], {"h1": column(BIGINT, [g[1] for g in groups]), "h2": column(BIGINT, [g[2] for g in groups]),
                       "h3": column(table.columns[key].kind, [g[0] for g in groups])})
    condition = Expressions(rng, model).condition(2).text
    for name, call in (("h1", "count(*)"), ("h2", f"count({v})"), ("h3", key)):
        condition = re.sub(rf"\b{name}\b", call, condition)
    text = text.format_map(Names(rng.random() < 0.3))
    partitioned(count, conns, f"SELECT {key}, count(*), count({v}) FROM {text} GROUP BY {key} HAVING {{0}}", condition, "groups")


def pairs(rng, count, conns, world):
    """Joins by what their pairs are."""
    a, b = (Relation("{" + x.name + "}", Table(x.table.dims, {n: c for n, c in x.table.columns.items() if n[0] != "#"}))
            for x in (rng.choice(world.all()), rng.choice(world.all())))
    keys = comparable(rng, a, b)
    if not keys or len(a.table) > 400 or len(b.table) > 400:
        return
    met = matches(*[[(v,) for v in key_list(r.table.columns[n])] for r, n in ((a, keys[0]), (b, keys[1]))], False, False)
    if len(met) > 5000:
        return
    names, columns = {}, {}
    for side, relation, alias in ((0, a, "p"), (1, b, "q")):
        for n in relation.names():
            names[f"{alias}_{n}"] = f"{alias}.{n}"
            columns[f"{alias}_{n}"] = padded(relation.table.columns[n], [m[side] for m in met])
    condition = Expressions(rng, Table([], columns)).condition(2).text
    for name, meant in names.items():
        condition = re.sub(rf"\b{name}\b", meant, condition)
    tiny = Names(rng.random() < 0.3)
    left, right = a.text.format_map(tiny), b.text.format_map(tiny)
    on, shown = f"p.{keys[0]} = q.{keys[1]}", ", ".join(names.values())
    partitioned(count, conns, f"SELECT {shown} FROM {left} AS p JOIN {right} AS q ON {on} AND {{0}}", condition, "pairs")
    inner = rows(conns[0], f"SELECT {shown} FROM {left} AS p JOIN {right} AS q ON {on} AND {condition}")
    alone = ", ".join(m if m[0] == "p" else "NULL" for m in names.values())
    rest = rows(conns[0], f"SELECT {alone} FROM {left} AS p WHERE NOT EXISTS (SELECT 1 FROM {right} AS q WHERE {on} AND {condition})")
    for conn in conns:
        outer = rows(conn, f"SELECT {shown} FROM {left} AS p LEFT JOIN {right} AS q ON {on} AND {condition}")
        label = f"{left} AS p LEFT JOIN {right} AS q ON {on} AND {condition}"
        if not any(isinstance(r, str) for r in (inner, rest, outer)):  # one side's own condition may be asked of more rows
            count.check(Counter(outer) == united([inner, rest]), f"{label}: {len(outer)} are not {len(inner)} and {len(rest)}")


def nested(count, conns, nesting):
    """Array upon array upon array: the optimised plan's answer is the plain one's."""
    sql = nesting.query()
    answers = [rows(conn, sql) for conn in conns]
    count.check(answers[0] == answers[1], f"optimizer off: {sql}")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = random.Random(seed())
    count = Count()
    with Server(sets=["workers=4"]) as server:
        conns = [connect(server), connect(server, "optimizer = off")]
        nesting = Nesting(rng)
        for statement in nesting.statements():
            conns[0].execute(statement)
        for done in range(0, n, 40):
            world = World(rng, 4, done)
            for array in world.all():
                for statement in array.statements():
                    conns[0].execute(statement)
            for _ in range(min(40, n - done)):
                one(rng, count, conns, world)
                rng.choice([windows_below, having, pairs])(rng, count, conns, world)
                nested(count, conns, nesting)
            for array in world.all():
                conns[0].execute(f"DROP ARRAY {array.name}, {array.tiny}")
        for conn in conns:
            conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
