"""How is a row measured? Each side (Tessera's client, each peer) is a process of its own, forked with the data in memory: it does the
work once uncounted, its answer is compared with NumPy's, then the sides take turns, RUNS times each.

A side's function does the whole work and returns an answer that is small; when what it leaves is large (an array stored, say) it is
a pair: the work, and what looks at the result afterwards, uncounted. Text is SQL for Tessera, DuckDB or PostgreSQL."""
import dataclasses
import functools
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import time
import traceback

import numpy as np
import psycopg

fork = multiprocessing.get_context("fork")
RUNS = int(os.environ.get("RUNS", 5))
PATIENCE_S = 600          # a side that takes longer for one run is not waited for
SLOW = 5                  # a peer that takes five seconds, and so many times the best's, is not asked again


@dataclasses.dataclass
class Took:
    """What a side's function may give in place of its answer: its own figure of the seconds, and what else to say."""
    seconds: float
    answer: object
    said: str = ""


@dataclasses.dataclass
class Row:
    """A workload. `stored`: whether Tessera has the data; `judge`: the side that gives the answer only; `server`: one of its own, and `prepare`: what to do with a
    connection once it is up. `limit`: which of the machine's limits bounds it and how many of its units one run needs; `wanted`: the fraction
    of it that is the goal. `before`: what each side does before each run, uncounted. `rtol`: how near answers must be."""
    name: str
    data: list
    sides: dict
    goal: float = 1.0
    limit: tuple = None
    wanted: float = None
    before: dict = dataclasses.field(default_factory=dict)
    rtol: float = 1e-9
    note: str = ""
    stored: bool = True
    judge: str = None
    runs: int = RUNS
    server: object = None
    prepare: object = None


def row(name, data=(), goal=1.0, **others):
    known = {f.name for f in dataclasses.fields(Row)}
    sides = {who: act for who, act in others.items() if who not in known}
    return Row(name, list(data), sides, goal, **{k: v for k, v in others.items() if k in known})


@dataclasses.dataclass
class Result:
    """What a side took: seconds of each run, or why there are none; processor seconds of a run. Bytes: memory beyond what its process held before the row, and
    what one run read from files and from disk."""
    seconds: list = dataclasses.field(default_factory=list)
    failure: str = ""
    said: str = ""
    cpu_s: float = 0.0
    peak_bytes: int = 0
    file_bytes: int = 0
    disk_bytes: int = 0

    median = property(lambda self: statistics.median(self.seconds) if self.seconds else None)


