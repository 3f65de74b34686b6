"""Page pools that leak, by the kernel's own list of them (netdev netlink family).

A pool whose queue is gone stays until its last buffer comes back. The kernel's log complains of it
after a minute; its list says at once that the pool is detached, and how many buffers it waits for.
"""

import os
import time

from genetlink import Channel, inside

NETDEV_CMD_PAGE_POOL_GET = 5
ID, INFLIGHT, INFLIGHT_BYTES, DETACHED = 1, 4, 5, 6


def listed():
    """The pools of this network namespace, each as a dictionary of attributes."""
    with Channel("netdev") as channel:
        return channel.dump(NETDEV_CMD_PAGE_POOL_GET)


def everywhere():
    """The pools of this namespace and of every named one."""
    pools = listed()
    folder = "/run/netns"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with inside(name):
            pools += listed()
    return pools


def leaks(seconds):
    """A line for each pool that stays detached for so long although nobody runs any more."""
    until = time.monotonic() + seconds
    while True:
        found = [pool for pool in everywhere() if DETACHED in pool]
        if not found or time.monotonic() > until:
            break
        time.sleep(0.05)
    return [f"page pool {number(pool, ID)} leaks: {number(pool, INFLIGHT)} buffers "
            f"({number(pool, INFLIGHT_BYTES)} bytes) have not come back" for pool in found]


def number(pool, kind):
    return int.from_bytes(pool.get(kind, b""), "little")
