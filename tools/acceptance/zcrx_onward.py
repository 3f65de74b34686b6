"""What came by `zcrx` or `nodev` and goes on: to another host, to two sinks, through plugins."""
import os

from forwarding import Taker, digest_of
from harness import Receiver, Scratch, check, equal, random_file, require, same_file, send
from isolation import trouble
from plugins import words
from zcrx_port import MIB, PATIENCE, PORT, Place, released, wait_until

SIZE = 16 * MIB
# The first piece of a record decides for it: a word that no two leases can share.
LINES = b"alpha beta\nD x y\nlast\n" * 20000
PASSED = LINES.replace(b"D x y\n", b"")


@check
def zcrx_forwards_from_NIC_to_NIC():
    """In and out by the same port: the pages that it wrote are the pages that it sends."""
    with Place(queue=3) as place, Scratch() as scratch:
        place.steer(PORT)
        source = os.path.join(scratch, "in")
        random_file(source, SIZE)
        with Taker(place.inside(place.TX), place.TX_ADDRESS) as taker:
            with place.receiver("--sink", f"forward:{place.TX_ADDRESS}:{taker.port}",
                                "-1") as receiver:
                place.send("--file", source)
                equal(receiver.finish(PATIENCE), 0, "exit code")
                equal(taker.end(), (SIZE, digest_of(source), "finished"), "what arrived")
        counters = receiver.counters
        equal(counters["copiedBytes"], 0, "bytes that the kernel copied on the way in")
        equal(counters["sinkBytes"], SIZE, "bytes sent on")
        equal(counters["sinkCopiedBytes"], 0, "bytes copied in user space")
        # A sender that runs ahead takes all leases that may be held; what comes then is sent
        # plainly, which the kernel copies and the sink counts.
        require(counters["sinkZeroCopyBytes"] > 0, "nothing went by zero-copy sends")
        wait_until(released, 60, "page pool gone")
        share, copied = (counters[f"sink{kind}Bytes"] * 100 // SIZE
                         for kind in ("ZeroCopy", "KernelCopied"))
        return f"{share} % by zero-copy sends; the kernel copied {copied} %"


def teed(receive, deliver, address="127.0.0.1", prefix=()):
    with Scratch() as scratch:
        source, out = os.path.join(scratch, "in"), os.path.join(scratch, "out")
        random_file(source, SIZE)
        os.mkdir(out)
        with Taker(prefix, address) as taker, receive(
                "--sink", f"tee:file:{out}|forward:{address}:{taker.port}", "-1") as receiver:
            deliver(receiver, source)
            equal(receiver.finish(PATIENCE), 0, "exit code")
            equal(taker.end(), (SIZE, digest_of(source), "finished"), "what went on")
        [name] = os.listdir(out)
        require(same_file(source, os.path.join(out, name)), "the file differs")
    equal(receiver.counters["sinkBytes"], 2 * SIZE, "bytes of both sinks")
    equal(receiver.counters["sinkCopiedBytes"], 0, "bytes copied in user space")
    return receiver.counters


def staged(receive, deliver):
    """A shared object in the process and in one of its own; then one that crashes."""
    with Scratch() as scratch:
        source, out = os.path.join(scratch, "in"), os.path.join(scratch, "out")
        with open(source, "wb") as file:
            file.write(LINES)
        os.mkdir(out)
        for flag in ("--stage", "--stage-isolated"):
            with receive("--parse", "lines", "-1", "--sink", f"file:{out},overwrite=yes", flag,
                         f"{words(scratch)}?drop=D") as receiver:
                deliver(receiver, source)
                equal(receiver.finish(PATIENCE), 0, "exit code")
            [name] = os.listdir(out)
            with open(os.path.join(out, name), "rb") as file:
                require(file.read() == PASSED, f"{flag}: not what the stage let through")
        with open(source, "wb") as file:
            file.write(b"good\nSEGV\n")
        with receive("--parse", "lines", "-1", "--sink", "null", "--stage-isolated",
                     trouble(scratch)) as receiver:
            deliver(receiver, source, expect=None)
            equal(receiver.finish(PATIENCE), 1, "exit code after a crash")
        require("ended once before its time" in receiver.end["failure"], receiver.end["failure"])
        equal(receiver.end["receive"]["loads"][0]["heldLeases"], 0, "leases held at the end")


@check
def zcrx_two_sinks_and_stages_from_shared_objects():
    with Place(queue=3) as place:
        place.steer(PORT)

        def deliver(_, source, **options):
            place.send("--file", source, **options)

        counters = teed(place.receiver, deliver, place.TX_ADDRESS, place.inside(place.TX))
        equal(counters["copiedBytes"], 0, "bytes that the kernel copied")
        staged(place.receiver, deliver)
        wait_until(released, 60, "page pool gone")


@check
def nodev_two_sinks_and_stages_from_shared_objects():
    def receive(*arguments):
        return Receiver("--engine", "nodev", *arguments)

    def deliver(receiver, source, **options):
        send("--to", f"127.0.0.1:{receiver.port}", "--file", source, seconds=PATIENCE, **options)

    teed(receive, deliver)
    staged(receive, deliver)
