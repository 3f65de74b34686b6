"""Zero-copy receive by memory, buffer length, family, connections, queues and senders."""
import array
import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import subprocess
import sys

from harness import Scratch, check, equal, require, same_file, send
from harness import Receiver as LoopbackReceiver
from zcrx_port import MIB, PATIENCE, PORT, Place, rate, transfer

SIZE = 256 * MIB
FEW = 64 * MIB


def reserve(count, size="2048kB"):
    """Huge pages of the guest's own kernel."""
    path = f"/sys/kernel/mm/hugepages/hugepages-{size}/nr_hugepages"
    with open(path, "w") as file:
        file.write(str(count))
    with open(path) as file:
        got = int(file.read())
    require(got >= count, f"the guest has {got} huge pages of {size}, wanted {count}")


def memory(kind, *arguments, size=SIZE, buffer="4K"):
    with Place(queue=3) as place:
        place.steer(PORT)
        part, _ = transfer(place, size, "--memory", kind, "--buffer", buffer, *arguments)
        # The module is loaded as one next to node 0.
        require("on node 0" in str(part["remarks"]), f"not on the NIC's node: {part['remarks']}")
        return rate(part)


@check
def zcrx_memory_pages():
    return memory("pages")


@check
def zcrx_memory_transparent_huge_pages():
    return memory("thp")


@check
def zcrx_memory_huge_pages_of_2_MiB():
    reserve(40)
    try:
        return memory("huge2m")
    finally:
        reserve(0)


@check
def zcrx_memory_huge_pages_of_1_GiB():
    reserve(1, "1048576kB")
    try:
        # All of such a page is the area's: buffers of 64 KiB keep their number small.
        return memory("huge1g", "--area", "1G", size=FEW, buffer="64K")
    finally:
        reserve(0, "1048576kB")


@check
def zcrx_memory_udmabuf():
    return memory("udmabuf")


@check
def zcrx_memory_dma_heap():
    return memory("dma-heap")


