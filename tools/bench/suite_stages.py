"""Checksums, parsers, the file sink and forwarding, each beside what does the same without us."""

import os
import shutil
import statistics
import subprocess
import sys

import extras
import measure
from context import RX_CPU, TX_CPU
from result import Column, Result, spread

NAME = "stages"
ABOUT = "checksums and parsers beside their libraries, the file sink beside dd, forwarding"
NEEDS_NETWORK = ("lo",)
ORDER = 60

KIB = 1 << 10
DIGESTS = ("crc32c-verify", "crc32c", "xxh3-verify", "xxh3", "crc32c-placed")
PARSERS = ("raw", "fixed", "length", "described", "wire", "chunked", "lines")
BUFFERS = (4 * KIB, 64 * KIB)
RECORDS = (64, KIB)
FILE_BLOCK = {"buffered": "64K", "direct": "1M"}
# Runs of each part in a round.
PARTS = {"memory": 2 * (len(DIGESTS) * len(BUFFERS) + len(PARSERS) * len(RECORDS)),
         "file": 3 * len(FILE_BLOCK), "forward": 3}
# dd with a connection as its standard input: the file sink's work, and no other process between.
INTO_DD = """
import os, socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    connection, _ = listener.accept()
os.sched_setaffinity(0, {int(sys.argv[3])})
os.dup2(connection.fileno(), 0)
os.execvp("dd", ["dd", *sys.argv[4:]])
"""


def add_arguments(group):
    group.add_argument("--near", type=int, default=8, metavar="MIB",
                       help="area that stays in the last cache (8)")
    group.add_argument("--far", type=int, default=256, metavar="MIB",
                       help="area that does not (256)")
    group.add_argument("--file-mib", type=int, default=1024, metavar="MIB",
                       help="written by the file sink and by dd (1024)")
    group.add_argument("--folder", help="where they write (.build/bench-files)")
    group.add_argument("--part", action="append", choices=tuple(PARTS),
                       help="only this part of the suite; may be repeated")


def prepare(programs):
    extras.package(programs, "stageloop")
    extras.c_program(programs, "relay")


def parts(context):
    """Of PARTS, those that are asked for and can be had."""
    asked = context.options.part or list(PARTS)
    return [part for part in PARTS if part in asked and (part == "memory" or context.places)]


def steps(context):
    return context.options.rounds * sum(PARTS[part] for part in parts(context))


# Digests and parsers, over memory.

def walk(context, what, kind, mib, **keys):
    """A run of the chain over an area, the library by itself and plain reading in turns."""
    options = context.options
    keys.update(area=mib << 20, repeats=3, bytes=int(max(64, 256 * options.seconds)) << 20)
    command = [extras.product(context.programs, "stageloop", "stageloop"), what, kind]
    command += [f"{key}={value}" for key, value in keys.items()]
    run = measure.alone(command, options.limit + 60, RX_CPU)
    told = run["tx"]
    if told["faults"]:
        raise measure.Failed(f"{' '.join(command)}: {told['faults']} faults in a stream without")
    if kind.endswith("-verify") and told["verified"] * keys["buffer"] != told["bytes"]:
        raise measure.Failed(f"{' '.join(command)}: {told['verified']} records were verified")

    def rate(name, size=told["bytes"]):
        return size / statistics.median(told[name]) if told[name] else None

    run["figures"] = {"ours": rate("ours"), "read": rate("read")}
    if told["floor"]:
        # The library reads payload alone; so does verifying, which looks at headers besides.
        run["figures"]["floor"] = rate("floor")
        run["figures"]["ratio"] = statistics.median(
            floor / ours for ours, floor in zip(told["ours"], told["floor"]))
    if told["records"]:
        run["figures"]["record"] = statistics.median(told["ours"]) / told["records"]
    return run


def size_name(number):
    return f"{number // KIB}K" if number >= KIB else str(number)


def digests(context, result, place, mib):
    rows = {f"{kind}, {size_name(size)} buffers": (kind, size)
            for kind in DIGESTS for size in BUFFERS}
    series = context.rounds(
        f"checksums, {place}", rows,
        lambda row: walk(context, "digest", row[0], mib, buffer=row[1]))
    table = []
    for row in rows:
        ratios = series.values(row, "ratio")
        table.append([row, *(spread(series.values(row, name))
                             for name in ("ours", "floor", "read")), spread(ratios)])
        if rows[row][0].startswith("crc32c-verify"):
            result.target(f"{place}: {row}: rate, ours : ISA-L alone", ratios, 0.9, False)
    result.table(f"Checksums, area in {place} ({mib} MiB)", [
        Column("checksum"), Column("ours", "GB/s", "higher"),
        Column("library alone", "GB/s", "higher"), Column("reading alone", "GB/s", "higher"),
        Column("ours : library")], table)
    return series


