"""Where `ingest run` listens: on an interface's own addresses, and nowhere else."""
import socket
import subprocess

from faults_peer import NEAR, Pair
from forwarding import ip
import genetlink
from harness import BIN, Receiver, check, equal, require
from isolation import wait_until

NEAR6, FAR6, SECOND, ELSEWHERE = "fd78::1", "fd78::2", "10.78.1.9", "10.78.9.9"


def addressed(pair):
    """More addresses of the receiving host: on the interface, and one that is not the interface's
    but that it answers for."""
    ip("-n", pair.here, "address", "add", f"{SECOND}/24", "dev", "near")
    ip("-n", pair.here, "address", "add", f"{NEAR6}/64", "dev", "near", "nodad")
    ip("-n", pair.there, "address", "add", f"{FAR6}/64", "dev", "far", "nodad")
    ip("-n", pair.here, "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
    ip("-n", pair.there, "route", "add", f"{ELSEWHERE}/32", "via", NEAR)


def receiver(pair, *arguments):
    return Receiver("--parse", "lines", "--ifname", "near", *arguments, listen=None,
                    prefix=("ip", "netns", "exec", pair.here))


def answers(pair, address, port):
    """Whether a line can be sent there."""
    with genetlink.inside(pair.there):
        try:
            with socket.create_connection((address, port), timeout=20) as peer:
                peer.sendall(b"a line\n")
                peer.shutdown(socket.SHUT_WR)
                return peer.recv(1) == b""
        except ConnectionRefusedError:
            return False


@check
def an_interface_is_its_own_addresses():
    every = (NEAR, SECOND, NEAR6, ELSEWHERE)
    with Pair() as pair:
        addressed(pair)
        for arguments, wanted in (((), every[:3]), (("--threads", 2), every[:3]),
                                  (("-4",), every[:2]), (("-6",), every[2:3]),
                                  (("--listen", SECOND), every[1:2]), (("--listen", "::"), every),
                                  (("--listen", "0.0.0.0"), (NEAR, SECOND, ELSEWHERE))):
            with receiver(pair, *arguments) as one:
                told = one.events("start")[0]["listening"]
                ports = {place.rsplit(":", 1)[1] for place in told}
                equal(ports, {str(one.port)}, f"{arguments}: one port")
                if "--listen" not in arguments:
                    equal({place.rsplit(":", 1)[0].strip("[]") for place in told}, set(wanted),
                          f"{arguments}: told")
                for address in every:
                    equal(answers(pair, address, one.port), address in wanted,
                          f"{arguments}: {address}")
                wait_until(lambda: len(one.closed()) == len(wanted), "all ends")
                equal(one.stop(), 0, f"exit code of {arguments}")
            equal(one.counters["records"], len(wanted), f"records of {arguments}")
    return f"{told}"


@check
def an_interface_without_an_address_says_how_to_get_one():
    with Pair() as pair:
        ip("-n", pair.here, "address", "flush", "dev", "near")
        inside = ["ip", "netns", "exec", pair.here, f"{BIN}/ingest", "run", "--port", "0"]
        for more, said in (((), "near has no address to listen on"),
                           (("-4",), "near has no IPv4 address"),
                           (("-6",), "2001:db8::1/64 dev near")):
            done = subprocess.run([*inside, "--ifname", "near", *more], capture_output=True,
                                  text=True, timeout=30)
            equal(done.returncode, 1, f"exit code of {more}")
            require(said in done.stderr and "ip address add" in done.stderr, done.stderr)
        # A tentative one is waited for.
        ip("-n", pair.here, "address", "add", f"{NEAR6}/64", "dev", "near")
        with receiver(pair, "-6") as one:
            equal([place.rsplit(":", 1)[0] for place in one.events("start")[0]["listening"]],
                  [f"[{NEAR6}]"], "listening")
            one.stop()
        return " ".join(done.stderr.split())


@check
def a_port_that_somebody_has_at_one_address_is_told():
    with Pair() as pair:
        addressed(pair)
        with genetlink.inside(pair.here):
            taken = socket.create_server((SECOND, 0))
        port = taken.getsockname()[1]
        done = subprocess.run(["ip", "netns", "exec", pair.here, f"{BIN}/ingest", "run", "--port",
                               str(port), "--ifname", "near"], capture_output=True, text=True,
                              timeout=30)
        taken.close()
        equal(done.returncode, 1, "exit code")
        require(f"cannot listen on {SECOND}:{port}" in done.stderr, done.stderr)
