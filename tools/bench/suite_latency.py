"""How old data is when a stage has judged it and when a sink's reader has it."""

import json
import os
import shlex

import extras
import measure
from context import RX_CPU, TX_CPU
from result import Column, Result, spread

NAME = "latency"
ABOUT = "from send() and from the batch's completions to verdict and sink, idle and loaded"
NEEDS_NETWORK = ("veth",)
ORDER = 80

SHARES = {"p50": "50 %", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "p9999": "99.99 %",
          "max": "most"}
# How the receiver waits; the first is what `ingest` does by itself.
WAITS = {"default": (), "min-wait 0": ("--min-wait", "0us"), "--latency": ("--latency",)}
PLAIN = "recv() loop"
RATE = 10_000


def add_arguments(group):
    group.add_argument("--load", default="2G", metavar="RATE",
                       help="bits a second of the other connection in loaded runs (2G)")


def prepare(programs):
    for name in ("stamp-send", "stamp-read"):
        extras.c_program(programs, name)
    extras.c_program(programs, "stamp-stage", "-shared", "-fPIC", suffix=".so")


def steps(context):
    return context.options.rounds * (2 * len(WAITS) + 1)


def lasting(context):
    """Seconds of a run: of 10,000 records or more, one in 10,000 can be told."""
    return max(1, context.options.seconds)


def sender(context, port):
    place = context.places["veth"]
    return [context.programs.at("stamp-send"), "-a", place.address, "-p", str(port), "-r",
            str(RATE), "-t", f"{lasting(context):g}", "-c", TX_CPU]


def plain_run(context):
    """What people write: a process that reads the connection itself."""
    place, port = context.places["veth"], context.port()
    receiver = [context.programs.at("stamp-read"), "-a", place.address, "-p", str(port), "-c",
                RX_CPU]
    run = measure.once((receiver, place.rx), (sender(context, port), place.tx), port,
                       context.options.limit)
    run["figures"] = figures({"sink": run["rx"]["read"]}, run)
    return run


def figures(ages, run):
    """Microseconds of each share, of each kind of age."""
    found = {f"{kind} {share}": told[share] / 1e3 for kind, told in ages.items()
             for share in SHARES}
    found["late"] = run["tx"]["late"] / run["tx"]["records"]
    return found


class Receiver:
    """`ingest` with the stage, its output in the pipe of a reader."""

    def __init__(self, context, waits, connections):
        self.place, self.port = context.places["veth"], context.port()
        programs = context.programs
        self.ages = os.path.join(programs.bench, f"ages-{self.port}.json")
        stage = f"{programs.at('stamp-stage.so')}?to={self.ages}"
        command = [programs.ingest, "run", "--listen", self.place.address, "--port",
                   str(self.port), "--cpus", RX_CPU, "--privileges", "keep", "--connections",
                   str(connections), "--json", "--parse", "raw", "--stage", stage, "--sink",
                   "stdout", *waits]
        # The shell is the program that is waited for: its output is the reader's.
        self.program = ["bash", "-c", 'reader=$1; cpu=$2; shift 2; "$@" | "$reader" -c "$cpu"',
                        "bash", programs.at("stamp-read"), RX_CPU, *command]

    def told(self, run):
        """What reader and stage said."""
        try:
            with open(self.ages, encoding="ascii") as file:
                stage = json.load(file)
            os.unlink(self.ages)
        except (OSError, ValueError) as error:
            raise measure.Failed(f"the stage did not say how old records were: {error}") from error
        read = run["rx"]["read"]
        if not read["count"] == stage["arrival"]["count"] == run["tx"]["records"]:
            raise measure.Failed(f"{run['tx']['records']} records were sent, the stage saw "
                                 f"{stage['arrival']['count']}, the reader {read['count']}")
        return {"verdict": stage["arrival"], "batch": stage["batch"], "sink": read}


def loaded_sender(context, port):
    """The stamps, and a second connection that begins before and lasts longer."""
    place, options = context.places["veth"], context.options
    load = [context.programs.ingest_send, "--to", f"{place.address}:{port}", "--method", "send",
            "-C", "reno", "--source", "pattern", "-l", "64K", "-b", options.load, "-t",
            f"{lasting(context) + 1:g}", "--cpus", TX_CPU]
    script = f'{shlex.join(load)} >/dev/null & sleep 0.5; "$@" && wait $!'
    return ["bash", "-c", script, "bash", *sender(context, port)]


def our_run(context, waits, loaded):
    receiver = Receiver(context, waits, 2 if loaded else 1)
    place, port = receiver.place, receiver.port
    command = (loaded_sender if loaded else sender)(context, port)
    run = measure.once((receiver.program, place.rx), (command, place.tx), port,
                       context.options.limit)
    run["figures"] = figures(receiver.told(run), run)
    return run


def tabulate(result, series, title, kind, rows):
    columns = [Column("receiver"), *(Column(name, "us", "lower") for name in SHARES.values()),
               Column("clean runs")]
    result.table(title, columns, [
        [row, *(spread(series.values(row, f"{kind} {share}")) for share in SHARES),
         series.clean(row)] for row in rows])


def run(context):
    if "veth" not in context.places:
        raise measure.Failed("latency is measured over veth: not with another --place")
    result = Result(
        NAME, "Latency over a veth pair",
        f"Records of 64 bytes, {RATE:,} a second over one connection, with the sender's clock in "
        "each (the same machine, the same clock). Loaded: a second connection brings "
        f"{context.options.load}bit/s to the same thread, and a stage drops them.")
    rows = {PLAIN: lambda: plain_run(context)}
    for load in (False, True):
        for name, waits in WAITS.items():
            rows[f"ingest, {name}{', loaded' if load else ''}"] = (
                lambda waits=waits, load=load: our_run(context, waits, load))
    series = context.rounds("latency", rows, lambda start: start())
    ours = [row for row in rows if row != PLAIN]
    tabulate(result, series, "From send() until the reader of the sink has it", "sink", rows)
    tabulate(result, series, "From send() to the verdict of a stage", "verdict", ours)
    tabulate(result, series, "From the batch's completions to the verdict of a stage", "batch",
             ours)
    result.dots("From send() to the sink, 99 %", "us",
                {row: series.values(row, "sink p99") for row in rows}, "lower")
    result.target("99 % of records, ingest --latency to its sink : recv() loop",
                  series.ratios("ingest, --latency", PLAIN, "sink p99"), 2.0, gate=False)
    late = max((value for row in rows for value in series.values(row, "late")), default=0)
    result.note(f"ingest keeps no percentiles of its own, so stamps in the payload are measured. "
                f"A record is stamped right before send(), so that a sender that was late "
                f"(by over 1 ms: up to {late:.2%} of a run's records) is not held against "
                "receivers. The sink is standard output, a pipe; its reader shares CPU 1 with the "
                "receiver.")
    result.note("The time of a batch's completions is the clock as the engine reads it once per "
                "batch, right after it woke up.")
    for commands in series.commands().values():
        for command in commands:
            result.command(command)
    return result
