"""`ingest saturate` names what limits a run: bottlenecks made on purpose, one after the other.

Each is several times narrower than all else on the way, so that the answer does not hang on what
else the machine does. Two CPUs are needed: the sender's is the first, the receiver's the last.
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

from harness import BIN, Failed, Scratch, Skipped, check, equal, require, tool
from plugins import words

CPUS = sorted(os.sched_getaffinity(0))
PLAIN = ("--parse", "raw", "--checksum", "none")


def before_others():
    """Neighbours on these CPUs would rightly be named as what limits. The scheduler weighs
    sessions, and processes in them."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        with open("/proc/self/autogroup", "w") as file:
            file.write("-20")
    except OSError:
        pass


def saturate(*arguments, prefix=(), seconds=2):
    """A run to its end: what was found, and the evidence."""
    require(len(CPUS) >= 2, "both ends need a CPU of their own")
    command = [*prefix, os.path.join(BIN, "ingest"), "saturate", "--json", "-i", "0", "-t",
               f"{seconds}", *[str(a) for a in arguments]]
    done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          start_new_session=True, preexec_fn=before_others)
    said = done.stderr.decode(errors="replace")
    equal(done.returncode, 0, f"exit code ({said[-400:]})")
    return json.loads(done.stdout)["end"]["saturation"]


def one_buffer_each(area):
    """A run whose receives copy one buffer of 4 KiB each, and end with the area's last one."""
    with Scratch() as folder:
        with open(f"{folder}/plain.json5", "w") as file:
            file.write("{ receive: { receive: 'plain' } }")
        return saturate(*PLAIN, "--config", file.name, "--area", area, "--buffer", "4K")


def named(found, name, detail=None):
    """Requires the limiter; returns a line of facts."""
    finding = found["finding"]
    limiter = finding["limiter"]
    require((limiter["name"], limiter.get("detail")) == (name, detail),
            f"{limiter['words']} is named, not {name} {detail or ''}: {finding['reasons']}; "
            f"{json.dumps(found['evidence'])}")
    return (f"{found['measuredBitsPerSecond'] / 1e9:.2f} Gbit/s, {finding['confidence']}: "
            f"{finding['reasons'][0]}")


class Loopback:
    """A network namespace whose loopback device may be narrowed."""

    def __init__(self, mtu=65536):
        self.name = f"saturate-{os.getpid()}"
        self.mtu = mtu
        self.prefix = ("ip", "netns", "exec", self.name)

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skipped("network namespaces need root")
        tool("tc")
        self._run("ip", "netns", "add", self.name)
        try:
            self.inside("ip", "link", "set", "lo", "mtu", str(self.mtu), "up")
        except Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)

    def inside(self, *command, text=None):
        self._run(*self.prefix, *command, text=text)

    @staticmethod
    def _run(*command, text=None):
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
        require(done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()[-200:]}")


OCCUPY = """
import os, resource, sys, time
# One process that looks at the clock itself: nothing else may get to run there to end it.
until = time.monotonic() + 4
resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
print("there", flush=True)
while time.monotonic() < until:
    pass
"""


class Occupied:
    """A CPU that a real-time thread takes nearly all of, for four seconds at most.

    The kernel leaves 5 % to others."""

    def __init__(self, cpu):
        self.cpu = cpu

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", OCCUPY, str(self.cpu)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if b"there" not in self.process.stdout.readline():
            self.__exit__()
            raise Skipped("a real-time thread needs a right that is not here (CAP_SYS_NICE)")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class SlowReader:
    """Takes connections and reads from them at about 20 MB/s."""

    def __init__(self, family, place):
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        # What waits in here would hide how slow it is.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(place)
        self.listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    @staticmethod
    def _read(connection):
        with connection:
            while connection.recv(100_000):
                time.sleep(0.005)


@check
def saturate_names_a_narrow_link():
    with Loopback() as network:
        network.inside("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "300mbit",
                       "burst", "128k", "latency", "20ms")
        return named(saturate(prefix=network.prefix), "link")


@check
def saturate_names_a_rate_that_was_asked_for():
    return named(saturate("-b", "500M"), "link")


@check
def saturate_names_a_sender_with_tiny_sends():
    return named(saturate(*PLAIN, "-l", "64"), "sender")


@check
def saturate_names_a_sender_without_a_cpu():
    with Occupied(CPUS[0]):
        return named(saturate(*PLAIN), "sender")


@check
def saturate_names_a_receiver_without_a_cpu():
    with Occupied(CPUS[-1]):
        return named(saturate(*PLAIN), "application")


@check
def saturate_names_soft_interrupts():
    # Small packets, each compared with many rules, on the receiver's CPU.
    rules = "".join(f"filter add dev lo parent ffff: prio {n} protocol ip u32 match ip src "
                    f"198.51.100.{n % 250 + 1}/32 classid 1:1\n" for n in range(1, 801))
    with Loopback(mtu=576) as network:
        network.inside("tc", "qdisc", "add", "dev", "lo", "ingress")
        network.inside("tc", "-batch", "-", text=rules)
        network.inside(tool("ethtool"), "-K", "lo", "tso", "off", "gso", "off")
        network.inside("sh", "-c", f"printf %x {1 << CPUS[-1]} "
                       ">/sys/class/net/lo/queues/rx-0/rps_cpus")
        return named(saturate(*PLAIN, prefix=network.prefix), "soft-interrupts")


@check
def saturate_names_the_kernels_copying():
    # Nothing else is done with what is copied.
    return named(one_buffer_each("128M"), "copies")


@check
def saturate_names_an_application_with_tiny_records():
    return named(saturate("--parse", "fixed:size=1", "--checksum", "none"), "application")


@check
def saturate_names_a_tiny_area():
    return named(one_buffer_each("16K"), "ring", "area")


@check
def saturate_names_a_tiny_receive_buffer():
    return named(saturate(*PLAIN, "-w", "16K"), "ring", "window")


@check
def saturate_names_a_stage_of_ones_own():
    with Scratch() as folder:
        return named(saturate(*PLAIN, "--stage", words(folder)), "stage", "stage")


@check
def saturate_names_a_sink_whose_reader_is_slow():
    with Scratch() as folder, SlowReader(socket.AF_UNIX, f"{folder}/socket"):
        return named(saturate(*PLAIN, "--sink", f"unix:{folder}/socket"), "stage", "sink")


@check
def saturate_names_a_host_beyond_that_is_slow():
    with SlowReader(socket.AF_INET, ("127.0.0.1", 0)) as reader:
        port = reader.listener.getsockname()[1]
        return named(saturate(*PLAIN, "--sink", f"forward:127.0.0.1:{port}"), "stage", "sink")
