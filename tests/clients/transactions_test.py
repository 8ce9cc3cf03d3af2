"""Transactions over several connections: snapshots, conflicts, deadlocks, savepoints, DDL, versions; RETURNING through psycopg; and a
BACKUP taken while others write."""
import os
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, psycopg  # noqa: E402


def state(conn, sql, *args):
    """The statement's SQLSTATE; None: it succeeded."""
    try:
        conn.execute(sql, args or None)
        return None
    except psycopg.Error as e:
        return e.sqlstate


def rows(conn, sql, *args):
    return conn.execute(sql, args or None).fetchall()


def one(conn, sql, *args):
    return rows(conn, sql, *args)[0][0]


def returning(count, conn):
    conn.execute("CREATE ARRAY r (i INTEGER DIMENSION [0 : *], v INTEGER, s TEXT DEFAULT 'd')")
    for binary in (False, True):
        with conn.cursor(binary=binary) as cur:
            cur.execute("TRUNCATE r")
            cur.execute("INSERT INTO r (i, v) VALUES (%s, %s), (%s, %s) RETURNING i, v * 2 AS twice, s", (0, 1, 1, 2))
            count.equal([d.name for d in cur.description], ["i", "twice", "s"], "names of RETURNING")
            count.equal(cur.fetchall(), [(0, 2, "d"), (1, 4, "d")], f"INSERT RETURNING, binary={binary}")
            count.equal(cur.statusmessage, "INSERT 0 2", "the tag of an INSERT that returns")
            cur.execute("UPDATE r SET v = v + %s WHERE i = 1 RETURNING *", (10,))
            count.equal(cur.fetchall(), [(1, 12, "d")], "UPDATE RETURNING")
            cur.execute("INSERT INTO r VALUES (1, 5) ON CONFLICT (i) DO UPDATE SET v = r.v * excluded.v RETURNING v")
            count.equal(cur.fetchall(), [(60,)], "an upsert returns what it wrote")
            cur.execute("DELETE FROM r WHERE v > %s RETURNING i", (1,))
            count.equal(cur.fetchall(), [(1,)], "DELETE RETURNING")
            cur.execute("DELETE FROM r WHERE v > 100 RETURNING i")
            count.equal((cur.fetchall(), cur.statusmessage), ([], "DELETE 0"), "nothing to return")
            cur.executemany("INSERT INTO r (i, v) VALUES (%s, %s) RETURNING i", [(5, 1), (6, 2)], returning=True)
            got = [cur.fetchone()[0]]
            while cur.nextset():
                got.append(cur.fetchone()[0])
            count.equal(got, [5, 6], "executemany with RETURNING")
    count.equal(state(conn, "INSERT INTO r VALUES (90, 1) RETURNING nope"), "42703", "RETURNING an unknown column")
    count.equal(one(conn, "SELECT count(*) FROM r WHERE i = 90"), 0, "…writes nothing")
    conn.execute("PREPARE up AS UPDATE r SET v = $2 WHERE i = $1 RETURNING v")
    count.equal(rows(conn, "EXECUTE up(5, 77)"), [(77,)], "EXECUTE returns rows")


def copied(conn, sql, text):
    """COPY's SQLSTATE; None: it succeeded."""
    try:
        with conn.cursor() as cur, cur.copy(sql) as copy:
            copy.write(text)
        return None
    except psycopg.Error as e:
        return e.sqlstate


