#!/usr/bin/python3
"""EXPLAIN ANALYZE as golden text: which tiles were read, pruned by their summaries, answered from them; which plan ran. Times, memory and
bytes are left out."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server  # noqa: E402

SETUP = [
    "SET max_workers = 1", "SET tile_cache = off",
    # 10 × 4 tiles; v rises with i, so that summaries tell tiles apart; few is one of five values
    "CREATE ARRAY a (i INTEGER DIMENSION [0 : 99] TILE 10, j INTEGER DIMENSION [0 : 99] TILE 25, v INTEGER, few UTINYINT, w DOUBLE)",
    "INSERT INTO a SELECT [i], [j], i * 100 + j, i // 20, i / 2 FROM GRID [i => 0 : 99, j => 0 : 99]",
    "CREATE ARRAY c (i INTEGER DIMENSION [0 : 99], u INTEGER)", "INSERT INTO c SELECT [i], i * i FROM GRID [i => 0 : 99]",
    "CREATE TABLE names (id INTEGER, name TEXT)", "INSERT INTO names VALUES (3, 'three'), (4, 'four'), (5, 'five')",
]

GOLDEN = [
    # a run of this program with --show prints them
    ("aggregates of everything come from summaries", "SELECT count(*), sum(v), min(w), max(v) FROM a", """
-> aggregate (count(*), sum(v), min(w), max(v))
  -> scan a [i 0:100, j 0:100] attributes (v, w)
tiles answered from summaries: 40"""),
    ("whole tiles from summaries, the boundary's are read", "SELECT sum(v) FROM a[i => 5 : 94]", """
-> aggregate (sum(v))
  -> scan a [i 5:95, j 0:100] attributes (v)
tiles read: 8
tiles answered from summaries: 32"""),
    ("a predicate on values leaves tiles out by their summaries", "SELECT count(*) FROM a WHERE v >= 9500", """
-> aggregate (count(*))
  -> filter (v >= 9500)
    -> scan a [i 0:100, j 0:100] attributes (v) prune (v >= 9500)
tiles read: 4
tiles pruned: 36"""),
    ("one on a dimension leaves a region", "SELECT sum(w) FROM a WHERE i = 42 AND j < 20", """
-> aggregate (sum(w))
  -> scan a [i 42:43, j 0:20] attributes (w)
tiles read: 1"""),
    ("nothing can match: nothing is read", "SELECT v FROM a WHERE w > 1000", """
-> map (v)
  -> filter (w > 1000)
    -> scan a [i 0:100, j 0:100] attributes (v, w) prune (w > 1000)
tiles pruned: 40"""),
    ("groups by dimensions are no hash table", "SELECT [i], sum(v) FROM a GROUP BY i", """
-> aggregate by dimensions [i] (sum(v))
  -> scan a [i 0:100, j 0:100] attributes (v)
tiles read: 40"""),
    ("nor are those by a function of one", "SELECT [i // 10 AS block], avg(v) FROM a GROUP BY block", """
-> aggregate by dimensions [(i // 10)] (avg(v))
  -> scan a [i 0:100, j 0:100] attributes (v)
tiles answered from summaries: 40"""),
    ("groups by values are", "SELECT few, count(*) FROM a GROUP BY few", """
-> aggregate by value [few] (count(*))
  -> scan a [i 0:100, j 0:100] attributes (few)
tiles read: 40"""),
    ("a dimension broadcasts", "SELECT sum(v * u) FROM a NATURAL JOIN c", """
-> aggregate (sum((v * u)))
  -> join on i = i
    -> scan a [i 0:100, j 0:100] attributes (v)
    -> scan c [i 0:100] attributes (u)
tiles read: 41"""),
    ("the small side is the table", "SELECT name, sum(v) FROM a JOIN names ON few = id GROUP BY name", """
-> aggregate by value [name] (sum(v))
  -> hash join, table of the right on (few)::integer = id
    -> scan a [i 0:100, j 0:100] attributes (v, few)
    -> scan names attributes (id, name)
tiles read: 82"""),
    ("a condition on what no window reaches goes below it", "SELECT [i], [j], sum(v) OVER [#j - 1 : #j] FROM a WHERE i = 3", """
-> map (sum)
  -> window (sum(v) over [#j => (#j - 1) : #j])
    -> scan a [i 3:4, j 0:100] attributes (v)
tiles read: 4"""),
    ("and on a window's own dimension it goes below with the window's reach", "SELECT * FROM (SELECT [i], [j], sum(v) OVER [#j - 1 : #j] AS s FROM a) AS q WHERE j = 3", """
-> map (s = sum)
  -> window [i 0:100, j 3:4] (sum(v) over [#j => (#j - 1) : #j])
    -> scan a [i 0:100, j 2:4] attributes (v)
tiles read: 10"""),
    ("top-k knows its limit", "SELECT v FROM a ORDER BY v DESC LIMIT 3", """
-> limit (3)
  -> sort by v desc first (3)
    -> scan a [i 0:100, j 0:100] attributes (v)
tiles read: 17
tiles pruned: 23"""),
]


def normal(rows):
    """Plan lines without figures, then what was counted of tiles."""
    lines = []
    for (line,) in rows:
        line = re.sub(r" \(boxes=\d+ cells=\d+ time=[\d.]+ ms\)$", "", line)
        if re.match(r"( *->|sub-query)", line) or line.startswith("tiles"):
            lines.append(line)
    return "\n".join(lines)


def main():
    count = Count()
    with Server() as server:
        conn = server.connect()
        for sql in SETUP:
            conn.execute(sql)
        for why, sql, want in GOLDEN:
            got = normal(conn.execute(f"EXPLAIN ANALYZE {sql}").fetchall())
            if "--show" in sys.argv:
                print(f'("{why}", "{sql}", """\n{got}"""),')
            count.check(want is not None and got == want.strip("\n"), f"{why}: {sql}\n{got}\nis not\n{want}")
        conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
