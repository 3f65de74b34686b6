"""Numbers and tables for a terminal and for Markdown."""

from result import is_spread


def number(value):
    """Four significant digits are enough for what was measured; none are made up."""
    if value is None:
        return "-"
    if isinstance(value, int) and abs(value) < 10**6:
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1000:
        return f"{value:.0f}"
    if size >= 100:
        return f"{value:.1f}".removesuffix(".0")
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    if size >= 0.001:
        return f"{value:.3f}"
    return f"{value:.2e}"


def span(cell):
    """A cell as a text: its median, and what it lies between where there are several values."""
    if cell is None:
        return "-"
    if is_spread(cell):
        if len(cell["values"]) == 1 or cell["min"] == cell["max"]:
            return number(cell["median"])
        return f"{number(cell['median'])} ({number(cell['min'])} to {number(cell['max'])})"
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return number(cell)
    return str(cell)


def heading(column):
    return column["head"] + (f" [{column['unit']}]" if column["unit"] else "")


def markdown(head, lines):
    """A Markdown table that is also aligned for a terminal."""
    cells = [head] + [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]

    def row(line):
        first = line[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        return "| " + " | ".join([first, *rest]) + " |"

    ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([row(cells[0]), ruler, *map(row, cells[1:])])


def cell_text(cell, change):
    text = span(cell)
    if change:
        text += f" [was {number(change.earlier)}, {change.text}]"
    return text


def result_text(part, comparison=None):
    """A result's tables and notes, as Markdown."""
    lines = [f"### {part['title']}", ""]
    for table in part["tables"]:
        rows = []
        for row in table["rows"]:
            found = [comparison.of(part, table, row, at) if comparison else None
                     for at in range(len(row))]
            rows.append([cell_text(cell, change) for cell, change in zip(row, found)])
        lines += [f"**{table['title']}**", "",
                  markdown([heading(column) for column in table["columns"]], rows), ""]
    lines += [f"* {note}" for note in part["notes"]]
    lines += [f"* ERROR: {error}" for error in part["errors"]]
    return "\n".join(lines).rstrip() + "\n"


def bound_text(target):
    sign = "at most" if target["atMost"] else "at least"
    return f"{sign} {number(target['bound'])}" + (f" {target['unit']}" if target["unit"] else "")


def verdict(target):
    if target["median"] is None:
        return "no run"
    if target["met"]:
        return "pass"
    return "MISS" if target["gate"] else "miss"


def reached(target):
    if target["median"] is None:
        return "-"
    values = target["values"]
    text = number(target["median"])
    if values[0] != values[-1]:
        text += f" ({number(values[0])} to {number(values[-1])})"
    return text


def targets_text(document, comparison=None):
    """All targets as one Markdown table; empty where there are none."""
    lines = []
    for part in document["results"]:
        for target in part["targets"]:
            line = [target["target"], bound_text(target), reached(target), verdict(target)]
            change = comparison.of_target(part, target) if comparison else None
            if comparison:
                line.append(f"{number(change.earlier)}, {change.text}" if change else "-")
            lines.append(line)
    if not lines:
        return ""
    head = ["to reach", "bound", "median (least to greatest)", ""]
    return markdown(head + (["earlier"] if comparison else []), lines) + "\n"


def document_text(document, comparison=None):
    """The whole report as Markdown."""
    machine, options = document["machine"], document["options"]
    head = f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, commit "
    head += machine["commit"][:12] + (" with changes" if machine["changed"] else "")
    head += f"; {options['rounds']} rounds of {options['seconds']:g} s.\n"
    parts = [head]
    if comparison:
        parts.append(f"Compared with {comparison.title}; * marks changes beyond the spread of "
                     "both.\n")
    if targets := targets_text(document, comparison):
        parts.append("### Targets\n\n" + targets)
    parts += [f"* {note}" for note in document["notes"]]
    parts += [result_text(part, comparison) for part in document["results"]]
    return "\n".join(parts)
