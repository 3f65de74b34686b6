"""Cost per byte over the number of connections, threads, the area's size and the records' size."""

import functools
import resource

import extras
import measure
import peers
import receiving
from context import RX_CPU, TX_CPU
from result import Column, Result, spread

NAME = "scaling"
ABOUT = "cost per byte with 1 to 10,000 connections, 1 to 4 threads, areas, record sizes"
NEEDS_NETWORK = ("lo",)
ORDER = 70

CONNECTIONS = (1, 10, 100, 1000, 10_000)
THREADS = (1, 2, 3, 4)
AREAS = ("16M", "64M", "256M", "1G", "4G")
RECORDS = ("16", "256", "4K", "64K", "1M")
PARTS = {"connections": 3 * len(CONNECTIONS), "threads": len(THREADS), "areas": len(AREAS),
         "records": len(RECORDS)}
OURS, PEER, FLOOR = "ingest", "epoll + recv()", "no copy: epoll + MSG_TRUNC"


def add_arguments(group):
    group.add_argument("--scale", action="append", choices=tuple(PARTS),
                       help="only over this; may be repeated")
    group.add_argument("--most", type=int, default=CONNECTIONS[-1], metavar="COUNT",
                       help="connections at most (10000)")


def prepare(programs):
    for name in ("tx-many", "rx-epoll"):
        extras.c_program(programs, name)


def parts(context):
    return context.options.scale or list(PARTS)


def steps(context):
    return context.options.rounds * sum(PARTS[part] for part in parts(context))


def raise_limit(count):
    """Room for so many descriptors, in this process and those it starts. Whether there is."""
    wanted = count + 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted <= hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], soft) >= wanted


def many(context, receiver, connections):
    """A run with one sender of so many connections; the same bytes whatever their number."""
    options, place, port = context.options, context.places["lo"], context.port()
    size = int(options.seconds * 2e9)
    sender = [context.programs.at("tx-many"), "-a", place.address, "-p", str(port), "-P",
              str(connections), "-n", str(size), "-w", str(int(options.warm_up * 2e9)), "-c",
              TX_CPU, "-r", "RXPID"]
    run = measure.once((receiver(place.address, port), place.rx), (sender, place.tx), port,
                       options.limit + 90)
    window = run["tx"]["window"]
    return receiving.whole(
        dict(run, machine=sum(window["busy"]) - window["stolen"], rx_cpu=window["receiver"],
             tx_cpu=window["sender"]), window["bytes"], window["seconds"])


def ours(programs, connections, *more, cpu=RX_CPU):
    def command(address, port):
        pinned = ["--cpus", cpu] if cpu else []
        return [programs.ingest, "run", "--listen", address, "--port", str(port), *pinned,
                "--json", "--max-connections", str(connections), "--connections-per-peer", "0",
                "--connections", str(connections), "--sink", "null", *more]

    return command


def tabulate(result, series, title, head, names):
    """A table and a curve over what was varied; `names` is row -> (curve, number, text)."""
    rows, curves = [], {}
    for row, (curve, number, text) in names.items():
        values = series.values(row, "machine")
        rows.append([text, curve, spread(values), spread(series.values(row, "receiver")),
                     spread(series.values(row, "sender")), spread(series.values(row, "gbit")),
                     series.clean(row)])
        curves.setdefault(curve, {})[number] = values
    result.table(title, [
        Column(head), Column("receiver"), Column("machine CPU", "s/GB", "lower"),
        Column("receiver CPU", "s/GB", "lower"), Column("sender CPU", "s/GB", "lower"),
        Column("rate", "Gbit/s", "higher"), Column("clean runs")], rows)
    result.lines(title, head, "", "s/GB", curves, "lower", logarithmic=True)
    for commands in series.commands().values():
        for command in commands:
            result.command(command)


