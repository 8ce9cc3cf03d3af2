#!/usr/bin/python3
"""Random arrays and queries, computed by NumPy too: numpy_test.py [queries, default 2000].

Answers must be NumPy's, and the same bytes whatever the workers, cache, optimizer, memory and tiles. A failure can be
repeated with the seed that is printed: TESSERA_SEED=…; or with the number beside it, its arrays and their queries alone."""
import datetime
import itertools
import os
import random
import struct
import sys

import numpy as np
import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402
from model.arrays import DATE, OIDS, TEXT, is_float  # noqa: E402
from model.compositions import composition  # noqa: E402
from model.queries import Near, World  # noqa: E402
from model.relations import relation  # noqa: E402


def parse(text, kind):
    """A value as the server wrote it, in the form that queries.py gives."""
    if text is None:
        return None
    if kind == TEXT:
        return text
    if kind == DATE:
        return datetime.date.fromisoformat(text)
    if kind == bool:
        return {"t": True, "f": False}[text]
    if is_float(kind):
        return "NaN" if text == "NaN" else float(kind.type(text))
    return int(text)


def same(got, want, fold):
    if isinstance(want, Near):
        if want.tolerance == np.inf:  # between a number and an infinity, or two of them
            return got is not None
        return isinstance(got, (float, int)) and (got == want.value or abs(got - want.value) <= want.tolerance)
    if isinstance(want, float) and isinstance(got, float) and not fold:
        return struct.pack("d", got) == struct.pack("d", want)
    return got == want


def order_key(row):
    return tuple((v is not None, isinstance(v, str), str(type(v)) if not isinstance(v, (int, float)) else "",
                  v if v is not None else 0) for v in row)


def same_rows(got, want, ordered, kinds):
    if len(got) != len(want):
        return False
    if not ordered:  # by what is exact: groups have distinct keys
        exact = [k for k in range(len(kinds)) if not any(isinstance(row[k], Near) for row in want)]
        key = lambda row: order_key(tuple(row[k] for k in exact))  # noqa: E731
        got, want = sorted(got, key=key), sorted(want, key=key)
    return all(same(g, w, not ordered) for x, y in zip(got, want) for g, w in zip(x, y))


def differing(rows, others):
    """How many rows there are, and the first that are not among others, in order or not."""
    there = {str(row) for row in others}
    apart = [row for row, other in itertools.zip_longest(rows, others) if str(row) not in there or (len(rows) == len(others) and str(row) != str(other))]
    return f"{len(rows)} rows, {str(apart[:5])[:600]}"


def run(conn, sql):
    """Rows as text and column OIDs, or the SQLSTATE."""
    try:
        cur = conn.execute(sql)
        return cur.fetchall(), [d.type_code for d in cur.description]
    except psycopg.Error as e:
        return e.sqlstate or str(e), None


def connect(server, *settings):
    return server.session(*settings, as_text=(16, 20, 21, 23, 25, 700, 701, 1082, 1114, 1186, 1700))


class Names(dict):
    """What an array is called: by itself, or its twin with tiny tiles."""

    def __init__(self, tiny):
        self.suffix = "_tiny" if tiny else ""

    def __missing__(self, name):
        return name + self.suffix


def execute(count, conn, statement, tiny):
    text = statement.text.format_map(Names(tiny))
    try:
        conn.execute(text)
        got = None
    except psycopg.Error as e:
        got = e.sqlstate or str(e)
    count.equal(got, statement.error, text[:1000])


def change(count, sessions, statement, undone):
    """In both servers, to both twins, in a block beside a change that is rolled back or by itself; then all sessions must see the model's cells."""
    for conn in (sessions[0][1], sessions[4][1]):
        for tiny in (False, True):
            if undone and statement.error is None:
                conn.execute("BEGIN")
                conn.execute("SAVEPOINT before")
                execute(count, conn, undone, tiny)
                conn.execute("ROLLBACK TO before")
                execute(count, conn, statement, tiny)
                conn.execute("COMMIT")
            else:
                execute(count, conn, statement, tiny)
    ask(count, sessions, statement.cells())


def ask(count, sessions, query):
    text = {tiny: query.text.format_map(Names(tiny)) for tiny in (False, True)}
    first = None
    for name, conn, tiny in sessions:
        rows, oids = run(conn, text[tiny])
        if first is not None:
            if not count.check(rows == first, f"{name}: another answer: {text[tiny]}\n  {str(rows)[:300]}\n  {str(first)[:300]}"):
                return
            continue
        first = rows
        if query.error:
            if query.error != "unsure" and not count.equal(rows, query.error, text[tiny]):
                return
            continue
        if not count.check(oids is not None, f"{text[tiny]}: {rows}"):
            return
        wanted = [OIDS[k] for k in query.kinds]
        if not count.equal(oids, wanted, f"types of {text[tiny]}"):
            return
        got = [tuple(parse(v, k) for v, k in zip(row, query.kinds)) for row in rows]
        if not count.check(same_rows(got, query.rows, query.ordered, query.kinds),
                           f"{text[tiny]}\n  got    {differing(got, query.rows)}\n  wanted {differing(query.rows, got)}"):
            return


WORLD = 30  # queries of one set of arrays


def one_world(count, sessions, number, n):
    """Some arrays and n queries; numbers of errors and of answers without rows. What is random hangs on the number alone."""
    rng, errors, empty = random.Random(number), 0, 0
    world = World(rng, 4, number)  # names of their own: statements that are prepared know types
    writers = (sessions[0][1], sessions[4][1])
    for statement in (s for array in world.all() for s in array.statements()):
        for conn in writers:
            conn.execute(statement)
    for k in range(n):
        if k % 5 == 4:
            undone, statement = world.undone() if rng.random() < 0.3 else None, None
            while statement is None:
                statement = world.change()
            change(count, sessions, statement, undone)
        query = None
        while query is None:
            which = rng.random()
            query = world.query() if which < 0.4 else (relation if which < 0.7 else composition)(rng, world.all())
        ask(count, sessions, query)
        errors += query.error is not None
        empty += not query.rows
    for array in world.all():
        for conn in writers:
            conn.execute(f"DROP ARRAY {array.name}, {array.tiny}")
    return errors, empty


def all_worlds(count, sessions, n):
    first, done, errors, empty = seed(), 0, 0, 0
    while done < n:
        failed, number = count.failed, first + done
        some = one_world(count, sessions, number, min(WORLD, n - done))
        errors, empty, done = errors + some[0], empty + some[1], min(n, done + WORLD)
        if count.failed > failed:
            print(f"again: TESSERA_SEED={number} numpy_test.py {WORLD}", file=sys.stderr)
        if n > 5000 and done % 6000 < WORLD:
            print(f"{done} queries: {count.passed} passed, {count.failed} failed", flush=True)
    print(f"{n} queries, {errors} of them errors, {empty} without rows")
    count.check(errors < n // 4 and empty < n // 2, "most queries have an answer")


def main():
    count = Count()
    with Server(sets=["workers=4"]) as roomy, Server(sets=["workers=1", "memory_limit=64MB"]) as small:
        sessions = [("default", connect(roomy), False), ("one worker", connect(roomy, "max_workers = 1"), False),
                    ("no cache", connect(roomy, "tile_cache = off"), False),
                    ("no optimizer", connect(roomy, "optimizer = off"), False),
                    ("64MB", connect(small), False), ("tiny tiles", connect(roomy), True)]
        try:
            all_worlds(count, sessions, int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
        except KeyboardInterrupt:
            pass
        for _, conn, _ in sessions:
            conn.close()
    return count.finish()


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
