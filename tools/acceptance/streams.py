"""Bytes and records arrive whole: files, many connections, millions of records."""
import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import threading

from harness import (
    Receiver, Scratch, check, connect, equal, random_file, require, same_file, send, tool)

GIB = int(os.environ.get("ACCEPTANCE_FILE_BYTES", 1 << 30))


def one_file(out):
    files = os.listdir(out)
    equal(len(files), 1, "files written")
    return os.path.join(out, files[0])


def large_source():
    """One large random file for all checks; made when first asked for, gone at exit."""
    if not large_source.path:
        directory = tempfile.mkdtemp(prefix="ingest-source-", dir=os.environ.get("TMPDIR"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        large_source.path = os.path.join(directory, "source")
        random_file(large_source.path, GIB)
    return large_source.path


large_source.path = None


def deliver_file(deliver, listen="127.0.0.1"):
    """Sends one file through raw -> file with `deliver(path, port)`; compares."""
    source = large_source()
    with Scratch() as scratch:
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        with Receiver("--parse", "raw", "--sink", f"file:{out}", "-1", listen=listen) as receiver:
            deliver(source, receiver.port)
            equal(receiver.finish(120), 0, "exit code")
            equal(receiver.counters["bytes"], GIB, "bytes received")
            equal(receiver.counters["sinkCopiedBytes"], 0, "bytes the sink copied")
        require(same_file(source, one_file(out)), "the file differs from what was sent")
        return f"{GIB >> 20} MiB"


@check
def a_file_by_ingest_send_over_ipv4():
    return deliver_file(lambda path, port: send("--to", f"127.0.0.1:{port}", "--file", path))


@check
def a_file_by_ingest_send_over_ipv6():
    return deliver_file(
        lambda path, port: send("--to", f"[::1]:{port}", "--file", path), listen="::1")


@check
def a_file_by_nc():
    nc = tool("nc")

    def deliver(path, port):
        with open(path, "rb") as file:
            subprocess.run([nc, "-N", "127.0.0.1", str(port)], stdin=file, check=True, timeout=120)

    return deliver_file(deliver)


@check
def a_file_by_socat_over_ipv6():
    socat = tool("socat")

    def deliver(path, port):
        subprocess.run(
            [socat, "-u", f"FILE:{path}", f"TCP6:[::1]:{port}"], check=True, timeout=120)

    return deliver_file(deliver, listen="::1")


@check
def a_file_by_a_python_socket():
    def deliver(path, port):
        with connect(port) as peer, open(path, "rb") as file:
            peer.sendfile(file)

    return deliver_file(deliver)


def sixty_four(listen, host):
    count, size = 64, 4 << 20
    with Scratch() as scratch:
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        sources = []
        for index in range(count):
            path = os.path.join(scratch, f"source-{index}")
            random_file(path, size + index * 1013, seed=index)
            sources.append(path)
        with Receiver(
            "--sink", f"file:{out}/%t-%p", "--connections", count, "--threads", 2, listen=listen
        ) as receiver:
            ports = {}

            def deliver(path):
                with connect(receiver.port, host) as peer, open(path, "rb") as file:
                    ports[peer.getsockname()[1]] = path
                    peer.sendfile(file)

            threads = [threading.Thread(target=deliver, args=(path,)) for path in sources]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal(receiver.finish(120), 0, "exit code")
        equal(len(os.listdir(out)), count, "files")
        names = {int(name.split("-")[1]): name for name in os.listdir(out)}
        for port, path in ports.items():
            require(same_file(path, os.path.join(out, names[port])), f"{path} differs")
    return f"{count} connections, each its own content"


@check
def sixty_four_connections_over_ipv4():
    return sixty_four("127.0.0.1", "127.0.0.1")


@check
def sixty_four_connections_over_ipv6():
    return sixty_four("::1", "::1")


def records(count, smallest, largest, checksum="crc32c"):
    with Receiver(
        "--parse", "wire", "--checksum", f"{checksum}:verify", "-1"
    ) as receiver:
        document = send(
            "--to", f"127.0.0.1:{receiver.port}", "--records", count, "--record-minimum", smallest,
            "--record-maximum", largest, "--seed", 7, "--checksum", checksum, seconds=300)
        equal(receiver.finish(60), 0, "exit code")
        equal(document["end"]["send"]["counters"]["records"], count, "records sent")
        equal(receiver.counters["records"], count, "records verified")
        equal(receiver.counters["faults"], 0, "faults")
        equal(
            receiver.counters["bytes"], document["end"]["send"]["counters"]["bytes"], "bytes")
        return f"{count} records, {receiver.counters['bytes'] / 1e9:.1f} GB"


@check
def two_million_records_of_1_byte_to_64_KiB():
    return records(2_000_000, 1, "64K")


@check
def two_thousand_records_of_1_to_16_MiB():
    return records(2_000, "1M", "16M")


@check
def records_with_xxh3():
    return records(100_000, 1, "64K", checksum="xxh3")


class FlippingProxy(threading.Thread):
    """Forwards one connection and flips one bit of the byte at an offset."""

    def __init__(self, port, offset):
        super().__init__(daemon=True)
        self.target, self.offset = port, offset
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        source, _ = self.listener.accept()
        with connect(self.target) as sink, source:
            done = 0
            while True:
                data = source.recv(1 << 18)
                if not data:
                    break
                if done <= self.offset < done + len(data):
                    data = bytearray(data)
                    data[self.offset - done] ^= 0x10
                try:
                    sink.sendall(data)
                except OSError:
                    break
                done += len(data)


def flipped(offset_in_record, record=1234, size=5000):
    """One flipped byte in a stream of records of a known size: what is reported?"""
    with Receiver(
        "--parse", "wire", "--checksum", "crc32c:verify", "--connections", 2
    ) as receiver:
        proxy = FlippingProxy(receiver.port, record * size + offset_in_record)
        proxy.start()
        other = threading.Thread(target=send, args=(
            "--to", f"127.0.0.1:{receiver.port}", "--records", 20000, "-l", size))
        other.start()
        send("--to", f"127.0.0.1:{proxy.port}", "--records", 20000, "-l", size, expect=None)
        other.join()
        equal(receiver.finish(60), 7, "exit code")
        faults = receiver.events("fault")
        require(faults, "no fault was reported")
        fault = faults[0]
        equal(fault["record"], record, "record of the fault")
        start = record * size
        require(
            start <= fault["offset"] <= start + offset_in_record,
            f"offset {fault['offset']} is not in the record ({start}…)")
        require(fault.get("peer") or fault.get("connection"), "the fault names no connection")
        whole = [c for c in receiver.closed() if c["records"] == 20000]
        require(whole, "the other connection did not arrive whole")
        return f"record {fault['record']}, offset {fault['offset']}: {fault['kind']}"


@check
def a_flipped_payload_byte_is_reported():
    return flipped(3000)


@check
def a_flipped_header_byte_is_reported():
    # Byte 17 of the header is in the sequence number.
    return flipped(17)
