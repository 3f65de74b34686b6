#!/usr/bin/env python3
"""Instructions that a datagram takes on its whole way into the black hole, counted in the guest.

usage (in a guest with --icount): tools/lab hole -- tools/bench/guest_send.py EXAMPLE INGEST_SEND

One virtual nanosecond is one instruction there, and nothing ever waits: the time of a run over its
requests is what each of them took, in the program and in the kernel. Prints one JSON object: size
-> "PROGRAM METHOD" -> instructions. EXAMPLE is liburing's send-zerocopy, "" where there is none.
"""

import json
import os
import re
import subprocess
import sys

SIZES = (600, 1500, 4000, 8000)
METHODS = {"send": ["-z0"], "send-zc": ["-z1", "-b0"], "send-zc-fixed": ["-z1", "-b1"]}
BATCH = "32"
# What the example runs, in nanoseconds, when it is told one second.
EXAMPLE_RUNS = 1.2e9


def output(*words):
    inside = ["ip", "netns", "exec", os.environ["LAB_HOLE_TX"], *words]
    done = subprocess.run(inside, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr[-1000:]}")
    return done.stdout + done.stderr


def example(program, method, size):
    text = output(program, "-4", "-D", os.environ["LAB_HOLE_RX_ADDR"], "-p", "9", "-s", str(size),
                  "-n", BATCH, "-t", "1", *METHODS[method], "udp")
    return EXAMPLE_RUNS / int(re.search(r"tx=(\d+)", text)[1])


def ours(program, method, size):
    text = output(program, "--to", f"{os.environ['LAB_HOLE_RX_ADDR']}:9", "--udp", "--length",
                  str(size), "-t", "1", "--method", method, "--batch", BATCH, "--source",
                  "pattern", "--json")
    sent = json.loads(text)["end"]["send"]
    return sent["elapsedSeconds"] * 1e9 / sent["counters"]["sends"]


def main():
    theirs, program = sys.argv[1:]
    found = {}
    for size in SIZES:
        each = found[size] = {}
        for method in METHODS:
            if theirs:
                each[f"example {method}"] = example(theirs, method, size)
            each[f"ingest {method}"] = ours(program, method, size)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
