"""Sending small requests: what zero-copy saves of each, and what the program itself costs."""

import statistics

import senders
from result import Column, Result, spread
from senders import METHODS, ZERO_COPY

NAME = "send"
ABOUT = "requests of 600 to 8000 bytes into a black hole (ifb) and over a veth pair, UDP and TCP"
NEEDS_NETWORK = ("hole", "veth")
ORDER = 30

SIZES = (600, 1000, 1200, 1500, 4000, 8000)
# Nanoseconds per request in the cover letter of the SEND_ZC patches (v4, dummy device): a plain
# send, what zero-copy saves with a notification per request, and with one per generation.
PUBLISHED = {600: (475, 19, 55), 1200: (483, 29, 59), 4000: (535, 74, 108), 8000: (769, 320, 352)}
SAVED_8000 = 320
NO_EXAMPLE = ("liburing's send-zerocopy.c is not in /usr/share/doc/liburing-dev; its rows are left "
              "out (package liburing-dev; slim images install no documentation with packages)")


def add_arguments(group):
    group.add_argument("--size", action="append", type=int, metavar="BYTES",
                       help=f"only this size; may be repeated ({', '.join(map(str, SIZES))})")
    group.add_argument("--transport", choices=("udp", "tcp"), help="only this one")


def missing(programs):
    return [] if programs.example else [NO_EXAMPLE]


def paths(context):
    """Where it is measured. Nobody answers in the black hole, so no TCP connection is made there.
    """
    found = []
    for kind, transport in (("hole", "udp"), ("veth", "udp"), ("veth", "tcp")):
        if kind in context.places and context.options.transport in (None, transport):
            found.append(senders.Path(context.places[kind], transport))
    return found


def sizes(context):
    return tuple(context.options.size or SIZES)


def steps(context):
    runs = sum(len(senders.rows(context.programs, path)) for path in paths(context))
    return context.options.rounds * len(sizes(context)) * runs


class Found:
    """The series of one path, one per size."""

    def __init__(self, path, series):
        self.path, self.series = path, series
        self.rows = list(next(iter(series.values())).runs)

    def values(self, row, figure, scale=1.0):
        return {size: [value * scale for value in series.values(row, figure)
                       if value is not None] for size, series in self.series.items()}

    def ratios(self, row, base):
        return {size: series.ratios(row, base, "rate") for size, series in self.series.items()}

    def saved(self, plain, row):
        """Nanoseconds that a request of `row` needs less than one of `plain`."""
        return {size: series.combine((plain, row), "ns", lambda a, b: a - b)
                for size, series in self.series.items()}


def by_size(result, title, unit, better, found, lines):
    """A table with a column per size; `lines` is name -> size -> values."""
    known = list(found.series)
    columns = [Column("sender")] + [Column(f"{size} B", unit, better) for size in known]
    result.table(title, columns,
                 [[name] + [spread(values.get(size, [])) for size in known]
                  for name, values in lines.items()])


def rates(result, found):
    by_size(result, "Requests per second", "thousand/s", "higher", found,
            {row: found.values(row, "rate", 1e-3) for row in found.rows})
    pairs = {f"ingest {method}": f"example {method}" for method in METHODS}
    pairs = {row: base for row, base in pairs.items() if base in found.rows}
    twins = {f"ingest {method}": f"C twin {method}" for method in METHODS}
    if pairs:
        by_size(result, "Ratio to liburing's example with the same method", "", "higher", found,
                {row: found.ratios(row, base) for row, base in pairs.items()})
    by_size(result, "Ratio to the C twin with the same method", "", "higher", found,
            {row: found.ratios(row, base) for row, base in twins.items()})
    copied = {row: found.values(row, "copied", 100) for row in found.rows}
    by_size(result, "Zero-copy sends that the kernel copied all the same", "%", "", found,
            {row: values for row, values in copied.items() if any(values.values())})


def plots(result, found):
    def draw(title, names):
        result.lines(title, "bytes per request", "B", "thousand requests/s",
                     {name: found.values(row, "rate", 1e-3) if row in found.rows else {}
                      for name, row in names.items()}, "higher", logarithmic=True)

    for method in METHODS:
        draw(method, {name: f"{name} {method}" for name in ("ingest", "C twin", "example")})
    every = (*METHODS, "auto", "msg-zerocopy")
    draw("ingest, its methods", {f"ingest {method}": f"ingest {method}" for method in every})
    if found.path.place.kind == "hole":
        draw("ingest, buffers out of the cache",
             {f"ingest {method}": f"ingest {method}, cold" for method in every})


