"""Rows of the send suite: which programs send how, and one run of each."""

import measure
from context import RX_CPU, TX_CPU

METHODS = ("send", "send-zc", "send-zc-fixed")
ZERO_COPY = ("send-zc", "send-zc-fixed")
GENERATION = 32
# Datagrams that are prepared for one system call. A stream has one send under way at a time: with
# more the example would reorder it.
BATCH = {"udp": 32, "tcp": 1}
# One record per send, its payload made once: a send writes 32 bytes into a buffer, which then has
# its turn again 1024 sends later (the most that ingest-send groups): by then 1 to 8 MiB were sent,
# and a core's own caches have forgotten it.
COLD = ("--source", "wire", "--checksum", "none", "--pool", "16M", "--generation", "1024")
HOT = ("--source", "pattern")


class Path:
    """A network and a transport: where a row is measured."""

    def __init__(self, place, transport):
        self.place, self.transport = place, transport
        self.title = f"{place.kind} {transport.upper()}"
        self.batch = str(BATCH[transport])


def example(programs, method):
    flags = {"send": ["-z0"], "send-zc": ["-z1", "-b0"], "send-zc-fixed": ["-z1", "-b1"]}

    def command(path, port, size, seconds):
        return [programs.example, "-4", "-D", path.place.address, "-p", str(port), "-s", str(size),
                "-n", path.batch, "-t", str(max(1, round(seconds))), *flags[method],
                path.transport]

    return command


def twin(programs, method):
    def command(path, port, size, seconds):
        stream = ["-T", "-C", "reno"] if path.transport == "tcp" else []
        return [programs.at("tx-uring"), "-a", path.place.address, "-p", str(port), *stream,
                "-l", str(size), "-n", path.batch, "-t", str(seconds), "-m", method]

    return command


def own(programs, method, *more):
    def command(path, port, size, seconds):
        stream = ["-C", "reno"] if path.transport == "tcp" else ["-u"]
        return [programs.ingest_send, "--to", f"{path.place.address}:{port}", *stream,
                "-l", str(size), "-t", f"{seconds:g}", "--method", method,
                "--batch", path.batch, *(more or HOT), "--json"]

    return command


def rows(programs, path):
    """Name -> function of path, port, size and seconds, which gives a command line."""
    found = {}
    for method in METHODS:
        if programs.example:
            found[f"example {method}"] = example(programs, method)
        found[f"C twin {method}"] = twin(programs, method)
        found[f"ingest {method}"] = own(programs, method)
    found["ingest msg-zerocopy"] = own(programs, "msg-zerocopy")
    found["ingest auto"] = own(programs, "auto")
    if path.place.kind == "hole":
        for method in ZERO_COPY:
            found[f"ingest {method}, by generation"] = own(
                programs, method, *HOT, "--generation", str(GENERATION))
        for method in ("send", "send-zc-fixed", "auto"):
            found[f"ingest {method}, cold"] = own(programs, method, *COLD)
    return found


def receiver(programs, path, port):
    """What takes the bytes at the far end; into the black hole there is none."""
    place = path.place
    if not place.rx:
        return None
    name = "rx-udp" if path.transport == "udp" else "rx-trunc"
    return ([programs.at(name), "-a", place.address, "-p", str(port)], place.rx, RX_CPU)


def once(context, path, size, sender):
    options, port = context.options, context.port()
    command = sender(path, port, size, options.seconds)
    run = measure.once(receiver(context.programs, path, port), (command, path.place.tx, TX_CPU),
                       port, options.limit, kind=path.transport)
    run["figures"] = figures(run, options)
    run["figures"]["ns"] = 1e9 / run["figures"]["rate"]
    return run


def figures(run, options):
    """Requests per second, and the share of zero-copy sends that the kernel copied (or None)."""
    if end := run["tx"].get("end"):
        counters = end["send"]["counters"]
        told = counters["notifications"]
        share = counters["copiedSends"] / told if told else None
        return {"rate": counters["sends"] / end["send"]["elapsedSeconds"], "copied": share,
                "method": end["send"]["method"]}
    if run["tx"]:
        told = run["tx"]["notifications"]
        share = run["tx"]["copied"] / told if told else None
        return {"rate": run["tx"]["sends"] / run["tx"]["seconds"], "copied": share}
    # The example runs 0.2 s longer than it is told and divides by whole seconds: count for it.
    for word in run["tx_text"].split():
        if word.startswith("tx="):
            return {"rate": int(word[3:]) / (max(1, round(options.seconds)) + 0.2), "copied": None}
    raise measure.Failed(f"the example printed no count:\n{run['tx_text']}")
