"""Sixteen clients at once, reading, writing, defining, cancelling and hanging up, on a few arrays: invariants hold, nothing internal fails, and
in the end the server has nothing left of them.

    stress_test.py [SECONDS]
"""
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PATIENCE_S, Count, Server, psycopg, runs, seed, until  # noqa: E402

ACCOUNTS, THREADS = 50, 16
# What two clients may do to each other; anything else is a defect.
EXPECTED = {"40001", "40P01", "55P03", "57014", "42P01", "42P07", "23505", "42703"}


class Client(threading.Thread):
    """Does random things until the time is over; `problems` collects what must not happen."""

    def __init__(self, server, number, end, problems):
        super().__init__()
        self.server, self.end, self.problems = server, end, problems
        self.random, self.number, self.done = random.Random(random.randrange(1 << 30)), number, 0

    def run(self):
        actions = [self.move, self.move, self.sums, self.sums, self.append, self.define, self.cancelled, self.copy, self.cursor,
                   self.prepared, self.leave, self.timeout, self.look]
        conn = self.server.connect()
        while time.time() < self.end:
            action = self.random.choice(actions)
            try:
                if action == self.leave:
                    self.leave(conn)
                    conn = self.server.connect()
                else:
                    action(conn)
                self.done += 1
            except psycopg.Error as e:
                if e.sqlstate not in EXPECTED:
                    self.problems.append(f"{action.__name__}: {e.sqlstate} {e}")
                if conn.closed:
                    conn = self.server.connect()
                else:
                    conn.rollback()
        conn.close()

    def expect(self, ok, what):
        if not ok:
            self.problems.append(what)

    def move(self, conn):
        """Money from one account to another: the sum stays."""
        a, b = self.random.sample(range(ACCOUNTS), 2)
        with conn.transaction():
            conn.execute("UPDATE accounts SET v = v - 1 WHERE i = %s", (a,))
            conn.execute("UPDATE accounts SET v = v + 1 WHERE i = %s", (b,))
            if self.random.random() < 0.2:
                raise psycopg.Rollback

    def sums(self, conn):
        total, n = conn.execute("SELECT sum(v), count(*) FROM accounts").fetchone()
        self.expect((total, n) == (ACCOUNTS * 100, ACCOUNTS), f"the sum is {total} over {n}")
        total, n = conn.execute("SELECT sum(v), count(*) FROM (SELECT v FROM accounts ORDER BY v) AS s").fetchone()
        self.expect((total, n) == (ACCOUNTS * 100, ACCOUNTS), f"the sorted sum is {total} over {n}")

    def append(self, conn):
        """Blocks of a hundred cells appear whole."""
        if self.random.random() < 0.5:
            conn.execute("INSERT INTO log (v) SELECT i FROM GRID [i => 0 : 99]")
        n, total = conn.execute("SELECT count(*), sum(v) FROM log").fetchone()
        self.expect(n % 100 == 0 and (total or 0) == n // 100 * 4950, f"the log has {n} rows, sum {total}")

    def define(self, conn):
        name = f"temporary{self.random.randrange(3)}"
        conn.execute(f"CREATE ARRAY {name} AS SELECT [i], [j], random(1) AS v FROM GRID [i => 0 : 99, j => 0 : 99]")
        self.expect(conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] == 10000, "a new array is whole")
        conn.execute(f"ALTER ARRAY {name} ADD COLUMN w INTEGER DEFAULT 7")
        conn.execute(f"UPDATE {name} SET w = 8 WHERE i < 10")
        self.expect(conn.execute(f"SELECT sum(w) FROM {name}").fetchone()[0] == 71000, "and changed as said")
        conn.execute(f"DROP ARRAY {name}")

    def cancelled(self, conn):
        """A request that comes before the statement runs is for nothing, as in PostgreSQL: it is sent until one hits."""
        done = threading.Event()

        def cancel():
            while not done.wait(self.random.uniform(0.01, 0.1)):
                conn.cancel()
        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            conn.execute("SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]")
            self.expect(False, "an endless statement ended")
        finally:
            done.set()
            canceller.join()

    def timeout(self, conn):
        with conn.transaction():
            conn.execute("SET LOCAL statement_timeout = 50")
            conn.execute("CREATE ARRAY never AS SELECT [i], random(2) AS v FROM GRID [i => 0 : 999999999]")
            self.expect(False, "an endless load ended")

    def copy(self, conn):
        name = f"copied{self.number}"
        conn.execute(f"DROP ARRAY IF EXISTS {name}")
        conn.execute(f"CREATE ARRAY {name} (i INTEGER DIMENSION [0 : *], v DOUBLE)")
        n = self.random.randrange(1, 5000)
        with conn.cursor().copy(f"COPY {name} FROM STDIN") as out:
            for k in range(n):
                out.write_row((k, k / 4))
        self.expect(conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] == n, "all that was copied in is there")
        with conn.cursor().copy(f"COPY {name} TO STDOUT") as rows:
            self.expect(sum(1 for _ in rows) == n, "and comes out again")

    def cursor(self, conn):
        with conn.transaction():
            with conn.cursor(name="c") as cur:
                cur.itersize = self.random.randrange(1, 40)
                cur.execute("SELECT v FROM accounts")
                self.expect(sum(r[0] for r in cur) == ACCOUNTS * 100, "a cursor sees one snapshot")

    def prepared(self, conn):
        for k in range(7):
            i = self.random.randrange(ACCOUNTS)
            got = conn.execute("SELECT i FROM accounts WHERE i = %s", (i,), prepare=True).fetchone()[0]
            self.expect(got == i, "a prepared statement with parameters")

    def look(self, conn):
        self.expect(len(conn.execute("SELECT pid, query FROM sys.sessions").fetchall()) >= 1, "sys.sessions")
        conn.execute("SELECT * FROM sys.queries").fetchall()
        conn.execute("CHECK ARRAY accounts")

    def leave(self, conn):
        """Hangs up, in the middle of something."""
        if self.random.random() < 0.7:
            conn.pgconn.send_query(self.random.choice([
                b"SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]", b"SELECT i FROM GRID [i => 0 : 99999999]",
                b"BEGIN; UPDATE accounts SET v = v - 1 WHERE i = 3", b"CREATE ARRAY never AS SELECT [i], i FROM GRID [i => 0 : 999999999]",
                b"BEGIN; COPY log (v) FROM STDIN"]))
        if self.random.random() < 0.5:
            conn.pgconn.finish()
        conn.close()


