"""Proves that a soak can fail: in each round something is lost or left, and must be found."""
import os
import signal
import socket
import time

import draws
from faults_peer import wait_until
from grounds import Guest
from harness import Failed, Receiver, Scratch
from rounds import Round
from steady import Steady
from traffic import inside
from zcrx_port import PATIENCE

MIB = 1 << 20


def plain(**changes):
    """A short round in which nothing strikes."""
    return draws.Plan(
        **{"seed": 1, "engine": "zcrx", "queues": (6,), "area": 4 * MIB, "parse": "raw",
           "sink": "file", "streams": (200_000, 300_000), "seconds": 0.5, **changes})


class Planted(Round):
    """A round with something wrong in it."""

    changes = {}
    found = ""


class Sound(Planted):
    """Nothing is wrong here: it must pass."""


class Damaged(Planted):
    """A bit of a file is flipped."""

    found = "is not what was sent"

    def hold(self, code):
        folder = self.target.path
        with open(os.path.join(folder, sorted(os.listdir(folder))[0]), "r+b") as file:
            file.seek(100_000)
            byte = file.read(1)[0]
            file.seek(100_000)
            file.write(bytes([byte ^ 1]))
        super().hold(code)


class Lost(Planted):
    """The last bytes of a file are missing."""

    found = "bytes are there"

    def hold(self, code):
        folder = self.target.path
        path = os.path.join(folder, sorted(os.listdir(folder))[-1])
        os.truncate(path, os.path.getsize(path) - 1)
        super().hold(code)


class Leases(Planted):
    """A consumer that is stopped keeps what it has: the ledger names each lease."""

    changes = {"sink": "shm", "streams": (3 * MIB,)}
    found = "were never returned"

    def conclude(self):
        self.target.rest(True)
        wait_until(lambda: self.streams[0].sent > MIB // 2, "bytes on their way", PATIENCE)
        time.sleep(1)
        self.receiver.signal(signal.SIGTERM)
        time.sleep(0.5)
        self.receiver.signal(signal.SIGTERM)
        code = self.receiver.finish(PATIENCE)
        self.target.rest(False)
        if self.found in (self.receiver.end["failure"] or ""):
            raise Failed(self.receiver.end["failure"])
        return code


class Setting(Planted):
    """A setting of the NIC stays changed."""

    found = "the NIC's -k"

    def tidy(self):
        super().tidy()
        self.ground.place.ethtool("-K", "rx-gro-hw", "off")


class Process(Planted):
    """A run stays behind in the namespace."""

    found = "processes left"

    def tidy(self):
        super().tidy()
        # After the round's own are gone.
        self.left = Receiver("--engine", "copy", "--privileges", "keep", listen=None,
                             prefix=("ip", "netns", "exec", self.ground.rx))

    def undo(self):
        self.left.__exit__()


class Pool(Planted):
    """Somebody does not read what the NIC's page pool holds for them."""

    found = "page pool"

    def tidy(self):
        super().tidy()
        def listen():
            return socket.create_server((self.ground.address, 5999))
        self.listener = inside(self.ground.rx, listen)
        self.peer = self.ground.connect(5999)
        self.near, _ = self.listener.accept()
        self.peer.sendall(bytes(60_000))
        time.sleep(1)

    def undo(self):
        for one in (self.near, self.peer, self.listener):
            one.close()


class Descriptor(Planted):
    """The run that serves every round keeps a connection."""

    found = "descriptors of the run that serves every round"

    def steadily(self, steady):
        self.peer = socket.create_connection(("127.0.0.1", steady.receiver.port))
        time.sleep(0.5)
        steady.serve()

    def undo(self):
        self.peer.close()


PLANTS = [Sound, Damaged, Lost, Leases, Setting, Process, Pool, Descriptor]


def outcome(ground, plant, programs, steady):
    """What a planted round is found to be; None where it passes."""
    with Scratch() as scratch:
        os.symlink(programs["consumer"], os.path.join(scratch, "consumer"))
        round_ = plant(ground, plain(**plant.changes), scratch, programs)
        try:
            round_.run()
            if hasattr(round_, "steadily"):
                round_.steadily(steady)
        except Failed as reason:
            return str(reason)
        finally:
            if hasattr(round_, "undo"):
                round_.undo()
    return None


def run(programs):
    """All plants in the guest; the exit code."""
    missed = 0
    with Guest() as ground, Steady() as steady:
        steady.serve()
        for plant in PLANTS:
            told = outcome(ground, plant, programs, steady)
            ok = told is None if not plant.found else told is not None and plant.found in told
            missed += not ok
            print(f"{'ok    ' if ok else 'MISSED'} {plant.__name__.lower():10} "
                  f"{(told or 'passes').splitlines()[0][:150]}", flush=True)
    print(f"soak self-test: {len(PLANTS) - missed} of {len(PLANTS)} as they must be", flush=True)
    return 1 if missed else 0
