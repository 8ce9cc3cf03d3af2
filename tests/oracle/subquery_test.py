#!/usr/bin/python3
"""Queries with sub-queries, set operations, rows of values and parameters, to a scratch PostgreSQL 15 and to Tessera: rows, types
and SQLSTATEs must be the same. Most are made at random over data that are arrays in Tessera and tables in PostgreSQL, with the
optimizer on and off, four workers, and one with little memory.

usage: subquery_test.py [QUERIES]"""
import os
import random
import sys

import psycopg

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, Text, seed  # noqa: E402
from postgres_test import Postgres, ask  # noqa: E402

TABLES = {  # dimensions, then attributes
    "p": (("i", 0, 9), ("j", 0, 6), ("v", "int"), ("s", "text")),
    "q": (("i", 3, 14), ("k", -2, 4), ("v", "int"), ("w", "int"), ("s", "text")),
    "e": (("i", 0, 5), ("v", "int"), ("s", "text")),
}
INTS = {t: [c[0] for c in cols if len(c) == 3 or c[1] == "int"] for t, cols in TABLES.items()}
TEXTS = {t: [c[0] for c in cols if len(c) == 2 and c[1] == "text"] for t, cols in TABLES.items()}


def create(rng, pg, ours):
    for name, cols in TABLES.items():
        dims, attrs = [c for c in cols if len(c) == 3], [c for c in cols if len(c) == 2]
        ours.execute(f"CREATE ARRAY {name} (" + ", ".join(
            [f"{d} INTEGER DIMENSION [{lo} : {hi}] TILE {rng.randint(1, 8)}" for d, lo, hi in dims] + [f"{a} {t}" for a, t in attrs]) + ")")
        pg.execute(f"CREATE TABLE {name} (" + ", ".join([f"{d} int" for d, _, _ in dims] + [f"{a} {t}" for a, t in attrs]) + ")")
        cells = [()]
        for _, lo, hi in dims:
            cells = [c + (x,) for c in cells for x in range(lo, hi + 1)]
        rows = []
        for c in cells:
            if rng.random() < 0.2:
                continue  # EMPTY
            row = [str(x) for x in c]
            for _, t in attrs:
                if rng.random() < (0.0 if name == "e" else 0.15):
                    row.append("NULL")
                else:
                    row.append(str(rng.randint(-3, 12)) if t == "int" else "'" + rng.choice(["", "a", "b", "ab", "abc", "zz"]) + "'")
            rows.append("(" + ", ".join(row) + ")")
        for conn in (pg, ours):
            conn.execute(f"INSERT INTO {name} VALUES " + ", ".join(rows))


