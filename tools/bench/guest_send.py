#!/usr/bin/env python3
"""Instructions that a request takes on its whole way, counted in the guest.

usage (in a guest with --icount): tools/lab hole veth -- tools/bench/guest_send.py

One virtual nanosecond is one instruction there, and somebody always works: the time of a run over
its requests is what each of them took, in the program and in the kernel. Datagrams go into the
black hole. The bytes of a stream go over veth to a receiver that throws them away, whose part is
among what is counted and the same for all. Prints one JSON object: transport -> size -> row of the
send suite -> instructions.
"""

import json
import os
import subprocess
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import context  # noqa: E402  (its path is set above)
import measure  # noqa: E402
import senders  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZES = {"udp": (600, 1500, 4000, 8000), "tcp": (600, 4000)}
PLACES = {"udp": "hole", "tcp": "veth"}
OPTIONS = types.SimpleNamespace(seconds=1)
PORT = 5301


def instructions(path, command):
    done = subprocess.run(["ip", "netns", "exec", path.place.tx, *command], capture_output=True,
                          text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-1000:]}")
    # The example has no JSON.
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    run = {"tx": said, "tx_text": done.stdout + done.stderr}
    return 1e9 / senders.figures(run, OPTIONS)["rate"]


def receiving(programs, path, port):
    """The far end, started and listening; None where there is none."""
    found = senders.receiver(programs, path, port)
    if not found:
        return None
    command, namespace, _ = found
    end = measure.Program(command, namespace)
    # Its program is read from a file first, and the clock jumps meanwhile.
    end.listening(port, path.transport, 600)
    return end


def counts(transport):
    path = senders.Path(context.Place(PLACES[transport]), transport)
    programs = context.Programs(ROOT)
    rows = senders.rows(programs, path)
    # The same methods, by each program.
    kept = [row for method in senders.METHODS for program in ("example", "C twin", "ingest")
            if (row := f"{program} {method}") in rows]
    found, port = {}, PORT
    for size in SIZES[transport]:
        found[size] = {}
        for row in kept:
            port += 1
            end = receiving(programs, path, port)
            try:
                command = rows[row](path, port, size, OPTIONS.seconds)
                found[size][row] = instructions(path, command)
            finally:
                if end:
                    end.stop()
    return found


def main():
    print(json.dumps({transport: counts(transport) for transport in SIZES}))


if __name__ == "__main__":
    main()
