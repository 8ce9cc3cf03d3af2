"""Protocol 3, byte by byte: what is sent over a bare socket and the transcript that must come back.

    protocol_test.py                    against a tesserad of its own
    protocol_test.py SOCKET             against the server there: what PostgreSQL 15 has too must pass there too

A transcript has a line a message: its type, then what matters of its body. `Z I` is ReadyForQuery."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PATIENCE_S, Count, Server, until  # noqa: E402

ENDLESS = "SELECT sum(sin(i * j)) FROM GRID [i => 0 : 999999, j => 0 : 999999]"


def string(s):
    return (s if isinstance(s, bytes) else s.encode()) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def query(sql):
    return message("Q", string(sql))


def parse(sql, name="", oids=()):
    return message("P", string(name) + string(sql) + struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def bind(values=(), name="", portal="", formats=(), results=()):
    body = string(portal) + string(name) + struct.pack(f"!h{len(formats)}h", len(formats), *formats) + struct.pack("!h", len(values))
    for v in values:
        body += struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v
    return message("B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(kind, name=""):
    return message("D", kind.encode() + string(name))


def execute(portal="", rows=0):
    return message("E", string(portal) + struct.pack("!i", rows))


def close(kind, name=""):
    return message("C", kind.encode() + string(name))


SYNC, FLUSH = message("S"), message("H")


def startup(version=196608, **parameters):
    body = struct.pack("!i", version)
    for k, v in {"user": "test", "database": "test", **parameters}.items():
        body += string(k) + string(v)
    return struct.pack("!i", len(body) + 5) + body + b"\0"


def fields(body):
    return {f[:1].decode(): f[1:].decode() for f in body.split(b"\0") if f}


def cell(body, at):
    n = struct.unpack_from("!i", body, at)[0]
    if n < 0:
        return "NULL", at + 4
    raw = body[at + 4:at + 4 + n]
    text = raw.decode("latin-1") if all(b < 128 for b in raw) and raw.isascii() and raw.decode().isprintable() else raw.hex()
    return text, at + 4 + n


def columns(body):
    out, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(b"\0", at)
        name = body[at:end].decode()
        _, _, oid, _, _, fmt = struct.unpack_from("!ihihih", body, end + 1)
        out.append(f"{name}:{oid}:{fmt}")
        at = end + 19
    return out


def line(kind, body):
    """A message as a line of the transcript."""
    if kind in "EN":
        f = fields(body)
        return " ".join([kind, f["S"], f["C"]] + ([f["P"]] if "P" in f else []))
    if kind == "T":
        return " ".join(["T"] + columns(body))
    if kind == "D":
        out, at = [], 2
        for _ in range(struct.unpack_from("!h", body)[0]):
            text, at = cell(body, at)
            out.append(text)
        return "D " + "|".join(out)
    if kind == "t":
        return " ".join(["t"] + [str(o) for o in struct.unpack_from(f"!{struct.unpack_from('!h', body)[0]}I", body, 2)])
    if kind in "GHv":
        return f"{kind} {body.hex()}"
    if kind == "S":
        return "S " + body[:-1].replace(b"\0", b"=").decode()
    if kind == "d":
        return "d " + body.decode("latin-1").rstrip("\n")
    if kind in "CZ":
        return f"{kind} {body.rstrip(bytes(1)).decode()}"
    return kind


class Peer:
    """A socket and what came over it. `texts` keeps the messages of errors and notices."""

    def __init__(self, path, greet=True, **parameters):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(PATIENCE_S)
        self.s.connect(path)
        self.buffer, self.texts, self.key = b"", [], b""
        if greet:
            self.s.sendall(startup(**parameters))
            self.greeting = self.until("Z", "E")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, *parts):
        self.s.sendall(b"".join(parts))

    def read(self, n):
        while len(self.buffer) < n:
            got = self.s.recv(65536)
            if not got:
                raise EOFError
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def next(self):
        try:
            kind = self.read(1).decode()
            body = self.read(struct.unpack("!i", self.read(4))[0] - 4)
        except (EOFError, ConnectionResetError):
            return "EOF", b""
        if kind in "EN":
            self.texts.append(fields(body)["M"])
        if kind == "K":
            self.key = body
        return kind, body

    def until(self, *last):
        """The transcript up to the first message of such a type, or the end."""
        out = []
        while not out or out[-1].split()[0] not in (*last, "EOF"):
            kind, body = self.next()
            out.append(kind if kind == "EOF" else line(kind, body))
        return out

    def ask(self, *parts, syncs=1):
        self.send(*parts)
        return [x for _ in range(syncs) for x in self.until("Z")]


# name, what is sent, what must come back. Each runs on a connection of its own over the array
# CREATE TABLE t (a INTEGER, s TEXT) with the rows (1, 'one'), (2, 'two'), (3, NULL).
CASES = [
    ("simple query", [query("SELECT 1 AS x, 'a' AS y, NULL AS z, true AS b")],
     ["T x:23:0 y:25:0 z:25:0 b:16:0", "D 1|a|NULL|t", "C SELECT 1", "Z I"]),
    ("several statements", [query("SELECT 1 AS x; SELECT 2 AS x;")],
     ["T x:23:0", "D 1", "C SELECT 1", "T x:23:0", "D 2", "C SELECT 1", "Z I"]),
    ("an error ends the text", [query("SELECT 1 AS x; SELECT x; SELECT 2 AS x")],
     ["T x:23:0", "D 1", "C SELECT 1", "E ERROR 42703 23", "Z I"]),
    ("an error undoes the text", [query("INSERT INTO t VALUES (9, 'x'); SELECT 1/(a - a) = 0, nothing FROM t"),
                                  query("SELECT count(*) AS n FROM t")],
     ["C INSERT 0 1", "E ERROR 42703 54", "Z I", "T n:20:0", "D 3", "C SELECT 1", "Z I"]),
    ("empty query", [query("")], ["I", "Z I"]),
    ("nothing but blanks", [query(" ; -- nothing\n ;")], ["I", "Z I"]),
    ("syntax error", [query("SELEC 1")], ["E ERROR 42601 1", "Z I"]),
    ("position in characters", [query("SELECT 'äöü😀' AS ä, nöthing")], ["E ERROR 42703 21", "Z I"]),
    ("bytes that are no UTF-8", [query(b"SELECT '\xff'"), query("SELECT 1 AS x")],
     ["E ERROR 22021", "Z I", "T x:23:0", "D 1", "C SELECT 1", "Z I"]),
    ("states", [query("BEGIN"), query("SELECT 1 AS x"), query("SELECT x"), query("SELECT 1"), query("COMMIT"), query("COMMIT")],
     ["C BEGIN", "Z T", "T x:23:0", "D 1", "C SELECT 1", "Z T", "E ERROR 42703 8", "Z E", "E ERROR 25P02", "Z E", "C ROLLBACK", "Z I",
      "N WARNING 25P01", "C COMMIT", "Z I"]),
    ("nested BEGIN", [query("BEGIN"), query("BEGIN"), query("ROLLBACK"), query("ROLLBACK")],
     ["C BEGIN", "Z T", "N WARNING 25001", "C BEGIN", "Z T", "C ROLLBACK", "Z I", "N WARNING 25P01", "C ROLLBACK", "Z I"]),
    ("chains", [query("BEGIN READ ONLY"), query("COMMIT AND CHAIN"), query("DELETE FROM t"), query("ROLLBACK AND CHAIN"), query("COMMIT"),
                query("COMMIT AND CHAIN")],
     ["C BEGIN", "Z T", "C COMMIT", "Z T", "E ERROR 25006", "Z E", "C ROLLBACK", "Z T", "C COMMIT", "Z I", "E ERROR 25P01", "Z I"]),
    ("read only", [query("BEGIN"), query("SET TRANSACTION READ ONLY"), query("SELECT 1 AS x"), query("SET TRANSACTION READ WRITE"),
                   query("ROLLBACK"), query("SET TRANSACTION READ ONLY"), query("DELETE FROM t WHERE a > 5")],
     ["C BEGIN", "Z T", "C SET", "Z T", "T x:23:0", "D 1", "C SELECT 1", "Z T", "E ERROR 25001", "Z E", "C ROLLBACK", "Z I",
      "N WARNING 25P01", "C SET", "Z I", "C DELETE 0", "Z I"]),
    ("read only by default", [query("SET default_transaction_read_only = on"), query("DELETE FROM t"), query("BEGIN READ WRITE"),
                              query("DELETE FROM t WHERE a > 5"), query("COMMIT")],
     ["C SET", "S default_transaction_read_only=on", "Z I", "E ERROR 25006", "Z I", "C BEGIN", "Z T", "C DELETE 0", "Z T", "C COMMIT",
      "Z I"]),
    ("savepoints", [query("SAVEPOINT a"), query("BEGIN"), query("SAVEPOINT a"), query("SELECT x"), query("ROLLBACK TO a"),
                    query("RELEASE a"), query("ROLLBACK TO a"), query("ROLLBACK")],
     ["E ERROR 25P01", "Z I", "C BEGIN", "Z T", "C SAVEPOINT", "Z T", "E ERROR 42703 8", "Z E", "C ROLLBACK", "Z T", "C RELEASE", "Z T",
      "E ERROR 3B001", "Z E", "C ROLLBACK", "Z I"]),
    ("settings go back with the transaction",
     [query("BEGIN"), query("SET application_name = 'x'"), query("ROLLBACK"), query("SET application_name = 'y'; SELECT x"),
      query("SHOW application_name")],
     ["C BEGIN", "Z T", "C SET", "S application_name=x", "Z T", "C ROLLBACK", "S application_name=", "Z I", "C SET", "E ERROR 42703 36",
      "Z I", "T application_name:25:0", "D ", "C SHOW", "Z I"]),
    ("SET LOCAL", [query("SET application_name = 'a'"), query("BEGIN"), query("SET LOCAL application_name = 'b'"), query("COMMIT"),
                   query("BEGIN"), query("SET LOCAL application_name = 'b'"), query("SET application_name = 'c'"), query("COMMIT"),
                   query("SET LOCAL application_name = 'd'"), query("RESET application_name")],
     ["C SET", "S application_name=a", "Z I", "C BEGIN", "Z T", "C SET", "S application_name=b", "Z T", "C COMMIT",
      "S application_name=a", "Z I", "C BEGIN", "Z T", "C SET", "S application_name=b", "Z T", "C SET", "S application_name=c", "Z T",
      "C COMMIT", "Z I", "N WARNING 25P01", "C SET", "Z I", "C RESET", "S application_name=", "Z I"]),
    ("unknown setting", [query("SET no_such = 1")], ["E ERROR 42704", "Z I"]),

    ("extended query", [parse("SELECT $1::int + 1 AS x"), bind([b"41"]), describe("P"), execute(), SYNC],
     ["1", "2", "T x:23:0", "D 42", "C SELECT 1", "Z I"]),
    ("GRID's parameters are of the type that the other bounds ask for",
     [parse("SELECT d FROM GRID [d => DATE '2020-01-31' : $1 : $2]"), describe("S"), bind([b"2020-03-31", b"1 month"]), describe("P"), execute(),
      parse("SELECT x FROM GRID [x => 0 : $1 : 0.5]"), describe("S"), bind([b"0.5"]), describe("P"), execute(), SYNC],
     ["1", "t 1082 1186", "T d:1082:0", "2", "T d:1082:0", "D 2020-01-31", "D 2020-02-29", "D 2020-03-31", "C SELECT 3",
      "1", "t 701", "T x:701:0", "2", "T x:701:0", "D 0", "D 0.5", "C SELECT 2", "Z I"]),
    ("describe a statement", [parse("SELECT $1::int AS x, $2::text AS y", "s"), describe("S", "s"), SYNC],
     ["1", "t 23 25", "T x:23:0 y:25:0", "Z I"]),
    ("no data", [parse("DELETE FROM t WHERE a > $1"), describe("S"), bind([b"5"]), describe("P"), execute(), SYNC],
     ["1", "t 23", "n", "2", "n", "C DELETE 0", "Z I"]),
    ("empty query, extended", [parse(""), describe("S"), bind(), describe("P"), execute(), SYNC], ["1", "t", "n", "2", "n", "I", "Z I"]),
    ("named statement, used twice", [parse("SELECT $1::int AS x", "s"), SYNC, bind([b"1"], "s"), execute(), bind([b"2"], "s"), execute(),
                                     SYNC], ["1", "Z I", "2", "D 1", "C SELECT 1", "2", "D 2", "C SELECT 1", "Z I"]),
    ("named statement, given twice", [parse("SELECT 1", "s"), parse("SELECT 2", "s"), SYNC], ["1", "E ERROR 42P05", "Z I"]),
    ("unnamed statement, given twice", [parse("SELECT 1 AS x"), parse("SELECT 2 AS x"), bind(), execute(), SYNC],
     ["1", "1", "2", "D 2", "C SELECT 1", "Z I"]),
    ("a portal outlives its unnamed statement",
     [parse("SELECT a FROM t ORDER BY a"), bind(portal="p"), parse("SELECT 9 AS x"), execute("p", 2), execute("p"), SYNC],
     ["1", "2", "1", "D 1", "D 2", "s", "D 3", "C SELECT 1", "Z I"]),
    ("and its closed one", [parse("SELECT a FROM t ORDER BY a", "s"), bind(name="s", portal="p"), close("S", "s"), execute("p"), SYNC],
     ["1", "2", "3", "D 1", "D 2", "D 3", "C SELECT 3", "Z I"]),
    ("a simple query takes the unnamed statement away", [parse("SELECT 1"), SYNC, query("SELECT 2 AS x"), bind(), SYNC],
     ["1", "Z I", "T x:23:0", "D 2", "C SELECT 1", "Z I", "E ERROR 26000", "Z I"]),
    ("parts", [parse("SELECT a, s FROM t ORDER BY a"), bind(), execute(rows=2), execute(rows=2), execute(rows=2), SYNC],
     ["1", "2", "D 1|one", "D 2|two", "s", "D 3|NULL", "C SELECT 1", "C SELECT 0", "Z I"]),
    ("exactly all rows", [parse("SELECT a FROM t ORDER BY a"), bind(), execute(rows=3), execute(rows=1), SYNC],
     ["1", "2", "D 1", "D 2", "D 3", "s", "C SELECT 0", "Z I"]),
    ("a change runs once", [parse("INSERT INTO t VALUES (7, 'seven')"), bind(), execute(), execute(), SYNC, query("SELECT count(*) AS n FROM t")],
     ["1", "2", "C INSERT 0 1", "E ERROR 55000", "Z I", "T n:20:0", "D 3", "C SELECT 1", "Z I"]),
    ("a portal ends with its transaction", [parse("SELECT 1 AS x"), bind(portal="p"), SYNC, execute("p"), SYNC],
     ["1", "2", "Z I", "E ERROR 34000", "Z I"]),
    ("a portal lives through the block",
     [query("BEGIN"), parse("SELECT a FROM t ORDER BY a"), bind(portal="p"), execute("p", 1), SYNC, execute("p", 1), SYNC,
      query("COMMIT"), execute("p"), SYNC],
     ["C BEGIN", "Z T", "1", "2", "D 1", "s", "Z T", "D 2", "s", "Z T", "C COMMIT", "Z I", "E ERROR 34000", "Z I"]),
    ("a portal given twice", [parse("SELECT 1"), bind(portal="p"), bind(portal="p"), SYNC], ["1", "2", "E ERROR 42P03", "Z I"]),
    ("close what is not there", [close("S", "no"), close("P", "no"), SYNC], ["3", "3", "Z I"]),
    ("closed portal", [parse("SELECT 1"), bind(portal="p"), close("P", "p"), execute("p"), SYNC], ["1", "2", "3", "E ERROR 34000", "Z I"]),
    ("after an error all is skipped to Sync",
     [parse("SELECT nothing"), bind(), execute(), query("SELECT 1"), parse("SELECT 2"), SYNC, query("SELECT 3 AS x")],
     ["E ERROR 42703 8", "Z I", "T x:23:0", "D 3", "C SELECT 1", "Z I"]),
    ("a pipeline is one transaction",
     [parse("INSERT INTO t VALUES (8, 'eight')"), bind(), execute(), parse("SELECT nothing"), SYNC, query("SELECT count(*) AS n FROM t")],
     ["1", "2", "C INSERT 0 1", "E ERROR 42703 8", "Z I", "T n:20:0", "D 3", "C SELECT 1", "Z I"]),
    ("statements that are not there", [bind(name="no"), SYNC, describe("S", "no"), SYNC, describe("P", "no"), SYNC, execute("no"), SYNC],
     ["E ERROR 26000", "Z I", "E ERROR 26000", "Z I", "E ERROR 34000", "Z I", "E ERROR 34000", "Z I"]),
    ("too few parameters", [parse("SELECT $1::int, $2::int"), bind([b"1"]), SYNC], ["1", "E ERROR 08P01", "Z I"]),
    ("two commands in one Parse", [parse("SELECT 1; SELECT 2"), SYNC], ["E ERROR 42601", "Z I"]),
    ("text that is no number", [parse("SELECT $1::int"), bind([b"x"]), SYNC], ["1", "E ERROR 22P02", "Z I"]),
    ("a parameter that is no UTF-8", [parse("SELECT $1::text"), bind([b"\xff"]), SYNC, bind([b"\xc3("], formats=[1]), SYNC],
     ["1", "E ERROR 22021", "Z I", "E ERROR 22021", "Z I"]),
    ("a binary parameter of a wrong length", [parse("SELECT $1::int"), bind([b"123"], formats=[1]), SYNC], ["1", "E ERROR 08P01", "Z I"]),
    ("a binary parameter too long", [parse("SELECT $1::int"), bind([b"12345"], formats=[1]), SYNC], ["1", "E ERROR 22P03", "Z I"]),
    ("failed block, extended", [query("BEGIN"), query("SELECT nothing"), parse("SELECT 1"), SYNC, parse("COMMIT"), bind(), execute(), SYNC],
     ["C BEGIN", "Z T", "E ERROR 42703 8", "Z E", "E ERROR 25P02", "Z E", "1", "2", "C ROLLBACK", "Z I"]),
    ("blocks, extended", [parse("BEGIN"), bind(), execute(), SYNC, parse("ROLLBACK"), bind(), execute(), SYNC],
     ["1", "2", "C BEGIN", "Z T", "1", "2", "C ROLLBACK", "Z I"]),
    ("DEALLOCATE of itself", [parse("DEALLOCATE s", "s"), bind(name="s"), execute(), SYNC], ["1", "2", "C DEALLOCATE", "Z I"]),
    ("CLOSE ALL from a portal", [query("BEGIN"), parse("CLOSE ALL"), bind(portal="p"), execute("p"), SYNC, query("ROLLBACK")],
     ["C BEGIN", "Z T", "1", "2", "C CLOSE CURSOR ALL", "Z T", "C ROLLBACK", "Z I"]),
    ("DISCARD ALL from a portal", [parse("DISCARD ALL", "s"), bind(name="s", portal="p"), execute("p"), SYNC],
     ["1", "2", "C DISCARD ALL", "Z I"]),
    ("Flush without Sync", [parse("SELECT 1 AS x"), bind(), execute(), FLUSH, SYNC], ["1", "2", "D 1", "C SELECT 1", "Z I"]),
    ("the array changes under a statement",
     [query("CREATE TABLE u (a INTEGER)"), parse("SELECT * FROM u", "s"), SYNC, query("ALTER TABLE u ADD COLUMN b TEXT"), bind(name="s"),
      execute(), SYNC, query("DROP TABLE u")],
     ["C CREATE TABLE", "Z I", "1", "Z I", "C ALTER TABLE", "Z I", "E ERROR 0A000", "Z I", "C DROP TABLE", "Z I"]),

    ("PREPARE and EXECUTE", [query("PREPARE p (int) AS SELECT $1 + 1 AS x"), query("EXECUTE p (1)"), query("EXECUTE p (1, 2)"),
                             query("PREPARE p AS SELECT 1"), query("DEALLOCATE p"), query("EXECUTE p"), query("DEALLOCATE p")],
     ["C PREPARE", "Z I", "T x:23:0", "D 2", "C SELECT 1", "Z I", "E ERROR 42601", "Z I", "E ERROR 42P05", "Z I", "C DEALLOCATE", "Z I",
      "E ERROR 26000", "Z I", "E ERROR 26000", "Z I"]),
    ("a cursor", [query("DECLARE c CURSOR FOR SELECT 1"), query("BEGIN"), query("DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a"),
                  query("DECLARE c CURSOR FOR SELECT 1"), query("ROLLBACK"), query("BEGIN"),
                  query("DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a"), query("FETCH c"), query("MOVE c"), query("FETCH 5 c"),
                  query("FETCH c"), query("CLOSE c"), query("FETCH c"), query("ROLLBACK")],
     ["E ERROR 25P01", "Z I", "C BEGIN", "Z T", "C DECLARE CURSOR", "Z T", "E ERROR 42P03", "Z E", "C ROLLBACK", "Z I", "C BEGIN", "Z T",
      "C DECLARE CURSOR", "Z T", "T a:23:0", "D 1", "C FETCH 1", "Z T", "C MOVE 1", "Z T", "T a:23:0", "D 3", "C FETCH 1", "Z T",
      "T a:23:0", "C FETCH 0", "Z T", "C CLOSE CURSOR", "Z T", "E ERROR 34000", "Z E", "C ROLLBACK", "Z I"]),
    ("FETCH's directions", [query("BEGIN"), query("DECLARE c SCROLL CURSOR FOR SELECT a FROM t ORDER BY a"), query("FETCH RELATIVE 2 c"),
                            query("FETCH FIRST c"), query("FETCH LAST c"), query("FETCH ABSOLUTE 2 c"), query("FETCH FORWARD ALL c"),
                            query("ROLLBACK")],
     ["C BEGIN", "Z T", "C DECLARE CURSOR", "Z T", "T a:23:0", "D 2", "C FETCH 1", "Z T", "T a:23:0", "D 1", "C FETCH 1", "Z T",
      "T a:23:0", "D 3", "C FETCH 1", "Z T", "T a:23:0", "D 2", "C FETCH 1", "Z T", "T a:23:0", "D 3", "C FETCH 1", "Z T",
      "C ROLLBACK", "Z I"]),
    ("WITH HOLD", [query("BEGIN"), query("DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a"), query("COMMIT"), query("FETCH c"),
                   query("BEGIN"), query("DECLARE d CURSOR WITH HOLD FOR SELECT 1"), query("ROLLBACK"), query("FETCH d"), query("FETCH c"),
                   query("CLOSE c")],
     ["C BEGIN", "Z T", "C DECLARE CURSOR", "Z T", "C COMMIT", "Z I", "T a:23:0", "D 1", "C FETCH 1", "Z I", "C BEGIN", "Z T",
      "C DECLARE CURSOR", "Z T", "C ROLLBACK", "Z I", "E ERROR 34000", "Z I", "T a:23:0", "D 2", "C FETCH 1", "Z I", "C CLOSE CURSOR",
      "Z I"]),
    ("FETCH, extended", [query("BEGIN"), query("DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a"), parse("FETCH 2 c"), describe("S"), bind(),
                         describe("P"), execute(), SYNC, query("ROLLBACK")],
     ["C BEGIN", "Z T", "C DECLARE CURSOR", "Z T", "1", "t", "T a:23:0", "2", "T a:23:0", "D 1", "D 2", "C FETCH 2", "Z T", "C ROLLBACK",
      "Z I"]),
    ("a cursor, executed", [query("BEGIN"), query("DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a"), describe("P", "c"), execute("c", 2),
                            execute("c"), SYNC, query("ROLLBACK")],
     ["C BEGIN", "Z T", "C DECLARE CURSOR", "Z T", "T a:23:0", "D 1", "D 2", "s", "D 3", "C SELECT 1", "Z T", "C ROLLBACK", "Z I"]),

    ("COPY in", [query("COPY t FROM STDIN"), message("d", b"4\tfour\n5\t"), message("d", b"\\N\n"), message("c"),
                 query("SELECT a, s FROM t WHERE a > 3 ORDER BY a"), query("DELETE FROM t WHERE a > 3")],
     ["G 00000200000000", "C COPY 2", "Z I", "T a:23:0 s:25:0", "D 4|four", "D 5|NULL", "C SELECT 2", "Z I", "C DELETE 2", "Z I"]),
    ("COPY in, given up", [query("COPY t FROM STDIN"), message("d", b"4\tfour\n"), message("f", string("enough"))],
     ["G 00000200000000", "E ERROR 57014", "Z I"]),
    ("COPY in, refused", [query("COPY t FROM STDIN"), message("d", b"x\tfour\n"), message("d", b"4\tfour\n"), message("c"),
                          query("SELECT 1 AS x")],
     ["G 00000200000000", "E ERROR 22P02", "Z I", "T x:23:0", "D 1", "C SELECT 1", "Z I"]),
    ("COPY in, before other statements", [query("COPY t FROM STDIN; SELECT 1 AS x"), message("d", b"4\tfour\n"), message("c"),
                                          query("DELETE FROM t WHERE a > 3")],
     ["G 00000200000000", "C COPY 1", "T x:23:0", "D 1", "C SELECT 1", "Z I", "C DELETE 1", "Z I"]),
    ("COPY in, extended", [parse("COPY t FROM STDIN"), bind(), describe("P"), execute(), SYNC, message("d", b"4\tfour\n"), message("c"),
                           SYNC, query("DELETE FROM t WHERE a > 3")],
     ["1", "2", "n", "G 00000200000000", "C COPY 1", "Z I", "C DELETE 1", "Z I"]),
    ("COPY in, refused, extended", [parse("COPY t FROM STDIN"), bind(), execute(), message("d", b"x\tfour\n"), message("c"), SYNC,
                                    query("SELECT 1 AS x")],
     ["1", "2", "G 00000200000000", "E ERROR 22P02", "Z I", "T x:23:0", "D 1", "C SELECT 1", "Z I"]),
    ("COPY's messages outside of one", [message("d", b"1\n"), message("c"), message("f", string("no")), query("SELECT 1 AS x")],
     ["T x:23:0", "D 1", "C SELECT 1", "Z I"]),
    ("COPY out", [query("COPY (SELECT a, s FROM t ORDER BY a) TO STDOUT")],
     ["H 00000200000000", "d 1\tone", "d 2\ttwo", "d 3\t\\N", "c", "C COPY 3", "Z I"]),
    ("COPY out, extended", [parse("COPY (SELECT a FROM t ORDER BY a) TO STDOUT"), bind(), describe("P"), execute(), SYNC],
     ["1", "2", "n", "H 0000010000", "d 1", "d 2", "d 3", "c", "C COPY 3", "Z I"]),
]

# Type, a value's literal, OID and binary form. What Tessera has over PostgreSQL comes second.
VALUES = [
    ("boolean", "true", 16, "01"), ("smallint", "-2", 21, "fffe"), ("integer", "-2", 23, "fffffffe"),
    ("bigint", "-2", 20, "fffffffffffffffe"), ("real", "0.5", 700, "3f000000"), ("double precision", "-0.5", 701, "bfe0000000000000"),
    ("date", "'2000-01-02'", 1082, "00000001"), ("date", "'1999-12-31'", 1082, "ffffffff"), ("date", "'infinity'", 1082, "7fffffff"),
    ("timestamp", "'2000-01-01 00:00:01'", 1114, "00000000000f4240"), ("timestamp", "'-infinity'", 1114, "8000000000000000"),
    ("interval", "'1 mon 2 days 00:00:03'", 1186, "00000000002dc6c00000000200000001"), ("text", "'grün'", 25, "6772c3bc6e"),
    ("text", "''", 25, ""),
]
OWN_VALUES = [
    ("tinyint", "-2", 21, "fffe"), ("utinyint", "200", 21, "00c8"), ("usmallint", "60000", 23, "0000ea60"),
    ("uinteger", "4000000000", 20, "00000000ee6b2800"),
    ("ubigint", "18446744073709551615", 1700, "000500040000000007341a5802e103bb064f"),
    ("ubigint", "0", 1700, "0000000000000000"), ("ubigint", "50000", 1700, "00010001000000000005"),
]


def alike(got, wanted):
    """What came, without the positions of errors that PostgreSQL gives none for."""
    out = [g[:len(w)] if w.startswith("E ") and w.count(" ") == 2 else g for g, w in zip(got, wanted)]
    return out + got[len(wanted):] if len(got) >= len(wanted) else got


def cases(count, path):
    for name, sent, wanted in CASES:
        with Peer(path) as p:
            # Sends that are answered only together go together: as many ReadyForQuery come as were wanted.
            got = p.ask(*sent, syncs=sum(w.startswith("Z") for w in wanted))
            if name == "the array changes under a statement" and "2" in got:
                got.remove("2")      # PostgreSQL looks at Bind already
            count.equal(alike(got, wanted), wanted, name)
    with Peer(path) as p:
        got = p.ask(message("F", struct.pack("!ihhh", 999999, 0, 0, 0)), query("SELECT 1 AS x"), syncs=2)
        count.check(got[0].startswith("E ERROR") and got[1:] == ["Z I", "T x:23:0", "D 1", "C SELECT 1", "Z I"], f"function call: {got}")


def values(count, path, own):
    for kind, literal, oid, wire in VALUES + (OWN_VALUES if own else []):
        with Peer(path) as p:
            got = p.ask(parse(f"SELECT CAST({literal} AS {kind}) AS x"), bind(results=[1]), describe("P"), execute(), SYNC)
            raw = bytes.fromhex(wire)
            text = wire if not raw.isascii() or not raw.decode().isprintable() else raw.decode()
            count.equal(got[2:4], [f"T x:{oid}:1", f"D {text}"], f"{kind} {literal}, binary result")
            got = p.ask(parse("SELECT $1 AS x, $1 IS NULL AS n", oids=[oid]), bind([raw], formats=[1], results=[1, 0]), execute(),
                        bind([None], formats=[1]), execute(), SYNC)
            same = oid == 1700 or got[2:3] == [f"D {text}|f"]      # numeric becomes DOUBLE
            count.check(same and got[5:6] == ["D NULL|t"], f"{kind} {literal}, binary parameter: {got}")


def encryption(count, path):
    for code in (80877103, 80877104):
        with Peer(path, greet=False) as p:
            p.send(struct.pack("!ii", 8, code))
            count.equal(p.read(1), b"N", f"request {code}")
            p.send(startup())
            count.equal(p.until("Z")[-1], "Z I", "and then as usual")


def beginnings(count, path, own):
    with Peer(path) as p:
        got = {x.split("=")[0]: x for x in p.greeting}
        count.equal(got.get("S client_encoding"), "S client_encoding=UTF8", "client_encoding")
        count.check(got.get("S server_version", "").startswith("S server_version=15"), "server_version")
        count.equal((p.greeting[0], p.greeting[-2:]), ("R", ["K", "Z I"]), "greeting")
        for name in ("DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "application_name"):
            count.check(f"S {name}" in got, f"{name} is reported")
    with Peer(path, version=196610, **{"_pq_.encrypt": "1"}) as p:
        count.equal(p.greeting[0], "v 00030000" + "00000001" + b"_pq_.encrypt\0".hex(), "minor version and options are negotiated")
        count.equal(p.greeting[-1], "Z I", "and it goes on")
    with Peer(path, application_name="me", options="-c statement_timeout=1234 --extra_float_digits=0") as p:
        count.check("S application_name=me" in p.greeting, "application_name of the startup packet")
        count.equal(p.ask(query("SHOW statement_timeout"))[1], "D 1234ms", "options of the startup packet")
        count.equal(p.ask(query("SET statement_timeout = 5"), query("RESET statement_timeout"), query("SHOW statement_timeout"),
                          syncs=3)[-3], "D 1234ms", "RESET goes back to them")
    with Peer(path, options="-c no_such=1") as p:
        count.equal(p.greeting[-1], "E FATAL 42704", "an unknown option")
    for version in (131072, 262144):
        with Peer(path, version=version) as p:
            if own or version > 196608:     # PostgreSQL answers protocol 2 in protocol 2
                count.equal(p.greeting, ["E FATAL 0A000"], f"protocol {version >> 16}")
                count.equal(p.until("E"), ["EOF"], "and it hangs up")
    for junk in (struct.pack("!i", 3), struct.pack("!i", 1 << 30), struct.pack("!i", -1), b"GET / HTTP/1.1\r\n\r\n"):
        with Peer(path, greet=False) as p:
            p.send(junk)
            count.equal(p.until("EOF")[-1], "EOF", f"junk {junk!r}")
    with Peer(path, greet=False) as p:
        p.send(startup()[:-1])
        p.s.shutdown(socket.SHUT_WR)
        count.equal(p.until("EOF")[-1], "EOF", "a startup packet cut short")


def lost(count, path):
    for junk in (message("y"), message("\x7f", b"xx"), b"Q" + struct.pack("!i", 3), b"Q" + struct.pack("!i", -5), b"Q\x7f\xff\xff\xff"):
        with Peer(path) as p:
            p.send(junk)
            got = p.until("EOF")
            count.check(got in (["EOF"], ["E FATAL 08P01", "EOF"]), f"{junk!r}: {got}")
    for body in (b"", b"no end"):
        with Peer(path) as p:
            count.equal(p.ask(message("Q", body), query("SELECT 1 AS x"), syncs=2)[0], "E ERROR 08P01", f"Query of {body!r}")
    with Peer(path) as p:
        p.send(query("COPY t FROM STDIN"), message("d", b"4\tfour\n"), query("SELECT 1"))
        count.equal(p.until("EOF")[-2:], ["E FATAL 08P01", "EOF"], "another message inside COPY")
    with Peer(path) as p:
        p.send(message("X"))
        count.equal(p.until("EOF"), ["EOF"], "Terminate")


def cancel(path, key):
    with Peer(path, greet=False) as p:
        p.send(struct.pack("!ii", 16, 80877102) + key)
        return p.until("EOF")


def endless_runs(peer):
    return ENDLESS in " ".join(peer.ask(query("SELECT query FROM sys.queries")))


def stopping(count, path):
    """CancelRequest, statement_timeout, a client that leaves."""
    with Peer(path) as p, Peer(path) as other:
        wrong = p.key[:4] + bytes([p.key[4] ^ 1]) + p.key[5:]
        p.send(query(ENDLESS))
        count.check(until(lambda: endless_runs(other)), "a statement runs")
        count.equal(cancel(path, wrong), ["EOF"], "a wrong key is not answered")
        time.sleep(0.3)
        count.check(endless_runs(other), "and cancels nothing")
        count.equal(cancel(path, p.key), ["EOF"], "nor is the right one")
        count.equal(p.until("Z")[-2:], ["E ERROR 57014", "Z I"], "which cancels")
        count.equal(p.ask(query("SELECT 1 AS x"))[-1], "Z I", "the session goes on")
        got = p.ask(query("SET statement_timeout = 300"), query(f"BEGIN; {ENDLESS}"), query("ROLLBACK"), syncs=3)
        count.equal(got, ["C SET", "Z I", "C BEGIN", "E ERROR 57014", "Z E", "C ROLLBACK", "Z I"], "statement_timeout")
        p.ask(query("SET statement_timeout = 0"))
        p.send(query(ENDLESS))
        until(lambda: endless_runs(other))
        p.s.close()
        count.check(until(lambda: not endless_runs(other)), "a client that leaves cancels what it asked for")


def idling(count, path):
    with Peer(path) as p:
        got = p.ask(query("SET idle_in_transaction_session_timeout = 300"), query("BEGIN"), syncs=2)
        count.equal(got, ["C SET", "Z I", "C BEGIN", "Z T"], "idle_in_transaction_session_timeout")
        count.equal(p.until("EOF"), ["E FATAL 25P03", "EOF"], "idling in a transaction")
    with Peer(path) as p:
        p.ask(query("SET idle_in_transaction_session_timeout = 100"))
        time.sleep(0.3)
        count.equal(p.ask(query("SELECT 1 AS x"))[-1], "Z I", "idling outside of one")


def crowd(count):
    with Server(sets=["max_connections=3"]) as server:
        path = os.path.join(server.dir, ".s.PGSQL.5432")
        peers = [Peer(path) for _ in range(3)]
        with Peer(path) as p:
            count.equal(p.greeting, ["E FATAL 53300"], "too many clients")
        peers[0].send(query(ENDLESS))
        until(lambda: endless_runs(peers[1]))
        count.equal(cancel(path, peers[0].key), ["EOF"], "a cancel request when all places are taken")
        count.equal(peers[0].until("Z")[-2:], ["E ERROR 57014", "Z I"], "is carried out")
        for p in peers:
            p.s.close()

        def admitted():
            with Peer(path) as p:
                return p.greeting[-1] == "Z I"

        count.check(until(admitted), "a place is free again")


def shutdown(count):
    """SIGTERM: idle clients are told, a statement is waited for and then cancelled, a client that reads nothing is left."""
    server = Server().start()
    path = os.path.join(server.dir, ".s.PGSQL.5432")
    idle, busy, deaf, copying, half = Peer(path), Peer(path), Peer(path), Peer(path), Peer(path)
    busy.send(query(ENDLESS))
    deaf.send(query("SELECT i FROM GRID [i => 0 : 99999999]"))
    copying.ask(query("CREATE TABLE t (a INTEGER, s TEXT)"))
    copying.send(query("COPY t FROM STDIN"), message("d", b"4\tfour\n"))
    copying.until("G")
    half.send(b"Q\0\0\0\x20SELECT")
    until(lambda: endless_runs(idle))
    server.process.terminate()
    count.equal(idle.until("EOF"), ["E FATAL 57P01", "EOF"], "an idle client at SIGTERM")
    count.equal(copying.until("EOF"), ["E FATAL 57P01", "EOF"], "one in COPY")
    count.equal(busy.until("EOF")[-2:], ["E FATAL 57P01", "EOF"], "one whose statement runs")
    started = time.time()
    count.equal(server.stop(), 0, "exit status")
    count.check(time.time() - started < PATIENCE_S, "clients that neither read nor write do not hold it")
    for p in (idle, busy, deaf, copying, half):
        p.s.close()


def fixture(path):
    with Peer(path) as p:
        p.ask(query("DROP TABLE IF EXISTS t"))
        got = p.ask(query("CREATE TABLE t (a INTEGER, s TEXT)"), query("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)"), syncs=2)
        assert got[-1] == "Z I", got


def main():
    count = Count()
    if len(sys.argv) > 1:
        fixture(sys.argv[1])
        cases(count, sys.argv[1])
        values(count, sys.argv[1], False)
        encryption(count, sys.argv[1])
        beginnings(count, sys.argv[1], False)
        lost(count, sys.argv[1])
        idling(count, sys.argv[1])
        return count.finish()
    with Server() as server:
        path = os.path.join(server.dir, ".s.PGSQL.5432")
        fixture(path)
        cases(count, path)
        values(count, path, True)
        encryption(count, path)
        beginnings(count, path, True)
        lost(count, path)
        stopping(count, path)
        idling(count, path)
        count.equal(server.stop(), 0, "the server ends cleanly")
    crowd(count)
    shutdown(count)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
