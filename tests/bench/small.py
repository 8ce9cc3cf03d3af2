"""Many small statements, by pgbench, at Tessera and at a PostgreSQL 15 with fsync on: one-cell reads and one-cell INSERTs. A row's figure is
milliseconds a statement, of all clients together."""
import os
import shutil
import subprocess
import tempfile

import psycopg

from data import Data, decimal
from harness import Server
from workload import Took, connection, free_port, row

BIN = "/usr/lib/postgresql/15/bin/"
SECONDS = int(os.environ.get("PGBENCH_SECONDS", 4))
WRITERS = 8


class Postgres:
    """A scratch cluster on this disk, run by the user postgres when we are root; started before the first row that asks it."""

    def __init__(self, port):
        self.port, self.dir = port, None
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []

    def run(self, program, *args):
        subprocess.run(self.prefix + [BIN + program, *args], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self):
        if self.dir:
            return
        self.dir = tempfile.mkdtemp(prefix="tessera-bench-pg-")
        if self.prefix:
            shutil.chown(self.dir, "postgres", "postgres")
        self.run("initdb", "-D", self.dir + "/data", "-A", "trust", "-U", "bench", "--locale=C", "-E", "UTF8", "-N")
        self.run("pg_ctl", "-D", self.dir + "/data", "-w", "-l", self.dir + "/log", "-o",
                 f"-c port={self.port} -c unix_socket_directories={self.dir} -c shared_buffers=1GB -c max_wal_size=4GB", "start")
        with psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname="postgres", autocommit=True) as conn:
            conn.execute("CREATE DATABASE bench")

    def stop(self):
        if self.dir:
            self.run("pg_ctl", "-D", self.dir + "/data", "-m", "immediate", "-w", "stop")
            shutil.rmtree(self.dir)


def pgbench(dir, port, clients, script, mode, first):
    """Statements a second: each client runs the script for SECONDS, its variable k counting from a `first` of its own."""
    path = os.path.join(dir, "script.sql")
    with open(path, "w") as f:
        f.write(script)
    out = subprocess.run([BIN + "pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-M", mode, "-c", str(clients),
                          "-j", str(min(clients, os.cpu_count())), "-T", str(SECONDS), "-D", f"k={first}", "-f", path, "bench"],
                         check=True, capture_output=True, text=True, env={**os.environ, "PGOPTIONS": ""})
    if "failed" in out.stdout and "number of failed transactions: 0" not in out.stdout:
        raise RuntimeError(out.stdout + out.stderr)
    return next(float(line.split()[2]) for line in out.stdout.splitlines() if line.startswith("tps"))


def rows(n, bench):
    bench.postgres = bench.postgres or Postgres(free_port())
    yield from reads(min(n, 1000000), bench.dir, bench)
    yield from inserts(bench.dir, bench)


def reads(n, dir, bench):
    side = round(n ** 0.5)
    x = Data("points", {"i": side, "j": side}, v=decimal)
    script = f"\\set i random(0, {side - 1})\n\\set j random(0, {side - 1})\nSELECT v FROM points WHERE i = :i AND j = :j;\n"

    def at_postgres(clients):
        with connection(bench.postgres.port) as conn:
            if not conn.execute("SELECT to_regclass('points')").fetchone()[0]:
                conn.execute("CREATE TABLE points (i integer, j integer, v float8)")
                with conn.cursor().copy("COPY points FROM STDIN") as copy:
                    for i in range(side):
                        copy.write("".join(f"{i}\t{j}\t{v!r}\n" for j, v in enumerate(x["v"][i].tolist())))
                conn.execute("ALTER TABLE points ADD PRIMARY KEY (i, j)")
                conn.execute("VACUUM ANALYZE points")
        connection.cache_clear()
        return Took(1 / pgbench(dir, bench.postgres.port, clients, script, "prepared", 0), 0)
    for clients in (1, 32):
        yield row(f"one-cell reads, {clients} client{'s' if clients > 1 else ''}", [x],
                  tessera=lambda conn, clients=clients: Took(1 / pgbench(dir, bench.server.port, clients, script, "prepared", 0), 0),
                  postgres=lambda clients=clients: at_postgres(clients))


def inserts(dir, bench):
    """Each writer has an array of its own, as a table of its own: what can be committed together is."""
    one = "\\set k :k + 1\nINSERT INTO w:client_id VALUES (:k, 0.5);\n"
    many = "BEGIN;\n" + one * 1000 + "COMMIT;\n"
    for script, size, which in ((one, 1, "committed singly"), (many, 1000, "committed by thousands")):
        for clients in (1, WRITERS):
            yield row(f"one-cell INSERTs, {which}, {clients} writer{'s' if clients > 1 else ''}",
                      server=(server := Server(dir=os.path.join(dir, f"inserts-{size}-{clients}"), port=free_port())),
                      tessera=writer(dir, server, "tessera", clients, script, size),
                      postgres=writer(dir, bench.postgres, "postgres", clients, script, size))


def writer(dir, server, who, clients, script, size):
    """A run begins with empty arrays; what the data directory grows by for an INSERT goes to the report."""
    kind = {"tessera": "CREATE ARRAY w{} (k BIGINT DIMENSION [0 : 99999999], v DOUBLE)",
            "postgres": "CREATE TABLE w{} (k bigint PRIMARY KEY, v float8)"}[who]

    def run(*_):
        conn = psycopg.connect(host="127.0.0.1", port=server.port, user="bench", dbname="bench", autocommit=True)
        for w in range(WRITERS):
            conn.execute(f"DROP {kind.split()[1]} IF EXISTS w{w}")
            conn.execute(kind.format(w))
        before = folder_bytes(server.dir)
        rate = size * pgbench(dir, server.port, clients, script, "simple", 0)
        stored = (folder_bytes(server.dir) - before) / (rate * SECONDS)
        conn.close()
        return Took(1 / rate, 0, f"{stored:,.0f} bytes an INSERT")
    return run


def folder_bytes(dir):
    return sum(os.lstat(os.path.join(d, f)).st_blocks * 512 for d, _, files in os.walk(dir) for f in files)
