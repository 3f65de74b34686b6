"""Sinks that fail and runs that are stopped: what is safe is said, and it is."""
import os
import signal
import subprocess
import time

from harness import BIN, Receiver, Scratch, Skipped, check, connect, equal, require


def small_tmpfs(path, size):
    if os.geteuid() != 0:
        raise Skipped("mounting a small tmpfs needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)


def full_disk(layout):
    with Scratch() as scratch:
        disk = os.path.join(scratch, "disk")
        os.mkdir(disk)
        small_tmpfs(disk, "8m")
        try:
            target = disk if layout == "each" else os.path.join(disk, "all")
            with Receiver(
                "--parse", "fixed:size=4096", "--sink", f"file:{target},layout={layout}",
                "--connections", 1
            ) as receiver:
                peer = connect(receiver.port)
                sent = os.urandom(1 << 20) * 32
                try:
                    peer.sendall(sent)
                except OSError:
                    pass
                peer.close()
                equal(receiver.finish(), 1, "exit code")
                faults = receiver.events("fault")
                require(faults and faults[0]["kind"] == "sink", f"faults: {faults}")
                safe = faults[0]["offset"]
                require(0 < safe <= 8 << 20, f"safe byte {safe}")
                names = os.listdir(disk)
                equal(len(names), 1, "files")
                with open(os.path.join(disk, names[0]), "rb") as file:
                    equal(file.read(safe) == sent[:safe], True, "the safe bytes are what was sent")
                said = faults[0]["text"] + " " + (receiver.end.get("failure") or "")
                require("No space left" in said or "ENOSPC" in said, said)
                return faults[0]["text"]
        finally:
            subprocess.run(["umount", disk], check=False)


@check
def a_full_disk_with_a_file_per_connection():
    return full_disk("each")


@check
def a_full_disk_with_one_file():
    return full_disk("one")


@check
def sigterm_under_load():
    """Everything received before the signal is in the sink."""
    with Scratch() as scratch:
        with Receiver("--sink", f"file:{scratch}") as receiver:
            sender = subprocess.Popen(
                [os.path.join(BIN, "ingest-send"), "--to", f"127.0.0.1:{receiver.port}", "-t", "20",
                 "-C", "reno", "-P", "4", "--source", "wire", "-l", "16K", "-i", "0"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                time.sleep(1.0)
                asked = time.monotonic()
                equal(receiver.stop(30), 0, "exit code")
            finally:
                sender.kill()
                sender.wait()
            received = receiver.counters["bytes"]
            connections = receiver.closed()
            equal(len(connections), 4, "connections")
            sizes = sorted(
                os.path.getsize(os.path.join(scratch, name)) for name in os.listdir(scratch))
            equal(sizes, sorted(c["bytes"] for c in connections), "file sizes")
            require(received > 1 << 20, f"only {received} bytes were received")
            equal(sum(sizes) + receiver.counters["discardedBytes"], received, "bytes in the sink")
            took = time.monotonic() - asked
            require(took < 20, f"stopping took {took:.1f} s")
            return f"{received >> 20} MiB, {receiver.counters['discardedBytes']} discarded"


@check
def standard_output_closed_by_its_reader():
    reader, writer = os.pipe()
    with Receiver("--sink", "stdout", "-1", stdout=writer) as receiver:
        os.close(writer)
        peer = connect(receiver.port)
        peer.sendall(b"first\n")
        equal(os.read(reader, 6), b"first\n", "what the reader got")
        os.close(reader)
        try:
            for _ in range(100):
                peer.sendall(b"more\n" * 1000)
                time.sleep(0.005)
        except OSError:
            pass
        peer.close()
        equal(receiver.finish(), 1, "exit code")
        said = " ".join(receiver.text) + str(receiver.events("fault"))
        require("closed" in said or "EPIPE" in said or "Broken pipe" in said, said)
    return "exit 1, said so"


@check
def a_second_signal_forces_the_end():
    reader, writer = os.pipe()
    with Receiver("--sink", "stdout", stdout=writer) as receiver:
        peer = connect(receiver.port)
        peer.setblocking(False)
        try:
            while True:  # until the pipe, the area and the socket are full
                peer.send(b"x" * 65536)
        except BlockingIOError:
            pass
        receiver.signal(signal.SIGINT)
        time.sleep(0.5)
        require(receiver.process.poll() is None, "ended although the reader is stuck")
        receiver.signal(signal.SIGINT)
        equal(receiver.finish(20), 1, "exit code")
    os.close(reader)
    os.close(writer)
    return "first waits for the stuck reader, second ends"
