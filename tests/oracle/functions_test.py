#!/usr/bin/python3
"""Functions of text, dates, times, intervals and numbers in PostgreSQL 15 and in Tessera: the same values, types and errors.

What NumPy has and PostgreSQL doesn't is compared with NumPy."""
import itertools
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Count, Server, Text  # noqa: E402
from postgres_test import Postgres, compare  # noqa: E402

NUMBERS = ["0", "1", "-1", "0.5", "-0.1", "0.05", "12.34", "-12.34", "148.5", "485", "-485", "1485", "3148.5", "12454.8", "-12454.8",
           "0.1", "99.999", "123456789", "1e15", "-1e20"]
FORMATS = ["9", "99", "999", "9999", "99999.9", "99.99", "FM99.99", "99.9", "09.9", "00.00", "0000", "FM0000", "9.9", "0.9", "FM9.9",
           "FM0.9", ".99", "FM.99", "999,999", "9,999.99", "FM9,999.99", "0,000", "S999", "999S", "S99.9", "MI999", "999MI", "FM999MI", "PL999",
           "SG999", "999SG", "9SG9", "999PR", "FM999PR", "999.9PR", "99V9", "99V999", "999th", "999TH", "FM999th", "RN", "FMRN", "rn", "9.99EEEE",
           "9.9EEEE", "9 9 9", "\"Good number:\"999", "999G999", "9G999D99", "999D99", "L999", "990.99", "FM990.99", "0999", "9099.9090", "FM9099.9090",
           "9990999.9", "FM9990999.9", "S0999", "FMS999.99", "999.", "FM999.", "FM999.009", "FM00.0"]
MOMENTS = ["2020-02-29 12:34:56.789012", "1999-12-31 00:00:00", "2021-01-03 23:59:59.5", "0044-03-15 06:07:08 BC"]
MOMENT_FORMATS = ["YYYY-MM-DD", "HH24:MI:SS", "HH12:MI:SS AM", "HH:MI pm", "Day, DD Month YYYY", "FMDay, FMDD FMMonth", "DY dy Dy", "MON mon Mon", "DDD", "ID", "IYYY IW",
                  "WW W", "Q", "CC", "J", "MS US", "SSSS", "YYY YY Y", "\"Year\" YYYY", "FMHH24:FMMI", "DDth", "DDTH", "MONTH month", "A.M. a.m. P.M.", "BC b.c. AD", "SSSSS",
                  "FF1 FF3 FF6", "Y,YYY", "RM rm", "FMRM", "IYY IY I", "D"]
READ_DATES = [("2020-02-29", "YYYY-MM-DD"), ("20200229", "YYYYMMDD"), ("29 Feb 2020", "DD Mon YYYY"), ("29 February 2020", "DD Month YYYY"), ("2020 060", "YYYY DDD"),
              ("5/7/2021", "MM/DD/YYYY"), ("21-3-4", "YY-MM-DD"), ("97-3-4", "YY-MM-DD"), ("2459000", "J"), ("2020-13-01", "YYYY-MM-DD"), ("x", "YYYY"), ("2021-02-29", "YYYY-MM-DD"),
              ("Monday, 01 June 2020", "Day, DD Month YYYY"), ("44-03-15 BC", "YYYY-MM-DD BC"), ("2020", "YYYY"), ("2020-03", "YYYY-MM"), ("  2020-03-04", "YYYY-MM-DD"),
              ("2020/03/04", "YYYY-MM-DD"), ("2020-03-04 tail", "YYYY-MM-DD"), ("12th March 2021", "DDth Month YYYY")]
READ_TIMES = [("2020-02-29 12:34:56", "YYYY-MM-DD HH24:MI:SS"), ("2020-02-29 01:02 PM", "YYYY-MM-DD HH12:MI PM"), ("2020-02-29 12:02 AM", "YYYY-MM-DD HH:MI AM"),
              ("2020-02-29 12:34:56.789", "YYYY-MM-DD HH24:MI:SS.MS"), ("2020-02-29 12:34:56.789012", "YYYY-MM-DD HH24:MI:SS.US"), ("20200229123456", "YYYYMMDDHH24MISS"),
              ("2020-02-29 25:00", "YYYY-MM-DD HH24:MI"), ("2020-02-29 13:00", "YYYY-MM-DD HH12:MI"), ("2020-02-29 3600", "YYYY-MM-DD SSSS"), ("2020-02-29T05:06:07", "YYYY-MM-DD\"T\"HH24:MI:SS")]
INTERVALS = ["1 day 02:03:04", "-1 day 02:03:04", "35 days", "1 mon -3 days", "27 hours", "-27 hours", "1 year 40 days 25:00:00", "-5 days 49:00:00", "00:00:00", "1 mon -1 hour", "30 days -1 hour"]
TEXTS = ["'abc'", "'a''b'", "'a\\b'", "''", "'Hello World'", "'select'", "'über'", "'x1_y'", "'1x'", "NULL::text"]

