"""One measured run of a receiver and a sender, and whether anything else disturbed it."""

import json
import os
import shlex
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICK = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count()


class Failed(Exception):
    """A program of the benchmark failed; the text says which and how."""


def machine():
    """Per CPU: busy and stolen seconds so far, and processes made so far.

    Busy is what is left of the clock after idle and iowait, which the kernel keeps exactly; user
    and system are only sampled. Waiting in io_uring_enter(2) counts as iowait, so both are idle.
    """
    idle, stolen, forks = {}, {}, 0
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            word = line.split()
            if word[0] == "processes":
                forks = int(word[1])
            elif word[0].startswith("cpu") and word[0] != "cpu":
                cpu = int(word[0][3:])
                idle[cpu] = (int(word[4]) + int(word[5])) / TICK
                stolen[cpu] = int(word[8]) / TICK
    return {"at": time.monotonic(), "idle": idle, "stolen": stolen, "forks": forks}


def others():
    """CPU seconds so far of every process that is not ours and not the kernel's."""
    times, parents = {}, {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                # The command may hold spaces and parentheses; what follows the last one is fixed.
                word = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(word[1])
        # With the time of children that ended and were waited for: nothing is lost by their end.
        times[int(name)] = sum(map(int, word[11:15])) / TICK
    ours = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours |= more
        grown = bool(more)
    return sum(
        seconds
        for pid, seconds in times.items()
        if pid not in ours and pid != 2 and parents[pid] != 2
    )


class Program:
    """A started program whose output is kept and whose CPU time is read from wait4(2)."""

    def __init__(self, command, namespace=None, cpu=None):
        self.command = command
        full = list(command)
        if cpu is not None:
            full = ["taskset", "-c", str(cpu)] + full
        if namespace:
            full = ["ip", "netns", "exec", namespace] + full
        self.shown = full
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            full, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err
        )

    @property
    def pid(self):
        return self.process.pid

    @property
    def line(self):
        """The command line, with paths as seen from the repository."""
        return shlex.join(self.shown).replace(ROOT + "/", "")

    def text(self, file):
        file.seek(0)
        return file.read().decode("utf-8", "replace")

    def listens(self, port, kind):
        """Whether a socket of this program's network namespace is bound to a port."""
        state = "0A" if kind == "tcp" else "07"
        for name in (kind, kind + "6"):
            try:
                with open(f"/proc/{self.pid}/net/{name}", encoding="ascii") as table:
                    for line in table:
                        word = line.split()
                        if word[3] == state and word[1].endswith(f":{port:04X}"):
                            return True
            except OSError:
                pass
        return False

    def listening(self, port, kind, seconds=10):
        """Waits until the program listens on a port."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.listens(port, kind):
                return
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.005)
        raise Failed(f"{self.line}: does not listen on {port}\n{self.text(self.err)}")

    def finish(self, seconds):
        """Waits for the end. Returns CPU seconds, of the program and all it started."""
        until = time.monotonic() + seconds
        pid = 0
        while pid == 0 and time.monotonic() < until:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid == 0:
                time.sleep(0.002)
        if pid == 0:
            raise Failed(f"{self.line}: still running after {seconds} s")
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise Failed(
                f"{self.line}: exit {self.process.returncode}\n{self.text(self.err)}"
            )
        return usage.ru_utime + usage.ru_stime

    def stop(self):
        if self.process.returncode is None:
            try:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            except ProcessLookupError:
                pass
        self.out.close()
        self.err.close()

    def json(self):
        text = self.text(self.out)
        try:
            return json.loads(text)
        except ValueError as error:
            raise Failed(f"{self.line}: no JSON on stdout: {error}\n{text[:400]}")


def once(receiver, sender, port, seconds, kind="tcp"):
    """Runs both ends once. Each is (command, namespace, cpu); receiver may be None.

    A receiver of datagrams (kind udp) knows no end and is told. The word RXPID of the sender's
    command becomes the receiver's process number.
    """
    rx = tx = None
    try:
        if receiver:
            rx = Program(*receiver)
            rx.listening(port, kind)
            time.sleep(0.05)
        command, *place = sender
        if rx:
            command = [str(rx.pid) if word == "RXPID" else word for word in command]
        foreign, before = others(), machine()
        tx = Program(command, *place)
        tx_cpu = tx.finish(seconds)
        if rx and kind == "udp":
            rx.process.terminate()
        rx_cpu = rx.finish(seconds) if rx else 0.0
        after = machine()
        foreign = others() - foreign
        wall = after["at"] - before["at"]
        busy = {c: max(0, wall - after["idle"][c] + before["idle"][c]) for c in after["idle"]}
        stolen = sum(after["stolen"][c] - before["stolen"][c] for c in after["stolen"])
        return {
            "wall": wall,
            "busy": busy,
            "machine": sum(busy.values()) - stolen,
            "stolen": stolen,
            "others": foreign,
            "forks": after["forks"] - before["forks"],
            "tx_cpu": tx_cpu,
            "rx_cpu": rx_cpu,
            "tx": tx.json() if tx.text(tx.out).strip() else {},
            "tx_text": tx.text(tx.err),
            "rx": rx.json() if rx and rx.text(rx.out).strip() else {},
            "commands": [p.line for p in (rx, tx) if p],
        }
    finally:
        for program in (tx, rx):
            if program:
                program.stop()


def clean(run, threshold):
    """Whether nothing else took a noticeable part of the machine during the run."""
    return run["others"] < threshold * run["wall"] and run["stolen"] < threshold * run["wall"]


def quiet(threshold, patience, say):
    """Waits until the others let the machine be, for at most `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        foreign, at = others(), time.monotonic()
        time.sleep(0.1)
        share = (others() - foreign) / (time.monotonic() - at)
        if share <= threshold or time.monotonic() > until:
            return
        say(f"waiting: other processes use {share:.0%} of a CPU")


def measured(start, threshold, tries, patience, say, accept=lambda run: True):
    """Calls start(), which makes a run, once the machine is quiet; again when it did not stay so or
    the run is not accepted, up to `tries` times.

    Says how often in `repeats`. The last one is kept, and marked, when none was clean.
    """
    for attempt in range(tries):
        quiet(threshold, patience, say)
        run = start()
        run["repeats"] = attempt
        run["clean"] = clean(run, threshold)
        run["accepted"] = run["clean"] and accept(run)
        if run["accepted"]:
            break
        say("once more: " + ("others disturbed it" if not run["clean"] else "cold memory"))
    return run


def alone(command, seconds, cpu=None, namespace=None):
    """Runs one program without a peer; its JSON, if it prints any, is under "tx"."""
    return once(None, (command, namespace, cpu), 0, seconds)
