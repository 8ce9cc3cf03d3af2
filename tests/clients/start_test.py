"""How tesserad starts and ends: options, configuration files, ports, two starts at once, embedded use."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PATIENCE_S, TESSERAD, Count, Server, psycopg, until  # noqa: E402


def run(*args):
    """Exit code and standard error of a start that must not succeed."""
    done = subprocess.run([TESSERAD, *args], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stderr, done.stdout


def refused(count, part, *args):
    code, err, _ = run(*args)
    count.check(code == 1 and part in err, f"{' '.join(args)}: {code} {err!r}, wanted {part!r}")


def options(count, dir):
    refused(count, "no data directory")
    refused(count, "too many arguments", "-D", dir, "more")
    refused(count, "--help", "-D", dir, "--no-such-option")
    refused(count, "name=value", "-D", dir, "--set", "port")
    refused(count, 'unrecognized configuration parameter "prt"', "-D", dir, "--set", "prt=1")
    refused(count, "port", "-D", dir, "-p", "70000")
    refused(count, "port", "-D", dir, "-p", "x")
    refused(count, "memory_limit", "-D", dir, "--set", "memory_limit=many")
    refused(count, "log_level", "-D", dir, "--set", "log_level=loud")
    refused(count, "--ready-fd", "-D", dir, "--ready-fd", "x")
    refused(count, "none.conf", "-D", dir, "-c", os.path.join(dir, "none.conf"))
    refused(count, "/proc/nothing", "-D", "/proc/nothing")
    count.equal(os.listdir(dir), [], "a start that is refused for its options leaves nothing")
    code, err, out = run("--help")
    count.check(code == 0 and "Usage" in out and not err, "--help")
    code, err, out = run("--version")
    count.check(code == 0 and "Tessera" in out, "--version")


def configuration(count, dir):
    path = os.path.join(dir, "t.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("# a comment\nstatement_timeout = 5s\n\nno_such = 1\n")
    refused(count, 't.conf", line 4', "-D", os.path.join(dir, "data"), "-c", path)
    with open(path, "w", encoding="utf-8") as f:
        f.write("statement_timeout = \n")
    refused(count, 't.conf", line 1', "-D", os.path.join(dir, "data"), "-c", path)
    server = Server()
    with open(os.path.join(server.dir, "tessera.conf"), "w", encoding="utf-8") as f:
        f.write("statement_timeout = 7s\nlog_level = 'error'\napplication_name = 'it''s'\n")
    server.sets = ["lock_timeout=9s"]
    try:
        with server.start().connect() as conn:
            for name, value in (("statement_timeout", "7s"), ("lock_timeout", "9s"), ("log_level", "warning")):
                count.equal(conn.execute(f"SHOW {name}").fetchone()[0], value, f"{name} of file and --set")
        count.equal(server.stop(), 0, "exit status")
    except RuntimeError as e:
        count.check(False, f"DIR/tessera.conf: {e}")
    shutil.rmtree(server.dir)


def ports(count, dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(count, f"127.0.0.1:{port}", "-D", os.path.join(dir, "port"), "-p", str(port))
        count.check(not os.path.exists(os.path.join(dir, "port", ".s.PGSQL.5432")), "and its socket is gone")
    with Server(port=port) as server:
        with psycopg.connect(host="127.0.0.1", port=port, user="any", dbname="any") as conn:
            count.equal(conn.execute("SELECT 1").fetchone(), (1,), "TCP")
        count.equal(oct(os.stat(os.path.join(server.dir, ".s.PGSQL.5432")).st_mode & 0o777), "0o700", "the socket is private")


def long_paths(count, dir):
    """Longer than a socket's name can be."""
    deep = os.path.join(dir, "d" * 100, "e" * 100)
    os.makedirs(deep)
    with Server(dir=deep) as server:
        with socket.socket(socket.AF_UNIX) as s:
            at = os.open(deep, os.O_RDONLY)
            s.connect(f"/proc/self/fd/{at}/.s.PGSQL.5432")
            os.close(at)
        count.equal(server.stop(), 0, "a long path")


def together(count, dir):
    """Of two starts on one directory one wins, the other says why."""
    data = os.path.join(dir, "both")
    starts = [subprocess.Popen([TESSERAD, "-D", data], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    until(lambda: sum(s.poll() is None for s in starts) == 1)
    running = [s for s in starts if s.poll() is None]
    count.equal(len(running), 1, "servers that run")
    for s in starts:
        if s not in running:
            count.check(s.returncode == 1 and "in use" in s.stderr.read(), "the others say that the directory is in use")
    server = Server(dir=data)

    def serves():
        try:
            with server.connect() as conn:
                return conn.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    count.check(until(serves), "the winner serves")
    for s in running:
        s.kill()
        s.wait()
    with server.start().connect() as conn:
        count.equal(conn.execute("SELECT 1").fetchone(), (1,), "a stale socket is no hindrance")
    count.equal(server.stop(signal.SIGINT), 0, "SIGINT")
    for s in starts:
        s.stderr.close()


def embedded(count, dir):
    data = os.path.join(dir, "embedded")
    read, write = os.pipe()
    process = subprocess.Popen([TESSERAD, "-D", data, "--embedded", "--ready-fd", str(write)], pass_fds=[write],
                               stderr=subprocess.DEVNULL)
    os.close(write)
    count.equal(os.read(read, 1), b"1", "readiness")
    count.equal(os.read(read, 1), b"", "is said once")
    os.close(read)
    server = Server(dir=data)
    first, second = server.connect(), server.connect()
    first.close()
    time.sleep(0.5)
    count.check(process.poll() is None, "it stays for the second client")
    second.close()
    count.equal(process.wait(PATIENCE_S), 0, "and leaves with the last")
    count.check(not os.path.exists(os.path.join(data, ".s.PGSQL.5432")), "its socket too")


def main():
    count = Count()
    for test in (options, configuration, ports, long_paths, together, embedded):
        with tempfile.TemporaryDirectory() as dir:
            test(count, dir)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