def parsers(context, result, place, mib):
    rows = {f"{kind}, {size_name(size)} payload": (kind, size)
            for kind in PARSERS for size in RECORDS}
    series = context.rounds(
        f"parsers, {place}", rows,
        lambda row: walk(context, "frame", row[0], mib, buffer=4 * KIB, payload=row[1]))
    table = []
    for row, (kind, _) in rows.items():
        runs = series.runs[row]
        each = [run["figures"]["record"] for run in runs if "record" in run["figures"]]
        raw = [run["figures"]["floor"] for run in runs if "floor" in run["figures"]]
        table.append([row, spread(series.values(row, "ours")), spread(each),
                      spread(raw) if kind == "lines" else None,
                      spread(series.values(row, "read"))])
    result.table(f"Parsers, area in {place} ({mib} MiB)", [
        Column("parser"), Column("stream", "GB/s", "higher"), Column("a record", "ns", "lower"),
        Column("memchr alone", "GB/s", "higher"), Column("reading alone", "GB/s", "higher")], table)
    return series


def over_memory(context):
    options = context.options
    result = Result(NAME, "Checksums and parsers over memory",
                    "The chain over an area filled with a stream, buffers in random order as a "
                    "network card leaves them, one thread. Beside it, in turns in the same "
                    "process: the library over the same bytes, and summing all words.")
    for place, mib in (("cache", options.near), ("memory", options.far)):
        for series in (digests(context, result, place, mib),
                       parsers(context, result, place, mib)):
            for commands in series.commands().values():
                for command in commands:
                    result.command(command)
    result.note("A verified record fills a buffer: 32 bytes of header, whose own CRC-32C is "
                "checked too, and the rest payload, which alone the library reads.")
    result.note("The chain asks for the first line of the next buffer ahead, as the zero-copy "
                "engine does for it; the library alone waits for each: ours may be faster.")
    result.note("crc32c-placed is crc32c behind a hand-over to another thread, both sides played "
                "by one: what --place checksum=cpuN has the other thread do, and the hand-over.")
    result.note("Parsers that hop from header to header, and raw, touch little of the stream: "
                "their rate may exceed what reading it takes. Time per record compares them.")
    return result


# The file sink.

def folder(context):
    path = context.options.folder or os.path.join(context.programs.root, ".build/bench-files")
    os.makedirs(path, exist_ok=True)
    return path


def ingest_writer(context, method, address, port, target):
    sink = f"file:{target},sync=close"
    if method == "direct":
        sink += f",direct=yes,block={FILE_BLOCK[method]}"
    return [context.programs.ingest, "run", "--listen", address, "--port", str(port), "--cpus",
            RX_CPU, "-1", "--json", "--sink", sink]


def dd_writer(_, method, address, port, target):
    flags = ["iflag=fullblock"] + (["oflag=direct"] if method == "direct" else [])
    return [sys.executable, "-c", INTO_DD, address, str(port), RX_CPU,
            f"of={os.path.join(target, 'dd')}", f"bs={FILE_BLOCK[method]}", "conv=fsync",
            "status=none", *flags]


def sink_run(context, writer, method, size):
    """Receiving `size` bytes over loopback into a file, its fsync included."""
    place, port, programs = context.places["lo"], context.port(), context.programs
    target = os.path.join(folder(context), "sink")
    os.makedirs(target, exist_ok=True)
    receiver = writer(context, method, place.address, port, target)
    sender = [programs.at("tx-plain"), "-a", place.address, "-p", str(port), "-c", TX_CPU, "-C",
              "reno", "-n", str(size)]
    os.sync()
    try:
        run = measure.once((receiver, place.rx), (sender, place.tx), port,
                           context.options.limit + 120)
        written = sum(entry.stat().st_size for entry in os.scandir(target))
    finally:
        shutil.rmtree(target)
    if written != size:
        raise measure.Failed(f"{' '.join(receiver)}: {written} bytes were written, {size} sent")
    run["figures"] = {"rate": size / run["wall"] / 1e9, "cpu": run["rx_cpu"] / (size / 1e9)}
    return run


def dd_run(context, method, size):
    """dd, which has nothing to receive, with the same block, file system and fsync."""
    block = FILE_BLOCK[method]
    target = os.path.join(folder(context), "dd")
    blocks = size // (int(block[:-1]) * (1 << 20 if block[-1] == "M" else KIB))
    command = ["dd", "if=/dev/zero", f"of={target}", f"bs={block}", f"count={blocks}",
               "conv=fsync", "status=none"]
    if method == "direct":
        command.append("oflag=direct")
    os.sync()
    try:
        run = measure.alone(command, context.options.limit + 120, RX_CPU)
        written = os.path.getsize(target)
    finally:
        if os.path.exists(target):
            os.unlink(target)
    if written != size:
        raise measure.Failed(f"dd wrote {written} bytes of {size}")
    run["figures"] = {"rate": size / run["wall"] / 1e9, "cpu": run["tx_cpu"] / (size / 1e9)}
    return run


