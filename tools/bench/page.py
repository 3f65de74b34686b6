"""The report as one page that needs nothing else: its style and its plots are inside."""

import os
import time
from html import escape

import svg
from result import is_spread
from text import bound_text, number, reached, span, verdict

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.css")
HOW_TO_READ = """\
<p>A <b>target</b> is judged by the median over the rounds. A ratio is taken between two runs of the
same round, which ran next to each other; so what drifts (heat, neighbours of a virtual machine)
cancels. Numbers in brackets, and the whiskers in plots, are the least and the greatest value: a
difference smaller than that says nothing.</p>
<p><b>Machine CPU</b> is the clock less idle time of all CPUs, per GB: it includes interrupts, which
no process is charged for, and both ends. Compare it within a table only. <b>Gbit/s</b> alone says
little: receivers whose cost differs by 40 % differ by 10 % in it.</p>
<p><b>Clean runs</b> are those in which other processes and the host took next to nothing; a run
that was not is repeated, and kept only where none of the tries was clean. Across machines compare
ratios, or nanoseconds saved per request, never rates.</p>
<p>In plots, programs of this project are blue (or a solid line), others grey (or dashed).</p>
"""


def tag(name, content, class_=""):
    kind = f' class="{class_}"' if class_ else ""
    return f"<{name}{kind}>{content}</{name}>"


def anchor(part):
    words = "".join(letter if letter.isalnum() else "-" for letter in part["title"].lower())
    return f"{part['suite']}-{words}"


def change_mark(change):
    if not change:
        return ""
    kind = ""
    if change.beyond and change.good is not None:
        kind = " good" if change.good else " bad"
    text = f"was {number(change.earlier)}, {change.percent:+.1f} %"
    if change.beyond:
        text += " \u25c6"
    return tag("span", escape(text), "change" + kind)


def cell(content, change=None):
    if is_spread(content) and content["min"] != content["max"]:
        sides = f"{number(content['min'])} \u2013 {number(content['max'])}"
        return tag("td", f"{number(content['median'])}<small>{sides}</small>{change_mark(change)}")
    wide = "left wrap" if isinstance(content, str) and len(content) > 40 else ""
    return tag("td", escape(span(content)) + change_mark(change), wide)


def table(part, content, comparison):
    head = "".join(
        tag("th", escape(column["head"]) + tag("small", escape(column["unit"])))
        for column in content["columns"])
    rows = []
    for row in content["rows"]:
        cells = "".join(
            cell(value, comparison.of(part, content, row, at) if comparison else None)
            for at, value in enumerate(row))
        mine = any(isinstance(value, str) and svg.ours(value) for value in row[:2])
        rows.append(tag("tr", cells, "ours" if mine else ""))
    body = tag("table", tag("thead", tag("tr", head)) + tag("tbody", "".join(rows)))
    return tag("h4", escape(content["title"])) + tag("div", body, "scroll")


def notes(part):
    lines = [tag("li", escape(note)) for note in part["notes"]]
    lines += [tag("li", "Wrong: " + escape(error), "error") for error in part["errors"]]
    return tag("ul", "".join(lines), "notes") if lines else ""


def details(summary, content):
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def section(part, comparison):
    figures = "".join(svg.figure(plot) for plot in part["plots"])
    text = f'<h3 id="{anchor(part)}">{escape(part["title"])}</h3>'
    if part["about"]:
        text += tag("p", escape(part["about"]), "about")
    if figures:
        text += tag("div", figures, "plots")
    text += "".join(table(part, content, comparison) for content in part["tables"])
    text += notes(part)
    if part["commands"]:
        text += details("Command lines", tag("pre", escape("\n".join(part["commands"]))))
    return text


def kind_of(target):
    if target["median"] is None:
        return "none"
    return "pass" if target["met"] else "miss"


def targets(document, comparison):
    """The table on top, in the order of the suites, with a link to where each was measured."""
    lines, counts = [], {"pass": 0, "miss": 0, "none": 0}
    for part in document["results"]:
        for target in part["targets"]:
            counts[kind_of(target)] += 1
            row = tag("td", verdict(target), "verdict " + kind_of(target))
            row += tag("td", f'<a href="#{anchor(part)}">{escape(target["target"])}</a>',
                       "left wrap")
            row += tag("td", escape(bound_text(target))) + tag("td", escape(reached(target)))
            if comparison:
                change = comparison.of_target(part, target)
                row += tag("td", change_mark(change) or "\u2013")
            lines.append(tag("tr", row))
    if not lines:
        return ""
    words = {"pass": "passed", "miss": "missed", "none": "without a run"}
    told = "".join(tag("span", f"{count} {words[kind]}", kind)
                   for kind, count in counts.items() if count)
    head = tag("th", "") + tag("th", "to reach", "left") + tag("th", "bound")
    head += tag("th", "median (least to greatest)") + (tag("th", "earlier") if comparison else "")
    return (tag("h2", "Targets") + tag("div", told, "counts")
            + tag("div", tag("table", tag("tr", head) + "".join(lines)), "scroll"))


def facts(document):
    """What was measured on, with, and how."""
    machine, options = document["machine"], document["options"]
    taken = time.strftime("%Y-%m-%d %H:%M", time.localtime(document["time"]))
    commit = machine["commit"][:12] + (" with changes" if machine["changed"] else "")
    cpu = f"{machine['cpu']}, {machine['cpus']} CPUs"
    pairs = [
        ("taken", taken), ("commit", commit), ("kernel", machine["kernel"]),
        ("CPU", cpu + (", virtual machine" if machine["virtual"] else "")),
        ("memory", machine["memory"]), ("huge pages", machine["transparentHugePages"]),
        ("tool chain", "; ".join(filter(None, [machine["swift"], machine["compiler"]]))),
        ("peers", "; ".join(filter(None, [
            machine["liburing"] and f"liburing {machine['liburing']}", machine["iperf3"]]))),
        ("rounds", f"{options['rounds']} of {options['seconds']:g} s; a disturbed run was "
                   f"made again, up to {options['tries']} tries"),
        ("command", document["command"]),
    ]
    return "<dl>" + "".join(
        tag("dt", escape(name)) + tag("dd", escape(str(value))) for name, value in pairs if value
    ) + "</dl>"


def render(document, comparison=None):
    with open(STYLE, encoding="utf-8") as file:
        style = file.read()
    suites = {}
    for part in document["results"]:
        suites.setdefault(part["suite"], []).append(part)
    links = "".join(f'<a href="#suite-{name}">{escape(name)}</a>' for name in suites)
    body = tag("h1", "ingest: benchmarks")
    body += tag("p", "Measured beside programs that do the same work.", "lead")
    if comparison:
        body += tag("p", f"Compared with {escape(comparison.title)}; \u25c6 marks what changed by "
                    "more than the spread of both.", "lead")
        if comparison.machine["cpu"] != document["machine"]["cpu"]:
            body += tag("p", "The earlier run was made on another kind of CPU.", "lead")
    body += tag("nav", links) + facts(document) + targets(document, comparison)
    body += "".join(tag("p", escape(note), "lead") for note in document["notes"])
    body += details("How to read this", HOW_TO_READ)
    for name, parts in suites.items():
        about = document["suites"].get(name, "")
        body += f'<h2 id="suite-{name}">{escape(name)}</h2>' + tag("p", escape(about), "about")
        body += "".join(section(part, comparison) for part in parts)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>ingest: benchmarks</title><style>\n{style}</style></head>\n"
            f"<body>{body}</body></html>\n")
