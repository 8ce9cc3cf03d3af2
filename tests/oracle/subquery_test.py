#!/usr/bin/python3
"""Random queries with sub-queries, set operations and rows of values, to a scratch PostgreSQL 15 and to Tessera: the rows must
be the same. The data are arrays in Tessera, tables in PostgreSQL; with the optimizer on and off, four workers and one, little memory.

usage: subquery_test.py [QUERIES]"""
import os
import random
import sys

import psycopg

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server  # noqa: E402
from postgres_test import Postgres, Text, ask  # noqa: E402

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


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    seed = int(os.environ.get("TESSERA_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    rng = random.Random(seed)
    count = Count()
    with Postgres() as pg, Server() as server:
        ours = server.connect()
        for conn in (pg, ours):
            for oid in range(16, 3000):
                conn.adapters.register_loader(oid, Text)
        create(rng, pg, ours)
        pg.execute("ANALYZE")
        for k in range(n):
            ours.execute(f"SET optimizer = {'on' if k % 3 else 'off'}")
            sql = Gen(rng).query()
            want, _, want_oids = ask(pg, sql)
            got, _, oids = ask(ours, sql)
            if isinstance(want, str) or isinstance(got, str):
                count.equal(got, want, sql)
                continue
            order = [lambda row: [(x is None, x) for x in row]]
            same = sorted(got, key=order[0]) == sorted(want, key=order[0])
            count.check(same, f"{sql}\n  got    {str(sorted(got, key=order[0]))[:600]}\n  wanted {str(sorted(want, key=order[0]))[:600]}")
            count.equal(oids, want_oids, f"types of {sql}")
        ours.close()
        pg.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
