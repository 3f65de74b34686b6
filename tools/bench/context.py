"""What a suite is given: options, programs, networks, progress, and rounds of measured runs."""

import itertools
import os
import shutil
import sys
import time

import measure
import series

TX_CPU, RX_CPU = "0", "1"

# Where a run's port comes from: one that was just used may still be in TIME_WAIT.
PORTS = itertools.count(20000)


class Place:
    """One of the networks that tools/lab made: namespaces, addresses and devices of both ends."""

    def __init__(self, kind):
        def told(word):
            return os.environ.get(f"LAB_{kind.upper()}_{word}") or None

        self.kind = kind
        self.tx, self.rx = told("TX"), told("RX")
        self.address, self.tx_address = told("RX_ADDR"), told("TX_ADDR")
        self.tx_device, self.rx_device = told("TX_DEV"), told("RX_DEV")


class Programs:
    """Where the programs lie."""

    def __init__(self, root):
        self.root = root
        self.bench = os.path.join(root, ".build/bench")
        release = os.path.join(root, ".build/release")
        self.ingest = os.path.join(release, "ingest")
        self.ingest_send = os.path.join(release, "ingest-send")
        example = os.path.join(self.bench, "send-zerocopy")
        self.example = example if os.path.exists(example) else None
        self.iperf3 = shutil.which("iperf3")

    def at(self, name):
        """A program that tools/bench/build made."""
        return os.path.join(self.bench, name)


class Progress:
    """One line that is rewritten on a terminal; elsewhere one line per suite and title."""

    def __init__(self, total=0):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.what = self.title = ""
        self.terminal = sys.stderr.isatty()

    def show(self, note=""):
        if not self.terminal:
            return
        spent = time.monotonic() - self.began
        text = f"{self.done}/{max(self.total, self.done)}  {self.what}  {note}"
        if self.done and self.total > self.done:
            text = f"{spent / self.done * (self.total - self.done):4.0f} s left  {text}"
        print("\r" + text[:110].ljust(110), end="", file=sys.stderr, flush=True)

    def begin(self, what):
        """A step begins: "TITLE: ROW"."""
        self.what = what
        title = what.partition(":")[0]
        if title != self.title and not self.terminal:
            print(f"bench: {title} ({self.done}/{max(self.total, self.done)} runs done)",
                  file=sys.stderr, flush=True)
        self.title = title
        self.show()

    def end(self):
        self.done += 1
        self.show()

    def close(self):
        if self.terminal:
            print("\r" + " " * 110 + "\r", end="", file=sys.stderr, flush=True)


class Context:
    """`places` is kind -> Place, of the kinds that the suite needs and --place allows."""

    def __init__(self, options, programs, progress, places):
        self.options, self.programs, self.progress = options, programs, progress
        self.places = places
        self.failures = []  # rows that failed since the last result: they become its errors

    def port(self):
        return next(PORTS)

    def one(self, start, row, accept):
        options = self.options
        return measure.measured(
            lambda: start(row), options.noise, options.tries, options.patience,
            self.progress.show, accept or (lambda run: True))

    def rounds(self, title, rows, start, accept=None, rounds=None):
        """Runs all rows back to back, in every round the other way about. Returns a Series.

        `rows` is name -> anything; start(rows[name]) makes one run, a dict with "figures" (name ->
        number). A run that others disturbed, or that accept(name)(run) refuses, is repeated. A
        row that fails stays empty; the others go on.
        """
        found = series.Series(title, rows)
        names, broken = list(rows), set()
        for number in range(rounds or self.options.rounds):
            for row in names if number % 2 == 0 else reversed(names):
                self.progress.begin(f"{title}: {row}")
                try:
                    if row not in broken:
                        found.runs[row].append(self.one(start, rows[row], accept and accept(row)))
                except measure.Failed as failure:
                    broken.add(row)
                    found.runs[row].clear()
                    self.failures.append(f"{title}: {row}: {failure}")
                self.progress.end()
        if accept:
            # What is refused was not all known yet when the first ones were accepted.
            for row in names:
                for run in found.runs[row]:
                    run["accepted"] = run["accepted"] and accept(row)(run)
        return found
