"""One round: receives, sends, lets the faults strike, and holds the outcome to the plan."""
import contextlib
import os
import time

import catalogue
import grounds
import traffic
from fault import Expectation
from faults_peer import wait_until
from harness import Failed, equal, require
from judge import judge_sinks, judge_streams
from zcrx_port import PATIENCE

# The ledger of a checked build, about a lease that is out at the end.
LEAK = "were never returned"
# What a receiver may grow by beside its areas: stacks, caches, files of connections.
AREA_SLACK = 96 << 20


class Round:
    """What happens by a plan; faults work on it through the attributes here."""

    def __init__(self, ground, plan, scratch, programs):
        self.ground, self.plan = ground, plan
        self.scratch, self.programs = scratch, programs
        self.receiver = self.wire = None
        self.receivers, self.targets = [], []
        self.streams, self.idle, self.extra = [], [], []
        self.prefix, self.limits = (), None
        self.after = []
        self.safe = None
        self.leaves_table = self.is_fresh = False
        self.struck, self.phases = {}, []
        self.bytes = 0
        self.faults = [(at, catalogue.BY_NAME[name], drawn) for at, name, drawn in plan.faults]
        self.expectation = Expectation()
        for _, fault, drawn in self.faults:
            fault.expect(self.expectation, drawn, plan)
        self.expectation.of_sizes(plan)

    # -- what it is made of -----------------------------------------------------------------------

    def sink(self, name):
        """The words for --sink, and who takes what it gives."""
        plan, out = self.plan, os.path.join(self.scratch, f"out-{name}")
        kind, options = plan.sink, plan.sink_options
        if kind == "null":
            return "null", []
        if kind in ("file", "files"):
            names = "%t.%c-%n" if kind == "files" else "%t.%c"
            return f"file:{out}/{names}{options}", [traffic.Folder(out)]
        if kind == "unix":
            return f"unix:{out},mode=fd", [traffic.Files(out)]
        if kind == "shm":
            many = max(plan.threads, len(plan.queues)) > 1
            meetings = [f"{out}-{number}" for number in range(max(plan.threads, len(plan.queues)))]
            path = f"{out}-%t" if many else meetings[0]
            return (f"shm:{path},on-death=continue{options}",
                    [traffic.Shared(self.scratch, meetings)])
        taker = traffic.Taker(self.ground.listener())
        there = f"forward:{self.ground.source}:{taker.listener.getsockname()[1]}{options}"
        if kind == "forward":
            return there, [taker]
        return f"tee:file:{out}/%t.%c|{there}", [taker, traffic.Folder(out)]

    def flags(self):
        plan = self.plan
        words = [*self.ground.binding(plan), "--parse", plan.parse, "--checksum", plan.checksum,
                 "--area", plan.area, "--buffer", plan.buffer, "--memory", plan.memory,
                 "--refill", plan.refill, "--completions", plan.completions,
                 "--privileges", plan.privileges]
        if plan.threads > 1:
            words += ["--threads", plan.threads]
        if plan.has("half-open"):
            words += ["--peer-timeout", "5s"]
        if plan.place:
            words += ["--place", *plan.place]
        if plan.stage:
            flag = "--stage-isolated" if plan.stage.startswith("isolated") else "--stage"
            words += [flag, self.programs[plan.stage.split()[-1]]]
        return list(map(str, words))

    def launch(self, name):
        """Starts `ingest`, with sinks of its own."""
        spelled, self.targets = self.sink(name)
        self.words = [*self.flags(), "--sink", spelled]
        if name == "first":
            for _, fault, drawn in self.faults:
                fault.before(self, drawn)
        recording = os.path.join(self.scratch, f"{name}.flight")
        self.receiver = self.ground.start(
            [*self.words, "--record", recording, "--record-events", 16384], self.prefix,
            limits=self.limits)
        self.receivers.append(self.receiver)
        for target in self.targets:
            if hasattr(target, "begin"):
                target.begin()

    @property
    def target(self):
        return self.targets[0]

    def stream(self, name, size, **options):
        """One more connection, open and silent as yet."""
        source = options.pop("source", None)
        made = self.make(name, size, **options)
        made.connect(self.ground, self.receiver.port, source)
        made.start()
        self.extra.append(made)
        return made

    def make(self, name, size, seconds=0.0, breaks=None):
        plan = self.plan
        slow = 3 if plan.stage == "slow" and seconds else 0
        data = (b"" if plan.is_wire or not size
                else traffic.content(f"{plan.seed} {name}", plan.parse, size, slow))
        return traffic.Stream(name, data, seconds, breaks)

    def all_streams(self):
        return self.streams + self.idle + self.extra

    # -- what happens -----------------------------------------------------------------------------

    def run(self):
        """All of it; Failed says what did not hold."""
        self.phase("before")
        before = self.ground.baseline(self.plan)
        try:
            self.launch("first")
            self.phase("under way")
            self.act()
            code = self.conclude()
            self.hold(code)
            self.phase("after")
            if self.expectation.is_killed:
                self.again()
        finally:
            self.tidy()
        self.compare(*before)

    def phase(self, name):
        """Notes when a part of the round begins."""
        self.phases.append((name, time.monotonic()))

    def times(self):
        """How long each part took, in words."""
        ends = [at for _, at in self.phases[1:]] + [time.monotonic()]
        return ", ".join(f"{end - at:.1f} {name}" for (name, at), end in zip(self.phases, ends))

    def connect(self):
        """All connections are there, silent, before the first byte."""
        plan = self.plan
        if not plan.is_wire:
            self.streams = [self.make(f"stream {number}", size, plan.seconds)
                            for number, size in enumerate(plan.streams)]
        self.idle = [self.make(f"idle {number}", size) for number, size in enumerate(plan.idle)]
        for stream in self.streams + self.idle:
            stream.connect(self.ground, self.receiver.port)
            stream.start()
        for _, fault, drawn in self.faults:
            fault.arrange(self, drawn)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.receiver.process.pid}/fd"))

    def act(self):
        plan = self.plan
        self.start_descriptors, self.start_resident = self.descriptors(), self.receiver.resident()
        # A socket to each consumer, which comes when it comes.
        self.more_descriptors = len(self.target.meetings) if plan.sink == "shm" else 0
        self.connect()
        if plan.is_wire:
            self.wire = traffic.Wire(self.ground, self.receiver.port, sum(plan.streams),
                                     len(plan.streams), plan.seconds, plan.seed)
        for stream in self.streams:
            stream.go.set()
        began = time.monotonic()
        for at, fault, drawn in self.faults:
            time.sleep(max(0, began + at - time.monotonic()))
            if not fault.ends and self.receiver.process.poll() is not None:
                self.receiver.finish(10)
                raise Failed(f"ingest ended before {fault.name} struck: exit code "
                             f"{self.receiver.process.returncode}, {self.why()}")
            count = fault.strike(self, drawn)
            self.struck[fault.name] = self.struck.get(fault.name, 0) + (1 if count is None
                                                                        else count)

    def why(self):
        ends = self.receiver.events("end")
        return (ends[0].get("failure") if ends else None) or " ".join(self.receiver.text[-6:])

    def is_over(self):
        return any(fault.ends for _, fault, _ in self.faults)

    def conclude(self):
        """The traffic ends, faults stop; the exit code."""
        for stream in self.idle:
            stream.go.set()
        if self.is_over():
            code = self.receiver.finish(PATIENCE)
            # Nobody answers any more: who waited to be accepted behind an unplugged port would
            # wait for its end until its time is out.
            for stream in self.all_streams():
                stream.abandon()
        self.join()
        for _, fault, drawn in self.faults:
            self.struck[fault.name] += fault.heal(self, drawn) or 0
        if self.is_over():
            return code
        self.settle()
        return self.receiver.stop(PATIENCE)

    def join(self):
        """Waits for whoever sends; those whose peer is to vanish are still at it."""
        for stream in self.all_streams():
            if stream.breaks == "vanish":
                continue
            stream.join(PATIENCE)
            require(not stream.is_alive(),
                    f"{stream.name} hangs: {stream.sent} of {len(stream.data)} bytes are sent; "
                    f"{self.why()}")
        self.records = self.wire.finish() if self.wire and not self.is_over() else None

    def settle(self):
        """All connections have ended, and what they took is given back."""
        wanted = len(self.all_streams()) + (len(self.plan.streams) if self.wire else 0)
        closed = lambda: len(self.receiver.closed()) == wanted  # noqa: E731
        with contextlib.suppress(Failed):
            wait_until(lambda: closed() or self.receiver.process.poll() is not None, "", PATIENCE)
        require(closed(), f"{len(self.receiver.closed())} of {wanted} connections ended; "
                          f"{self.why()}")
        most = self.start_descriptors + self.more_descriptors
        with contextlib.suppress(Failed):
            wait_until(lambda: self.start_descriptors <= self.descriptors() <= most, "", 10)
        require(self.start_descriptors <= self.descriptors() <= most,
                f"{self.descriptors()} descriptors of ingest once all is over, {most} at the start")
        grown = self.receiver.resident() - self.start_resident
        areas = self.plan.area * max(self.plan.threads, len(self.plan.queues))
        require(grown < areas + AREA_SLACK, f"ingest grew by {grown >> 20} MiB")

    def hold(self, code):
        """Everything that must be true of a run that is over."""
        if self.expectation.is_killed:
            equal(code, -9, "exit code")
        else:
            codes = self.expectation.codes()
            require(code in codes, f"exit code {code}, wanted {sorted(codes)}: {self.why()}")
            counters = self.receiver.counters  # which holds the truth meter to the bytes
            self.bytes = counters["bytes"]
            require(LEAK not in (self.receiver.end.get("failure") or ""),
                    self.receiver.end.get("failure"))
            held = [load["heldLeases"] for load in self.receiver.end["receive"]["loads"]]
            require(not any(held), f"leases held at the end: {held}")
            if self.records is not None:
                equal(counters["records"], self.records, "records")
                equal(counters["faults"], 0, "faults")
            judge_streams(self)
        judge_sinks(self)

    def again(self):
        """After a kill the same command works at once."""
        self.end_targets()
        self.streams, self.idle, self.extra = [], [], []
        self.prefix, self.limits, self.wire, self.safe = (), None, None, None
        self.expectation = Expectation()
        self.faults = []
        self.launch("second")
        for number in range(2):
            self.stream(f"again {number}", 200_000).go.set()
        self.join()
        wait_until(lambda: len(self.receiver.closed()) == 2, "the ends", PATIENCE)
        self.hold(self.receiver.stop(PATIENCE))

    # -- and what remains -------------------------------------------------------------------------

    def recordings(self):
        """Recordings that receivers say they left."""
        return [line.rsplit("show ", 1)[1].rstrip("`") for receiver in self.receivers
                for line in receiver.text if "ingest flight show" in line]

    def end_targets(self):
        for target in self.targets:
            target.end()

    def tidy(self):
        """Ends what runs and undoes what faults did; what is left then is a leak."""
        for stream in self.all_streams():
            stream.abandon()
        if self.wire:
            self.wire.end()
        for receiver in self.receivers:
            receiver.__exit__()
            for stream in (receiver.process.stdout, receiver.process.stderr):
                stream.close()
        self.end_targets()
        for action in self.after:
            action()
        self.ground.undo()
        if self.leaves_table:
            self.ground.place.ethtool("-X", "default")
        if self.is_fresh:
            self.ground.prepare(self.plan)

    def compare(self, state, buffers):
        """The machine is as it was before the round."""
        with contextlib.suppress(Failed):
            wait_until(lambda: not self.ground.residents(), "", 20)
        equal([grounds.own_programs().get(one, one) for one in self.ground.residents()], [],
              "processes left")
        now = self.ground.state()
        for name in sorted(set(state) | set(now)):
            equal(now.get(name), state.get(name), f"the NIC's {name}")
        self.ground.renew()
        with contextlib.suppress(Failed):
            wait_until(lambda: self.ground.pool_buffers() == buffers, "", 30)
        equal(self.ground.pool_buffers(), buffers, "buffers that page pools have out")
        with contextlib.suppress(Failed):
            wait_until(lambda: not self.ground.detached_pools(), "", 30)
        equal(self.ground.detached_pools(), [], "page pools that wait for buffers")
        self.ground.is_clean = True
