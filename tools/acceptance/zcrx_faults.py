"""What goes wrong under load: no byte lost, no hang, and it is told."""
import subprocess
import sys
import time

from harness import Scratch, check, equal, require
from zcrx_port import MIB, PATIENCE, PORT, Place, rate, transfer, wait_until

SIZE = 64 * MIB


def faulty(knob, value, *arguments, hits):
    """A transfer that the fault cannot harm; the NIC must say that it struck."""
    with Place(queue=3) as place:
        place.steer(PORT)
        place.knob(knob, value)
        part, moved = transfer(place, SIZE, *arguments, split=False)
        struck = place.counters()[hits]
        require(struck > 0, f"{hits} is 0: the fault did not strike")
        return part, moved, struck


@check
def zcrx_faults_unsplit_bytes_in_a_host_area():
    part, moved, struck = faulty("unsplit_nth", 10, hits="fault_unsplit")
    require(moved["nosplit"] > 0, "the NIC counted no unsplit packet")
    truth, size = part["counters"]["truth"], part["counters"]["bytes"]
    require(truth["zeroCopy"] <= size - moved["nosplit_bytes"],
            f"unsplit bytes count as zero-copy: {truth}, {moved['nosplit_bytes']} unsplit")
    require(truth["copiedLinear"] > 0, f"no copy was proven: {truth}")
    return f"{struck} packets not split; {truth}; {rate(part)}"


@check
def zcrx_faults_too_much_copied_is_an_alarm():
    with Place(queue=3) as place:
        place.steer(PORT)
        place.knob("unsplit_nth", 4)
        with place.receiver("--max-copied", "1%", "-i", "0.5", "--connections", 1) as receiver:
            place.send("--bytes", SIZE, "--bitrate", "200M")
            equal(receiver.finish(PATIENCE), 8, "exit code")
        truth = receiver.counters["truth"]
        require("left packets" in receiver.end["failure"], receiver.end["failure"])
        alarms = [e["text"] for e in receiver.events("event") if e["kind"] == "copied"]
        require(alarms and "more than --max-copied 1%" in alarms[0], f"alarms: {alarms}")
        require(truth["zeroCopy"] > 0 and truth["copiedLinear"] > 0, truth)
        return alarms[0][:100]


@check
def zcrx_faults_unsplit_bytes_in_a_dmabuf_area():
    with Place(queue=3) as place:
        place.steer(PORT)
        place.knob("unsplit_nth", 50)
        with place.receiver("--memory", "udmabuf", "--parse", "wire", "--checksum",
                            "crc32c:verify", "--connections", 2) as receiver:
            done = place.send("--bytes", SIZE, "--streams", 2)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        counters = receiver.counters
        equal(counters["records"], done["end"]["send"]["counters"]["records"], "records")
        struck = place.counters()["fault_unsplit"]
        require(struck > 0 and counters["salvages"] > 0, f"{struck} struck, none salvaged")
        equal(counters["unsplit"], 0, "connections ended for unsplit bytes")
        equal(counters["truth"]["copiedReceive"], counters["salvagedBytes"], "copied")
        return f"{struck} packets not split, {counters['salvagedBytes']} bytes taken beside them"


@check
def zcrx_faults_unsplit_bytes_that_the_sink_holds():
    """More of them at a time than there are buffers to take them into: the others wait."""
    with Place(queue=3) as place, Scratch() as folder:
        place.steer(PORT)
        place.knob("unsplit_nth", 3)
        with place.receiver("--memory", "udmabuf", "--parse", "wire", "--checksum",
                            "crc32c:verify", "--connections", 12, "--sink",
                            f"file:{folder},sync-every=50ms", "--place", "sink=cpu0") as receiver:
            done = place.send("--bytes", SIZE // 8, "--streams", 12)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        counters = receiver.counters
        equal(counters["records"], done["end"]["send"]["counters"]["records"], "records")
        equal(counters["unsplit"], 0, "connections ended for unsplit bytes")
        require(counters["salvages"] > 0, "nothing was salvaged")
        return f"{counters['salvagedBytes']} bytes taken beside, {counters['pauses']} pauses"


@check
def zcrx_faults_lost_packets():
    part, _, struck = faulty("drop_nth", 50, hits="fault_drop")
    return f"{struck} dropped; {rate(part)}"


@check
def zcrx_faults_corrupt_packets():
    part, moved, struck = faulty("corrupt_nth", 50, hits="fault_corrupt")
    require(moved["csum_bad"] > 0, "the NIC saw no bad checksum")
    return f"{struck} corrupted, all caught by their checksum; {rate(part)}"


@check
def zcrx_faults_reordered_packets():
    part, _, struck = faulty("reorder_nth", 20, hits="fault_reorder")
    return f"{struck} reordered; {rate(part)}"


@check
def zcrx_faults_no_buffers_for_a_while():
    with Place(queue=3) as place:
        place.steer(PORT)
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections",
                            1) as receiver:
            place.knob("exhaust", 1)
            with place.later(2, "exhaust", 0):
                place.send("--bytes", SIZE)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        struck = [value for name, value in place.counters().items() if "exhaust" in name]
        require(any(struck), "nothing was refused a buffer")
        return rate(receiver.end["receive"])


