"""Everything to two sinks: --sink tee."""
import os
import threading

from forwarding import PLACES, Taker, digest_of
from harness import Receiver, Scratch, check, equal, random_file, require, same_file, send



@check
def tee_gives_both_sinks_every_byte():
    said = []
    for place in PLACES[:2]:
        with Scratch() as scratch:
            source, out = os.path.join(scratch, "in"), os.path.join(scratch, "out")
            random_file(source, 128 << 20)
            os.mkdir(out)
            with Taker([], "127.0.0.1", rests=1.0) as taker, Receiver(
                    "--sink", f"tee:file:{out}|forward:127.0.0.1:{taker.port}", "-1",
                    *(["--place", place] if place else [])) as receiver:
                send("--to", f"127.0.0.1:{receiver.port}", "--file", source)
                equal(receiver.finish(), 0, "exit code")
                equal(taker.line(), "rests", "the receiver")
                equal(taker.end(), (128 << 20, digest_of(source), "finished"), "what went on")
            [name] = os.listdir(out)
            require(same_file(source, os.path.join(out, name)), "the file differs")
            equal(receiver.counters["sinkBytes"], 256 << 20, "bytes of both sinks")
            equal(receiver.counters["sinkCopiedBytes"], 0, "bytes copied in user space")
            said.append(f"{place or 'one thread'}: {receiver.counters['pauses']} pauses")
    return "; ".join(said)


@check
def tee_refuses_for_both_where_one_cannot():
    with Scratch() as out:
        with Taker([], "127.0.0.1", rests=30.0) as taker, Receiver(
                "--sink", f"tee:forward:127.0.0.1:{taker.port}|file:{out}",
                "--connections", 1) as receiver:
            sender = threading.Thread(target=send, args=(
                "--to", f"127.0.0.1:{receiver.port}", "-t", 30), kwargs={"expect": 6})
            sender.start()
            equal(taker.line(), "rests", "the receiver")
            taker.process.kill()
            sender.join(30)
            require(not sender.is_alive(), "the sender goes on")
            equal(receiver.finish(), 1, "exit code")
        [one] = receiver.closed()
        equal(one["ended"], "refused", "the connection's end")
        [name] = os.listdir(out)
        size = os.path.getsize(os.path.join(out, name))
        require(size > 1 << 20, f"only {size} bytes in the file")
        return f"{size >> 20} MiB are in the file"
