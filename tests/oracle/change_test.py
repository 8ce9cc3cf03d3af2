#!/usr/bin/python3
"""Random changes to random arrays (blocks, single cells, bounds at both ends, tiles, columns, savepoints) beside a dictionary of cells: after
each change the array must hold what the dictionary holds, and at the end every version what it held then."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, psycopg, seed  # noqa: E402

TEXTS = [None, "", "a", "ä", "long " * 9]


class Dim:
    """An integer axis with a step, ascending or descending; bounds of None are open."""

    def __init__(self, r, name):
        self.name, self.step = name, r.choice([1, 1, 1, 3, -2])
        self.lo, self.hi = r.choice([(0, 9), (-4, 3), (0, None), (None, None), (2, 2), (None, 5)])

    def text(self):
        a = "*" if self.lo is None else self.lo * self.step
        b = "*" if self.hi is None else self.hi * self.step
        return f"[{a} : {b} : {self.step}]"

    def bounds(self):
        return f"[{'*' if self.lo is None else self.lo * self.step} : {'*' if self.hi is None else self.hi * self.step}]"

    def holds(self, i):
        return (self.lo is None or i >= self.lo) and (self.hi is None or i <= self.hi)

    def some(self, r):
        """A whole number of steps, now and then past the bounds."""
        lo = self.lo if self.lo is not None else (self.hi if self.hi is not None else 0) - 12
        hi = self.hi if self.hi is not None else lo + 14
        return r.randint(lo - (r.random() < 0.1), hi + (r.random() < 0.1))

    def resize(self, r):
        self.lo = r.choice([None, r.randint(-8, 4)])
        self.hi = r.choice([None, (self.lo if self.lo is not None else 0) + r.randint(0, 14)])


class Model:
    def __init__(self, r):
        self.dims = [Dim(r, f"d{k}") for k in range(r.choice([1, 2, 2, 3]))]
        self.cells, self.columns = {}, ["v", "s"]

    def copy(self):
        return dict(self.cells), list(self.columns)

    def rows(self, cells=None, columns=None):
        cells, columns = (self.cells, self.columns) if cells is None else (cells, columns)
        return sorted((tuple(i * d.step for i, d in zip(at, self.dims)) + tuple(c[k] for k in columns) for at, c in cells.items()), key=repr)


def literal(x):
    return "NULL" if x is None else f"'{x}'" if isinstance(x, str) else str(x)


def insert_cells(r, m):
    rows, new = [], {}
    mode = r.choice(["", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE"])
    for _ in range(r.choice([1, 3, 20])):
        at = tuple(d.some(r) for d in m.dims)
        v, s = r.choice([None, r.randrange(1000)]), r.choice(TEXTS)
        rows.append((at, v, s))
    if not all(d.holds(i) for at, _, _ in rows for d, i in zip(m.dims, at)):
        new = "2202E"
    for at, v, s in rows if new == {} else ():
        if at in new or at in m.cells:
            if "IGNORE" in mode:
                continue
            if "REPLACE" not in mode:
                new = "23505"
                break
            if at in new:
                new = "21000"
                break
        new[at] = {"v": v, "s": s, "w": 5}
    names = ", ".join([d.name for d in m.dims] + ["v", "s"])
    values = ", ".join("(" + ", ".join([str(i * d.step) for i, d in zip(at, m.dims)] + [literal(v), literal(s)]) + ")" for at, v, s in rows)
    return f"INSERT INTO a ({names}) VALUES {values}{mode}", new if isinstance(new, str) else {**m.cells, **new}


def insert_block(r, m):
    items, at = [], [()]
    for d in m.dims:
        lo = d.some(r)
        n = r.choice([1, 2, 6])
        items.append(f"{d.name} => {lo * d.step} : {(lo + n - 1) * d.step} : {d.step}")
        at = [(*a, i) for a in at for i in range(lo, lo + n)]
    base = r.randrange(1000)
    pick = ", ".join(f"[{d.name}]" for d in m.dims)
    total = " + ".join(d.name for d in m.dims)
    if all(d.holds(i) for p in at for d, i in zip(m.dims, p)):
        new = {**m.cells, **{p: {"v": base + sum(i * d.step for i, d in zip(p, m.dims)), "s": None, "w": 5} for p in at}}
    else:
        new = "2202E"
    names = ", ".join([d.name for d in m.dims] + ["v"])
    return f"INSERT INTO a ({names}) SELECT {pick}, {base} + {total} FROM GRID [{', '.join(items)}] ON CONFLICT REPLACE", new


def update(r, m):
    d, x = r.randrange(len(m.dims)), r.randint(-6, 10)
    dim = m.dims[d]
    cells = {at: {**c, "v": x} if at[d] * dim.step > x else c for at, c in m.cells.items()}
    return f"UPDATE a SET v = {x} WHERE {dim.name} > {x}", cells


def delete(r, m):
    d = r.randrange(len(m.dims))
    dim, x = m.dims[d], r.randint(-6, 10)
    return f"DELETE FROM a WHERE {dim.name} = {x * dim.step}", {at: c for at, c in m.cells.items() if at[d] != x}


def resize(r, m):
    dim = r.choice(m.dims)
    dim.resize(r)
    return f"ALTER ARRAY a DIMENSION {dim.name} RESIZE {dim.bounds()}", {at: c for at, c in m.cells.items() if all(d.holds(i) for d, i in zip(m.dims, at))}


def retile(r, m):
    some = r.sample(m.dims, r.randint(1, len(m.dims)))
    return f"ALTER ARRAY a SET TILE ({', '.join(f'{d.name} = {r.randint(1, 9)}' for d in some)})", m.cells


def column(r, m):
    if "w" in m.columns:
        m.columns.remove("w")
        return "ALTER ARRAY a DROP COLUMN w", m.cells
    m.columns.append("w")
    return "ALTER ARRAY a ADD COLUMN w INTEGER DEFAULT 5", {at: {**c, "w": 5} for at, c in m.cells.items()}


KINDS = [insert_cells, insert_cells, insert_block, insert_block, update, delete, resize, retile, retile, column]


def run(conn, sql):
    try:
        conn.execute(sql)
        return None
    except psycopg.Error as e:
        return e.sqlstate


def read(conn, m, columns, version=""):
    names = ", ".join([d.name for d in m.dims] + columns)
    return sorted(conn.execute(f"SELECT {names} FROM a {version}").fetchall(), key=repr)


def one_array(count, conn, r, steps):
    m = Model(r)
    conn.execute("DROP ARRAY IF EXISTS a")
    tiles = [f" TILE {r.randint(1, 7)}" if r.random() < 0.6 else "" for _ in m.dims]
    ddl = f"CREATE ARRAY a ({', '.join(f'{d.name} INTEGER DIMENSION {d.text()}{t}' for d, t in zip(m.dims, tiles))}, v INTEGER, s TEXT)"
    conn.execute(ddl)
    history, done = {}, [ddl]
    for _ in range(steps):
        sql, want = r.choice(KINDS)(r, m)
        undo = r.random() < 0.15 and not isinstance(want, str) and "ALTER" not in sql
        if undo:
            conn.execute("BEGIN")
            conn.execute("SAVEPOINT s")
        state = run(conn, sql)
        done.append(sql)
        if undo:
            conn.execute("ROLLBACK TO s")
            conn.execute("COMMIT")
        if not count.equal(state, want if isinstance(want, str) else None, f"{done}"):
            return
        if not isinstance(want, str) and not undo:
            m.cells = want
        if not count.check(read(conn, m, m.columns) == m.rows(), f"{done}\n  got {read(conn, m, m.columns)}\n  not {m.rows()}"):
            return
        version = conn.execute("SELECT max(version) FROM sys.versions WHERE array_name = 'a' AND state = 'live'").fetchone()[0]
        history[version] = m.copy()
        n = conn.execute("SELECT count(*), sum(v), min(v) FROM a").fetchone()      # from summaries
        values = [c["v"] for c in m.cells.values() if c["v"] is not None]
        count.equal(n, (len(m.cells), sum(values) if values else None, min(values) if values else None), f"{done}")
    conn.execute("CHECK ARRAY a")
    for version, (cells, columns) in history.items():
        got = read(conn, m, columns, f"VERSION {version}")
        count.check(got == m.rows(cells, columns), f"version {version} of {done}\n  got {got}\n  not {m.rows(cells, columns)}")
    conn.execute("VACUUM a KEEP 1 VERSIONS")
    conn.execute("CHECK ARRAY a")
    count.check(read(conn, m, m.columns) == m.rows(), f"after VACUUM: {done}")


def main():
    count, s = Count(), seed()
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    for k, sets in enumerate(((), ("tile_size=512B", "workers=4"), ("workers=1", "tile_cache=off", "optimizer=off"))):
        r = random.Random(s + k)
        with Server(sets=sets) as server, server.connect(prepare_threshold=None) as conn:
            for _ in range(n):
                one_array(count, conn, r, 20)
                if count.failed:
                    return count.finish()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
