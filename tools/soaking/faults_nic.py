"""Faults of the NIC and of its settings that a run survives."""
import os
import re
import signal
import subprocess
import time

from fault import MOVED, Fault, Moment
from harness import BIN, equal, require
from nic_keeper import keeper_of
from zcrx_port import MIB, PATIENCE, PORT

import lab  # noqa: I100  (zcrx_port sets the path)


def delete_rules(place):
    """Somebody deletes all n-tuple rules of the receiving port; how many there were."""
    rules = re.findall(r"Filter: (\d+)", place.ethtool("-n"))
    for rule in rules:
        place.ethtool("-N", "delete", rule)
    return len(rules)


class Knob(Fault):
    """One of the virtual NIC's files that strikes every Nth frame, until all is sent."""

    needs_nic = True

    def __init__(self, name, least, most, what):
        self.name, self.least, self.most, self.what = name, least, most, what

    def draw(self, draw, plan):
        return draw.randint(self.least, self.most)

    def fits(self, plan):
        return self.name != "unsplit" or plan.engine == "zcrx"

    def strike(self, round_, every):
        self.before_hits = round_.ground.place.counters()[f"fault_{self.name}"]
        if self.name == "delay":
            round_.ground.place.knob("delay_us", 2000)
        round_.ground.place.knob(f"{self.name}_nth", every)
        return 0

    def heal(self, round_, _):
        round_.ground.place.knob(f"{self.name}_nth", 0)
        return round_.ground.place.counters()[f"fault_{self.name}"] - self.before_hits


class Exhaust(Moment):
    name, what, needs_nic = "exhaust", "the NIC's page pool gives nothing for a moment", True

    def strike(self, round_, seconds):
        round_.ground.place.knob("exhaust", "Y")
        time.sleep(seconds)
        round_.ground.place.knob("exhaust", "N")


class Link(Moment):
    name, what, needs_nic = "link", "the carrier goes away and comes back", True

    def strike(self, round_, seconds):
        round_.ground.place.knob("link", 0)
        time.sleep(seconds)
        round_.ground.place.knob("link", 1)


class Bind(Fault):
    name, what = "bind", "the driver fails to restart the queue when it is bound; then it does not"
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx"

    def draw(self, draw, plan):
        return draw.choice(["fail_mem_alloc", "fail_start"])

    def before(self, round_, knob):
        place = round_.ground.place
        place.knob("fail_errno", 12)
        place.knob(knob, 1)
        done = subprocess.run(
            ["ip", "netns", "exec", round_.ground.rx, os.path.join(BIN, "ingest"), "run", "--port",
             str(PORT), *round_.words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=PATIENCE)
        place.knob(knob, 0)
        equal(done.returncode, 1, f"exit code with {knob} ({done.stderr.strip()})")
        require("memory" in done.stderr.lower(), f"a refusal that says: {done.stderr.strip()}")


class Rule(Fault):
    name, what = "rule", "somebody deletes the rules that steer to the queue"
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx"

    def expect(self, expectation, drawn, plan):
        expectation.must(9)
        if plan.has("table") and len(plan.queues) > 1:
            expectation.may(4, MOVED)

    def strike(self, round_, _):
        return delete_rules(round_.ground.place)


class Table(Fault):
    name, what = "table", "somebody spreads all traffic over other queues"
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx"

    def draw(self, draw, plan):
        return draw.choice([6, 8])

    def expect(self, expectation, drawn, plan):
        # Over all eight is what was there before: nothing is left to put back then.
        if drawn == 6:
            expectation.must(9)

    def strike(self, round_, count):
        round_.ground.place.ethtool("-X", "equal", count)

    def heal(self, round_, _):
        round_.leaves_table = True
        return 0


class Rings(Fault):
    name, what = "rings", "another tool resizes the rings and tries to take header split away"
    needs_nic = True

    def draw(self, draw, plan):
        return draw.choice([128, 256, 512])

    def strike(self, round_, size):
        place = round_.ground.place
        place.ethtool("-G", "rx", size)
        if round_.plan.engine == "zcrx":
            try:
                place.ethtool("-G", "tcp-data-split", "off")
            except lab.LabError:
                return
            require(False, "header split was taken away from a bound queue")

    def heal(self, round_, _):
        round_.ground.place.ethtool("-G", "rx", round_.plan.nic_ring)
        return 0


class Moved(Fault):
    name, what = "moved", "a stream is steered to another bound queue: it ends and says why"
    weight = 4
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx" and len(plan.queues) > 1 and not plan.is_wire

    def expect(self, expectation, drawn, plan):
        expectation.must(9)
        expectation.may(4, MOVED)

    def draw(self, draw, plan):
        return draw.choice(plan.queues)

    def strike(self, round_, queue):
        delete_rules(round_.ground.place)
        said = round_.ground.place.ethtool("-N", "flow-type", "tcp4", "dst-port", PORT, "action",
                                           queue)
        require(said, "ethtool says nothing of the rule")
        # Whoever made others has ended by then.
        round_.after.append(lambda: delete_rules(round_.ground.place))


class Second(Fault):
    name, what = "second", "another ingest starts on another queue, receives, and ends"
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx"

    def strike(self, round_, _):
        queue = next(one for one in (7, 6, 5, 4) if one not in round_.plan.queues)
        # Beside somebody who changes the steering it cannot leave the NIC as it found it.
        allowed = {0, 9} if round_.plan.has("rule", "table") else {0}
        place = round_.ground.place
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 1,
                            "--port", PORT + 1, "--area", "4M", queue=queue,
                            nic="apply") as second:
            done = place.send("--bytes", MIB, port=PORT + 1)
            code = second.finish(PATIENCE)
        require(code in allowed, f"exit code {code} of the second ({second.end.get('failure')})")
        equal(second.counters["records"], done["end"]["send"]["counters"]["records"],
              "records of the second")


class Keeper(Fault):
    name, what = "keeper", "the process that puts the NIC back is killed; `nic restore` does it"
    needs_nic = True

    def fits(self, plan):
        return plan.engine == "zcrx" and plan.privileges == "drop"

    def expect(self, expectation, drawn, plan):
        expectation.must(9)

    def strike(self, round_, _):
        os.kill(keeper_of(round_.receiver), signal.SIGKILL)
        round_.after.append(lambda: round_.ground.place.nic("restore", "--all", wanted=None))


class Rebind(Fault):
    name, what = "rebind", "the port is taken from its driver and given back before the round"
    needs_nic = True

    def before(self, round_, _):
        round_.ground.bind(round_.ground.unbind())
        round_.ground.prepare(round_.plan)


FAULTS = [
    Knob("unsplit", 3, 40, "every Nth packet that would be split is not"),
    Knob("drop", 40, 200, "every Nth frame is lost"),
    Knob("corrupt", 40, 200, "every Nth frame comes with a flipped bit"),
    Knob("delay", 20, 200, "every Nth packet, and those behind it, stays on the wire for 2 ms"),
    Knob("reorder", 10, 100, "every Nth packet changes places with its successor"),
    Exhaust(), Link(), Bind(), Rule(), Table(), Rings(), Moved(),
    Second(), Keeper(), Rebind(),
]