# ---- fixed ones, over the table w ----
WITH_PARAMETERS = [("SELECT k FROM w WHERE k IN (%s, %s) ORDER BY k",(1,3)),("SELECT k FROM w ORDER BY k LIMIT %s OFFSET %s",(2,1)),
("SELECT CASE WHEN k > %s THEN %s ELSE v END FROM w ORDER BY k",(2,7)),("SELECT coalesce(v, %s) FROM w ORDER BY k",(99,)),
("SELECT k FROM w WHERE k = ANY (%s) ORDER BY k",([1,2,77],)),("SELECT k FROM w WHERE g = ANY (%s) ORDER BY k",(["p","z"],)),
("SELECT k FROM w WHERE k <> ALL (%s) ORDER BY k",([1,2],)),("SELECT k FROM w WHERE (k, v) IN ((%s, %s), (2, %s)) ORDER BY k",(1,10,20)),
("SELECT k FROM w WHERE %s IN (SELECT v FROM w) ORDER BY k LIMIT 1",(20,)),("SELECT k FROM w WHERE v > ALL (SELECT v - %s FROM w WHERE v IS NOT NULL) ORDER BY k",(1,)),
("SELECT (SELECT max(v) FROM w AS x WHERE x.k < w.k + %s) FROM w ORDER BY k",(1,)),("SELECT k FROM w WHERE (k, v) < (%s, %s) ORDER BY k",(3,5)),
("SELECT %s::int + k FROM w ORDER BY k",(5,)),("SELECT k FROM w WHERE k BETWEEN %s AND %s ORDER BY k",(2,3)),("SELECT nullif(k, %s) FROM w ORDER BY k",(2,)),
("SELECT greatest(v, %s) FROM w ORDER BY k",(12,)),("SELECT k FROM w WHERE v IS NOT DISTINCT FROM %s ORDER BY k",(None,)),
("SELECT k FROM w WHERE g LIKE %s ORDER BY k",("p%",)),("SELECT k FROM w UNION SELECT %s ORDER BY 1",(100,)),("VALUES (%s), (%s) ORDER BY 1",(3,1)),
("SELECT k FROM w WHERE EXISTS (SELECT 1 FROM w AS x WHERE x.v = %s AND x.k = w.k) ORDER BY 1",(20,)),
("SELECT k FROM w WHERE x.nothing = %s",(1,)),("SELECT %s",(1,)),("SELECT %s AS a, k FROM w WHERE k < %s",("t",2)),
("SELECT k FROM w WHERE k = ANY (%s::int[]) ORDER BY k",([1,2,77],)),("SELECT k FROM w WHERE k = ANY (%s) ORDER BY k",([],)),
("SELECT k FROM w WHERE k = ANY (%s) ORDER BY k",([1,None],)), ("SELECT k FROM w WHERE v::float8 = ANY (%s) ORDER BY k",([20.0,5.0],))]
PARAMETER_TYPES = ["SELECT k FROM w WHERE k IN ($1, $2)","SELECT k FROM w LIMIT $1 OFFSET $2","SELECT k FROM w WHERE v > ALL (SELECT $1)","SELECT k FROM w WHERE v > ALL (SELECT $1::int)",
      "SELECT CASE WHEN $1 THEN k ELSE $2 END FROM w","SELECT COALESCE($1, k) FROM w","SELECT COALESCE($1, g) FROM w","SELECT k FROM w WHERE $1 IN (SELECT g FROM w)","SELECT k FROM w WHERE $1 IN (SELECT k FROM w)",
      "SELECT k FROM w WHERE (k, g) IN (($1, $2))","SELECT k FROM w WHERE (k, g) = ($1, $2)","SELECT k FROM w WHERE k = (SELECT max(v) FROM w WHERE g = $1)",
      "SELECT $1 UNION SELECT k FROM w","VALUES ($1, 1), (2, $2)","INSERT INTO w VALUES ($1, (SELECT max(k) + $2 FROM w), $3)","UPDATE w SET v = $1 WHERE k IN ($2)","SELECT k FROM w WHERE $1","SELECT NULLIF($1, k) FROM w","SELECT GREATEST($1, k) FROM w","SELECT k FROM w WHERE k BETWEEN $1 AND $2","SELECT $1 IS DISTINCT FROM k FROM w","SELECT count(*) FROM w HAVING count(*) > $1","SELECT k FROM w ORDER BY k + $1","SELECT (SELECT v FROM w AS x WHERE x.k = $1 + w.k) FROM w","SELECT k FROM w WHERE g LIKE $1","SELECT k FROM w WHERE EXISTS (SELECT 1 FROM w AS x WHERE x.v = $1)"]
