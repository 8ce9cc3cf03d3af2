"""Folders that are watched: COPY … FROM 'folder/*' with NEW ONLY and ON ERROR SKIP, what sys.files remembers, files that change or
are being written, and kill -9 between and during loads: each file's rows are there exactly once.

    ingest_test.py [CRASHES]"""
import datetime
import os
import random
import shutil
import sys
import tempfile
import threading

import netCDF4
import numpy as np
import psycopg
import zarr

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Count, Server, seed, until  # noqa: E402

DAY = datetime.date(2024, 1, 1)


class Inbox:
    """A folder of files and a server that watches it."""

    def __init__(self, count, server):
        self.count, self.server = count, server
        self.dir = tempfile.mkdtemp(prefix="tessera-inbox-")
        self.notices = []
        self.conn = self.connect()

    def connect(self):
        conn = self.server.connect(prepare_threshold=None)
        conn.add_notice_handler(lambda d: self.notices.append((d.severity, d.sqlstate, d.message_primary)))
        return conn

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """As a careful producer does: the file appears whole."""
        with open(self.path(name + "~"), "w") as f:
            f.write(text)
        os.rename(self.path(name + "~"), self.path(name))

    def prices(self, name, day, close=100.0, tickers=("AA", "BB")):
        d = DAY + datetime.timedelta(days=day)
        self.write(name, "day,ticker,close\n" + "".join(f"{d},{t},{close + i}\n" for i, t in enumerate(tickers)))

    def copy(self, pattern="*.csv", options="NEW ONLY", array="prices"):
        self.notices.clear()
        return self.conn.execute(f"COPY {array} FROM '{self.path(pattern)}' ({options})").rowcount

    def rows(self, sql):
        return self.conn.execute(sql).fetchall()

    def files(self, array="prices"):
        return [(os.path.basename(n), *rest) for n, *rest in
                self.rows(f"SELECT name, status, cells, reason FROM sys.files WHERE array_name = '{array}' ORDER BY name")]

    def error(self, sql, state, *parts):
        try:
            self.conn.execute(sql)
            return self.count.check(False, f"no error: {sql}")
        except psycopg.Error as e:
            said = f"{e.diag.message_primary} {e.diag.message_detail} {e.diag.message_hint}"
            return self.count.check(e.diag.sqlstate == state and all(p in said for p in parts), f"{sql}: {e.diag.sqlstate} {said}")

    def empty(self):
        for f in os.listdir(self.dir):
            path = self.path(f)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def new_array(self):
        self.empty()
        self.conn.execute("DROP ARRAY IF EXISTS prices")
        self.conn.execute("CREATE ARRAY prices (day DATE DIMENSION, ticker TEXT DIMENSION, close DOUBLE CHECK (close > 0))")


