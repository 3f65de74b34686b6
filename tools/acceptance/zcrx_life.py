"""Binding and letting go: after a kill, again and again, with leases held, inside a container."""
import os
import signal
import subprocess
import sys
import time

from harness import ROOT, check, equal, require
from zcrx_port import MIB, PATIENCE, PORT, Place, bound_pools, transfer, wait_until

TESTS = os.environ.get(
    "INGEST_TESTS", os.path.join(ROOT, ".build/checked/release/ingestPackageTests.xctest"))

ENDLESS_SENDER = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
        while True:
            peer.sendall(bytes(65536))
except OSError:
    pass
"""


@check
def zcrx_killed_under_load_and_started_again():
    with Place(queue=3) as place:
        place.steer(PORT)
        with place.receiver("--parse", "raw") as first:
            sender = place.run(
                place.TX, [sys.executable, "-c", ENDLESS_SENDER, place.RX_ADDRESS, PORT])
            wait_until(lambda: place.queue_counters([3])["split"] > 100, 60, "traffic")
            first.signal(signal.SIGKILL)
            first.process.wait()
            started = time.monotonic()
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections",
                            1) as second:
            took = time.monotonic() - started
            place.send("--bytes", 16 * MIB)
            equal(second.finish(PATIENCE), 0, "exit code of the second")
        sender.wait(PATIENCE)
        require(took < 5, f"the second start took {took:.1f} s")
        said = [line for line in second.text if "wait" in line]
        return f"again after {took:.2f} s{'; it said: ' + said[0] if said else ''}"


@check
def zcrx_twenty_starts_in_a_row():
    with Place(queue=3) as place:
        place.steer(PORT)
        for _ in range(20):
            with place.receiver("--area", "4M", "--connections", 1) as receiver:
                place.send("--bytes", "1M")
                equal(receiver.finish(PATIENCE), 0, "exit code")
                equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        wait_until(lambda: not bound_pools(), 10, "page pools gone")


def suite(place, pattern, **variables):
    """The optimised test bundle, with the ledger of debug builds, in the receiver's namespace."""
    require(os.path.exists(TESTS), f"{TESTS} is missing: tools/test builds it")
    return place.run(
        place.RX, [TESTS, "--testing-library", "swift-testing", "--no-parallel", "--filter",
                   pattern], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "INGEST_TEST_QUEUE": f"{place.DEVICE}:{place.queue}",
             **{name: str(value) for name, value in variables.items()}})


def verdict(process):
    """What a suite said at its end; nothing of it may have failed or been skipped."""
    text = process.communicate(timeout=PATIENCE * 3)[0]
    telling = [line for line in text.splitlines()
               if "recorded an issue" in line or "skipped" in line]
    equal(process.returncode, 0, f"exit code of the tests: {telling[:3] or text[-300:]}")
    require(not telling, f"{telling[:3]}")
    return [line for line in text.splitlines() if "Test run with" in line][-1].strip()[-60:]


@check
def zcrx_a_million_completions_with_leases_held_at_random():
    with Place(queue=3) as place:
        place.steer(PORT)
        # Without coalescing a packet is a completion; several share a buffer.
        place.ethtool("-K", "rx-gro-hw", "off")
        before = place.pool_buffers()
        process = suite(place, "HeldLeasesTests", INGEST_TEST_PORT=PORT)
        wait_until(lambda: bound_pools(), 120, "the test bound its queue")
        place.send("--bytes", 1500 * MIB, seconds=900)
        said = verdict(process)
        wait_until(lambda: place.pool_buffers() == before, 10,
                   f"in-flight buffers back at {before}")
        place.ethtool("-K", "rx-gro-hw", "on")
        return said


@check
def zcrx_the_tests_of_NIC_settings():
    with Place(queue=3) as place:
        return verdict(suite(place, "NICControlTests"))


@check
def zcrx_the_tests_of_engines():
    """What comes over loopback to a bound ring is copied: the same tests as for `copy`."""
    with Place(queue=3) as place:
        return verdict(suite(place, "ZeroCopyTests.Engine"))
