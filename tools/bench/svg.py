"""Plots as inline SVG: dots with whiskers over bars, and lines. Colours are the page's classes."""

import math
from html import escape

from text import number, span

LETTER = 7.2  # width of a letter of the page's plots, in their pixels
PALETTE = 8  # classes c0 to c7 of the page


def ours(name):
    """Whether a row is a program of this project: it stands out."""
    return name.startswith("ingest")


def ticks(low, high, wanted=5):
    """Round numbers from at most `low` to at least `high`."""
    if high <= low:
        high = low + (abs(low) or 1)
    rough = (high - low) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def short(value):
    """A number of an axis, with as few letters as it can have."""
    text = f"{value:.6g}"
    if abs(value) >= 10000 and value % 1000 == 0:
        text = f"{value / 1000:.6g}k"
    return text.replace("-", "\u2212")


def element(name, content=None, **attributes):
    """One element; an underscore ends a name that Python keeps for itself (class_)."""
    text = f"<{name}"
    for key, value in attributes.items():
        shown = f"{value:.1f}" if isinstance(value, float) else escape(str(value))
        text += f' {key.rstrip("_").replace("_", "-")}="{shown}"'
    return text + ("/>" if content is None else f">{content}</{name}>")


def label(x, y, content, class_="", anchor="start"):
    return element("text", escape(content), x=float(x), y=float(y), class_=f"t {class_}".strip(),
                   text_anchor=anchor)


def drawing(width, height, parts, title):
    # As wide as its column at most; letters keep their size on a wide screen.
    return element("svg", element("title", escape(title)) + "".join(parts), role="img",
                   viewBox=f"0 0 {width} {height}", style=f"max-width:{width}px")


def reach(spreads):
    """The ticks that hold all values and zero."""
    low = min(0, min(found["min"] for found in spreads))
    high = max(0, max(found["max"] for found in spreads))
    return ticks(low, high)


def dots(plot):
    """One line per row: a bar to the median, a dot on it, whiskers to least and greatest."""
    rows = plot["rows"]
    if not rows:
        return ""
    width, line, top = 600, 26, 6
    left = 14 + min(300, LETTER * max(len(row["name"]) for row in rows))
    right = width - 14 - LETTER * max(len(number(row["spread"]["median"])) for row in rows)
    marks = reach([row["spread"] for row in rows])
    bottom = top + line * len(rows)

    def x(value):
        return left + (right - 8 - left) * (value - marks[0]) / (marks[-1] - marks[0])

    parts = []
    for mark in marks:
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=top, y2=bottom,
                             class_="axis" if mark == 0 else "grid"))
        parts.append(label(x(mark), bottom + 16, short(mark), "small", "middle"))
    for index, row in enumerate(rows):
        parts.append(dot_row(row, x, left, top + line * index + line / 2, width))
    parts.append(label((left + right) / 2, bottom + 33, plot["unit"], "small", "middle"))
    return drawing(width, bottom + 40, parts, plot["title"])


def dot_row(row, x, left, y, width):
    found, mine = row["spread"], " ours" if ours(row["name"]) else ""
    name = row["name"] if len(row["name"]) <= 46 else row["name"][:45] + "\u2026"
    zero, at = x(0), x(found["median"])
    parts = [
        element("title", escape(f"{row['name']}: {span(found)}, {len(found['values'])} runs")),
        label(left - 8, y + 4, name, "name" + mine, "end"),
        element("rect", x=min(zero, at), y=y - 7, width=max(0.5, abs(at - zero)), height=14,
                rx=2, class_="bar" + mine),
        element("line", x1=x(found["min"]), x2=x(found["max"]), y1=y, y2=y,
                class_="whisker" + mine),
    ]
    parts += [element("line", x1=x(found[end]), x2=x(found[end]), y1=y - 4, y2=y + 4,
                      class_="whisker" + mine) for end in ("min", "max")]
    parts.append(element("circle", cx=at, cy=float(y), r=4, class_="dot" + mine))
    parts.append(label(width - 6, y + 4, number(found["median"]), "value" + mine, "end"))
    return element("g", "".join(parts))


