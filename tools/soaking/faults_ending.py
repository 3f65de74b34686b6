"""Faults that a run ends with: what had arrived by then is in the sink, and the NIC is put back."""
import signal
import time

from fault import Fault
from faults_killed import synced
from harness import equal, require
from zcrx_port import PATIENCE


class Kill(Fault):
    name, what = "kill", "kill -9 of ingest: what it said is safe is there; it starts again"
    ends = True
    excludes = ("half-open", "memory", "consumer", "worker", "keeper")

    def fits(self, plan):
        return not plan.is_wire and plan.sink != "shm"

    def expect(self, expectation, drawn, plan):
        expectation.is_killed = True

    def strike(self, round_, _):
        round_.receiver.signal(signal.SIGKILL)
        round_.receiver.finish(PATIENCE)
        round_.safe = synced(round_.receiver)


class Term(Fault):
    name, what = "term", "an orderly stop under load: what was acknowledged is in the sink"
    ends = True
    # A stop comes before the time is over that such a peer has.
    excludes = ("half-open",)

    def expect(self, expectation, drawn, plan):
        # A sender that goes on is cut off, within a record perhaps.
        expectation.may(6, "stopped", "finished", "reset")

    def fits(self, plan):
        return not plan.is_wire

    def strike(self, round_, _):
        round_.receiver.signal(signal.SIGTERM)


class Unplugged(Fault):
    name, what = "unplugged", "the port is unbound from its driver under load, and comes back"
    needs_nic = ends = True
    # What a run fails for first is what it says at its end.
    excludes = ("half-open", "keeper", "rule", "table", "rings", "link", "cpu", "consumer")

    def fits(self, plan):
        return plan.sink != "forward" and plan.sink != "tee"

    def expect(self, expectation, drawn, plan):
        expectation.may(1, "stopped", "reset", "vanished", "Network is")
        if plan.engine == "zcrx":
            expectation.must(1)
        else:
            # Its senders stop, within a record perhaps.
            expectation.may(6, "finished")

    def strike(self, round_, _):
        ground = round_.ground
        device = ground.unbind()
        try:
            if round_.plan.engine == "zcrx":
                code = round_.receiver.finish(PATIENCE)
                equal(code, 1, f"exit code ({round_.receiver.end.get('failure')})")
                require(f"interface {ground.near} is gone" in round_.receiver.end["failure"],
                        round_.receiver.end["failure"])
        finally:
            for stream in round_.all_streams():
                stream.stopped.set()
            time.sleep(0.1)
            ground.bind(device)
            round_.is_fresh = True
        if round_.plan.engine != "zcrx":
            # Bound to no interface, it has only lost its peers.
            round_.receiver.signal()


FAULTS = [Kill(), Term(), Unplugged()]
