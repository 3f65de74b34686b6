"""Binding and letting go: after a kill, again and again, with leases held, inside a container."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

from harness import ROOT, Failed, Receiver, check, equal, require, send
from zcrx_matrix import reserve
from zcrx_port import MIB, PATIENCE, PORT, Place, bound_pools, rate, released, wait_until

import genetlink  # noqa: I100  (zcrx_port sets the path)
import lab

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
            try:
                place.send("--bytes", 16 * MIB)
            except Failed as failure:
                second.finish(PATIENCE)
                raise Failed(f"{failure}; the receiver: {second.end.get('failure')} {second.text} "
                             f"{second.events('event')}") from None
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
        wait_until(released, 60, "page pools gone")


# include/uapi/linux/netdev.h
NETDEV_CMD_QUEUE_CREATE = 16
QUEUE_ID, QUEUE_IFINDEX, QUEUE_TYPE, QUEUE_LEASE = 1, 2, 3, 8
LEASE_IFINDEX, LEASE_QUEUE, LEASE_NETNS_ID = 1, 2, 3


def lease_queue(container, device, place, queue):
    """A queue of the container's device that stands for one of the NIC's."""
    def index(namespace, name):
        with genetlink.inside(namespace):
            return socket.if_nametoindex(name)

    def nest(kind, *parts):
        return genetlink.attribute(kind | genetlink.NLA_F_NESTED, b"".join(parts))

    # The kernel may have numbered that namespace already.
    number = re.search(rf"nsid (\d+) \(iproute2 netns name: {place.RX}\)",
                       lab.call(["ip", "-n", container, "netns", "list-id"]))
    if not number:
        lab.call(["ip", "-n", container, "netns", "set", place.RX, "0"])
    lease = nest(QUEUE_LEASE,
                 genetlink.attribute(LEASE_IFINDEX, index(place.RX, place.DEVICE)),
                 nest(LEASE_QUEUE, genetlink.attribute(QUEUE_ID, queue),
                      genetlink.attribute(QUEUE_TYPE, 0)),
                 genetlink.attribute(LEASE_NETNS_ID, int(number[1]) if number else 0))
    wanted = index(container, device)
    with genetlink.inside(container), genetlink.Channel("netdev") as channel:
        channel.do(NETDEV_CMD_QUEUE_CREATE, genetlink.attribute(QUEUE_IFINDEX, wanted)
                   + genetlink.attribute(QUEUE_TYPE, 0) + lease)


@check
def zcrx_in_a_container_by_a_leased_queue():
    """`ingest` in a network namespace whose netkit device leases the NIC's queue."""
    container, device = "zcnic-box", "nk1"
    with Place(queue=3) as place:
        place.steer(PORT)
        lab.call(["ip", "netns", "add", container])
        try:
            # The leased queue is one more of the container's end, which must have room for it.
            place.call_inside("ip", "link", "add", "nk0", "type", "netkit", "mode", "l2",
                              "forward", "peer", "forward", "name", device, "numrxqueues", 2)
            place.call_inside("ip", "link", "set", device, "netns", container)
            place.call_inside("ip", "address", "add", "10.80.0.1/24", "dev", "nk0")
            place.call_inside("ip", "link", "set", "nk0", "up")
            place.call_inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
            for command in (["link", "set", "lo", "up"],
                            ["address", "add", "10.80.0.2/24", "dev", device],
                            ["link", "set", device, "up"],
                            ["route", "add", "default", "via", "10.80.0.1"]):
                lab.call(["ip", "-n", container, *command])
            lab.call(["ip", "-n", place.TX, "route", "add", "10.80.0.0/24", "via",
                      place.RX_ADDRESS])
            lease_queue(container, device, place, place.queue)
            with Receiver("--ifname", device, "--queue", 1, "--parse", "wire", "--checksum",
                          "crc32c:verify", "--connections", 1, listen=None, port=PORT,
                          prefix=place.inside(container)) as receiver:
                send("--to", f"10.80.0.2:{PORT}", "--bytes", 64 * MIB, seconds=PATIENCE,
                     prefix=place.inside(place.TX))
                equal(receiver.finish(PATIENCE), 0, "exit code")
            equal(receiver.counters["copiedBytes"], 0, "copied bytes")
            require(place.queue_counters([3])["split"] > 0, "the NIC's queue saw nothing")
            return rate(receiver.end["receive"])
        finally:
            lab.call(["ip", "netns", "delete", container])


def suite(place, pattern, skip=None, **variables):
    """The optimised test bundle, with the ledger of debug builds, in the receiver's namespace."""
    require(os.path.exists(TESTS), f"{TESTS} is missing: tools/test builds it")
    return place.run(
        place.RX, [TESTS, "--testing-library", "swift-testing", "--no-parallel", "--filter",
                   pattern, *(["--skip", skip] if skip else [])],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "INGEST_TEST_QUEUE": f"{place.DEVICE}:{place.queue}",
             **{name: str(value) for name, value in variables.items()}})


def verdict(process, patience=PATIENCE):
    """What a suite said at its end; nothing of it may have failed or been skipped."""
    try:
        text = process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failed("no end: " + " | ".join(process.communicate()[0].splitlines()[-12:])) from None
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
        wait_until(lambda: released() and place.pool_buffers() == before, 60,
                   f"in-flight buffers back at {before}")
        place.ethtool("-K", "rx-gro-hw", "on")
        return said


@check
def zcrx_the_tests_of_memory():
    with Place(queue=3) as place:
        reserve(64)
        try:
            return verdict(suite(place, "MemoryTests|PressurePropertyTests"))
        finally:
            reserve(0)


@check
def zcrx_the_tests_of_NIC_settings():
    with Place(queue=3) as place:
        return verdict(suite(place, "NICControlTests", skip="TransactionLiveTests"))


@check
def nic_transactions_from_two_hundred_states():
    with Place(queue=None) as place:
        place.queue = 3
        return verdict(suite(place, "TransactionLiveTests"), patience=2 * PATIENCE)


@check
def zcrx_the_tests_of_engines():
    """What comes over loopback to a bound ring is copied: the same tests as for `copy`."""
    with Place(queue=3) as place:
        return verdict(suite(place, "ZeroCopyTests.Engine", skip="EngineSizesTests"))


@check
def zcrx_sizes_by_two_hundred_seeds():
    """Each binds the queue anew, which is most of the time that it takes."""
    with Place(queue=3) as place:
        return verdict(suite(place, "EngineSizesTests"), patience=4 * PATIENCE)
