#!/usr/bin/python3
"""Every row of features.py: the expression's value is the statement's. `--write` puts the table into query/README.md; without it the
table there must be this one."""
import datetime
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import features  # noqa: E402
from harness import Count, Server  # noqa: E402

README = "query/README.md"
BEGIN, END = "<!-- features: made by tests/oracle/features_test.py --write -->", "<!-- end of features -->"
SETTINGS = ["SET max_workers = 1", "SET optimizer = off"]


def load(conn):
    for name, columns, values in features.ARRAYS:
        conn.execute(f"CREATE ARRAY {name} ({columns})")
        dims = [c.split()[0] for c in columns.split(", ") if "DIMENSION" in c]
        rows = []
        for at in np.ndindex(values.shape):
            v = values[at]
            coords = [coordinate(c, i) for c, i in zip([c for c in columns.split(", ") if "DIMENSION" in c], at)]
            text = f"'{v}'" if values.dtype.kind in "Uf" else str(v)
            rows.append("(" + ", ".join(coords + [text]) + ")")
        assert len(dims) == values.ndim
        conn.execute(f"INSERT INTO {name} VALUES {', '.join(rows)}")


def coordinate(column, i):
    name = column.split()[0]
    if name == "day":
        return f"'{features.days[i]}'"
    if name == "time":
        return f"'{features.months[i]}-01'"
    return str({"lat": -60.0 + 30 * i, "lon": 90.0 * i}.get(name, i))


def plain(v):
    """A value of either side as a float or a text."""
    if v is None:
        return float("nan")
    if isinstance(v, (datetime.date, np.datetime64)):
        return str(v)[:10]
    return v if isinstance(v, str) else float(v)


def same(got, want):
    if isinstance(got, str) or isinstance(want, str):
        return got == want
    return (got != got and want != want) or got == want or abs(got - want) <= 1e-9 * max(abs(got), abs(want), 1e-3)


def column_of(value):
    return [plain(v) for v in np.asarray(value).ravel().tolist()]


def check_row(count, conns, row):
    expression, statement, options = (*row, {})[:3]
    want = eval(expression, dict(features.NAMES))
    if options.get("columns"):
        want = tuple(want)
    wanted = [column_of(w) for w in want] if isinstance(want, (tuple, list)) else [column_of(want)]
    for conn in conns:
        try:
            rows = conn.execute(statement).fetchall()
        except Exception as e:  # any refusal is a failure of the row
            count.check(False, f"{expression}\n  {statement}\n  {e}")
            return
        if options.get("flat") or options.get("array"):
            got = [[plain(v) for r in rows for v in (r[0] if options.get("array") else r)]]
        else:
            got = [[plain(r[len(r) - len(wanted) + c]) for r in rows] for c in range(len(wanted))]
        ok = all(len(g) == len(w) and all(map(same, g, w)) for g, w in zip(got, wanted))
        if not count.check(ok, f"{expression}\n  {statement}\n  got    {str(got)[:400]}\n  wanted {str(wanted)[:400]}"):
            return


def cell(text):
    return "`" + text.replace("|", "\\|") + "`"


def table():
    lines = [BEGIN]
    for title, rows in features.SECTIONS:
        lines += ["", f"**{title}**", "", "| there | here |", "|---|---|"]
        for row in rows:
            options = row[2] if len(row) > 2 else {}
            lines.append(f"| {cell(options.get('as', row[0]))} | {cell(row[1])} |")
    lines += ["", "**Missing**", "", "| there | here |", "|---|---|"]
    lines += [f"| {there} | {here} |" for there, here in features.MISSING]
    return "\n".join(lines + [END])


def main():
    text = open(README).read()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if "--write" in sys.argv:
        open(README, "w").write(before + table() + after)
        return 0
    count = Count()
    with Server(sets=["workers=4"]) as server:
        conns = [server.connect()]
        for s in SETTINGS:
            conns.append(server.connect())
            conns[-1].execute(s)
        load(conns[0])
        for _, rows in features.SECTIONS:
            for row in rows:
                check_row(count, conns, row)
        for conn in conns:
            conn.close()
    count.check(before + table() + after == text, f"the table in {README} is not features.py's: run features_test.py --write")
    return count.finish()


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
