"""Bad files, full disks, wrong directories and damaged tiles: each must be a clear error with its SQLSTATE, lose nothing, and leave the
server alive."""
import gzip
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

from harness import PATIENCE_S, TESSERAD, Count, Server, psycopg, seed

COADS = "/usr/share/ferret-vis/data/coads_climatology.cdf"


def expect(count, conn, sqlstate, sql, part=""):
    """The statement must fail with the SQLSTATE, its message or hint containing `part`; the session must go on."""
    try:
        conn.execute(sql)
        got, text = "success", ""
    except psycopg.Error as e:
        got = e.sqlstate
        text = " ".join(filter(None, [e.diag.message_primary, e.diag.message_detail, e.diag.message_hint]))
    count.check(got == sqlstate and part in text, f"{sql[:70]}: got {got} {text!r}, wanted {sqlstate} {part!r}")
    count.equal(conn.execute("SELECT 1").fetchone(), (1,), f"alive after {sql[:40]}")


def write(dir, name, data):
    path = os.path.join(dir, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def npy_bytes(array):
    import io
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def bad_files(count, conn, dir):
    conn.execute("CREATE ARRAY m (d0 BIGINT DIMENSION [0 : 9], d1 BIGINT DIMENSION [0 : 9], v DOUBLE)")
    conn.execute("CREATE TABLE t (a INTEGER, b DOUBLE, c TEXT)")
    conn.execute("CREATE ARRAY small (d0 BIGINT DIMENSION [0 : 9], v TINYINT)")
    whole = npy_bytes(np.arange(100.0).reshape(10, 10))
    with open(COADS, "rb") as f:
        netcdf = f.read()
    ragged = write(dir, "ragged.csv", b"a,b,c\n1,2,x\n3,4\n")
    long = write(dir, "long.csv", b"a,b,c\n1,2,x,y\n")
    letters = write(dir, "letters.csv", b"a,b,c\n1,zwei,x\n")
    unclosed = write(dir, "unclosed.csv", b'a,b,c\n1,2,"x\n')
    latin = write(dir, "latin.csv", b"a,b,c\n1,2,\xe9t\xe9\n")
    huge = write(dir, "huge.csv", b"a,b,c\n3000000000,2,x\n")
    gz = write(dir, "cut.csv.gz", gzip.compress(b"a,b,c\n1,2,x\n" * 1000)[:-20])
    files = [
        ("58P01", f"COPY t FROM '{dir}/none.csv'", "none.csv"),
        ("22P04", f"COPY t FROM '{ragged}'", ""),
        ("22P04", f"COPY t FROM '{long}'", ""),
        ("22P02", f"COPY t FROM '{letters}'", "zwei"),
        ("22P04", f"COPY t FROM '{unclosed}'", ""),
        ("22021", f"COPY t FROM '{latin}'", ""),
        ("22003", f"COPY t FROM '{huge}'", ""),
        ("22P04", f"COPY t FROM '{gz}'", ""),
        ("22P04", f"COPY m FROM '{write(dir, 'cut.npy', whole[:-8])}'", ""),
        ("22P04", f"COPY m FROM '{write(dir, 'head.npy', whole[:20])}'", ""),
        ("22P04", f"COPY m FROM '{write(dir, 'magic.npy', b'PK' + whole[2:])}'", ""),
        ("22P04", f"COPY m FROM '{write(dir, 'empty.npy', b'')}'", ""),
        ("22P04", f"SELECT * FROM read_netcdf('{write(dir, 'cut.nc', netcdf[:4000])}')", ""),
        ("22P04", f"SELECT * FROM read_netcdf('{write(dir, 'noise.nc', random.Random(5).randbytes(5000))}')", ""),
        ("42703", f"SELECT * FROM read_netcdf('{COADS}', 'SSTT')", "SST"),
        ("0A000", f"COPY m FROM '{write(dir, 'object.npy', npy_bytes(np.array([(1, 2), None], dtype=object)))}'", ""),
        ("22003", f"COPY small FROM '{write(dir, 'wide.npy', npy_bytes(np.full(10, 300)))}'", ""),
        ("2202E", f"COPY small FROM '{write(dir, 'eleven.npy', npy_bytes(np.zeros(11, dtype='i1')))}'", ""),
        ("58030", "COPY t TO '/nonexistent/x.csv'", ""),
        ("22023", "COPY t TO '/tmp/x.xyz' (FORMAT nothing)", "csv"),
    ]
    for sqlstate, sql, part in files:
        expect(count, conn, sqlstate, sql, part)
    for array in "mt":
        count.equal(conn.execute(f"SELECT count(*) FROM {array}").fetchone()[0], 0, f"{array} is still empty")


def zarr_dir(dir, name, array, chunks={}):
    """A Zarr 2 array: its metadata, or bytes in its place, and chunks."""
    import json
    path = os.path.join(dir, name)
    os.mkdir(path)
    write(path, ".zarray", array if isinstance(array, bytes) else json.dumps(array).encode())
    for key, data in chunks.items():
        write(path, key, data)
    return path


def damaged_arrays(count, conn, dir):
    """Zarr, npz and tile files with one thing wrong each."""
    import io
    import zlib
    good = {"zarr_format": 2, "shape": [4, 4], "chunks": [2, 2], "dtype": "<i4", "compressor": None, "filters": None, "fill_value": 0, "order": "C"}
    chunk = bytes(range(16))
    packed = {**good, "compressor": {"id": "zlib"}}
    cases = [
        ("22P04", b"", {}, "malformed"), ("22P04", b"[1]", {}, "malformed"), ("22P04", b'{"zarr_format": 2', {}, "malformed"),
        ("22P04", b"[" * 100000, {}, "malformed"), ("22P04", {**good, "zarr_format": 9}, {}, "version"),
        ("22P04", {**good, "shape": [4, -4]}, {}, "length"), ("22P04", {**good, "shape": [4]}, {}, "differ in length"),
        ("22P04", {**good, "chunks": [0, 2]}, {}, "length"), ("22P04", {**good, "shape": [1 << 62, 1 << 62]}, {}, "too large"),
        ("22P04", {**good, "chunks": [1 << 62, 1 << 62]}, {}, "too large"), ("54011", {**good, "shape": [1] * 40, "chunks": [1] * 40}, {}, "dimensions"),
        ("22P04", {**good, "dtype": "<i9999999999"}, {}, ""), ("0A000", {**good, "dtype": "<c16"}, {}, "complex"),
        ("0A000", {**good, "dtype": [["a", "<i4"]]}, {}, "records"), ("0A000", {**good, "dtype": "|O"}, {}, "objects"),
        ("0A000", {**good, "compressor": {"id": "blosc"}}, {}, "blosc"), ("0A000", {**good, "filters": [{"id": "delta"}]}, {}, "delta"),
        ("22P04", {**good, "filters": [{"id": "shuffle", "elementsize": -1}]}, {}, "shuffle"), ("22P04", {**good, "fill_value": "x"}, {}, "fill"),
        ("22P04", good, {"0.0": chunk[:7]}, "has 7 bytes, not 16"), ("22P04", good, {"0.0": chunk * 2}, "32 bytes"),
        ("22P04", packed, {"0.0": b"noise"}, "damaged"), ("22P04", packed, {"0.0": zlib.compress(chunk)[:-6]}, "ends early"),
        ("22P04", packed, {"0.0": zlib.compress(bytes(10**6))}, "longer than its chunk"), ("22P04", packed, {"0.0": zlib.compress(chunk[:8])}, "8 bytes"),
        ("22P04", {**good, "compressor": {"id": "zstd"}}, {"0.0": b"\x28\xb5\x2f\xfd" + bytes(9)}, "damaged"),
        ("22P04", {**good, "dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, {"0.0": struct.pack("<I", 4) + b"\xff\xff\xff\x7f"}, "cut off"),
        ("22P04", {**good, "dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, {"0.0": struct.pack("<I", 5) + bytes(20)}, "for each cell"),
        ("22021", {**good, "dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, {"0.0": struct.pack("<I", 4) + bytes(12) + b"\1\0\0\0\xff"}, "UTF-8"),
    ]
    for i, (sqlstate, array, chunks, part) in enumerate(cases):
        expect(count, conn, sqlstate, f"SELECT * FROM read_zarr('{zarr_dir(dir, f'bad{i}.zarr', array, chunks)}')", part)
    expect(count, conn, "58P01", f"SELECT * FROM read_zarr('{dir}/nothing')", "No such file")
    expect(count, conn, "42809", f"SELECT * FROM read_zarr('{dir}/cut.npy')", "not a directory")
    out = io.BytesIO()
    np.savez_compressed(out, v=np.arange(100000), w=np.zeros(3))
    archive = out.getvalue()
    expect(count, conn, "22P04", f"SELECT * FROM read_npz('{write(dir, 'cut.npz', archive[:-40])}', 'v')", "zip archive")
    expect(count, conn, "22P04", f"SELECT * FROM read_npz('{write(dir, 'none.npz', b'')}', 'v')", "zip archive")
    spoilt = bytearray(archive)
    spoilt[5000:5100] = bytes(100)
    expect(count, conn, "22P04", f"SELECT sum(v) FROM read_npz('{write(dir, 'spoilt.npz', bytes(spoilt))}', 'v')", "zip archive")
    expect(count, conn, "22P04", f"SELECT * FROM read_raw('{write(dir, 'short.raw', bytes(30))}', 'int32', [i => 0 : 7])", "whole rows")


def mutated(count, conn, dir):
    """Bytes turned at random: any clear answer will do, but no crash, and no hang."""
    rng = random.Random(seed())
    conn.execute("CREATE ARRAY q (x INTEGER DIMENSION [0 : 29] TILE 7, y DOUBLE DIMENSION [0 : 1 : 0.1] TILE 4, v INTEGER, s TEXT)")
    conn.execute("INSERT INTO q SELECT x, y, x * 3, 'n' || x::text FROM GRID [x => 0 : 29, y => 0.0 : 1.0 : 0.1] WHERE x % 5 > 0")
    conn.execute("CREATE ARRAY copied AS SELECT * FROM q")
    conn.execute(f"SET statement_timeout = '{PATIENCE_S}s'")
    for name in ("q.zarr", "q3.zarr", "q.tile", "q.bin", "q.npz"):
        source = "SELECT * FROM q" if name != "q.npz" else "SELECT [x], [y], x * 3 AS v FROM GRID [x => 0 : 29, y => 0.0 : 1.0 : 0.1]"
        option = {"q3.zarr": "(FORMAT zarr, VERSION 3)", "q.bin": "(FORMAT binary)"}.get(name, "")
        conn.execute(f"COPY ({source}) TO '{dir}/{name}' {option}")
        files = sorted(os.path.join(d, f) for d, _, fs in os.walk(os.path.join(dir, name)) for f in fs) or [os.path.join(dir, name)]
        states = {}
        for _ in range(150):
            path = rng.choice(files)
            with open(path, "rb") as f:
                data = f.read()
            spoilt = bytearray(data)
            for _ in range(rng.choice((1, 1, 3))):
                at = rng.randrange(len(spoilt))
                kind = rng.randrange(4)
                if kind == 0:
                    spoilt[at] ^= 1 << rng.randrange(8)
                elif kind == 1:
                    spoilt[at] = rng.choice((0, 255, 48, 57, 34, 44))
                elif kind == 2:
                    spoilt[at:at + 8] = rng.randbytes(8)
                else:
                    del spoilt[at:at + rng.randrange(1, 9)]
                if not spoilt:
                    break
            write("", path, bytes(spoilt))
            try:
                conn.execute("BEGIN")
                conn.execute(f"COPY copied FROM '{dir}/{name}' (FORMAT {name.split('.')[1].replace('bin', 'binary')}, ON CONFLICT REPLACE)")
                state = "fine"
            except psycopg.Error as e:
                state = e.sqlstate
            conn.execute("ROLLBACK")
            states[state] = states.get(state, 0) + 1
            write("", path, data)
        count.check(not set(states) & {None, "XX000", "57014", "53200"}, f"spoilt {name}: {states}")
        count.check(len(states) > 1, f"spoilt {name} was noticed: {states}")
    conn.execute("RESET statement_timeout")


def full_disk(count):
    with Server(sets=["disk_quota=4MB"]) as server, server.connect() as conn:
        conn.execute("CREATE ARRAY a AS SELECT [i], random(1) AS v FROM GRID [i => 0 : 99999]")
        expect(count, conn, "53100", "CREATE ARRAY b AS SELECT [i], random(2) AS v FROM GRID [i => 0 : 9999999]")
        count.equal(conn.execute("SELECT count(*) FROM a").fetchone()[0], 100000, "reads go on")
        expect(count, conn, "42P01", "SELECT * FROM b")
        conn.execute("INSERT INTO a SELECT [i], 0.5 AS v FROM GRID [i => 0 : 9] ON CONFLICT REPLACE")
        count.equal(conn.execute("SELECT sum(v) FROM a WHERE i < 10").fetchone()[0], 5.0, "small writes go on")


def tiny_filesystem(count):
    """A real full disk: a small tmpfs, where mounting is allowed."""
    dir = tempfile.mkdtemp(prefix="tessera-tmpfs-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir], capture_output=True).returncode:
        os.rmdir(dir)
        return
    try:
        server = Server(dir=os.path.join(dir, "data"))
        with server, server.connect() as conn:
            conn.execute("CREATE ARRAY a AS SELECT [i], random(1) AS v FROM GRID [i => 0 : 99999]")
            expect(count, conn, "53100", "CREATE ARRAY b AS SELECT [i], random(2) AS v FROM GRID [i => 0 : 9999999]")
            count.equal(conn.execute("SELECT count(*) FROM a").fetchone()[0], 100000, "reads go on when the disk is full")
        with server, server.connect() as conn:
            count.equal(conn.execute("SELECT count(*) FROM a").fetchone()[0], 100000, "and after a restart")
    finally:
        subprocess.run(["umount", dir], check=False)
        os.rmdir(dir)


def refused(count, dir, part, what):
    run = subprocess.run([TESSERAD, "-D", dir], capture_output=True, text=True, timeout=PATIENCE_S)
    count.check(run.returncode != 0 and part in run.stderr, f"{what}: {run.returncode} {run.stderr!r}")


def wrong_directories(count):
    with Server() as server:
        refused(count, server.dir, "in use", "a directory in use")
        count.equal(server.connect().execute("SELECT 1").fetchone(), (1,), "its server is unharmed")
    with tempfile.TemporaryDirectory() as dir:
        write(dir, "somebody.txt", b"else's file")
        refused(count, dir, "", "a directory of something else")
        count.equal(os.listdir(dir), ["somebody.txt"], "and nothing is written there")
    server = Server()
    server.start().stop()
    version = [n for n in os.listdir(server.dir) if "version" in n.lower() or "format" in n.lower()]
    if count.check(version, f"a file names the format version: {os.listdir(server.dir)}"):
        with open(os.path.join(server.dir, version[0]), "r+") as f:
            text = f.read()
            f.seek(0)
            f.write(text.replace("1", "9", 1))
        refused(count, server.dir, "version", "another format version")
    shutil.rmtree(server.dir)
    refused(count, "/proc/nothing", "", "a directory that cannot be made")


def corrupt_tile(count):
    """Flips a byte in the middle of the tiles: reading fails with XX001 or gives the right answer, never a wrong one."""
    server = Server()
    with server.start().connect() as conn:
        conn.execute("CREATE ARRAY a AS SELECT [i], random(1) AS v FROM GRID [i => 0 : 499999]")
        conn.execute("CREATE ARRAY b AS SELECT [i], i * 2 AS v FROM GRID [i => 0 : 999]")
        want = conn.execute("SELECT sum(v * 2), count(*) FROM a").fetchone()
    server.stop()
    data = max((os.path.join(r, f) for r, _, fs in os.walk(server.dir) for f in fs), key=os.path.getsize)
    size, caught = os.path.getsize(data), 0
    for k in range(8):
        at = size // 10 * (k + 1)
        with open(data, "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ 0x40]))
        with server.start().connect() as conn:
            try:
                count.equal(conn.execute("SELECT sum(v * 2), count(*) FROM a").fetchone(), want, f"byte {at} flipped")
            except psycopg.Error as e:
                caught += count.equal(e.sqlstate, "XX001", f"byte {at} flipped")
            count.equal(conn.execute("SELECT sum(v) FROM b").fetchone()[0], 999000, "another array is unharmed")
            try:
                conn.execute("CHECK ARRAY a")
            except psycopg.Error as e:
                count.equal(e.sqlstate, "XX001", "CHECK ARRAY")
        server.stop()
        with open(data, "r+b") as f:
            f.seek(at)
            f.write(old)
    count.check(caught >= 4, f"{caught} of 8 flips were in a's tiles")
    shutil.rmtree(server.dir)


def main():
    count = Count()
    with tempfile.TemporaryDirectory() as dir, Server() as server, server.connect() as conn:
        bad_files(count, conn, dir)
        damaged_arrays(count, conn, dir)
        mutated(count, conn, dir)
    full_disk(count)
    tiny_filesystem(count)
    wrong_directories(count)
    corrupt_tile(count)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
