#!/usr/bin/python3
"""regrid and fft of random arrays, compared with xarray's interp (SciPy), with averages by hand, and with numpy.fft."""
import os
import random
import sys

import numpy as np
import xarray as xr

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
SETTINGS = ["SET max_workers = 1", "SET tile_cache = off", "SET optimizer = off"]


def axis(rng, k, n):
    """Coordinates (numbers that floats hold exactly), and how SQL says them."""
    step, lo = rng.choice([0.25, 0.5, 1, 2]), rng.randint(-8, 8)
    if rng.random() < 0.25 and n > 1:  # labels
        coords = np.cumsum([rng.choice([0.25, 0.5, 1.5]) for _ in range(n)]) + lo
        return coords, f"d{k} DOUBLE DIMENSION ({', '.join(map(str, coords))})"
    if rng.random() < 0.2:
        step = -step
    coords = lo + step * np.arange(n)
    return coords, f"d{k} DOUBLE DIMENSION [{coords[0]} : {coords[-1]} : {step}]"


def new_axis(rng, coords):
    """A regular axis about the old one, sometimes past its ends or turned round."""
    a, b = sorted((coords[0], coords[-1]))
    step = rng.choice([0.125, 0.5, 0.75, 1, 3])
    lo = a + rng.choice([-1, -0.5, 0, 0.125, 0.5])
    n = max(1, int((b - lo) / step) + rng.randint(-1, 2))
    out = lo + step * np.arange(n)
    if rng.random() < 0.2:
        out, step = out[::-1], -step
    return out, f"{out[0]} : {out[-1]} : {step}"


def cell_bounds(x):
    """Half-way to the neighbours; at the ends as far out as in."""
    if len(x) == 1:
        return np.array([x[0] - 0.5]), np.array([x[0] + 0.5])
    half = np.diff(x) / 2
    lo, hi = np.concatenate([half[:1], half]), np.concatenate([half, half[-1:]])
    return x - lo, x + hi


def mean_weights(old, new, step):
    """new × old: the part of each old cell (times its width) that a new cell covers."""
    turned_old, turned_new = old[0] > old[-1], new[0] > new[-1]
    x, y = (old[::-1] if turned_old else old), (new[::-1] if turned_new else new)
    lo, hi = cell_bounds(x)
    a, b = cell_bounds(y)
    if len(y) == 1:
        a, b = y - abs(step) / 2, y + abs(step) / 2
    w = np.clip(np.minimum(b[:, None], hi[None]) - np.maximum(a[:, None], lo[None]), 0, None)
    w[w < 1e-9 * (hi - lo)] = 0
    w = w[::-1] if turned_new else w
    return w[:, ::-1] if turned_old else w


def by_hand(values, olds, news, steps):
    """Means of what is there: values with NaN for NULL."""
    total, weight = np.where(np.isnan(values), 0, values), (~np.isnan(values)).astype(float)
    for d, (old, new, step) in enumerate(zip(olds, news, steps)):
        if new is None:
            continue
        w = mean_weights(old, new, step)
        total = np.moveaxis(np.tensordot(w, total, (1, d)), 0, d)
        weight = np.moveaxis(np.tensordot(w, weight, (1, d)), 0, d)
    with np.errstate(all="ignore"):
        return np.where(weight > 0, total / weight, np.nan)


def interpolated(values, olds, news, method):
    a = xr.DataArray(values, dims=[f"d{k}" for k in range(values.ndim)], coords={f"d{k}": x for k, x in enumerate(olds)})
    for k, new in enumerate(news):  # one axis after the other: a cell on the old axis needs no neighbour
        if new is None:
            continue
        out = a.interp({f"d{k}": new}, method=method, assume_sorted=False)
        exact = np.isin(new, olds[k])
        if exact.any():
            on = a.sel({f"d{k}": new[exact]})
            out[{f"d{k}": np.flatnonzero(exact)}] = on
        a = out
    return a.values


def ask(conn, sql, shape, olds):
    """The answer as an array; NaN where no cell is."""
    out = np.full(shape, np.nan)
    places = [{float(x): i for i, x in enumerate(axis)} for axis in olds]
    for row in conn.execute(sql).fetchall():
        if row[-1] is not None:
            out[tuple(p[float(x)] for p, x in zip(places, row))] = row[-1]
    return out


def close(got, want):
    return got.shape == want.shape and np.array_equal(np.isnan(got), np.isnan(want)) and np.allclose(got, want, rtol=1e-11, atol=1e-9, equal_nan=True)


