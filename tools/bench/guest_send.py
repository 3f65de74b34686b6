#!/usr/bin/env python3
"""Instructions that a datagram takes on its whole way into the black hole, counted in the guest.

usage (in a guest with --icount): tools/lab hole -- tools/bench/guest_send.py

One virtual nanosecond is one instruction there, and nothing ever waits: the time of a run over its
requests is what each of them took, in the program and in the kernel. Prints one JSON object: size
-> row of the send suite -> instructions.
"""

import json
import os
import subprocess
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import context  # noqa: E402  (its path is set above)
import senders  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZES = (600, 1500, 4000, 8000)
OPTIONS = types.SimpleNamespace(seconds=1)
PORT = 9


def instructions(path, command):
    done = subprocess.run(["ip", "netns", "exec", path.place.tx, *command], capture_output=True,
                          text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-1000:]}")
    # The example has no JSON.
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    run = {"tx": said, "tx_text": done.stdout + done.stderr}
    return 1e9 / senders.figures(run, OPTIONS)["rate"]


def main():
    path = senders.Path(context.Place("hole"), "udp")
    rows = senders.rows(context.Programs(ROOT), path)
    # The same methods, by each program.
    kept = [f"{program} {method}" for method in senders.METHODS
            for program in ("example", "C twin", "ingest")]
    print(json.dumps({
        size: {row: instructions(path, rows[row](path, PORT, size, OPTIONS.seconds))
               for row in kept if row in rows} for size in SIZES}))


if __name__ == "__main__":
    main()
