"""What is measured: the rows of each suite, and what their ratios have to reach."""

import itertools
import os

import measure

AREA, BUFFER = "8m", "64k"
SIZES = (600, 1472, 4000, 8000, 16000, 65000)
METHODS = ("send", "send-zc", "send-zc-fixed")
BATCH = 32
TX_CPU, RX_CPU = "0", "1"

# Where a run's port comes from: one that was just used may still be in TIME_WAIT.
PORTS = itertools.count(20000)


class Place:
    """One of the networks that tools/lab made."""

    def __init__(self, kind):
        self.kind = kind
        self.tx = os.environ[f"LAB_{kind.upper()}_TX"]
        self.rx = os.environ.get(f"LAB_{kind.upper()}_RX") or None
        self.address = os.environ[f"LAB_{kind.upper()}_RX_ADDR"]


class Programs:
    """Where the programs lie."""

    def __init__(self, root):
        self.bench = os.path.join(root, ".build/bench")
        release = os.path.join(root, ".build/release")
        self.ingest = os.path.join(release, "ingest")
        self.ingest_send = os.path.join(release, "ingest-send")
        example = os.path.join(self.bench, "send-zerocopy")
        self.example = example if os.path.exists(example) else None

    def at(self, name):
        return os.path.join(self.bench, name)


def ours(programs, *options):
    """A receiver of ours, as a function of address and port."""

    def command(address, port):
        fixed = ["run", "--listen", address, "--port", str(port), "--cpus", RX_CPU, "-1", "--json"]
        return [programs.ingest, *fixed, *options]

    return command


def theirs(programs, name, *options):
    def command(address, port):
        return [programs.at(name), "-a", address, "-p", str(port), "-c", RX_CPU, *options]

    return command


def raw_receivers(programs):
    """Rows of raw receiving: every one takes the same bytes and looks at none."""
    raw = ("--parse", "raw", "--sink", "null")
    return {
        "recv 64K, one hot buffer": theirs(programs, "rx-plain", "-b", "64k"),
        "recv + LOWAT 1M, pool 8M": theirs(programs, "rx-lowat", "-W", AREA),
        "no copy (MSG_TRUNC + LOWAT)": theirs(programs, "rx-trunc"),
        "C twin": theirs(programs, "rx-uring", "-W", AREA, "-b", BUFFER, "-m", "inc"),
        "ingest": ours(programs, *raw),
        "ingest --latency": ours(programs, *raw, "--latency"),
    }


def checking_receivers(programs):
    """Rows of receiving wire records, from our sender; the last two read every byte."""
    twin = ("-W", AREA, "-b", BUFFER, "-m", "inc")
    return {
        "C twin, wire": theirs(programs, "rx-uring", *twin),
        "C twin + CRC32C": theirs(programs, "rx-uring", *twin, "-k"),
        "ingest + CRC32C": ours(
            programs, "--parse", "wire", "--checksum", "crc32c:verify", "--sink", "null"),
    }


def raw_run(programs, place, receiver, options):
    """A run with the common sender, measured in its window."""
    port = next(PORTS)
    sender = [programs.at("tx-plain"), "-a", place.address, "-p", str(port), "-c", TX_CPU]
    sender += ["-t", str(options.seconds), "-w", str(options.warm_up), "-r", "RXPID"]
    run = measure.once(
        (receiver(place.address, port), place.rx), (sender, place.tx), port, options.limit)
    window = run["tx"]["window"]
    gigabytes = window["bytes"] / 1e9
    run["figures"] = {
        "gbit": window["bytes"] * 8 / 1e9 / window["seconds"],
        "machine": (sum(window["busy"]) - window["stolen"]) / gigabytes,
        "receiver": window["receiver"] / gigabytes,
        "sender": window["sender"] / gigabytes,
    }
    return run


def checking_run(programs, place, receiver, options):
    """A run with our own sender of wire records, measured as a whole."""
    port = next(PORTS)
    sender = [programs.ingest_send, "--to", f"{place.address}:{port}", "--method", "send"]
    sender += ["-l", "128K", "-t", f"{options.seconds + options.warm_up:g}", "--json"]
    run = measure.once(
        (receiver(place.address, port), place.rx), (sender, place.tx, TX_CPU), port, options.limit)
    end = run["tx"]["end"]["send"]
    gigabytes = end["counters"]["bytes"] / 1e9
    run["figures"] = {
        "gbit": end["counters"]["bytes"] * 8 / 1e9 / end["elapsedSeconds"],
        "machine": run["machine"] / gigabytes,
        "receiver": run["rx_cpu"] / gigabytes,
        "sender": run["tx_cpu"] / gigabytes,
    }
    return run


def crc_floor(programs, options):
    """CPU seconds per GB of ISA-L's CRC32C over memory like ours, the best of a few."""
    command = [programs.at("crc-floor"), "-W", AREA, "-b", BUFFER, "-n", "4g", "-c", RX_CPU]
    found = []
    for _ in range(3):
        run = measure.once(None, (command, None), 0, options.limit)
        found.append(run["tx"]["seconds_per_gb"])
    return min(found)


def senders(programs, size):
    """Rows of sending: name -> function of address, port and seconds."""

    def example(method):
        flags = {"send": ["-z0"], "send-zc": ["-z1", "-b0"], "send-zc-fixed": ["-z1", "-b1"]}

        def command(address, port, seconds):
            fixed = ["-4", "-D", address, "-p", str(port), "-s", str(size), "-n", str(BATCH)]
            return [programs.example, *fixed, "-t", str(max(1, round(seconds))), *flags[method],
                    "udp"]

        return command

    def twin(method):
        def command(address, port, seconds):
            return [programs.at("tx-uring"), "-a", address, "-p", str(port), "-l", str(size),
                    "-n", str(BATCH), "-t", str(seconds), "-m", method]

        return command

    def own(method):
        def command(address, port, seconds):
            return [programs.ingest_send, "--to", f"{address}:{port}", "-u", "-l", str(size),
                    "-t", f"{seconds:g}", "--method", method, "--source", "pattern",
                    "--batch", str(BATCH), "--json"]

        return command

    rows = {}
    for method in METHODS:
        if programs.example:
            rows[f"example {method}"] = example(method)
        rows[f"C twin {method}"] = twin(method)
        rows[f"ingest {method}"] = own(method)
    rows["ingest auto"] = own("auto")
    return rows


def send_run(programs, place, sender, options):
    """A run of a sender; into the black hole there is no receiver."""
    port = next(PORTS)
    receiver = None
    if place.rx:
        receiver = ([programs.at("rx-udp"), "-a", place.address, "-p", str(port)], place.rx, RX_CPU)
    command = sender(place.address, port, options.seconds)
    run = measure.once(receiver, (command, place.tx, TX_CPU), port, options.limit, kind="udp")
    run["figures"] = sent(run, options)
    return run


def sent(run, options):
    """Requests per second, and the share of zero-copy sends that the kernel copied (or None)."""
    end = run["tx"].get("end")
    if end:
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
