"""Schedules run: on a clock that the test sets, what is due runs once, whatever comes between. Overlaps, missed slots, retries, timeouts,
suspension, chains, backfills, restarts, a dropped array, and a thousand schedules due at once.

    schedule_test.py [PART…]
"""
import datetime
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Count, Server, psycopg, until  # noqa: E402

EPOCH = datetime.datetime(1970, 1, 1)
count = Count()


def at(text):
    return datetime.datetime.fromisoformat(text)


class Clock:
    """The scheduler's time: stands still until it is set."""

    def __init__(self):
        self.path = tempfile.mktemp(prefix="tessera-clock-")
        self.set("2026-01-01 00:00:00")

    def set(self, text):
        self.now = at(text) if isinstance(text, str) else text
        with open(self.path + ".new", "w") as f:
            f.write(str((self.now - EPOCH) // datetime.timedelta(microseconds=1)))
        os.replace(self.path + ".new", self.path)

    def step(self, **kwargs):
        self.set(self.now + datetime.timedelta(**kwargs))


class Desk:
    """A server with a clock, and arrays for schedules to write to."""

    def __init__(self, *sets, fault=""):
        self.clock = Clock()
        self.server = Server(sets=sets, env={"TESSERA_CLOCK": self.clock.path, "TESSERA_FAULT": fault})

    def __enter__(self):
        self.server.start()
        self.conn = self.server.session()
        self.conn.execute("CREATE TABLE log (slot TIMESTAMP, lo TIMESTAMP, hi TIMESTAMP, who TEXT)")
        return self

    def __exit__(self, *_):
        self.conn.close()
        self.server.stop()
        shutil.rmtree(self.server.dir, ignore_errors=True)
        os.unlink(self.clock.path)

    def restart(self, kill=False):
        """Ends and begins again; the clock goes on from where it is."""
        self.conn.close()
        self.server.process.kill() if kill else self.server.process.terminate()
        status = self.server.stop()
        count.check(kill or status == 0, f"the server stops: {status}")
        self.server.start()
        self.conn = self.server.session()

    def sql(self, text):
        return self.conn.execute(text)

    def rows(self, text):
        return self.conn.execute(text).fetchall()

    def runs(self, name, columns="slot, attempt, status"):
        return self.rows(f"SELECT {columns} FROM sys.schedule_runs WHERE schedule = '{name}' ORDER BY slot, attempt")

    def slots(self, name, status="succeeded"):
        return [r[0] for r in self.rows(f"SELECT slot FROM sys.schedule_runs WHERE schedule = '{name}' AND status = '{status}' ORDER BY slot")]

    def settled(self, name, n):
        """Waits until n records of the schedule have ended, and no other has not."""
        def done():
            states = [r[2] for r in self.runs(name)]
            return len(states) >= n and not {"queued", "running"} & set(states)
        return count.check(until(done), f"{name}: {n} runs to end, there are {self.runs(name, 'slot, attempt, status, message')}")

    def peak_bytes(self):
        """The largest resident set so far."""
        with open(f"/proc/{self.server.process.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def state(self, name):
        return self.rows(f"SELECT state FROM sys.schedules WHERE name = '{name}'")[0][0]


def busy(seconds):
    """A statement that takes a while."""
    return f"SELECT count(*) FROM GRID [i => 1 : {int(seconds * 400)}, j => 1 : 100000] WHERE sin(i * 0.1 + j) > 2"


LOG = "INSERT INTO log SELECT scheduled_time(), window_start(), window_end(), '%s'"


def simple():
    """Slots come with their windows; result and record are there together; nothing drifts."""
    with Desk() as d:
        d.sql("CREATE SCHEDULE hourly EVERY '1 hour' OFFSET '5 min' AS " + LOG % "hourly")
        d.clock.set("2026-01-01 00:05:03")
        d.settled("hourly", 1)
        d.clock.set("2026-01-01 01:05:00")
        d.settled("hourly", 2)
        count.equal(d.rows("SELECT slot, lo, hi FROM log ORDER BY slot"),
                    [(at("2026-01-01 00:05"), at("2025-12-31 23:05"), at("2026-01-01 00:05")),
                     (at("2026-01-01 01:05"), at("2026-01-01 00:05"), at("2026-01-01 01:05"))], "windows")
        count.equal(d.runs("hourly", "slot, attempt, status, scheduled_at, queued_at, started_at, finished_at, rows, cells, sqlstate, message")[0],
                    (at("2026-01-01 00:05"), 1, "succeeded", at("2026-01-01 00:05"), at("2026-01-01 00:05:03"), at("2026-01-01 00:05:03"),
                     at("2026-01-01 00:05:03"), 0, 1, None, None), "the record")
        count.equal(d.rows("SELECT next_slot, state, last_slot, last_status FROM sys.schedules"),
                    [(at("2026-01-01 02:05"), "waiting", at("2026-01-01 01:05"), "succeeded")], "sys.schedules")
        # The clock goes back: what ran has run.
        d.clock.set("2026-01-01 00:00:00")
        time.sleep(0.3)
        d.clock.set("2026-01-01 02:05:00")
        d.settled("hourly", 3)
        count.equal(len(d.slots("hourly")), 3, "a clock that is set back")
        # For a moment it is 2099: one slot runs then, and things go on as before.
        d.clock.set("2099-01-01 00:00:00")
        d.settled("hourly", 5)
        for restarted in (False, True):
            d.clock.set("2026-01-01 02:10:00")
            time.sleep(0.2)
            if restarted:
                d.restart()
                time.sleep(0.2)
            d.clock.set("2026-01-01 03:05:00" if restarted else "2026-01-01 02:30:00")
            time.sleep(0.2)
        d.settled("hourly", 6)
        count.equal([s.year for s in d.slots("hourly")], [2026] * 4 + [2098], "a clock that leaps to and fro")
        count.equal(d.rows("SELECT count(*), count(DISTINCT slot) FROM log WHERE who = 'hourly'"), [(5, 5)], "once each")
        d.sql("DROP SCHEDULE hourly")
        # Several statements are one transaction: the second one fails, nothing is left of the first.
        d.sql("CREATE SCHEDULE hourly EVERY '1 hour' OFFSET '5 min' AS " + LOG % "hourly")
        d.clock.set("2026-01-01 02:10:00")
        d.sql("CREATE SCHEDULE torn EVERY '1 hour' AS $$ " + LOG % "torn" + "; SELECT 1 // (count(*) - count(*)) FROM log $$")
        d.clock.set("2026-01-01 03:00:00")
        d.settled("torn", 1)
        count.equal(d.runs("torn", "status, sqlstate, message"), [("failed", "22012", "division by zero")], "a failure")
        count.equal(d.rows("SELECT count(*) FROM log WHERE who = 'torn'"), [(0,)], "a failure leaves nothing")
        # Who listens hears of it.
        listener = d.server.connect()
        listener.execute("LISTEN tessera_runs")
        d.sql('CREATE SCHEDULE "a ""b""" EVERY \'1 hour\' OFFSET \'30 min\' AS SELECT 1 // (count(*) - count(*)) FROM log')
        d.clock.set("2026-01-01 03:30:00")
        heard = []
        for n in listener.notifies():
            heard.append((n.channel, json.loads(n.payload)))
            if {'a "b"', "hourly"} <= {h[1]["schedule"] for h in heard}:
                break
        count.equal([h for h in heard if "b" in h[1]["schedule"]], [("tessera_runs", {"schedule": 'a "b"', "slot": "2026-01-01T03:30:00Z", "attempt": 1, "status": "failed",
                                                 "sqlstate": "22012", "message": "division by zero"})], "LISTEN")
        count.check(any(h[1]["schedule"] == "hourly" and h[1]["status"] == "succeeded" for h in heard), "all runs")
        listener.close()
        # Rows and cells.
        d.sql("CREATE SCHEDULE counted EVERY '1 hour' AS $$ SELECT i FROM GRID [i => 1 : 7]; INSERT INTO log SELECT NULL, NULL, NULL, 'x' FROM GRID [i => 1 : 3] $$")
        d.clock.set("2026-01-01 04:00:00")
        d.settled("counted", 1)
        count.equal(d.runs("counted", "rows, cells, status"), [(7, 3, "succeeded")], "rows and cells")


def overlap():
    with Desk() as d:
        listener, heard = d.server.connect(), []
        listener.add_notify_handler(lambda n: heard.append(json.loads(n.payload)))
        listener.execute("LISTEN tessera_runs")
        for how in ("SKIP", "QUEUE", "CANCEL"):
            d.sql(f"CREATE SCHEDULE {how} EVERY '1 min' ON OVERLAP {how} AS {busy(2)}")
        d.clock.set("2026-01-01 00:01:00")
        count.check(until(lambda: all(d.state(n) == "running" for n in ("skip", "queue", "cancel"))), "three run")
        d.clock.set("2026-01-01 00:02:00")
        for n, many in (("skip", 2), ("queue", 2), ("cancel", 2)):
            d.settled(n, many)
        one, two = at("2026-01-01 00:01"), at("2026-01-01 00:02")
        count.equal(d.runs("skip"), [(one, 1, "succeeded"), (two, 1, "skipped")], "ON OVERLAP SKIP")
        count.check("had not ended (ON OVERLAP SKIP)" in d.runs("skip", "slot, attempt, message")[1][2], "why it was skipped")
        count.equal(d.runs("queue"), [(one, 1, "succeeded"), (two, 1, "succeeded")], "ON OVERLAP QUEUE")
        started = d.runs("queue", "slot, attempt, finished_at, started_at")
        count.check(started[1][3] >= started[0][2], "the second begins after the first")
        count.equal(d.runs("cancel"), [(one, 1, "cancelled"), (two, 1, "succeeded")], "ON OVERLAP CANCEL")
        count.check("ON OVERLAP CANCEL" in d.runs("cancel", "slot, attempt, message")[0][2], "why it was cancelled")
        listener.execute("SELECT 1")
        count.equal(sorted((h["schedule"], h["slot"][11:16], h["status"]) for h in heard),
                    sorted((n, f"{s:%H:%M}", status) for n in ("skip", "queue", "cancel") for s, _, status in d.runs(n)), "all of it is told")
        listener.close()


def missed():
    """The server is away for six hours, and then the clock leaps."""
    with Desk() as d:
        for how in ("SKIP", "ONCE", "ALL", "ALL MAX 2"):
            d.sql(f"CREATE SCHEDULE \"{how}\" EVERY '1 hour' ON MISSED {how} AS " + LOG % how)
        d.clock.set("2026-01-01 01:00:00")
        for how in ("SKIP", "ONCE", "ALL", "ALL MAX 2"):
            d.settled(how, 1)
        for round, (to, hours) in enumerate((("2026-01-01 07:30:00", range(2, 8)), ("2026-01-01 10:30:00", range(8, 11)))):
            if round == 0:
                d.server.process.kill()
                d.clock.set(to)
                d.restart(kill=True)
            d.clock.set(to)
            slots = [at(f"2026-01-01 {h:02}:00") for h in hours]
            d.settled("SKIP", 2 + round)
            d.settled("ONCE", 3 + 2 * round)
            d.settled("ALL", 1 + hours[-1] - 1)
            d.settled("ALL MAX 2", 4 + 3 * round)
            count.equal([s for s in d.slots("SKIP") if s in slots], [], "ON MISSED SKIP")
            count.equal([s for s in d.slots("ONCE") if s in slots], slots[-1:], "ON MISSED ONCE")
            count.equal([s for s in d.slots("ALL") if s in slots], slots, "ON MISSED ALL")
            count.equal([s for s in d.slots("ALL MAX 2") if s in slots], slots[-2:], "ON MISSED ALL MAX 2")
        count.equal(d.runs("SKIP", "slot, attempt, message")[1][2], "missed, as were all 6 slots from 2026-01-01 02:00:00 on (ON MISSED SKIP)",
                    "the skipped ones")
        # A slot that is in time makes up for those before it.
        d.clock.set("2026-01-01 13:00:02")
        d.settled("ONCE", 7)
        d.settled("SKIP", 5)
        count.equal(d.slots("ONCE")[-1], at("2026-01-01 13:00"), "in time")
        count.equal(d.runs("SKIP")[-2:], [(at("2026-01-01 12:00"), 1, "skipped"), (at("2026-01-01 13:00"), 1, "succeeded")], "in time, SKIP")


def retry():
    with Desk() as d:
        d.sql("CREATE ARRAY fuse (i BIGINT DIMENSION [0 : 9], v BIGINT)")
        d.sql("CREATE SCHEDULE flaky EVERY '1 day' RETRY 3 BACKOFF '10s' SUSPEND AFTER 2 FAILURES AS $$ " + LOG % "flaky" +
              "; SELECT 1 // v FROM fuse $$")
        d.sql("INSERT INTO fuse VALUES (0, 0)")
        d.clock.set("2026-01-02 00:00:00")
        for attempt, wait in ((1, 10), (2, 20), (3, 40)):
            count.check(until(lambda: len(d.runs("flaky")) == attempt + 1), f"attempt {attempt + 1} waits: {d.runs('flaky')}")
            last = d.runs("flaky", "slot, attempt, status, scheduled_at")[-1]
            count.equal(last[1:], (attempt + 1, "queued", d.clock.now + datetime.timedelta(seconds=wait)), "backoff doubles")
            d.clock.step(seconds=wait - 1)
            time.sleep(0.1)
            count.equal(d.runs("flaky")[-1][2], "queued", "not before its time")
            if attempt == 3:
                d.sql("UPDATE fuse SET v = 1")
            d.clock.step(seconds=1)
        d.settled("flaky", 4)
        count.equal([r[2] for r in d.runs("flaky")], ["failed", "failed", "failed", "succeeded"], "the fourth attempt")
        count.equal(d.rows("SELECT count(*) FROM log WHERE who = 'flaky'"), [(1,)], "once in the end")
        # Two slots in a row that fail for good.
        d.sql("CREATE SCHEDULE bad EVERY '1 day' SUSPEND AFTER 2 FAILURES AS SELECT 1 // (v - 1) FROM fuse")
        d.clock.set("2026-01-03 00:00:00")
        d.settled("bad", 1)
        count.equal(d.state("bad"), "waiting", "one failure")
        d.clock.set("2026-01-04 00:00:00")
        d.settled("bad", 2)
        count.equal(d.rows("SELECT state, last_message, next_slot FROM sys.schedules WHERE name = 'bad'"),
                    [("suspended", "after 2 failures in a row", None)], "two failures")
        d.clock.set("2026-01-05 00:00:00")
        d.settled("flaky", 6)
        count.equal(len(d.runs("bad")), 2, "suspended: no more")
        d.sql("ALTER SCHEDULE bad RESUME; UPDATE fuse SET v = 2")
        d.clock.set("2026-01-06 00:00:00")
        d.settled("bad", 3)
        count.equal(d.runs("bad")[-1], (at("2026-01-06"), 1, "succeeded"), "resumed: from then on")


def limits():
    """TIMEOUT, a dropped array, a conflict, memory, a cancelled run."""
    with Desk("memory_limit=64MB") as d:
        d.sql(f"CREATE SCHEDULE slow EVERY '1 hour' TIMEOUT '200 ms' AS {busy(60)}")
        d.sql("CREATE ARRAY here (i BIGINT DIMENSION [0 : 9], v BIGINT)")
        d.sql("CREATE SCHEDULE orphan EVERY '1 hour' AS INSERT INTO here VALUES (1, 1)")
        d.sql("CREATE SCHEDULE hungry EVERY '1 hour' AS $$ SET query_memory_limit = '16MB'; "
              "SELECT length(string_agg(repeat('x', 1000000), '')) FROM GRID [i => 0 : 99] $$")
        d.sql(f"CREATE SCHEDULE long EVERY '1 hour' RETRY 3 AS {busy(60)}")
        d.sql("DROP ARRAY here")
        d.clock.set("2026-01-01 01:00:00")
        for name in ("slow", "orphan", "hungry"):
            d.settled(name, 1)
        count.equal(d.runs("slow", "status, sqlstate, message"), [("failed", "57014", "canceled after its TIMEOUT of 200 ms")], "TIMEOUT")
        count.equal(d.runs("orphan", "status, sqlstate"), [("failed", "42P01")], "a dropped array")
        count.equal(d.runs("hungry", "status, sqlstate"), [("failed", "53200")], "memory")
        pids = d.rows("SELECT pid FROM sys.sessions WHERE application = 'schedule long'")
        d.sql(f"CANCEL {pids[0][0]}")
        d.settled("long", 1)
        count.equal(d.runs("long", "status, sqlstate"), [("cancelled", "57014")], "CANCEL")
        # Dropped while it runs.
        d.clock.set("2026-01-01 02:00:00")
        count.check(until(lambda: d.state("long") == "running"), "it runs again")
        d.sql("DROP SCHEDULE long")
        d.settled("long", 2)
        count.equal(d.runs("long", "status, message")[1], ("cancelled", "the schedule was dropped"), "dropped")


def chain():
    with Desk() as d:
        d.sql("CREATE ARRAY fuse (i BIGINT DIMENSION [0 : 9], v BIGINT)")
        d.sql("INSERT INTO fuse VALUES (0, 1)")
        d.sql("CREATE SCHEDULE first EVERY '1 hour' AS $$ SELECT 1 // v FROM fuse; " + LOG % "first" + " $$")
        d.sql("CREATE SCHEDULE second AFTER first AS " + LOG % "second")
        d.sql("CREATE SCHEDULE third AFTER second START '2026-01-01 02:00' AS " + LOG % "third")
        d.clock.set("2026-01-01 01:00:00")
        d.settled("second", 1)
        d.clock.set("2026-01-01 02:00:00")
        d.settled("third", 1)
        count.equal(d.rows("SELECT who, slot, lo FROM log WHERE slot = TIMESTAMP '2026-01-01 02:00' ORDER BY row"),
                    [(w, at("2026-01-01 02:00"), at("2026-01-01 01:00")) for w in ("first", "second", "third")], "one after the other")
        count.equal(d.slots("third"), [at("2026-01-01 02:00")], "START of what runs after another")
        d.sql("UPDATE fuse SET v = 0")
        d.clock.set("2026-01-01 03:00:00")
        d.settled("third", 2)
        count.equal(d.runs("second", "slot, attempt, status, message")[-1],
                    (at("2026-01-01 03:00"), 1, "skipped", 'schedule "first", which it runs after, failed at this slot'), "the first fails")
        d.sql("UPDATE fuse SET v = 1")
        d.sql("RUN SCHEDULE first FOR '2026-01-01 03:00' TO '2026-01-01 03:00'")
        d.settled("third", 3)
        count.equal(d.runs("third")[-1], (at("2026-01-01 03:00"), 1, "succeeded"), "run again, the others follow")


def backfill():
    with Desk() as d:
        d.sql("CREATE SCHEDULE daily CRON '@daily' START '2025-12-01' ON OVERLAP SKIP AS " + LOG % "daily")
        count.equal(d.sql("RUN SCHEDULE daily FOR '2025-12-01' TO '2025-12-10'").statusmessage, "RUN SCHEDULE 10", "how many")
        d.settled("daily", 10)
        count.equal(set(d.runs("daily", "status, message")), {("succeeded", None)}, "all succeed")
        count.equal(d.rows("SELECT slot FROM log ORDER BY row"), [(at(f"2025-12-{k:02}"),) for k in range(1, 11)], "in order")
        count.equal(d.sql("RUN SCHEDULE daily FOR '2025-12-08' TO '2025-12-12'").statusmessage, "RUN SCHEDULE 2", "what succeeded is left out")
        d.settled("daily", 12)
        count.equal(d.sql("RUN SCHEDULE daily FOR '2025-12-13' TO '2027-01-01' IN PARALLEL").statusmessage, "RUN SCHEDULE 20", "up to now")
        d.settled("daily", 32)
        count.equal(len(set(d.slots("daily"))), 32, "in parallel")
        count.equal(d.rows("SELECT count(*) FROM log"), [(32,)], "once each")
        # By hand, now; the window ends there.
        d.clock.set("2026-01-01 12:34:56")
        d.sql("RUN SCHEDULE daily")
        d.settled("daily", 33)
        count.equal(d.rows("SELECT slot, lo, hi FROM log ORDER BY row DESC LIMIT 1"),
                    [(at("2026-01-01 12:34:56"), at("2026-01-01"), at("2026-01-01 12:34:56"))], "by hand")
        # A suspended one runs by hand alone.
        d.sql("ALTER SCHEDULE daily SUSPEND")
        d.clock.set("2026-01-02 12:00:00")
        d.sql("RUN SCHEDULE daily FOR '2026-01-02' TO '2026-01-02'")
        d.settled("daily", 34)
        count.equal(d.slots("daily")[-1], at("2026-01-02"), "suspended, by hand")
        # Queued and gone with the transaction.
        with d.conn.transaction(force_rollback=True):
            d.sql("RUN SCHEDULE daily")
        time.sleep(0.2)
        count.equal(len(d.runs("daily")), 34, "undone")


def restart():
    """What ran when the server died, and when it was stopped."""
    with Desk() as d:
        for name, more in (("again", ""), ("lost", "ON MISSED SKIP"), ("tried", "ON MISSED SKIP RETRY 1")):
            d.sql(f"CREATE SCHEDULE {name} EVERY '1 hour' {more} AS $$ {LOG % name}; {busy(0.8)} $$")
        d.clock.set("2026-01-01 01:00:00")
        count.check(until(lambda: all(d.state(n) == "running" for n in ("again", "lost", "tried"))), "three run")
        d.restart(kill=True)
        for name in ("again", "lost", "tried"):
            d.settled(name, 2)
        count.equal(d.runs("again"), [(d.clock.now, 1, "crashed"), (d.clock.now, 2, "succeeded")], "after a crash")
        count.equal(d.runs("lost"), [(d.clock.now, 1, "crashed"), (d.clock.now, 2, "skipped")], "after a crash, ON MISSED SKIP")
        count.equal(d.runs("tried"), [(d.clock.now, 1, "crashed"), (d.clock.now, 2, "succeeded")], "after a crash, RETRY")
        count.equal(d.rows("SELECT who, count(*) FROM log GROUP BY who ORDER BY who"), [("again", 1), ("tried", 1)], "once each")
        d.clock.set("2026-01-01 02:00:00")
        count.check(until(lambda: d.state("lost") == "running"), "it runs")
        d.restart()
        d.settled("lost", 3)
        count.equal(d.runs("lost")[-1], (d.clock.now, 1, "succeeded"), "after a stop")
        count.equal(d.rows("SELECT count(*) FROM log WHERE who = 'lost'"), [(1,)], "once")


def disk():
    """The disk fails when a run commits: with a known outcome it is a failure like any, with an unknown one the next start finds out."""
    with Desk(fault="run:2:io") as d:        # CREATE SCHEDULE, the first attempt
        d.sql("CREATE SCHEDULE s EVERY '1 hour' RETRY 1 BACKOFF '1 ms' AS " + LOG % "s")
        d.clock.set("2026-01-01 01:00:00")
        count.check(until(lambda: len(d.runs("s")) == 2), "another attempt")
        d.clock.step(seconds=1)
        d.settled("s", 2)
        count.equal(d.runs("s", "status, sqlstate"), [("failed", "58030"), ("succeeded", None)], "a COMMIT that failed")
        count.equal(d.rows("SELECT count(*) FROM log"), [(1,)], "once")
    with Desk(fault="commit:3:io") as d:     # CREATE TABLE, CREATE SCHEDULE, the run
        d.sql("CREATE SCHEDULE s EVERY '1 hour' AS " + LOG % "s")
        d.clock.set("2026-01-01 01:00:00")

        def stopped():
            try:
                d.sql("INSERT INTO log VALUES (NULL, NULL, NULL, 'client')")
            except psycopg.Error as e:
                return e.sqlstate == "58030"
        count.check(until(lambda: d.state("s") == "running"), "the run begins")
        time.sleep(0.5)                      # it is the third, not what the client inserts
        count.check(until(lambda: not d.rows("SELECT pid FROM sys.sessions WHERE application LIKE 'schedule%'")), "the run ends")
        count.check(until(stopped), "writing stops")
        d.clock.set("2026-01-01 02:00:00")
        time.sleep(0.3)
        count.equal(d.rows("SELECT count(*) FROM log WHERE who = 's'"), [(0,)], "reading goes on")
        d.server.env["TESSERA_FAULT"] = ""
        d.restart()
        count.check(until(lambda: len(d.slots("s")) == 2), f"both slots: {d.runs('s')}")
        count.equal(d.rows("SELECT slot FROM log WHERE who = 's' ORDER BY slot"), [(at("2026-01-01 01:00"),), (at("2026-01-01 02:00"),)], "once each")


def folder():
    """Each file of a folder is loaded once, by the slot that found it; one that is no good is a row beside the run's."""
    inbox = tempfile.mkdtemp(prefix="tessera-inbox-")

    def put(name, text):
        with open(os.path.join(inbox, name + ".part"), "w") as f:
            f.write(text)
        os.rename(os.path.join(inbox, name + ".part"), os.path.join(inbox, name))

    with Desk() as d:
        d.sql("CREATE ARRAY prices (i BIGINT DIMENSION [0 : *], price DOUBLE)")
        d.sql(f"CREATE SCHEDULE watch EVERY '5 min' AS COPY prices FROM '{inbox}/*.csv' (NEW ONLY, ON ERROR SKIP)")
        put("a.csv", "i,price\n1,10\n2,20\n")
        d.clock.set("2026-01-01 00:05:00")
        d.settled("watch", 1)
        put("b.csv", "i,price\n3,30\n")
        put("bad.csv", "i,price\n4,much\n")
        d.clock.set("2026-01-01 00:10:00")
        d.settled("watch", 3)
        d.clock.set("2026-01-01 00:15:00")
        d.settled("watch", 4)
        count.equal(d.rows("SELECT i, price FROM prices ORDER BY i"), [(1, 10.0), (2, 20.0), (3, 30.0)], "the cells")
        ran = d.runs("watch", "slot, status, cells, sqlstate")
        count.equal(sorted(ran, key=str), sorted([(at("2026-01-01 00:05"), "succeeded", 2, None), (at("2026-01-01 00:10"), "succeeded", 1, None),
                                                  (at("2026-01-01 00:10"), "skipped", 0, "22P02"), (at("2026-01-01 00:15"), "succeeded", 0, None)], key=str),
                    "the records")
        notes = d.rows("SELECT message FROM sys.schedule_runs WHERE status = 'skipped'")
        count.check(len(notes) == 1 and "bad.csv" in notes[0][0] and "much" in notes[0][0], f"which file, and why: {notes}")
        columns = [r.name for r in d.sql("SELECT * FROM sys.files").description]
        count.check({"schedule", "slot"} <= set(columns), f"sys.files has {columns}")
        count.equal(d.rows("SELECT schedule, slot FROM sys.files ORDER BY name"),
                    [("watch", at("2026-01-01 00:05")), ("watch", at("2026-01-01 00:10")), ("watch", at("2026-01-01 00:10"))], "sys.files")
        # REFRESH on a grid, by the array's own schedule.
        d.sql("CREATE MATERIALIZED ARRAY total REFRESH EVERY '1 hour' AS SELECT sum(price) AS s FROM prices")
        count.equal(d.rows("SELECT name, rule FROM sys.schedules WHERE name LIKE 'refresh%'"), [("refresh total", "EVERY '1 hour'")], "its schedule")
        d.sql("INSERT INTO prices VALUES (9, 40)")
        d.clock.set("2026-01-01 01:00:00")
        d.settled("refresh total", 1)
        count.equal(d.rows("SELECT s FROM total"), [(100.0,)], "refreshed")
        d.sql("CREATE SCHEDULE next_one AFTER \"refresh total\" AS SELECT 1")
        d.sql('ALTER ARRAY total RENAME TO "all ""that"""')
        count.equal(d.rows("SELECT name, rule FROM sys.schedules WHERE name IN ('next_one', 'refresh all \"that\"') ORDER BY name"),
                    [("next_one", 'AFTER refresh all "that"'), ('refresh all "that"', "EVERY '1 hour'")], "renamed with its array")
        d.sql("INSERT INTO prices VALUES (10, 1)")
        d.clock.set("2026-01-01 02:00:00")
        d.settled("next_one", 1)
        count.equal(d.rows('SELECT s FROM "all ""that"""'), [(101.0,)], "refreshed under another name")
        for text, state in (('DROP SCHEDULE "refresh all ""that"""', "2BP01"), ('DROP MATERIALIZED ARRAY "all ""that"""', "2BP01")):
            try:
                d.sql(text)
                count.check(False, text)
            except psycopg.Error as e:
                count.equal(e.sqlstate, state, text)
        d.sql("DROP SCHEDULE next_one")
        # A name that is taken, names that are long and alike.
        d.sql("CREATE SCHEDULE \"refresh m\" EVERY '1 hour' AS SELECT 1")
        long = "é" * 31
        for name in ("m", long, "x" * 63, "x" * 62 + "y"):
            d.sql(f"CREATE MATERIALIZED ARRAY \"{name}\" REFRESH EVERY '1 day' AS SELECT sum(price) AS s FROM prices")
        count.equal(len(d.rows("SELECT name FROM sys.schedules WHERE name LIKE 'refresh%'")), 6, "each has its own")
        for name in ("m", long, "x" * 63, "x" * 62 + "y"):
            d.sql(f"DROP MATERIALIZED ARRAY \"{name}\"")
        d.sql('DROP SCHEDULE "refresh m"')
        d.sql('DROP MATERIALIZED ARRAY "all ""that"""')
        count.equal(d.rows("SELECT count(*) FROM sys.schedules"), [(1,)], "gone with it")
    shutil.rmtree(inbox)


def history():
    with Desk("schedule_history=1d") as d:
        d.sql("CREATE SCHEDULE h EVERY '1 hour' ON MISSED ALL AS SELECT 1")
        d.clock.set("2026-01-01 05:00:00")
        d.settled("h", 5)
        d.sql("ALTER SCHEDULE h SUSPEND")
        d.clock.set("2026-01-03 00:00:00")
        d.restart()
        count.check(until(lambda: len(d.runs("h")) == 1), "old records go, but for the newest slot's")
        d.restart()
        d.sql("ALTER SCHEDULE h RESUME")
        d.clock.set("2026-01-03 01:00:00")
        count.check(until(lambda: at("2026-01-03 01:00") in d.slots("h")), "it goes on")
        count.equal([s for s in d.slots("h") if s != at("2026-01-01 05:00")], [at("2026-01-03 01:00")], "no old slot comes again")


def many(n=1000):
    """None is lost, they start in the order in which they were made, and memory stays where it was."""
    with Desk() as d:
        with d.conn.transaction():
            for k in range(n):
                d.sql(f"CREATE SCHEDULE s{k} EVERY '1 hour' AS INSERT INTO log SELECT scheduled_time(), NULL, NULL, '{k}'")
        before = d.peak_bytes()
        began = time.time()
        d.clock.set("2026-01-01 01:00:00")
        out_of_order = 0

        def done():
            nonlocal out_of_order
            rows = d.rows("SELECT schedule, status FROM sys.schedule_runs")
            started = {int(name[1:]) for name, status in rows if status != "queued"}
            out_of_order += started != set(range(len(started)))
            return len(rows) == n and all(status == "succeeded" for _, status in rows)
        count.check(until(done), "all ran")
        took, after = time.time() - began, d.peak_bytes()
        count.equal(out_of_order, 0, "who was made first starts first")
        count.equal(d.rows("SELECT count(*), count(DISTINCT who), count(DISTINCT slot) FROM log"), [(n, n, 1)], "each once")
        count.check(after - before < 64 << 20, f"memory grew by {(after - before) >> 20} MB")
        print(f"{n} schedules due at once: {took:.1f} s, {(after - before) / 2**20:.0f} MB more (peak {after >> 20} MB), started in order")


PARTS = [simple, overlap, missed, retry, limits, chain, backfill, restart, disk, folder, history, many]

if __name__ == "__main__":
    names = sys.argv[1:]
    for part in PARTS:
        if not names or part.__name__ in names:
            part()
    sys.exit(count.finish())
