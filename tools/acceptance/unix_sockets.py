"""Records go through a unix socket: as one stream, or each connection as a sealed file."""
import mmap
import os
import socket
import struct
import subprocess
import threading
import time

from harness import (Receiver, Scratch, check, connect, equal, random_file, require, run,
                     same_file, tool)


@check
def a_unix_socket_gets_every_byte():
    with Scratch() as scratch:
        path, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 64 << 20)
        target = os.path.join(scratch, "out")
        reader = subprocess.Popen(
            [tool("socat"), "-u", f"UNIX-LISTEN:{path}", f"OPEN:{target},creat"],
            stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while not os.path.exists(path):
            require(time.monotonic() < until, "socat does not listen")
            time.sleep(0.01)
        try:
            with Receiver("--sink", f"unix:{path}", "-1") as receiver:
                with connect(receiver.port) as peer, open(source, "rb") as file:
                    peer.sendfile(file)
                equal(receiver.finish(), 0, "exit code")
                equal(reader.wait(20), 0, "the reader's status")
                require(same_file(source, target), "the bytes differ")
                equal(receiver.counters["sinkBytes"], 64 << 20, "bytes written")
                equal(receiver.counters["sinkCopiedBytes"], 0, "bytes the sink copied")
        finally:
            if reader.poll() is None:
                reader.kill()
                reader.wait()
        code, _, said = run("run", "--port", "0", "--sink", f"unix:{path}.none")
        equal(code, 1, "exit code where nobody listens")
        require("could not connect" in said and "socat" in said, said)
    return "64 MiB; without a reader it does not start"


class FileReader:
    """Takes connections as files, on a unix socket that keeps messages apart."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(4)
        self.files = {}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        connection, _ = self.listener.accept()
        with connection:
            while True:
                message, descriptors, _, _ = socket.recv_fds(connection, 64, 4)
                if not message:
                    return
                magic, _, end, serial, length, records = struct.unpack("=QIIQQQ", message)
                equal(magic.to_bytes(8, "little"), b"ingstfil", "magic")
                self.files[serial] = (end, length, records, descriptors[0])


def refused(function):
    try:
        function()
    except OSError:
        return True
    return False


@check
def finished_connections_as_sealed_files():
    with Scratch() as scratch:
        path = os.path.join(scratch, "sock")
        reader = FileReader(path)
        sizes = [(24 << 20) + 5, 3 << 20, 0, 1000, 70000]
        contents = [os.urandom(size) for size in sizes]
        with Receiver("--sink", f"unix:{path},mode=fd", "--parse", "fixed:size=1000",
                      "--connections", 5) as receiver:
            for content in contents:
                with connect(receiver.port) as peer:
                    peer.sendall(content)
            # The last record of some streams is cut short: that is the peers' fault, and told.
            equal(receiver.finish(), 6, "exit code")
        reader.thread.join(20)
        equal(len(reader.files), 5, "files")
        for serial, (end, length, records, file) in sorted(reader.files.items()):
            with open(file, "r+b", buffering=0) as whole:
                content = contents[serial - 1]
                equal(whole.read() == content, True, f"bytes of connection {serial}")
                equal((end, length, records), (0, len(content), len(content) // 1000), "message")
                require(refused(lambda: os.pwrite(file, b"x", 0)), "the file can be written")
                require(refused(lambda: os.ftruncate(file, 1 << 20)), "the file can be resized")
                if content:
                    require(refused(lambda: mmap.mmap(file, 0)), "the file maps for writing")
        counters = receiver.counters
        equal((counters["sinkBytes"], counters["sinkCopiedBytes"]), (sum(sizes),) * 2, "bytes")
        return f"{sum(sizes) >> 20} MiB in 5 files, all copied once"
