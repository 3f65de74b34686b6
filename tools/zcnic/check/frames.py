"""A model of how a port steers: frames, rules and the Toeplitz hash, from their definitions."""

import struct

from port import IP4, IP6, KEY, TCP4, TCP6, UDP4, UDP6, USER4, USER6, Rule

SIZES = {TCP4: 13, UDP4: 13, TCP6: 37, UDP6: 37, USER4: 15, USER6: 38}
IP_SOURCE, IP_DESTINATION, PORT_SOURCE, PORT_DESTINATION = 1 << 4, 1 << 5, 1 << 6, 1 << 7
ALL_FIELDS = IP_SOURCE | IP_DESTINATION | PORT_SOURCE | PORT_DESTINATION
SYMMETRIC_XOR, SYMMETRIC_OR_XOR = 1, 2
MASKS = [0, 0xff, 0xf0, 0x5a]
SERVICES, PROTOCOLS = [0, 8], [6, 17, 47, 132]


class Packet:
    """A frame, and what a parser has to find in it."""

    def __init__(self, kind, source, destination, ports, tos=0, protocol=None, tag=False,
                 fragment=False):
        self.v6 = kind in (TCP6, UDP6, IP6)
        self.protocol = {TCP4: 6, TCP6: 6, UDP4: 17, UDP6: 17}.get(kind, protocol)
        self.kind = (IP6 if self.v6 else IP4) if fragment else kind
        self.source, self.destination, self.tos = source, destination, tos
        self.ports = bytes(4) if fragment else ports
        self.frame = self.build(ports, tag, fragment)

    def build(self, ports, tag, fragment):
        body = ports + bytes(4) + bytes(4) + bytes([0x50, 0x10]) + bytes(46)
        if self.v6:
            following = struct.pack(">BBHI", self.protocol, 0, 1, 7) if fragment else b""
            head = struct.pack(">IHBB", 6 << 28 | self.tos << 20, len(following) + len(body),
                               44 if fragment else self.protocol, 64)
            head += self.source + self.destination + following
        else:
            head = struct.pack(">BBHHHBBH", 0x45, self.tos, 20 + len(body), 1,
                               0x2000 if fragment else 0, 64, self.protocol, 0)
            head += self.source + self.destination
        proto = struct.pack(">H", 0x86dd if self.v6 else 0x0800)
        return (b"\x02zc\0\0\0" + b"\x02zc\0\0\1" + (b"\x81\0\0\x05" if tag else b"") + proto +
                head + body)

    def fields(self):
        """As the user-defined flows have them; those of TCP and UDP are shorter."""
        protocol = bytes([self.protocol]) if self.v6 else bytes([1, self.protocol])
        return self.source + self.destination + self.ports + bytes([self.tos]) + protocol

    def matches(self, rule):
        if rule.kind != self.kind and rule.kind != (USER6 if self.v6 else USER4):
            return False
        fields, size = self.fields(), SIZES[rule.kind]
        return all((rule.fields[i] ^ fields[i]) & rule.mask[i] == 0 for i in range(size))

    def hash(self, key, fields, transform):
        pairs = [[self.source, self.destination], [self.ports[:2], self.ports[2:]]]
        for pair in pairs:
            both = bytes(a ^ b for a, b in zip(*pair))
            if transform == SYMMETRIC_XOR:
                pair[:] = both, both
            elif transform == SYMMETRIC_OR_XOR:
                pair[:] = bytes(a | b for a, b in zip(*pair)), both
        wanted = [IP_SOURCE, IP_DESTINATION, PORT_SOURCE, PORT_DESTINATION]
        parts = [part for part, bit in zip(sum(pairs, []), wanted) if fields & bit]
        return toeplitz(key, b"".join(parts))


def toeplitz(key, data):
    window, total = int.from_bytes(key, "big"), 0
    for i in range(8 * len(data)):
        if data[i // 8] & 128 >> i % 8:
            total ^= window >> 8 * KEY - 32 - i & 0xffffffff
    return total


def random_packet(rng, near=False):
    """Near ones differ in few bits, so that rules made alike match some of them."""
    kind = rng.choice([TCP4, UDP4, IP4, TCP6, UDP6, IP6])
    size = 16 if kind in (TCP6, UDP6, IP6) else 4
    pick = (lambda n: bytes(rng.choices([10, 11, 0x8a], k=n))) if near else rng.randbytes
    protocol = rng.choice([47, 132]) if kind in (IP4, IP6) else None
    return Packet(kind, pick(size), pick(size), pick(4), rng.choice(SERVICES), protocol,
                  tag=rng.random() < 0.2, fragment=kind not in (IP4, IP6) and rng.random() < 0.2)


def random_rule(rng, near=False, **options):
    """A near one compares a few bits, with values that near packets have."""
    kind = rng.choice(list(SIZES))
    size = SIZES[kind]
    fields, mask = bytearray(rng.randbytes(size)), bytearray(rng.choices(MASKS, k=size))
    if near:
        fields = bytearray(rng.choices([10, 11, 0x8a], k=size))
        mask = bytearray(size)
        service = 12 if size < 16 else 36
        fields[service:] = bytes(rng.choice(SERVICES + PROTOCOLS) for _ in fields[service:])
        for at in rng.choices(range(size), k=rng.randrange(1, 4)):
            mask[at] = rng.choice([0x80, 1, 0x0f, 0xff])
    if kind == USER4:
        fields[13], mask[13] = 1, 0
    return Rule(kind, bytes(fields), bytes(mask), **options)