def settled(server, conn):
    """The sessions and anonymous bytes that are left once the clients' have gone."""
    n_sessions = lambda: conn.execute("SELECT count(*) FROM sys.sessions").fetchone()[0]
    until(lambda: n_sessions() == 1)
    return n_sessions(), server.peak_anonymous_bytes()


def round_of(server, seconds, problems):
    end = time.time() + seconds
    clients = [Client(server, k, end, problems) for k in range(THREADS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    return sum(c.done for c in clients)


def last_stop(count, server):
    """SIGTERM with clients connected, one of them waiting for a statement."""
    idle, busy = server.connect(), server.connect()
    state = []

    def ask():
        try:
            busy.execute("SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]")
        except psycopg.Error as e:
            state.append("administrator command" in str(e))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: runs(idle, "sum(sin"))
    started = time.time()
    count.equal(server.stop(signal.SIGTERM), 0, "exit status")
    thread.join()
    count.equal(state, [True], "the running statement is ended")
    count.check(time.time() - started < PATIENCE_S, f"in {time.time() - started:.1f} s")
    try:
        idle.execute("SELECT 1")
        count.check(False, "an idle client lives on")
    except psycopg.OperationalError:
        count.check(True, "")


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    random.seed(seed())
    count, problems = Count(), []
    server = Server(sets=["memory_limit=256MB", "cache_size=32MB"])
    with server.start().connect() as conn:
        conn.execute(f"CREATE ARRAY accounts (i INTEGER DIMENSION [0 : {ACCOUNTS - 1}] TILE 7, v BIGINT)")
        conn.execute(f"INSERT INTO accounts SELECT [i], 100 AS v FROM GRID [i => 0 : {ACCOUNTS - 1}]")
        conn.execute("CREATE TABLE log (v BIGINT)")
        done = round_of(server, seconds / 2, problems)
        sessions, before = settled(server, conn)
        done += round_of(server, seconds / 2, problems)
        sessions, after = settled(server, conn)
        print(f"{done} actions; anonymous memory {before >> 20} MiB, then {after >> 20} MiB")
        for p in problems[:10]:
            count.check(False, p)
        count.check(done > THREADS, "things were done")
        count.equal(sessions, 1, "sessions left")
        count.check(after < before + (48 << 20), f"memory grew from {before >> 20} to {after >> 20} MiB")
        for array in ("accounts", "log"):
            conn.execute(f"CHECK ARRAY {array}")
    last_stop(count, server)
    with server.start().connect() as conn:
        count.equal(conn.execute("SELECT sum(v), count(*) FROM accounts").fetchone(), (ACCOUNTS * 100, ACCOUNTS), "after a restart")
        count.equal(conn.execute("SELECT count(*) % 100 FROM log").fetchone()[0], 0, "and the log")
    count.equal(server.stop(), 0, "exit status of the second life")
    shutil.rmtree(server.dir)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
