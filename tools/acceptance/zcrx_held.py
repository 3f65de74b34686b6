"""Many connections whose data nobody takes for a while, on `zcrx`."""
import os
import socket
import threading
import time

import genetlink
from harness import Scratch, check, equal, require
from zcrx_port import MIB, PATIENCE, PORT, Place, released, wait_until

COUNT = 200


def text(number, count):
    return b"".join(b"%06d %06d %s\n" % (number, line, b"x" * (line * 37 % 600))
                    for line in range(count))


class Reader:
    """Listens at a unix socket and reads nothing until it is told to."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(1)
        self.go, self.received = threading.Event(), bytearray()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        peer, _ = self.listener.accept()
        self.go.wait(PATIENCE)
        while part := peer.recv(MIB):
            self.received.extend(part)

    def end(self):
        self.thread.join(PATIENCE)
        require(not self.thread.is_alive(), "the reader saw no end")
        self.listener.close()
        streams = {}
        for line in bytes(self.received).splitlines(keepends=True):
            streams.setdefault(int(line[:6]), []).append(line)
        return {number: b"".join(lines) for number, lines in streams.items()}


@check
def zcrx_many_full_windows_arrive_when_the_sink_reads_again():
    """What they sent fills the area, and then the NIC has no buffer for what comes."""
    wanted = {number: text(number, 60) for number in range(COUNT)}
    wanted[COUNT] = text(COUNT, 4000)
    with Place(queue=3) as place, Scratch() as scratch:
        place.steer(PORT)
        place.ethtool("-G", "rx", 64)
        os.chmod(scratch, 0o755)
        reader = Reader(os.path.join(scratch, "sock"))
        with place.receiver("--parse", "lines", "--sink", f"unix:{scratch}/sock", "--area", "1M",
                            "--buffer", "4K", "--connections", COUNT + 1) as receiver:
            before = most = receiver.resident()
            peers = {}
            with genetlink.inside(place.TX):
                for number in wanted:
                    peers[number] = socket.create_connection((place.RX_ADDRESS, PORT), 60)
                    peers[number].setblocking(False)
            sent = dict.fromkeys(wanted, 0)

            def push():
                moved = 0
                for number, peer in peers.items():
                    try:
                        if part := wanted[number][sent[number]:]:
                            moved += (count := peer.send(part))
                            sent[number] += count
                    except BlockingIOError:
                        pass
                return moved
            while push():
                pass
            time.sleep(1)
            held = len(reader.received)
            equal(held, 0, "bytes read before")
            reader.go.set()

            def is_sent():
                push()
                return all(sent[number] == len(wanted[number]) for number in wanted)
            wait_until(is_sent, PATIENCE, "all bytes sent")
            most = max(most, receiver.resident())
            for peer in peers.values():
                peer.shutdown(socket.SHUT_WR)
            equal(receiver.finish(PATIENCE), 0, "exit code")
            got = reader.end()
            for peer in peers.values():
                peer.close()
        require(most - before < 64 * MIB, f"{(most - before) >> 20} MiB more resident")
        equal(sorted(got), sorted(wanted), "connections")
        for number in wanted:
            require(got[number] == wanted[number], f"connection {number} differs")
        wait_until(released, 60, "page pool gone")
        counters = receiver.counters
        return (f"{sum(map(len, wanted.values())) >> 20} MiB of {COUNT + 1} connections, "
                f"{counters['pauses']} pauses, the NIC found no buffer "
                f"{counters['noBuffers']} times")
