"""How do peers get at the data in the form that suits each best? Everything here is made when first asked for, in the process of the
peer, so in the run that is not counted."""
import functools
import os
import shutil

import numpy as np

CORES = os.cpu_count()


@functools.cache
def numexpr():
    import numexpr as ne
    ne.set_num_threads(CORES)
    return ne


def evaluate(text, **arrays):
    return numexpr().evaluate(text, local_dict=arrays)


# Dask does best with chunks of some megabytes.
def chunks(shape, cells=1 << 20):
    """Whole slabs of the first axis, else boxes, of about so many cells."""
    inner = int(np.prod(shape[1:]))
    if inner <= cells:
        return (min(shape[0], max(1, cells // inner)), *shape[1:])
    return boxes(shape, cells)


def boxes(shape, cells):
    """Near-cubic ones, of about so many cells."""
    edge = max(1, round(cells ** (1 / len(shape))))
    return tuple(min(n, edge) for n in shape)


_lazy = {}


def lazy(x, cells=1 << 20):
    """A Dask array over one in memory."""
    import dask.array as da
    if id(x) not in _lazy:
        _lazy[id(x)] = da.from_array(x, chunks=chunks(x.shape, cells), name=f"x{id(x)}")
    return _lazy[id(x)]


_scratch = {}


def scratch(x, k=0):
    """Memory like an array's, touched: what NumPy's `out` takes."""
    if (id(x), k) not in _scratch:
        _scratch[id(x), k] = np.zeros_like(x)
        _scratch[id(x), k].fill(1)
    return _scratch[id(x), k]


@functools.cache
def duckdb_with(data, path=":memory:"):
    """A connection with each array as a table: its dimensions as INTEGER, its attributes; in memory, where DuckDB is fastest."""
    import duckdb
    conn = duckdb.connect(path)
    for d in data:
        columns, declared = {}, []
        inner = d.size
        for dim, n in d.dims.items():
            inner //= n
            position = f"(cell // {inner} % {n})::INTEGER"
            declared.append((d.axes[dim][1].format(position) if dim in d.axes else position) + f" AS {dim}")
        for attr, x in d.arrays.items():
            columns[attr] = x.reshape(-1)
        step = 1 << 23                       # NumPy's arrays are read by one thread, and by pieces take no second copy
        for lo in range(0, d.size, step):
            part = {a: x[lo:lo + step] for a, x in columns.items()}
            part["cell"] = np.arange(lo, min(d.size, lo + step))
            verb = f"CREATE TABLE {d.name} AS" if lo == 0 else f"INSERT INTO {d.name}"
            conn.execute(f"{verb} SELECT {', '.join(declared + list(columns))} FROM part")
    return conn


def fresh(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)
    return path


def synced(path):
    """Waits until a file, or every file below a folder, is on disk."""
    names = [path] if os.path.isfile(path) else [os.path.join(d, f) for d, _, files in os.walk(path) for f in files]
    for name in names:
        fd = os.open(name, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
