"""`--rebind`: a run whose interface went away starts anew when it is back."""
import os
import signal

from faults_peer import Pair, wait_until
from forwarding import ip
from harness import Receiver, Scratch, check, equal, require, run
from isolation import children, is_alive


def starts(receiver):
    """Those that came to listen."""
    return [event for event in receiver.events("start") if event["listening"]]


def started(receiver, count):
    """The port of start number `count`."""
    wait_until(lambda: len(starts(receiver)) == count, f"start {count}")
    return int(starts(receiver)[-1]["listening"][0].rsplit(":", 1)[1])


def said(receiver, words):
    return [line for line in receiver.text if words in line]


def files(folder):
    together = b""
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            together += file.read()
    return together


@check
def a_receiver_is_started_anew_when_its_interface_is_back():
    """Also when the address comes later than the interface: then a start fails, and is repeated."""
    with Pair() as pair, Scratch() as folder:
        os.chmod(folder, 0o777)
        with pair.receiver("--parse", "lines", "--ifname", "near", "--rebind", "60s", "--sink",
                           f"file:{folder}/%s-%c") as receiver:
            with pair.connect(started(receiver, 1)) as peer:
                peer.sendall(b"one\n")
                wait_until(lambda: any(e.get("kind") == "opened"
                                       for e in receiver.events("event")), "a connection")
            wait_until(receiver.closed, "its end")
            ip("-n", pair.here, "link", "delete", "near")
            wait_until(lambda: said(receiver, "waiting up to 60 s for near"), "word of the wait")
            [first] = receiver.events("end")
            equal(first["exitCode"], 1, "exit code of the first")
            require("interface near is gone" in first["failure"], first["failure"])
            ip("-n", pair.here, "link", "add", "near", "type", "veth", "peer", "name", "far",
               "netns", pair.there)
            wait_until(lambda: said(receiver, "anew"), "a start without an address")
            ip("-n", pair.here, "link", "delete", "near")
            pair.wire()
            with pair.connect(started(receiver, 2)) as peer:
                peer.sendall(b"two\n")
            wait_until(lambda: len(receiver.closed()) == 2, "the second's end")
            equal(receiver.stop(), 0, f"exit code {receiver.text}")
        equal(sorted(files(folder).split()), [b"one", b"two"], "lines")
        return f"started {len(said(receiver, 'anew'))} times more"


@check
def an_interface_that_stays_away_ends_the_wait():
    with Pair() as pair:
        with pair.receiver("--ifname", "near", "--rebind", "1s") as receiver:
            ip("-n", pair.here, "link", "delete", "near")
            equal(receiver.finish(), 1, "exit code")
        require(said(receiver, "did not come back"), receiver.text)
    with Receiver("--ifname", "lo", "--rebind", "60s") as receiver:
        # Asked to stop, it does not start again.
        equal(receiver.stop(), 0, "exit code of one that was stopped")
    equal(len(starts(receiver)), 1, "starts")
    code, _, error = run("run", "--rebind", "5s")
    equal(code, 2, "exit code without --ifname")
    require("--rebind" in error and "--ifname" in error, error)


@check
def a_receiver_does_not_outlive_who_would_start_it_anew():
    with Receiver("--ifname", "lo", "--rebind", "60s") as receiver:
        [child] = children(receiver.process.pid)
        # USR1 is for the receiver.
        receiver.signal(signal.SIGUSR1)
        wait_until(lambda: said(receiver, "openConnections"), "its state")
        receiver.signal(signal.SIGKILL)
        receiver.process.wait()
        wait_until(lambda: not is_alive(child), "the receiver's end")
        wait_until(lambda: receiver.events("end"), "its result")
        equal(receiver.end["exitCode"], 0, "exit code")