def copies(count, conn):
    conn.execute("CREATE ARRAY c (i INTEGER DIMENSION [0 : *], v INTEGER CHECK (v > 0), w INTEGER DEFAULT 3, CHECK (w < v OR w = 3))")
    count.equal(copied(conn, "COPY c FROM STDIN", "1\t1\t0\n2\t2\t1\n"), None, "COPY")
    count.equal(copied(conn, "COPY c FROM STDIN", "3\t1\t0\n4\t0\t1\n"), "23514", "a CHECK")
    count.equal(copied(conn, "COPY c (i, v) FROM STDIN", "3\t1\n"), None, "a default that a CHECK sees")
    count.equal(copied(conn, "COPY c FROM STDIN", "4\t1\t0\n1\t9\t1\n"), "23505", "a cell that is there")
    count.equal(copied(conn, "COPY c FROM STDIN (ON CONFLICT IGNORE)", "4\t5\t0\n1\t9\t1\n4\t6\t0\n"), None, "ON CONFLICT IGNORE")
    count.equal(copied(conn, "COPY c FROM STDIN (ON CONFLICT REPLACE)", "5\t6\t0\n1\t8\t1\n"), None, "ON CONFLICT REPLACE")
    count.equal(copied(conn, "COPY c FROM STDIN (ON CONFLICT REPLACE)", "5\t7\t0\n5\t8\t1\n"), "21000", "twice")
    count.equal(rows(conn, "SELECT * FROM c"), [(1, 8, 1), (2, 2, 1), (3, 1, 3), (4, 5, 0), (5, 6, 0)], "what came of it")
    conn.execute("CREATE TABLE cs (id SERIAL PRIMARY KEY, v INTEGER)")
    count.equal(copied(conn, "COPY cs (v) FROM STDIN", "7\n8\n"), None, "COPY numbers rows")
    count.equal(copied(conn, "COPY cs FROM STDIN", "9\t9\n"), None, "…or takes their numbers")
    count.equal(rows(conn, "SELECT * FROM cs"), [(1, 7), (2, 8), (9, 9)], "numbered rows")


def snapshots(count, server):
    with server.connect(autocommit=False) as a, server.connect(autocommit=False) as b, server.connect() as c:
        for t in ("s1", "s2"):
            c.execute(f"CREATE ARRAY {t} (i INTEGER DIMENSION [0 : *], v INTEGER)")
            c.execute(f"INSERT INTO {t} VALUES (0, 0)")
        count.equal(one(a, "SELECT v FROM s1"), 0, "a snapshot")
        c.execute("UPDATE s1 SET v = 1")
        c.execute("UPDATE s2 SET v = 1")
        count.equal(one(a, "SELECT v FROM s2"), 0, "the snapshot is one for all arrays")
        count.equal(state(a, "UPDATE s1 SET v = 2"), "40001", "a write to what has changed since")
        count.equal(state(a, "SELECT 1"), "25P02", "the block has failed")
        a.rollback()
        count.equal(one(a, "SELECT v FROM s1"), 1, "a new transaction sees it")
        a.rollback()
        # A writer that has seen nothing yet waits, and goes on with what it then finds.
        a.execute("UPDATE s1 SET v = v + 10")
        done = []
        t = threading.Thread(target=lambda: done.append(state(b, "UPDATE s1 SET v = v + 100")))
        t.start()
        time.sleep(0.2)
        count.equal(done, [], "the second writer waits")
        a.commit()
        t.join()
        b.commit()
        count.equal(done, [None], "…and goes on")
        count.equal(one(c, "SELECT v FROM s1"), 111, "both writes count")
        # One that has read gets 40001 once the first commits, and nothing of it if that rolls back.
        for end, want in (("commit", "40001"), ("rollback", None)):
            a.execute("UPDATE s1 SET v = v")
            one(b, "SELECT v FROM s1")
            done = []
            t = threading.Thread(target=lambda: done.append(state(b, "UPDATE s1 SET v = v + 1")))
            t.start()
            time.sleep(0.2)
            getattr(a, end)()
            t.join()
            b.rollback()
            count.equal(done, [want], f"a writer that has read, after {end}")


def deadlock(count, server):
    with server.connect(autocommit=False) as a, server.connect(autocommit=False) as b:
        a.execute("INSERT INTO s1 VALUES (10, 1)")
        b.execute("INSERT INTO s2 VALUES (10, 1)")
        done = []
        t = threading.Thread(target=lambda: done.append(state(a, "INSERT INTO s2 VALUES (11, 1)")))
        t.start()
        time.sleep(0.2)
        second = state(b, "INSERT INTO s1 VALUES (11, 1)")
        (b if second else a).rollback()
        t.join()
        count.equal(sorted(x for x in [second, *done] if x), ["40P01"], "one of the two gets 40P01")
        a.rollback()
        b.rollback()


def names(conn):
    return {r[0] for r in rows(conn, "SELECT name FROM sys.arrays")}


