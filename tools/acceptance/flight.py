"""The flight recorder: what a run leaves behind, and doing it again."""
import json
import os
import signal
import socket
import subprocess
import time

from harness import BIN, Failed, Receiver, Scratch, check, connect, equal, require, run, send

FOLDER = "/run/ingest/flight"


def shown(path, *arguments):
    code, out, error = run("flight", "show", path, "--json", *arguments)
    equal(code, 0, f"exit code of show: {error}")
    return json.loads(out)


def replayed(path, *arguments, expect=0):
    code, out, error = run("flight", "replay", path, "--json", *arguments, seconds=120)
    equal(code, expect, f"exit code of replay: {out} {error}")
    return json.loads(out)["threads"]


def left_by(receiver):
    """The file that a receiver says it left."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for line in receiver.text:
            if "ingest flight show" in line:
                return line.rsplit("show ", 1)[1].rstrip("`")
        time.sleep(0.05)
    raise Failed(f"no recording was named: {' '.join(receiver.text[-5:])}")


@check
def a_recorded_run_replays():
    """A small area, so that receives pause; each count is as it was."""
    with Scratch() as scratch:
        path = os.path.join(scratch, "run.flight")
        with Receiver("--area", "128K", "--buffer", "16K", "--parse", "wire", "--checksum",
                      "crc32c:verify", "--record", path, "--connections", 2,
                      "--threads", 1) as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "-P", 2, "-n", "64M",
                 "--record-minimum", 1, "--record-maximum", "64K")
            equal(receiver.finish(), 0, "exit code")
            counters = receiver.counters
        counts = shown(path)["threads"][0]["counts"]
        for name in ("batches", "completions", "bytes", "leases", "pauses"):
            equal(counts[name], counters[name], f"{name} that were recorded")
        require(counters["pauses"] > 0, "nothing paused, so nothing was tried")
        (thread,) = replayed(path)
        equal(thread["differences"], [], "differences")
        for name in ("completions", "bytes", "leases", "pauses", "closed", "ends"):
            equal(thread["replayed"][name], thread["recorded"][name], name)
        equal(thread["counters"]["leases"], counters["leases"], "leases")
        return f"{counts['completions']} completions, {counts['pauses']} pauses"


@check
def usr1_writes_a_recording_while_data_flows():
    with Receiver("--record-events", 1024) as receiver:
        with connect(receiver.port) as peer:
            peer.settimeout(60)
            # More than socket buffers hold: some of it has been received by then.
            for _ in range(64):
                peer.sendall(bytes(1 << 20))
            deadline = time.monotonic() + 60
            while not any("ingest flight" in line for line in receiver.text):
                require(time.monotonic() < deadline, "USR1 left no recording")
                for _ in range(64):
                    peer.sendall(bytes(65536))
                receiver.signal(signal.SIGUSR1)
        path = left_by(receiver)
        try:
            require(shown(path)["threads"][0]["counts"]["completions"] > 0, "it holds nothing")
            equal(replayed(path)[0]["differences"], [], "differences")
            equal(receiver.stop(), 0, "exit code")
        finally:
            os.unlink(path)


@check
def a_failed_run_leaves_a_recording():
    """A flipped bit fails the verification."""
    with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "-1") as receiver:
        with socket.socket() as relay:
            relay.bind(("127.0.0.1", 0))
            relay.listen(1)
            sender = subprocess.Popen(
                [os.path.join(BIN, "ingest-send"), "--to", "127.0.0.1:%d" % relay.getsockname()[1],
                 "-n", "1M", "-i", "0", "-C", "reno"], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            relay.settimeout(30)
            source, _ = relay.accept()
            with source, connect(receiver.port) as peer:
                data = b"".join(iter(lambda: source.recv(1 << 20), b""))
                peer.sendall(data[:5000] + bytes([data[5000] ^ 4]) + data[5001:])
            sender.wait(30)
        equal(receiver.finish(), 7, "exit code")
        path = left_by(receiver)
        try:
            recording = shown(path)
            require(any(note["kind"] == "failure" for note in recording["notes"]),
                    f"no note of the failure: {recording['notes']}")
            equal(recording["threads"][0]["counts"]["bytes"], receiver.counters["bytes"], "bytes")
        finally:
            os.unlink(path)


def ended_by(number, *arguments, ready):
    """A receiver with data under way is ended by a signal once it is ready; what it said."""
    os.environ["SWIFT_BACKTRACE"] = "enable=no"
    try:
        with Receiver(*arguments) as receiver:
            with connect(receiver.port) as peer:
                until = time.monotonic() + 60
                while not ready(receiver):
                    require(time.monotonic() < until, "nothing was received")
                    for _ in range(64):
                        peer.sendall(bytes(65536))
                receiver.signal(number)
                equal(receiver.finish(), -number, "exit status")
            return receiver
    finally:
        del os.environ["SWIFT_BACKTRACE"]


@check
def a_killed_process_leaves_what_it_recorded():
    with Scratch() as scratch:
        path = os.path.join(scratch, "killed.flight")
        # The file is read while it is recorded into.
        ended_by(signal.SIGKILL, "--record", path,
                 ready=lambda _: shown(path)["threads"][0]["counts"]["completions"] > 9)
        counts = shown(path)["threads"][0]["counts"]
        require(counts["completions"] > 0, f"it holds nothing: {counts}")
        equal(replayed(path)[0]["differences"], [], "differences")


@check
def a_crash_leaves_a_recording():
    path = left_by(ended_by(signal.SIGABRT, ready=lambda receiver: receiver.events("event")))
    try:
        require(shown(path)["threads"][0]["events"] > 0, "it holds nothing")
    finally:
        os.unlink(path)


@check
def what_is_no_recording_is_refused():
    with Scratch() as scratch:
        path = os.path.join(scratch, "file")
        for content in (b"", b"ingestfl", b"ingestfl" + bytes(8192), os.urandom(8192)):
            with open(path, "wb") as file:
                file.write(content)
            for verb in ("show", "replay"):
                code, _, error = run("flight", verb, path)
                equal(code, 1, f"exit code of {verb}")
                require("could not read" in error, error)
