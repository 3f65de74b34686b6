"""One network interface, by the ioctls of ethtool alone."""

import ctypes
import fcntl
import os
import socket
import struct

SIOCETHTOOL, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8946, 0x8913, 0x8914
IFF_UP = 1
FLOW_RSS = 0x20000000
TCP4, UDP4, TCP6, UDP6, USER4, USER6, IP4, IP6 = 0x01, 0x02, 0x05, 0x06, 0x0d, 0x0e, 0x10, 0x11
DROP = 2**64 - 1
ANY, FIRST, LAST = 0xffffffff, 0xfffffffe, 0xfffffffd
NTUPLE = 1 << 27
TABLE, KEY = 128, 40
RXNFC_HEAD = struct.Struct("<IIQ")
SPEC = struct.Struct("<I52s20s52s20s4xQI4x")
RXFH = struct.Struct("<IIIIBBHI")
NO_CHANGE = 0xff


class Rule:
    """A flow specification: what to match under which mask, and where it goes."""

    def __init__(self, kind, fields, mask, queue=0, location=ANY, context=None):
        self.kind, self.queue, self.location, self.context = kind, queue, location, context
        self.fields, self.mask = fields.ljust(52, b"\0"), mask.ljust(52, b"\0")

    def pack(self):
        kind = self.kind | (FLOW_RSS if self.context is not None else 0)
        return SPEC.pack(kind, self.fields, bytes(20), self.mask, bytes(20), self.queue,
                         self.location)


class Port:
    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def call(self, command):
        """The ioctl on the bytes of a command structure; returns those of the answer."""
        memory = ctypes.create_string_buffer(command, len(command))
        request = struct.pack("16sQ16x", self.name.encode(), ctypes.addressof(memory))
        fcntl.ioctl(self.socket, SIOCETHTOOL, request)
        return memory.raw

    def up(self):
        """Without IPv6, which would send of its own."""
        with open(f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6", "w") as file:
            file.write("1")
        answer = fcntl.ioctl(self.socket, SIOCGIFFLAGS, struct.pack("16s24x", self.name.encode()))
        flags = struct.unpack_from("<H", answer, 16)[0] | IFF_UP
        fcntl.ioctl(self.socket, SIOCSIFFLAGS, struct.pack("16sH22x", self.name.encode(), flags))

    # Rules

    def ntuple(self, on):
        flags = struct.unpack("<II", self.call(struct.pack("<II", 0x25, 0)))[1]
        flags = flags | NTUPLE if on else flags & ~NTUPLE
        self.call(struct.pack("<II", 0x26, flags))

    def insert(self, rule):
        """Where the rule went."""
        tail = struct.pack("<I4x", rule.context or 0)
        answer = self.call(RXNFC_HEAD.pack(0x32, 0, 0) + rule.pack() + tail)
        return SPEC.unpack_from(answer, RXNFC_HEAD.size)[6]

    def delete(self, location):
        spec = Rule(0, b"", b"", location=location).pack()
        self.call(RXNFC_HEAD.pack(0x31, 0, 0) + spec + bytes(8))

    def rule(self, location):
        """Specification and context, as the device gives them."""
        spec = Rule(0, b"", b"", location=location).pack()
        answer = self.call(RXNFC_HEAD.pack(0x2f, 0, 0) + spec + bytes(8))[RXNFC_HEAD.size:]
        return answer[:SPEC.size], struct.unpack_from("<I", answer, SPEC.size)[0]

    def locations(self, room=512):
        answer = self.call(RXNFC_HEAD.pack(0x30, 0, 0) + bytes(SPEC.size) +
                           struct.pack("<I", room) + bytes(4 * room))
        at = RXNFC_HEAD.size + SPEC.size
        count = struct.unpack_from("<I", answer, at)[0]
        return list(struct.unpack_from(f"<{count}I", answer, at + 4))

    def rule_count(self):
        """How many there are, and the size of the table with its flag."""
        answer = self.call(RXNFC_HEAD.pack(0x2e, 0, 0) + bytes(SPEC.size + 8))
        count = struct.unpack_from("<I", answer, RXNFC_HEAD.size + SPEC.size)[0]
        return count, RXNFC_HEAD.unpack_from(answer)[2] & 0xffffffff

    def clear(self):
        for location in self.locations():
            self.delete(location)

    # RSS

    def rss(self, context=0):
        """Table, key, input transformation."""
        answer = self.call(RXFH.pack(0x46, context, TABLE, KEY, 0, 0, 0, 0) +
                           bytes(4 * TABLE + KEY))
        table = struct.unpack_from(f"<{TABLE}I", answer, RXFH.size)
        return list(table), answer[RXFH.size + 4 * TABLE:][:KEY], RXFH.unpack_from(answer)[5]

    def set_rss(self, context=0, table=None, key=None, transform=NO_CHANGE, function=0):
        """Context 0xffffffff makes a new one; returns the context's number."""
        size = len(table) if table is not None else 0xffffffff
        head = RXFH.pack(0x47, context, size, len(key or b""), function, transform, 0, 0)
        body = struct.pack(f"<{len(table or [])}I", *(table or [])) + (key or b"")
        answer = self.call(head + body)
        return RXFH.unpack_from(answer)[1]

    def remove_context(self, context):
        self.set_rss(context, table=[])

    def fields(self, kind, context=None):
        return RXNFC_HEAD.unpack_from(self.call(self.field_command(0x29, kind, 0, context)))[2]

    def set_fields(self, kind, data, context=None):
        self.call(self.field_command(0x2a, kind, data, context))

    @staticmethod
    def field_command(command, kind, data, context):
        kind |= FLOW_RSS if context is not None else 0
        return (RXNFC_HEAD.pack(command, kind, data) + bytes(SPEC.size) +
                struct.pack("<I4x", context or 0))

    # Queues and counters

    def channels(self):
        return struct.unpack("<9I", self.call(struct.pack("<I32x", 0x3c)))[8]

    def set_channels(self, count):
        answer = bytearray(self.call(struct.pack("<I32x", 0x3c)))
        struct.pack_into("<I", answer, 0, 0x3d)
        struct.pack_into("<I", answer, 32, count)
        self.call(bytes(answer))

    def counters(self):
        answer = self.call(struct.pack("<IIQI4x", 0x37, 0, 1 << 1, 0))
        count = struct.unpack_from("<I", answer, 16)[0]
        names = self.call(struct.pack("<III", 0x1b, 1, count) + bytes(32 * count))[12:]
        values = self.call(struct.pack("<II", 0x1d, count) + bytes(8 * count))[8:]
        return {names[32 * i:32 * i + 32].split(b"\0")[0].decode(): value
                for i, value in enumerate(struct.unpack(f"<{count}Q", values))}


def error(number, action, *arguments, **options):
    """That the action is refused, and with that very error."""
    try:
        action(*arguments, **options)
    except OSError as refusal:
        if refusal.errno == number:
            return
        raise AssertionError(f"refused with {os.strerror(refusal.errno)}, "
                             f"not {os.strerror(number)}") from refusal
    raise AssertionError(f"accepted; expected {os.strerror(number)}")
