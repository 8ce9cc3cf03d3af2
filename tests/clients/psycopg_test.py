"""Stock psycopg in front of tesserad: types both ways, parameters, prepared statements, errors, transactions, COPY, cursors, cancellation."""
import datetime
import math
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, psycopg, runs, until  # noqa: E402

ALL_TYPES = """CREATE ARRAY every (i INTEGER DIMENSION [0 : 9], b BOOLEAN, i1 TINYINT, i2 SMALLINT, i4 INTEGER, i8 BIGINT, u1 UTINYINT,
    u2 USMALLINT, u4 UINTEGER, u8 UBIGINT, f4 REAL, f8 DOUBLE, d DATE, ts TIMESTAMP, s TEXT)"""
ROW = (True, -128, -32768, -2**31, -2**63, 255, 65535, 2**32 - 1, 2**64 - 1, 0.5, math.pi, datetime.date(2024, 2, 29),
       datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), "grün 😀")


def types(count, conn):
    conn.execute(ALL_TYPES)
    conn.execute("INSERT INTO every VALUES (0, true, -128, -32768, -2147483648, -9223372036854775808, 255, 65535, 4294967295, "
                 "18446744073709551615, 0.5, pi(), '2024-02-29', '1969-12-31 23:59:59.999999', 'grün 😀')")
    conn.execute("INSERT INTO every (i) VALUES (1)")
    for binary in (False, True):
        with conn.cursor(binary=binary) as cur:
            rows = cur.execute("SELECT * FROM every").fetchall()
            count.equal(tuple(rows[0][1:]), ROW, f"every type, binary={binary}")
            count.equal(tuple(rows[1][1:]), (None,) * 14, f"NULLs, binary={binary}")
    with conn.cursor(binary=True) as cur:
        count.equal(cur.execute("SELECT histogram(i, 0, 2, 2) FROM every").fetchone()[0], [1, 1], "a list")
        count.equal(cur.execute("SELECT INTERVAL '1 day 02:00:00'").fetchone()[0], datetime.timedelta(days=1, hours=2), "interval")


def parameters(count, conn):
    q = lambda sql, *a: conn.execute(sql, a).fetchone()[0]
    count.equal(q("SELECT %s + 1", 41), 42, "integer parameter")
    count.equal(q("SELECT sqrt(%s)", 2.25), 1.5, "float parameter")
    count.equal(q("SELECT upper(%s)", "straße"), "STRAßE", "text parameter")
    count.equal(q("SELECT %s::date + 1", datetime.date(2024, 2, 28)), datetime.date(2024, 2, 29), "date parameter")
    count.equal(q("SELECT count(*) FROM every WHERE i = %s", 1), 1, "parameter in WHERE")
    count.equal(q("SELECT count(*) FROM every[i => %s : %s]", 0, 0), 1, "parameters in a slice")
    count.equal(q("SELECT %s IS NULL", None), True, "NULL parameter")
    for k in range(8):       # psycopg prepares after five
        count.equal(q("SELECT i * %s FROM every WHERE i = 1", k), k, "prepared")
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO every (i, i4) VALUES (%s, %s)", [(k, k * k) for k in range(2, 8)])
    count.equal(q("SELECT sum(i4) FROM every WHERE i >= 2"), sum(k * k for k in range(2, 8)), "executemany")


def errors(count, conn):
    for sql, state, position in (("SELECT * FROM nothing", "42P01", "15"), ("SELECT colour FROM every", "42703", "8"),
                                 ("SELEC 1", "42601", "1"), ("SELECT 1 // 0", "22012", None), ("SELECT 'ä' || nothing", "42703", "15")):
        try:
            conn.execute(sql)
            count.check(False, f"{sql} gave no error")
        except psycopg.Error as e:
            count.equal(e.sqlstate, state, sql)
            if position:
                count.equal(e.diag.statement_position, position, f"{sql}: position")
    try:
        conn.execute("SELECT f9 FROM every")
    except psycopg.Error as e:
        count.check('every.f' in (e.diag.message_hint or ''), f"hint names a near column: {e.diag.message_hint}")


