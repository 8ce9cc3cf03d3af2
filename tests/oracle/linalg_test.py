#!/usr/bin/python3
"""Functions of whole matrices against their residuals and NumPy's answers: sizes from 1 to some that span many tiles and blocks, well and
ill conditioned, REAL and DOUBLE, batches, sparse ones; and the errors of matrices that can't be.

    linalg_test.py [ROUNDS]"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 25
SIZES = [1, 2, 3, 5, 8, 17, 40, 64, 65, 130]
LARGE = [257, 300, 530]


def store(conn, name, dims, x, kind="DOUBLE", sparse=False):
    """The array as an array of the server; with `sparse` its zeros are EMPTY."""
    conn.execute(f"DROP ARRAY IF EXISTS {name}")
    columns = ", ".join(f"{d} INTEGER DIMENSION [0 : {max(n - 1, 0)}] TILE {max(1, min(n, 50))}" for d, n in zip(dims, x.shape))
    conn.execute(f"CREATE ARRAY {name} ({columns}, v {kind})")
    with conn.cursor().copy(f"COPY {name} FROM STDIN") as copy:
        for at in np.ndindex(*x.shape):
            if not sparse or x[at] != 0:
                copy.write_row((*map(str, at), repr(float(x[at]))))


def ask(conn, sql, shape):
    """The answer as an array of this shape: the last column by the others."""
    out = np.full(shape, np.nan)
    for row in conn.execute(sql).fetchall():
        out[tuple(row[:-1])] = row[-1]
    return out


def matrix(rng, m, n, kind):
    """A random m × n matrix: plain, of low rank, graded (ill conditioned) or sparse."""
    x = rng.normal(size=(m, n))
    if kind == "graded":
        x *= 10.0 ** -np.linspace(0, 8, n)
    elif kind == "sparse":
        x *= rng.random((m, n)) < 0.2
        x += np.eye(m, n)
    elif kind == "rank":
        r = max(1, min(m, n) // 2)
        x = rng.normal(size=(m, r)) @ rng.normal(size=(r, n))
    return x


def near(got, want, scale, eps):
    return got.shape == np.shape(want) and bool(np.all(np.abs(got - want) <= eps * scale + 1e-300))


def square(rng, count, conn, n, kind, real):
    a = matrix(rng, n, n, "plain" if kind == "rank" else kind)
    if real:
        a = a.astype(np.float32).astype(float)
    store(conn, "a", "ij", a, "REAL" if real else "DOUBLE", kind == "sparse")
    what = f"{n} × {n} {kind}{' real' if real else ''}"
    eps = (6e-6 if real else 1e-14) * n * 10
    norm, cond = np.linalg.norm(a), np.linalg.cond(a)
    inv = ask(conn, "SELECT * FROM inverse(a)", (n, n))
    count.check(near(a @ inv, np.eye(n), cond, eps), f"inverse of {what}")
    b = rng.normal(size=(n, 3))
    store(conn, "b", "ik", b)
    x = ask(conn, "SELECT * FROM solve(a, b)", (n, 3))
    count.check(near(a @ x, b, norm * np.linalg.norm(x), eps), f"solve of {what}")
    x = ask(conn, "SELECT * FROM solve(a, b[k => 1])", (n,))
    count.check(near(a @ x, b[:, 1], norm * np.linalg.norm(x), eps), f"solve of {what}, a vector")
    det = conn.execute("SELECT * FROM det(a)").fetchone()[0]
    want = np.linalg.det(a)
    if real and abs(want) > 1e38:  # past REAL's largest number
        want = det = np.sign(want) if np.isinf(det) and np.sign(det) == np.sign(want) else det
    count.check(abs(det - want) <= 1e-5 * abs(want) + 1e-37 if real else abs(det - want) <= 1e-8 * abs(want) * max(1, cond / 1e6), f"det of {what}: {det}, {want}")
    count.check(abs(conn.execute("SELECT * FROM trace(a)").fetchone()[0] - np.trace(a)) <= eps * norm, f"trace of {what}")
    count.check(abs(conn.execute("SELECT * FROM norm(a)").fetchone()[0] - norm) <= eps * norm, f"norm of {what}")
    p, l, u = (ask(conn, f"WITH (p, l, u) AS lu(a) SELECT * FROM {r}", (n, n)) for r in "plu")
    count.check(near(p @ l @ u, a, norm, eps) and np.array_equal(l, np.tril(l)) and np.array_equal(u, np.triu(u)) and np.all(p.sum(0) == 1) and np.all(np.abs(l) <= 1),
                f"lu of {what}")
    s = a @ a.T + np.eye(n) * 1e-3 * norm
    store(conn, "s", "ij", s)
    c = ask(conn, "SELECT * FROM cholesky(s)", (n, n))
    count.check(near(c @ c.T, s, norm * norm, 1e-14 * n * 10) and np.array_equal(c, np.tril(c)), f"cholesky of {what}")
    w, v = ask(conn, "WITH (w, v) AS eigh(s) SELECT * FROM w", (n,)), ask(conn, "WITH (w, v) AS eigh(s) SELECT * FROM v", (n, n))
    count.check(near(w, np.linalg.eigvalsh(s), norm * norm, 1e-14 * n * 10) and near(s @ v, v * w, norm * norm, 1e-13 * n * 10), f"eigh of {what}")


def oblong(rng, count, conn, m, n, kind):
    a = matrix(rng, m, n, kind)
    k = min(m, n)
    store(conn, "a", "ij", a, sparse=kind == "sparse")
    what, norm, eps = f"{m} × {n} {kind}", np.linalg.norm(a), 1e-14 * (m + n) * 10
    q, r = ask(conn, "WITH (q, r) AS qr(a) SELECT * FROM q", (m, k)), ask(conn, "WITH (q, r) AS qr(a) SELECT * FROM r", (k, n))
    count.check(near(q @ r, a, norm, eps) and near(q.T @ q, np.eye(k), 1, eps) and np.array_equal(r, np.triu(r)), f"qr of {what}")
    u, vt = ask(conn, "WITH (u, s, vt) AS svd(a) SELECT * FROM u", (m, k)), ask(conn, "WITH (u, s, vt) AS svd(a) SELECT * FROM vt", (k, n))
    s = ask(conn, "WITH (u, s, vt) AS svd(a) SELECT * FROM s", (k,))
    count.check(near(s, np.linalg.svd(a, compute_uv=False), norm, eps) and near(u * s @ vt, a, norm, eps) and near(u.T @ u, np.eye(k), 1, eps), f"svd of {what}")
    rows = conn.execute("WITH (u, s, vt) AS svd(a) SELECT max(abs(x.v - a.v)) FROM ((SELECT [u.i], [u.k], u.v * s.v AS v FROM u JOIN s ON u.k = s.k) @ vt) AS x JOIN a USING (i, j)").fetchone()[0]
    count.check(rows <= eps * norm, f"svd of {what}, put together by the server")
    p, l, t = ask(conn, "WITH (p, l, u) AS lu(a) SELECT * FROM p", (m, m)), ask(conn, "WITH (p, l, u) AS lu(a) SELECT * FROM l", (m, k)), ask(conn, "WITH (p, l, u) AS lu(a) SELECT * FROM u", (k, n))
    count.check(near(p @ l @ t, a, norm, eps), f"lu of {what}")
    b = rng.normal(size=m)
    store(conn, "b", "i", b)
    x, want = ask(conn, "SELECT * FROM lstsq(a, b)", (n,)), np.linalg.lstsq(a, b, rcond=None)[0]
    scale = np.linalg.norm(want) * (1e8 if kind == "graded" else 1e2)
    count.check(near(x, want, scale, eps), f"lstsq of {what}")


def batches(rng, count, conn):
    a, b = rng.normal(size=(3, 7, 7)), rng.normal(size=(3, 7))
    store(conn, "a", "tij", a)
    store(conn, "b", "ti", b)
    count.check(near(ask(conn, "SELECT * FROM solve(a, b)", (3, 7)), np.linalg.solve(a, b[..., None])[..., 0], 1, 1e-9), "solve of batches")
    count.check(near(ask(conn, "SELECT * FROM inverse(a)", (3, 7, 7)), np.linalg.inv(a), 1, 1e-9), "inverse of batches")
    count.check(near(ask(conn, "SELECT * FROM det(a)", (3,)), np.linalg.det(a), 1, 1e-8), "det of batches")
    count.check(near(ask(conn, "WITH (u, s, vt) AS svd(a) SELECT * FROM s", (3, 7)), np.linalg.svd(a, compute_uv=False), 1, 1e-12), "svd of batches")
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(4, 2))
    store(conn, "x", "ij", x)
    store(conn, "y", "kl", y)
    count.check(near(ask(conn, "SELECT * FROM kron(x, y)", (8, 6)), np.kron(x, y), 1, 1e-15), "kron")
    count.check(near(ask(conn, "SELECT * FROM outer(x, y)", (2, 3, 4, 2)), np.multiply.outer(x, y), 1, 1e-15), "outer")
    store(conn, "z", "ijk", rng.normal(size=(2, 3, 4)))
    z = ask(conn, "SELECT * FROM z", (2, 3, 4))
    w = rng.normal(size=(3, 4, 5))
    store(conn, "w", "jkl", w)
    count.check(near(ask(conn, "SELECT * FROM tensordot(z, w, 2)", (2, 5)), np.tensordot(z, w, 2), 1, 1e-13), "tensordot")


def main():
    rng = np.random.default_rng(seed())
    count = Count()
    with Server(sets=["workers=4", "memory_limit=64MB"]) as server:
        conn = server.connect(prepare_threshold=None)
        batches(rng, count, conn)
        for k in range(ROUNDS):
            n, m = (int(rng.choice(SIZES)) for _ in range(2))
            kind = str(rng.choice(["plain", "graded", "sparse", "rank"]))
            square(rng, count, conn, n, kind, bool(rng.random() < 0.3))
            oblong(rng, count, conn, m, n, kind)
        n = int(rng.choice(LARGE))
        square(rng, count, conn, n, "plain", False)
        oblong(rng, count, conn, n, 270, "plain")
        oblong(rng, count, conn, 270, n, "plain")
        conn.close()
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
