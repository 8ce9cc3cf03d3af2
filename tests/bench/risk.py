"""The risk desk of README.md ("A worked example"): prices arrive as CSV files in a folder, a schedule loads those that are new, another
one computes the profit and loss of every portfolio in every historical scenario, its 99 % value-at-risk and expected shortfall, and
keeps them per day. Beside it the same numbers by multiprocessing and NumPy, which must agree.

    risk.py [PORTFOLIOS INSTRUMENTS SCENARIOS]      (5000 2000 1500; --small: 60 50 80)
    risk.py --prices FILE.csv [PORTFOLIOS]          real prices: day,ticker,close with a header

The statements print as they run (--quiet: not)."""
import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of each of NumPy's processes; the server's threads are its own
import numpy as np  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Count, Server, until  # noqa: E402

SCHEMA = """
CREATE ARRAY prices (day DATE DIMENSION, ticker TEXT DIMENSION, close DOUBLE);
CREATE ARRAY exposures (portfolio BIGINT DIMENSION [0 : {portfolios} - 1], ticker TEXT DIMENSION, v DOUBLE);
CREATE ARRAY returns (scenario BIGINT DIMENSION [0 : *], ticker TEXT DIMENSION, v DOUBLE);
CREATE ARRAY pnl (portfolio BIGINT DIMENSION [0 : {portfolios} - 1], scenario BIGINT DIMENSION [0 : *], v DOUBLE);
CREATE ARRAY risk (day DATE DIMENSION, portfolio BIGINT DIMENSION [0 : {portfolios} - 1], var DOUBLE, es DOUBLE);
"""
# Prices as random walks, in four decimals; one file a month.
GENERATED = """
CREATE ARRAY walks AS SELECT [d], [i], round(100 * exp(sum(0.01 * random_normal(2)) OVER [d => * : d]), 4) AS close
    FROM GRID [d => 0 : {scenarios}, i => 0 : {instruments} - 1];
"""
MONTH = """COPY (SELECT DATE '2019-01-01' + d AS day, 'I' || lpad(i::text, 5, '0') AS ticker, close FROM walks[d => {lo} : {hi}]) TO '{file}'"""
EXPOSURES = """
INSERT INTO exposures SELECT portfolio, ticker, round(1000 * random_normal(1))
    FROM GRID [portfolio => 0 : {portfolios} - 1], (SELECT DISTINCT ticker FROM prices) AS t ORDER BY portfolio, ticker;
"""
ARRIVALS = """
CREATE SCHEDULE arrivals EVERY '5 min' AS COPY prices FROM '{inbox}/*.csv' (NEW ONLY, ON ERROR SKIP);
"""
NIGHTLY = """
CREATE SCHEDULE nightly CRON '0 3 * * 2-6' TIME ZONE 'Europe/Zurich' RETRY 3 TIMEOUT '1h' AS $$
    TRUNCATE returns;
    TRUNCATE pnl;
    INSERT INTO returns SELECT #day - 1, ticker, close / close[#day - 1] - 1 FROM prices WHERE #day > 0;
    INSERT INTO pnl
        SELECT [e.portfolio], [r.scenario], sum(e.v * r.v) AS v FROM exposures AS e JOIN returns AS r ON e.ticker = r.ticker
        GROUP BY e.portfolio, r.scenario;
    INSERT INTO risk
        SELECT [scheduled_time()::date AS day], [portfolio], -max(q) AS var, -avg(v) FILTER (WHERE v <= q) AS es
        FROM pnl JOIN (SELECT [portfolio], quantile(v, 0.01) AS q FROM pnl GROUP BY portfolio) AS worst USING (portfolio)
        GROUP BY portfolio
$$;
"""


# ---- the same by NumPy ----

def of_block(task):
    """Value-at-risk and expected shortfall of some portfolios."""
    exposures, returns, lo, hi = task
    pnl = np.load(exposures, mmap_mode="r")[lo:hi] @ np.load(returns, mmap_mode="r").T
    q = np.quantile(pnl, 0.01, axis=1)
    tail = pnl <= q[:, None]
    return -q, -(np.where(tail, pnl, 0).sum(axis=1) / tail.sum(axis=1))


