"""LISTEN and NOTIFY through libpq, psycopg and psql: at once to who idles, after the transaction to who does not, each once, at commit
alone; savepoints, limits, a client that does not read, many at once."""
import os
import select
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PATIENCE_S, Count, Server, psycopg  # noqa: E402

PSQL = "/usr/lib/postgresql/15/bin/psql"


HEARD = {}  # of each connection: (channel, payload, pid); psycopg's handler gets what comes with answers


def listener(server):
    conn = server.connect()
    HEARD[conn] = []
    conn.add_notify_handler(lambda n: HEARD[conn].append((n.channel, n.payload, n.pid)))
    return conn


def came(conn):
    """What libpq has read."""
    while n := conn.pgconn.notifies():
        HEARD[conn].append((n.relname.decode(), n.extra.decode(), n.be_pid))
    found, HEARD[conn] = HEARD[conn], []
    return found


def hear(conn, n):
    """Waits, without a statement, for n notifications."""
    found, end = came(conn), time.monotonic() + PATIENCE_S
    while len(found) < n and time.monotonic() < end:
        if select.select([conn.fileno()], [], [], 1)[0]:
            conn.pgconn.consume_input()
            found += came(conn)
    return found


def texts(found):
    return [(channel, payload) for channel, payload, _ in found]


def now(conn):
    """What has come with a statement's answer."""
    conn.execute("SELECT 1").fetchall()
    return texts(came(conn))


def basics(count, a, b):
    pid = a.pgconn.backend_pid
    b.execute("LISTEN news")
    a.execute("NOTIFY news, 'one'")
    count.equal(hear(b, 1), [("news", "one", pid)], "an idle session hears at once, and of whom")
    a.execute("NOTIFY news")
    count.equal(texts(hear(b, 1)), [("news", "")], "no payload")
    a.execute("NOTIFY other, 'x'; NOTIFY NEWS, 'folded'; NOTIFY \"News\", 'not this'")
    count.equal(texts(hear(b, 1)), [("news", "folded")], "names as identifiers")
    b.execute("LISTEN \"News\"; LISTEN news")
    a.execute("NOTIFY \"News\", 'quoted'")
    a.execute("NOTIFY news, 'größer'")
    count.equal(texts(hear(b, 2)), [("News", "quoted"), ("news", "größer")], "two channels, in order, once each")
    b.execute("NOTIFY news, 'to myself'")
    count.equal(came(b), [("news", "to myself", b.pgconn.backend_pid)], "the own one comes with the answer")
    b.execute("UNLISTEN news")
    a.execute("NOTIFY news, 'unheard'; NOTIFY \"News\", 'heard'")
    count.equal(texts(hear(b, 1)), [("News", "heard")], "UNLISTEN of one")
    b.execute("UNLISTEN *")
    a.execute("NOTIFY \"News\", 'x'")
    count.equal(now(b), [], "UNLISTEN *")
    b.execute("LISTEN news")
    b.execute("DISCARD ALL")
    a.execute("NOTIFY news, 'x'")
    count.equal(now(b), [], "DISCARD ALL")
    count.equal([b.execute(s).statusmessage for s in ("LISTEN c", "NOTIFY c", "UNLISTEN c")], ["LISTEN", "NOTIFY", "UNLISTEN"], "tags")
    came(b)


