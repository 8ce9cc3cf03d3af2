"""What the Python tests share: starting and stopping a server, connecting, counting passes and failures."""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psycopg

BUILD = os.environ.get("TESSERA_BUILD", "build/release")
TESSERAD = os.path.join(BUILD, "tesserad")
PATIENCE_S = 120         # for what takes a moment: as long as the busiest machine may need


class Text(psycopg.adapt.Loader):
    """Values as the server writes them."""

    def load(self, data):
        return bytes(data).decode()


class Server:
    """A tesserad on a data directory of its own (removed at the end unless `dir` is given)."""

    def __init__(self, dir=None, port=None, sets=(), env=None):
        self.own = dir is None
        self.dir = dir or tempfile.mkdtemp(prefix="tessera-test-")
        self.port, self.sets, self.env = port, list(sets), env or {}
        self.process = None

    def start(self):
        """Returns once clients can connect; RuntimeError with what the server said when it does not come up."""
        ready_read, ready_write = os.pipe()
        args = [TESSERAD, "-D", self.dir, "--ready-fd", str(ready_write), "--set", "log_level=warning"]
        if self.port:
            args += ["-p", str(self.port)]
        for s in self.sets:
            args += ["--set", s]
        self.process = subprocess.Popen(args, pass_fds=[ready_write], stderr=subprocess.PIPE,
                                        env={**os.environ, **self.env})
        os.close(ready_write)
        ready = os.read(ready_read, 1)
        os.close(ready_read)
        if ready != b"1":
            raise RuntimeError(self.process.communicate()[1].decode())
        return self

    def connect(self, **kwargs):
        return psycopg.connect(host=self.dir, port=5432, user="test", dbname="test", **{"autocommit": True, **kwargs})

    def session(self, *settings, as_text=()):
        """A connection for statements over arrays of one name that come and go, with settings; types with these OIDs come as Text."""
        conn = self.connect(prepare_threshold=None)
        for oid in as_text:
            conn.adapters.register_loader(oid, Text)
        for s in settings:
            conn.execute(f"SET {s}")
        return conn

    def stop(self, sig=signal.SIGTERM):
        """Stops it and returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait() if self.process else None
        if self.process and self.process.stderr:
            self.process.stderr.close()
        self.process = None
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)

    def peak_anonymous_bytes(self):
        """The largest anonymous resident set so far, sampled: what memory_limit bounds."""
        with open(f"/proc/{self.process.pid}/status") as f:
            for line in f:
                if line.startswith("RssAnon"):
                    return int(line.split()[1]) * 1024
        return 0


class Count:
    """Passes and failures; `finish()` prints them and gives the exit status."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, ok, what):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}", file=sys.stderr)
        return ok

    def equal(self, got, want, what):
        return self.check(got == want, f"{what}: got {got!r}, wanted {want!r}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def until(condition):
    """Waits for the condition; whether it came."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def runs(conn, text):
    """Whether a statement with this text runs, as sys.queries says."""
    return any(text in r[0] for r in conn.execute("SELECT query FROM sys.queries").fetchall())


def seed():
    """What a random test starts from, printed: TESSERA_SEED, "random" for a fresh one, else always the same, so that a commit
    passes or fails whenever it is tested."""
    word = os.environ.get("TESSERA_SEED", "1")
    s = random.SystemRandom().randrange(1 << 30) if word == "random" else int(word)
    print(f"seed {s}")
    return s