def file_system(path):
    done = subprocess.run(["df", "--output=fstype,source", path], capture_output=True, text=True,
                          check=False)
    return " on ".join(done.stdout.split("\n")[1].split()) if done.returncode == 0 else "unknown"


def files(context):
    size = context.options.file_mib << 20
    result = Result(NAME, "File sink beside dd",
                    f"{size >> 20} MiB received over loopback into a file, to the end of its "
                    f"fsync; {file_system(folder(context))}. dd has the same block and the same "
                    "fsync: once it receives the same connection as its standard input, once it "
                    "copies zeros and has nothing to receive.")
    rows = {}
    for method, block in FILE_BLOCK.items():
        rows[f"ingest, {method}, {block}"] = (sink_run, ingest_writer, method)
        rows[f"dd from the connection, {method}, {block}"] = (sink_run, dd_writer, method)
        rows[f"dd, {method}, {block}"] = (dd_run, method)
    series = context.rounds("file sink", rows, lambda row: row[0](context, *row[1:], size))
    result.table("Writing", [Column("writer"), Column("rate", "GB/s", "higher"),
                             Column("CPU of the process", "s/GB", "lower"), Column("clean runs")],
                 [[row, spread(series.values(row, "rate")), spread(series.values(row, "cpu")),
                   series.clean(row)] for row in rows])
    for method, block in FILE_BLOCK.items():
        result.target(f"file sink, {method}: rate, ingest : dd bs={block}",
                      series.ratios(f"ingest, {method}, {block}", f"dd, {method}, {block}",
                                    "rate"), 0.9, False)
        result.target(f"file sink, {method}: rate, ingest : dd bs={block} from the connection",
                      series.ratios(f"ingest, {method}, {block}",
                                    f"dd from the connection, {method}, {block}", "rate"),
                      1.0, False)
    for commands in series.commands().values():
        for command in commands:
            result.command(command)
    return result


# Forwarding.

RELAYS = ("ingest forward", "C recv + send", "C splice")


def forward_run(context, name):
    """From a sender through a relay to a receiver that throws everything away, over loopback."""
    place, programs, options = context.places["lo"], context.programs, context.options
    port, onward = context.port(), context.port()
    size = int(max(0.25, options.seconds) * 2e9)
    receiver = [programs.at("rx-trunc"), "-a", place.address, "-p", str(onward), "-c", RX_CPU]
    if name == "ingest forward":
        relay = [programs.ingest, "run", "--listen", place.address, "--port", str(port), "--cpus",
                 RX_CPU, "-1", "--json", "--sink", f"forward:{place.address}:{onward}"]
    else:
        relay = [programs.at("relay"), "-a", place.address, "-p", str(port), "-P", str(onward),
                 "-c", RX_CPU] + (["-s"] if name == "C splice" else [])
    sender = [programs.at("tx-plain"), "-a", place.address, "-p", str(port), "-c", TX_CPU, "-C",
              "reno", "-n", str(size)]
    end = measure.Program(receiver, place.rx)
    try:
        end.listening(onward, "tcp")
        run = measure.once((relay, place.rx), (sender, place.tx), port, options.limit + 60)
        end_cpu = end.finish(options.limit)
        got = end.json()["bytes"]
    finally:
        end.stop()
    if got != size:
        raise measure.Failed(f"{name}: {got} of {size} bytes came through")
    run["figures"] = {"rate": size / run["wall"] / 1e9, "relay": run["rx_cpu"] / (size / 1e9),
                      "machine": run["machine"] / (size / 1e9), "end": end_cpu}
    return run


def forwarding(context):
    result = Result(NAME, "Forwarding over loopback",
                    "One sender, a relay, one receiver that drops what comes; relay and receiver "
                    "share a CPU. Loopback copies whatever zero-copy sends ask for.")
    rows = {name: name for name in RELAYS}
    series = context.rounds("forward", rows, lambda name: forward_run(context, name))
    result.table("Relays", [Column("relay"), Column("rate", "GB/s", "higher"),
                            Column("relay CPU", "s/GB", "lower"),
                            Column("machine CPU", "s/GB", "lower"), Column("clean runs")],
                 [[row, *(spread(series.values(row, name))
                          for name in ("rate", "relay", "machine")), series.clean(row)]
                  for row in rows])
    result.target("forwarding: machine CPU per GB, ingest : C recv + send",
                  series.ratios(RELAYS[0], RELAYS[1], "machine"), 1.0, gate=False)
    for commands in series.commands().values():
        for command in commands:
            result.command(command)
    return result


def run(context):
    measures = {"memory": over_memory, "file": files, "forward": forwarding}
    try:
        for part in parts(context):
            yield measures[part](context)
    finally:
        shutil.rmtree(os.path.join(context.programs.root, ".build/bench-files"),
                      ignore_errors=True)