def ddl(count, server):
    with server.connect(autocommit=False) as a, server.connect() as b:
        a.execute("CREATE ARRAY d1 (i INTEGER DIMENSION [0 : 9], v INTEGER)")
        a.execute("INSERT INTO d1 VALUES (1, 1)")
        a.execute("CREATE VIEW dv AS SELECT [*], v + 1 AS w FROM d1")
        count.check("d1" not in names(b), "DDL is not seen before COMMIT")
        done = []
        t = threading.Thread(target=lambda: done.append(state(b, "CREATE ARRAY d1 (j INTEGER DIMENSION [0 : 1])")))
        t.start()
        time.sleep(0.2)
        a.commit()
        t.join()
        count.equal(done, ["42P07"], "the name was taken meanwhile")
        a.execute("SAVEPOINT s")
        a.execute("ALTER ARRAY d1 ADD COLUMN x REAL DEFAULT 2")
        a.execute("ALTER ARRAY d1 RENAME i TO u")
        a.execute("INSERT INTO d1 VALUES (2, 2, 3)")
        count.equal(rows(a, "SELECT * FROM d1"), [(1, 1, 2.0), (2, 2, 3.0)], "DDL and DML in one block")
        a.execute("ROLLBACK TO s")
        count.equal(rows(a, "SELECT * FROM d1"), [(1, 1)], "a savepoint takes both back")
        a.execute("DROP ARRAY d1 CASCADE")
        a.execute("CREATE ARRAY d1 (k INTEGER DIMENSION [0 : 1], z TEXT)")
        a.execute("INSERT INTO d1 VALUES (0, 'new')")
        a.execute("SAVEPOINT s2")
        a.execute("DROP ARRAY d1")
        count.equal(state(a, "SELECT * FROM d1"), "42P01", "dropped again")
        a.execute("ROLLBACK TO s2")
        count.equal(rows(a, "SELECT * FROM d1"), [(0, "new")], "CREATE after DROP of the same name")
        count.equal(rows(b, "SELECT * FROM d1"), [(1, 1)], "the others see the old one")
        a.commit()
        count.equal(rows(b, "SELECT * FROM d1"), [(0, "new")], "…until COMMIT")
        # DDL against a writer, and against an older snapshot.
        a.execute("INSERT INTO d1 VALUES (1, 'x')")
        done = []
        t = threading.Thread(target=lambda: done.append(state(b, "DROP ARRAY d1")))
        t.start()
        time.sleep(0.2)
        a.rollback()
        t.join()
        count.equal(done, [None], "DROP waits for the writer")
        count.equal(state(a, "INSERT INTO d1 VALUES (1, 'x')"), "42P01", "nothing is left to write to")
        a.rollback()
        b.execute("CREATE ARRAY d2 (i INTEGER DIMENSION [0 : 9], v INTEGER)")
        one(a, "SELECT count(*) FROM d2")
        b.execute("ALTER ARRAY d2 ADD w INTEGER")
        count.equal(len(rows(a, "SELECT * FROM d2")), 0, "the snapshot keeps its definition")
        count.equal(state(a, "ALTER ARRAY d2 DROP COLUMN v"), "40001", "DDL on an older snapshot")
        a.rollback()


def versions(count, server):
    with server.connect(autocommit=False) as a, server.connect() as b:
        b.execute("CREATE ARRAY v1 (i INTEGER DIMENSION [0 : *] TILE 4, v INTEGER)")
        live = lambda: one(b, "SELECT count(*) FROM sys.versions WHERE array_name = 'v1' AND state = 'live'")
        before = live()
        for k in range(5):
            a.execute("INSERT INTO v1 VALUES (%s, %s)", (k, k))
            if k % 2:
                a.execute("SAVEPOINT s")
                a.execute("UPDATE v1 SET v = -1")
                a.execute("ROLLBACK TO s")
        a.commit()
        count.equal(live() - before, 1, "a block makes one version")
        first = one(b, "SELECT max(version) FROM sys.versions WHERE array_name = 'v1' AND state = 'live'")
        time.sleep(0.01)
        moment = one(b, "SELECT now()")
        time.sleep(0.01)
        b.execute("ALTER ARRAY v1 RENAME v TO w")
        b.execute("ALTER ARRAY v1 DIMENSION i RESIZE [2 : *]")
        b.execute("UPDATE v1 SET w = 100")
        count.equal(rows(b, f"SELECT * FROM v1 VERSION {first}"), [(k, k) for k in range(5)], "VERSION n")
        count.equal(rows(b, f"SELECT v FROM v1 AS OF TIMESTAMP '{moment}'"), [(k,) for k in range(5)], "AS OF, with its own names")
        count.equal(rows(b, "SELECT * FROM v1"), [(k, 100) for k in range(2, 5)], "the newest")
        count.check(one(b, "CHECK ARRAY v1") > 0, "CHECK ARRAY")
        one(a, f"SELECT count(*) FROM v1 VERSION {first}")
        b.execute("VACUUM v1 KEEP 1 VERSIONS")
        count.equal(one(a, f"SELECT count(*) FROM v1 VERSION {first}"), 5, "a version that is being read stays")
        a.rollback()
        b.execute("VACUUM v1 KEEP 1 VERSIONS")
        count.equal(state(b, f"SELECT * FROM v1 VERSION {first}"), "42704", "…and goes afterwards")
        count.equal(rows(b, "SELECT * FROM v1"), [(k, 100) for k in range(2, 5)], "the newest is still there")
        count.check(one(b, "CHECK ARRAY v1") > 0, "CHECK ARRAY after VACUUM")