STATEMENTS = [
    "SELECT k FROM w WHERE v NOT IN (SELECT v FROM w)", "SELECT k FROM w WHERE k NOT IN (SELECT v FROM w WHERE v < 0) ORDER BY k",
    "SELECT (SELECT v FROM w AS x WHERE x.g = w.g) FROM w", "SELECT (SELECT v, k FROM w)", "SELECT k FROM w WHERE k IN (SELECT k, v FROM w)",
    "SELECT k FROM w WHERE (k, v) IN (SELECT k FROM w)", "SELECT k FROM w WHERE (k, v) = (1, 2, 3)", "SELECT k FROM w WHERE (k, v) IN ((1, 2, 3))",
    "SELECT k FROM w WHERE k IN (SELECT g FROM w)", "SELECT k FROM w WHERE k > ALL (SELECT g FROM w)", "SELECT k FROM w WHERE (SELECT count(*) FROM w)",
    "SELECT sum((SELECT max(v) FROM w AS x WHERE x.k = w.k)) FROM w", "SELECT g, (SELECT max(k) FROM w AS x WHERE x.v = w.v) FROM w GROUP BY g",
    "SELECT (SELECT sum(w.v)) FROM w", "SELECT (SELECT sum(w.v + x.k) FROM w AS x) FROM w ORDER BY 1", "SELECT g, (SELECT max(x.k) FROM w AS x WHERE x.v < sum(w.v)) FROM w GROUP BY g ORDER BY g",
    "SELECT k FROM w WHERE EXISTS (SELECT 1 FROM w AS x WHERE sum(w.v) > 1)", "SELECT (SELECT nothing FROM w) FROM w", "SELECT (SELECT z.v FROM w) FROM w",
    "SELECT k FROM w, (SELECT v FROM w AS x WHERE x.k = w.k) AS y", "WITH q AS (SELECT nothing FROM w) SELECT 1", "WITH q (a, b) AS (SELECT k FROM w) SELECT 1 FROM q",
    "WITH q AS (SELECT k FROM w), q AS (SELECT 1) SELECT 1", "WITH q AS (SELECT k FROM w) SELECT k FROM w WHERE k IN (SELECT k + 1 FROM q) ORDER BY k",
    "WITH w AS (SELECT k + 1 AS k FROM w) SELECT k FROM w ORDER BY k", "SELECT 1 INTERSECT SELECT 1, 2", "SELECT 1 EXCEPT SELECT '2020-01-01'::date", "SELECT k FROM w INTERSECT SELECT v FROM w ORDER BY v",
    "SELECT k FROM w EXCEPT SELECT v FROM w ORDER BY k + 1", "SELECT k FROM w UNION SELECT v FROM w ORDER BY 2", "(SELECT k FROM w ORDER BY k DESC LIMIT 2) EXCEPT SELECT 5",
    "SELECT k FROM w LIMIT (SELECT -1)", "SELECT k FROM w ORDER BY k LIMIT (SELECT 2) OFFSET (SELECT 1)", "SELECT k FROM w OFFSET (SELECT -1)", "SELECT k FROM w LIMIT 'x'", "SELECT k FROM w ORDER BY k LIMIT NULL",
    "SELECT 1 WHERE false", "SELECT count(*) WHERE false", "SELECT 1 HAVING false", "SELECT k FROM w HAVING true", "SELECT DISTINCT v FROM w ORDER BY v + 1", "SELECT DISTINCT v + 1 FROM w ORDER BY v + 1",
    "VALUES (1, 'a'), (2, 'b') ORDER BY column2 || 'x' DESC", "VALUES (1), (2) ORDER BY nothing", "SELECT CASE WHEN k > 99 THEN (SELECT v FROM w) END FROM w", "SELECT k FROM w WHERE k = ANY ('{1,3}') ORDER BY k",
    "SELECT 1 = ANY ('{1,x}')", "SELECT 1 = ANY ('1,2')", "SELECT 1 = ANY (1)", "SELECT (1, NULL) = (1, 2), (1, NULL) < (2, 1), (1, NULL) IN ((1, 2), (3, 4)), (1, 2) NOT IN ((1, NULL))",
    "SELECT (1, 2) IS NULL, (NULL, NULL) IS NULL, (1, NULL) IS NOT NULL, (1, 2) IS DISTINCT FROM (1, NULL)", "SELECT EXISTS (SELECT), NOT EXISTS (SELECT 1 WHERE false)",
    "SELECT k, (SELECT w.k + x.k FROM (SELECT 1 AS k) AS x) FROM w ORDER BY k", "SELECT k FROM w ORDER BY (SELECT -w.k)", "SELECT g FROM w GROUP BY g ORDER BY (SELECT max(w.k))",
    "SELECT g FROM w GROUP BY g HAVING max(k) > ALL (SELECT v FROM w AS x WHERE x.g = w.g) ORDER BY g", "UPDATE w SET (v, g) = (SELECT max(k), 'm' FROM w AS x WHERE x.g = w.g) WHERE k = 1", "SELECT v, g FROM w ORDER BY k",
    "UPDATE w SET (v, g) = (SELECT 1)", "UPDATE w SET v = (SELECT k FROM w)", "UPDATE w SET (v, g) = (1, 'p') WHERE k IN (SELECT min(k) FROM w)", "DELETE FROM w WHERE k > ALL (SELECT v FROM w WHERE v IS NOT NULL)",
    "INSERT INTO w VALUES ((SELECT max(k) + 1 FROM w), (SELECT v FROM w WHERE k = 99), 'new')", "SELECT * FROM w ORDER BY k", "DELETE FROM w WHERE NOT EXISTS (SELECT 1 FROM w AS x WHERE x.k = w.k + 1)", "SELECT * FROM w ORDER BY k",
]


