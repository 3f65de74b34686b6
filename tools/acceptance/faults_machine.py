"""What the machine does to a run: forbidden, stopped, forked, short of descriptors, moved."""
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from faults_peer import wait_until
from harness import (BIN, Receiver, Scratch, Skipped, check, connect, equal, require, send)
from isolation import children, is_alive
from plugins import compiled, faults

# The number of io_uring_setup(2) is the same on all architectures.
FILTER = """
import ctypes, os, struct, sys
def step(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)
program = ctypes.create_string_buffer(
    step(0x20, 0, 0, 0) + step(0x15, 0, 1, 425) + step(0x06, 0, 0, 0x50000 | int(sys.argv[1]))
    + step(0x06, 0, 0, 0x7fff0000))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(program)))) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""


def filtered(errno, *words):
    """A command to which io_uring_setup(2) answers with an errno; its exit code, what it said."""
    done = subprocess.run([sys.executable, "-c", FILTER, str(errno), *words], text=True,
                          capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


@check
def a_start_without_io_uring_says_what_the_doctor_says():
    ingest, sender = os.path.join(BIN, "ingest"), os.path.join(BIN, "ingest-send")
    for errno, code, what, mends in (
            (1, 5, "a seccomp profile or a security module forbids io_uring", "seccomp=unconfined"),
            (13, 5, "a seccomp profile or a security module forbids io_uring", "dmesg"),
            (38, 3, "this kernel has no io_uring", "CONFIG_IO_URING")):
        _, doctor = filtered(errno, ingest, "doctor")
        commands = [[ingest, "run", "--port", "0"],
                    [ingest, "run", "--port", "0", "--engine", "copy", "--threads", "2"]]
        with Receiver() as receiver:
            commands.append([sender, "--to", f"127.0.0.1:{receiver.port}", "--bytes", "1M"])
            for words in commands:
                status, said = filtered(errno, *words)
                equal(status, code, f"exit code of {' '.join(words)} ({said})")
                require(what in said and mends in said, said)
        require(what in doctor and mends in doctor, doctor)
    return what


# Does what the first word of a record says: takes long, or forks a child that lives on.
ODD = r"""
#include "ingest_stage.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static char pids[256], slow[16] = "400";
static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t size) {
  (void)host, (void)error, (void)size;
  *instance = pids;
  (void)ingest_stage_option(options, "pids", pids, sizeof pids);
  (void)ingest_stage_option(options, "slow", slow, sizeof slow);
  return 0;
}
static int is(const ingest_stage_piece *piece, const char *word) {
  return piece->length >= strlen(word) && memcmp(piece->payload, word, strlen(word)) == 0;
}
static void born(void) {
  const pid_t child = fork();
  if (child < 0) abort();
  // Its standard output would keep whoever reads that of the run.
  if (child == 0) close(1), close(2);
  while (child == 0) pause();
  FILE *file = fopen(pids, "a");
  if (!file || fprintf(file, "%d\n", (int)child) < 0 || fclose(file) != 0) abort();
}
static void take(void *instance, const ingest_stage_batch *batch) {
  (void)instance;
  for (uint32_t index = 0; index < batch->count; index += 1) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    if (!(piece->flags & INGEST_STAGE_FIRST)) continue;
    if (is(piece, "SLOW")) usleep(1000 * (unsigned)atoi(slow));
    if (is(piece, "FORK")) born();
  }
}
static void destroy(void *instance) { (void)instance; }
const ingest_stage_table *ingest_stage_entry(uint32_t host) {
  (void)host;
  static const ingest_stage_table table = {
      .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "odd",
      .flags = INGEST_STAGE_READS_PAYLOAD, .create = create, .take = take, .destroy = destroy};
  return &table;
}
"""


def odd(folder):
    return compiled(folder, ODD, "odd", "-D_DEFAULT_SOURCE")


@check
def a_stage_is_not_late_because_ingest_was_stopped():
    """Stopped within a batch, for longer than --stage-timeout."""
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--sink", f"file:{folder}/%c", "--stage-isolated",
                      odd(folder), "--stage-timeout", "1s", "-1") as receiver:
            with connect(receiver.port) as peer:
                for number in range(2):
                    peer.sendall(b"SLOW %d\n" % number)
                    time.sleep(0.2)
                    receiver.signal(signal.SIGSTOP)
                    # The stage is stopped, too, as by a frozen cgroup; it has work left.
                    [process] = children(receiver.process.pid)
                    os.kill(process, signal.SIGSTOP)
                    time.sleep(2.5)
                    receiver.signal(signal.SIGCONT)
                    os.kill(process, signal.SIGCONT)
                    time.sleep(0.6)
            equal(receiver.finish(), 0, f"exit code ({faults(receiver)})")
        with open(f"{folder}/1", "rb") as file:
            equal(file.read(), b"SLOW 0\nSLOW 1\n", "the file")


@check
def a_stopped_run_goes_on_and_accuses_nobody():
    """^Z and fg within a batch, for longer than what the watch over stalls waits."""
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--stage", f"{odd(folder)}?slow=1800", "-1") as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(b"SLOW\n")
                time.sleep(0.3)
                receiver.signal(signal.SIGSTOP)
                peer.sendall(b"next\n" * 1000)
                time.sleep(6)
                receiver.signal(signal.SIGCONT)
            equal(receiver.finish(), 0, "exit code")
        told = [event for event in receiver.events("event") if event["kind"] == "stalled"]
        equal(told, [], "stalls told of")
        equal(receiver.counters["records"], 1001, "records")


def held_by(process):
    """What of a network is open in a process."""
    folder = f"/proc/{process}/fd"
    links = [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
    return [link for link in links if "socket" in link or "io_uring" in link or "zcrx" in link]


@check
def a_child_that_a_stage_forks_keeps_nothing_of_the_run():
    """Neither ring nor port nor connections: peers see their ends, the next run can listen."""
    with Scratch() as folder:
        pids = []
        try:
            with Receiver("--parse", "lines", "--sink", f"file:{folder}/%c", "--connections", 3,
                          "--privileges", "keep",  # what is left may not fork
                          "--stage", f"{odd(folder)}?pids={folder}/pids") as receiver:
                first, second = connect(receiver.port), connect(receiver.port)
                first.sendall(b"one\n")
                wait_until(lambda: len(receiver.events("event")) >= 2, "two connections")
                second.sendall(b"FORK\n" + b"after\n" * 1000 + b"FORK\n")
                wait_until(lambda: os.path.exists(f"{folder}/pids")
                           and open(f"{folder}/pids").read().count("\n") == 2, "two children")
                pids = [int(line) for line in open(f"{folder}/pids")]
                for process in pids:
                    require(is_alive(process), "the child has ended")
                    equal(held_by(process), [], "what the child holds")
                for peer, text in ((first, b"two\n"), (second, b"last\n")):
                    peer.sendall(text)
                    peer.shutdown(1)
                    peer.settimeout(20)
                    equal(peer.recv(1), b"", "the end that the peer sees")
                with connect(receiver.port) as third:
                    third.sendall(b"three\n")
                equal(receiver.finish(), 0, f"exit code {receiver.text}")
            with Receiver("--connections", 1, port=receiver.port) as again:
                connect(again.port).close()
                equal(again.finish(), 0, "exit code of the next run")
        finally:
            for process in pids:
                os.kill(process, signal.SIGKILL)
        names = sorted(name for name in os.listdir(folder) if name.isdigit())
        got = [open(f"{folder}/{name}", "rb").read() for name in names]
        equal(got, [b"one\ntwo\n", b"FORK\n" + b"after\n" * 1000 + b"FORK\nlast\n", b"three\n"],
              "files")
    return f"{len(pids)} children"


def notes(receiver, kind):
    return [event["text"] for event in receiver.events("event") if event["kind"] == kind]


@check
def a_burst_that_has_too_few_descriptors_waits_for_them():
    """A descriptor or two for each of 200 connections at once, and 40 in all: nobody is refused."""
    facts = []
    for name, others in (("file:{}", ()), ("file:{}", ("--threads", 2)),
                         ("file:{}/%c-%n,rotate=30", ())):
        with Scratch() as folder, \
             Receiver("--parse", "lines", "--sink",
                      name.format(f"{folder}/%t-%c" if others else folder), "--connections", 200,
                      *others, limits={resource.RLIMIT_NOFILE: 40 + 30 * len(others)}) as receiver:
            peers = [connect(receiver.port) for _ in range(200)]
            for number, peer in enumerate(peers):
                peer.sendall(b"".join(b"line %d of %d\n" % (line, number) for line in range(5)))
            wait_until(lambda: notes(receiver, "accepting"), "a word about accepting")
            for peer in peers:
                peer.shutdown(socket.SHUT_WR)
            for peer in peers:
                peer.settimeout(30)
                equal(peer.recv(1), b"", "the end that a peer sees")
                peer.close()
            equal(receiver.finish(), 0, f"exit code {receiver.text[-3:]}")
            text = b"".join(open(os.path.join(folder, name), "rb").read()
                            for name in sorted(os.listdir(folder)))
            lines = text.splitlines()
            equal(len(lines), 1000, "lines in the files")
            wanted = {b"line %d of %d" % (line, number) for number in range(200)
                      for line in range(5)}
            require(set(lines) == wanted, "the lines differ")
            counters = receiver.counters
            equal(receiver.events("fault"), [], "faults")
            equal(counters["accepted"], 200, "connections")
            require(counters["acceptFailures"] > 0, "nobody had to wait")
            facts.append(f"{counters['acceptFailures']} waits")
    return ", ".join(facts)


@check
def peers_that_wait_for_a_descriptor_are_told_of():
    with Receiver("--connections", 50, limits={resource.RLIMIT_NOFILE: 40}) as receiver:
        peers = [connect(receiver.port) for _ in range(50)]
        wait_until(lambda: notes(receiver, "accepting"), "a word about accepting")
        for peer in peers:
            peer.close()
        equal(receiver.finish(), 0, "exit code")
    [told] = notes(receiver, "accepting")
    require("40 are allowed: `ulimit -n`" in told, told)
    return told


class Cgroup:
    """A cgroup of one controller, of whichever version this machine has."""

    def __init__(self, controller, probe):
        old = f"/sys/fs/cgroup/{controller}"
        self.is_old = os.path.exists(f"{old}/{probe}")
        self.root, self.controller = old if self.is_old else "/sys/fs/cgroup", controller

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skipped("making a cgroup needs root")
        if not self.is_old:
            with open(f"{self.root}/cgroup.subtree_control", "w") as file:
                file.write(f"+{self.controller}")
        self.path = f"{self.root}/ingest-{os.getpid()}"
        os.mkdir(self.path)
        return self

    def set(self, name, value):
        with open(f"{self.path}/{name}", "w") as file:
            file.write(str(value))

    def __exit__(self, *_):
        wait_until(self.remove, "the end of the cgroup")

    def remove(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return False


@check
def a_run_whose_CPU_is_taken_goes_on_elsewhere():
    if not {0, 1} <= os.sched_getaffinity(0):
        raise Skipped("it takes two CPUs to take one away")
    with Cgroup("cpuset", "cpuset.cpus") as cpuset:
        cpuset.set("cpuset.cpus", "0,1")
        cpuset.set("cpuset.mems", "0")
        with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--cpus", 1, "--place",
                      "sink=cpu0", "-1", "--sink", "null") as receiver:
            cpuset.set("cgroup.procs", receiver.process.pid)
            sender = subprocess.Popen(
                [os.path.join(BIN, "ingest-send"), "--to", f"127.0.0.1:{receiver.port}", "-t", "4",
                 "-b", "200M", "-i", "0", "-C", "reno"], stdout=subprocess.DEVNULL)
            try:
                time.sleep(0.5)
                equal(notes(receiver, "moved"), [], "what is told before")
                cpuset.set("cpuset.cpus", "0")
                wait_until(lambda: notes(receiver, "moved"), "a word about the CPU")
                equal(sender.wait(30), 0, "the sender's exit code")
            finally:
                sender.kill()
                sender.wait()
            equal(receiver.finish(), 0, "exit code")
        [told] = notes(receiver, "moved")
        require(told.startswith("thread 0 was pinned to CPU 1 and may now run on 0:"), told)
        return told


class MemoryCgroup(Cgroup):
    """Whose processes may use so many MiB together."""

    def __init__(self, size):
        super().__init__("memory", "memory.limit_in_bytes")
        self.size = size

    def __enter__(self):
        super().__enter__()
        self.name = "memory.limit_in_bytes" if self.is_old else "memory.max"
        self.set(self.name, self.size << 20)
        return self

    def prefix(self):
        """Has a command run in it."""
        return ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh")


@check
def a_cgroup_with_little_more_memory_than_the_area():
    """Ten times as much goes through it, and an area that cannot fit is refused."""
    with MemoryCgroup(64) as cgroup:
        with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--area", "32M", "-1",
                      prefix=cgroup.prefix()) as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "--bytes", "640M")
            equal(receiver.finish(), 0, "exit code")
        done = subprocess.run(
            [*cgroup.prefix(), os.path.join(BIN, "ingest"), "run", "--port", "0", "--area", "128M"],
            capture_output=True, text=True, timeout=30)
        equal(done.returncode, 4, f"exit code ({done.stderr})")
        require(f"{cgroup.path}/{cgroup.name}" in done.stderr and "--area" in done.stderr,
                done.stderr)
        return done.stderr.strip().replace("\n", "; ")
