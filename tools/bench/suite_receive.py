"""Receiving bytes that nobody looks at: what taking them out of the kernel costs."""

import contextlib
import subprocess

import measure
import peers
import receiving
from context import RX_CPU, TX_CPU
from result import Column, Result, spread

NAME = "receive"
ABOUT = "raw receiving over a veth pair and loopback, the same sender for all"
NEEDS_NETWORK = ("veth", "lo")
ORDER = 10

IPERF3 = "iperf3 (its own sender)"
# A segment of this size holds one page: 4096 bytes, 20 of IPv4, 20 of TCP, 12 of its timestamps.
PAGE_MTU = 4148
NO_IPERF3 = "iperf3 is not installed; its rows are left out (tools/install --bench)"


def missing(programs):
    return [] if programs.iperf3 else [NO_IPERF3]


def receivers(programs):
    """Every one takes the same bytes and looks at none."""
    raw = ("--parse", "raw", "--sink", "null")
    rows = {
        peers.PLAIN: peers.theirs(programs, "rx-plain", "-b", "64k"),
        peers.LOWAT: peers.theirs(programs, "rx-lowat", "-W", peers.AREA),
        peers.FLOOR: peers.theirs(programs, "rx-trunc"),
        peers.TWIN: peers.twin(programs),
        "ingest": peers.ours(programs, *raw),
        "ingest --latency": peers.ours(programs, *raw, "--latency"),
    }
    if programs.iperf3:
        rows[IPERF3] = None
    return rows


def page_receivers(programs):
    """Those that say something where every segment is a page."""
    rows = {name: row for name, row in receivers(programs).items()
            if name in (peers.PLAIN, peers.LOWAT, peers.FLOOR, "ingest")}
    rows[peers.MAPPED] = peers.theirs(programs, "rx-mmap")
    return rows


def steps(context):
    kinds = len(receivers(context.programs)) * len(context.places)
    if "veth" in context.places:
        kinds += len(page_receivers(context.programs))
    return context.options.rounds * kinds


def iperf3(context, place):
    """The pair as people run it. It is measured from start to end: it has no window."""
    programs, options, port = context.programs, context.options, context.port()
    receiver = peers.iperf3_receiver(programs, place.address, port)
    sender = peers.iperf3_sender(
        programs, place.address, port, options.seconds + options.warm_up)
    run = measure.once((receiver, place.rx, RX_CPU), (sender, place.tx, TX_CPU), port,
                       options.limit)
    total = run["tx"]["end"]["sum_received"]
    return receiving.whole(run, total["bytes"], total["seconds"])


@contextlib.contextmanager
def mtu(place, size):
    """The veth pair with another MTU, and back again."""
    ends = ((place.tx, place.tx_device), (place.rx, place.rx_device))

    def change(value):
        for namespace, device in ends:
            subprocess.run(["ip", "-n", namespace, "link", "set", device, "mtu", str(value)],
                           check=True)

    before = current_mtu(*ends[0])
    change(size)
    try:
        yield
    finally:
        change(before)


def current_mtu(namespace, device):
    shown = subprocess.run(["ip", "-n", namespace, "-o", "link", "show", device],
                           capture_output=True, text=True, check=True).stdout.split()
    return int(shown[shown.index("mtu") + 1])


def targets(result, place, series):
    for base, bound in ((peers.PLAIN, 0.72), (peers.LOWAT, 0.90), (peers.FLOOR, 1.10),
                        (peers.TWIN, 1.10)):
        result.target(f"{place.kind}: machine CPU per GB, ingest : {base}",
                      series.ratios("ingest", base, "machine"), bound)


def over(context, place, lowest):
    title = f"receive {place.kind}"
    result = Result(NAME, f"Receiving over {place.kind}",
                    "Bytes of one TCP connection, dropped as soon as they are received.")

    def start(row):
        return receiving.windowed(context, place, row) if row else iperf3(context, place)

    series = context.rounds(
        title, receivers(context.programs), start,
        lambda row: receiving.warm(lowest, title, row, together=row != IPERF3))
    receiving.describe(result, series, peers.PLAIN)
    targets(result, place, series)
    if context.programs.iperf3:
        result.note("iperf3 is measured as a whole, its start included, with its own sender; the "
                    "others in a window of their steady state, with one sender for all.")
    else:
        result.note(NO_IPERF3)
    result.note("The no-copy floor throws the bytes away in the kernel: no receiver that has them "
                "can be cheaper, on a device that does not place them by itself.")
    result.note("With a network card that does (zero-copy receive of Linux 6.15), 188 Gbit/s on "
                "one core are published: 0.043 s/GB of that core, softirq included.")
    return result


def in_pages(context, place, lowest):
    """The peer that maps pages of the socket needs segments of whole pages."""
    title = "receive veth, page segments"
    result = Result(NAME, f"Receiving over veth, a page per segment (MTU {PAGE_MTU})",
                    "For TCP_ZEROCOPY_RECEIVE, which maps received pages instead of copying them.")
    with mtu(place, PAGE_MTU):
        series = context.rounds(
            title, page_receivers(context.programs),
            lambda row: receiving.windowed(context, place, row, "-z", "-l", "60k"),
            lambda row: receiving.warm(lowest, title, row))

    def mapped(row):
        shares = [100 * run["rx"]["mapped"] / run["rx"]["bytes"] for run in series.runs[row]
                  if "mapped" in run["rx"]]
        return spread(shares)

    receiving.describe(result, series, peers.PLAIN, [(Column("mapped", "%"), mapped)])
    result.note("The sender uses MSG_ZEROCOPY, for all rows: on delivery the kernel then copies "
                "into single pages, the only kind that can be mapped. With plain send() it would "
                "fill larger ones, and nothing would be.")
    return result


def run(context):
    lowest = {}
    for place in context.places.values():
        yield over(context, place, lowest)
    if "veth" in context.places:
        yield in_pages(context, context.places["veth"], lowest)