def with_numpy(folder, processes):
    """From prices and exposures in files to the results in one."""
    start = time.perf_counter()
    prices, exposures = np.load(f"{folder}/prices.npy"), f"{folder}/exposures.npy"
    np.save(f"{folder}/returns.npy", prices[1:] / prices[:-1] - 1)
    n = np.load(exposures, mmap_mode="r").shape[0]
    step = max(1, n // (4 * processes))
    with multiprocessing.Pool(processes) as pool:
        parts = pool.map(of_block, [(exposures, f"{folder}/returns.npy", lo, min(lo + step, n)) for lo in range(0, n, step)])
    var, es = (np.concatenate(p) for p in zip(*parts))
    np.savez(f"{folder}/risk.npz", var=var, es=es)
    return time.perf_counter() - start, var, es


def processor_s(of):
    """Seconds of processors so far: of a process, or (None) of this one and its children that have ended."""
    if of is None:
        return sum(os.times()[:4])
    with open(f"/proc/{of}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- the desk ----

class Desk:
    def __init__(self, server, args, folder):
        self.conn, self.args, self.folder = server.connect(prepare_threshold=None), args, folder
        self.sizes = dict(portfolios=args.sizes[0], instruments=args.sizes[1], scenarios=args.sizes[2])

    def run(self, sql, **more):
        sql = sql.format(**self.sizes, **more).strip()
        if not self.args.quiet:
            print(sql, end="\n\n")
        return self.conn.execute(sql)

    def rows(self, sql):
        return self.conn.execute(sql).fetchall()

    def fill_inbox(self, inbox):
        if self.args.prices:
            shutil.copy(self.args.prices, f"{inbox}/prices.csv~")
            os.rename(f"{inbox}/prices.csv~", f"{inbox}/prices.csv")
            return
        self.run(GENERATED)
        for lo in range(0, self.sizes["scenarios"] + 1, 31):
            self.conn.execute(MONTH.format(lo=lo, hi=min(lo + 30, self.sizes["scenarios"]), file=f"{inbox}/{lo:05}.csv"))
        self.conn.execute("DROP ARRAY walks")

    def slot(self, name, day):
        """Runs the slots of a day and says how long each took, by the records of the runs."""
        self.conn.execute(f"RUN SCHEDULE {name} FOR '{day} 00:00' TO '{day} 23:59'" if day else f"RUN SCHEDULE {name}")
        what = f"FROM sys.schedule_runs WHERE schedule = '{name}'"
        until(lambda: not self.rows(f"SELECT 1 {what} AND status IN ('queued', 'running')"))
        return self.rows(f"SELECT status, extract(epoch FROM finished_at - started_at), message {what} ORDER BY slot DESC LIMIT 1")[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", type=int, nargs="*", default=[5000, 2000, 1500])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--prices")
    parser.add_argument("--days", type=int, default=3, help="nights that are run")
    args = parser.parse_args()
    args.sizes = [60, 50, 80] if args.small else (args.sizes + [5000, 2000, 1500][len(args.sizes):])[:3]
    count, folder = Count(), tempfile.mkdtemp(prefix="tessera-risk-")
    os.mkdir(f"{folder}/inbox")
    with Server() as server:
        desk = Desk(server, args, folder)
        desk.run(SCHEMA)
        desk.fill_inbox(f"{folder}/inbox")
        n_files = len(os.listdir(f"{folder}/inbox"))
        desk.run(ARRIVALS, inbox=f"{folder}/inbox")
        status, seconds, message = desk.slot("arrivals", None)
        count.equal(status, "succeeded", f"arrivals: {message}")
        n = desk.rows("SELECT count(*) FROM prices")[0][0]
        print(f"{n:,} prices from {n_files} files: {seconds:.2f} s")
        count.equal(desk.slot("arrivals", None)[0], "succeeded", "arrivals, again")
        count.equal(desk.rows("SELECT count(*) FROM sys.files WHERE status = 'loaded'")[0][0], n_files, "files, each once")
        count.equal(desk.rows("SELECT sum(cells) FROM sys.files")[0][0], n, "their cells")
        desk.run(EXPOSURES)
        desk.run(NIGHTLY)
        days = [f"2024-06-{d:02}" for d in (4, 5, 6, 7, 11, 12, 13, 14)[:args.days]]
        times, spent = [], processor_s(server.process.pid)
        for day in days:
            status, seconds, message = desk.slot("nightly", day)
            count.equal(status, "succeeded", f"nightly {day}: {message}")
            times.append(float(seconds))
        spent = (processor_s(server.process.pid) - spent) / len(days)
        count.equal(desk.rows("SELECT count(*), count(DISTINCT day) FROM risk"), [(args.sizes[0] * args.days, args.days)], "risk, each night once")
        desk.conn.execute(f"COPY (SELECT [#day AS d], [#ticker AS t], close FROM prices) TO '{folder}/prices.npy'")
        desk.conn.execute(f"COPY (SELECT [portfolio], [#ticker AS t], v FROM exposures) TO '{folder}/exposures.npy'")
        processes = len(os.sched_getaffinity(0))
        theirs = processor_s(None)
        peer = [with_numpy(folder, processes) for _ in days]
        theirs = (processor_s(None) - theirs) / len(days)
        got = np.array(desk.rows(f"SELECT var, es FROM risk[day => '{days[0]}'] ORDER BY portfolio"), dtype=float)
        for name, a, b in (("var", got[:, 0], peer[0][1]), ("es", got[:, 1], peer[0][2])):
            count.check(np.allclose(a, b, rtol=1e-9, atol=1e-6), f"{name}: {a[:3]} {b[:3]}")
        print(f"a night: {statistics.median(times):.2f} s, {spent:.2f} s of processors; "
              f"NumPy with {processes} processes: {statistics.median(p[0] for p in peer):.2f} s, {theirs:.2f} s of processors")
    shutil.rmtree(folder)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
