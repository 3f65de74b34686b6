"""Runs the release binaries against real clients and files, and says what held.

A check is a function registered with @check; it raises Failed, or returns a line of facts.
"""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("INGEST_BIN", os.path.join(ROOT, ".build", "release"))
CHECKS = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(function):
    CHECKS.append(function)
    return function


def require(condition, text):
    if not condition:
        raise Failed(text)


def equal(got, wanted, what):
    require(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def tool(name):
    path = shutil.which(name)
    require(path, f"{name} is missing; tools/install --tests installs it")
    return path


class Scratch:
    """A directory that is gone afterwards."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="ingest-acceptance-", dir=os.environ.get("TMPDIR"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Ended:
    """Whose process is ended when its context is left, whatever happened."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Receiver(Ended):
    """`ingest` with --json-stream, on a port of the kernel's choosing."""

    def __init__(self, *arguments, listen="127.0.0.1", stdout=None, limits=None, prefix=(), port=0,
                 descriptors=()):
        command = [*prefix, os.path.join(BIN, "ingest"), "run", "--port", str(port),
                   "--json-stream", "-i", "0"]
        if listen:
            command += ["--listen", listen]
        self.command = command + [str(a) for a in arguments]
        self.lines = []
        self.text = []
        # With --sink stdout the talk goes to standard error, data to standard output.
        talk_on_stderr = stdout is not None
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL,
            stdout=stdout if talk_on_stderr else subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=descriptors,
            preexec_fn=lambda: [resource.setrlimit(k, (v, v)) for k, v in (limits or {}).items()])
        self.changed = threading.Condition()
        self.readers = []
        talk = self.process.stderr if talk_on_stderr else self.process.stdout
        self._follow(talk)
        if not talk_on_stderr:
            self._follow(self.process.stderr)
        self.port = self._wait_for_port()

    def _follow(self, stream):
        thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        thread.start()
        self.readers.append(thread)

    def _read(self, stream):
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            with self.changed:
                try:
                    value = json.loads(line)
                    self.lines.append(value)
                except ValueError:
                    self.text.append(line)
                self.changed.notify_all()

    def _wait_for_port(self):
        start = self.wait_event("start", 90 if "netns" in self.command else 20)
        if start is None or not start["listening"]:
            code = self._ended()
            raise Failed(f"ingest did not start (exit {code}): {' '.join(self.text)}")
        return int(start["listening"][0].rsplit(":", 1)[1])

    def _ended(self):
        """The exit code of a run that is about to end, if it is; and all that it said is there."""
        try:
            return self.finish(5)
        except Failed:
            return None

    def wait_event(self, name, seconds):
        """The data of the first event of that name."""
        until = time.monotonic() + seconds
        with self.changed:
            while True:
                for line in self.lines:
                    if line.get("event") == name:
                        return line["data"]
                left = until - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reading()):
                    return None
                self.changed.wait(min(left, 0.2))

    def _reading(self):
        return any(reader.is_alive() for reader in self.readers)

    def events(self, name):
        with self.changed:
            return [line["data"] for line in self.lines if line.get("event") == name]

    def closed(self):
        """The connections that have ended, as the event says."""
        return [e["connection"] for e in self.events("event") if e.get("kind") == "closed"]

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def finish(self, seconds=60):
        """Waits for the end; returns the exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"ingest did not end within {seconds} s: {' '.join(self.text[-5:])}")
        for reader in self.readers:
            reader.join(10)
        return code

    def stop(self, seconds=60):
        self.signal()
        return self.finish(seconds)

    @property
    def end(self):
        ends = self.events("end")
        require(ends, f"no end event; said: {' '.join(self.text[-5:])}")
        return ends[0]

    @property
    def counters(self):
        counters = self.end["receive"]["counters"]
        classes = counters["truth"]
        equal(sum(classes.values()), counters["bytes"], f"sum of the classes {classes}")
        self._account(counters)
        return counters

    def _account(self, counters):
        """Every received byte is in one count: in the sink, lost there, dropped, or not taken."""
        sink = self.end["receive"]["sink"]
        if "bytes=payload" in sink or "forced" in (self.end.get("failure") or ""):
            return
        before = counters["discardedBytes"] + counters["refusedBytes"]
        before += counters["stageDroppedBytes"]
        behind = sum(counters[f"sink{name}Bytes"] for name in ("", "Lost", "Dropped"))
        sinks = 2 if sink.startswith("tee:") else 1
        equal(behind + sinks * before, sinks * counters["bytes"], "bytes that are accounted for")


def send(*arguments, seconds=120, stdin=None, expect=0, prefix=()):
    """`ingest-send` to its end; returns its JSON document."""
    command = [*prefix, os.path.join(BIN, "ingest-send"), "--json", "-i", "0", "-C", "reno"]
    done = subprocess.run(
        command + [str(a) for a in arguments], stdin=stdin, capture_output=True, timeout=seconds)
    if expect is not None and done.returncode != expect:
        raise Failed(
            f"ingest-send ended with {done.returncode}, wanted {expect}: "
            f"{done.stderr.decode(errors='replace')[-400:]}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {"stderr": done.stderr.decode(errors="replace")}


def run(*arguments, seconds=30):
    """`ingest` to its end; returns exit code, stdout, stderr."""
    done = subprocess.run(
        [os.path.join(BIN, "ingest")] + [str(a) for a in arguments], capture_output=True,
        timeout=seconds, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def connect(port, host="127.0.0.1"):
    return socket.create_connection((host, port), timeout=30)


def random_file(path, size, seed=1):
    """Bytes that do not repeat; fast enough for a gigabyte."""
    import random
    source = random.Random(seed)
    with open(path, "wb") as file:
        left = size
        while left:
            part = min(left, 16 << 20)
            file.write(source.randbytes(part))
            left -= part


def same_file(one, other):
    return subprocess.run(["cmp", one, other], capture_output=True).returncode == 0


def attempt(function):
    """Runs one check: what came of it, and a line of facts or the reason."""
    try:
        return "ok", function() or ""
    except Skipped as reason:
        return "SKIPPED", str(reason)
    except Failed as reason:
        return "FAILED", str(reason)
    except Exception:
        return "FAILED", traceback.format_exc()


def claimed(folder, name):
    """Whether this process is the first to take the check, among those that share a folder."""
    try:
        os.mkdir(os.path.join(folder, name))
        return True
    except FileExistsError:
        return False


def main(patterns, attempts=1, claims=None):
    """With several attempts a failed check is run again, and that is said: emulated CPUs stall
    now and then for seconds, which some time limits do not survive. Processes that are given the
    same folder of `claims` share the checks."""
    chosen = [c for c in CHECKS if not patterns or any(p in c.__name__ for p in patterns)]
    passed = failed = skipped = again = 0
    for index, function in enumerate(chosen, 1):
        if claims and not claimed(claims, function.__name__):
            continue
        name = function.__name__.replace("_", " ")
        for left in reversed(range(attempts)):
            started = time.monotonic()
            verdict, fact = attempt(function)
            took = time.monotonic() - started
            print(f"[{index}/{len(chosen)}] {verdict:7} {name} ({took:.1f} s) {fact}", flush=True)
            if verdict != "FAILED" or left == 0:
                break
            again += 1
            print(f"[{index}/{len(chosen)}] once more", flush=True)
        passed += verdict == "ok"
        failed += verdict == "FAILED"
        skipped += verdict == "SKIPPED"
    print(f"acceptance: {passed} passed, {failed} failed, {skipped} skipped"
          + (f", {again} attempts failed" if again else ""), flush=True)
    return 1 if failed or skipped else 0
