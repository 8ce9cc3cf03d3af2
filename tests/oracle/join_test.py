#!/usr/bin/python3
"""Random joins to PostgreSQL 15 and to Tessera: the same rows must come. Tables here, arrays with dimensions there, every
kind of join, keys of every type with NULLs, duplicates and empty inputs. What PostgreSQL means otherwise (NaN = NaN) and
does not know (ASOF, ALIGN NEAREST) is computed in Python."""
import math
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Count, Server, Text, seed  # noqa: E402
from postgres_test import Postgres, ask  # noqa: E402

KINDS = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
COLUMNS = [("i", "integer"), ("s", "smallint"), ("l", "bigint"), ("x", "real"), ("y", "double precision"), ("d", "date"),
           ("ts", "timestamp"), ("t", "text"), ("b", "boolean")]
# Pairs of columns that compare, of the same type or of two.
COMPARABLE = [("i", "i"), ("i", "s"), ("i", "l"), ("i", "y"), ("s", "x"), ("x", "y"), ("y", "y"), ("d", "d"), ("d", "ts"),
              ("ts", "ts"), ("t", "t"), ("b", "b"), ("l", "y")]


def literal(rng, name):
    if rng.random() < 0.15:
        return "NULL"
    n = rng.randrange(-3, 9)
    return {"i": str(n), "s": str(n), "l": str(n), "x": f"'{n / 2}'", "y": f"'{n / 2}'", "d": f"'2020-02-{n + 10}'",
            "ts": f"'2020-02-{n + 10} {rng.choice(['00:00:00', '12:00:00'])}'", "t": f"'{'ab' * abs(n)}'",
            "b": rng.choice(["true", "false"])}[name]


def make(rng, name, n, dims, conns):
    """A table; with dims, for Tessera an array of those dimensions, each cell once."""
    pg, ours = conns
    cells = [(p, q) for p in range(6) for q in range(4)]
    rng.shuffle(cells)
    attrs = ", ".join(f"{c} {t}" for c, t in COLUMNS)
    if dims:
        n = min(n, len(cells))
        lo = rng.randrange(-2, 3)
        pg.execute(f"CREATE TABLE {name} (p integer, q integer, {attrs})")
        ours.execute(f"CREATE ARRAY {name} (p INTEGER DIMENSION [{lo} : {lo + 5}] TILE 2, q INTEGER DIMENSION [0 : 3] TILE 3, {attrs})")
        rows = [f"({lo + cells[k][0]}, {cells[k][1]}, " + ", ".join(literal(rng, c) for c, _ in COLUMNS) + ")" for k in range(n)]
    else:
        for conn in conns:
            conn.execute(f"CREATE TABLE {name} ({attrs})")
        rows = ["(" + ", ".join(literal(rng, c) for c, _ in COLUMNS) + ")" for _ in range(n)]
    if rows:
        for conn in conns:
            conn.execute(f"INSERT INTO {name} VALUES {', '.join(rows)}")


def condition(rng, a, b, dims):
    keys = []
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        x, y = rng.choice(COMPARABLE)
        if rng.random() < 0.5:
            x, y = y, x
        keys.append(f"{a}.{x} = {b}.{y}")
    if dims[a] and dims[b] and rng.random() < 0.6:
        keys += rng.sample([f"{a}.p = {b}.p", f"{a}.q = {b}.q", f"{b}.p = {a}.p", f"{a}.p = {b}.p + 1", f"{a}.p = {b}.q"],
                           rng.choice([1, 2]))
    if dims[a] and rng.random() < 0.3:
        keys.append(f"{a}.p = {b}.i")
    if dims[b] and rng.random() < 0.3:
        keys.append(f"{a}.i + 1 = {b}.q")
    return keys


def rest(rng, a, b):
    return rng.sample([f"{a}.i < {b}.l", f"{a}.y > 1", f"{b}.t <> 'abab'", f"{a}.t || 'x' <> {b}.t", f"{b}.b", f"{a}.d IS NULL",
                       f"{a}.i + {b}.s > 3", f"{b}.y + {a}.y < 4", "true"], rng.choice([0, 0, 0, 1, 2]))


