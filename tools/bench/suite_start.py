"""How soon a receiver listens after its start, and has its first byte in the sink."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

import measure
import peers
from result import Column, Result, spread

NAME = "start"
ABOUT = "from exec to listening and to the first byte in the sink; system calls until the end"
ORDER = 90
STARTS = 20
LOCAL = "127.0.0.1"


def missing(programs):
    if not programs.iperf3:
        yield "iperf3 is not installed (tools/install --bench); its row is left out"
    if not shutil.which("strace"):
        yield "strace is not installed (tools/install --bench); system calls are not counted"


def add_arguments(group):
    group.add_argument("--starts", type=int, default=STARTS, metavar="COUNT",
                       help="starts of each receiver (20)")


def receivers(programs):
    """Row -> (command for a port, what comes out of its standard output)."""
    def ours(*options):
        return lambda port: [programs.ingest, "run", "--listen", LOCAL, "--port", str(port), "-1",
                             *options]

    stdout = ("--parse", "raw", "--sink", "stdout")
    rows = {
        "ingest": (ours(*stdout), True),
        "ingest, rights kept": (ours(*stdout, "--privileges", "keep", "--record-events", "0"),
                                True),
        peers.TWIN: (lambda port: peers.twin(programs)(LOCAL, port), False),
        "recv() loop": (lambda port: peers.theirs(programs, "rx-plain")(LOCAL, port), False),
    }
    if programs.iperf3:
        rows["iperf3 -s"] = (lambda port: peers.iperf3_receiver(programs, LOCAL, port), False)
    return rows


def steps(context):
    return context.options.starts * len(receivers(context.programs)) + len(
        receivers(context.programs))


def connect(process, port, until):
    """Knocks until someone opens."""
    while True:
        knock = socket.socket()
        try:
            knock.connect((LOCAL, port))
            return knock
        except ConnectionRefusedError:
            knock.close()
            if process.poll() is not None or time.monotonic() > until:
                raise measure.Failed(f"{process.args}: does not listen") from None


def start_once(command, port, tells):
    """Seconds to listening, to the first byte in the sink (None where there is none), to the end
    of a connection that brought one byte."""
    with tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors)
        try:
            peer = connect(process, port, began + 20)
            listening = time.monotonic() - began
            first = None
            peer.sendall(b"x")
            if tells:
                if os.read(process.stdout.fileno(), 1) != b"x":
                    errors.seek(0)
                    raise measure.Failed(f"{command}: {errors.read().decode()[-400:]}")
                first = time.monotonic() - began
            peer.shutdown(socket.SHUT_WR)
            peer.close()
            return listening, first
        finally:
            if not command[0].endswith("iperf3"):
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    pass
            process.kill()
            process.wait()
            process.stdout.close()


def start_run(context, row):
    command, tells = row
    port = context.port()
    foreign, before = measure.others(), measure.machine()
    listening, first = start_once(command(port), port, tells)
    after = measure.machine()
    stolen = sum(after["stolen"][cpu] - before["stolen"][cpu] for cpu in after["stolen"])
    line = shlex.join(command(port)).replace(measure.ROOT + "/", "")
    return {"figures": {"listening": listening * 1e3, "first": first and first * 1e3},
            "others": measure.others() - foreign, "stolen": stolen,
            "wall": after["at"] - before["at"], "commands": [line]}


def system_calls(command, port, tells):
    """Of all threads and children, over a life with one connection of one byte."""
    with tempfile.TemporaryDirectory() as scratch:
        summary = os.path.join(scratch, "calls")
        start_once(["strace", "-f", "-c", "-o", summary, *command], port, tells)
        with open(summary, encoding="utf-8") as file:
            found = re.search(r"^100\.00 +\S+ +(?:\S+ +)?(\d+) +(?:\d+ +)?total", file.read(), re.M)
    return int(found[1]) if found else None


def run(context):
    result = Result(
        NAME, "Start-up",
        "From exec, with all files in the page cache, until someone can connect; and, for those "
        "that pass bytes on, until a byte that was sent then is in a pipe behind the sink.")
    rows = receivers(context.programs)
    series = context.rounds("start", rows, lambda row: start_run(context, row),
                            rounds=context.options.starts)
    calls = {}
    for row, (command, tells) in rows.items():
        context.progress.begin(f"system calls: {row}")
        if shutil.which("strace") and not row.startswith("iperf3"):
            port = context.port()
            calls[row] = system_calls(command(port), port, tells)
        context.progress.end()
    table = []
    for row in rows:
        first = spread(series.values(row, "first"))
        table.append([row, spread(series.values(row, "listening")), first, calls.get(row),
                      series.clean(row)])
        for command in series.commands().get(row, []):
            result.command(command)
    result.table(f"{context.options.starts} starts", [
        Column("receiver"), Column("to listening", "ms", "lower"),
        Column("to the first byte in the sink", "ms", "lower"),
        Column("system calls, all its life", "", "lower"), Column("clean runs")], table)
    result.dots("From exec to listening", "ms",
                {row: series.values(row, "listening") for row in rows}, "lower")
    result.note("System calls are those of all threads and children, over a life with one "
                "connection that brings one byte: they hardly depend on the machine's load.")
    for sentence in missing(context.programs):
        result.note(sentence)
    return result