def new_files_only(k):
    k.new_array()
    k.count.equal(k.copy(), 0, "an empty inbox")
    k.prices("a.csv", 0)
    k.prices("b.csv", 1)
    k.count.equal(k.copy(), 4, "two new files")
    k.count.equal(k.copy(), 0, "nothing new")
    k.prices("c.csv", 2)
    k.count.equal(k.copy(options="new_only true"), 2, "one more, old spelling")
    k.count.equal(k.conn.execute(f"COPY prices FROM '{k.path('*.csv')}' WITH (NEW ONLY)").rowcount, 0, "WITH")
    k.count.equal(k.files(), [(f"{x}.csv", "loaded", 2, None) for x in "abc"], "sys.files")
    k.count.equal(k.rows("SELECT count(*) FROM prices"), [(6,)], "cells")
    size, modified, at = k.rows("SELECT size, modified, loaded_at FROM sys.files WHERE name LIKE '%/a.csv'")[0]
    st = os.stat(k.path("a.csv"))
    k.count.equal((size, round(modified.replace(tzinfo=datetime.timezone.utc).timestamp(), 6)), (st.st_size, st.st_mtime_ns // 1000 / 1e6), "size and time")
    k.count.check(at > modified, f"loaded at {at}, modified {modified}")
    k.count.equal(k.copy(pattern="../" + os.path.basename(k.dir) + "/./*.csv"), 0, "another name of the same folder")
    k.error(f"COPY prices FROM '{k.path('nowhere/*.csv')}' (NEW ONLY)", "58P01", "nowhere")
    k.error(f"COPY prices FROM '{k.path('nothing.csv')}' (NEW ONLY)", "58P01", "nothing.csv")


def transactions(k):
    """What is remembered is undone with the cells."""
    k.new_array()
    k.prices("a.csv", 0)
    k.conn.execute("BEGIN")
    k.count.equal(k.copy(), 2, "in a transaction")
    k.count.equal((k.copy(), k.files()), (0, [("a.csv", "loaded", 2, None)]), "which sees what it has loaded")
    k.conn.execute("SAVEPOINT s")
    k.prices("b.csv", 1)
    k.count.equal(k.copy(), 2, "after a savepoint")
    k.conn.execute("ROLLBACK TO s")
    k.count.equal(len(k.files()), 1, "back to the savepoint")
    k.conn.execute("ROLLBACK")
    k.count.equal(k.files(), [], "rolled back")
    k.count.equal(k.copy(), 4, "both are new again")
    k.conn.execute("TRUNCATE prices")
    k.count.equal((k.files(), k.copy()), ([], 4), "TRUNCATE forgets")
    k.conn.execute("ALTER ARRAY prices RENAME TO others")
    k.count.equal(k.copy(array="others"), 0, "the array's new name")
    k.conn.execute("ALTER ARRAY others RENAME TO prices")
    k.conn.execute("DROP ARRAY prices")
    k.conn.execute("CREATE ARRAY prices (day DATE DIMENSION, ticker TEXT DIMENSION, close DOUBLE)")
    k.count.equal((k.files(), k.copy()), ([], 4), "another array of that name")
    k.conn.execute("BEGIN; CREATE ARRAY p2 (day DATE DIMENSION, ticker TEXT DIMENSION, close DOUBLE)")
    k.count.equal(k.copy(array="p2"), 4, "into an array of the same transaction")
    k.conn.execute("COMMIT")
    k.count.equal((k.copy(array="p2"), len(k.files("p2"))), (0, 2), "which was committed")
    k.conn.execute("DROP ARRAY p2")


def changed_files(k):
    k.new_array()
    k.prices("a.csv", 0)
    k.copy()
    os.utime(k.path("a.csv"))
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (NEW ONLY)", "23505", "a.csv")
    k.prices("a.csv", 0, close=7, tickers=("AA", "BB", "CC"))
    k.count.equal(k.copy(options="NEW ONLY, ON CONFLICT IGNORE"), 1, "what has come to it")
    k.prices("a.csv", 0, close=8, tickers=("AA", "BB", "CC"))
    k.count.equal(k.copy(options="NEW ONLY, ON CONFLICT REPLACE"), 3, "what has changed")
    k.count.equal(k.rows("SELECT sum(close) FROM prices"), [(27.0,)], "new values")
    k.count.equal(k.copy(), 0, "once")
    k.conn.execute("DROP TABLE IF EXISTS log; CREATE TABLE log (day DATE, ticker TEXT, close DOUBLE)")
    k.count.equal(k.copy(array="log"), 3, "into a table")
    k.prices("b.csv", 1)
    k.prices("a.csv", 0, close=9)
    k.error(f"COPY log FROM '{k.path('*.csv')}' (NEW ONLY)", "55000", "a.csv", "no coordinates")
    k.count.equal(k.copy(array="log", options="NEW ONLY, ON ERROR SKIP"), 2, "the other one")
    k.count.equal(k.rows("SELECT count(*) FROM log"), [(5,)], "a table's rows stand once")
    k.count.equal([f[:2] for f in k.files("log")], [("a.csv", "skipped"), ("b.csv", "loaded")], "and that is said")
    k.count.equal(k.copy(array="log", options="NEW ONLY, ON ERROR SKIP"), 0, "once")


def skipped_files(k):
    k.new_array()
    for i in range(40):
        k.prices(f"p{i:02}.csv", i)
    k.write("p05x.csv", "day,ticker,close\n2025-01-01,AA,1\n2025-01-02,AA,one\n")
    k.write("p07x.csv", "day,close\n2025-01-01,3\n")
    k.write("p09x.csv", "")
    k.write("p11x.csv", "day,ticker,close\n2025-01-01,AA,-1\n")
    k.write("p13x.csv", "day,ticker,close\n2024-01-03,AA,3\n2025-01-01,ZZ,3\n")
    k.write("p15x.csv", 'day,ticker,close\n2025-01-01,"AA,3\n')
    k.write("p17x.csv", "day,ticker,close\n2025-01-01,AA,3,4\n")
    k.write("p19x.csv", "day,ticker,close\n,AA,3\n")
    os.mkdir(k.path("p21x.csv"))
    os.symlink("nowhere", k.path("p23x.csv"))
    want = {"p05x": ("22P02", "line 3"), "p07x": ("42703", "ticker"), "p09x": ("22P04", "empty"), "p11x": ("23514", "check"),
            "p13x": ("23505", "2024-01-03"), "p15x": ("22P04", "unterminated"), "p17x": ("22P04", "extra data"),
            "p19x": ("23502", "null value"), "p21x": ("42809", "not a file"), "p23x": ("58P01", "No such file")}
    k.error(f"COPY prices FROM '{k.path('p05x.csv')}'", "22P02", "p05x.csv, line 3, column \"close\"")
    k.error(f"COPY prices FROM '{k.path('p0*.csv')}'", "22P02", "p05x.csv, line 3, column \"close\"")
    k.error(f"COPY prices FROM '{k.path('p1[01]*.csv')}'", "23514", "p11x.csv")
    k.error(f"COPY prices FROM '{k.path('p1*.csv')}'", "23514", "p11x.csv")
    k.error(f"COPY prices FROM '{k.path('*.csv')}'", "22P02", "p05x.csv, line 3")
    k.error(f"COPY prices FROM '{k.path('p2*.csv')}'", "42809", "p21x.csv")
    k.count.equal((k.rows("SELECT count(*) FROM prices"), k.files()), ([(0,)], []), "all or nothing")
    k.count.equal(k.copy(options="NEW ONLY, ON ERROR SKIP"), 80, "the good ones")
    said = {m.split('"')[1].rsplit("/", 1)[1][:4]: (state, m) for severity, state, m in k.notices if severity == "WARNING"}
    for name, (state, part) in want.items():
        got = said.get(name, ("", ""))
        k.count.check(got[0] == state and part in got[1], f"{name}: {got}")
    k.count.equal(sorted(said), sorted(want), "warnings")
    k.count.equal(k.rows("SELECT count(*), count(DISTINCT day), sum(close) FROM prices"), [(80, 40, 80 * 100.5)], "whole files")
    files = {f[0][:-4]: f[1:] for f in k.files()}
    k.count.equal([n for n, f in files.items() if f[0] == "skipped"], sorted(want), "sys.files")
    k.count.check(all(want[n][1] in files[n][2] for n in want), f"reasons: {files}")
    k.count.equal((k.copy(options="NEW ONLY, ON ERROR SKIP"), k.notices), (0, []), "not tried again")
    k.write("p05x.csv", "day,ticker,close\n2025-01-01,AA,1\n")
    k.count.equal((k.copy(options="NEW ONLY, ON ERROR SKIP"), k.notices), (1, []), "one was mended")
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (ON ERROR SKIP) WHERE nonsense > 3", "42703", "nonsense")
    k.error(f"COPY nonsense FROM '{k.path('*.csv')}' (ON ERROR SKIP)", "42P01", "nonsense")
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (ON ERROR IGNORE)", "42601", "STOP or SKIP", "single rows")
    k.error(f"COPY prices TO '{k.path('out')}' (NEW ONLY)", "42601", "NEW ONLY")
    k.error("COPY prices FROM STDIN (FORMAT csv, ON ERROR SKIP)", "42601", "ON ERROR")
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (NEW TWICE)", "42601", "NEW ONLY")


def without_rights(k):
    """The owner of the files reads everything if that is root."""
    k.new_array()
    k.prices("a.csv", 0)
    k.prices("b.csv", 1)
    os.chmod(k.path("a.csv"), 0)
    if os.access(k.path("a.csv"), os.R_OK):
        return
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (NEW ONLY)", "42501", "a.csv", "Permission denied")
    k.count.equal(k.copy(options="NEW ONLY, ON ERROR SKIP"), 2, "without rights to one")
    k.count.equal(k.copy(options="NEW ONLY, ON ERROR SKIP"), 0, "still without")
    os.chmod(k.path("a.csv"), 0o600)
    k.count.equal(k.copy(options="NEW ONLY, ON ERROR SKIP"), 2, "with rights")
    os.chmod(k.dir, 0)
    k.error(f"COPY prices FROM '{k.path('*.csv')}' (NEW ONLY)", "42501", "Permission denied")
    os.chmod(k.dir, 0o700)


def files_being_written(k):
    k.new_array()
    k.prices("a.csv", 0)
    with open(k.path("b.csv"), "w") as f:
        f.write("day,ticker,close\n2024-02-01,AA,1\n2024-02-02,AA,")
        f.flush()
        k.count.equal(k.copy(), 2, "one is open for writing")
        k.count.check(any("b.csv" in m and "being written" in m for _, _, m in k.notices), f"which is said: {k.notices}")
        f.write("2\n")
    k.count.equal((k.copy(), k.notices), (2, []), "it is finished")


def other_formats(k):
    """Each in a group with one that is damaged; where files do not lie end to end they come one by one."""
    k.empty()
    k.conn.execute("DROP ARRAY IF EXISTS field")
    k.conn.execute("CREATE ARRAY field (t BIGINT DIMENSION [0 : *] TILE 8, y BIGINT DIMENSION [0 : 3], v DOUBLE)")
    values = np.arange(40.0).reshape(10, 4)
    kinds = {"nc": write_netcdf, "zarr": write_zarr}
    for kind, write in kinds.items():
        k.conn.execute("TRUNCATE field")
        for i in range(4):
            write(k.path(f"f{i}.{kind}"), 2 * i, values[2 * i:2 * i + 2])
        write(k.path(f"f4.{kind}"), 8, values[8:, :2])  # a part of the other axis
        if kind == "nc":
            k.write("g.nc", "CDF no more")
        else:
            os.mkdir(k.path("g.zarr"))
        k.error(f"COPY field FROM '{k.path('*.' + kind)}'", "22P04", "g." + kind)
        k.count.equal(k.copy(f"f*.{kind}", "NEW ONLY", "field"), 36, f"{kind}: files of two shapes")
        k.conn.execute("TRUNCATE field")
        k.count.equal(k.copy(f"*.{kind}", "NEW ONLY, ON ERROR SKIP", "field"), 36, f"{kind}: one is damaged")
        k.count.equal(k.copy(f"*.{kind}", "NEW ONLY, ON ERROR SKIP", "field"), 0, f"{kind}: once")
        got = k.rows("SELECT t, y, v FROM field ORDER BY t, y")
        k.count.equal(got, [(t, y, values[t, y]) for t in range(10) for y in range(4 if t < 8 else 2)], f"{kind}: the cells")
        k.count.equal([f[1:3] for f in k.files("field")], [("loaded", 8)] * 4 + [("loaded", 4), ("skipped", 0)], f"{kind}: sys.files")
    np.save(k.path("a.npy"), values[:5])
    np.save(k.path("b.npy"), values[5:])
    k.conn.execute("TRUNCATE field")
    k.error(f"COPY field FROM '{k.path('*.npy')}' (NEW ONLY)", "0A000", "NEW ONLY", "npy")
    k.error(f"COPY field FROM '{k.path('*.npy')}' (ON ERROR SKIP)", "0A000", "ON ERROR SKIP")
    k.count.equal(k.copy("*.npy", "FORMAT npy", "field"), 40, "npy, end to end")
    k.count.equal(k.rows("SELECT sum(v * (t + 1)) FROM field")[0][0], float((values * np.arange(1, 11)[:, None]).sum()), "in their order")
    for kind in ("binary", "tile"):
        for i in range(3):
            k.conn.execute(f"COPY (SELECT [t], [y], v FROM field[t => {3 * i} : {3 * i + 2}]) TO '{k.path(f'h{i}.{kind}')}' (FORMAT {kind})")
        k.write(f"h1x.{kind}", "no such thing")
        k.conn.execute("CREATE ARRAY again (t BIGINT DIMENSION [0 : *] TILE 8, y BIGINT DIMENSION [0 : 3], v DOUBLE)")
        k.count.equal(k.copy(f"h*.{kind}", f"NEW ONLY, ON ERROR SKIP, FORMAT {kind}", "again"), 36, f"{kind}: one is damaged")
        k.count.equal(k.rows("SELECT count(*) FROM again NATURAL JOIN (SELECT [t], [y], v AS w FROM field) AS g WHERE v = w"), [(36,)], f"{kind}: the cells")
        k.count.equal([f[1:3] for f in k.files("again")], [("loaded", 12)] * 2 + [("skipped", 0), ("loaded", 12)], f"{kind}: sys.files")
        k.conn.execute("DROP ARRAY again")
    k.error(f"COPY field FROM '{k.path('*')}' (FORMAT csv, ON CONFLICT REPLACE)", "22P04", k.dir)
    k.conn.execute("DROP ARRAY field")


def write_netcdf(path, t, values):
    with netCDF4.Dataset(path, "w") as d:
        for name, n in zip("ty", values.shape):
            d.createDimension(name, n)
        d.createVariable("t", "i8", ("t",))[:] = np.arange(t, t + values.shape[0])
        d.createVariable("y", "i8", ("y",))[:] = np.arange(values.shape[1])
        d.createVariable("v", "f8", ("t", "y"))[:] = values


def write_zarr(path, t, values):
    g = zarr.open_group(path, mode="w", zarr_format=2)
    for name, a, dims in (("t", np.arange(t, t + values.shape[0]), ["t"]), ("y", np.arange(values.shape[1]), ["y"]), ("v", values, ["t", "y"])):
        z = g.create_array(name, shape=a.shape, dtype=a.dtype, chunks=a.shape, compressors=None)
        z[...] = a
        z.attrs["_ARRAY_DIMENSIONS"] = dims


def together(k):
    """Two clients watch one folder while files arrive: each comes in once."""
    k.new_array()
    stop, failures = threading.Event(), []

    def watch():
        with k.connect() as conn:
            while not stop.is_set():
                try:
                    conn.execute(f"COPY prices FROM '{k.path('*.csv')}' (NEW ONLY)")
                except psycopg.Error as e:
                    if e.sqlstate != "40001":  # the other one was quicker
                        failures.append(str(e))
                        return

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for w in watchers:
        w.start()
    for i in range(60):
        k.prices(f"f{i}.csv", i)
    stop.set()
    for w in watchers:
        w.join()
    k.copy()
    k.count.equal(failures, [], "two watchers")
    k.count.equal(k.rows("SELECT count(*), count(DISTINCT day) FROM prices"), [(120, 60)], "each file once")


def on_schedule(k):
    """A folder that is watched: each run takes what is new, and says what it left out."""
    k.new_array()
    k.conn.execute(f"CREATE SCHEDULE watch EVERY '1 day' AS COPY prices FROM '{k.path('*.csv')}' (NEW ONLY, ON ERROR SKIP)")

    def run(day):
        k.conn.execute(f"RUN SCHEDULE watch FOR '{day} 00:00' TO '{day} 00:00'")
        of = f"FROM sys.schedule_runs WHERE schedule = 'watch' AND slot = '{day} 00:00'"
        until(lambda: not k.rows(f"SELECT 1 {of} AND status IN ('queued', 'running')"))
        return k.rows(f"SELECT status, cells, message {of} ORDER BY status DESC")

    k.prices("a.csv", 0)
    k.prices("b.csv", 1)
    k.write("c.csv", "day,ticker,close\n2024-05-05,AA,x\n")
    first = run("2026-03-01")
    k.count.equal([r[0] for r in first], ["succeeded", "skipped"], f"a run and what it left out: {first}")
    k.count.check(first[0][1] == 4 and "c.csv, line 2" in first[1][2], f"their records: {first}")
    k.count.equal(k.rows("SELECT count(*) FROM prices"), [(4,)], "the result is there when its record is")
    k.prices("d.csv", 2)
    second = run("2026-03-02")
    k.count.equal([r[:2] for r in second], [("succeeded", 2)], "the next one takes what is new")
    slots = k.rows("SELECT status, schedule, slot::text FROM sys.files WHERE array_name = 'prices' ORDER BY name")
    k.count.equal(slots, [("loaded", "watch", "2026-03-01 00:00:00")] * 2 + [("skipped", "watch", "2026-03-01 00:00:00"),
                          ("loaded", "watch", "2026-03-02 00:00:00")], "which run took which file")
    k.conn.execute("DROP SCHEDULE watch")


def crashes(count, n):
    """kill -9 at random and at each step of a commit, while files arrive: a table would show what came twice."""
    from_list = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash")
    sys.path.insert(0, from_list)
    from crash import fault_points
    faults, rng = fault_points(), random.Random(seed())
    inbox, server, written = tempfile.mkdtemp(prefix="tessera-inbox-"), Server(), 0
    with server.start().connect() as conn:
        conn.execute("CREATE TABLE log (file BIGINT, line BIGINT)")
        conn.execute("CREATE ARRAY cells (file BIGINT DIMENSION [0 : *] TILE 16, line BIGINT DIMENSION [0 : 99], v BIGINT)")
    server.stop()

    def work():
        try:
            with server.connect() as conn:
                while True:
                    for a in ("log", "cells"):
                        conn.execute(f"COPY {a} FROM '{inbox}/*.csv' (NEW ONLY, ON ERROR SKIP)")
        except psycopg.Error:
            pass

    for cycle in range(n):
        server.env = {"TESSERA_FAULT": f"{rng.choice(faults)}:{rng.randrange(1, 8)}"} if cycle % 2 else {}
        try:
            server.start()
            worker = threading.Thread(target=work)
            worker.start()
            for _ in range(rng.randrange(1, 12)):
                lines = rng.randrange(1, 100)
                with open(f"{inbox}/{written}~", "w") as f:
                    f.write("file,line,v\n" + "".join(f"{written},{i},{i}\n" for i in range(lines)))
                os.rename(f"{inbox}/{written}~", f"{inbox}/{written}.csv")
                written += 1
            worker.join(rng.uniform(0.0, 0.15))
            server.process.kill()
            worker.join()
        except RuntimeError:
            pass             # the fault struck while it started
        server.stop()
    server.env = {}
    with server:
        with server.connect() as conn:
            for a in ("log", "cells"):
                conn.execute(f"COPY {a} FROM '{inbox}/*.csv' (NEW ONLY)")
                conn.execute(f"CHECK ARRAY {a}")
                got = dict(conn.execute(f"SELECT file, count(*) FROM {a} GROUP BY file").fetchall())
                want = {i: sum(1 for _ in open(f"{inbox}/{i}.csv")) - 1 for i in range(written)}
                count.equal(got, want, f"{a}: each file's rows once")
                n_files = conn.execute(f"SELECT count(*) FROM sys.files WHERE array_name = '{a}' AND status = 'loaded'").fetchone()[0]
                count.equal(n_files, written, f"{a}: sys.files")
    shutil.rmtree(inbox)
    print(f"{n} crashes, {written} files")


def main():
    count = Count()
    with Server() as server:
        k = Inbox(count, server)
        for test in (new_files_only, transactions, changed_files, skipped_files, without_rights, files_being_written, other_formats, together, on_schedule):
            test(k)
        k.conn.close()
        k.empty()
        os.rmdir(k.dir)
    crashes(count, int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
