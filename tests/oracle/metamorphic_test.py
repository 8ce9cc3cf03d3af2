#!/usr/bin/python3
"""Answers that must agree with each other, whatever they are: metamorphic_test.py [queries, default 400].

Ternary logic partitioning (Rigger and Su 2020): the rows of a query are those where p is true, false and unknown, together; so are its
counts, sums, extremes and groups. The filter pushed down keeps as many rows as evaluating it says are true (NoREC). The optimised plan's
answer is the plain one's. Views, WITH and sub-queries are what they stand for."""
import os
import random
import sys
from collections import Counter

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Count, Server, seed  # noqa: E402
from model.arrays import is_float, is_number  # noqa: E402
from model.expressions import Expressions  # noqa: E402
from model.queries import World, from_array, from_join  # noqa: E402
from numpy_test import Names, Text, connect  # noqa: E402,F401


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


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = random.Random(seed())
    count = Count()
    with Server(sets=["workers=4"]) as server:
        conns = [connect(server), connect(server, "optimizer = off")]
        for done in range(0, n, 40):
            world = World(rng, 4)
            for array in world.all():
                for statement in array.statements():
                    conns[0].execute(statement)
            for _ in range(min(40, n - done)):
                one(rng, count, conns, world)
            for array in world.all():
                conns[0].execute(f"DROP ARRAY {array.name}, {array.tiny}")
        for conn in conns:
            conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
