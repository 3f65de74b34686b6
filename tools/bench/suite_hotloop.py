"""What a completion costs from the ring to the end of the chain, in memory: no network."""

import os
import sys
import tempfile

import extras
import measure
from context import RX_CPU
from result import Column, Result, spread

NAME = "hotloop"
ABOUT = "instructions and time per completion: receive loop, three stages, two threads"
BUILDS = ()
ORDER = 50

ENGINES = {"zcrx": "zero-copy ring", "pbuf": "provided buffers"}
C_LOOP, SWIFT_LOOP = "C loop", "Swift loop"
INLINE, SPREAD = "raw, 3 stages, null", "the same over two threads"
# 200 Gbit/s in buffers of 4 KiB, completions a second.
LINE_RATE = 200e9 / 8 / 4096
FEW, MANY = 25_600, 102_400


def prepare(programs):
    extras.package(programs, "hotloop", "hotloop")
    extras.package(programs, "stageloop")


def steps(context):
    return len(ENGINES) * 4 + context.options.rounds * len(ENGINES) * 4


def gate_tools(root):
    """What the gates count instructions with."""
    folder = os.path.join(root, "tools/gates")
    if folder not in sys.path:
        sys.path.append(folder)
    import binary
    return binary


class Counter:
    """Instructions per completion by callgrind: the difference of two lengths, so that start-up
    cancels out."""

    def __init__(self, programs, scratch):
        self.tools, self.scratch = gate_tools(programs.root), scratch
        self.programs = {
            name: self.tools.without_debug_info(extras.product(programs, name, name), scratch)
            for name in ("hotloop", "stageloop")}

    def count(self, program, function, words):
        try:
            few, many = (
                self.tools.instructions(
                    self.programs[program], words(number), function, self.scratch)[0]
                for number in (FEW, MANY))
        except self.tools.GateError as error:
            raise measure.Failed(str(error)) from error
        return (many - few) / (MANY - FEW)

    def loop(self, language, engine):
        return self.count("hotloop", f"{language}_{engine}_loop",
                          lambda number: [f"{language}-{engine}", str(number)])

    def chain(self, what, engine):
        """The whole program's count holds the fake kernel's, which is taken off."""
        def words(number):
            return [what, engine, f"count={number}"]

        return (self.count("stageloop", "stageloop_main", words)
                - self.count("stageloop", f"fake_{engine}_fill", words))


def counted(context, scratch):
    """(row, engine) -> instructions per completion."""
    counter, found = Counter(context.programs, scratch), {}
    for engine, name in ENGINES.items():
        rows = {C_LOOP: (counter.loop, "c"), SWIFT_LOOP: (counter.loop, "swift"),
                INLINE: (counter.chain, "inline"), SPREAD: (counter.chain, "both")}
        for row, (count, what) in rows.items():
            context.progress.begin(f"instructions: {row}, {name}")
            found[row, engine] = count(what, engine)
            context.progress.end()
    return found


def timed(context, engine):
    """Nanoseconds per completion of the same four."""
    program = extras.product(context.programs, "stageloop", "stageloop")
    rows = {C_LOOP: ["loop", f"c-{engine}"], SWIFT_LOOP: ["loop", f"swift-{engine}"],
            INLINE: ["inline", engine], SPREAD: ["spread", engine]}
    count = max(100_000, int(context.options.seconds * 10_000_000))

    def start(words):
        # Two threads pin themselves.
        cpu = None if words[0] == "spread" else RX_CPU
        run = measure.alone([program, *words, f"count={count}"], context.options.limit, cpu)
        told = run["tx"]
        if told["leases"] != told["completions"]:
            raise measure.Failed(f"{' '.join(words)}: {told['completions']} completions became "
                                 f"{told['leases']} leases")
        run["figures"] = {"ns": told["nanoseconds"] / told["completions"]}
        return run

    return context.rounds(f"time, {ENGINES[engine]}", rows, start)


def share(nanoseconds):
    """Per cent of a core at 200 Gbit/s."""
    return nanoseconds * LINE_RATE / 1e9 * 100


def counts_table(result, counts):
    rows = []
    for row in (C_LOOP, SWIFT_LOOP, INLINE, SPREAD):
        rows.append([row, *(round(counts[row, engine], 1) for engine in ENGINES)])
    columns = [Column("loop"), *(Column(name, "instructions", "lower")
                                 for name in ENGINES.values())]
    result.table("Instructions per completion", columns, rows)
    for engine, name in ENGINES.items():
        result.target(f"{name}: instructions per completion, Swift loop : C loop",
                      [counts[SWIFT_LOOP, engine] / counts[C_LOOP, engine]], 1.10)


def times_table(result, series):
    rows, dots = [], {}
    for row in (C_LOOP, SWIFT_LOOP, INLINE, SPREAD):
        cells = [row]
        for engine, found in series.items():
            values = found.values(row, "ns")
            cells += [spread(values), spread([share(value) for value in values])]
            dots[f"{row}, {ENGINES[engine]}"] = values
        rows.append(cells)
    columns = [Column("loop")]
    for name in ENGINES.values():
        columns += [Column(name, "ns", "lower"),
                    Column(f"core at 200 Gbit/s, {name}", "%", "lower")]
    result.table("Time per completion", columns, rows)
    result.dots("Time per completion", "ns", dots, "lower")
    for engine, found in series.items():
        result.target(f"{ENGINES[engine]}: time, {SWIFT_LOOP} : {C_LOOP}",
                      found.ratios(SWIFT_LOOP, C_LOOP, "ns"), 2.0, gate=False)
    # Four completions of provided buffers fill 4 KiB: there the share says what it says.
    result.target(f"zero-copy ring: share of a core at 200 Gbit/s, {INLINE}",
                  [share(value) for value in series["zcrx"].values(INLINE, "ns")], 6.0, unit="%")


def run(context):
    result = Result(
        NAME, "Hot loop",
        "Completions in memory, from the ring to the end of the chain and back as a free buffer: "
        "batches of 256, no kernel, no network.")
    with tempfile.TemporaryDirectory() as scratch:
        counts_table(result, counted(context, scratch))
    series = {engine: timed(context, engine) for engine in ENGINES}
    times_table(result, series)
    result.note("The three stages count pieces and pass them on. Bare loops look at the first "
                "byte of each buffer, chains do not: their difference is not the stages' cost.")
    result.note("Over two threads, instructions are those of both sides with one thread playing "
                "both; time is the clock per completion, the fake kernel's 2 ns in it, with the "
                "threads on CPUs 0 and 1. Zero-copy completions are 4 KiB, a buffer each; four "
                "completions fill a provided buffer.")
    result.note("Share of a core: 200 Gbit/s in buffers of 4 KiB are 6.1 million completions a "
                "second.")
    for found in series.values():
        for commands in found.commands().values():
            for command in commands:
                result.command(command)
    return result
