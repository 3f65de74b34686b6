"""What the guest is made of, kept between runs: a folder of finished things, each made once.

A thing is a folder named after what it was made from, so that another recipe never finds the old
one. It is made under a name of its own and renamed when it is whole: what stands under the final
name is complete, whatever killed the process that made it. One process makes at a time, others
wait; whoever uses the store holds it shared, so that `clean` removes nothing that is in use.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import time

SEALED = "complete"


class GuestError(Exception):
    """The guest could not do its part; the text says why and what mends it.

    `code` is the exit code for it: 2 usage, 3 not supported here, 125 anything else.
    """

    def __init__(self, text, code=125):
        super().__init__(text)
        self.code = code


def say(text):
    print(f"guest: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what):
    """Says that `what` begins, and how long it took."""
    print(f"guest: {what} …", end="", file=sys.stderr, flush=True)
    before = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" ({time.monotonic() - before:.1f} s)", file=sys.stderr, flush=True)


def digest(*parts):
    """A short name for exactly these texts and bytes, in this order."""
    found = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()[:16]


class Store:
    """The cache folder; as a context, its use."""

    def __init__(self):
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.folder = os.path.realpath(os.path.join(base, "ingest/guest"))
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise GuestError(f"cannot keep files in {self.folder}: {error.strerror}; name another "
                             f"folder: XDG_CACHE_HOME=/path tools/guest/run …", 3) from error

    def __enter__(self):
        self.using = self._lock("in-use", fcntl.LOCK_SH, "unused parts are being removed; waiting")
        return self

    def __exit__(self, *_):
        os.close(self.using)

    def _lock(self, name, kind, why):
        """A descriptor that holds the lock until it is closed, or the process ends."""
        lock = os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            say(why)
            fcntl.flock(lock, kind)
        return lock

    def path(self, name):
        return os.path.join(self.folder, name)

    def has(self, name):
        return os.path.exists(os.path.join(self.path(name), SEALED))

    def get(self, name, make):
        """The folder `name`; where it is not there, make(folder) fills it first."""
        if not self.has(name):
            making = self._lock("making", fcntl.LOCK_EX,
                                "another process makes the guest; waiting for it")
            try:
                if not self.has(name):
                    self._make(name, make)
            finally:
                os.close(making)
        os.utime(os.path.join(self.path(name), SEALED))
        return self.path(name)

    def _make(self, name, make):
        for left in os.listdir(self.folder):
            # Of a maker that was killed: a living one would hold the lock.
            if left.endswith(".partial"):
                shutil.rmtree(self.path(left), ignore_errors=True)
        partial = self.path(name + ".partial")
        os.makedirs(partial)
        try:
            make(partial)
            with open(os.path.join(partial, SEALED), "w"):
                pass
            shutil.rmtree(self.path(name), ignore_errors=True)
            os.rename(partial, self.path(name))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def clean(self, seconds):
        """Removes what nobody has used for so long; GuestError while anybody uses the store."""
        alone = os.open(self.path("in-use"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in sorted(os.listdir(self.folder)):
                used = os.path.join(self.path(name), SEALED)
                if os.path.exists(used) and time.time() - os.path.getmtime(used) > seconds:
                    with step(f"removing {name}"):
                        shutil.rmtree(self.path(name), ignore_errors=True)
        except BlockingIOError as error:
            raise GuestError("nothing was removed, for guests are running; once they have ended: "
                             "tools/guest/build --clean") from error
        finally:
            os.close(alone)