def on(rng, a, b, dims, equal):
    while True:
        parts = condition(rng, a, b, dims)
        more = rest(rng, a, b)
        if (parts or not equal) and parts + more:
            rng.shuffle(parts)
            return " AND ".join(parts + more)


def statement(rng, names, dims):
    a, b = rng.sample(names, 2)
    kind = rng.choice(KINDS)
    shown = lambda n: [f"{n}.{c}" for c in (["p", "q"] if dims[n] else []) + ["i", "t", "y", "ts"]]
    full = kind == "FULL JOIN"       # PostgreSQL can do FULL with equalities alone that it can hash or merge
    roll = rng.random()
    if roll < 0.2:
        cols = rng.sample([c for c, _ in COLUMNS] + (["p", "q"] if dims[a] and dims[b] else []), rng.choice([1, 2]))
        using = ", ".join(cols)
        return f"SELECT {using}, {', '.join(shown(a) + shown(b))} FROM {a} {kind} {b} USING ({using})"
    if roll < 0.3 and dims[a] and dims[b]:
        return f"SELECT p, q, {', '.join(shown(a) + shown(b))} FROM {a} {kind} {b} USING (p, q)"
    if roll < 0.4:
        return f"SELECT {', '.join(shown(a) + shown(b))} FROM {a}, {b} WHERE {on(rng, a, b, dims, False)}"
    text = f"{a} {kind} {b} ON {on(rng, a, b, dims, full)}"
    where = f" WHERE {rest(rng, a, b)[0:1] and rng.choice(rest(rng, a, b) or ['true'])}" if rng.random() < 0.3 else ""
    if roll < 0.6:
        other = [n for n in names if n not in (a, b)][0]
        text += f" {rng.choice(KINDS)} {other} ON {on(rng, rng.choice([a, b]), other, dims, True)}"
        return f"SELECT {', '.join(shown(a) + shown(b) + shown(other))} FROM {text}"
    if roll < 0.7:
        return f"SELECT count(*), sum({a}.i), max({b}.t) FROM {text}"
    return f"SELECT {', '.join(shown(a) + shown(b))} FROM {text}{where.replace('[]', 'true')}"


def bag(rows):
    def norm(v):
        if v is None:
            return (0, "")
        try:
            return (1, repr(float(v)))
        except ValueError:
            return (2, v)
    return sorted([tuple(norm(v) for v in r) for r in rows])


def against_postgres(rng, count, pg, servers, n_sets, n_statements):
    for s in range(n_sets):
        names = [f"a{s}", f"b{s}", f"c{s}"]
        dims = {n: rng.random() < 0.5 for n in names}
        sizes = [rng.choice([0, 1, 7, 20, 60]) for _ in names]
        state = rng.getstate()
        for ours in servers:
            rng.setstate(state)
            for n, size in zip(names, sizes):
                make(rng, n, size, dims[n], (pg if ours is servers[0] else Quiet(), ours))
        for _ in range(n_statements):
            sql = statement(rng, names, dims)
            want = ask(pg, sql)[0]
            if isinstance(want, str):
                continue   # PostgreSQL refuses: FULL JOIN on conditions that are no equalities, ambiguous names
            answers = [ask(ours, sql)[0] for ours in servers]
            for got in answers:
                if isinstance(got, str):
                    count.check(False, f"{sql}: {got}")
                else:
                    count.check(bag(got) == bag(want), f"{sql}\n  got    {bag(got)[:6]} ({len(got)})\n  wanted {bag(want)[:6]} ({len(want)})")
            if not any(isinstance(a, str) for a in answers):
                count.check(all(a == answers[0] for a in answers), f"{sql}: the order hangs on workers, tiles or memory")


class Quiet:
    def execute(self, sql):
        pass


