"""Kills the server with -9 while sources of materialized arrays change, and checks after every restart.

    refresh.py [CYCLES, default 60]

Two writers change two sources, a third refreshes by hand. Arrays that are refreshed ON COMMIT must hold at any time, and after every
crash, what their queries give; one that is refreshed incrementally by hand holds what an earlier version gave, and after the next
refresh the same as the others. Nothing but 40001 and 40P01 may come of writing at once. Half of the cycles die at a random moment, the
others at a named step of the commit protocol."""
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, psycopg, seed  # noqa: E402

WINDOW = "SELECT [i], [j], sum(a.v) OVER [#i - 1 : #i + 1] + b.v AS w FROM a JOIN b USING (j)"
ARRAYS = {"on_commit": ("ON COMMIT INCREMENTAL", WINDOW),
          "above": ("ON COMMIT INCREMENTAL", "SELECT [i], count(*) AS n, sum(w) AS w FROM on_commit GROUP BY i"),
          "by_hand": ("MANUAL INCREMENTAL", WINDOW),
          "whole": ("MANUAL", WINDOW)}


def fault_points():
    with open("storage/fault.h") as f:
        return re.findall(r'X\(FAULT_\w+,\s*"(\w+)"\)', f.read())


def attempt(conn, statement, odd):
    """Whether to go on; conflicts between writers are tried again."""
    try:
        conn.execute(statement)
    except psycopg.OperationalError as e:
        if e.sqlstate not in ("40001", "40P01"):
            odd.append(e) if e.sqlstate and not e.sqlstate.startswith(("57", "58")) else None
            return False
    except psycopg.Error as e:
        odd.append(e)
        return False
    return True


def write(server, number, odd):
    r = random.Random(number * 1000 + time.monotonic_ns())
    try:
        with server.connect() as conn:
            going = True
            while going:
                i, j, v = r.randrange(60), r.randrange(20), r.randrange(100)
                going = attempt(conn, r.choice([f"INSERT INTO a VALUES ({i}, {j}, {v}) ON CONFLICT REPLACE", f"DELETE FROM a WHERE i = {i}",
                                                f"UPDATE a SET v = v + 1 WHERE j = {j}",
                                                f"INSERT INTO a SELECT [i], [j], i + j FROM GRID [i => {i} : {i + 9}, j => 0 : 19] ON CONFLICT REPLACE"])
                                if number == 0 else
                                r.choice([f"UPDATE b SET v = {v} WHERE j = {j}", f"INSERT INTO b VALUES ({j}, {v}) ON CONFLICT REPLACE",
                                          f"DELETE FROM b WHERE j = {j}"])
                                if number == 1 else "REFRESH MATERIALIZED ARRAY by_hand", odd)
    except psycopg.Error:
        pass


def rows(conn, text):
    return sorted(map(repr, conn.execute(text).fetchall()))


def verify(server, count, cycle):
    with server.connect() as conn:
        for name in ("on_commit", "above"):
            count.equal(rows(conn, f"SELECT * FROM {name}"), rows(conn, ARRAYS[name][1]), f"cycle {cycle}: {name}")
        for name in ("by_hand", "whole"):
            conn.execute(f"REFRESH MATERIALIZED ARRAY {name}")
            count.equal(rows(conn, f"SELECT * FROM {name}"), rows(conn, WINDOW), f"cycle {cycle}: {name}")
        for name in list(ARRAYS) + ["a", "b"]:
            conn.execute(f"CHECK ARRAY {name}")


def main():
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    random.seed(seed())
    count, faults, odd = Count(), fault_points(), []
    count.check(faults, "the sources name fault points")
    server = Server(sets=["tile_size=512B"])
    with server.start().connect() as conn:
        conn.execute("CREATE ARRAY a (i BIGINT DIMENSION [0 : *] TILE 7, j BIGINT DIMENSION [0 : 19] TILE 6, v BIGINT)")
        conn.execute("CREATE ARRAY b (j BIGINT DIMENSION [0 : 19] TILE 6, v BIGINT)")
        conn.execute("INSERT INTO b SELECT [j], j FROM GRID [j => 0 : 19]")
        for name, (how, text) in ARRAYS.items():
            conn.execute(f"CREATE MATERIALIZED ARRAY {name} REFRESH {how} AS {text}")
    server.stop()
    for cycle in range(cycles):
        server.env = {"TESSERA_FAULT": f"{random.choice(faults)}:{random.randrange(1, 20)}"} if cycle % 2 else {}
        try:
            server.start()
            writers = [threading.Thread(target=write, args=(server, n, odd)) for n in range(3)]
            for w in writers:
                w.start()
            writers[0].join(random.uniform(0.1, 0.5))
            server.process.kill()
            for w in writers:
                w.join()
        except RuntimeError:
            pass             # the fault struck while it started
        server.stop()
        server.env = {}
        server.start()
        verify(server, count, cycle)
        server.process.kill() if cycle % 3 else server.process.terminate()
        server.stop()
    count.check(not odd, f"{len(odd)} errors of other kinds: {[(e.sqlstate, str(e)) for e in odd[:3]]}")
    with server, server.connect() as conn:
        n = {name: conn.execute("SELECT count(*) FROM sys.versions WHERE array_name = %s", (name,)).fetchone()[0] for name in ARRAYS}
        count.check(min(n.values()) > cycles // 4, f"versions: {n}")
        print(f"{cycles} crashes, versions {n}")
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
