"""What a kernel's log says against a run: warnings, locks, leaks, and how it died."""

import re

# Text that a kernel only prints when something of it is wrong. The guest is where leaked buffers
# and locks taken in the wrong order show, so each of these fails a run whose command succeeded.
COMPLAINT = re.compile(
    r"WARNING: |BUG: |BUG at |kernel BUG|Oops\b|Kernel panic|general protection fault"
    r"|refcount_t: |page_pool_release_retry\(\)|unregister_netdevice: waiting for"
    r"|list_(add|del) corruption|Bad page|bad page|scheduling while atomic"
    r"|possible (recursive|circular) locking|inconsistent lock state|suspicious RCU usage"
    r"|soft lockup|hard LOCKUP|rcu.*(detected stall|self-detected)|blocked for more than"
    r"|UBSAN:|KASAN:|KCSAN:|KFENCE:|kmemleak|DMA-API: |slab-(out-of-bounds|use-after)"
    r"|Memory cgroup out of memory|Out of memory: |page allocation failure"
    r"|NETDEV WATCHDOG|hw csum failure|guest: the kernel's log was overrun")
# What follows a complaint and belongs to it.
TRACE = 40
TAINT = {4: "a machine check", 5: "a bad page", 7: "an oops", 9: "a warning", 14: "a soft lockup"}
# An emulated CPU that runs code while another patches it; seen only while the machine starts.
FLAKE = ("Oops: int3", "sched_clock_cpu")
DEATH = re.compile(r"Kernel panic|Oops\b|BUG: |general protection fault")


def text_of(line):
    """A line of the log without its level and time."""
    return re.sub(r"^(<\d>)?\[ *[\d.]+\] ", "", line)


def complaints(log):
    """The complaining lines of a kernel log, each with the lines around it that explain it."""
    lines = log.splitlines()
    shown, until = [], 0
    for number, line in enumerate(lines):
        if COMPLAINT.search(text_of(line)) and number >= until:
            until = min(number + TRACE, len(lines))
            # A warning's own header says "cut here" a line before.
            shown += lines[number:until] if "WARNING: " in line or "BUG" in line else [line]
    return shown


def taints(bits):
    return [what for bit, what in TAINT.items() if bits & 1 << bit]


def is_known_flake(console):
    return all(words in console for words in FLAKE)


def death(console):
    """The line that says how the kernel died; None where it does not."""
    for line in console.splitlines():
        if DEATH.search(line):
            return text_of(line)
    return None


def tail(text, count):
    return [line for line in text.splitlines() if line.strip()][-count:]