def transactions(count, a, b):
    b.execute("LISTEN news")
    a.execute("BEGIN")
    a.execute("NOTIFY news, 'early'")
    count.equal(now(b), [], "nothing before the commit")
    a.execute("COMMIT")
    count.equal(texts(hear(b, 1)), [("news", "early")], "at the commit")
    a.execute("BEGIN; NOTIFY news, 'never'")
    a.execute("ROLLBACK")
    a.execute("BEGIN; NOTIFY news, '1'; NOTIFY news, '2'; NOTIFY news, '1'; NOTIFY news; NOTIFY news, '2'; COMMIT")
    count.equal(texts(hear(b, 3)), [("news", "1"), ("news", "2"), ("news", "")], "equal ones are one; what is rolled back is none")
    a.execute("NOTIFY news, '1'")
    a.execute("NOTIFY news, '1'")
    count.equal(texts(hear(b, 2)), [("news", "1")] * 2, "but of two transactions two")
    a.execute("BEGIN; NOTIFY news, 'a'; SAVEPOINT s; NOTIFY news, 'b'; SAVEPOINT t; NOTIFY news, 'c'; RELEASE t; ROLLBACK TO s; "
              "NOTIFY news, 'd'; SAVEPOINT s; NOTIFY news, 'e'; RELEASE s; NOTIFY news, 'f'; COMMIT")
    count.equal(texts(hear(b, 4)), [("news", x) for x in "adef"], "ROLLBACK TO takes back, RELEASE keeps")
    a.execute("BEGIN; SAVEPOINT s")
    for i in range(30):  # what is taken back is not counted towards the limit
        a.execute("; ".join(f"NOTIFY news, '{i}.{k}.{'x' * 7900}'" for k in range(100)) + "; ROLLBACK TO s")
    a.execute("NOTIFY news, 'kept'; COMMIT")
    count.equal(texts(hear(b, 1)), [("news", "kept")], "much taken back")
    try:
        a.execute("NOTIFY news, 'lost'; SELECT 1 // 0")
    except psycopg.Error:
        pass
    a.execute("BEGIN; NOTIFY news, 'lost'")
    try:
        a.execute("SELECT 1 // 0")
    except psycopg.Error:
        pass
    a.execute("COMMIT")
    count.equal(now(b), [], "a failed transaction notifies nobody")
    b.execute("BEGIN")
    b.execute("SELECT 1")
    a.execute("NOTIFY news, 'later'")
    count.equal(now(b), [], "who is in a transaction hears nothing yet")
    b.execute("SAVEPOINT x")
    b.execute("COMMIT")
    count.equal(texts(came(b)), [("news", "later")], "…but with its end")
    b.execute("UNLISTEN *")
    b.execute("BEGIN; LISTEN news; ROLLBACK")
    a.execute("NOTIFY news, 'x'")
    count.equal(now(b), [], "LISTEN rolled back")
    b.execute("BEGIN; NOTIFY news, 'own'; LISTEN news; COMMIT")
    count.equal(texts(came(b)), [("news", "own")], "LISTEN holds for its own transaction")
    b.execute("BEGIN; UNLISTEN news; ROLLBACK")
    a.execute("BEGIN READ ONLY; NOTIFY news, 'from a reader'; COMMIT")
    count.equal(texts(hear(b, 1)), [("news", "from a reader")], "UNLISTEN rolled back; a read-only transaction may notify")
    b.execute("UNLISTEN *")


def function(count, a, b):
    """pg_notify() in queries: when they run, not when they are prepared or explained; for rows that there are."""
    b.execute("LISTEN news")
    row = a.execute("SELECT pg_notify('news', 'by a function')").fetchall()
    count.equal((row, texts(hear(b, 1))), ([("",)], [("news", "by a function")]), "pg_notify")
    for _ in range(7):  # psycopg prepares it
        a.execute("SELECT pg_notify(%s, %s)", ("news", "by a parameter"))
    count.equal(texts(hear(b, 7)), [("news", "by a parameter")] * 7, "with parameters, each time")
    a.execute("EXPLAIN SELECT pg_notify('news', 'explained')")
    a.execute("PREPARE p AS SELECT pg_notify('news', $1)")
    a.execute("SELECT pg_notify('news', 'no row') WHERE 1 = 2")
    a.execute("CREATE VIEW v AS SELECT pg_notify('news', 'of a view') AS n")
    count.equal(now(b), [], "nothing runs, nothing is sent")
    a.execute("EXECUTE p('prepared')")
    a.execute("SELECT n FROM v")
    count.equal(texts(hear(b, 2)), [("news", "prepared"), ("news", "of a view")], "EXECUTE, a view")
    a.execute("CREATE ARRAY cells (i INT DIMENSION [0 : 99999], v INT)")
    a.execute("INSERT INTO cells SELECT i, i % 7 FROM generate_series(0, 99999) AS i")
    a.execute("BEGIN")
    a.execute("SELECT count(pg_notify('news', 'v' || v)) FROM cells WHERE v > 2")
    a.execute("SELECT pg_notify('news', NULL)")
    a.execute("COMMIT")
    count.equal(sorted(texts(hear(b, 5))), [("news", p) for p in ["", "v3", "v4", "v5", "v6"]], "a row each, equal ones once; NULL is empty")
    for sql, state in (("SELECT pg_notify(NULL, 'x')", "22023"), ("SELECT pg_notify('', 'x')", "22023"), ("SELECT pg_notify('news')", "42883"),
                       (f"SELECT pg_notify('{'n' * 64}', 'x')", "22023"), (f"SELECT pg_notify('news', repeat('x', 8000))", "22023"),
                       ("SELECT pg_notify('news', 'p' || i) FROM GRID [i => 0 : 999999] AS g", "54000")):
        try:
            a.execute(sql)
            count.check(False, f"{sql[:40]} is refused")
        except psycopg.Error as e:
            count.equal(e.sqlstate, state, f"{sql[:40]}: {e}")
    count.equal(now(b), [], "what failed sent nothing")
    b.execute("UNLISTEN *")
    a.execute("DROP ARRAY cells")


