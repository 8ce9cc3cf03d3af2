"""Kills the server with -9 over and over while schedules run, at random moments and at each step of the commit protocol. Each slot's result
must be there exactly once, whatever happened, and exactly when its record says that it succeeded.

    schedules.py [CYCLES]

Slots come ten a second and are all made up for (ON MISSED ALL): a run writes a row and a block of cells in two arrays, another schedule
follows it, a third changes nothing, and a fourth is a backfill of a hundred slots that was queued before the first crash."""
import datetime
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, seed, until  # noqa: E402

STEP = datetime.timedelta(milliseconds=100)
LOG = "INSERT INTO log SELECT '%s', scheduled_time()"
BLOCK = "INSERT INTO block SELECT [s], [j], 1 AS v FROM (SELECT (extract(epoch FROM scheduled_time()) * 10)::bigint - %d AS s) AS t, GRID [j => 0 : 99]"


def fault_points():
    with open("storage/fault.h") as f:
        return re.findall(r'X\(FAULT_\w+,\s*"(\w+)"\)', f.read())


def succeeded(conn, name):
    return [r[0] for r in conn.execute(f"SELECT slot FROM sys.schedule_runs WHERE schedule = '{name}' AND status = 'succeeded'").fetchall()]


def logged(conn, name):
    return [r[0] for r in conn.execute(f"SELECT slot FROM log WHERE who = '{name}'").fetchall()]


def verify(conn, count, cycle):
    """While it goes on: records read before are all in the result, the result is all in records read after."""
    for name in ("main", "after", "old"):
        before, there = succeeded(conn, name), logged(conn, name)
        after = succeeded(conn, name)
        twice = len(there) - len(set(there))
        ok = not twice and set(before) <= set(there) <= set(after)
        count.check(ok, f"cycle {cycle}: {name}: {twice} slots twice, without result {sorted(set(before) - set(there))}, "
                        f"without record {sorted(set(there) - set(after))}")
    for t in ("log", "block"):
        conn.execute(f"CHECK ARRAY {t}")


def main():
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random.seed(seed())
    count, faults = Count(), fault_points()
    server = Server()
    with server.start().connect() as conn:
        conn.execute("CREATE TABLE log (who TEXT, slot TIMESTAMP)")
        base = int(time.time() * 10)
        conn.execute("CREATE ARRAY block (s BIGINT DIMENSION [0 : *] TILE 7, j BIGINT DIMENSION [0 : 99] TILE 37, v BIGINT)")
        for name, body in (("main", f"$$ {LOG % 'main'}; {BLOCK % base} $$"), ("idle", "SELECT count(*) FROM log")):
            conn.execute(f"CREATE SCHEDULE {name} EVERY '100 ms' ON MISSED ALL ON OVERLAP QUEUE AS {body}")
        conn.execute(f"CREATE SCHEDULE after AFTER main ON OVERLAP QUEUE AS {LOG % 'after'}")
        conn.execute(f"CREATE SCHEDULE old EVERY '1 day' AS {LOG % 'old'}")
        conn.execute("RUN SCHEDULE old FOR '2020-01-01' TO '2020-04-09'")
    server.stop()
    for cycle in range(cycles):
        server.env = {"TESSERA_FAULT": f"{random.choice(faults)}:{random.randrange(1, 12)}"} if cycle % 2 else {}
        try:
            server.start()
            time.sleep(random.uniform(0.02, 0.25))
            server.process.kill()
        except RuntimeError:
            pass             # the fault struck while it started
        server.stop()
        if cycle % 5 == 4 or cycle == cycles - 1:
            server.env = {}
            server.start()
            with server.connect() as conn:
                verify(conn, count, cycle)
            server.process.kill()
            server.stop()
    server.env = {}
    server.start()
    with server.connect() as conn:
        last = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        count.check(until(lambda: all(max(succeeded(conn, n)) > last for n in ("main", "idle", "after"))), "it catches up")
        for name in ("main", "idle", "after"):
            slots = sorted(s for s in succeeded(conn, name) if s <= last)
            gaps = [a for a, b in zip(slots, slots[1:]) if b - a != STEP]
            count.check(not gaps, f"{name}: slots are missing after {gaps}")
        count.check(until(lambda: len(logged(conn, "old")) == 100), "the backfill ends")
        count.equal(conn.execute("SELECT count(*), count(DISTINCT slot) FROM log WHERE who = 'old'").fetchone(), (100, 100), "the backfill")
        verify(conn, count, "last")
        with conn.transaction():
            n = conn.execute("SELECT count(*) FROM log WHERE who = 'main'").fetchone()[0]
            rows = conn.execute("SELECT count(*), count(DISTINCT s) FROM block").fetchone()
        count.equal(rows, (100 * n, n), "a slot's row and its block")
        crashed = conn.execute("SELECT count(*) FROM sys.schedule_runs WHERE status = 'crashed'").fetchone()[0]
    server.process.kill()
    server.stop()
    print(f"{cycles} crashes, {len(slots)} slots of each schedule, {crashed} runs crashed")
    with server:
        pass
    return count.finish()


if __name__ == "__main__":
    started = time.time()
    status = main()
    print(f"{time.time() - started:.0f} s", file=sys.stderr)
    sys.exit(status)