def transactions(count, server):
    with server.connect(autocommit=False) as a, server.connect() as b:
        a.execute("CREATE ARRAY tx (i INTEGER DIMENSION [0 : *], v INTEGER)")
        a.commit()
        a.execute("INSERT INTO tx VALUES (0, 1)")
        count.equal(b.execute("SELECT count(*) FROM tx").fetchone()[0], 0, "not seen before COMMIT")
        a.commit()
        count.equal(b.execute("SELECT count(*) FROM tx").fetchone()[0], 1, "seen after it")
        try:
            a.execute("INSERT INTO tx VALUES (0, 2)")
        except psycopg.errors.UniqueViolation:
            a.rollback()
        with a.transaction():
            a.execute("INSERT INTO tx VALUES (1, 1)")
            try:
                with a.transaction():
                    a.execute("INSERT INTO tx VALUES (2, 1)")
                    a.execute("SELECT 1 // 0")
            except psycopg.errors.DivisionByZero:
                pass
        count.equal([r[0] for r in a.execute("SELECT i FROM tx").fetchall()], [0, 1], "nested transactions are savepoints")


def copy(count, conn):
    conn.execute("CREATE ARRAY c (i INTEGER DIMENSION [0 : *], v DOUBLE, s TEXT)")
    with conn.cursor().copy("COPY c (i, v, s) FROM STDIN") as out:
        for k in range(10000):
            out.write_row((k, None if k % 7 == 0 else k / 8, f"tab\tand\nline {k}" if k % 100 == 0 else f"s{k}"))
    rows = conn.execute("SELECT count(*), count(v), sum(v) FROM c").fetchone()
    count.equal(rows, (10000, 10000 - 1429, sum(k / 8 for k in range(10000) if k % 7)), "COPY FROM STDIN")
    with conn.cursor().copy("COPY c TO STDOUT") as rows_out:
        got = list(rows_out.rows())
    count.equal(len(got), 10000, "COPY TO STDOUT")
    count.equal(got[100], ("100", "12.5", "tab\tand\nline 100"), "text format")
    with conn.cursor().copy("COPY (SELECT i, s FROM c WHERE i < 2) TO STDOUT (FORMAT csv, HEADER)") as rows_out:
        count.equal(b"".join(bytes(b) for b in rows_out), b'i,s\n0,"tab\tand\nline 0"\n1,s1\n', "csv")
    try:
        with conn.cursor().copy("COPY c FROM STDIN") as out:
            out.write("20000\tx\ty\n")
        count.check(False, "bad COPY data gave no error")
    except psycopg.Error as e:
        count.equal(e.sqlstate, "22P02", "bad COPY data")
    count.equal(conn.execute("SELECT count(*) FROM c").fetchone()[0], 10000, "and nothing of it is there")


def cursors(count, server):
    with server.connect(autocommit=False) as conn:
        with conn.cursor(name="part") as cur:
            cur.itersize = 7
            cur.execute("SELECT i FROM GRID [i => 0 : 99]")
            count.equal([r[0] for r in cur], list(range(100)), "a named cursor")


def cancellation(count, server):
    with server.connect() as conn:
        def cancel():
            with server.connect() as other:
                until(lambda: runs(other, "sum(sin"))
            conn.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            conn.execute("SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]")
            count.check(False, "a cancelled statement ended")
        except psycopg.errors.QueryCanceled as e:
            count.check("user request" in str(e), "a cancelled statement")
        canceller.join()
        count.equal(conn.execute("SELECT 1").fetchone(), (1,), "the session goes on")
        conn.execute("SET statement_timeout = '200ms'")
        try:
            conn.execute("SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]")
            count.check(False, "statement_timeout did nothing")
        except psycopg.errors.QueryCanceled as e:
            count.check("timeout" in str(e), "statement_timeout")


def main():
    count = Count()
    with Server() as server:
        with server.connect() as conn:
            for test in (types, parameters, errors, copy):
                test(count, conn)
        transactions(count, server)
        cursors(count, server)
        cancellation(count, server)
        conn = server.connect()
        count.equal(server.stop(), 0, "SIGTERM ends the server cleanly")
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
