"""Bad input: a clear error, nothing lost, and the other connections go on."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import (
    BIN, Receiver, Scratch, Skipped, check, connect, equal, require, run, send)


def reset(peer):
    """Ends a connection with a reset instead of a FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def beside_a_good_one(parse, bad, good_bytes, good_records, wanted_code, wanted_kind):
    """A bad connection and a good one at once; the good one must arrive whole."""
    with Receiver("--parse", parse, "--connections", 2) as receiver:
        good = connect(receiver.port)
        good.sendall(good_bytes[: len(good_bytes) // 2])
        ill = connect(receiver.port)
        try:
            bad(ill)
        except OSError:
            pass  # the receiver may end it while we still write
        deadline = time.monotonic() + 10
        while not receiver.closed() and time.monotonic() < deadline:
            time.sleep(0.01)
        good.sendall(good_bytes[len(good_bytes) // 2:])
        good.close()
        equal(receiver.finish(), wanted_code, "exit code")
        records = sorted(c["records"] for c in receiver.closed())
        require(good_records in records, f"the good connection: records {records}")
        if wanted_kind:
            kinds = [f["kind"] for f in receiver.events("fault")]
            equal(kinds, [wanted_kind], "faults")
            return receiver.events("fault")[0]["text"]
        return f"connections: {[c['ended'] for c in receiver.events('connection')]}"


LENGTH_RECORD = struct.pack(">I", 100) + b"x" * 100


@check
def a_length_prefix_over_the_bound():
    def bad(peer):
        peer.sendall(LENGTH_RECORD + struct.pack(">I", 1 << 30) + b"y" * 1000)
        peer.close()

    return beside_a_good_one(
        "length:bytes=4,endian=big,max=1M", bad, LENGTH_RECORD * 1000, 1000, 6, "record-too-long")


@check
def a_line_over_the_bound():
    def bad(peer):
        peer.sendall(b"short\n" + b"z" * 200_000)
        peer.close()

    return beside_a_good_one(
        "lines:max=64K", bad, b"a line of text\n" * 5000, 5000, 6, "line-too-long")


@check
def a_reset_in_the_middle_of_a_record():
    def bad(peer):
        peer.sendall(LENGTH_RECORD + struct.pack(">I", 5000) + b"y" * 1000)
        time.sleep(0.2)
        reset(peer)

    return beside_a_good_one(
        "length:bytes=4,endian=big", bad, LENGTH_RECORD * 1000, 1000, 6, None)


@check
def an_end_in_the_middle_of_a_record():
    def bad(peer):
        peer.sendall(LENGTH_RECORD + struct.pack(">I", 5000) + b"y" * 1000)
        peer.close()

    return beside_a_good_one(
        "length:bytes=4,endian=big", bad, LENGTH_RECORD * 1000, 1000, 6, "truncated")


@check
def garbage_where_wire_records_are_expected():
    with Receiver(
        "--parse", "wire", "--checksum", "crc32c:verify", "--connections", 2
    ) as receiver:
        peer = connect(receiver.port)
        try:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n" * 100)
        except OSError:
            pass
        peer.close()
        send("--to", f"127.0.0.1:{receiver.port}", "--records", 1000, "-l", "8K")
        equal(receiver.finish(), 6, "exit code")
        equal([f["kind"] for f in receiver.events("fault")], ["bad-magic"], "faults")
        require(
            1000 in [c["records"] for c in receiver.closed()],
            "the good connection did not arrive whole")
        return receiver.events("fault")[0]["text"]


@check
def a_slow_sender_and_a_thousand_idle_connections():
    with Receiver("--parse", "lines", "--max-connections", 2000) as receiver:
        idle = [connect(receiver.port) for _ in range(1000)]
        slow = connect(receiver.port)
        stop = threading.Event()

        def drip():
            for byte in b"ab":
                slow.sendall(bytes([byte]))
                if stop.wait(1.2):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        before = receiver.resident()
        busy = connect(receiver.port)
        line = b"0123456789" * 10 + b"\n"
        for _ in range(200):
            busy.sendall(line * 1000)
        busy.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            done = receiver.closed()
            if any(c["records"] == 200_000 for c in done):
                break
            time.sleep(0.05)
        else:
            require(False, f"the busy connection did not get through: {done}")
        dripping.join()
        grown = receiver.resident() - before
        require(grown < 1 << 20, f"resident size grew by {grown} bytes")
        slow.close()
        stop.set()
        for peer in idle:
            peer.close()
        equal(receiver.stop(), 0, "exit code")
        counters = receiver.counters
        equal(counters["accepted"], 1002, "connections accepted")
        # The slow sender's two bytes are a last line without its newline.
        equal(counters["bytes"], 200 * 1000 * len(line) + 2, "bytes received")
        return "1002 connections"


@check
def a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        for threads in (1, 2):
            code, _, text = run("run", "--listen", "127.0.0.1", "--port", port, "--threads", threads)
            equal(code, 1, "exit code")
            require(f"port {port} is in use" in text and "ss -ltnp" in text, text)
    return text.strip().replace("\n", " / ")


@check
def no_such_interface():
    code, _, text = run("run", "--port", 0, "--ifname", "nosuch0")
    equal(code, 1, "exit code")
    require("nosuch0" in text and "ip -br link" in text, text)
    return text.strip().replace("\n", " / ")


@check
def connection_refused():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    done = subprocess.run(
        [os.path.join(BIN, "ingest-send"), "--to", f"127.0.0.1:{port}", "-t", "1"],
        capture_output=True, timeout=20)
    equal(done.returncode, 6, "exit code")
    require(str(port) in done.stderr.decode(), done.stderr.decode())
    return done.stderr.decode().strip().replace("\n", " / ")


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