def nan_keys(count, ours):
    """NaN equals nothing in a join; as a group it is one."""
    ours.execute("CREATE TABLE n1 (y double precision, v integer)")
    ours.execute("CREATE TABLE n2 (y real, w integer)")
    ours.execute("INSERT INTO n1 VALUES ('NaN', 1), (0.0, 2), ('-0.0', 3), ('Infinity', 4), (NULL, 5)")
    ours.execute("INSERT INTO n2 VALUES ('NaN', 10), ('-0.0', 20), ('Infinity', 40), (NULL, 50)")
    rows = lambda sql: [tuple(r) for r in ours.execute(sql).fetchall()]
    count.equal(rows("SELECT v, w FROM n1 JOIN n2 ON n1.y = n2.y"), [("2", "20"), ("3", "20"), ("4", "40")], "NaN inner")
    count.equal(rows("SELECT v, w FROM n1 LEFT JOIN n2 USING (y)"),
                [("1", None), ("2", "20"), ("3", "20"), ("4", "40"), ("5", None)], "NaN left")
    count.equal(rows("SELECT v, w FROM n1 FULL JOIN n2 ON n1.y = n2.y"),
                [("1", None), ("2", "20"), ("3", "20"), ("4", "40"), ("5", None), (None, "10"), (None, "50")], "NaN full")
    count.equal(rows("SELECT count(*) FROM (SELECT y FROM n1 UNION ALL SELECT y FROM n2) AS u WHERE isnan(y) GROUP BY y"), [("2",)],
                "NaN group")


def asof(rng, count, servers, n):
    """Against a search through all rows."""
    for s in range(n):
        keyed, array = rng.random() < 0.6, rng.random() < 0.5
        op = rng.choice([">=", ">", "<=", "<"])
        kind = rng.choice(["ASOF JOIN", "ASOF LEFT JOIN"])
        left = [(k, t, rng.choice("ab")) for k, t in enumerate(rng.choices([None, *range(-5, 40)], k=rng.choice([0, 3, 40])))]
        if array:
            left = [(k, k - 3, g) for k, _, g in left]
        right = [(rng.choice([None, *range(0, 30)]), rng.choice("ab"), v) for v in range(rng.choice([0, 1, 30]))]
        sql = lambda v: "NULL" if v is None else f"'{v}'"
        for ours in servers:
            if array:
                ours.execute(f"CREATE ARRAY l{s} (t INTEGER DIMENSION [-3 : 60] TILE 7, k INTEGER, g TEXT)")
            else:
                ours.execute(f"CREATE TABLE l{s} (t integer, k integer, g text)")
            ours.execute(f"CREATE TABLE r{s} (t double precision, g text, v integer)")
            if left:
                ours.execute(f"INSERT INTO l{s} (t, k, g) VALUES " + ", ".join(f"({sql(t)}, {k}, '{g}')" for k, t, g in left))
            if right:
                ours.execute(f"INSERT INTO r{s} VALUES " + ", ".join(f"({sql(t)}, '{g}', {v})" for t, g, v in right))
        want = []
        for k, t, g in left:
            fits = [(rt, v) for rt, rg, v in right if rt is not None and t is not None and (not keyed or rg == g) and
                    {">=": t >= rt, ">": t > rt, "<=": t <= rt, "<": t < rt}[op]]
            best = (max(fits) if op[0] == ">" else min(fits)) if fits else None
            if best or kind == "ASOF LEFT JOIN":
                want.append((str(k), str(best[1]) if best else None))
        text = f"SELECT k, v FROM l{s} AS l {kind} r{s} AS r ON l.t {op} r.t" + (" AND l.g = r.g" if keyed else "")
        for ours in servers:
            count.equal([tuple(r) for r in ours.execute(text).fetchall()], want, text)