EXPRESSIONS = [
    *[f"to_char(({x})::float8, '{f}')" for x, f in itertools.product(NUMBERS, FORMATS)],
    *[f"to_char({x}, '{f}')" for x in ("12345", "-7") for f in ("99999", "0", "S9999999", "FM999,999")],
    *[f"to_char(timestamp '{m}', '{f}')" for m, f in itertools.product(MOMENTS, MOMENT_FORMATS)],
    *[f"to_char(interval '{i}', '{f}')" for i in ("1 day 02:03:04", "50 hours", "15 months 3 days") for f in ("HH24:MI:SS", "DD HH12:MI", "YYYY MM DD", "MS US")],
    *[f"to_date('{t}', '{f}')" for t, f in READ_DATES], *[f"to_timestamp('{t}', '{f}')::timestamp" for t, f in READ_TIMES],
    *[f"to_number('{t}', '{f}')::float8" for t, f in (("12,454.8-", "99G999D9S"), ("-34,338.49", "99G999D99"), ("<564646.654564>", "999999.999999PR"), ("0.00001-", "9.999999S"),
      ("5.01-", "FM9.999999S"), ("123", "999"), ("1234", "99"), ("x", "99"), ("  7 ", "99"))],
    *[f"{f}(interval '{i}')" for f in ("justify_days", "justify_hours", "justify_interval") for i in INTERVALS],
    *[f"make_interval({a})" for a in ("", "1", "1, 2", "days => 10", "hours => 5, secs => 1.5", "1, 2, 3, 4, 5, 6, 7.5", "years => -1, mins => 90")], "make_interval(eons => 1)", "make_interval(1, years => 1)",
    "isfinite(interval '1 day')", "isfinite(date 'infinity')",
    *[f"{f}({t})" for f in ("quote_ident", "quote_literal", "quote_nullable", "bit_length", "initcap", "length") for t in TEXTS if not (f == "initcap" and "ü" in t)], "quote_literal(42)", "quote_nullable(1.5::float8)",
    *[f"format({a})" for a in ("'Hello %s'", "'Hello %s', 'World'", "'%s %s', 1, true", "'%I = %L', 'my col', 'it''s'", "'%2$s %1$s', 'a', 'b'", "'%10s|%-10s|', 'a', 'b'", "'%%'", "'%L', NULL",
      "'%s', NULL", "'%I', NULL", "'%*s', 5, 'x'", "'%*s', -5, 'x'", "'%-*s|', 5, 'x'", "'%x', 1", "'%'", "NULL", "'%3$s', 1, 2, 3", "'%s %s', 1", "'%1$s %s', 'a', 'b'")],
    "concat('a', true, NULL, false, 1)", "concat_ws(',', 'a', true, NULL, 2.5::float8)", "'a' || true", "true || 'a'",
    *[f"regexp_count({a})" for a in ("'ABCABCAXYaxy', 'A.'", "'ABCABCAXYaxy', 'A.', 2", "'ABCABCAXYaxy', 'A.', 1, 'i'", "'abc', ''", "'abc', 'x'", "'abc', 'a', 0", "'abc', 'a', 10", "'abc', 'a', 1, 'q!'", "'žžz', 'z', 3")],
    *[f"regexp_like({a})" for a in ("'Hello', 'ell'", "'Hello', 'ELL'", "'Hello', 'ELL', 'i'", "'Hello', '^ell'", "NULL, 'a'")],
    *[f"regexp_substr({a})" for a in ("'ABCDEF', 'C.'", "'ABCDEF', 'X.'", "'ABCDEF', 'c.', 1, 1, 'i'", "'1234567890', '(123)(4(56)(78))', 1, 1, 'i', 4", "'abcabc', 'b.', 3", "'abcabc', '.', 1, 5", "'abc', 'b', 0", "'abc', 'b', 1, 0")],
    *[f"regexp_instr({a})" for a in ("'ABCDEF', 'C.'", "'ABCDEF', 'X'", "'ABCABC', 'B', 1, 2", "'ABCABC', 'B', 3", "'ABC', 'B', 1, 1, 1", "'abcdefghi', 'D.', 1, 1, 0, 'i'", "'1234567890', '(123)(4(56)(78))', 1, 1, 0, 'i', 4", "'žabc', 'b'", "'abc', 'b', 1, 1, 2")],
    *[f"substring({t} from '{p}')" for t in ("'foobar'", "'Thomas'") for p in ("o.b", "o(.)b", "...$", "x")], "substring('abc', 'b')",
    *[f"width_bucket({x}, {a})" for x in ("5.35::float8", "0.024::float8", "10.06::float8", "(-1)::float8", "0::float8", "99::float8") for a in ("0.024, 10.06, 5", "10, 0, 10", "0, 10, 4")],
    "width_bucket(1::float8, 1, 1, 5)", "width_bucket(1::float8, 0, 1, 0)", "width_bucket('NaN'::float8, 0, 1, 5)", "width_bucket(1::float8, 0, 'Infinity', 5)",
    *[f"div({a}, {b})::float8" for a, b in ((9, 4), (-9, 4), (9, -4), (0, 3))],
    *[f"{f}({x})" for f in ("sind", "cosd", "tand", "cotd") for x in (30, 45, 60, 120, 135, 210, -30, 300, 1, 89.5, 390)], *[f"{f}({x})" for f in ("asind", "acosd") for x in (0, 0.5, -0.5, 1, -1)],
    *[f"atand({x})" for x in (0, 1, -1, 5)], "atan2d(1, 1)", "atan2d(-1, 0)", "cot(1::float8)", "num_nulls(1, NULL, 'x')", "num_nonnulls(1, NULL, 'x')", "pg_typeof(1)::text", "pg_typeof(1.5::real)::text", "pg_typeof('x'::text)::text",
    "pg_typeof(d)::text", "pg_typeof(ts)::text", "pg_typeof(interval '1 day')::text", "pg_typeof(true)::text",
    *[f"extract({f} FROM interval '{i}')::float8" for f in ("year", "month", "day", "hour", "minute", "second", "epoch", "quarter", "decade", "century") for i in ("15 months 40 days 25:01:02.5", "-1 year -2 months")],
    *[f"date_trunc('{f}', interval '3 years 7 months 40 days 25:01:02.5')" for f in ("century", "year", "quarter", "month", "day", "hour", "minute", "second")],
    *[f"timestamp '2024-01-31' + interval '{i}'" for i in ("1 month", "-1 month", "1 year", "13 months", "29 days", "1 month 1 day", "-11 months")],
    "timestamp '2024-02-29' - interval '1 year'", "date '2024-03-31' - interval '1 month'", "age(timestamp '2024-03-31', timestamp '2024-02-29')", "age(timestamp '2020-01-01', timestamp '2024-02-29 12:00')",
]

