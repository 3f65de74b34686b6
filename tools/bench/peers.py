"""The command lines of receivers and senders that the suites set side by side."""

from context import RX_CPU

AREA, BUFFER = "4m", "32k"
PLAIN, LOWAT = "recv() 64K, one hot buffer", "recv() + LOWAT 1M, pool 8M"
FLOOR, MAPPED = "no copy (MSG_TRUNC + LOWAT)", "TCP_ZEROCOPY_RECEIVE"
TWIN = "C twin (io_uring)"


def ours(programs, *options):
    """A receiver of ours, as a function of address and port."""

    def command(address, port):
        fixed = ["run", "--listen", address, "--port", str(port), "--cpus", RX_CPU, "-1", "--json"]
        return [programs.ingest, *fixed, *options]

    return command


def theirs(programs, name, *options):
    def command(address, port):
        return [programs.at(name), "-a", address, "-p", str(port), "-c", RX_CPU, *options]

    return command


def twin(programs, *options):
    """What ours does, written in C: the same waiting, buffers, pool and pages."""
    return theirs(programs, "rx-uring", "-W", AREA, "-b", BUFFER, "-m", "inc", *options)


def iperf3_receiver(programs, address, port):
    return [programs.iperf3, "-s", "-1", "-B", address, "-p", str(port), "-J"]


def iperf3_sender(programs, address, port, seconds):
    return [programs.iperf3, "-c", address, "-p", str(port), "-t", str(max(1, round(seconds))),
            "-l", "128K", "-C", "reno", "-J"]
