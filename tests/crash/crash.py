"""Kills the server with -9 over and over while transactions run, and checks after every restart that what was committed is
there, what was not is gone, and no array is torn.

    crash.py [CYCLES]

Each transaction writes its number k into three arrays (a cell of the first and of the third, where it is a patch, and a block of the
second). After a crash all must hold exactly the same numbers: all that were acknowledged, and perhaps the one whose answer the crash swallowed. Between them a fourth
array gets other bounds, together with a cell that says which, and tiles of another shape, and the whole is backed up: a backup that
was reported must open and be sound, one that the crash cut short must not open. Half of the cycles die at a random moment, the others
at a named step of the commit protocol."""
import os
import random
import re
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, psycopg, seed  # noqa: E402


def fault_points():
    """Names of the commit protocol's steps, from the list in the sources."""
    with open("storage/fault.h") as f:
        return re.findall(r'X\(FAULT_\w+,\s*"(\w+)"\)', f.read())


backups = []                 # directory, whether it was reported as done


def reshape(conn, size, tile):
    """Two transactions: c is cut or grown to `size` rows, all of which say so; c gets other tiles."""
    conn.execute(f"ALTER ARRAY c DIMENSION i RESIZE [0 : {size - 1}]")
    conn.execute(f"INSERT INTO c SELECT [i], [j], {size} FROM GRID [i => 0 : {size - 1}, j => 0 : 9] ON CONFLICT REPLACE")
    conn.commit()
    conn.execute(f"ALTER ARRAY c SET TILE (i = {tile}, j = {10 - tile})")
    conn.commit()


def verify_shape(conn, count, cycle):
    n, least, most, last = conn.execute("SELECT count(*), min(v), max(v), max(i) FROM c").fetchone()
    conn.execute("CHECK ARRAY c")
    count.check(least == most and n == 10 * least and last == least - 1, f"cycle {cycle}: c is torn: {n} cells, {least} to {most}, last {last}")


def verify_backups(count):
    """Whole ones open, with as much in the one array as in the other; the others are refused."""
    for directory, done in backups:
        if not done and not os.path.exists(os.path.join(directory, "VERSION")):
            begun = os.path.exists(os.path.join(directory, "catalog"))  # else it is a new data directory
            try:
                with Server(directory):
                    count.check(not begun, f"half a backup opens: {directory}")
            except RuntimeError:
                count.check(True, "half a backup is refused")
        else:
            with Server(directory) as copy, copy.connect() as conn:
                a, b = (conn.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in "ab")
                for t in "ab":
                    conn.execute(f"CHECK ARRAY {t}")
                count.check(b == 100 * a, f"a backup: {a} numbers in a, {b} cells in b")
                verify_shape(conn, count, directory)
        shutil.rmtree(directory, ignore_errors=True)
    backups.clear()


def write(server, acknowledged, attempted):
    try:
        with server.connect(autocommit=False) as conn:
            while True:
                k = attempted[0] = max(attempted[0], *acknowledged, 0) + 1
                conn.execute(f"INSERT INTO a VALUES ({k}, {k})")
                conn.execute(f"INSERT INTO d VALUES ({k % 1000}, {k}) ON CONFLICT REPLACE")
                conn.execute(f"INSERT INTO b SELECT [k], [j], k * 100 + j AS v FROM GRID [k => {k} : {k}, j => 0 : 99]")
                conn.commit()
                acknowledged.add(k)
                reshape(conn, random.randrange(20, 60), random.randrange(1, 9))
                if k % 3 == 0:
                    conn.autocommit = True
                    backups.append([f"{server.dir}-backup{k}", False])
                    conn.execute(f"BACKUP TO '{backups[-1][0]}'")
                    backups[-1][1] = True
                    conn.autocommit = False
    except psycopg.Error:
        pass


def verify(server, count, acknowledged, attempted, cycle):
    with server.connect() as conn:
        a = {r[0] for r in conn.execute("SELECT i FROM a WHERE v = i").fetchall()}
        b = {r[0] for r in conn.execute("SELECT k FROM b WHERE v = k * 100 + j GROUP BY k HAVING count(*) = 100").fetchall()}
        cells = conn.execute("SELECT count(*) FROM b").fetchone()[0]
        d = {r[0] for r in conn.execute("SELECT v FROM d WHERE v % 1000 = i AND v > 0").fetchall()}
        for t in "abd":
            conn.execute(f"CHECK ARRAY {t}")
        verify_shape(conn, count, cycle)
    newest = {k for k in a if k + 1000 > max(a)}
    count.check(d == newest, f"cycle {cycle}: only in d {sorted(d - newest)}, missing there {sorted(newest - d)}")
    lost, extra = acknowledged - a, a - acknowledged
    ok = not lost and a == b and cells == 100 * len(b) and extra <= {attempted}
    count.check(ok, f"cycle {cycle}: lost {sorted(lost)}, only in a {sorted(a - b)}, only in b {sorted(b - a)}, "
                    f"unexpected {sorted(extra - {attempted})}, cells {cells} of {100 * len(b)}")
    acknowledged |= extra


def main():
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random.seed(seed())
    count, faults = Count(), fault_points()
    count.check(faults, "the sources name fault points")
    server = Server()
    with server.start().connect() as conn:
        conn.execute("CREATE ARRAY a (i BIGINT DIMENSION [0 : *] TILE 64, v BIGINT)")
        conn.execute("CREATE ARRAY c (i BIGINT DIMENSION [0 : 9] TILE 4, j BIGINT DIMENSION [0 : 9] TILE 4, v BIGINT)")
        conn.execute("INSERT INTO c SELECT [i], [j], 10 FROM GRID [i => 0 : 9, j => 0 : 9]")
        conn.execute("CREATE ARRAY d (i BIGINT DIMENSION [0 : 999] TILE 500, v BIGINT)")
        conn.execute("INSERT INTO d SELECT [i], 0 FROM GRID [i => 0 : 999] WHERE i % 2 = 0")
        conn.execute("CREATE ARRAY b (k BIGINT DIMENSION [0 : *] TILE 3, j BIGINT DIMENSION [0 : 99] TILE 37, v BIGINT)")
    server.stop()
    acknowledged = set()
    for cycle in range(cycles):
        server.env = {"TESSERA_FAULT": f"{random.choice(faults)}:{random.randrange(1, 12)}"} if cycle % 2 else {}
        attempted = [0]
        try:
            server.start()
            writer = threading.Thread(target=write, args=(server, acknowledged, attempted))
            writer.start()
            writer.join(random.uniform(0.02, 0.25))
            server.process.kill()
            writer.join()
        except RuntimeError:
            pass             # the fault struck while it started
        server.stop()
        server.env = {}
        server.start()
        verify(server, count, acknowledged, attempted[0], cycle)
        verify_backups(count)
        server.process.kill() if cycle % 3 else server.process.terminate()
        server.stop()
    print(f"{cycles} crashes, {len(acknowledged)} transactions kept")
    with server:
        pass
    return count.finish()


if __name__ == "__main__":
    started = time.time()
    status = main()
    print(f"{time.time() - started:.0f} s", file=sys.stderr)
    sys.exit(status)
