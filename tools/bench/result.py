"""What a suite hands back: a document of plain JSON values, and what builds it.

    result = Result(NAME, "Receiving over a veth pair")
    result.table("Cost", [Column("receiver"), Column("machine", "s/GB", "lower")],
                 [["ingest", spread([0.10, 0.11, 0.10])]])
    result.dots("Cost", "s/GB", {"ingest": [0.10, 0.11, 0.10]}, better="lower")
    result.lines("Rate", "payload", "B", "k requests/s", {"ingest": {600: [601, 598]}})
    result.target("machine CPU, ingest : recv()", [0.70, 0.71], 0.72, at_most=True)
    result.note("iperf3 is not installed; its rows are left out")
    result.command("ingest run --sink null")

A cell of a table is a text, a number, None (nothing to say), or a spread. Spreads and numbers are
what a later run is compared with: by suite, titles, first cell of the row, and head of the column.
"""

import statistics
from dataclasses import dataclass

SCHEMA = "ingest-bench/2"


def spread(values):
    """Least, middle and greatest of several values, and the values; None where there is none."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"min": min(values), "median": statistics.median(values), "max": max(values),
            "values": list(values)}


def is_spread(cell):
    return isinstance(cell, dict) and "median" in cell


def middle(cell):
    """The number that stands for a cell; None where it is no number."""
    if is_spread(cell):
        return cell["median"]
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return cell
    return None


@dataclass
class Column:
    """`unit` follows each number; `better` is "lower", "higher" or "" (says nothing)."""

    head: str
    unit: str = ""
    better: str = ""

    def document(self):
        return {"head": self.head, "unit": self.unit, "better": self.better}


class Target:
    """A ratio (or, with a unit, a value) and the bound it has to keep: its median counts."""

    def __init__(self, text, values, bound, at_most=True, unit="", gate=True):
        self.text, self.bound, self.at_most, self.unit = text, bound, at_most, unit
        self.values = sorted(values)
        self.gate = gate

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    @property
    def met(self):
        if self.median is None:
            return False
        return self.median <= self.bound if self.at_most else self.median >= self.bound

    def document(self):
        return {"target": self.text, "bound": self.bound, "atMost": self.at_most,
                "unit": self.unit, "median": self.median, "values": self.values,
                "met": self.met, "gate": self.gate}


class Result:
    """One part of the report."""

    def __init__(self, suite, title, about=""):
        self.suite, self.title, self.about = suite, title, about
        self.tables, self.plots, self.targets = [], [], []
        self.notes, self.commands, self.errors = [], [], []
        self.raw = None

    def table(self, title, columns, rows):
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"{title}: {len(row)} cells in a row of {len(columns)}: {row}")
        self.tables.append({"title": title, "columns": [column.document() for column in columns],
                            "rows": [list(row) for row in rows]})

    def dots(self, title, unit, values, better=""):
        """A line per row: its median, with whiskers from the least to the greatest value."""
        rows = [{"name": name, "spread": spread(found)} for name, found in values.items()]
        self.plots.append({"kind": "dots", "title": title, "unit": unit, "better": better,
                           "rows": [row for row in rows if row["spread"]]})

    def lines(self, title, x, x_unit, unit, series, better="", logarithmic=False):
        """A curve per name over numbers; `series` is name -> x -> values. Logarithmic in x.

        The colour follows from the place in `series`; a curve without points is left out but keeps
        its colour free, so that plots of the same names can look alike.
        """
        curves = []
        for index, (name, points) in enumerate(series.items()):
            known = [{"x": at, "spread": spread(found)} for at, found in sorted(points.items())]
            curves.append({"name": name, "colour": index,
                           "points": [point for point in known if point["spread"]]})
        self.plots.append({"kind": "lines", "title": title, "x": x, "xUnit": x_unit, "unit": unit,
                           "better": better, "logarithmic": logarithmic,
                           "series": [curve for curve in curves if curve["points"]]})

    def target(self, text, values, bound, at_most=True, unit="", gate=True):
        """`gate` False: reported, but a miss of it never fails a run."""
        self.targets.append(Target(text, values, bound, at_most, unit, gate))

    def note(self, text):
        self.notes.append(text)

    def command(self, text):
        if text not in self.commands:
            self.commands.append(text)

    def error(self, text):
        """Something that must not be: fails the run, whatever the targets say."""
        self.errors.append(text)

    def document(self):
        return {"suite": self.suite, "title": self.title, "about": self.about,
                "tables": self.tables, "plots": self.plots,
                "targets": [target.document() for target in self.targets], "notes": self.notes,
                "commands": self.commands, "errors": self.errors, "raw": self.raw}
