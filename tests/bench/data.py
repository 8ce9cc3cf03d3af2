"""Which numbers does a workload work on? Arrays made from seeds, in memory for NumPy and stored in Tessera when first used.

smooth: waves in every direction, all bits of the doubles in use; decimal: the same with noise, rounded to two decimals, as
instruments write; noise: normal; integers: below 1,000; sparse: 1 % of the cells, the others 0; clustered: rising with the
cell's place, with noise, so that a small part of the tiles holds what a narrow filter asks for."""
import os

import numpy as np

TYPES = {"float64": "DOUBLE", "int64": "BIGINT", "float32": "REAL", "int32": "INTEGER"}


def in_slabs(shape, fill, dtype=float):
    """An array filled a slab of its first axis at a time: no temporary is as large as the result."""
    out = np.empty(shape, dtype)
    step = max(1, (1 << 20) // max(1, int(np.prod(shape[1:]))))
    for lo in range(0, shape[0], step):
        out[lo:lo + step] = fill(lo, out[lo:lo + step].shape)
    return out


def waves(shape, rng):
    """For each axis a sum of a long and a short wave."""
    out = []
    for n in shape:
        x = np.arange(n)
        out.append(sum(size * np.sin(2 * np.pi * (x / length + rng.random()))
                       for size, length in ((30, max(50, n / 1.7)), (2, max(20, n / 23)))))
    return out


def smooth(shape, rng):
    w = waves(shape, rng)
    rest = sum(v.reshape([-1 if i == d else 1 for i in range(1, len(shape))]) for d, v in enumerate(w[1:], 1)) if len(w) > 1 else 0
    return in_slabs(shape, lambda lo, s: 280 + w[0][lo:lo + s[0]].reshape([-1] + [1] * (len(s) - 1)) * (1 + rest / 100) + rest)


def decimal(shape, rng):
    out = smooth(shape, rng)
    step = max(1, (1 << 20) * shape[0] // out.size)
    for lo in range(0, shape[0], step):
        part = out[lo:lo + step]
        np.round(part + rng.normal(0, 0.5, part.shape), 2, out=part)
    return out


def noise(shape, rng):
    return rng.standard_normal(shape)


def integers(shape, rng):
    return rng.integers(0, 1000, shape)


def distinct(shape, rng):
    """Integers of a tenth as many values as there are cells."""
    return rng.integers(0, max(1, int(np.prod(shape)) // 10), shape)


def sparse(shape, rng):
    return in_slabs(shape, lambda lo, s: np.where(rng.random(s) < 0.01, rng.random(s), 0.0))


def clustered(shape, rng):
    size = int(np.prod(shape))
    inner = size // shape[0]
    return in_slabs(shape, lambda lo, s: (np.arange(lo * inner, lo * inner + int(np.prod(s))) / size).reshape(s)
                    + rng.normal(0, 1e-4, s))


def relief(shape, rng):
    """The Earth's, from ferret-datasets (an eighth of a degree and less), over and over, each time a little higher."""
    from scipy.io import netcdf_file
    with netcdf_file(RELIEF, mmap=False) as f:
        grid = max((v for v in f.variables.values() if len(v.shape) == 2), key=lambda v: v[:].size)[:].astype(float)
    size = int(np.prod(shape))
    out = np.empty(size)
    for k, lo in enumerate(range(0, size, grid.size)):
        part = out[lo:lo + grid.size]
        part[:] = grid.reshape(-1)[:part.size] + k
    return out.reshape(shape)


RELIEF = "/usr/share/ferret-vis/data/etopo5.cdf"


class Data:
    """An array: its dimensions with their lengths, and for each attribute a function above. `axes`: for a dimension its definition
    here and what it is in DuckDB, made of its position, where it is not BIGINT from 0. `tile`: its length in each dimension, where the
    engine is not to choose."""

    def __init__(self, name, dims, axes=None, tile=None, **attrs):
        self.name, self.dims, self.axes, self.tile, self.attrs = name, dims, axes or {}, tile, attrs
        self.arrays, self.stored = {}, False

    shape = property(lambda self: tuple(self.dims.values()))
    size = property(lambda self: int(np.prod(self.shape)))
    nbytes = property(lambda self: sum(a.nbytes for a in self.arrays.values()))

    def __getitem__(self, attr):
        return self.arrays[attr]

    def make(self):
        """NumPy's copies; the same at every run."""
        for k, (attr, maker) in enumerate(self.attrs.items()):
            if attr not in self.arrays:
                seed = sum(ord(c) for c in self.name) * 100 + k
                self.arrays[attr] = maker(self.shape, np.random.default_rng(seed)) if callable(maker) else maker

    def definition(self, name=None, axes=None):
        axes = self.axes if axes is None else axes
        dims = ", ".join(f"{d} " + (axes[d][0] if d in axes else f"BIGINT DIMENSION [0 : {n - 1}]")
                         + (f" TILE {self.tile}" if self.tile else "")
                         for d, n in self.dims.items())
        attrs = ", ".join(f"{a} {TYPES[x.dtype.name]} NOT NULL" for a, x in self.arrays.items())
        return f"CREATE ARRAY {name or self.name} ({dims}, {attrs})"

    def save(self, path):
        """As .npy; of several attributes as records."""
        if len(self.arrays) == 1:
            np.save(path, next(iter(self.arrays.values())))
            return
        kind = np.dtype([(a, x.dtype) for a, x in self.arrays.items()])
        out = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=self.shape)
        for a, x in self.arrays.items():
            out[a] = x
        out.flush()

    def store(self, conn, dir):
        """In Tessera."""
        if self.stored:
            return
        path = os.path.join(dir, self.name + ".npy")
        self.save(path)
        conn.execute(self.definition())
        if self.axes:                   # .npy has positions only
            conn.execute(self.definition("positions", {}))
            conn.execute(f"COPY positions FROM '{path}'")
            dims = [f"[{self.axes[d][1].format(d)} AS {d}]" if d in self.axes else f"[{d}]" for d in self.dims]
            conn.execute(f"INSERT INTO {self.name} SELECT {', '.join(dims + list(self.attrs))} FROM positions")
            conn.execute("DROP ARRAY positions")
        else:
            conn.execute(f"COPY {self.name} FROM '{path}'")
        os.unlink(path)
        self.stored = True

    def forget(self, conn):
        """No row to come needs it."""
        self.arrays.clear()
        if self.stored:
            conn.execute(f"DROP ARRAY {self.name}")
            self.stored = False
