"""Bad input: a clear error, nothing lost, and the other connections go on."""
import os
import resource
import socket
import struct
import subprocess
import threading
import time

from harness import BIN, Receiver, check, connect, equal, require, run, send


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
        return f"connections: {[c['ended'] for c in receiver.closed()]}"


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
def more_connections_than_descriptors():
    """Peers beyond `ulimit -n` wait in the backlog until others end; nobody is lost."""
    limit = 48
    with Receiver(
        "--parse", "lines", "--connections", 2 * limit,
        limits={resource.RLIMIT_NOFILE: limit}
    ) as receiver:
        peers = [connect(receiver.port) for _ in range(2 * limit)]
        for peer in peers:
            peer.sendall(b"one line each\n")
        time.sleep(0.5)
        ticks = receiver.cpu_seconds()
        time.sleep(1)
        used = receiver.cpu_seconds() - ticks
        require(used < 0.5, f"used {used:.2f} s of CPU in a second of waiting")
        for peer in peers:
            peer.close()
        equal(receiver.finish(), 0, "exit code")
        equal(receiver.counters["records"], 2 * limit, "lines")
        require(receiver.counters["acceptFailures"] > 0, "descriptors never ran out")
        return f"{receiver.counters['acceptFailures']} tries to accept failed, nobody was lost"


@check
def a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        for threads in (1, 2):
            code, _, text = run(
                "run", "--listen", "127.0.0.1", "--port", port, "--threads", threads)
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
