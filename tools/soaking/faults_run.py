"""Faults of peers, readers, plugins and the machine that a run survives."""
import os
import resource
import signal
import time

from fault import Fault, Moment
from faults_machine import MemoryCgroup, notes
from faults_peer import wait_until
from harness import require
from isolation import workers
from nic_doctor import sysctl
from zcrx_port import MIB, PATIENCE

DAY = 86400


class Down(Moment):
    name, what = "down", "somebody sets the receiving interface down, and up again"

    def strike(self, round_, seconds):
        round_.ground.down_and_up(seconds / 2)


class Stop(Moment):
    name, what = "stop", "SIGSTOP and SIGCONT of ingest (^Z, a frozen container, suspend)"

    def strike(self, round_, seconds):
        round_.receiver.signal(signal.SIGSTOP)
        time.sleep(seconds)
        round_.receiver.signal(signal.SIGCONT)


class SlowSink(Moment):
    name, what = "slow-sink", "whoever takes what the sink gives rests"

    def fits(self, plan):
        return plan.sink in ("unix", "forward", "tee", "shm")

    def strike(self, round_, seconds):
        round_.target.rest(True)
        time.sleep(seconds)
        round_.target.rest(False)


class SlowStage(Fault):
    name, what = "slow-stage", "lines for which a plugin takes a fifth of a second"
    weight = 4

    def fits(self, plan):
        return plan.stage == "slow"


class Reset(Fault):
    name, what = "reset", "peers break off when what they sent is acknowledged"

    def draw(self, draw, plan):
        return [draw.randrange(64, 1 << 18) for _ in range(draw.randint(1, 3))]

    def expect(self, expectation, drawn, plan):
        expectation.must(6)

    def arrange(self, round_, sizes):
        self.streams = [round_.stream(f"reset {number}", size, breaks="reset")
                        for number, size in enumerate(sizes)]

    def strike(self, round_, _):
        for stream in self.streams:
            stream.go.set()
        return len(self.streams)


class HalfOpen(Fault):
    name, what = "half-open", "the host of a peer answers nothing any more"

    def draw(self, draw, plan):
        return draw.randrange(64, 1 << 16)

    def expect(self, expectation, drawn, plan):
        expectation.must(6)

    def arrange(self, round_, size):
        round_.ground.appear()
        self.streams = [round_.stream(f"half-open {number}", size, breaks="vanish",
                                      source=round_.ground.other) for number in range(2)]

    def strike(self, round_, _):
        for stream in self.streams:
            stream.go.set()
        wait_until(lambda: all(one.acknowledged or one.error for one in self.streams),
                   "an acknowledgement", PATIENCE)
        round_.ground.vanish()
        return len(self.streams)


class Idle(Fault):
    name, what = "idle", "silent connections fill their windows at once while ingest is stopped"
    weight = 4

    def fits(self, plan):
        return bool(plan.idle) and not plan.is_wire

    def strike(self, round_, _):
        round_.receiver.signal(signal.SIGSTOP)
        for stream in round_.idle:
            stream.go.set()
        time.sleep(0.5)
        round_.receiver.signal(signal.SIGCONT)
        return len(round_.idle)


class Consumer(Fault):
    name, what = "consumer", "the consumer of shared memory is killed, and another one comes"
    weight = 4

    def fits(self, plan):
        return plan.sink == "shm"

    def expect(self, expectation, drawn, plan):
        expectation.loses = True
        expectation.may(1)

    def strike(self, round_, _):
        round_.target.rest(True)
        time.sleep(0.2)
        round_.target.replace()


class Worker(Fault):
    name, what = "worker", "the process of an isolated plugin is killed"
    weight = 4

    def fits(self, plan):
        return plan.stage.startswith("isolated")

    def expect(self, expectation, drawn, plan):
        expectation.may(1, "refused")

    def strike(self, round_, _):
        found = workers(round_.receiver.process.pid)
        require(found, "no process of an isolated stage")
        for process in found:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: set(workers(round_.receiver.process.pid)) - set(found),
                   "a new process for the stage", PATIENCE)
        return len(found)


class Clock(Fault):
    name, what = "clock", "the wall clock jumps a day back and forth"
    needs_nic = True  # only the guest's may be set

    def strike(self, round_, _):
        for jump in (DAY, -2 * DAY, DAY):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + jump)
            time.sleep(0.3)
        return 3


class Processor(Moment):
    name, what = "cpu", "a CPU goes offline and comes back"
    needs_nic = True
    online = "/sys/devices/system/cpu/cpu1/online"

    def strike(self, round_, seconds):
        self.switch("0")
        time.sleep(seconds)
        self.switch("1")

    def switch(self, value):
        with open(self.online, "w") as file:
            file.write(value)

    def heal(self, round_, _):
        self.switch("1")
        return 0


class Descriptors(Fault):
    name, what = "descriptors", "there are fewer descriptors than peers that wait"
    weight = 4

    def fits(self, plan):
        # What needs one for itself is refused: that is held by a check of its own.
        return plan.sink in ("null", "shm") and not plan.stage.startswith("isolated")

    def before(self, round_, _):
        # The kernel looks at the limit once, when accepting begins.
        self.limit = 48 + len(round_.plan.streams) + len(round_.plan.idle)
        round_.limits = {resource.RLIMIT_NOFILE: self.limit}

    def strike(self, round_, _):
        waiting = []
        while not notes(round_.receiver, "accepting"):
            # Connections that end meanwhile make room.
            require(len(waiting) < 4 * self.limit, "nothing is told of peers that wait")
            waiting.append(round_.stream(f"waiting {len(waiting)}", 0))
            time.sleep(0.02)
        for stream in waiting:
            stream.go.set()
        return len(waiting)


class Memory(Fault):
    name, what = "memory", "a cgroup with little more memory than the run needs"
    weight = 4

    def fits(self, plan):
        # What is written to a file in memory would count as well.
        return plan.sink in ("null", "forward", "unix") and plan.memory in ("pages", "thp")

    def before(self, round_, _):
        plan = round_.plan
        areas = plan.area * max(plan.threads, len(plan.queues))
        cgroup = MemoryCgroup((areas + 64 * MIB) // MIB)
        cgroup.__enter__()
        round_.after.append(cgroup.__exit__)
        round_.prefix = cgroup.prefix()


class TCPMemory(Fault):
    name, what = "tcp-memory", "TCP's own memory is under pressure (net.ipv4.tcp_mem)"
    needs_nic = True  # the whole machine's

    def strike(self, round_, _):
        with sysctl("net.ipv4.tcp_mem", "32 64 96"):
            time.sleep(1)


class Dump(Fault):
    name, what = "dump", "USR1, again and again: figures, and a recording of the last events"

    def draw(self, draw, plan):
        return draw.randint(1, 3)

    def strike(self, round_, count):
        for number in range(count):
            round_.receiver.signal(signal.SIGUSR1)
            wait_until(lambda: len(round_.recordings()) > number, "a recording", PATIENCE)
        return count


FAULTS = [
    Down(), Stop(), SlowSink(), SlowStage(), Reset(), HalfOpen(), Idle(), Consumer(), Worker(),
    Clock(), Processor(), Descriptors(), Memory(), TCPMemory(), Dump(),
]
