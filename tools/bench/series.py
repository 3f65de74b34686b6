"""The runs of one title, and medians of per-round ratios."""

import statistics


class Series:
    """Row -> one run per round; none at all for a row that failed."""

    def __init__(self, title, rows):
        self.title = title
        self.runs = {row: [] for row in rows}

    def values(self, row, figure):
        """Of the good runs; of all where there were none."""
        good = [run for run in self.runs[row] if run["accepted"]]
        return [run["figures"][figure] for run in good or self.runs[row]]

    def middle(self, row, figure):
        """None for a row that failed."""
        values = self.values(row, figure)
        return statistics.median(values) if values else None

    def ratios(self, row, base, figure):
        """Of the rounds in which both runs were good; of all rounds where none were."""
        return self.combine((row, base), figure, lambda a, b: a / b)

    def combine(self, rows, figure, reckon):
        """The same for any function of one figure of several rows."""
        found = [
            (reckon(*(run["figures"][figure] for run in runs)),
             all(run["accepted"] for run in runs))
            for runs in zip(*(self.runs[row] for row in rows))
        ]
        good = [value for value, accepted in found if accepted]
        return good or [value for value, _ in found]

    def clean(self, row):
        """How many of the runs were good, as a text."""
        runs = self.runs[row]
        return f"{sum(run['accepted'] for run in runs)}/{len(runs)}"

    def document(self):
        """The runs as they are kept: figures and what disturbed them, not what programs printed."""
        kept = ("figures", "accepted", "clean", "repeats", "wall", "machine", "busy", "others",
                "stolen", "forks", "rx_cpu", "tx_cpu")
        return {row: [{word: run[word] for word in kept if word in run} for run in runs]
                for row, runs in self.runs.items()}

    def commands(self):
        """Row -> the command lines of its first run."""
        return {row: runs[0].get("commands", []) for row, runs in self.runs.items() if runs}
