"""Generic netlink in a few lines: what the guest's checks ask the kernel for."""

import contextlib
import ctypes
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NETLINK_GENERIC = 16
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLA_F_NESTED = 1, 4, 0x300, 0x8000
CTRL_ID, CTRL_CMD_GETFAMILY, CTRL_FAMILY_ID, CTRL_FAMILY_NAME = 0x10, 3, 1, 2


def attribute(kind, payload):
    """One attribute; a number is one of 32 bits."""
    data = struct.pack("=I", payload) if isinstance(payload, int) else payload
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def attributes(data):
    """(type, payload) of each attribute."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4:at + length]
        at += (length + 3) & ~3


class Channel:
    """A socket to one family, in the network namespace of the thread that makes it."""

    def __init__(self, family):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.bind((0, 0))
        name = attribute(CTRL_FAMILY_NAME, family.encode() + b"\0")
        [answer] = self._ask(CTRL_ID, CTRL_CMD_GETFAMILY, NLM_F_ACK, name)
        self.family = struct.unpack("=H", dict(attributes(answer))[CTRL_FAMILY_ID])[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def dump(self, command):
        """The attributes of everything of that kind, a dictionary each."""
        return [dict(attributes(answer)) for answer in self._ask(self.family, command, NLM_F_DUMP)]

    def do(self, command, payload):
        """One command; OSError where the kernel refuses it."""
        self._ask(self.family, command, NLM_F_ACK, payload)

    def _ask(self, family, command, flags, payload=b""):
        body = struct.pack("=BBH", command, 1, 0) + payload
        head = struct.pack("=IHHII", 16 + len(body), family, NLM_F_REQUEST | flags, 1, 0)
        self.socket.send(head + body)
        answers = []
        while True:
            data = self.socket.recv(1 << 16)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                number = -struct.unpack_from("=i", data, at + 16)[0] if kind <= NLMSG_DONE else 0
                if number:
                    raise OSError(number, os.strerror(number))
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return answers
                answers.append(data[at + 20:at + length])
                at += (length + 3) & ~3


@contextlib.contextmanager
def inside(namespace):
    """This thread is in a named network namespace meanwhile."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    place = None
    try:
        place = os.open(os.path.join("/run/netns", namespace), os.O_RDONLY)
        if LIBC.setns(place, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns to {namespace}: {os.strerror(number)}")
        yield
    finally:
        LIBC.setns(home, CLONE_NEWNET)
        os.close(home)
        if place is not None:
            os.close(place)
