#!/usr/bin/python3
"""Functions of matrices larger than memory: the same bits as in memory, at any number of workers, and small residuals. Shapes span many
blocks of columns (factor.h), many leaves of rows (tsqr.h) and their edges.

    large_matrix_test.py [ROUNDS] [LIMIT_MIB]"""
import os
import shutil
import sys
import tempfile

import numpy as np
import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Count, Server, seed  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
LIMIT = int(sys.argv[2]) if len(sys.argv) > 2 else 32
SIDE = int((LIMIT << 17) ** 0.5)  # of a square that is as large as the limit
EPS = 2.3e-16


class Pair:
    """A server with memory enough and one worker, and one with little memory and four."""

    def __init__(self, count, folder, servers):
        self.count, self.folder = count, folder
        self.conns = [s.connect(prepare_threshold=None) for s in servers]

    def store(self, name, x):
        np.save(f"{self.folder}/{name}.npy", x)
        dims = ", ".join(f"[d{i} AS {d}]" for i, d in enumerate("ij"[:x.ndim]))
        for c in self.conns:
            c.execute(f"DROP ARRAY IF EXISTS {name}")
            c.execute(f"CREATE ARRAY {name} AS SELECT {dims}, v FROM read_npy('{self.folder}/{name}.npy')")

    def ask(self, sql):
        """The answer, which both must give to the bit."""
        answers = []
        for i, c in enumerate(self.conns):
            path = f"{self.folder}/out{i}.npy"
            if os.path.exists(path):
                os.remove(path)
            c.execute(f"COPY ({sql}) TO '{path}'")
            answers.append(np.load(path))
        self.count.check(answers[0].tobytes() == answers[1].tobytes(), f"{sql}: other bits with little memory")
        return answers[1]

    def results(self, names, call):
        return [self.ask(f"WITH ({names}) AS {call} SELECT * FROM {r}") for r in names.split(", ")]

    def close(self, name, got, want, scale):
        worst = float(np.max(np.abs(got - want), initial=0))
        self.count.check(got.shape == want.shape and worst <= scale * EPS, f"{name}: off by {worst}, {scale * EPS} allowed")


def orthogonal(p, name, q):
    p.close(f"{name}: orthogonal columns", q.T @ q, np.eye(q.shape[1]), 100 * sum(q.shape) ** 0.5)


def square(p, rng, n, real):
    kind = np.float32 if real else np.float64
    a, b = rng.normal(size=(n, n)).astype(kind), rng.normal(size=(n, 3)).astype(kind)
    p.store("a", a)
    p.store("b", b)
    what, unit = f"{n} × {n}{' real' if real else ''}", n * (6e8 if real else 10)
    size = np.linalg.norm(a, 2)
    x = p.ask("SELECT * FROM solve(a, b)")
    p.close(f"solve of {what}", a.astype(float) @ x, b, unit * size * np.max(np.abs(x)))
    x = p.ask("SELECT * FROM inverse(a)")
    p.close(f"inverse of {what}", a.astype(float) @ x, np.eye(n), unit * size * np.max(np.abs(x)))
    s = a.astype(float) @ a.T + n * 1e-3 * np.eye(n)
    p.store("s", s)
    c = p.ask("SELECT * FROM cholesky(s)")
    p.close(f"cholesky of {what}", c @ c.T, s, 10 * n * size * size)
    p.count.check(np.array_equal(c, np.tril(c)), f"cholesky of {what}: a triangle")
    sign, log = np.linalg.slogdet(a.astype(float) / np.sqrt(n / np.e))  # near 1, not 1e±4000
    d = p.ask(f"SELECT v FROM det((SELECT [i], [j], v::DOUBLE / sqrt({n} / exp(1::DOUBLE)) AS v FROM a))")
    p.count.check(np.sign(d.flat[0]) == sign and abs(np.log(abs(d.flat[0])) - log) < 1e-6 * n, f"det of {what}: {d}, {sign} e^{log}")


