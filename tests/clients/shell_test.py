"""The shell: psql's output, messages and exit status to the byte on the same server, then what is its own: starting and leaving servers,
boxes, progress, cancelling and completion on a terminal."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import BUILD, PATIENCE_S, Count, Server, until  # noqa: E402

TESSERA = os.path.abspath(os.path.join(BUILD, "tessera"))
PSQL = "/usr/lib/postgresql/15/bin/psql"
UNION = "SELECT 1 AS a, 'xx' AS bbb UNION ALL SELECT 22, E'y\\nzz' UNION ALL SELECT NULL, E'tab\\there' ORDER BY 1"
WIDE = "SELECT 1 AS \"Überlänge\", 'größe' AS t, 3.5 AS n, true AS b, E'a\\x01b' AS control, '日本' AS w"

SCRIPTS = {
    "errors.sql": "SELECT 1;\nSELECT foo;\nSELECT 2;\n",
    "variables.sql": "\\set v 5\nSELECT :v, :'v' AS \"q\", :\"v\" FROM (SELECT 1 AS \"5\") x;\n\\echo :v 'a b' \"c d\" :{?v} :{?w}\n"
                     "SELECT 'it''s; fine', $$a;b$$, E'\\';' -- c;\n, \"x\" FROM (SELECT 3 AS x) y; SELECT 4 AS z \\gset p_\n"
                     "\\echo :p_z `echo hi`\n\\unset v\nSELECT ':v' AS \"kept\";\n\\set alias 'SELECT 5;'\n:alias\n",
    "copy.sql": "CREATE TABLE t(a int, b text);\nCOPY t FROM stdin;\n1\tone\n2\t\\N\n\\.\nSELECT * FROM t ORDER BY a;\n"
                "COPY t TO stdout;\n\\copy t to 'copied.txt'\n\\copy t from 'copied.txt'\nSELECT count(*) FROM t;\n"
                "\\copy (SELECT 1, 'x,y') to stdout with csv\n\\copy t from stdin csv\n5,five\n\\.\nSELECT count(*) FROM t\n;DROP TABLE t;",
    "display.sql": "SELECT (1; \n + 2);\nSELECT ( /* ; ' */ 1);\nSELECT 1 \\g to_file.txt\n\\! cat to_file.txt\n\\x\nSELECT 1 AS a, 2 AS b;\n"
                   "\\x\n\\t\nSELECT 1;\n\\a\nSELECT 1, 2;\n\\pset null NUL\nSELECT NULL, 3;\n\\pset fieldsep ';'\nSELECT NULL, 2 \\gx\n"
                   "\\foo\n\\echo -n x\n\\echo y\n\\i errors.sql\n\\i no_such_file.sql\nSELECT 9",
    "blocks.sql": "BEGIN;\nSELECT 1 // 0;\nSELECT 2;\nROLLBACK;\n\\pset border 2\nSELECT 1 AS a, 'x' AS b;\n\\x\nSELECT 1 AS a, E'x\\ny' AS b;\n"
                  "\\pset border 0\nSELECT 1 AS a, E'x\\ny' AS b;\n\\x off\nSELECT 1 AS a, E'x\\ny' AS b, 3 AS c;\n\\pset linestyle unicode\n"
                  "\\pset border 2\nSELECT 1 AS a, 'x' AS b;\n\\x\nSELECT 1 AS a, 'x' AS b;\n",
    "notify.sql": "LISTEN news;\nNOTIFY news, 'it''s here';\nBEGIN;\nNOTIFY news;\nSELECT 1;\nCOMMIT;\nUNLISTEN news;\nNOTIFY news;\n",
}


def cases():
    for options in ([], ["-x"], ["-t"], ["-A"], ["-At"], ["-Ax"], ["--csv"], ["--csv", "-x"], ["--csv", "-t"], ["-tx"], ["-Atx"],
                    ["-A", "-F", ";", "-R", "/"], ["-P", "border=2"], ["-P", "border=0"], ["-P", "border=2", "-x"],
                    ["-P", "border=0", "-x"], ["-P", "null=NIL"], ["-P", "linestyle=unicode", "-P", "border=2"], ["-P", "footer=off"]):
        for sql in (UNION, WIDE, "SELECT 1 AS x WHERE false"):
            yield options + ["-c", sql], ""
    yield ["-q", "-c", "CREATE TABLE q(a int); DROP TABLE q"], ""
    yield ["-c", "CREATE TABLE q(a int); INSERT INTO q VALUES (1); DROP TABLE q"], ""
    yield ["-c", "SELECT 1; SELECT 2"], ""
    yield ["-c", "SELECT foo", "-c", "SELECT 2"], ""
    yield ["-v", "ON_ERROR_STOP=1", "-c", "SELECT foo", "-c", "SELECT 2"], ""
    for options in (["-c", "\\echo hi"], ["-c", "\\foo"], ["-f", "no_such_file"], ["-f", "-"], [], ["-e"], ["-c", ""], ["-q"],
                    ["-o", "to_file.txt", "-c", "SELECT 1", "-c", "\\! cat to_file.txt"], ["-c", "\\x", "-c", "SELECT 1 AS a"]):
        yield options, "SELECT 1;\nSELECT foo;\nSELECT 3"
    yield [], "\n;\n"
    for name, text in SCRIPTS.items():
        yield ["-f", name], ""
        yield ["-v", "ON_ERROR_STOP=1", "-f", name], ""
        yield ["-a", "-f", name], ""
        yield [], text
    yield ["-b", "-f", "errors.sql"], ""
    yield ["-1", "-f", "errors.sql"], ""
    yield ["-1", "-v", "ON_ERROR_STOP=1", "-f", "errors.sql"], ""


def run(program, args, stdin=""):
    p = subprocess.run([program, *args], input=stdin.encode(), capture_output=True)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def without_pid(result):
    """Each session has a number of its own."""
    return result[0], re.sub(r"PID \d+", "PID n", result[1]), result[2]


def like_psql(count, server):
    """The same commands through psql and through the shell."""
    base = ["-X", "-h", server.dir, "-p", "5432", "-U", "u", "-d", "d"]
    for args, stdin in cases():
        status, out, err = without_pid(run(PSQL, base + args, stdin))
        count.equal(without_pid(run(TESSERA, base + args, stdin)), (status, out, err.replace("psql:", "tessera:")), f"as psql: {args} {stdin[:40]!r}")


# ---- servers of directories ----
def embedded(count, dir):
    data = os.path.join(dir, "data")
    sock = os.path.join(data, ".s.PGSQL.5432")

    def gone():
        return until(lambda: not os.path.exists(sock))

    ask = lambda sql, at=data: run(TESSERA, ["-X", "-At", "-c", sql, at])
    count.equal(ask("SELECT 6 * 7"), (0, "42\n", ""), "starts a server on a new directory")
    count.check(gone(), "the server leaves with its last client")
    ask("CREATE ARRAY a (i INT DIMENSION [0 : 9], v REAL)")
    ask("INSERT INTO a VALUES (1, 2.5)")
    count.equal(ask("SELECT v FROM a"), (0, "2.5\n", ""), "what was stored is there again")

    results = []
    threads = [threading.Thread(target=lambda: results.append(ask("SELECT count(*) FROM a"))) for _ in range(12)]
    gone()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    count.equal(results, [(0, "1\n", "")] * 12, "twelve shells at once on one directory")

    long = os.path.join(dir, "d" * 100, "e" * 100)
    os.makedirs(os.path.dirname(long))
    count.equal(ask("SELECT 1", long), (0, "1\n", ""), "a path too long for a socket's name")

    gone()
    with open(sock, "w"):
        pass
    os.unlink(sock)
    subprocess.run([sys.executable, "-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])", sock])
    count.check(os.path.exists(sock), "a stale socket")
    count.equal(ask("SELECT 2"), (0, "2\n", ""), "a stale socket is no hindrance")

    with open(os.path.join(dir, "f.csv"), "w") as f:
        f.write("x,y\n1,2\n")
    count.equal(run(TESSERA, ["-X", "-At", "-c", "SELECT * FROM read_csv('f.csv')", data])[1].strip()[-3:], "1|2",
                "relative file names start where the shell is")

    status, out, err = run(TESSERA, ["-X", "-c", "SELECT 1", os.path.join(dir, "f.csv")])
    count.check(status == 2 and "could not start the server" in err, "a file is no data directory")
    status, out, err = run(TESSERA, [])
    count.check(status == 1 and "tessera DIR" in err, "no directory and no host")
    status, out, err = run(TESSERA, ["-h", "/no/such/place", "-c", "SELECT 1"])
    count.check(status == 2 and err.startswith("tessera: error: connection to server on socket"), "no server at the address")


def describe(count, dir):
    data = os.path.join(dir, "described")
    show = lambda *args: run(TESSERA, ["-X", *sum((["-c", a] for a in args), []), data])
    status, out, err = show("CREATE ARRAY grid2 (t DATE DIMENSION ['2020-01-01' : * : 1], x INT DIMENSION [0 : 4], v REAL, "
                            "q UTINYINT NOT NULL DEFAULT 7)", "COMMENT ON ARRAY grid2 IS 'of tests'",
                            "CREATE VIEW seen AS SELECT * FROM grid2", "CREATE FUNCTION twice(n) AS n * 2", "\\d grid2", "\\d seen", "\\dt",
                            "\\di", "\\dv", "\\df", "\\l", "\\dt g*", "\\dt nothing*")
    count.equal(status, 0, "describing")
    for text in ("Array \"grid2\": ", "[0 : 4]", "utinyint", "not null", "of tests", "View \"seen\":", "SELECT * FROM grid2", "n * 2"):
        count.check(text in out, f"\\d and the lists show {text!r}")
    count.check("Did not find any array named \"nothing*\"." in err, "nothing found")
    count.equal(show("\\d nothing")[0], 1, "\\d of what is not there fails")


def schedules(count, server):
    show = lambda *args: run(TESSERA, ["-X", "-h", server.dir, "-p", "5432", *sum((["-c", a] for a in args), [])])
    count.equal(show("\\schedules", "\\runs", "\\runs nightly"), (0, "", "Did not find any schedules.\nDid not find any runs.\n"
                "Did not find any run named \"nightly\".\n"), "no schedules")
    status, out, err = show("CREATE ARRAY made (i INT DIMENSION [0 : 1999], v INT)",
                            "CREATE SCHEDULE nightly CRON '0 3 * * 1-5' TIME ZONE 'Europe/Zurich' AS "
                            "INSERT INTO made SELECT [i], i FROM GRID [i => 0 : 1999] ON CONFLICT REPLACE",
                            "CREATE SCHEDULE yearly EVERY '1 year' END '2020-01-01' AS SELECT 1 // count(*) FROM made WHERE i < 0",
                            "ALTER SCHEDULE nightly SUSPEND", "\\schedules", "\\schedules yea*")
    count.equal((status, err), (0, ""), "\\schedules")
    first, second = out.split("(2 rows)")
    for text in ("nightly | CRON '0 3 * * 1-5' TIME ZONE 'Europe/Zurich' | suspended | ", "by ALTER SCHEDULE", "| ended "):
        count.check(text in first, f"\\schedules shows {text!r}")
    count.check("yearly" in second and "nightly" not in second and "(1 row)" in second, "\\schedules with a pattern")
    show("RUN SCHEDULE nightly FOR '2026-01-05' TO '2026-01-07'", "RUN SCHEDULE yearly FOR '2019-01-01' TO '2019-01-02'")
    count.check(until(lambda: " 3 |" in show("SELECT count(*), '' AS x FROM sys.schedule_runs WHERE finished_at IS NOT NULL")[1]), "runs")
    status, out, err = show("\\runs", "\\runs night*")
    count.equal((status, err), (0, ""), "\\runs")
    count.check(re.search(r"yearly +\| 2019-01-01 00:00:00 \| +1 \| failed +\| 20.* \| +[0-9.]+ m?s \| .*division by zero \(22012\)", out),
                f"\\runs shows a failure: {out}")
    count.check(re.search(r"nightly +\| 2026-01-05 02:00:00 \| +1 \| succeeded \| 20.* \| +[0-9.]+ m?s \| +0 \| +2,000 \| +[0-9.]+ (kB|bytes) \|", out),
                f"\\runs shows what was done: {out}")
    count.check("(3 rows)" in out and "yearly" not in out.split("(3 rows)")[1], "\\runs with a pattern")
    count.check("\x1b" not in out, "no colours outside a terminal")


# ---- a terminal ----
class Terminal:
    def __init__(self, args, home, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", HOME=home, LANG="C.UTF-8")
            os.execv(TESSERA, [TESSERA, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = ""

    def until(self, pattern, seconds=PATIENCE_S):
        """Output up to the pattern, '' when it doesn't come."""
        end = time.time() + seconds
        got = ""
        while not re.search(pattern, got):
            ready = select.select([self.fd], [], [], max(0, end - time.time()))[0]
            if not ready:
                self.seen += got
                return ""
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                self.seen += got
                return ""
            got += data.decode(errors="replace")
        self.seen += got
        return got

    def type(self, text):
        os.write(self.fd, text.encode())

    def ask(self, text, pattern=r"[=*!]> (\x1b\[K)?$"):
        self.type(text + "\r")
        return self.until(pattern)

    def close(self):
        os.close(self.fd)
        return os.waitpid(self.pid, 0)[1]


