"""What memory.py asks: statements over arrays ten times the limit, each with a check of its rows.

Arrays: big(i; v, k), a random number and i % 1000 a cell; plane(y, x; v) = 3y + 7x; cube(x, y, z; v), random; other(i; w).
"""
import math

H = 4096    # rows of the plane

SETUP, LONG = "setup", "long"   # kinds: makes what others read; not in the short form


def basics(n):
    half = n // 2
    return [
        ("create", f"CREATE ARRAY big AS SELECT [i], random(7) AS v, i % 1000 AS k FROM GRID [i => 0 : {n - 1}]", None, SETUP),
        ("scan", "SELECT count(*), sum(v), min(k), max(k) FROM big", lambda r: r[0][0] == n and abs(r[0][1] / half - 1) < 0.01),
        ("filter", "SELECT count(*) FROM big WHERE v < 0.25", lambda r: abs(r[0][0] / (n / 4) - 1) < 0.01),
        ("create a plane", f"CREATE ARRAY plane AS SELECT [y], [x], (3 * y + 7 * x)::double AS v FROM GRID [y => 0 : {H - 1}, x => 0 : {n // H - 1}]", None, SETUP),
        ("create a cube", f"CREATE ARRAY cube AS SELECT [x], [y], [z], random(3) AS v FROM GRID [x => 0 : 99, y => 0 : 99, z => 0 : {n // 10000 - 1}]", None, SETUP),
    ]