class Gen:
    def __init__(self, rng):
        self.rng = rng
        self.n = 0

    def alias(self):
        self.n += 1
        return f"t{self.n}"

    def column(self, scopes, kind="int", local=None):
        """A column of some level; the innermost is last."""
        rng = self.rng
        level = scopes[-1] if local or (local is None and rng.random() < 0.6) else rng.choice(scopes)
        alias, table = rng.choice(level)
        return f"{alias}.{rng.choice((INTS if kind == 'int' else TEXTS)[table])}"

    def number(self, scopes, depth):
        rng = self.rng
        r = rng.random()
        if r < 0.55:
            return self.column(scopes)
        if r < 0.75:
            return str(rng.randint(-2, 10))
        if r < 0.85 or depth <= 0:
            return f"({self.column(scopes)} + {rng.choice([self.column(scopes), '1', '2'])})"
        if r < 0.9:
            return f"coalesce({self.column(scopes)}, {self.number(scopes, depth - 1)})"
        if r < 0.93:
            return f"CASE WHEN {self.condition(scopes, depth - 1)} THEN {self.column(scopes)} ELSE {self.number(scopes, depth - 1)} END"
        return self.scalar(scopes, depth - 1)

    def source(self):
        table = self.rng.choice(list(TABLES))
        return self.alias(), table

    def from_where(self, scopes, depth):
        """FROM and WHERE of a new level, and the scopes inside."""
        rng = self.rng
        level = [self.source()]
        if rng.random() < 0.15:
            level.append(self.source())
        text = " FROM " + ", ".join(f"{t} AS {a}" if rng.random() < 0.8 else f"(SELECT * FROM {t} WHERE v IS NOT NULL) AS {a}"
                                    for a, t in level)
        inner = scopes + [level]
        conds = []
        if len(level) == 2:
            conds.append(f"{level[0][0]}.i = {level[1][0]}.i")
        if scopes and rng.random() < 0.6:
            conds.append(f"{self.column(inner, local=True)} = {self.column(scopes)}")
        if scopes and rng.random() < 0.15:
            conds.append(f"{self.column(inner, 'text', True)} = {self.column(scopes, 'text')}")
        if rng.random() < 0.5:
            conds.append(self.condition(inner, depth - 1))
        rng.shuffle(conds)
        return text + (" WHERE " + " AND ".join(conds) if conds else ""), inner

    def scalar(self, scopes, depth):
        rng = self.rng
        body, inner = self.from_where(scopes, depth)
        r = rng.random()
        if r < 0.7:
            agg = rng.choice(["count(*)", f"count({self.column(inner)})", f"max({self.column(inner, local=True)})",
                              f"min({self.column(inner, local=True)})", f"sum({self.column(inner, local=True)})::int",
                              f"max({self.column(inner, local=True)}) + {self.column(scopes) if scopes else 1}",
                              f"coalesce(sum({self.column(inner, local=True)}), -1)::int"])
            having = f" HAVING {rng.choice(['count(*) > 1', 'max(' + self.column(inner, local=True) + ') > 3'])}" if rng.random() < 0.15 else ""
            return f"(SELECT {agg}{body}{having})"
        col = self.column(inner, local=True)
        return f"(SELECT {col}{body} ORDER BY 1{rng.choice(['', ' DESC'])} LIMIT 1)"

    def rows(self, scopes, depth, kinds):
        """A sub-query of rows."""
        rng = self.rng
        if depth > 0 and rng.random() < 0.12:
            op = rng.choice(["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"])
            return f"({self.rows(scopes, depth - 1, kinds)} {op} {self.rows(scopes, depth - 1, kinds)})"
        body, inner = self.from_where(scopes, depth)
        if rng.random() < 0.15:
            key = self.column(inner, "int", True)
            cols = [key if k == "int" and rng.random() < 0.6 else
                    f"max({self.column(inner, k, True)})" for k in kinds]
            having = f" HAVING count(*) > {rng.randint(0, 3)}" if rng.random() < 0.4 else ""
            return f"SELECT {', '.join(cols)}{body} GROUP BY {key}{having}"
        cols = [self.column(inner, k, None if rng.random() < 0.2 else True) for k in kinds]
        if depth > 0 and kinds == ["int"] and rng.random() < 0.1:
            cols = [self.number(inner, depth - 1)]
        return f"SELECT {rng.choice(['', '', 'DISTINCT '])}{', '.join(cols)}{body}"

    def condition(self, scopes, depth):
        rng = self.rng
        r = rng.random()
        if depth <= 0 or r < 0.2:
            if rng.random() < 0.2:
                return f"{self.column(scopes)} IS {rng.choice(['', 'NOT '])}NULL"
            if rng.random() < 0.2:
                return f"{self.column(scopes, 'text')} {rng.choice(['=', '<', '<>', 'LIKE'])} {rng.choice([self.column(scopes, 'text'), repr('a%'), repr('ab')])}"
            return f"{self.number(scopes, 0)} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {self.number(scopes, 0)}"
        if r < 0.28:
            return f"({self.condition(scopes, depth - 1)} {rng.choice(['AND', 'OR'])} {self.condition(scopes, depth - 1)})"
        if r < 0.32:
            return f"NOT ({self.condition(scopes, depth - 1)})"
        no = rng.choice(["", "", "NOT "])
        if r < 0.48:
            kind = rng.choice(["int", "int", "text"])
            x = self.number(scopes, depth - 1) if kind == "int" else self.column(scopes, "text")
            return f"{x} {no}IN ({self.rows(scopes, depth - 1, [kind])})"
        if r < 0.58:
            kinds = rng.choice([["int", "int"], ["int", "text"], ["int", "int", "int"]])
            xs = ", ".join(self.column(scopes, k) for k in kinds)
            return f"({xs}) {no}IN ({self.rows(scopes, depth - 1, kinds)})"
        if r < 0.72:
            return f"{no}EXISTS ({self.rows(scopes, depth - 1, ['int'])})"
        if r < 0.84:
            kind = rng.choice(["int", "int", "text"])
            op = rng.choice(["=", "<>", "<", "<=", ">", ">="])
            return f"{self.column(scopes, kind)} {op} {rng.choice(['ANY', 'ALL', 'SOME'])} ({self.rows(scopes, depth - 1, [kind])})"
        if r < 0.94:
            return f"{self.number(scopes, depth - 1)} {rng.choice(['=', '<>', '<', '>='])} {self.scalar(scopes, depth - 1)}"
        a, b, x, y = (self.column(scopes) for _ in range(4))
        return rng.choice([f"({a}, {b}) {rng.choice(['=', '<>', '<', '<=', '>', '>='])} ({x}, {y})",
                           f"({a}, {b}) {no}IN (({x}, 1), (2, {y}))", f"({a}, {b}) IS {no}DISTINCT FROM ({x}, {y})"])

    def query(self):
        rng = self.rng
        depth = rng.choice([1, 2, 2, 3])
        if rng.random() < 0.12:
            return self.rows([], depth, rng.choice([["int"], ["int", "text"], ["int", "int"]]))
        body, inner = self.from_where([], depth)
        if rng.random() < 0.6:
            body += (" AND " if " WHERE " in body and not body.endswith(")") else " AND " if self.top_where(body) else " WHERE ") + self.condition(inner, depth)
        if rng.random() < 0.15:
            key = self.column(inner, local=True)
            having = f" HAVING {self.grouped(key, inner, depth)}" if rng.random() < 0.5 else ""
            return f"SELECT {key}, count(*), {self.grouped(key, inner, depth)}{body} GROUP BY {key}{having}"
        cols = [f"{a}.{c}" for a, t in inner[-1] for c in INTS[t][:2]]
        for _ in range(rng.randint(0, 2)):
            cols.append(rng.choice([self.condition, self.scalar])(inner, depth - 1))
        return f"SELECT {', '.join(cols)}{body}"

    @staticmethod
    def top_where(body):
        """Is there a WHERE outside of parentheses?"""
        level = 0
        for i, ch in enumerate(body):
            level += (ch == "(") - (ch == ")")
            if level == 0 and body.startswith(" WHERE ", i):
                return True
        return False

    def grouped(self, key, inner, depth):
        """A condition over groups."""
        rng = self.rng
        alias, table = self.source()
        level = inner + [[(alias, table)]]
        agg = rng.choice(["count(*)", f"max({self.column(inner, local=True)})", key])
        col = self.column(level, local=True)
        return rng.choice([
            f"{agg} IN (SELECT {col} FROM {table} AS {alias} WHERE {self.column(level, local=True)} = {key})",
            f"EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {col} = {agg})",
            f"EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {col} > min({self.column(inner, local=True)}))",
            f"{agg} > (SELECT min({col}) FROM {table} AS {alias} WHERE {self.column(level, local=True)} = {key})",
            f"{agg} >= ALL (SELECT {col} FROM {table} AS {alias} WHERE {self.column(level, local=True)} < {key})"])