def one_array(rng, count, conns, names):
    shape = [rng.randint(2, 12) for _ in range(rng.choice([1, 2, 2, 3]))]
    axes = [axis(rng, k, n) for k, n in enumerate(shape)]
    olds, dims = [a[0] for a in axes], [f"d{k}" for k in range(len(shape))]
    values = np.array([rng.randint(-999, 999) / 8 for _ in range(int(np.prod(shape)))]).reshape(shape)
    if rng.random() < 0.4:
        values[np.array([rng.random() < 0.1 for _ in range(values.size)]).reshape(shape)] = np.nan  # NULL or EMPTY
    keep_nulls = rng.random() < 0.5
    rows = []
    for at in np.ndindex(*shape):
        v = values[at]
        if np.isnan(v) and not keep_nulls:
            continue
        rows.append("(" + ", ".join([repr(float(olds[k][i])) for k, i in enumerate(at)] + ["NULL" if np.isnan(v) else repr(float(v))]) + ")")
    conn = conns[0]
    for name, tiles in names:
        conn.execute(f"CREATE ARRAY {name} ({', '.join(a[1] + tiles for a in axes)}, v DOUBLE)")
        if rows:
            conn.execute(f"INSERT INTO {name} VALUES {', '.join(rows)}")
    for _ in range(4):
        which = [rng.random() < 0.6 for _ in shape]
        which[rng.randrange(len(shape))] = True
        new = [new_axis(rng, x) if w else None for x, w in zip(olds, which)]
        news = [None if x is None else x[0] for x in new]
        steps = [0 if x is None else float(x[1].split(" : ")[2]) for x in new]
        method = rng.choice(["nearest", "linear", "mean"])
        if method == "mean":
            want = by_hand(values, olds, news, steps)
        else:
            want = interpolated(values, olds, news, method)
            if method == "nearest":  # SciPy's ties are not the lower position's
                clear = [np.array([np.sum(np.isclose(np.abs(o - x), np.min(np.abs(o - x)))) == 1 for x in n]) if n is not None else np.ones(len(o), bool)
                         for n, o in zip(news, olds)]
        bracket = ", ".join(f"{d} => {x[1]}" for d, x in zip(dims, new) if x is not None)
        outs = [o if n is None else n for o, n in zip(olds, news)]
        first = None
        for c in conns:
            for name, _ in names:
                got = ask(c, f"SELECT {', '.join(dims)}, v FROM regrid({name}, [{bracket}], '{method}')", [len(o) for o in outs], outs)
                if first is None:
                    first = got
                    a, b = (got, want) if method != "nearest" else (got[np.ix_(*clear)], want[np.ix_(*clear)])
                    count.check(close(a, b), f"{method} {bracket} of {[a[1] for a in axes]}:\n{got}\n{want}")
                count.check(got.tobytes() == first.tobytes(), f"{method} {bracket}: another answer")
    d = rng.randrange(len(shape))
    sql = "SELECT {}, {} FROM fft((SELECT [*], v FROM filled_{}), " + dims[d] + ")"
    filled = np.nan_to_num(values)
    spectrum = np.fft.fft(filled, axis=d)
    outs = [np.arange(len(o)) if k == d else o for k, o in enumerate(olds)]
    if not np.isnan(values).any() or not keep_nulls:
        for part, want in (("re", spectrum.real), ("im", spectrum.imag)):
            got = ask(conn, sql.format(", ".join(dims), part, "").replace("filled_", names[0][0]), shape, outs)
            count.check(got.shape == want.shape and np.allclose(got, want, rtol=1e-12, atol=1e-9), f"fft {part} along {d}: {got} {want}")
    for name, _ in names:
        conn.execute(f"DROP ARRAY {name}")


def large(count, conn, name):
    """A mean of everything, and smooth values that a cubic follows."""
    conn.execute(f"CREATE ARRAY {name} (x DOUBLE DIMENSION [0 : 99.9 : 0.1], y DOUBLE DIMENSION [0 : 49.9 : 0.1], v DOUBLE)")
    conn.execute(f"INSERT INTO {name} SELECT [x], [y], sin(x / 5) * cos(y / 7) FROM GRID [x => 0.0 : 99.9 : 0.1, y => 0.0 : 49.9 : 0.1]")
    got = conn.execute(f"SELECT v FROM regrid({name}, [x => 49.95 : 49.95 : 100.0, y => 24.95 : 24.95 : 50.0], 'mean')").fetchall()
    want = conn.execute(f"SELECT avg(v) FROM {name}").fetchone()[0]
    count.check(len(got) == 1 and abs(got[0][0] - want) < 1e-13, f"mean of everything: {got}, {want}")
    worst = conn.execute(f"SELECT max(abs(v - sin(x / 5) * cos(y / 7))), count(v) FROM regrid({name}, [x => 0.05 : 99.85 : 0.1, y => 0.05 : 49.85 : 0.1], 'cubic')").fetchone()
    count.check(worst[1] == 999 * 499 and worst[0] < 1e-5, f"cubic of a smooth field: {worst}")
    blocks = conn.execute(f"SELECT max(abs(r.v - b.m)) FROM regrid({name}, [x => 0.45 : 99.45 : 1.0], 'mean') AS r JOIN "
                          f"(SELECT [x // 1 + 0.45 AS x], [y], avg(v) AS m FROM {name} GROUP BY x // 1 + 0.45, y) AS b USING (x, y)").fetchone()[0]
    count.check(blocks is not None and blocks < 1e-13, f"means of ten are block averages: {blocks}")


def main():
    rng = random.Random(seed())
    count = Count()
    with Server(sets=["workers=4", "memory_limit=64MB"]) as server:
        conns = [server.connect(prepare_threshold=None)]
        for s in SETTINGS:
            conns.append(server.connect(prepare_threshold=None))
            conns[-1].execute(s)
        for _ in range(ROUNDS):
            one_array(rng, count, conns, [("a", ""), ("b", " TILE 3")])
        large(count, conns[0], "big")
        for c in conns:
            c.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
