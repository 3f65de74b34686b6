"""Who may connect and how much is taken, where several threads give each other connections."""
import socket
import subprocess

from harness import check, equal, require
from zcrx_port import MIB, PATIENCE, PORT, Place

import genetlink  # noqa: E402  (zcrx_port has set its path)

STRANGER = "10.79.0.3"


def is_reset(place):
    """A connection from an address that is not allowed."""
    with genetlink.inside(place.TX):
        try:
            with socket.create_connection((place.RX_ADDRESS, PORT), 60,
                                          source_address=(STRANGER, 0)) as peer:
                return peer.recv(1) == b"impossible"
        except ConnectionResetError:
            return True


@check
def zcrx_peers_are_bounded_over_queues():
    limit = 20 * MIB + 1
    with Place(queue=2, queues=4) as place:
        place.spread(PORT, [2, 3])
        subprocess.run(["ip", "-n", place.TX, "address", "add", f"{STRANGER}/24", "dev",
                        place.PEER], check=True)
        with place.receiver("--allow", place.TX_ADDRESS, "--max-bytes-per-peer", limit,
                            queue="2-3") as receiver:
            for _ in range(6):
                require(is_reset(place), "a stranger is not reset")
            said = place.send("--bytes", 64 * MIB, "--streams", 8, expect=6)
            require(said, "the sender said nothing")
            equal(receiver.stop(PATIENCE), 6, "exit code")
        counters = receiver.counters
        equal(counters["notAllowed"], 6, "strangers")
        taken = sum(one["bytes"] for one in receiver.closed())
        equal(taken, limit, "bytes of the peer that went to the sink")
        equal(counters["bytes"], limit + counters["discardedBytes"], "bytes")
        require(counters["limited"] >= 1, f"{counters['limited']} connections were limited")
        return f"{counters['handedOver']} handed over, {counters['limited']} limited"
