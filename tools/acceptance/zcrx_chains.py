"""What comes after the engine, on `zcrx` and `nodev`: other threads, other processes."""
import os

from harness import Receiver, Scratch, check, equal, require, same_file, send
from zcrx_port import MIB, PATIENCE, PORT, Place, rate, released, transfer, wait_until
from consumers import Consumer

SIZE = 64 * MIB


@check
def zcrx_chain_over_three_threads():
    with Place(queue=3) as place:
        place.steer(PORT)
        part, _ = transfer(place, SIZE, "--place", "checksum=cpu0", "sink=cpu1", connections=4)
        [load] = part["loads"]
        equal(load["heldLeases"], 0, "leases held at the end")
        equal([one["name"] for one in load["places"]], ["checksum", "sink"], "threads")
        require(load["keptBytes"] >= SIZE, f"{load['keptBytes']} bytes went to another thread")
        return f"{rate(part)}; at most {[one['deepest'] for one in load['places']]} items waited"


@check
def zcrx_sink_on_its_own_thread_writes_files():
    with Place(queue=3) as place, Scratch() as folder:
        place.steer(PORT)
        os.mkdir(f"{folder}/out")
        content = os.path.join(folder, "content")
        with open(content, "wb") as file:
            file.write(os.urandom(SIZE // 4))
        with place.receiver("--sink", f"file:{folder}/out", "-1", "--place",
                            "sink=cpu0") as receiver:
            place.send("--file", content)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        equal(receiver.counters["sinkCopiedBytes"], 0, "bytes that the sink copied")
        [name] = os.listdir(f"{folder}/out")
        require(same_file(content, f"{folder}/out/{name}"), "the file differs")
        wait_until(released, 60, "page pool gone")
        return f"{SIZE // 4 >> 20} MiB"


def shared(receive, deliver, content, scratch):
    meeting = os.path.join(scratch, "sock")
    with receive("--sink", f"shm:{meeting}", "-1") as receiver:
        with Consumer("c", scratch, meeting) as consumer:
            deliver(receiver)
            equal(receiver.finish(PATIENCE), 0, "exit code")
            status, said = consumer.finish()
            equal(status, 0, f"the consumer's status ({said[-200:]})")
            [name] = os.listdir(consumer.folder)
            require(same_file(content, consumer.path(name)), "the consumer's bytes differ")
    equal(receiver.counters["sinkCopiedBytes"], 0, "bytes that the sink copied")
    equal(receiver.counters["sinkLostBytes"], 0, "bytes lost")
    return receiver.counters


@check
def zcrx_another_process_reads_what_the_NIC_wrote():
    """The area is a memfd that the consumer maps: no copy from the NIC to it."""
    with Place(queue=3) as place, Scratch() as scratch:
        place.steer(PORT)
        content = os.path.join(scratch, "content")
        with open(content, "wb") as file:
            file.write(os.urandom(SIZE // 4))
        counters = shared(place.receiver, lambda _: place.send("--file", content), content,
                          scratch)
        equal(counters["copiedBytes"], 0, "bytes that the kernel copied")
        wait_until(released, 60, "page pool gone")
        return f"{counters['bytes'] >> 20} MiB"


@check
def nodev_chains():
    with Scratch() as scratch:
        content = os.path.join(scratch, "content")
        with open(content, "wb") as file:
            file.write(os.urandom(SIZE // 4))
        counters = shared(
            lambda *arguments: Receiver("--engine", "nodev", *arguments),
            lambda receiver: send("--to", f"127.0.0.1:{receiver.port}", "--file", content,
                                  seconds=PATIENCE), content, scratch)
    with Receiver("--engine", "nodev", "--parse", "wire", "--checksum", "crc32c:verify",
                  "--connections", 4, "--place", "checksum=cpu0", "sink=cpu1") as receiver:
        send("--to", f"127.0.0.1:{receiver.port}", "--bytes", SIZE, "--streams", 4,
             seconds=PATIENCE)
        equal(receiver.finish(PATIENCE), 0, "exit code")
    equal(receiver.end["receive"]["loads"][0]["heldLeases"], 0, "leases held at the end")
    return f"{counters['bytes'] >> 20} MiB shared; {rate(receiver.end['receive'])} spread"
