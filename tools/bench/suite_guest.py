"""Instructions of whole paths, receiving and sending, counted in an emulated guest."""

import json
import os
import subprocess
import tempfile

import measure
import senders
from result import Column, Result

NAME = "guest"
ABOUT = "instructions of zcrx, nodev, copy, recv() and of small sends, counted in the guest"
BUILDS = ("ingest", "ingest-send")
ORDER = 110

COUNTS = "tools/guest/counts"
ROWS = {"zcrx 4K": "zcrx, 4 KiB buffers", "zcrx 16K": "zcrx, 16 KiB buffers",
        "zcrx 64K": "zcrx, 64 KiB buffers", "by default": "zcrx, 4 KiB, filter and recorder on",
        "nodev": "nodev", "copy": "copy (io_uring)", "recv()": "recv() loop, 64 KiB"}


def add_arguments(group):
    group.add_argument("--guest-mib", type=int, default=128, metavar="MIB",
                       help="bytes of a transfer in the guest (128)")
    group.add_argument("--counts", metavar="FILE",
                       help="do not count: take what tools/guest/counts --json wrote")


def missing(programs):
    from shutil import which
    if not which("qemu-system-x86_64"):
        yield ("qemu-system-x86_64 is not installed (tools/install --guest): no counts in the "
               "guest")


def steps(context):
    return 2


def counted(context):
    """What tools/guest/counts found, and its command."""
    if context.options.counts:
        with open(context.options.counts, encoding="utf-8") as file:
            return json.load(file), f"{COUNTS} --json {context.options.counts}"
    for sentence in missing(context.programs):
        raise measure.Failed(sentence)
    root = context.programs.root
    # The guest shares the project's folder and nothing outside it.
    os.makedirs(context.programs.bench, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=context.programs.bench) as folder:
        found = os.path.join(folder, "counts.json")
        command = [os.path.join(root, COUNTS), "--bytes", str(context.options.guest_mib << 20),
                   "--plain", context.programs.at("rx-plain"), "--json", found]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        if not os.path.exists(found):
            raise measure.Failed(f"{' '.join(command)}: exit {done.returncode}\n"
                                 f"{(done.stdout + done.stderr)[-1000:]}")
        with open(found, encoding="utf-8") as file:
            return json.load(file), " ".join(command)


def targets(result, rows, budget):
    def byte(row):
        return rows[row]["perFurtherByte"]

    each = rows["zcrx 4K"]["perCompletion"]
    if "recv()" in rows:
        result.target("whole guest, per further byte: zcrx with 4 KiB buffers : recv() loop",
                      [byte("zcrx 4K") / byte("recv()")], 0.55)
    result.target("whole guest, per further byte: zcrx with 16 KiB buffers : 4 KiB",
                  [byte("zcrx 16K") / byte("zcrx 4K")], 1.0)
    result.target("whole guest, per further byte: zcrx with 64 KiB buffers : 16 KiB",
                  [byte("zcrx 64K") / byte("zcrx 16K")], 1.0)
    result.target("receiving process, instructions per completion, zcrx with 4 KiB buffers",
                  [each], 600, unit="instructions")
    result.target("the same, against the committed budget", [each / budget], 1.0)


def sent(context):
    """What guest_send.py found, and the command."""
    programs = context.programs
    command = [os.path.join(programs.root, "tools/guest/run"), "--icount", "--limit", "900", "--",
               "tools/lab", "hole", "veth", "--", "tools/bench/guest_send.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=programs.root)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise measure.Failed(f"{' '.join(command)}: exit {done.returncode}\n"
                             f"{(done.stdout + done.stderr)[-1000:]}")
    return json.loads(lines[-1]), " ".join(command)


def sent_by(result, transport, sizes):
    batch = senders.BATCH[transport]
    rows = list(next(iter(sizes.values())))
    title = f"{transport.upper()}, {f'batches of {batch}' if batch > 1 else 'one at a time'}"
    result.table(f"Instructions per request, {title}",
                 [Column("sender")] + [Column(f"{size} B", "", "lower") for size in sizes],
                 [[row, *(round(sizes[size][row]) for size in sizes)] for row in rows])
    for row in rows:
        base = row.replace("ingest", "example")
        if row.startswith("ingest") and base in rows:
            result.target(f"{title}: requests for the same instructions, {row} : example, the "
                          "worst size",
                          [min(sizes[size][base] / sizes[size][row] for size in sizes)], 1.00,
                          at_most=False)


def sending(context):
    context.progress.begin("guest: counting sends")
    told, command = sent(context)
    context.progress.end()
    result = Result(
        NAME, "Instructions of a request in the guest",
        "Datagrams into the black hole, the whole way through the stack and both sides of the "
        "system call; and a stream over veth, the receiver's part among it. Unlike requests per "
        "second these counts repeat to the fourth digit (the stream's to the third), so that a "
        "difference of one part in a hundred is one.")
    for transport, sizes in told.items():
        sent_by(result, transport, sizes)
    result.note("The example sends one buffer over and over and never waits for a notification "
                "before it uses it again; the C twin and ingest-send do.")
    result.command(command)
    return result


def run(context):
    yield receiving(context)
    yield sending(context)


def receiving(context):
    context.progress.begin("guest: counting")
    told, command = counted(context)
    context.progress.end()
    rows = told["rows"]
    if lacking := {"zcrx 4K", "zcrx 16K", "zcrx 64K"} - set(rows):
        raise measure.Failed(f"tools/guest/counts has no row {', '.join(sorted(lacking))}")
    result = Result(
        NAME, "Instructions in the guest",
        f"Linux {told['kernel']}, emulated, one CPU, one virtual nanosecond per instruction: CPU "
        f"time is a count. {told['bytes'] >> 20} MiB from port to port of the virtual network "
        "card, raw to null. The whole guest is sender, wire, card and receiver.")
    table = []
    for row, name in ROWS.items():
        if row in rows:
            figures = rows[row]
            table.append([name, round(figures["perFurtherByte"], 3),
                          round(figures["perByte"], 3), round(figures["perCompletion"]),
                          round(figures["completions"])])
    result.table("Instructions", [
        Column("receiver"), Column("whole guest per further byte", "", "lower"),
        Column("whole guest per byte", "", "lower"),
        Column("receiving process per completion", "", "lower"),
        Column("completions of a transfer")], table)
    lengths = {int(size) << 10: [rows[f"zcrx {size}K"]["perFurtherByte"]] for size in (4, 16, 64)}
    result.lines("Whole guest, instructions per further byte, over the buffers' length", "buffer",
                 "B", "", {"zcrx": lengths}, "lower", logarithmic=True)
    targets(result, rows, told["budget"])
    result.note("A further byte: the difference of two lengths of transfer, without the sender's "
                "start and end, which a byte of a short transfer also carries.")
    result.note("Completions of copy and calls of recv() are few and large: per completion, they "
                "are not comparable. The zcrx rows run without flight recorder and system call "
                "filter, one row with both.")
    result.note("Instructions, not time: they know nothing of cache misses, which a copy causes "
                "and zero-copy receive avoids, so that the real difference is larger.")
    result.command(command)
    return result