def status(pid, *fields):
    """Bytes of the named lines of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as f:
        found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in f if line.split(":")[0] in fields}
    return [found[x] for x in fields]


def bytes_read(pid):
    with open(f"/proc/{pid}/io") as f:
        io = dict(line.split(": ") for line in f.read().splitlines())
    return int(io["rchar"]), int(io["read_bytes"])


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        user, system = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def restart_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def answer_of(value):
    """Rows or arrays as one NumPy array of doubles."""
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
        value = [[float("nan") if x is None else x for x in r] for r in value]
    return np.squeeze(np.asarray(value, dtype=float))


class Side:
    """The process of one side of one row."""

    def __init__(self, who, act, before, server):
        self.who, self.server_pid = who, server.process.pid if who == "tessera" else None
        self.act = act
        self.before = before
        self.pipe, theirs = fork.Pipe()
        self.process = fork.Process(target=self.serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.base = None
        self.result = Result()

    def serve(self, pipe):
        """In the process: runs and answers on request."""
        self.pipe.close()
        run, look = self.act if isinstance(self.act, tuple) else (self.act, None)
        last = None
        while (order := pipe.recv()) is not None:
            try:
                if order == "run":
                    last = None
                    if self.before:
                        self.before()
                    start = time.perf_counter()
                    last = run()
                    took = Took(time.perf_counter() - start, last) if not isinstance(last, Took) else last
                    last = took.answer
                    pipe.send(("ok", (took.seconds, took.said)))
                else:
                    pipe.send(("ok", answer_of(look() if look else last)))
            except MemoryError:
                pipe.send(("failed", "memory"))
            except Exception:
                pipe.send(("failed", traceback.format_exc(limit=-3)))
        os._exit(0)

    def ask(self, order):
        """What the process gives, None when it fails or takes too long."""
        try:
            self.pipe.send(order)
            if not self.pipe.poll(PATIENCE_S):
                return self.fail("time")
            state, value = self.pipe.recv()
            return value if state == "ok" else self.fail(value)
        except (EOFError, BrokenPipeError):
            return self.fail("memory")

    def fail(self, why):
        self.result.failure = why.strip().splitlines()[-1] if "\n" in why else why
        if "\n" in why:
            print(f"{self.who}: {why}", flush=True)
        self.process.kill()
        return None

    def pid(self):
        return self.server_pid or self.process.pid

    def peak(self):
        high, rss, file = status(self.pid(), "VmHWM", "VmRSS", "RssFile")
        return max(0, max(high, rss) - file)

    def warm_up(self, held):
        """The run that is not counted; the peak of a peer is what it adds to what it was forked with, and its inputs if it uses them."""
        self.base = 0 if self.server_pid else self.peak() - held
        took = self.ask("run")
        if took is None:
            return None
        self.result.said = took[1]
        return self.ask("answer")

    def run(self):
        restart_peak(self.pid())
        before, cpu = bytes_read(self.pid()), cpu_s(self.pid())
        took = self.ask("run")
        if took is None:
            return
        self.result.seconds.append(took[0])
        after = bytes_read(self.pid())
        r, n = self.result, len(self.result.seconds)
        r.cpu_s += (cpu_s(self.pid()) - cpu - r.cpu_s) / n        # the mean so far
        self.result.file_bytes, self.result.disk_bytes = after[0] - before[0], after[1] - before[1]
        self.result.peak_bytes = max(self.result.peak_bytes, self.peak() - self.base)

    def end(self):
        try:
            self.pipe.send(None)
        except BrokenPipeError:
            pass
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@functools.cache
def connection(port):
    return psycopg.connect(host="127.0.0.1", port=port, user="bench", dbname="bench", autocommit=True)


def execute(conn, sql):
    cursor = conn.execute(sql)
    return cursor.fetchall() if cursor.description else None


def close_to(got, want, rtol):
    return got.shape == want.shape and np.allclose(got, want, rtol=rtol, atol=rtol, equal_nan=True)


class Bench:
    """A server, a scratch folder, what is measured and what came out. `who`: which sides take part (None: all)."""

    def __init__(self, server, dir, only, who=None):
        self.server, self.dir, self.only, self.who = server, dir, re.compile(only, re.IGNORECASE), who
        self.files = os.path.join(dir, "files")
        self.held, self.postgres, self.own = [], None, None

    def conn(self):
        return connection(self.server.port)

    def takes_part(self, who):
        return self.who is None or who in self.who

    def use(self, server, prepare):
        """Starts a row's own server, in place of the one that a row had before."""
        if server is self.own:
            return
        if self.own:
            self.own.stop()
            shutil.rmtree(self.own.dir, ignore_errors=True)
        self.own = server
        if server:
            os.makedirs(server.dir, exist_ok=True)
            server.start()
            if prepare:
                prepare(connection(server.port))

    def close(self):
        self.use(None, None)
        if self.postgres:
            self.postgres.stop()

    def matches(self, row):
        return bool(self.only.search(row.name))

    def keep(self, data, stored):
        """Makes what the next row needs, and drops what it does not, with the files that were made of it."""
        if data != self.held:
            shutil.rmtree(self.files, ignore_errors=True)
            os.makedirs(self.files)
        for d in [d for d in self.held if d not in data]:
            d.forget(self.conn())
        self.held = list(data)
        for d in data:
            d.make()
            if stored:
                d.store(self.conn(), self.dir)

    def function(self, who, act, row):
        """A side's text as a function; functions of Tessera's side take its connection."""
        if isinstance(act, tuple):
            return tuple(self.function(who, a, row) for a in act)
        if who == "tessera":
            port = (row.server or self.server).port
            return lambda: act(connection(port)) if callable(act) else execute(connection(port), act)
        if callable(act):
            return act
        from peers import duckdb_with
        return lambda: duckdb_with(tuple(row.data)).execute(act).fetchall()

    def sides(self, row, takes_part):
        """A process for each side that takes part, once the data and the servers are there."""
        self.keep(row.data, row.stored)
        self.use(row.server, row.prepare)
        if "postgres" in row.sides and takes_part("postgres"):
            self.postgres.start()
        connection.cache_clear()              # each process connects for itself
        return [Side(who, self.function(who, act, row), self.function(who, row.before[who], row) if who in row.before else None,
                     row.server or self.server) for who, act in row.sides.items() if takes_part(who)]

    def tessera_side(self, row):
        return self.sides(row, lambda who: who == "tessera")[0]

    def measure(self, row):
        """A row's results by side, after comparing the answers."""
        sides = self.sides(row, self.takes_part)
        held = sum(d.nbytes for d in row.data)
        try:
            want = None
            for side in sorted(sides, key=lambda s: s.who != "numpy"):
                got = side.warm_up(held if side.who in IN_MEMORY else 0)
                if got is None:
                    continue
                if want is None:
                    want = got
                elif not close_to(got, want, row.rtol):
                    side.fail(f"wrong: {str(got)[:60]} for {str(want)[:60]}")
            for _ in range(row.runs):
                best = min((s.result.median for s in sides if s.result.seconds), default=0)
                for side in sides:
                    slow = side.who != "tessera" and (side.result.median or 0) > SLOW * max(1, best)
                    if not side.result.failure and not slow and side.who != row.judge:
                        side.run()
        finally:
            for side in sides:
                side.end()
        results = {side.who: side.result for side in sides if side.who != row.judge}
        if "tessera" in results and not results["tessera"].failure:
            results["tessera"].said = self.tiles(row) or results["tessera"].said
        return results

    def tiles(self, row):
        """What the server says of the tiles that a query needed, in a session of its own."""
        sql, before = row.sides["tessera"], row.before.get("tessera", "")
        if not isinstance(sql, str):
            return ""
        with psycopg.connect(host="127.0.0.1", port=(row.server or self.server).port, user="bench", dbname="bench", autocommit=True) as conn:
            if before:
                conn.execute(before)
            lines = [r[0] for r in conn.execute("EXPLAIN ANALYZE " + sql)]
        return ", ".join(line for line in lines if line.startswith("tiles"))


IN_MEMORY = ("numpy", "numexpr", "dask", "xarray", "plain")
