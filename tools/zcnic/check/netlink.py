"""What of ethtool has no ioctl: header split, and features by name."""

import os
import socket
import struct

CONTROL, REQUEST_ACK = 16, 5
GET_FAMILY, FAMILY_ID, FAMILY_NAME = 3, 1, 2
RINGS_SET, FEATURES_SET = 16, 12
RX, TX, BUFFER_LENGTH, SPLIT, THRESHOLD = 6, 9, 10, 11, 17
NESTED = 1 << 15


def attribute(kind, value):
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind, *values):
    return attribute(kind | NESTED, b"".join(values))


class Netlink:
    """A socket in the network namespace that it is made in."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.bind((0, 0))
        self.header = nest(1, attribute(2, device.encode() + b"\0"))
        answer = self.call(CONTROL, GET_FAMILY, attribute(FAMILY_NAME, b"ethtool\0"))
        self.family = self.find(answer, FAMILY_ID)

    @staticmethod
    def find(message, wanted):
        at = 20
        while at < len(message):
            length, kind = struct.unpack_from("<HH", message, at)
            if kind == wanted:
                return struct.unpack_from("<H", message, at + 4)[0]
            at += (length + 3) & ~3
        raise KeyError(wanted)

    def call(self, family, command, body):
        """The first answer that is not the acknowledgement; an error is raised."""
        head = struct.pack("<IHHII", 20 + len(body), family, REQUEST_ACK, 1, 0)
        self.socket.send(head + struct.pack("<BBH", command, 1, 0) + body)
        answer = b""
        while True:
            data = self.socket.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("<IH", data)
                if kind == 2:
                    number = -struct.unpack_from("<i", data, 16)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answer
                answer = answer or data[:length]
                data = data[(length + 3) & ~3:]

    def rings(self, rx=None, tx=None, buffer_length=None, split=None, threshold=None):
        numbers = ((RX, rx), (TX, tx), (BUFFER_LENGTH, buffer_length), (THRESHOLD, threshold))
        body = b"".join(attribute(kind, struct.pack("<I", value))
                        for kind, value in numbers if value is not None)
        if split is not None:
            body += attribute(SPLIT, bytes([2 if split else 1]))
        self.call(self.family, RINGS_SET, self.header + body)

    def feature(self, name, on):
        bit = attribute(2, name.encode() + b"\0") + (attribute(3, b"") if on else b"")
        self.call(self.family, FEATURES_SET, self.header + nest(3, nest(3, nest(1, bit))))