class Axes:
    """Where a point of a line plot lies."""

    left, right, top, bottom, width, height = 58, 505, 10, 225, 520, 268

    def __init__(self, plot):
        points = [point for curve in plot["series"] for point in curve["points"]]
        self.marks = reach([point["spread"] for point in points])
        self.at = sorted({point["x"] for point in points})
        self.logarithmic = plot["logarithmic"] and self.at[0] > 0
        self.low, self.high = self.scaled(self.at[0]), self.scaled(self.at[-1])

    def scaled(self, value):
        return math.log(value) if self.logarithmic else value

    def x(self, value):
        if self.high == self.low:
            return (self.left + self.right) / 2
        share = (self.scaled(value) - self.low) / (self.high - self.low)
        return self.left + 10 + (self.right - self.left - 20) * share

    def y(self, value):
        share = (value - self.marks[0]) / (self.marks[-1] - self.marks[0])
        return self.bottom - (self.bottom - self.top) * share

    def across(self):
        """Where numbers stand under the x axis: at the points, less those that would overlap."""
        wanted = self.at
        if len(wanted) > 12 and not self.logarithmic:
            wanted = [mark for mark in ticks(self.at[0], self.at[-1])
                      if self.at[0] <= mark <= self.at[-1]]
        shown, end = [], -math.inf
        for value in wanted:
            half = LETTER * len(short(value)) / 2
            if self.x(value) - half > end + 4:
                shown.append(value)
                end = self.x(value) + half
        return shown


def lines(plot):
    """A curve per name, with whiskers at each point. What is no program of ours is dashed."""
    if not plot["series"]:
        return ""
    axes, parts = Axes(plot), []
    for mark in axes.marks:
        y = axes.y(mark)
        parts.append(element("line", x1=axes.left, x2=axes.right, y1=y, y2=y,
                             class_="axis" if mark == 0 else "grid"))
        parts.append(label(axes.left - 6, y + 4, short(mark), "small", "end"))
    for value in axes.across():
        parts.append(element("line", x1=axes.x(value), x2=axes.x(value), y1=axes.bottom,
                             y2=axes.bottom + 4, class_="axis"))
        parts.append(label(axes.x(value), axes.bottom + 17, short(value), "small", "middle"))
    parts += [curve_of(curve, axes) for curve in plot["series"]]
    under = plot["x"] + (f" [{plot['xUnit']}]" if plot["xUnit"] else "")
    parts.append(label((axes.left + axes.right) / 2, axes.height - 6, under, "small", "middle"))
    return drawing(axes.width, axes.height, parts, plot["title"])


def look(curve):
    """The classes of a curve: its colour, and dashes if it is not ours."""
    return f"c{curve['colour'] % PALETTE}" + ("" if ours(curve["name"]) else " peer")


def curve_of(curve, axes):
    kind = look(curve)
    places = [(axes.x(point["x"]), axes.y(point["spread"]["median"]))
              for point in curve["points"]]
    path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [element("path", d=path, class_=f"curve {kind}")]
    for (x, y), point in zip(places, curve["points"]):
        found = point["spread"]
        told = element("title", escape(f"{curve['name']}, {short(point['x'])}: {span(found)}"))
        whisker = element("line", x1=x, x2=x, y1=axes.y(found["min"]), y2=axes.y(found["max"]),
                          class_=f"whisker {kind}")
        mark = element("circle", cx=x, cy=y, r=3.5, class_=f"point {kind}")
        parts.append(element("g", told + whisker + mark))
    return element("g", "".join(parts))


def legend(plot):
    """Names of a line plot's curves, as HTML: it wraps where a drawing cannot."""
    parts = []
    for curve in plot["series"]:
        stroke = element("line", x1=0, x2=22, y1=5, y2=5, class_=f"curve {look(curve)}")
        swatch = element("svg", stroke, width=22, height=10, viewBox="0 0 22 10", class_="swatch",
                         aria_hidden="true")
        parts.append(element("span", swatch + escape(curve["name"])))
    return element("p", "".join(parts), class_="legend")


def figure(plot):
    """A plot with its title and, if it has curves, their names."""
    drawn = dots(plot) if plot["kind"] == "dots" else lines(plot)
    if not drawn:
        return ""
    head = escape(plot["title"])
    if plot["kind"] == "lines":
        head += f' <small>{escape(plot["unit"])}</small>'
    if plot["better"]:
        head += f' <small>({escape(plot["better"])} is better)</small>'
    below = legend(plot) if plot["kind"] == "lines" else ""
    return element("figure", element("figcaption", head) + drawn + below, class_=plot["kind"])
