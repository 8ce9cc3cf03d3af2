CREATE ARRAY sst (
    time  TIMESTAMP DIMENSION ['2020-01-01' : * : INTERVAL '1 day'] TILE 64,   -- grows
    lat   DOUBLE    DIMENSION [-89.875 : 89.875 : 0.25]             TILE 180,
    lon   DOUBLE    DIMENSION [0.125 : 359.875 : 0.25]              TILE 360,
    temp  REAL,
    qc    UTINYINT NOT NULL DEFAULT 0 CODEC 'shuffle,zstd(3)'
);
%%
CREATE ARRAY prices (
    day    DATE DIMENSION ['1990-01-01' : * : 1],
    ticker TEXT DIMENSION,                       -- labels join as they are first inserted
    close  DOUBLE
);
%%
CREATE ARRAY profile (depth DOUBLE DIMENSION (0, 10, 20, 30, 50, 75, 100), t REAL);   -- fixed labels
%%
CREATE ARRAY clim AS SELECT [lat], [lon], avg(temp) AS mean FROM sst GROUP BY lat, lon;
%%
CREATE VIEW  kelvin AS SELECT [*], temp + 273.15 AS k FROM sst;
%%
CREATE FUNCTION celsius(k) AS k - 273.15;
%%
CREATE OR REPLACE ARRAY a (i INT DIMENSION [0:9], v DOUBLE PRECISION);
%%
CREATE ARRAY IF NOT EXISTS a (i INT DIMENSION [0:9:1], v REAL);
%%
ALTER ARRAY a RENAME TO b; ALTER ARRAY a RENAME x TO y; ALTER ARRAY a ADD COLUMN v REAL; ALTER ARRAY a ADD v REAL DEFAULT -1 NOT NULL; ALTER ARRAY a DROP v; ALTER ARRAY a DROP COLUMN IF EXISTS v; ALTER ARRAY a DIMENSION d RESIZE [0:99]; ALTER ARRAY a SET (unit = 'K', x = 3);
%%
DROP ARRAY IF EXISTS a; DROP VIEW v; DROP FUNCTION IF EXISTS celsius; COMMENT ON ARRAY a IS 'x'; COMMENT ON COLUMN a.v IS NULL
%%
SELECT * FROM sst['2021-06-01':'2021-08-31', *, 0.125]
%%
SELECT * FROM sst[lat => 40:60, lon => *:*:2]
%%
SELECT * FROM sst[#time => -1, lat => NEAREST 47.4]
%%
SELECT * FROM sst[#time => -1, lat => NEAREST 47.4 TOLERANCE 0.1, lon => $1:$2, time=>$3::timestamp:'2021-01-01'::timestamp:2] AS s
%%
SELECT [time], [lat // 4 AS block], [*] FROM sst
%%
SELECT avg(temp)  OVER [lat - 0.25 : lat + 0.25, lon - 0.25 : lon + 0.25],
avg(temp)  OVER [#lat - 1 : #lat + 1, #lon - 1 : #lon + 1],
sum(rain)  OVER [* : time] AS c, max(close) OVER [#day - 251 : #day],
avg(temp)  OVER ([#x - 1 : #x + 1] EDGE WRAP), avg(temp)  OVER ([#x - 1 : #x + 1] EDGE NULL), avg(temp) OVER ([x : *] EDGE NEAREST) n FROM sst
%%
SELECT v[#i - 1] + v[#i + 1] - 2 * v, temp - temp[time - INTERVAL '1 year'], close / close[day => DATE '2020-01-02'], v[i => idx], a.v[i => idx] FROM a
%%
SELECT row_number() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW), lag(v, 1) OVER w, first_value(v) OVER (w ORDER BY x RANGE 3 PRECEDING) FROM t WINDOW w AS (PARTITION BY a)
%%
WITH q AS (SELECT 1), r(a,b) AS (VALUES (1,2)) SELECT DISTINCT a FROM q, (SELECT 2) s(x) WHERE EXISTS (SELECT 1) AND x IN (SELECT 3) AND y NOT IN (1,2,3) AND z BETWEEN 1 AND 2 AND n NOT LIKE '%x' ESCAPE '\' AND n ~ 'a.*' AND n !~* 'b' AND m IS NOT DISTINCT FROM 3 AND (a, b) = (1, 2) AND (a,b) IN ((1,2),(3,4)) AND v > ALL (SELECT 1) AND v = ANY($1) GROUP BY a HAVING count(*) > 1 ORDER BY a DESC NULLS FIRST, 2 LIMIT 10 OFFSET 3
%%
SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3 EXCEPT (SELECT 4 ORDER BY 1) ORDER BY 1 FETCH FIRST 3 ROWS ONLY
%%
SELECT CASE WHEN a THEN 1 ELSE 2 END, CASE x WHEN 1 THEN 'a' END, COALESCE(a,b), NULLIF(a,b), GREATEST(1,2), CAST(x AS DOUBLE PRECISION), x::int::text, -x::int, $1::real, E'a\'b\n', $$do$lar$$, $q$x$q$, 'a''b', INTERVAL '1' DAY, INTERVAL '1' YEAR TO MONTH, TIMESTAMP '2020-01-01', DATE '2020-01-01', x AT TIME ZONE 'UTC', extract(month FROM time), date_trunc('month', time), ARRAY[1,2], (SELECT 1), a[1], '{1}'::int[], ROW(1,2), x // 2, x % 3, x ^ 2, a # b, ~a, a & b, a | b, a << 2, a || b, trim(both 'x' from y), substring(a from 1 for 2), position('a' in b) FROM t
%%
SELECT avg(temp) FROM sst GROUP BY BLOCK [lat => 4, lon => 4, time => INTERVAL '1 month'], ticker
%%
SELECT a, sum(b) FILTER (WHERE b > 0) FROM t GROUP BY GROUPING SETS ((a), (a, b), ()), ROLLUP (a, b), CUBE (a)
%%
SELECT block FROM (SELECT [lat // 4 AS block], temp FROM sst) s GROUP BY block
%%
SELECT * FROM sst NATURAL JOIN clim; SELECT * FROM a JOIN b USING (lat, lon); SELECT * FROM a LEFT JOIN b ON a.t >= b.t AND a.x = b.y; SELECT * FROM a ASOF JOIN b ON a.t >= b.t; SELECT * FROM a JOIN b USING (lat) ALIGN NEAREST TOLERANCE 0.1 JOIN c ON true; SELECT * FROM a NATURAL JOIN b ALIGN NEAREST TOLERANCE 0.1 WHERE x; SELECT * FROM a CROSS JOIN b FULL OUTER JOIN c ON 1=1; SELECT * FROM (a JOIN b USING (x)) JOIN c USING (y)
%%
SELECT count(DISTINCT x), quantile(x, 0.5) FILTER (WHERE x > 0), argmin(x, d), string_agg(a, ',' ORDER BY b), array_agg(x), histogram(x, 0, 1, 10), first(x, d), last(x, d), mode() WITHIN GROUP (ORDER BY x) FROM t
%%
SELECT * FROM GRID [i => 0:99, j => 0:99] g; SELECT * FROM read_csv('f.csv'); SELECT * FROM read_netcdf('f.nc', 'SST')[lat => 3:4] n; SELECT * FROM generate_series(1, 10) AS g(x); VALUES (1,2),(3,4); SELECT * FROM (VALUES (1,2)) v(a,b)
%%
SELECT * FROM filled(a, 0), transpose(a), reshape(a, [i => 0:9, j => 0:9]), concat(a, b, dim), regrid(a, [x => 0:99], 'linear'), fft(a, dim), diff(a, dim), roll(a, dim, n), filled(sst[time => '2020-01-01':*, lat => 3], 0)
%%
SELECT random(1), random_normal(2) FROM GRID [i => 0:9]
%%
SELECT * FROM sst VERSION 12; SELECT * FROM sst[lat => 1:2] VERSION 12 s; SELECT * FROM sst AS OF TIMESTAMP '2026-01-01'; SELECT * FROM sst AS OF TIMESTAMP '2026-01-01' AS s, t AS u; VACUUM sst KEEP 3 VERSIONS; VACUUM; SELECT * FROM sys.versions
%%
SELECT * FROM a @ b; SELECT [a.i], [b.k], sum(a.v * b.v) AS v FROM a JOIN b ON a.j = b.j GROUP BY a.i, b.k; SELECT * FROM solve(gram, transpose(x) @ y); WITH (u, s, vt) AS svd(m, 20) SELECT * FROM s; SELECT * FROM a @ b @ c AS p, (a @ b)[i => 3] q, (SELECT * FROM a) @ b[j => 1:2]
%%
INSERT INTO a (x, v) VALUES (1, 2), (3, 4) ON CONFLICT REPLACE; INSERT INTO a SELECT * FROM b ON CONFLICT IGNORE; INSERT INTO a SELECT * FROM b JOIN c ON true ON CONFLICT ERROR; INSERT INTO img [x => 0:1, y => 0:2] VALUES ((1,2,3),(4,NULL,EMPTY)); INSERT INTO a VALUES (1,2) RETURNING *; INSERT INTO a (SELECT 1); INSERT INTO a VALUES (1) ON CONFLICT (i) DO UPDATE SET v = excluded.v; INSERT INTO a DEFAULT VALUES
%%
INSERT INTO vec [x => 0:2] VALUES (1, 2, EMPTY)
%%
UPDATE a[x => 1:2] SET v = v + 1, w = DEFAULT FROM b WHERE a.x = b.x; DELETE FROM a[x => 3] WHERE v IS NULL; TRUNCATE a; UPDATE a SET (v, w) = (1, 2)
%%
COPY a FROM 'f.nc'; COPY a FROM 'dir/*.npy' (FORMAT npy, ON CONFLICT REPLACE); COPY a FROM STDIN (FORMAT csv, HEADER true, DELIMITER ';', NULL ''); COPY a TO STDOUT (FORMAT binary); COPY (SELECT * FROM a) TO 'f.zarr' (FORMAT zarr); COPY a (x, v) FROM STDIN WITH CSV HEADER; COPY "t" (a) FROM stdin WITH DELIMITER AS ',' NULL AS '\\N'; COPY (a @ b) TO 'f'
%%
BEGIN; COMMIT; ROLLBACK; SAVEPOINT s; ROLLBACK TO s; RELEASE SAVEPOINT s; START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; END; ABORT; SET TRANSACTION READ ONLY
%%
EXPLAIN SELECT 1; EXPLAIN ANALYZE SELECT * FROM a @ b; EXPLAIN (ANALYZE, FORMAT json) SELECT 1; SHOW memory; SHOW ALL; SET memory = '1GB'; SET x TO DEFAULT; RESET ALL; SET TIME ZONE 'UTC'; PREPARE p (int, real) AS SELECT $1; EXECUTE p(1, 2.0); DEALLOCATE p; DEALLOCATE ALL; DECLARE c BINARY NO SCROLL CURSOR WITH HOLD FOR SELECT 1; FETCH 10 FROM c; FETCH NEXT FROM c; FETCH ALL c; FETCH c; CLOSE c; CHECK ARRAY a; BACKUP TO 'dir'; CANCEL 3; CREATE ROLE r LOGIN PASSWORD 'x'; ALTER ROLE r NOLOGIN; DROP ROLE r; GRANT SELECT, INSERT ON a, b TO r; REVOKE ALL ON a FROM r; GRANT r TO s; DISCARD ALL
%%
CREATE SCHEDULE nightly EVERY '1 hour' OFFSET '5 min' TIME ZONE 'Europe/Zurich' START '2020-01-01' END TIMESTAMP '2021-01-01' ON OVERLAP SKIP ON MISSED ALL MAX 5 RETRY 3 BACKOFF '10s' TIMEOUT '1h' SUSPEND AFTER 10 FAILURES AS INSERT INTO a SELECT 1
%%
CREATE SCHEDULE n CRON '0 3 * * 1-5' ON OVERLAP CANCEL ON MISSED ONCE AS $$ INSERT INTO a SELECT 1; DELETE FROM b $$; CREATE SCHEDULE n AFTER other ON OVERLAP QUEUE AS COPY (SELECT 1) TO 'x'; ALTER SCHEDULE nightly SUSPEND; ALTER SCHEDULE nightly RESUME; RUN SCHEDULE nightly; RUN SCHEDULE nightly FOR '2020-01-01' TO '2020-02-01'; DROP SCHEDULE nightly
%%
CREATE MATERIALIZED ARRAY m REFRESH EVERY '1 hour' INCREMENTAL AS SELECT 1; CREATE MATERIALIZED ARRAY m REFRESH ON COMMIT AS SELECT [lat] FROM a; CREATE MATERIALIZED ARRAY m REFRESH MANUAL AS SELECT 1
%%
SELECT [lat], avg(temp) FROM sst[time => '2021-01-01' : *] WHERE qc = 0 GROUP BY lat
%%
SELECT row, time, version, block, grid, empty, first, last, nearest, tolerance, dimension, tile, codec, edge, wrap, schedule, every, cron, values_ FROM t version WHERE t.block > 3 ORDER BY block
%%