def groups(n, part):
    return [
        ("group by dimension", "SELECT count(*) FROM (SELECT [i // 1000 AS b], avg(v) AS m FROM big GROUP BY b) AS s WHERE m > 0",
         lambda r: r[0][0] == (n + 999) // 1000),
        ("group by value", "SELECT k, avg(v) FROM big GROUP BY k ORDER BY k", lambda r: len(r) == 1000),
        ("group by many values", "SELECT count(*) FROM (SELECT (v * 1e7)::bigint AS b, count(*) AS c FROM big GROUP BY b) AS s",
         lambda r: r[0][0] > n // 10, LONG),
        ("group by values", f"SELECT count(*), sum(c), sum(s) FROM (SELECT v, count(*) AS c, sum(k) AS s FROM big[* : {part - 1}] GROUP BY v) AS s",
         lambda r: r[0][:2] == (part, part)),
        ("median", "SELECT median(v) FROM big", lambda r: abs(r[0][0] - 0.5) < 0.01),
        ("count distinct", f"SELECT count(DISTINCT v), count(DISTINCT k), count(DISTINCT i) FROM big[* : {part - 1}]", lambda r: r[0] == (part, 1000, part)),
        ("count distinct a group", f"SELECT sum(c), max(c) FROM (SELECT k, count(DISTINCT v) AS c FROM big[* : {part - 1}] GROUP BY k) AS s",
         lambda r: r[0] == (part, (part + 999) // 1000)),
        ("mode", f"SELECT mode(CASE WHEN i % 10 = 0 THEN -1 ELSE i END) FROM big[* : {part - 1}]", lambda r: r[0] == (-1,)),
        ("mode a group", f"SELECT min(m), max(m) FROM (SELECT k, mode(CASE WHEN i % 3 = 0 THEN -1 ELSE i END) AS m FROM big[* : {part - 1}] GROUP BY k) AS s",
         lambda r: r[0] == (-1, -1)),
        ("distinct on", f"SELECT count(*), sum(i) FROM (SELECT DISTINCT ON (k) k, i FROM big[* : {part - 1}] ORDER BY k, i) AS s",
         lambda r: r[0] == (1000, 499500)),
        ("distinct on many", f"SELECT count(*), sum(i) FROM (SELECT DISTINCT ON (v) v, i FROM big[* : {part - 1}] ORDER BY v, i DESC) AS s",
         lambda r: r[0] == (part, part * (part - 1) // 2)),
        ("rollup", f"SELECT count(*), sum(c) FROM (SELECT i // 1000 AS b, k, count(*) AS c FROM big[* : {part - 1}] GROUP BY ROLLUP (b, k)) AS s",
         lambda r: r[0] == (part + (part + 999) // 1000 + 1, 3 * part)),
        ("string_agg", f"SELECT max(length(s)), count(*) FROM (SELECT string_agg(k::text, ',') AS s FROM big[* : {part - 1}] GROUP BY i // 1000) AS s",
         lambda r: r[0] == (3889, (part + 999) // 1000)),
        ("string_agg of one group", "SELECT length(string_agg(k::text, ',')) FROM big[* : 999999]", lambda r: r[0][0] == 3889999 + 0),
        ("string_agg of too much", "SELECT length(string_agg(k::text, ',')) FROM big", "53200", LONG),
    ]


def rows(n, part):
    half = n // 2
    return [
        ("sort", "SELECT i FROM big ORDER BY v DESC LIMIT 10", lambda r: len(r) == 10),
        ("sort all", "SELECT max(v) FROM (SELECT v FROM big ORDER BY v OFFSET 10) AS s", lambda r: r[0][0] > 0.99, LONG),
        ("sort a part", f"SELECT max(v) FROM (SELECT v FROM big[* : {part * 2 - 1}] ORDER BY v OFFSET 10) AS s", lambda r: r[0][0] > 0.99),
        ("intersect", f"SELECT count(*) FROM (SELECT v FROM big[* : {part - 1}] INTERSECT SELECT v FROM big[{part // 2} : {part * 3 // 2 - 1}]) AS s",
         lambda r: r[0][0] == part - part // 2),
        ("except", f"SELECT count(*) FROM (SELECT v FROM big[* : {part - 1}] EXCEPT SELECT v FROM big[{part // 2} : {part * 3 // 2 - 1}]) AS s",
         lambda r: r[0][0] == part // 2),
        ("except all", "SELECT count(*) FROM (SELECT i FROM big[* : 999999] EXCEPT ALL SELECT i * 2 FROM big[* : 999999]) AS s",
         lambda r: r[0][0] == 500000),
        ("union", f"SELECT count(*) FROM (SELECT v FROM big[* : {part - 1}] UNION SELECT v FROM big[{part // 2} : {part * 3 // 2 - 1}]) AS s",
         lambda r: r[0][0] == part * 3 // 2),
        ("window in order", "SELECT count(*), sum(d) FROM (SELECT v - lag(v) OVER (ORDER BY i) AS d FROM big) AS s",
         lambda r: r[0][0] == n and abs(r[0][1]) < 1),
        ("window, one partition", "SELECT max(a), min(b), max(c), max(l) FROM (SELECT row_number() OVER w AS a, ntile(4) OVER w AS b, "
         "count(*) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS c, last_value(v) OVER (ORDER BY v ROWS "
         f"BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS l FROM big[0 : {part - 1}] WINDOW w AS (ORDER BY v)) AS s",
         lambda r: r[0][:3] == (part, 1, part) and r[0][3] > 0.99),
        ("window, long frame", f"SELECT min(a), max(a), max(b) FROM (SELECT count(*) OVER w AS a, max(v) OVER w AS b FROM big WINDOW w AS "
         f"(ORDER BY i ROWS BETWEEN {half // 2} PRECEDING AND {half // 2} FOLLOWING)) AS s",
         lambda r: r[0][:2] == (half // 2 + 1, half // 2 * 2 + 1)),
        ("window, partitions", "SELECT count(*), max(r) FROM (SELECT rank() OVER (PARTITION BY k ORDER BY v) AS r, avg(v) OVER (PARTITION BY k) "
         f"AS m, median(v) OVER (PARTITION BY k) AS d FROM big[0 : {part - 1}]) AS s WHERE abs(m - 0.5) < 0.1 AND abs(d - 0.5) < 0.2",
         lambda r: r[0] == (part, (part + 999) // 1000)),
        ("window, many partitions", f"SELECT count(*), max(r), max(c) FROM (SELECT row_number() OVER w AS r, count(*) OVER w AS c FROM big[0 : {part - 1}] "
         "WINDOW w AS (PARTITION BY v)) AS s", lambda r: r[0] == (part, 1, 1)),
        ("window, ranges", f"SELECT min(c), max(c) FROM (SELECT count(*) OVER (ORDER BY k RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS c FROM big[0 : {part // 1000 * 1000 - 1}]) AS s",
         lambda r: r[0] == (part // 1000 * 2, part // 1000 * 3)),
        ("rows to the client", f"SELECT i, v, k FROM big[* : {part // 4 - 1}] ORDER BY v", lambda r: len(r) == part // 4),
    ]


def joins(n, part):
    a, b = f"big[i => 0 : {part - 1}] AS a", f"big[i => 0 : {part // 2 - 1}] AS b"
    return [
        ("join", "SELECT count(*) FROM big AS a JOIN big AS b ON a.i = b.i WHERE a.v = b.v", lambda r: r[0][0] == n),
        ("full join of arrays", f"SELECT count(*), count(a.k), count(b.k) FROM big[i => 0 : {3 * n // 4 - 1}] AS a FULL JOIN big[i => {n // 4} : *] AS b USING (i)",
         lambda r: r[0] == (n, 3 * n // 4, 3 * n // 4)),
        ("join by value", f"SELECT count(*), sum(a.k) = sum(b.k) FROM {a} JOIN {b} ON a.v = b.v", lambda r: r[0] == (part // 2, True)),
        ("left join by value", f"SELECT count(*), count(b.k) FROM {a} LEFT JOIN {b} ON a.v = b.v", lambda r: r[0] == (part, part // 2)),
        ("full join by value", f"SELECT count(*), count(a.k), count(b.k) FROM big[i => 0 : {part // 2 - 1}] AS a "
         f"FULL JOIN big[i => {part // 4} : {part - 1}] AS b ON a.v = b.v", lambda r: r[0] == (part, part // 2, part - part // 4)),
        ("join of one key", f"SELECT count(*), max(a.i) FROM (SELECT i, CASE WHEN k < 500 THEN -1 ELSE i END AS key FROM big[i => 0 : {part - 1}]) AS a "
         f"JOIN (SELECT i, CASE WHEN i < 4 THEN -1 ELSE i END AS key FROM big[i => 0 : {part - 1}]) AS b ON a.key = b.key",
         lambda r: r[0][0] == sum(1 for i in range(4, 1000) if i >= 500) + (part - 1000) // 1000 * 500 + max(0, (part % 1000) - 500) +
         4 * (part // 1000 * 500 + min(500, part % 1000))),
        ("exists", f"SELECT count(*) FROM {a} WHERE EXISTS (SELECT 1 FROM {b} WHERE b.v = a.v)", lambda r: r[0][0] == part // 2),
        ("not exists", f"SELECT count(*) FROM {a} WHERE NOT EXISTS (SELECT 1 FROM {b} WHERE b.v = a.v AND b.k > 499)",
         lambda r: abs(r[0][0] / (part - part // 4) - 1) < 0.01),
        ("asof join", f"SELECT count(*), count(b.v), bool_and(b.v <= a.v) FROM big[i => 0 : {part // 2 - 1}] AS a ASOF JOIN big[i => 0 : {part // 2 - 1}] AS b "
         "ON a.v >= b.v", lambda r: r[0] == (part // 2, part // 2, True)),
        ("asof left join", f"SELECT count(*), count(b.v), bool_and(b.v < a.v) FROM big[i => 0 : {part // 2 - 1}] AS a ASOF LEFT JOIN big[i => 0 : {part // 2 - 1}] AS b "
         "ON a.k = b.k AND a.v > b.v", lambda r: r[0] == (part // 2, part // 2 - 1000, True)),
        ("in ten million", "SELECT count(*) FROM big[* : 999999] WHERE i * 10 IN (SELECT i * 2 FROM big[* : 9999999])",
         lambda r: r[0][0] == min(10**6, n)),
        ("by key", "SELECT sum((SELECT max(b.v) FROM big[* : 999999] AS b WHERE b.i = a.i)) / sum(v) FROM big[* : 999999] AS a",
         lambda r: r[0][0] == 1),
        ("count by key", f"SELECT sum((SELECT count(*) FROM big[* : {part - 1}] AS b WHERE b.k = a.k)) FROM big[* : 999999] AS a",
         lambda r: r[0][0] == part * 1000),
    ]


def cells(n):
    half, w = n // 2, n // H
    inner = (H - 4) * (w - 4)
    steps = 3 * (2 * (H - 2) + 1) * w + 7 * (2 * (w - 2) + 1) * H   # sum of how far a maximum of 5 × 5 cells is above its own
    return [
        ("rolling mean", "SELECT max(m), count(*) FROM (SELECT [i], avg(v) OVER [#i - 50 : #i + 50] AS m FROM big) AS s",
         lambda r: 0.5 < r[0][0] < 0.8 and r[0][1] == n),
        ("long rolling mean", "SELECT max(m), min(m) FROM (SELECT [i], avg(v) OVER ([#i - 500000 : #i] EDGE NULL) AS m FROM big) AS s",
         lambda r: 0.49 < r[0][1] < r[0][0] < 0.51),
        ("rolling mean of a plane", "SELECT count(m), max(abs(m - v)) FROM (SELECT [*], v, avg(v) OVER ([#y - 2 : #y + 2, #x - 2 : #x + 2] EDGE NULL) AS m FROM plane) AS s",
         lambda r: r[0][0] == inner and r[0][1] < 1e-9),
        ("rolling maximum of a plane", "SELECT sum(m - v) FROM (SELECT [*], v, max(v) OVER [#y - 2 : #y + 2, #x - 2 : #x + 2] AS m FROM plane) AS s",
         lambda r: r[0][0] == steps),
        ("moving median", f"SELECT count(m), min(m), max(m) FROM (SELECT [i], median(k) OVER ([#i - 7 : #i + 7] EDGE NULL) AS m FROM big[i => 0 : {half - 1}]) AS s",
         lambda r: r[0][0] == half - 14 and r[0][1] == 7 and r[0][2] == 992),
        ("moving median of a plane", "SELECT max(abs(m - v)) FROM (SELECT [*], v, median(v) OVER ([#y - 1 : #y + 1, #x - 1 : #x + 1] EDGE NULL) AS m FROM plane) AS s",
         lambda r: r[0][0] == 0, LONG),
        ("rolling mean of a cube", "SELECT max(m) FROM (SELECT [*], avg(v) OVER [#x - 2 : #x + 2, #y - 2 : #y + 2, #z - 30 : #z + 30] AS m FROM cube) AS s",
         lambda r: 0.5 < r[0][0] < 0.8),
        ("cumulative sum", "SELECT max(m), sum(k) FROM (SELECT [i], sum(v) OVER [* : i] AS m, k FROM big) AS s",
         lambda r: abs(r[0][0] / half - 1) < 0.01),
        ("cumulative maximum", "SELECT max(m), min(m) FROM (SELECT [i], max(k) OVER [i : *] AS m FROM big) AS s", lambda r: r[0][0] == 999),
    ] + [
        (f"cumulative sum along {d}", f"SELECT max(m) FROM (SELECT [*], sum(v) OVER [* : {d}] AS m FROM cube) AS s", lambda r: r[0][0] > 40)
        for d in "xyz"
    ] + [
        ("second difference", "SELECT count(d), sum(d) FROM (SELECT [i], v[#i - 1] + v[#i + 1] - 2 * v AS d FROM big) AS s",
         lambda r: r[0][0] == n - 2 and abs(r[0][1]) < 2),
        ("Laplacian", "SELECT count(d), max(abs(d)) FROM (SELECT [*], v[#y - 1] + v[#y + 1] + v[#x - 1] + v[#x + 1] - 4 * v AS d FROM plane) AS s",
         lambda r: r[0] == ((H - 2) * (w - 2), 0)),
        ("a thousand ago", "SELECT count(d), min(d), max(d) FROM (SELECT [i], k - k[i - 1000] AS d FROM big) AS s", lambda r: r[0] == (n - 1000, 0, 0)),
        ("half of it ago", f"SELECT count(d), sum(d) FROM (SELECT [i], v - v[i - {half}] AS d FROM big) AS s", lambda r: r[0][0] == half and abs(r[0][1]) < half / 100),
        ("gather by column", f"SELECT count(*), count(g), sum(g) FROM (SELECT [i], k[i => to_i] AS g FROM (SELECT [i], k, i * 7919 % {n} AS to_i FROM big) AS s "
         f"WHERE i < {n // 64}) AS t",
         lambda r: r[0] == (n // 64, n // 64, sum(i * 7919 % n % 1000 for i in range(n // 64)))),
    ]


def functions(n, part):
    half, w = n // 2, n // H
    squares = 9 * (H - 1) * H * (2 * H - 1) // 6 * w + 42 * (H * (H - 1) // 2) * (w * (w - 1) // 2) + 49 * (w - 1) * w * (2 * w - 1) // 6 * H
    return [
        ("regrid to means", f"SELECT count(*), sum(v) FROM regrid(plane, [y => 31.5 : {H - 32.5} : 64.0, x => 31.5 : {w - 32.5} : 64.0], 'mean')",
         lambda r: r[0] == (H * w // 4096, (3 * (H - 1) / 2 + 7 * (w - 1) / 2) * H * w / 4096)),
        ("regrid to one mean", f"SELECT v FROM regrid(plane, [y => {H / 2 - 0.5} : {H / 2 - 0.5} : {H}.0, x => {w / 2 - 0.5} : {w / 2 - 0.5} : {w}.0], 'mean')",
         lambda r: r[0][0] == 3 * (H - 1) / 2 + 7 * (w - 1) / 2),
        ("regrid, linear", f"SELECT count(*), max(abs(v - 3 * y - 7 * x)) FROM (SELECT y, x, v FROM regrid(plane, [y => 0.5 : {H - 1.5}, x => 0.25 : {w - 1.75}], 'linear')) AS s",
         lambda r: r[0][0] == (H - 1) * (w - 1) and r[0][1] < 1e-6),
        ("regrid, cubic", f"SELECT count(*) FROM regrid(plane, [y => 0 : {H - 1} : 2, x => 0.5 : {w - 1.5}], 'cubic')", lambda r: r[0][0] == H // 2 * (w - 1), LONG),
        ("fft along y", "SELECT sum(re * re + im * im) FROM fft(plane, y)", lambda r: abs(r[0][0] / H / squares - 1) < 1e-9),
        ("fft along x", "SELECT sum(re * re + im * im) FROM fft(plane, x)", lambda r: abs(r[0][0] / w / squares - 1) < 1e-9),
        ("fft of long lines", f"SELECT sum(re * re + im * im), max(re) FROM fft(reshape((SELECT [*], v FROM big), [y => 0 : {n // 2**17 - 1}, x => 0 : {2**17 - 1}]), x)",
         lambda r: abs(r[0][0] / 2**17 / (n / 3) - 1) < 0.01 and abs(r[0][1] / 2**16 - 1) < 0.05),
        ("fft of a line too long", "SELECT max(re) FROM fft((SELECT [i], v FROM big), i)", "53200"),
        ("diff", "SELECT count(*), sum(d), sum(e) FROM (SELECT v AS d, k AS e FROM diff(big, i)) AS s", lambda r: r[0][0] == n - 1 and abs(r[0][1]) < 1 and r[0][2] == (n - 1) % 1000),
        ("roll", f"SELECT count(*), sum(k), bool_and(k = (i + {n} - 12345) % {n} % 1000) FROM roll(big, i, 12345)", lambda r: r[0][0] == n and r[0][2]),
        ("filled", f"SELECT count(*), sum(k) FROM filled((SELECT [*], k FROM big WHERE k = 7), 0)", lambda r: r[0] == (n, 7 * ((n + 992) // 1000))),
        ("reshape", f"SELECT count(*), bool_and(k = (y * {w} + x) % 1000) FROM reshape(big, [y => 0 : {H - 1}, x => 0 : {w - 1}])", lambda r: r[0] == (n, True)),
        ("reshape to a line", f"SELECT count(*), bool_and(v = 3 * (i // {w}) + 7 * (i % {w})) FROM reshape(plane, [i => 0 : {n - 1}])", lambda r: r[0] == (n, True)),
        ("concat", f"SELECT count(*), sum(k) - sum(i % 1000) FROM concat(big[* : {half - 1}], (SELECT [*], v + 1 AS v, k FROM big[{half} : *]), i)", lambda r: r[0] == (n, 0)),
        ("transpose", f"SELECT count(*), bool_and(v = 3 * y + 7 * x) FROM transpose(plane)", lambda r: r[0] == (n, True)),
        ("create a transpose", f"CREATE ARRAY turned AS SELECT * FROM transpose(plane)", None),
        ("join with its transpose", "SELECT count(*) FROM plane JOIN turned ON plane.y = turned.y AND plane.x = turned.x WHERE plane.v = turned.v", lambda r: r[0][0] == n),
        ("create of windows", "CREATE ARRAY smooth AS SELECT [*], avg(v) OVER [#y - 1 : #y + 1, #x - 1 : #x + 1] AS m FROM plane", None),
        ("what they hold", "SELECT count(*), max(m) FROM smooth", lambda r: r[0][0] == n and r[0][1] == 3 * (H - 1.5) + 7 * (w - 1.5)),
        ("drop them", "DROP ARRAY smooth", None),
        ("windows, long and short", "SELECT count(*), max(s) FROM (SELECT [*], avg(v) OVER [#y - 1 : #y + 1, #x - 1 : #x + 1] AS m, sum(v) OVER [* : y] AS s "
         "FROM plane) AS s WHERE m >= 0", lambda r: r[0] == (n, 3 * H * (H - 1) / 2 + 7 * (w - 1) * H), LONG),
        ("create of rows", f"CREATE ARRAY ranks AS SELECT i, v, row_number() OVER (ORDER BY v) AS r FROM big[0 : {part - 1}]", None),
        ("create of a join", f"CREATE ARRAY met AS SELECT [a.i], b.r FROM big[0 : {part - 1}] AS a JOIN ranks AS b ON a.v = b.v", None),
        ("what they hold", f"SELECT count(*), sum(r) FROM met", lambda r: r[0] == (part, part * (part + 1) // 2)),
    ]


def files(n, part, path):
    w = n // H
    total = (3 * (H - 1) / 2 + 7 * (w - 1) / 2) * n
    result = []
    for kind, name, read in [("zarr", "p.zarr", "read_zarr('{}')"), ("netcdf", "p.nc", "read_netcdf('{}')"), ("npz", "p.npz", "read_npz('{}', 'v')"),
                             ("npy", "p.npy", "read_npy('{}')"), ("raw", "p.raw", f"read_raw('{{}}', 'float64', [y => 0 : {H - 1}, x => 0 : {w - 1}])")]:
        file = f"{path}/{name}"
        result += [
            (f"copy to {kind}", f"COPY {'(SELECT [*], v FROM plane)' if kind == 'npy' else 'plane'} TO '{file}' (FORMAT {kind})", None),
            (f"read {kind}", f"SELECT count(*), sum(v) FROM {read.format(file)}", lambda r: r[0] == (n, total)),
        ]
    return result + [
        ("copy to binary", f"COPY (SELECT i, v, k FROM big[* : {part - 1}]) TO '{path}/p.bin' (FORMAT binary)", None),
        ("an array for it", f"CREATE ARRAY back (i BIGINT DIMENSION [0 : {n - 1}], v DOUBLE, k BIGINT)", None),
        ("copy from binary", f"COPY back FROM '{path}/p.bin' (FORMAT binary)", None),
        ("what it holds", f"SELECT count(*), count(*) FILTER (WHERE a.v = back.v AND a.k = back.k) FROM back JOIN big AS a ON a.i = back.i", lambda r: r[0] == (part, part)),
        ("copy from zarr", f"CREATE ARRAY zback AS SELECT * FROM read_zarr('{path}/p.zarr')", None),
        ("what that holds", "SELECT count(*) FROM plane JOIN zback ON plane.y = zback.y AND plane.x = zback.x WHERE plane.v = zback.v", lambda r: r[0][0] == n),
        ("drop that", "DROP ARRAY zback", None),
    ]


def changes(n, part):
    half = n // 2
    return [
        ("rewrite", "UPDATE big SET v = v + 1", None),
        ("after the rewrite", "SELECT min(v) >= 1 FROM big", lambda r: r[0][0] is True),
        ("copy of it", "CREATE ARRAY other AS SELECT [i], v * 2 AS w FROM big WHERE k < 500", None),
        ("update from", "UPDATE big SET v = o.w FROM other AS o WHERE o.i = big.i", None),
        ("after that", "SELECT count(*), count(*) FILTER (WHERE v >= 2) FROM big", lambda r: r[0] == (n, sum(1 for i in range(n % 1000) if i < 500) + n // 1000 * 500)),
        ("update from, by value", f"UPDATE big[* : {part - 1}] SET k = -o.k FROM (SELECT v AS ov, k FROM big[{part // 2} : {part * 2 - 1}]) AS o WHERE o.ov = big.v AND o.k > 0", None),
        ("after that", f"SELECT count(*) FILTER (WHERE k < 0) FROM big", lambda r: abs(r[0][0] / (part // 2 * 0.999) - 1) < 0.001),
        ("on conflict do update", f"INSERT INTO big SELECT [i], 1.0 AS v, 5 AS k FROM GRID [i => 0 : {part - 1}] ON CONFLICT (i) DO UPDATE SET v = excluded.v + 10, k = excluded.k * 7", None),
        ("after that", f"SELECT count(*), min(v), max(v), min(k), max(k) FROM big[* : {part - 1}]", lambda r: r[0] == (part, 11, 11, 35, 35)),
        ("on conflict replace", f"INSERT INTO big SELECT [i], 3.0 AS v, i % 1000 AS k FROM GRID [i => 0 : {half - 1}] ON CONFLICT REPLACE", None),
        ("returning", f"UPDATE big[* : {part // 4 - 1}] SET v = v + 1 RETURNING i, v, k", lambda r: len(r) == part // 4 and all(x[1] == 4 for x in r)),
        ("delete", "DELETE FROM big WHERE k >= 500", None),
        ("after the delete", "SELECT count(*) FROM big", lambda r: abs(r[0][0] / half - 1) < 0.01),
        ("filled", "SELECT count(*), count(*) FILTER (WHERE v = -1) FROM filled(big, v => -1, k => 0)", lambda r: r[0][0] == n and abs(r[0][1] / half - 1) < 0.01),
        ("resize", f"ALTER ARRAY plane DIMENSION y RESIZE [0 : {H // 2 - 1}]", None),
        ("after the resize", "SELECT count(*) FROM plane", lambda r: r[0][0] == half),
        ("resize back", f"ALTER ARRAY plane DIMENSION y RESIZE [0 : {H - 1}]", None),
        ("set tile", "ALTER ARRAY plane SET TILE (y = 37, x = 700)", None),
        ("after set tile", "SELECT count(*), bool_and(v = 3 * y + 7 * x) FROM plane", lambda r: r[0] == (half, True)),
        ("delete returning", f"DELETE FROM other[* : {part // 2 - 1}] RETURNING i, w", lambda r: len(r) == sum(1 for i in range(part // 2 % 1000) if i < 500) + part // 2 // 1000 * 500),
    ]


def matrices(n):
    """A square one, symmetric, whose diagonal weighs more than all else; a tall one."""
    side, tall = min(int(n ** 0.5), 8192), n // 64
    trace = side * side + sum(math.sin((i + 1) ** 2) for i in range(side))
    ones = "(SELECT [i], sum(v) AS v FROM {} GROUP BY i)"
    near = lambda r: r[0][0] < 1e-9  # noqa: E731
    same = lambda r: abs(r[0][0] / r[0][1] - 1) < 1e-9  # noqa: E731
    return [
        ("create a matrix", f"CREATE ARRAY mat AS SELECT [i], [j], sin((i + 1) * (j + 1)) + CASE WHEN i = j THEN {side} ELSE 0 END AS v FROM GRID [i => 0 : {side - 1}, j => 0 : {side - 1}]", None, SETUP),
        ("create a tall matrix", f"CREATE ARRAY tall AS SELECT [i], [j], random(9) AS v FROM GRID [i => 0 : {tall - 1}, j => 0 : 63]", None, SETUP),
        ("cholesky", "SELECT sum(v * v) FROM cholesky(mat)", lambda r: abs(r[0][0] / trace - 1) < 1e-9),
        ("solve", f"SELECT max(abs(v - 1)) FROM solve(mat, {ones.format('mat')})", near),
        ("lu", "WITH (p, l, u) AS lu(mat) SELECT (SELECT sum(v) FROM p), (SELECT max(abs(v)) FROM l)", lambda r: r[0] == (side, 1), LONG),
        ("qr", "WITH (q, r) AS qr(mat) SELECT sum(v * v), (SELECT sum(v * v) FROM mat) FROM r", same, LONG),
        ("inverse", f"SELECT max(abs(v - 1)) FROM inverse(mat) @ {ones.format('mat')}", near, LONG),
        ("a factor kept", "CREATE ARRAY factor AS SELECT * FROM cholesky(mat)", None),
        ("after that", "SELECT count(*), min(CASE WHEN i = j THEN v END) > 0, max(CASE WHEN j > i THEN abs(v) END) FROM factor", lambda r: r[0] == (side * side, True, 0)),
        ("qr of a tall matrix", "WITH (q, r) AS qr(tall) SELECT sum(v * v), (SELECT sum(v * v) FROM tall) FROM r", same),
        ("its orthogonal columns", "WITH (q, r) AS qr(tall) SELECT sum(v * v), 64 FROM q", same),
        ("lstsq of a tall matrix", f"SELECT max(abs(v - 1)) FROM lstsq(tall, {ones.format('tall')})", near),
        ("svd of a tall matrix", "WITH (u, s, vt) AS svd(tall) SELECT sum(v * v), (SELECT sum(v * v) FROM tall) FROM s", same),
        ("svd(m, 5)", "WITH (u, s, vt) AS svd(tall, 5) SELECT (SELECT max(v * v) FROM s), (SELECT sum(v * v) FROM u)",
         lambda r: abs(r[0][0] / (n / 4) - 1) < 0.02 and abs(r[0][1] - 5) < 1e-9),
        ("svd(m, 5) of a square one", "WITH (u, s, vt) AS svd(mat, 5) SELECT max(v), min(v) FROM s", lambda r: side < r[0][1] <= r[0][0] < 2 * side),
        ("svd", "WITH (u, s, vt) AS svd(mat) SELECT * FROM s", "53200"),
        ("eigh", "WITH (w, v) AS eigh(mat) SELECT * FROM w", "53200"),
    ]


def statements(n, path, part):
    """part: how many rows those statements take that sort and pair them."""
    result = basics(n) + groups(n, part) + rows(n, part) + joins(n, part) + cells(n) + functions(n, part) + files(n, part, path) + matrices(n) + changes(n, part)
    return [s if len(s) > 3 else (*s, None) for s in result]
