"""What a round is, drawn from its seed alone: the receiver, who sends, what strikes and when.

The same seed, ground and --only give the same plan, whatever the machine does.
"""
import dataclasses
import random

from catalogue import FAULTS

MIB = 1 << 20
PAGE = 4096
DMABUFS = ("udmabuf", "dma-heap")


@dataclasses.dataclass
class Plan:
    """One round."""

    seed: int
    engine: str = "copy"
    queues: tuple = ()
    threads: int = 1
    memory: str = "pages"
    buffer: int = PAGE
    area: int = 8 * MIB
    nic_ring: int = 256
    refill: int = 0
    completions: int = 0
    parse: str = "raw"
    checksum: str = "none"
    sink: str = "null"
    sink_options: str = ""
    place: tuple = ()
    stage: str = ""
    privileges: str = "drop"
    streams: tuple = ()
    idle: tuple = ()
    seconds: float = 5.0
    # (seconds after the first byte, name, what it is drawn to be), in order.
    faults: tuple = ()

    @property
    def is_wire(self):
        return self.parse == "wire"

    @property
    def names(self):
        return [name for _, name, _ in self.faults]

    @property
    def bytes(self):
        return sum(self.streams) + sum(self.idle)

    def has(self, *names):
        return any(name in self.names for name in names)

    def line(self):
        """The round in one line."""
        where = self.engine + (f" on {'+'.join(map(str, self.queues))}" if self.queues else "")
        sizes = f"{self.memory} {self.area >> 10}K/{self.buffer >> 10}K"
        for word, value in (("ring", self.nic_ring if self.queues else 0),
                            ("refill", self.refill), ("cq", self.completions)):
            sizes += f" {word} {value}" if value else ""
        chain = [self.parse, self.checksum, self.stage, self.sink + self.sink_options]
        spread = f" [{' '.join(self.place)}]" if self.place else ""
        return (f"{where}, {sizes}, {' -> '.join(part for part in chain if part)}{spread}, "
                f"{len(self.streams)}+{len(self.idle)} connections, {self.bytes / MIB:.1f} MiB; "
                + " ".join(f"{name}@{at:.1f}" for at, name, _ in self.faults))


def engine(plan, draw, has_nic):
    """Where bytes come from and what they land in, down to the least that works."""
    plan.engine = draw.choices(["zcrx", "nodev", "copy"], [70, 14, 16])[0] if has_nic else "copy"
    count = draw.choice([1, 1, 1, 2])
    if plan.engine == "zcrx":
        plan.queues = tuple(sorted(draw.sample(range(3, 8), count)))
        plan.nic_ring = draw.choice([64, 128, 256])
        plan.memory = draw.choice(["pages", "pages", "thp", "huge2m", *DMABUFS])
        plan.buffer = draw.choice([4, 4, 16, 64]) << 10 if plan.memory == "huge2m" else PAGE
        # The NIC's ring alone takes as much as the least of these.
        area = plan.nic_ring * plan.buffer * draw.choice([1, 2, 4, 8])
        plan.area = min(max(area, 256 << 10), 16 * MIB)
    else:
        plan.threads = count
        plan.memory = draw.choice(["pages", "thp"])
        plan.buffer = draw.choice([4, 16, 64]) << 10 if plan.engine == "copy" else PAGE
        plan.area = draw.choice([64 << 10, 256 << 10, MIB, 4 * MIB])
    if plan.engine != "copy":
        plan.refill = draw.choice([0, 0, 8, 16, 64])
        plan.completions = draw.choice([0, 0, 8, 16, 64])


def sinks(plan):
    """Those that can take what lies in this memory."""
    if plan.memory in DMABUFS:
        # It cannot be shared, nor sent on without a copy.
        return ["null", "file", "files", "unix"]
    return ["null", "file", "file", "files", "unix", "forward", "tee", "shm", "shm"]


def chain(plan, draw, has_nic):
    """What becomes of the bytes."""
    plan.sink = draw.choice(sinks(plan))
    if plan.sink == "null" or plan.sink == "file" and draw.random() < 0.3:
        plan.parse, plan.checksum = "wire", draw.choice(["crc32c:verify", "crc32c:verify", "none"])
    else:
        plan.parse = draw.choice(["raw", "lines", "lines", "fixed:size=4K", "length"])
        plan.checksum = draw.choice(["none", "crc32c", "xxh3"])
    plan.sink_options = {
        "file": draw.choice(["", ",sync-every=200ms", ",sync=none", ",direct=yes,block=64K"]),
        "files": draw.choice([",rotate=256K,sync-every=100ms", ",rotate-every=500ms",
                              ",rotate=64K,sync=rename"]),
        "shm": draw.choice(["", ",ring=64", ",ring=16"]),
        "forward": draw.choice(["", "", ",method=send"]),
    }.get(plan.sink, "")
    plan.place = draw.choice([(), (), ("sink=cpu0",), ("checksum=cpu1",),
                              ("checksum=cpu0", "sink=cpu1")])
    if plan.parse == "lines" and plan.memory not in DMABUFS:
        plan.stage = draw.choice(["", "words", "isolated words", "slow"])
    if has_nic and plan.engine == "zcrx" and draw.random() < 0.2:
        plan.privileges = "keep"


def traffic(plan, draw):
    """Who sends how much; all of it is due within the round's seconds."""
    plan.seconds = draw.choice([4.0, 5.0, 6.0])
    count = draw.randint(1, 6)
    plan.streams = tuple(draw.randrange(64 << 10, 3 * MIB) for _ in range(count))
    plan.idle = tuple(draw.randrange(1 << 10, 96 << 10)
                      for _ in range(draw.choice([0, 0, 4, 16, 40])))


def sample(faults, count, draw):
    """So many different ones, by their weight."""
    return sorted(faults, key=lambda fault: draw.random() ** (1 / fault.weight))[-count:]


def strikes(plan, draw, has_nic, only):
    """A few faults that this round can have, and when; the last may be one that ends the run."""
    fitting = [fault for fault in FAULTS
               if (has_nic or not fault.needs_nic) and (not only or fault.name in only)
               and fault.fits(plan)]
    lasting = [fault for fault in fitting if not fault.ends]
    chosen = sample(lasting, draw.randint(2, 6), draw)
    faults = [(round(draw.uniform(0.2, plan.seconds * 0.8), 1), fault.name, fault.draw(draw, plan))
              for fault in chosen]
    ending = [fault for fault in fitting if fault.ends]
    if ending and (draw.random() < 0.25 or not chosen):
        [last] = sample(ending, 1, draw)
        faults = [one for one in faults if one[1] not in last.excludes]
        at = max([plan.seconds * draw.uniform(0.4, 0.8), *(at for at, *_ in faults)])
        faults.append((round(at + 0.1, 1), last.name, last.draw(draw, plan)))
    plan.faults = tuple(sorted(faults, key=lambda one: one[0]))


def plan(seed, has_nic, only=()):
    """The round of a seed."""
    draw = random.Random(f"soak {seed}")
    made = Plan(seed)
    # With --only the faults asked for must fit; a few thousand plans surely have one that they do.
    for _ in range(4000):
        made = Plan(seed)
        engine(made, draw, has_nic)
        chain(made, draw, has_nic)
        traffic(made, draw)
        strikes(made, draw, has_nic, only)
        if made.faults or not FAULTS:
            break
    return made
