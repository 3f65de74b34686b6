"""What a fault is, and what a round must come to when some have struck."""

MOVED = "its data came through another queue"
STARVED = "for ten seconds the NIC's rings had all buffers"
# What a page pool keeps at hand beside the NIC's ring (net/core/page_pool.c, PP_ALLOC_CACHE_SIZE).
POOL_CACHE = 128
# What outweighs what in an exit code.
RANKS = [1, 7, 4, 6, 8, 9, 0]


class Expectation:
    """What the run may end with; each fault says its part when a round is planned."""

    def __init__(self):
        self.sure, self.possible = {0}, {0}
        # Ends that a connection may come to which was not meant to break.
        self.ends = []
        self.is_killed = False
        self.loses = False

    def of_sizes(self, plan):
        """What follows from how small everything is, once all faults have said their part."""
        takes_all = plan.area // plan.buffer <= plan.nic_ring + POOL_CACHE
        # Packets with bytes in linear parts and in fragments of another queue: nobody reads them.
        if plan.engine == "zcrx" and takes_all and plan.has("moved", "rule", "table", "unsplit"):
            self.may(4, STARVED)

    def must(self, code):
        self.sure.add(code)

    def may(self, code, *ends):
        self.possible.add(code)
        self.ends += ends

    def codes(self):
        """The exit codes that fit: the heaviest of the sure ones, or what is heavier."""
        sure = min(self.sure, key=RANKS.index)
        return {sure} | {code for code in self.possible if RANKS.index(code) < RANKS.index(sure)}


class Fault:
    """One kind of fault. `strike` does it, `heal` undoes what of it would stay."""

    name = what = ""
    needs_nic = False
    # How much rather it is drawn than others where it fits; those that seldom fit are.
    weight = 1
    # Whether the run is over with it; such a fault comes last, and not with those it excludes.
    ends = False
    excludes = ()

    def fits(self, plan):
        return True

    def draw(self, draw, plan):
        """What of it is up to chance."""
        return None

    def expect(self, expectation, drawn, plan):
        """Adds to what the round may come to."""

    def before(self, round_, drawn):
        """Before `ingest` starts."""

    def arrange(self, round_, drawn):
        """Once it listens, before anything is sent."""

    def strike(self, round_, drawn):
        """Does it; returns how often it struck, where that is not once."""

    def heal(self, round_, drawn):
        """When all is sent. Returns a count where only now it is known."""


class Moment(Fault):
    """A state that lasts a moment, of so many seconds."""

    def draw(self, draw, plan):
        return round(draw.uniform(0.2, 1.2), 1)