def connections(context, result):
    counts = [count for count in CONNECTIONS
              if count <= context.options.most and raise_limit(count)]
    rows, names = {}, {}
    for count in counts:
        theirs = functools.partial(peers.theirs, context.programs, "rx-epoll", "-P", str(count))
        for name, receiver in ((OURS, ours(context.programs, count)), (PEER, theirs()),
                               (FLOOR, theirs("-t"))):
            row = f"{name}, {count}"
            rows[row], names[row] = (receiver, count), (name, count, f"{count:,}")
    series = context.rounds("connections", rows, lambda row: many(context, *row))
    tabulate(result, series, "Over the number of connections", "connections", names)
    most = counts[-1]
    for name, gate in ((OURS, most == CONNECTIONS[-1]), (PEER, False), (FLOOR, False)):
        result.target(f"machine CPU per GB, {name}: {most:,} connections : 1",
                      series.ratios(f"{name}, {most}", f"{name}, 1", "machine"), 1.3, gate=gate)
    result.target(f"machine CPU per GB, {most:,} connections: ingest : no copy",
                  series.ratios(f"{OURS}, {most}", f"{FLOOR}, {most}", "machine"), 1.1, gate=False)
    if most < CONNECTIONS[-1]:
        result.note(f"No more than {most:,} connections: --most, or too few descriptors "
                    "(ulimit -Hn).")
    result.note("All connections stand before the first byte; the window is counted in bytes, "
                "the same for each number. Send buffers are 256 MiB together, 32 KiB to 2 MiB "
                "each. The sender, too, pays for many connections: machine CPU holds both ends.")


def threads(context, result):
    connected = 64
    rows = {f"{count} threads": (ours(context.programs, connected, "--threads", str(count),
                                      cpu=None), connected) for count in THREADS}
    series = context.rounds("threads", rows, lambda row: many(context, *row))
    tabulate(result, series, "Over the number of threads, 64 connections", "threads",
             {f"{count} threads": (OURS, count, str(count)) for count in THREADS})
    result.target("machine CPU per GB: 4 threads : 1",
                  series.ratios("4 threads", "1 threads", "machine"), 1.3, gate=False)
    result.note("Threads are not pinned; the sender is one thread on CPU 0, so that rates do not "
                "grow with the receiver's threads, and more threads than CPUs share them.")


def areas(context, result):
    # There are 32,768 provided buffers at most: 4 GiB need large ones.
    rows = {area: (ours(context.programs, 1, "--buffer", "256K", "--area", area), 1)
            for area in AREAS}
    series = context.rounds("areas", rows, lambda row: many(context, *row))
    tabulate(result, series, "Over the area's size", "area",
             {area: (OURS, in_bytes(area), area) for area in AREAS})
    result.target("machine CPU per GB: area of 4G : 16M",
                  series.ratios("4G", "16M", "machine"), 1.3, gate=False)
    result.note("One connection, buffers of 256 KiB. A copying engine takes the buffer that was "
                "given back last where it can, so that little of a large area is touched; a card "
                "goes round through all of it.")


def records(context, result):
    rows = {size: size for size in RECORDS}
    series = context.rounds("records", rows, lambda size: record_run(context, size))
    tabulate(result, series, "Over the size of wire records", "payload",
             {size: (OURS, in_bytes(size), size) for size in RECORDS})
    result.note("One connection, parse wire, no checksum; bytes are those of the stream, 32 bytes "
                "of header for each record in them. Below some KiB the cost is each record's, "
                "not each byte's, at both ends.")


def record_run(context, size):
    options, place, port = context.options, context.places["lo"], context.port()
    receiver = peers.ours(context.programs, "--parse", "wire", "--sink", "null")
    sender = [context.programs.ingest_send, "--to", f"{place.address}:{port}", "--method", "send",
              "-C", "reno", "-l", "128K", "--record-minimum", size, "--record-maximum", size,
              "--checksum", "none", "-t", f"{options.seconds + options.warm_up:g}", "--json"]
    run = measure.once((receiver(place.address, port), place.rx), (sender, place.tx, TX_CPU), port,
                       options.limit)
    end = run["tx"]["end"]["send"]
    return receiving.whole(run, end["counters"]["bytes"], end["elapsedSeconds"])


def in_bytes(text):
    return int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)


def run(context):
    result = Result(NAME, "Scaling",
                    "Cost per byte over loopback, sender on CPU 0, receiver on CPU 1.")
    if "lo" not in context.places:
        raise measure.Failed("scaling is measured over loopback: not with another --place")
    for part in parts(context):
        {"connections": connections, "threads": threads, "areas": areas,
         "records": records}[part](context, result)
    return result
