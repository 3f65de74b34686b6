"""Medians of per-round ratios, tables for people, the document for programs."""

import os
import platform
import statistics
import subprocess


class Series:
    """The runs of one suite at one place: row -> one run per round."""

    def __init__(self, title, rows):
        self.title = title
        self.runs = {row: [] for row in rows}

    def values(self, row, figure):
        """Of the good runs; of all where there were none."""
        good = [run for run in self.runs[row] if run["accepted"]]
        return [run["figures"][figure] for run in good or self.runs[row]]

    def middle(self, row, figure):
        return statistics.median(self.values(row, figure))

    def ratios(self, row, base, figure):
        """Of the rounds in which both runs were good; of all rounds where none were."""
        pairs = [
            (a["figures"][figure] / b["figures"][figure], a["accepted"] and b["accepted"])
            for a, b in zip(self.runs[row], self.runs[base])
        ]
        good = [ratio for ratio, accepted in pairs if accepted]
        return good or [ratio for ratio, _ in pairs]


class Target:
    """A ratio of two rows and the bound it has to keep."""

    def __init__(self, text, ratios, bound, atmost):
        self.text, self.bound, self.atmost = text, bound, atmost
        self.ratios = sorted(ratios)
        self.median = statistics.median(ratios) if ratios else None

    @property
    def met(self):
        if self.median is None:
            return False
        return self.median <= self.bound if self.atmost else self.median >= self.bound

    def line(self):
        sign = "at most" if self.atmost else "at least"
        verdict = "pass" if self.met else "MISS"
        if self.median is None:
            return [self.text, f"{sign} {self.bound:.2f}", "no run", verdict]
        span = f"{self.median:.2f} ({self.ratios[0]:.2f} to {self.ratios[-1]:.2f})"
        return [self.text, f"{sign} {self.bound:.2f}", span, verdict]

    def document(self):
        return {"target": self.text, "bound": self.bound, "atMost": self.atmost,
                "median": self.median, "ratios": self.ratios, "met": self.met}


def table(head, lines):
    """A Markdown table that is also aligned for a terminal."""
    cells = [head] + [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]

    def row(line):
        first = line[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        return "| " + " | ".join([first, *rest]) + " |"

    ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([row(cells[0]), ruler, *map(row, cells[1:])])


def receive_table(series, base):
    lines = []
    for row in series.runs:
        ratios = series.ratios(row, base, "machine")
        runs = series.runs[row]
        lines.append([
            row,
            f"{series.middle(row, 'gbit'):.1f}",
            f"{series.middle(row, 'machine'):.3f}",
            f"{series.middle(row, 'receiver'):.3f}",
            f"{series.middle(row, 'sender'):.3f}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{sum(run['accepted'] for run in runs)}/{len(runs)}",
        ])
    head = ["receiver", "Gbit/s", "machine s/GB", "receiver s/GB", "sender s/GB",
            f"machine vs {base.split(',')[0]}", "clean runs"]
    return table(head, lines)


def send_table(series):
    lines = []
    for row in series.runs:
        shares = [value for value in series.values(row, "copied") if value is not None]
        rate = series.middle(row, "rate")
        lines.append([row, f"{rate / 1e3:.0f}", f"{1e9 / rate:.0f}",
                      f"{max(shares):.0%}" if shares else "-",
                      f"{sum(run['accepted'] for run in series.runs[row])}"
                      f"/{len(series.runs[row])}"])
    return table(["sender", "k requests/s", "ns each", "copied", "clean runs"], lines)


def target_table(targets):
    return table(["to reach", "bound", "median (min to max)", ""],
                 [target.line() for target in targets])


def describe_machine(root):
    def output(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
        return done.stdout.strip()

    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "kernel": platform.release(),
        "cpu": model,
        "cpus": os.cpu_count(),
        "commit": output("git", "rev-parse", "HEAD"),
        "changed": bool(output("git", "status", "--porcelain")),
        "swift": output("swift", "--version").split("\n")[0],
    }
