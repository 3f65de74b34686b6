"""What the machine and other tools do to a run on a queue: it goes on, or says why it ends."""
import contextlib
import os
import subprocess
import sys
import time

from faults_machine import notes, odd
from harness import BIN, Scratch, check, equal, require
from nic_doctor import attached, sysctl
from nic_transaction import Nic
from rebinding import starts
from zcrx_life import ENDLESS_SENDER
from zcrx_port import MIB, PATIENCE, PORT, Place, wait_until

import lab  # noqa: I100  (zcrx_port sets the path)

DAY = 86400
VERIFIED = ("--parse", "wire", "--checksum", "crc32c:verify")


@contextlib.contextmanager
def sending(place, *arguments):
    """`ingest-send` from the other port until it is stopped."""
    sender = place.run(
        place.TX, [os.path.join(BIN, "ingest-send"), "--to", f"{place.RX_ADDRESS}:{PORT}", "-i", 0,
                   "--bitrate", "50M", "-t", PATIENCE, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield sender
    finally:
        sender.kill()
        sender.communicate()


def ended_well(sender, receiver, wanted=0):
    sender.terminate()
    _, said = sender.communicate(timeout=PATIENCE)
    equal(sender.returncode, 0, f"the sender's exit code ({said[-300:]})")
    equal(receiver.finish(PATIENCE), wanted, f"exit code ({receiver.end.get('failure')})")
    equal(receiver.counters["faults"], 0, "faults")


@contextlib.contextmanager
def refusal(said, what):
    """Notes what the kernel said against it."""
    try:
        yield
    except lab.LabError as error:
        said[what] = str(error)


@check
def nic_faults_the_clock_jumps_and_a_CPU_goes():
    """Neither a day forward or back nor the loss of its CPU keeps anything waiting."""
    online = "/sys/devices/system/cpu/cpu1/online"
    with Place(queue=3) as place, Scratch() as folder:
        place.steer(PORT)
        with place.receiver(
                *VERIFIED, "--sink", f"file:{folder}/%c-%n,rotate-every=500ms,sync-every=200ms",
                "--cpus", 1, "--peer-timeout", "5s", "-1") as receiver:
            with sending(place) as sender:
                wait_until(lambda: place.queue_counters([3])["split"] > 100, 60, "traffic")
                try:
                    for jump in (DAY, -2 * DAY, DAY):
                        time.clock_settime(time.CLOCK_REALTIME, time.time() + jump)
                        time.sleep(0.7)
                    with open(online, "w") as file:
                        file.write("0")
                    wait_until(lambda: notes(receiver, "moved"), 30, "a word about the CPU")
                finally:
                    with open(online, "w") as file:
                        file.write("1")
                ended_well(sender, receiver)
        files = len(os.listdir(folder))
        elapsed = receiver.end["receive"]["elapsedSeconds"]
        require(2 < elapsed < PATIENCE, f"{elapsed} s elapsed")
        for one in receiver.closed():
            require(0 <= one["start"] <= one["end"] <= elapsed + 1, f"times: {one}")
        require(3 <= files <= 2 * elapsed + 2, f"{files} files of half a second in {elapsed} s")
        require([e for e in receiver.events("event") if e["kind"] == "synced"], "nothing synced")
        return f"{files} files; {notes(receiver, 'moved')[0]}"


@check
def nic_faults_other_tools_change_rings_and_queues():
    """What the kernel refuses while a queue is bound, and what it does under the run."""
    with Place(queue=3) as place:
        place.steer(PORT)
        with place.receiver(*VERIFIED, "--connections", 2) as receiver:
            with sending(place, "-P", 2) as sender:
                wait_until(lambda: place.queue_counters([3])["split"] > 100, 60, "traffic")
                said = {}
                for what, words in (("rings", ["-G", "rx", 512]),
                                    ("split", ["-G", "tcp-data-split", "off"])):
                    with refusal(said, what):
                        place.ethtool(*words)
                with refusal(said, "XDP"), attached(place):
                    pass
                with refusal(said, "link"):
                    place.call_inside("ip", "link", "set", place.DEVICE, "down")
                    wait_until(lambda: "it was set down" in notes(receiver, "link"), 30, "down")
                    place.call_inside("ip", "link", "set", place.DEVICE, "up")
                before = place.queue_counters([3])["split"]
                wait_until(lambda: place.queue_counters([3])["split"] > before + 50, 60,
                           "traffic after all that")
                ended_well(sender, receiver)
        require("memory provider" in said.get("split", ""), f"the split can be taken away: {said}")
        for what in ("rings", "link"):
            require(what not in said, f"{what}: {said.get(what)}")
        told = notes(receiver, "link")
        require("it was set down" in told and "it was set up" in told, f"told: {told}")
        return f"{said}"[:200]


DRIVER = "/sys/bus/platform/drivers/zcnic"


def unbind():
    """Takes the device from its driver; its name."""
    device = sorted(one for one in os.listdir(DRIVER) if one.startswith("zcnic."))[0]
    with open(f"{DRIVER}/unbind", "w") as file:
        file.write(device)
    return device


def bind(place, device):
    """Gives it back, and sets its port up in the receiver's namespace as it was."""
    with open(f"{DRIVER}/bind", "w") as file:
        file.write(device)
    subprocess.run(["ip", "link", "set", place.DEVICE, "netns", place.RX], check=True)
    place.call_inside("ip", "address", "add", f"{place.RX_ADDRESS}/24", "dev", place.DEVICE)
    place.call_inside("ip", "link", "set", place.DEVICE, "up")


@check
def nic_faults_the_device_goes_under_load():
    """Unbound from its driver: told by name, orderly, and a later start works."""
    with Nic() as place:
        with place.receiver("--parse", "raw", "--connections", 2, queue=6,
                            nic="apply") as receiver:
            sender = place.run(
                place.TX, [sys.executable, "-c", ENDLESS_SENDER, place.RX_ADDRESS, PORT])
            try:
                wait_until(lambda: place.queue_counters([6])["split"] > 100, 60, "traffic")
                began = time.monotonic()
                device = unbind()
                unbound = time.monotonic() - began
                code = receiver.finish(PATIENCE)
                took = time.monotonic() - began
            finally:
                sender.kill()
                sender.wait()
                bind(place, device)
        require(f"interface {place.DEVICE} is gone" in receiver.end["failure"],
                receiver.end["failure"])
        equal(code, 1, "exit code")
        place.clear()
        with place.receiver(*VERIFIED, "-1", queue=6, nic="apply") as again:
            place.send("--bytes", 16 * MIB)
            equal(again.finish(PATIENCE), 0, "exit code of the next run")
        return f"unbound in {unbound:.1f} s, ended after {took:.1f} s: {receiver.end['failure']}"


@check
def nic_faults_a_lost_queue_is_bound_anew():
    """Though the receiver had given up the right to: by a new one, when the device is back."""
    with Nic() as place:
        before = place.snapshot()
        with place.receiver(*VERIFIED, "--rebind", "2m", queue=6, nic="apply") as receiver:
            place.send("--bytes", 4 * MIB)
            device = unbind()
            try:
                waits = lambda: [line for line in receiver.text if "waiting up to" in line]
                wait_until(waits, PATIENCE, "word of the wait")
            finally:
                bind(place, device)
            wait_until(lambda: len(starts(receiver)) == 2, PATIENCE, "a second start")
            place.send("--bytes", 16 * MIB)
            equal(receiver.stop(PATIENCE), 0, "exit code")
        first, *_, second = receiver.events("end")
        require(f"interface {place.DEVICE} is gone" in first["failure"], first["failure"])
        counters = second["receive"]["counters"]
        equal((counters["copiedBytes"], counters["faults"]), (0, 0), "copied bytes, faults")
        require(counters["bytes"] >= 16 * MIB, f"{counters['bytes']} bytes")
        place.same(before, "after the run")
        return waits()[0]


@check
def nic_faults_io_uring_is_switched_off_and_a_child_lives_on():
    """The sysctl is named by every start; a child that a stage forked does not keep the queue."""
    with Place(queue=3) as place, Scratch() as folder:
        said = ""
        for value, prefix in ((2, []), (1, ["setpriv", "--reuid", "65534", "--clear-groups"])):
            with sysctl("kernel.io_uring_disabled", value):
                for words in (["run", "--port", "0"], ["doctor"]):
                    done = subprocess.run([*prefix, os.path.join(BIN, "ingest"), *words], text=True,
                                          capture_output=True, timeout=PATIENCE)
                    said = done.stdout + done.stderr
                    require(f"kernel.io_uring_disabled is {value}" in said
                            and "sysctl kernel.io_uring_disabled=0" in said, said)
                    if words[0] == "run":
                        equal(done.returncode, 5, "exit code")
        place.steer(PORT)
        child = 0
        try:
            # What is left after the drop may not fork.
            with place.receiver("--parse", "lines", "--stage", f"{odd(folder)}?pids={folder}/pids",
                                "--privileges", "keep", "-1") as receiver:
                sender = place.run(place.TX, [
                    sys.executable, "-c", "import socket\n"
                    f"with socket.create_connection(('{place.RX_ADDRESS}', {PORT})) as peer:\n"
                    "    peer.sendall(b'FORK\\n' + b'line\\n' * 10000)"])
                equal(receiver.finish(PATIENCE), 0, f"exit code {receiver.text}")
                sender.wait()
            with open(f"{folder}/pids") as file:
                child = int(file.read())
            place.settle()
            with place.receiver(*VERIFIED, "-1") as again:
                place.send("--bytes", 4 * MIB)
                equal(again.finish(PATIENCE), 0, "exit code of the next run")
        finally:
            if child:
                os.kill(child, 9)
        return "told by the start and the doctor; the queue is free beside the child"


@check
def nic_faults_memory_is_short():
    """TCP's own memory under pressure, and a cgroup that has little more than the run needs."""
    with Place(queue=3) as place, Scratch() as folder:
        place.steer(PORT)
        with open("/proc/sys/net/ipv4/tcp_mem") as file:
            plenty = file.read()
        with place.receiver(*VERIFIED, "-1", "--sink", f"file:{folder}") as receiver:
            with sending(place) as sender:
                wait_until(lambda: place.queue_counters([3])["split"] > 100, 60, "traffic")
                with sysctl("net.ipv4.tcp_mem", "32 64 96"):
                    time.sleep(2)
                ended_well(sender, receiver)
        with open("/proc/sys/net/ipv4/tcp_mem") as file:
            equal(file.read(), plenty, "the sysctl as it was")
        return f"{receiver.counters['bytes'] >> 20} MiB"