def saving(result, found):
    """What zero-copy saves per request, beside what was published: true zero-copy only."""
    lines = {f"ingest {method}": found.saved("ingest send", f"ingest {method}")
             for method in ("msg-zerocopy", *ZERO_COPY)}
    for method in ZERO_COPY:
        lines[f"ingest {method}, by generation"] = found.saved(
            "ingest send", f"ingest {method}, by generation")
        if f"example {method}" in found.rows:
            lines[f"example {method}"] = found.saved("example send", f"example {method}")
    lines["ingest send-zc-fixed, cold"] = found.saved(
        "ingest send, cold", "ingest send-zc-fixed, cold")
    published = {"published, a notification per request": 1,
                 "published, one per generation": 2}
    for name, at in published.items():
        lines[name] = {size: [PUBLISHED[size][at]] for size in found.series if size in PUBLISHED}
    by_size(result, "Nanoseconds saved per request against plain send", "ns", "higher", found,
            lines)
    shown = ("ingest send-zc", "ingest send-zc-fixed", "ingest send-zc-fixed, cold",
             "example send-zc-fixed", "published, a notification per request")
    result.lines("Saved per request", "bytes per request", "B", "ns",
                 {name: lines[name] for name in shown if lines.get(name)}, "higher",
                 logarithmic=True)
    if 8000 in found.series:
        result.target("hole UDP, 8000 B: ns saved per request by send-zc-fixed",
                      lines["ingest send-zc-fixed"][8000], SAVED_8000, at_most=False, unit="ns")
    result.note("Published: cover letter of \"io_uring zerocopy send\", v4, dummy device; its "
                "plain send needs 475, 483, 535 and 769 ns at 600, 1200, 4000 and 8000 bytes.")
    result.note("Its figures with one notification per generation have no counterpart: the "
                "interface that was merged has no generations and posts a notification for every "
                "request. \"By generation\" here is ingest-send --generation 32, which only uses "
                "buffers again in groups.")
    result.note("Cold: 1024 buffers in turn, the most that ingest-send groups; 1 MiB of them at "
                "600 bytes, 8 MiB at 8000. They have left a core's own caches, not always the "
                "shared one. All other rows send from one place, which stays in the first cache.")


def worst(values):
    """The size whose median ratio is least, and its ratios; None where all of them failed."""
    known = [item for item in values.items() if item[1]]
    return min(known, key=lambda item: statistics.median(item[1]), default=(None, []))


def target(result, found, text, ratios, bound):
    size, values = worst(ratios)
    result.target(f"{found.path.title}: requests/s, {text}, the worst size", values, bound,
                  at_most=False)
    if len(ratios) > 1 and size:
        result.note(f"Worst size of {text}: {size} B.")


def targets(result, found):
    for method in METHODS:
        if f"example {method}" in found.rows:
            target(result, found, f"ingest {method} : example",
                   found.ratios(f"ingest {method}", f"example {method}"), 1.00)
    for pool in ("", ", cold"):
        if f"ingest auto{pool}" not in found.rows:
            continue
        best = {}
        for size, series in found.series.items():
            better = max((f"ingest send{pool}", f"ingest send-zc-fixed{pool}"),
                         key=lambda row, series=series: series.middle(row, "rate") or 0)
            best[size] = series.ratios(f"ingest auto{pool}", better, "rate")
        target(result, found, f"ingest auto : the better of its methods{pool}", best, 0.97)


def check_copies(result, found):
    """What the kernel says it copied has to be what the path can do: an error, not a miss."""
    wanted = 0.0 if found.path.place.kind == "hole" else 1.0
    for row in found.rows:
        if "auto" in row:
            continue
        for size, shares in found.values(row, "copied").items():
            if any(abs(share - wanted) > 0.01 for share in shares):
                result.error(f"{found.path.title} {size} B: {row}: {max(shares):.0%} of the sends "
                             f"were copied, {wanted:.0%} expected")


def over(context, path):
    about = {
        "hole UDP": "The ifb device drops each frame after the whole way through the stack: the "
                    "only path of one machine on which zero-copy is one.",
        "veth UDP": "The far end makes its copy on delivery: this compares programs, and says "
                    "nothing for or against zero-copy.",
        "veth TCP": "As over UDP; one request under way at a time, and a receiver that discards.",
    }
    result = Result(NAME, f"Sending: {path.title}", about[path.title])
    rows = senders.rows(context.programs, path)
    series = {}
    for size in sizes(context):
        series[size] = context.rounds(
            f"send {path.title} {size} B", rows,
            lambda row, size=size: senders.once(context, path, size, row))
    found = Found(path, series)
    targets(result, found)
    plots(result, found)
    if path.place.kind == "hole":
        saving(result, found)
        result.note("No TCP here: nobody in the black hole answers, so no connection is made.")
    rates(result, found)
    check_copies(result, found)
    if context.programs.example:
        result.note("The example sends the same bytes over and over and never waits for a "
                    "notification before it uses them again; ingest-send does.")
    if not context.programs.example:
        result.note(NO_EXAMPLE)
    for row, lines in next(iter(series.values())).commands().items():
        result.command(f"# {row}")
        for line in lines:
            result.command(line)
    result.raw = {str(size): one.document() for size, one in series.items()}
    return result


def run(context):
    for path in paths(context):
        yield over(context, path)