def oblong(p, rng, m, n):
    a = rng.normal(size=(m, n)) * 10.0 ** -np.linspace(0, rng.integers(0, 9), n)
    p.store("a", a)
    what, size = f"{m} × {n}", np.linalg.norm(a, 2)
    q, r = p.results("q, r", "qr(a)")
    p.close(f"qr of {what}", q @ r, a, 10 * (m + n) * size)
    orthogonal(p, f"qr of {what}", q)
    p.count.check(np.array_equal(r, np.triu(r)), f"qr of {what}: a triangle")
    x, low, up = p.results("p, l, u", "lu(a)") if m <= 3 * n else (None, None, None)
    if x is not None:
        p.close(f"lu of {what}", x @ (low @ up), a, 10 * (m + n) * size)
        p.count.check(np.array_equal(low, np.tril(low)) and np.array_equal(up, np.triu(up)) and np.max(np.abs(low)) == 1, f"lu of {what}: triangles")


def tall(p, rng, m, n):
    a, b = rng.normal(size=(m, n)) * 10.0 ** -np.linspace(0, 5, n), rng.normal(size=(m, 2))
    b += a[:, :1] * 3
    p.store("a", a)
    p.store("b", b)
    what, size = f"{m} × {n}", np.linalg.norm(a, 2)
    q, r = p.results("q, r", "qr(a)")
    p.close(f"qr of {what}", q @ r, a, 10 * (m + n) * size)
    orthogonal(p, f"qr of {what}", q)
    x, want = p.ask("SELECT * FROM lstsq(a, b)"), np.linalg.lstsq(a, b, rcond=None)[0]
    p.close(f"lstsq of {what}", x, want, 1e6 * 100 * np.max(np.abs(want)))
    full = np.linalg.svd(a, full_matrices=False)
    for call in ("svd(a)", "svd(transpose(a))", f"svd(a, {n // 8 + 1})", f"svd(transpose(a), {n // 8 + 1})"):
        u, s, vt = p.results("u, s, vt", call)
        k = len(s)
        best = full[0][:, :k] * full[1][:k] @ full[2][:k]
        loose = 1 if k == n else 1e7  # vectors of values that lie near each other turn
        p.close(f"{call} of {what}: values", s, full[1][:k], 100 * n * size)
        p.close(f"{call} of {what}", u * s @ vt, best.T if "transpose" in call else best, 100 * n * size * loose)
        orthogonal(p, f"{call} of {what}: left", u)
        orthogonal(p, f"{call} of {what}: right", vt.T)


def refused(p, sql, sqlstate, hint):
    try:
        p.conns[1].execute(sql)
        p.count.check(False, f"{sql}: not refused")
    except psycopg.Error as e:
        p.count.check(e.sqlstate == sqlstate and hint in (e.diag.message_hint or ""), f"{sql}: {e.sqlstate} {e} {e.diag.message_hint}")


def main():
    rng = np.random.default_rng(seed())
    count = Count()
    folder = tempfile.mkdtemp(prefix="tessera-large-matrix-")
    common = [f"file_root={folder}"]
    with Server(sets=["workers=1", "memory_limit=2GB", *common]) as roomy, Server(sets=["workers=4", f"memory_limit={LIMIT}MB", *common]) as tight:
        p = Pair(count, folder, [roomy, tight])
        for _ in range(ROUNDS):
            square(p, rng, int(rng.integers(SIDE // 8 * 7, SIDE)), False)
            square(p, rng, int(rng.integers(SIDE // 8 * 6, SIDE // 8 * 7)), True)
            n = int(rng.integers(SIDE // 4, SIDE // 2))
            oblong(p, rng, SIDE * SIDE // n // 4 * 5, n)
            oblong(p, rng, n, SIDE * SIDE // n // 4 * 5)
            n = int(rng.choice([1, 2, 17, 32, 33, 64, 100]))
            tall(p, rng, max(SIDE * SIDE * 5 // 4, 8 * 65536) // max(n, 8) + int(rng.integers(0, 5000)), n)
        n = SIDE + 5
        p.conns[1].execute(f"CREATE ARRAY large AS SELECT [i], [j], random(1) AS v FROM GRID [i => 0 : {n}, j => 0 : {n}]")
        refused(p, "WITH (u, s, vt) AS svd(large) SELECT * FROM s", "53200", "svd(m, 20)")
        refused(p, "WITH (w, v) AS eigh(large) SELECT * FROM w", "53200", "svd(m, 20)")
    shutil.rmtree(folder, ignore_errors=True)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