def limits(count, a, b):
    b.execute("LISTEN news")
    a.execute(f"NOTIFY news, '{'p' * 7999}'")
    count.equal([len(p) for _, p in texts(hear(b, 1))], [7999], "the longest payload")
    for sql, what in ((f"NOTIFY news, '{'p' * 8000}'", "payload string too long"),
                      ("NOTIFY \"\"", "zero-length"), ("NOTIFY", "syntax"), ("NOTIFY news, 5", "syntax"), ("LISTEN", "syntax")):
        try:
            a.execute(sql)
            count.check(False, f"{sql[:20]} is refused")
        except psycopg.Error as e:
            count.check(what in str(e), f"{sql[:20]}: {e}")
    b.execute("UNLISTEN *")


def who_does_not_read(count, server, a):
    """Its queue is bounded, nobody waits for it, and it is told what it lost."""
    lazy = listener(server)
    notices = []
    lazy.add_notice_handler(lambda d: notices.append(d.message_primary))
    lazy.execute("LISTEN flood")
    lazy.execute("BEGIN")
    n, peak = 60, server.peak_anonymous_bytes()
    for k in range(n):
        a.execute("BEGIN")
        for i in range(100):
            a.execute(f"NOTIFY flood, '{k}.{i}.{'x' * 7900}'")
        a.execute("COMMIT")
    count.check(server.peak_anonymous_bytes() - peak < 64 << 20, "memory stays bounded")
    lazy.execute("COMMIT")
    got = texts(came(lazy))
    count.check(1000 < len(got) < n * 100, f"some came, not all: {len(got)}")
    count.equal([p.split(".x")[0] for _, p in got], [f"{i // 100}.{i % 100}" for i in range(len(got))], "the first ones, in order")
    count.equal(notices, [f"{n * 100 - len(got)} notifications were lost: they came faster than they were read"], "it is told")
    a.execute("NOTIFY flood, 'again'")
    count.equal(texts(hear(lazy, 1)), [("flood", "again")], "then it goes on")
    lazy.close()


def many(count, server):
    """Listeners and notifiers at once: everything arrives, in each notifier's order."""
    n_talkers, n_listeners, n = 4, 6, 100
    listeners = [listener(server) for _ in range(n_listeners)]
    for c in listeners:
        c.execute("LISTEN crowd")

    def talk(k):
        with server.connect() as c:
            for i in range(n):
                c.execute(f"NOTIFY crowd, '{k} {i}'")

    threads = [threading.Thread(target=talk, args=(k,)) for k in range(n_talkers)]
    for t in threads:
        t.start()
    for who, c in enumerate(listeners):
        if who % 2:  # a statement now and then beside
            for _ in range(20):
                c.execute("SELECT 1").fetchall()
        got = [tuple(map(int, p.split())) for _, p in texts(hear(c, n_talkers * n))]
        for k in range(n_talkers):
            count.equal([i for t, i in got if t == k], list(range(n)), f"listener {who} hears all of {k}")
    for t in threads:
        t.join()
    for c in listeners:
        c.close()


def clients(count, server, a):
    got = []
    b = server.connect()
    b.execute("LISTEN news")

    def listen():
        for n in b.notifies():
            got.append((n.channel, n.payload, n.pid))
            if n.payload == "stop":
                return

    t = threading.Thread(target=listen)
    t.start()
    a.execute("NOTIFY news, 'one'")
    a.execute("NOTIFY news, 'stop'")
    t.join(PATIENCE_S)
    pid = a.pgconn.backend_pid
    count.equal(got, [("news", "one", pid), ("news", "stop", pid)], "psycopg's generator")
    b.close()
    out = subprocess.run([PSQL, "-X", "-h", server.dir, "-p", "5432", "-U", "u", "-d", "d"],
                         input="LISTEN news;\nNOTIFY news, 'hi';\nNOTIFY news;\n", capture_output=True, text=True).stdout
    lines = [line.rsplit(" ", 1)[0] for line in out.splitlines()]
    count.equal(lines[2:4:1] and [x for x in lines if x.startswith("Asyn")],
                ['Asynchronous notification "news" with payload "hi" received from server process with PID',
                 'Asynchronous notification "news" received from server process with PID'], "psql shows them")


def who_leaves(count, server, a):
    """Sessions that end while others notify them, and a server that stops under a listener."""
    for _ in range(30):
        with server.connect() as c:
            c.execute("LISTEN news")
            a.execute("NOTIFY news, 'x'")
    a.execute("NOTIFY news, 'to nobody'")
    c = server.connect()
    c.execute("LISTEN news")
    count.equal(server.stop(), 0, "a listener does not keep the server")
    try:
        c.execute("SELECT 1")
        count.check(False, "the listener is told that the server stopped")
    except psycopg.OperationalError as e:
        count.check("administrator command" in str(e) or "closed" in str(e), str(e))


def main():
    count = Count()
    with Server() as server:
        a, b = server.connect(), listener(server)
        basics(count, a, b)
        transactions(count, a, b)
        function(count, a, b)
        limits(count, a, b)
        who_does_not_read(count, server, a)
        many(count, server)
        clients(count, server, a)
        who_leaves(count, server, a)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