def nearest(rng, count, servers, n):
    """ALIGN NEAREST: the nearest coordinate within the tolerance, the lower of two."""
    for s in range(n):
        step, off, tol = rng.choice([0.25, 0.5, 1, 3]), rng.choice([0, 0.125, 0.3]), rng.choice([0, 0.1, 0.25, 2])
        xs = [float(k) * 0.5 for k in range(-4, 9)]
        ys = [off + k * step for k in range(5)]
        kind = rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN"])
        for ours in servers:
            ours.execute(f"CREATE ARRAY nx{s} (x DOUBLE DIMENSION [-2 : 4 : 0.5] TILE 3, v INTEGER)")
            ours.execute(f"CREATE ARRAY ny{s} (x DOUBLE DIMENSION ({', '.join(map(str, ys))}), w INTEGER)")
            ours.execute(f"INSERT INTO nx{s} SELECT [x], 1 AS v FROM GRID [x => -2.0 : 4.0 : 0.5]")
            ours.execute(f"INSERT INTO ny{s} VALUES " + ", ".join(f"({y}, 1)" for y in ys))
        a, b = (ys, xs) if kind == "RIGHT JOIN" else (xs, ys)
        want = []
        for u in a:
            least = min(abs(v - u) for v in b)
            best = min(v for v in b if abs(v - u) == least) if least <= tol else None
            if best is not None or kind != "JOIN":
                want.append((u, best))
        text = f"SELECT l.x, r.x FROM nx{s} AS l {kind} ny{s} AS r USING (x) ALIGN NEAREST TOLERANCE {tol}"
        for ours in servers:
            got = [tuple(None if v is None else float(v) for v in r) for r in ours.execute(text).fetchall()]
            if kind == "RIGHT JOIN":
                got = [(v, u) for u, v in got]
            count.equal(got, want, text)


def spilling(count):
    """Joins that fit memory, and don't: the same rows in the same order."""
    answers = []
    for sets in (["memory_limit=12MB", "workers=2"], ["memory_limit=1GB", "workers=1"]):
        with Server(sets=sets) as server, server.connect(prepare_threshold=None) as conn:
            conn.execute("CREATE ARRAY l AS SELECT [i], (random(3) * 1e6)::bigint AS t, i % 7 AS g FROM GRID [i => 0 : 29999]")
            conn.execute("CREATE ARRAY r AS SELECT [i], (random(5) * 1e6)::bigint AS t, i % 9 AS g, 'x' || i AS s FROM GRID [i => 0 : 59999]")
            texts = [f"SELECT l.i, l.t, r.t, r.i, s FROM l {kind} r ON l.t {op} r.t{keys}" for op in (">=", "<")
                     for keys in ("", " AND l.g = r.g") for kind in ("ASOF JOIN", "ASOF LEFT JOIN")]
            texts += [f"SELECT l.i, l.g, r.i, s FROM l {kind} r ON l.t = r.t AND l.i < r.i" for kind in KINDS]
            answers.append([conn.execute(text).fetchall() for text in texts])
            spilled = [row[0] for row in conn.execute(f"EXPLAIN ANALYZE {texts[0]}").fetchall() if row[0].startswith("bytes spilled")]
            count.equal(len(spilled), int(sets[0] == "memory_limit=12MB"), "the small one spills")
    for text, small, large in zip(texts, *answers):
        count.check(small == large, f"{text}: other rows when it spills")


def main():
    rng = random.Random(seed())
    count = Count()
    sets, statements = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (12, 60)
    with Postgres() as pg, Server(sets=["workers=1"]) as one, Server(sets=["workers=4", "tile_size=512B", "memory_limit=64MB"]) as four, \
            Server(sets=["workers=2", "optimizer=off"]) as plain:
        servers = [one.connect(), four.connect(), plain.connect()]
        for conn in [pg, *servers]:
            for oid in range(16, 3000):
                conn.adapters.register_loader(oid, Text)
        against_postgres(rng, count, pg, servers, sets, statements)
        nan_keys(count, servers[0])
        asof(rng, count, servers, 20)
        nearest(rng, count, servers, 20)
        for conn in [pg, *servers]:
            conn.close()
    spilling(count)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
