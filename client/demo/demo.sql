-- Real climate data (Debian's ferret-datasets), and what a climate analyst asks of it.
\set ECHO queries
\timing on

\echo
\echo '== Loading: a NetCDF file becomes an array; its coordinates become dimensions'
CREATE OR REPLACE ARRAY coads AS SELECT * FROM read_netcdf('/usr/share/ferret-vis/data/coads_climatology.cdf');
CREATE OR REPLACE ARRAY relief AS SELECT * FROM read_netcdf('/usr/share/ferret-vis/data/etopo120.cdf');
CREATE OR REPLACE ARRAY winds AS SELECT * FROM read_netcdf('/usr/share/ferret-vis/data/monthly_navy_winds.cdf');
CREATE OR REPLACE ARRAY ocean AS SELECT * FROM read_netcdf('/usr/share/ferret-vis/data/ocean_atlas_subset.nc');
\dt
\d coads

\echo
\echo '== 1. Global mean sea-surface temperature; a cell near the pole is smaller: weight by cos(latitude)'
SELECT avg(sst, cos(radians(coadsy))) AS mean_sst, avg(sst) AS unweighted FROM coads;

\echo
\echo '== 2. Zonal means: bands of 30 degrees'
SELECT coadsy // 30 * 30 AS from_lat, round(avg(sst), 2) AS sst, round(avg(airt), 2) AS air, count(sst) AS cells
FROM coads GROUP BY from_lat ORDER BY from_lat DESC;

\echo
\echo '== 3. The warmest and the coldest cell of the year, and where they are'
SELECT max(sst) AS warmest, argmax(sst, coadsy) AS lat, argmax(sst, coadsx) AS lon, argmax(sst, extract(month FROM time)) AS month,
       min(sst) AS coldest, argmin(sst, coadsy) AS cold_lat, argmin(sst, coadsx) AS cold_lon
FROM coads;

\echo
\echo '== 4. Seasonal range: where do the seasons change the sea most?'
SELECT coadsy AS lat, round(avg(range), 2) AS mean_range, max(range) AS largest
FROM (SELECT [coadsy], [coadsx], max(sst) - min(sst) AS range FROM coads GROUP BY coadsy, coadsx HAVING count(sst) = 12) AS yearly
GROUP BY coadsy ORDER BY mean_range DESC LIMIT 5;

\echo
\echo '== 5. Wind speed over the tropics from its components, by month of eleven years'
SELECT extract(month FROM time) AS month, round(avg(sqrt(uwnd ^ 2 + vwnd ^ 2)), 2) AS speed, max(sqrt(uwnd ^ 2 + vwnd ^ 2)) AS strongest
FROM winds[fnocy => -20 : 20] GROUP BY month ORDER BY month;

\echo
\echo '== 6. Mean temperature of the ocean by depth'
SELECT zaxlevit19 AS depth, round(avg(temp, cos(radians(yax_subset))), 2) AS mean_temp, min(temp) AS coldest, max(temp) AS warmest
FROM ocean GROUP BY depth ORDER BY depth;

\echo
\echo '== 7. Sea-surface temperature by the depth of the sea floor: a join with topography'
SELECT r.rose // 1000 * 1000 AS floor_m, count(*) AS cells, round(avg(c.sst), 2) AS mean_sst
FROM coads[#time => 0] AS c JOIN relief AS r ON c.coadsy = r.etopo120y AND c.coadsx = r.etopo120x
WHERE r.rose < 0 AND c.sst IS NOT NULL
GROUP BY floor_m ORDER BY floor_m DESC;

\echo
\echo '== 8. The home of El Niño: monthly mean of the central Pacific, as anomaly of its year'
SELECT extract(month FROM time) AS month, round(avg(sst), 2) AS sst,
       round(avg(sst) - (SELECT avg(sst) FROM coads[coadsy => -5 : 5, coadsx => 190 : 240]), 2) AS anomaly
FROM coads[coadsy => -5 : 5, coadsx => 190 : 240] GROUP BY month ORDER BY month;

\echo
\echo '== 9. Larger than memory: pi from 10,000,000,000 grid points, those inside a quarter circle of radius 100,000'
SELECT count(*) * 4 / 1e10 AS pi FROM GRID [i => 0 : 99999, j => 0 : 99999] WHERE (i + 0.5) ^ 2 + (j + 0.5) ^ 2 < 1e10;

\echo
\echo '== What it took: the plan of question 1, and what it read'
EXPLAIN ANALYZE SELECT avg(sst, cos(radians(coadsy))) AS mean_sst FROM coads;