@contextlib.contextmanager
def udmabuf(size):
    """A dmabuf of memory, and its descriptor; include/uapi/linux/udmabuf.h."""
    udmabuf_create, seal_shrink = 0x40187542, 2
    pages = os.memfd_create("dmabuf", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(pages, size)
        fcntl.fcntl(pages, fcntl.F_ADD_SEALS, seal_shrink)
        with open("/dev/udmabuf", "wb") as device:
            wish = bytearray(struct.pack("=IIQQ", pages, 1, 0, size))
            made = fcntl.ioctl(device, udmabuf_create, wish)
    finally:
        os.close(pages)
    try:
        yield made
    finally:
        os.close(made)


@check
def zcrx_memory_of_a_given_dmabuf_holds_the_bytes():
    """A dmabuf that another made, read through its own mapping."""
    size, count = 16 * MIB, 16384
    numbers = array.array("Q", range(1, count + 1))
    with Place(queue=3) as place, udmabuf(size) as dmabuf, Scratch() as folder:
        place.steer(PORT)
        os.mkdir(f"{folder}/out")
        content = os.path.join(folder, "numbers")
        with open(content, "wb") as file:
            numbers.tofile(file)
        with place.receiver("--dmabuf-fd", dmabuf, "--buffer", "4K", "--sink", f"file:{folder}/out",
                            "-1", descriptors=[dmabuf]) as receiver:
            place.send("--file", content)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        [name] = os.listdir(f"{folder}/out")
        require(same_file(content, f"{folder}/out/{name}"), "the file differs")
        # Fewer bytes than the NIC has buffers posted for: none was used twice. Segments of 1448
        # bytes lie at multiples of 64.
        found = array.array("Q")
        with mmap.mmap(dmabuf, size, prot=mmap.PROT_READ) as view:
            found.frombytes(view)
        missing = set(numbers) - set(found)
        require(not missing, f"{len(missing)} of {count} numbers are not in the dmabuf")
        return f"{count * 8 >> 10} KiB of numbers, all there"


def length(buffer):
    reserve(40)
    try:
        with Place(queue=3, mtu=9000) as place:
            place.steer(PORT)
            part, moved = transfer(place, SIZE, "--memory", "huge2m", "--buffer", buffer)
            per = part["counters"]["bytes"] / part["counters"]["completions"]
            return f"{rate(part)}, {per:.0f} bytes each"
    finally:
        reserve(0)


@check
def zcrx_buffers_of_4_KiB():
    return length("4K")


@check
def zcrx_buffers_of_16_KiB():
    return length("16K")


@check
def zcrx_buffers_of_64_KiB():
    return length("64K")


@check
def zcrx_IPv6():
    with Place(queue=3) as place:
        place.steer(PORT)
        return rate(transfer(place, SIZE, family=6)[0])


@check
def zcrx_32_connections():
    with Place(queue=3) as place:
        place.steer(PORT)
        return rate(transfer(place, SIZE, connections=32)[0])


def over_queues(place, queues, **options):
    """Each connection to a queue of its own by its source port's parity is up to RSS: a context."""
    place.spread(PORT, queues)
    part, moved = transfer(place, SIZE, connections=16, queues=queues, **options)
    used = [one["bytes"] for one in part["perThread"]]
    equal(len(used), len(queues), "threads")
    # Where 16 connections go is up to the hash: not each queue need have one.
    require(sum(map(bool, used)) >= 2, f"one queue got it all: {used}")
    return f"{rate(part)}; by thread {[value >> 20 for value in used]} MiB, " \
           f"{part['counters']['handedOver']} connections handed over"


@check
def zcrx_2_queues():
    with Place(queue=2, queues=4) as place:
        return over_queues(place, [2, 3])


@check
def zcrx_4_queues():
    with Place(queue=4, queues=8) as place:
        return over_queues(place, [4, 5, 6, 7])


@check
def zcrx_two_threads_on_one_queue():
    with Place(queue=3) as place:
        place.steer(PORT)
        part, _ = transfer(place, SIZE, "--threads", 2, connections=16)
        used = [one["bytes"] for one in part["perThread"]]
        require(len(used) == 2 and all(used), f"bytes by thread: {used}")
        return f"{rate(part)}; by thread {[value >> 20 for value in used]} MiB"


@check
def zcrx_refill_ring_in_the_kernels_memory():
    with Place(queue=3) as place:
        place.steer(PORT)
        return rate(transfer(place, FEW, "--refill-memory", "kernel")[0])


@check
def zcrx_busy_polling():
    with Place(queue=3) as place:
        place.steer(PORT)
        return rate(transfer(place, FEW, "--busy-poll", "50us")[0])


@check
def zcrx_every_way_of_sending():
    said = []
    for method in ["send", "msg-zerocopy", "send-zc", "send-zc-fixed"]:
        with Place(queue=3) as place:
            place.steer(PORT)
            part, _ = transfer(place, FEW, sender=["--method", method])
            said.append(f"{method}: {part['counters']['completions']} completions")
    return ", ".join(said)


PLAIN_SENDER = """
import socket, sys
data = bytes(range(256)) * 4096
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
    for _ in range(64):
        peer.sendall(data)
"""


@check
def zcrx_a_plain_socket_program_sends():
    with Place(queue=3) as place, Scratch() as folder:
        place.steer(PORT)
        with place.receiver("--sink", f"file:{folder}", "-1") as receiver:
            subprocess.run(
                [*place.inside(place.TX), sys.executable, "-c", PLAIN_SENDER, place.RX_ADDRESS,
                 str(PORT)], check=True, timeout=PATIENCE)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        digest = hashlib.sha256()
        [name] = os.listdir(folder)
        with open(os.path.join(folder, name), "rb") as file:
            while part := file.read(MIB):
                digest.update(part)
        wanted = hashlib.sha256(bytes(range(256)) * 4096 * 64).hexdigest()
        equal(digest.hexdigest(), wanted, "the file that came")
        return f"{receiver.counters['bytes'] >> 20} MiB, byte for byte"


@check
def nodev_over_loopback():
    with LoopbackReceiver("--engine", "nodev", "--parse", "wire", "--checksum", "crc32c:verify",
                          "--connections", 4) as receiver:
        send("--to", f"127.0.0.1:{receiver.port}", "--bytes", SIZE, "--streams", 4,
             seconds=PATIENCE)
        equal(receiver.finish(PATIENCE), 0, "exit code")
    part = receiver.end["receive"]
    equal(part["engine"], "nodev", "engine")
    equal(receiver.counters["copiedBytes"], part["counters"]["bytes"], "copied bytes")
    require(part["counters"]["refillFlushes"] > 0, "nobody read the refill queue")
    return rate(part)