def write_on(server, stop):
    with server.connect() as conn:
        k = 0
        while not stop.is_set():
            conn.execute("INSERT INTO bu SELECT [i], [j], i + j FROM GRID [i => %d : %d, j => 0 : 99] ON CONFLICT REPLACE" % (k % 40, k % 40 + 3))
            conn.execute(f"CREATE ARRAY bx{k} (i INTEGER DIMENSION [0 : 9], v INTEGER)")
            conn.execute(f"INSERT INTO bx{k} VALUES (1, 1)")
            conn.execute("INSERT INTO log VALUES (%s)", (k,))
            k += 1


def backup(count, server):
    top = tempfile.mkdtemp(prefix="tessera-backup-")
    with server.connect() as conn:
        conn.execute("CREATE ARRAY bu (i INTEGER DIMENSION [0 : *] TILE 5, j INTEGER DIMENSION [0 : 99] TILE 30, v INTEGER)")
        conn.execute("CREATE TABLE log (k INTEGER)")
        conn.execute("INSERT INTO bu SELECT [i], [j], i + j FROM GRID [i => 0 : 49, j => 0 : 99]")
        stop = threading.Event()
        t = threading.Thread(target=write_on, args=(server, stop))
        t.start()
        copies = []
        for n in range(4):
            time.sleep(0.1)
            copies.append(os.path.join(top, f"b{n}"))
            conn.execute(f"BACKUP TO '{copies[-1]}'")
        stop.set()
        t.join()
        count.equal(state(conn, f"BACKUP TO '{copies[0]}'"), "58P02", "a directory that is not empty")
        count.equal(state(conn, f"BACKUP TO '{top}/no/such/b'"), "58030", "a directory that cannot be made")
        conn.execute("BEGIN")
        count.equal(state(conn, f"BACKUP TO '{top}/b'"), "25001", "not in a block")
        conn.execute("ROLLBACK")
        live = one(conn, "SELECT count(*) FROM log")
    seen = 0
    for copy in copies:
        with Server(copy) as other, other.connect() as conn:
            arrays = names(conn)
            for name in arrays:
                count.check(one(conn, f"CHECK ARRAY {name}") >= 0, f"{name} in the backup")
            count.equal(one(conn, "SELECT count(*) FROM bu WHERE v = i + j"), 5000, "its cells")
            logged = one(conn, "SELECT count(*) FROM log")
            count.check(seen <= logged <= live, f"it is of its time: {seen} <= {logged} <= {live}")
            count.check({f"bx{k}" for k in range(logged)} <= arrays, "what was committed is there")
            seen = logged
            # Numbers that the store has tiles of are not given out again.
            conn.execute("INSERT INTO bu SELECT [i], [j], i + j FROM GRID [i => 0 : 49, j => 0 : 99] ON CONFLICT REPLACE")
            conn.execute("CREATE ARRAY fresh (i INTEGER DIMENSION [0 : 9], v INTEGER)")
            count.equal(one(conn, "SELECT count(*) FROM fresh"), 0, "a new array is empty")
            conn.execute("UPDATE bu SET v = 1 WHERE i = 0")
            count.check(one(conn, "CHECK ARRAY bu") > 0, "it can be written to")
            count.equal(one(conn, "SELECT sum(v) FROM bu WHERE i = 0"), 100, "…and read")
    shutil.rmtree(top)


def main():
    count = Count()
    with Server() as server:
        with server.connect() as conn:
            returning(count, conn)
            copies(count, conn)
        snapshots(count, server)
        deadlock(count, server)
        ddl(count, server)
        versions(count, server)
        backup(count, server)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
