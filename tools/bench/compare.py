"""Sets a run beside an earlier one: by suite, titles, row and column."""

import json
import time
from dataclasses import dataclass

from result import SCHEMA, is_spread, middle

# Below this many values the least and the greatest say little about how far a value strays.
ENOUGH = 3


@dataclass
class Change:
    """`beyond`: the two do not overlap, each with enough values. `good`: by what is better."""

    earlier: float
    percent: float
    beyond: bool
    good: bool | None

    @property
    def text(self):
        return f"{self.percent:+.1f} %" + (" *" if self.beyond else "")


def load(path):
    """A document that was written earlier. ValueError says what is wrong with it."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{path} is no result of this version (schema {SCHEMA})")
    return document


def row_key(row):
    """What a row is told from others by: its cells up to the first measured one."""
    key = [str(row[0])]
    for cell in row[1:]:
        if is_spread(cell) or isinstance(cell, float) or cell is None:
            break
        key.append(str(cell))
    return tuple(key)


def change_between(old, new, better):
    """None where one of them is no number or the earlier one is 0."""
    before, now = middle(old), middle(new)
    if before is None or now is None or not before:
        return None
    beyond = False
    if is_spread(old) and is_spread(new):
        enough = min(len(old["values"]), len(new["values"])) >= ENOUGH
        beyond = enough and (new["min"] > old["max"] or new["max"] < old["min"])
    good = None
    if better and now != before:
        good = (now < before) == (better == "lower")
    return Change(before, 100 * (now - before) / abs(before), beyond, good)


class Comparison:
    def __init__(self, earlier):
        machine = earlier["machine"]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(earlier["time"]))
        self.title = f"{machine['commit'][:12]} of {when}"
        self.machine = machine
        self.cells, self.targets = {}, {}
        for part in earlier["results"]:
            place = (part["suite"], part["title"])
            for target in part["targets"]:
                self.targets[place + (target["target"],)] = target
            for table in part["tables"]:
                for row in table["rows"]:
                    for column, cell in zip(table["columns"], row):
                        key = place + (table["title"], row_key(row), column["head"])
                        self.cells[key] = cell

    def of(self, part, table, row, at):
        """The change of one cell; None where there is none to tell."""
        if at == 0 or at < len(row_key(row)):
            return None
        column = table["columns"][at]
        key = (part["suite"], part["title"], table["title"], row_key(row), column["head"])
        return change_between(self.cells.get(key), row[at], column["better"])

    def of_target(self, part, target):
        old = self.targets.get((part["suite"], part["title"], target["target"]))
        if not old or old["median"] is None or target["median"] is None:
            return None
        cells = [{"median": one["median"], "min": one["values"][0], "max": one["values"][-1],
                  "values": one["values"]} for one in (old, target)]
        return change_between(*cells, "lower" if target["atMost"] else "higher")