@check
def zcrx_faults_a_small_area():
    """The NIC's ring takes most of it: buffers run out again and again."""
    with Place(queue=3) as place:
        place.steer(PORT)
        place.ethtool("-G", "rx", 64)
        part, moved = transfer(
            place, SIZE, "--area", "1M", "--buffer", "4K", "--sink", "file:/dev/shm/zcrx-%p",
            connections=4)
        subprocess.run("rm -f /dev/shm/zcrx-*", shell=True, check=True)
        return f"{rate(part)}, the NIC found no buffer {part['counters']['noBuffers']} times"


def completions_run_short(size, connections):
    with Place(queue=3) as place:
        place.steer(PORT)
        # A NIC that runs out of buffers may leave payload in the header part: that is copied.
        part, _ = transfer(place, size, "--completions", 8, "--refill", 8, split=False,
                           connections=connections)
        full = part["counters"]["completionsFull"]
        require(full > 0, "the completion queue was never full")
        return f"full {full} times; {rate(part)}"


@check
def zcrx_faults_a_small_completion_queue_and_refill_ring():
    return completions_run_short(SIZE // 4, 4)


@check
def zcrx_faults_more_connections_than_completions():
    """Receives that end for a full queue do not keep it full with their ends."""
    return completions_run_short(SIZE // 8, 40)


@check
def zcrx_faults_a_full_refill_ring_leaves_nobody_busy():
    """Once what waited for room in the ring is in it, an idle run sleeps."""
    with Place(queue=3) as place:
        place.steer(PORT)
        place.ethtool("-G", "rx", 64)
        with place.receiver("--area", "512K", "--buffer", "4K", "--refill", 64, "--parse", "wire",
                            "--checksum", "crc32c:verify") as receiver:
            place.send("--bytes", SIZE // 4, "--streams", 16)
            wait_until(lambda: len(receiver.closed()) == 16, 60, "the ends")
            time.sleep(3)
            equal(receiver.stop(PATIENCE), 0, "exit code")
        counters = receiver.counters
        flushes, enters = counters["refillFlushes"], counters["enters"]
        require(flushes > 0, "the refill ring was never full")
        # Whoever waits without sleeping enters the kernel without end.
        require(enters < counters["completions"] + 5000, f"{enters} system calls")
        return f"{flushes} flushes, {enters} system calls for {counters['completions']} completions"


@check
def zcrx_faults_data_on_the_wrong_queue():
    """Two queues are bound; connections to the second one's socket come through the first."""
    with Place(queue=2, queues=4) as place:
        place.ethtool("-X", "equal", 2)
        place.steer(PORT, queue=2)
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 8,
                            queue="2,3") as receiver:
            place.send("--bytes", SIZE, "--streams", 8)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        counters = receiver.counters
        equal(counters["closed"], 8, "connections")
        equal(counters["misplaced"], 0, "connections on the wrong queue")
        used = [one["bytes"] for one in receiver.end["receive"]["perThread"]]
        require(used[1] == 0 and used[0] > 0, f"bytes by thread: {used}")
        return f"{counters['handedOver']} of 8 connections handed to the queue's own thread"


@check
def zcrx_faults_steering_changes_midway():
    """A stream that moves to another bound queue cannot go on there: it ends, and says why.

    That it ends in the middle of a record is not laid on the peer.
    """
    with Place(queue=2, queues=4) as place:
        place.ethtool("-X", "equal", 2)
        place.steer(PORT, queue=2)
        with place.receiver("--parse", "fixed:size=1000003", "--connections", 1,
                            queue="2,3") as receiver:
            sender = place.run(
                place.TX, [sys.executable, "-c", SLOW_SENDER, place.RX_ADDRESS, PORT])
            wait_until(lambda: place.queue_counters([2])["split"] > 20, 60, "traffic on queue 2")
            place.unsteer()
            place.steer(PORT, queue=3)
            code = receiver.finish(PATIENCE)
            sender.wait(PATIENCE)
        equal(code, 4, "exit code")
        equal(receiver.counters["misplaced"], 1, "connections on the wrong queue")
        require("queue" in receiver.end["failure"], receiver.end["failure"])
        return receiver.end["failure"][:100]


SLOW_SENDER = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
    try:
        for _ in range(2000):
            peer.sendall(bytes(16384))
            time.sleep(0.01)
    except OSError:
        pass
"""


@check
def zcrx_faults_the_link_goes_away_and_comes_back():
    with Place(queue=3) as place:
        place.steer(PORT)
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections",
                            1) as receiver:
            with place.later(0.5, "link", 0), place.later(1.5, "link", 1):
                place.send("--bytes", SIZE)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        return rate(receiver.end["receive"])