def order(rows):
    return sorted(rows, key=lambda row: [(x is None, x) for x in row])


def same_answer(count, pg, ours, sql):
    want, _, want_oids = ask(pg, sql)
    got, _, oids = ask(ours, sql)
    if isinstance(want, str) or isinstance(got, str):
        count.equal(got, want, sql)
        return
    got, want = order(got), order(want)
    count.check(got == want, f"{sql}\n  got    {str(got)[:600]}\n  wanted {str(want)[:600]}")
    count.equal(oids, want_oids, f"types of {sql}")


def with_parameters(conn, sql, values):
    try:
        return conn.execute(sql, values, prepare=True).fetchall()
    except psycopg.Error as e:
        return e.sqlstate


def parameter_types(conn, sql):
    """OIDs that the server infers, or the SQLSTATE."""
    result = conn.pgconn.prepare(b"", sql.encode())
    if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
        return result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    described = conn.pgconn.describe_prepared(b"")
    return [described.param_type(i) for i in range(described.nparams)]


def fixed(count, pg, ours):
    for conn in (pg, ours):
        conn.execute("CREATE TABLE w (k integer, v integer, g text)")
        conn.execute("INSERT INTO w VALUES (1, 10, 'p'), (2, 20, 'q'), (3, NULL, 'p'), (4, 20, NULL), (5, 5, 'q')")
    for sql, values in WITH_PARAMETERS:
        for form in "sbt":  # text or binary: as psycopg likes, binary, text
            text = sql.replace("%s", "%" + form)
            count.equal(with_parameters(ours, text, values), with_parameters(pg, text, values), f"{text} {values}")
    for sql in PARAMETER_TYPES:
        count.equal(parameter_types(ours, sql), parameter_types(pg, sql), f"types of parameters of {sql}")
    for sql in STATEMENTS:
        same_answer(count, pg, ours, sql)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = random.Random(seed())
    count = Count()
    with Postgres() as pg:
        for conn in (pg,):
            for oid in range(16, 3000):
                conn.adapters.register_loader(oid, Text)
        for sets in ((), ("workers=1", "memory_limit=64MB")):
            with Server(sets=sets) as server, server.connect() as ours:
                for oid in range(16, 3000):
                    ours.adapters.register_loader(oid, Text)
                for table in [*TABLES, "w"]:
                    pg.execute(f"DROP TABLE IF EXISTS {table}")
                create(rng, pg, ours)
                pg.execute("ANALYZE")
                fixed(count, pg, ours)
                for k in range(n // 2):
                    ours.execute(f"SET optimizer = {'on' if k % 3 else 'off'}")
                    same_answer(count, pg, ours, Gen(rng).query())
        pg.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
