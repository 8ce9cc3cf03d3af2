"""Stock psql in front of tesserad: queries, formats, variables, \\copy, transactions, errors and exit codes."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PATIENCE_S, Count, Server  # noqa: E402


def psql(server, *args, stdin=""):
    """Exit code, standard output and standard error of one run."""
    run = subprocess.run(["psql", "-X", "-h", server.dir, "-p", "5432", "-U", "test", "-d", "test", *args], input=stdin,
                         capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "PGAPPNAME": "psql"}, check=False)
    return run.returncode, run.stdout, run.stderr


def queries(count, server):
    count.equal(psql(server, "-c", "CREATE ARRAY g (i INTEGER DIMENSION [0 : 3], v DOUBLE, s TEXT)"), (0, "CREATE ARRAY\n", ""), "CREATE")
    count.equal(psql(server, "-c", "INSERT INTO g VALUES (0, 1.5, 'a'), (1, NULL, 'b|c'), (2, 'nan', NULL)"), (0, "INSERT 0 3\n", ""), "INSERT")
    count.equal(psql(server, "-At", "-c", "SELECT * FROM g")[1], "0|1.5|a\n1||b|c\n2|NaN|\n", "-A -t")
    count.equal(psql(server, "-c", "SELECT i, v FROM g WHERE i < 2")[1],
                " i |  v  \n---+-----\n 0 | 1.5\n 1 |    \n(2 rows)\n\n", "aligned, numbers to the right")
    count.equal(psql(server, "--csv", "-c", "SELECT i, s FROM g")[1], "i,s\n0,a\n1,b|c\n2,\n", "--csv")
    count.equal(psql(server, "-At", "-P", "null=∅", "-F", ";", "-c", "SELECT i, s FROM g")[1], "0;a\n1;b|c\n2;∅\n", "-P, -F")
    count.equal(psql(server, "-x", "-At", "-c", "SELECT i, v FROM g LIMIT 1")[1], "i|0\nv|1.5\n", "-x")
    count.equal(psql(server, "-At", "-c", "SELECT 1", "-c", "SELECT 2")[1], "1\n2\n", "two -c")
    count.equal(psql(server, "-At", "-c", "SELECT 1; SELECT 2")[1], "1\n2\n", "two statements in one")
    count.equal(psql(server, "-At", "-v", "n=2", "-v", "t=it's", stdin="SELECT :n + 1, :'t';\nSELECT i AS \"x y\" FROM g LIMIT :n \\gset\n")[1],
                "3|it's\n", "variables")
    count.equal(psql(server, "-At", stdin="SELECT 7 AS seven, true AS yes \\gset\n\\echo :seven\n\\if :yes\n\\echo yes\n\\endif\n")[1], "7\nyes\n", "\\gset, \\if")
    count.equal(psql(server, "-At", stdin="SELECT sum(i) FROM g[i => 1 : 2];\nSELECT count(*) FROM g[* : 1];\n")[1], "3\n2\n",
                "slices: colons with blanks are not variables")
    code, out, _ = psql(server, "-At", stdin="\\timing on\nSELECT 1;\n")
    count.check(code == 0 and "1\nTime: " in out and " ms" in out, f"\\timing: {out!r}")
    count.equal(psql(server, "-At", stdin="SELECT 'SELECT ' || i FROM g LIMIT 2 \\gexec\n")[1], "0\n1\n", "\\gexec")
    count.equal(psql(server, "-At", stdin="PREPARE p (int) AS SELECT $1 + 1;\nEXECUTE p (2);\nDEALLOCATE p;\n")[1], "PREPARE\n3\nDEALLOCATE\n",
                "PREPARE")
    count.equal(psql(server, "-At", "-v", "FETCH_COUNT=7", stdin="SELECT i FROM GRID [i => 0 : 99];\n")[1], "".join(f"{k}\n" for k in range(100)),
                "FETCH_COUNT")
    out = psql(server, "-At", stdin="\\conninfo\n\\encoding\n\\echo :SERVER_VERSION_NUM\nSHOW application_name;\n")[1]
    count.check(out.endswith("UTF8\n150000\npsql\n"), f"\\conninfo, \\encoding: {out!r}")


def copies(count, server, dir):
    psql(server, "-c", "CREATE ARRAY c (i INTEGER DIMENSION [0 : *], s TEXT)")
    path = os.path.join(dir, "in.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write("i,s\n0,grün\n1,\"a,\"\"b\"\"\"\n2,\n")
    count.equal(psql(server, "-c", f"\\copy c FROM '{path}' (FORMAT csv, HEADER)"), (0, "COPY 3\n", ""), "\\copy from")
    out = os.path.join(dir, "out.tsv")
    count.equal(psql(server, "-c", f"\\copy c TO '{out}'"), (0, "COPY 3\n", ""), "\\copy to")
    with open(out, encoding="utf-8") as f:
        count.equal(f.read(), "0\tgrün\n1\ta,\"b\"\n2\t\\N\n", "what it wrote")
    count.equal(psql(server, "-c", "DELETE FROM c", "-c", f"\\copy c FROM '{out}'")[1], "DELETE 3\nCOPY 3\n", "and in again")
    count.equal(psql(server, "-At", stdin="COPY c FROM STDIN;\n3\tx\n4\ty\n\\.\nSELECT count(*) FROM c;\n")[1], "COPY 2\n5\n", "COPY FROM STDIN")
    count.equal(psql(server, "-c", "COPY (SELECT i FROM c WHERE i < 2) TO STDOUT (FORMAT csv, HEADER)")[1], "i\n0\n1\n", "COPY TO STDOUT")
    code, _, err = psql(server, stdin="COPY c FROM STDIN;\nx\ty\n5\tz\n\\.\nSELECT 1;\n")
    count.check(code == 0 and "invalid input syntax" in err, f"bad COPY data: {code} {err!r}")
    code, _, err = psql(server, "-c", f"\\copy c FROM '{dir}/none.csv' CSV")
    count.check(code == 1 and "No such file" in err, f"\\copy of no file: {code} {err!r}")


def errors(count, server, dir):
    code, _, err = psql(server, "-c", "SELECT colour FROM g")
    count.equal((code, err), (1, 'ERROR:  column "colour" does not exist\nLINE 1: SELECT colour FROM g\n               ^\n'), "caret under the place")
    code, _, err = psql(server, "-v", "VERBOSITY=verbose", "-c", "SELECT 1 // 0")
    count.check(code == 1 and err.startswith("ERROR:  22012: division by zero"), f"SQLSTATE: {err!r}")
    script = "SELECT 1;\nSELECT nothing;\nSELECT 2;\n"
    count.equal(psql(server, "-At", stdin=script)[:2], (0, "1\n2\n"), "goes on after an error")
    count.equal(psql(server, "-At", "-v", "ON_ERROR_STOP=1", stdin=script)[:2], (3, "1\n"), "ON_ERROR_STOP")
    path = os.path.join(dir, "script.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write("INSERT INTO g VALUES (3, 3, 'x');\nSELECT nothing;\n")
    code, _, err = psql(server, "-v", "ON_ERROR_STOP=1", "-1", "-f", path)
    count.check(code == 3 and f"{path}:2: ERROR" in err, f"-1 -f: {code} {err!r}")
    count.equal(psql(server, "-At", "-c", "SELECT count(*) FROM g")[1], "3\n", "-1 undoes the file")
    with open(path, "w", encoding="utf-8") as f:
        f.write("INSERT INTO g VALUES (3, 3, 'x');\nDELETE FROM g WHERE i = 3;\n")
    count.equal(psql(server, "-1", "-f", path), (0, "INSERT 0 1\nDELETE 1\n", ""), "-1 of a good file")
    code, out, err = psql(server, "-At", stdin="BEGIN;\nSELECT nothing;\nSELECT 1;\nCOMMIT;\nSELECT 2;\n")
    count.check(out == "BEGIN\nROLLBACK\n2\n" and "current transaction is aborted" in err, f"a failed block: {out!r} {err!r}")
    count.check("already a transaction" in psql(server, stdin="BEGIN;\nBEGIN;\n")[2], "warnings are shown")
    count.check("exists, skipping" in psql(server, "-c", "CREATE ARRAY IF NOT EXISTS g (i INTEGER DIMENSION [0 : 1], v INTEGER)")[2], "notices too")
    code, _, err = psql(server, "-c", "\\d")
    count.check("server closed the connection" not in err and (code == 0 or "ERROR" in err), f"\\d: {code} {err!r}")
    count.equal(psql(server, "-At", stdin="\\d\n\\dt g\n\\l\nSELECT 1;\n")[1].splitlines()[-1:], ["1"], "the session outlives \\d")
    code, _, err = psql(server, "-p", "1", "-c", "SELECT 1")
    count.equal(code, 2, "no server: exit code 2")


def main():
    count = Count()
    with tempfile.TemporaryDirectory() as dir, Server() as server:
        queries(count, server)
        copies(count, server, dir)
        errors(count, server, dir)
        count.equal(server.stop(), 0, "exit status")
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