def lives(pid):
    """Whether the process is there, and not just its number, for a parent to ask after."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def width(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", line))


def terminal(count, dir):
    data, home = os.path.join(dir, "typed"), os.path.join(dir, "home")
    os.mkdir(home)
    t = Terminal(["-X", data], home)
    count.check(t.until(r"typed=> "), "a prompt")
    out = t.ask("CREATE ARRAY measured (i INT DIMENSION [0 : 9], v REAL);")
    count.check("CREATE ARRAY" in out, "a tag")
    out = t.ask("SELECT 1 AS a, 'x' AS b;")
    count.check("┌───┬───┐" in out and "│ 1 │ x │" in out and "└───┴───┘" in out and "(1 row)" in out, "a box")
    out = t.ask("SELECT repeat('long text ', 30) AS t, 12345 AS n, repeat('日本', 30) AS w;")
    widths = {width(line) for line in out.split("\r\n") if line.startswith(("│", "├", "└"))}
    count.check(len(widths) == 1 and 75 <= max(widths) <= 80, "a wide table fits the terminal")
    out = t.ask("SELECT " + ", ".join(f"{i}.25 AS column_{i}" for i in range(20)) + ";")
    count.check("of 20 columns" in out and all(width(line) <= 80 for line in out.split("\r\n")[2:]), "columns that don't fit are left out")
    out = t.ask("\\x auto")
    out = t.ask("SELECT " + ", ".join(f"{i} AS column_{i}" for i in range(20)) + ";")
    count.check("[ RECORD 1 ]" in out and "column_19" in out, "\\x auto shows them below each other")
    t.ask("\\x off")
    out = t.ask("SELECT 1 +", r"-> $")
    count.check("typed-> " in out, "a statement goes on")
    count.check("typed=> " in t.ask("1;"), "and ends")
    t.type("SELECT nonsense")
    t.until("nonsense")
    t.type("\x03")
    count.check(t.until(r"=> (\x1b\[K)?$"), "Ctrl-C gives up the line")
    count.check("│ 7 │" in t.ask("SELECT 7 AS n;"), "and takes nothing from the next")
    out = t.ask("SELECT v FROM measured WHERE w = 1;")
    count.check(re.search(r"LINE 1: SELECT v FROM measured WHERE w = 1;\r\n {37}\^", out), "a caret under the place")
    count.check("typed=*> " in t.ask("BEGIN;") and "typed=!> " in t.ask("SELECT w;") and "typed=> " in t.ask("ROLLBACK;"), "the prompt shows the block")

    t.type("SELECT count(*) FROM GRID [i => 0 : 999999, j => 0 : 9999999] WHERE i % 7 = 3;\r")
    bar = t.until(r"about .* left")
    count.check(bar and "%" in bar and "01TSP" not in bar and "NOTICE" not in bar, "a progress bar")
    t.type("\x03")
    count.check("canceling statement due to user request" in t.until(r"=> $"), "Ctrl-C cancels the statement")
    count.check("│ 8 │" in t.ask("SELECT 8 AS n;"), "and the shell lives")

    t.type("SEL\t9 AS n;\r")
    count.check("│ 9 │" in t.until(r"=> $"), "keywords are completed")
    t.type("SELECT count(*) FROM mea\t;\r")
    count.check("│     0 │" in t.until(r"=> $"), "names of arrays are completed")
    t.ask("CREATE SCHEDULE nightly CRON '@daily' AS SELECT 1;")
    t.ask("ALTER SCHEDULE nightly SUSPEND;")
    t.type("\\sched\tni\t\r")
    out = t.until(r"=> $")
    count.check("│ nightly │" in out, "\\schedules and names of schedules are completed")
    count.check("│ \x1b[33msuspended\x1b[0m │" in out, "a colour for the state")
    count.equal(len({width(line) for line in out.split("\r\n") if line.startswith(("│", "├", "└"))}), 1, "colours take no room")
    t.ask("\\x on")
    out = t.ask("\\schedules")
    count.check("[ RECORD 1 ]" in out and "\x1b[33msuspended\x1b[0m" in out, "also with \\x")
    t.ask("\\x off")
    t.type("RUN SCHEDULE ni\t;\r")
    count.check("RUN SCHEDULE nightly ;" in t.until(r"=> $"), "names of schedules in statements")
    t.ask("\\watch 0.2", r"every 0.2s[\s\S]*every 0.2s")
    t.type("\x03")
    count.check(t.until(r"=> $"), "Ctrl-C ends \\watch")
    count.check("Timing is on." in t.ask("\\timing") and re.search(r"Time: [0-9.]+ ms", t.ask("SELECT 1;")), "\\timing")
    t.type("\\q\r")
    t.until("nothing more")
    count.equal(t.close(), 0, "\\q")

    t = Terminal(["-X", data], home)
    t.until(r"=> $")
    t.type("\x1b[A\x1b[A")
    count.check("SELECT 1;" in t.until("SELECT 1;"), "the history is there next time")
    t.type("\x03")
    t.until(r"=> $")
    pid = int(re.search(r"│ *(\d+) │", t.ask("SELECT pid AS p FROM sys.sessions LIMIT 1;") or "│ 0 │").group(1))
    count.check(pid > 0, "the session's number")
    servers = subprocess.run(["pgrep", "-f", f"^[^ ]*tesserad -D {data} "], capture_output=True, text=True).stdout.split()
    count.equal(len(servers), 1, "one server of the directory")
    for s in servers:
        os.kill(int(s), signal.SIGKILL)
    until(lambda: not any(lives(s) for s in servers))
    out = t.ask("SELECT 3 AS n;")
    count.check("Attempting reset: Succeeded." in out, "a lost server is started again")
    count.check("│ 4 │" in t.ask("SELECT 4 AS n;"), "and answers")
    t.type("\x04")
    t.until("nothing more")
    count.equal(t.close(), 0, "end of input")


def main():
    count = Count()
    dir = tempfile.mkdtemp(prefix="tessera-shell-")
    here = os.getcwd()
    try:
        os.environ["LANG"] = "C.UTF-8"
        for name, text in SCRIPTS.items():
            with open(os.path.join(dir, name), "w") as f:
                f.write(text)
        with Server() as server:
            os.chdir(dir)
            like_psql(count, server)
            schedules(count, server)
        embedded(count, dir)
        describe(count, dir)
        terminal(count, dir)
    finally:
        os.chdir(here)
        shutil.rmtree(dir, ignore_errors=True)
    sys.exit(count.finish())


main()