NUMPY = [
    ("fmax", lambda x, y: np.fmax(x, y)), ("fmin", lambda x, y: np.fmin(x, y)), ("logaddexp", np.logaddexp), ("logaddexp2", np.logaddexp2),
    ("isclose", np.isclose), ("hypot", np.hypot), ("copysign", np.copysign), ("nextafter", np.nextafter), ("heaviside", np.heaviside), ("float_power", np.float_power)]
NUMPY_ONE = [("sinc", np.sinc), ("i0", np.i0), ("spacing", np.spacing), ("nan_to_num", np.nan_to_num), ("fix", np.fix), ("positive", np.positive), ("reciprocal", np.reciprocal),
             ("isposinf", np.isposinf), ("isneginf", np.isneginf), ("square", np.square), ("rint", np.rint), ("expm1", np.expm1), ("log1p", np.log1p), ("cbrt", np.cbrt), ("exp2", np.exp2)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.75, 1e-300, 1e300, 25.0, 31.0, 700.0, float("nan"), float("inf"), -float("inf")]


def literal(x):
    return f"'{x}'::float8"


def number(v):
    return {True: 1.0, False: 0.0}.get(v, v) if isinstance(v, bool) else float(v)


def agree(got, want):
    got, want = number(got), number(want)
    return got == want or (got != got and want != want) or abs(got - want) <= 4e-15 * abs(want)


def with_numpy(count, conn):
    for name, f in NUMPY_ONE:
        for x in SPECIAL:
            got = conn.execute(f"SELECT {name}({literal(x)})").fetchone()[0]
            want = f(np.array([x]))[0] if name != "i0" or np.isfinite(x) else abs(x)  # np.i0(inf) is NaN
            count.check(agree(got, want), f"{name}({x}): {got}, not {want}")
    for name, f in NUMPY:
        for x, y in itertools.product(SPECIAL, SPECIAL):
            got = conn.execute(f"SELECT {name}({literal(x)}, {literal(y)})").fetchone()[0]
            want = f(np.float64(x), np.float64(y))
            count.check(agree(got, want), f"{name}({x}, {y}): {got}, not {want}")
    bins = [-1.0, 0.0, 0.5, 2.0]
    points = [(-1.0, 3.0), (0.0, 1.0), (2.0, -2.0)]
    for x in SPECIAL:
        got = conn.execute(f"SELECT digitize({literal(x)}, {', '.join(map(str, bins))})").fetchone()[0]
        count.equal(got, int(np.digitize(x, bins)), f"digitize({x})")
        got = conn.execute(f"SELECT interp({literal(x)}, {', '.join(f'{a}, {b}' for a, b in points)})").fetchone()[0]
        want = np.interp(x, [a for a, _ in points], [b for _, b in points])
        count.check(agree(got, want), f"interp({x}): {got}, not {want}")


def main():
    count = Count()
    with Postgres() as pg, Server() as server:
        plain = server.connect()
        with_numpy(count, plain)
        plain.close()
        ours = server.connect()
        for conn in (pg, ours):
            for oid in range(16, 3000):
                conn.adapters.register_loader(oid, Text)
            conn.execute("CREATE TABLE t (d date, ts timestamp)")
            conn.execute("INSERT INTO t VALUES ('2020-02-29', '2020-02-29 12:34:56')")
        for e in EXPRESSIONS:
            compare(count, pg, ours, f"SELECT {e} AS x FROM t")
        ours.close()
        pg.close()
    return count.finish()


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
