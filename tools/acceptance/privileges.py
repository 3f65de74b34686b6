"""What `ingest run` may still do once data flow: no capability, no root, no file but its own."""
import os
import re
import socket
import subprocess
import threading
import time

from consumers import Consumer
from harness import (BIN, ROOT, Receiver, Scratch, check, connect, equal, require, run, tool)
from isolation import wait_until, workers
from plugins import compiled, words

NOBODY = 65534
PIECE = b"x" * 4095 + b"\n"


def tasks(process):
    """The status of each thread, field by field."""
    found = []
    for task in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{task}/status") as file:
            found.append(dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line))
    return found


def nothing_left(process, user):
    """Every thread of a process is that user and can do nothing special."""
    every = tasks(process)
    for task in every:
        name = task["Name"]
        for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            equal(int(task[field], 16), 0, f"{name}: {field}")
        equal(set(task["Uid"].split()), {str(user)}, f"{name}: Uid")
        if user != 0:
            equal(task["Groups"].strip(), "", f"{name}: Groups")
        equal((task["Seccomp"], task["NoNewPrivs"]), ("2", "1"), f"{name}: Seccomp, NoNewPrivs")
    return len(every)


class Reader(threading.Thread):
    """A listening socket whose connections are read to their ends."""

    def __init__(self, listener):
        super().__init__(daemon=True)
        self.listener = listener
        self.bytes = 0
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                while data := peer.recv(1 << 16):
                    self.bytes += len(data)


def unix_listener(path, kind=socket.SOCK_STREAM):
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    listener.listen()
    os.chmod(path, 0o777)
    return listener


def flows(user, *arguments, during=None):
    """Data before and after a look at every thread; the receiver once it has ended."""
    with Receiver("--parse", "lines", *arguments) as receiver:
        with connect(receiver.port) as first, connect(receiver.port) as second:
            for peer in (first, second):
                peer.sendall(PIECE * 64)
            wait_until(lambda: len(receiver.events("event")) >= 2, "two connections")
            threads = nothing_left(receiver.process.pid, user)
            told = receiver.events("start")[0]["privileges"]
            equal((told["uid"], told["capabilities"], told["seccomp"], told["noNewPrivileges"]),
                  (user, "0" * 16, 2, True), "what --json says")
            require(told["landlock"] >= 1, f"{told}")
            if during:
                during(receiver)
            for peer in (first, second):
                peer.sendall(PIECE * 64)
        with connect(receiver.port) as third:
            third.sendall(PIECE)
        wait_until(lambda: len(receiver.closed()) == 3, "three ends")
        equal(receiver.stop(), 0, "exit code")
    equal(receiver.counters["records"], 64 * 4 + 1, "records")
    equal(receiver.counters["faults"], 0, "faults")
    return threads


@check
def no_thread_has_anything_left_while_data_flow():
    last = len(os.sched_getaffinity(0)) - 1
    with Scratch() as folder:
        listener = socket.create_server(("127.0.0.1", 0))
        there = listener.getsockname()[1]
        Reader(listener)
        stream = unix_listener(f"{folder}/stream")
        Reader(stream)
        sealed = unix_listener(f"{folder}/sealed", socket.SOCK_SEQPACKET)
        Reader(sealed)
        counts = {
            "null": flows(NOBODY),
            "threads": flows(NOBODY, "--threads", 2, "--place", f"sink=cpu{last}"),
            "unix": flows(NOBODY, "--sink", f"unix:{folder}/stream"),
            "memfd": flows(NOBODY, "--sink", f"unix:{folder}/sealed,mode=fd"),
            "forward": flows(NOBODY, "--sink", f"forward:127.0.0.1:{there}"),
            "stage": flows(NOBODY, "--stage", words(folder)),
        }
        os.mkdir(f"{folder}/both")
        counts["tee"] = flows(
            0, "--sink", f"tee:file:{folder}/both|forward:127.0.0.1:{there}")
        equal(len(os.listdir(f"{folder}/both")), 3, "files")
    equal(counts["null"], 2, "threads of the simplest chain")
    equal(counts["threads"], 5, "threads of two that receive and two that take")
    return f"{counts}"


@check
def a_consumer_comes_and_goes_after_the_drop():
    with Scratch() as folder:
        meeting = f"{folder}/meeting"
        os.mkdir(meeting)
        os.chown(meeting, 1234, 1234)
        os.chmod(folder, 0o755)
        with Receiver("--parse", "fixed:size=4096", "--connections", 1, "--sink",
                      f"shm:{meeting}/sock,on-death=continue") as receiver:
            nothing_left(receiver.process.pid, 1234)
            with Consumer("c", folder, f"{meeting}/sock") as consumer:
                with connect(receiver.port) as peer:
                    peer.sendall(b"y" * 4096 * 100)
                equal(receiver.finish(), 0, "exit code")
                equal(consumer.finish()[0], 0, "the consumer's status")
        equal(receiver.counters["sinkBytes"], 4096 * 100, "bytes")
        require(not os.path.exists(f"{meeting}/sock"), "the socket is still there")


@check
def files_are_their_folders_owners():
    with Scratch() as folder:
        os.chmod(folder, 0o755)
        for name, owner, mode, user in (("mine", 0, 0o755, 0), ("theirs", 1234, 0o755, 1234),
                                        ("everybody", 0, 0o1777, NOBODY)):
            path = f"{folder}/{name}"
            os.mkdir(path)
            os.chown(path, owner, owner)
            os.chmod(path, mode)
            sink = f"file:{path},rotate=64K,sync=rename"
            flows(user, "--sink", sink)
            made = sorted(os.listdir(path))
            require(len(made) > 6 and not any(".part" in one for one in made), f"{made}")
            equal({os.stat(f"{path}/{one}").st_uid for one in made}, {user}, f"owner in {name}")
        # What was made before the user changes is another's to rename in a folder like /tmp.
        for sink in ("file:%s/one,layout=one,sync=rename", "shm:%s/sock,wait=no"):
            with Receiver("--parse", "lines", "--sink", sink % path, "-1") as receiver:
                nothing_left(receiver.process.pid, 0)
                with connect(receiver.port) as peer:
                    peer.sendall(PIECE)
                equal(receiver.finish(), 0, f"exit code of {sink}")
        require(os.path.exists(f"{path}/one") and not os.path.exists(f"{path}/sock"),
                f"{os.listdir(path)}")
        # The one that is nobody's but root's is told of, with what mends it.
        with Receiver("--sink", f"file:{folder}/mine/%c-%a") as receiver:
            [note] = [text for text in receiver.events("start")[0]["remarks"] if "chown" in text]
            require("stays user 0" in note, note)
            receiver.stop()
    return note


@check
def a_user_may_be_named():
    with Scratch() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/out")
        os.chown(f"{folder}/out", 4321, 100)
        flows(4321, "--user", "4321:100", "--sink", f"file:{folder}/out")
        flows(NOBODY, "--user", "nobody")
        for user, sink, code, said in (
                ("nosuchuser", "null", 2, "there is no user nosuchuser"),
                ("1:nosuchgroup", "null", 2, "there is no group nosuchgroup"),
                ("nobody", f"file:{folder}/out", 5, "may not write files in")):
            status, _, err = run("run", "--port", 0, "--user", user, "--sink", sink)
            equal(status, code, f"exit code of {user}: {err}")
            require(said in err, err)
        # Who is not root already has no such choice, and drops the rest.
        plain = [tool("setpriv"), "--reuid", "4321", "--regid", "100", "--clear-groups"]
        done = subprocess.run([*plain, f"{BIN}/ingest", "run", "--port", "0", "--user", "1"],
                              capture_output=True, text=True, timeout=30)
        equal(done.returncode, 5, "exit code of an ordinary user's --user")
        require("CAP_SETUID" in done.stderr, done.stderr)
        with Receiver("--sink", f"file:{folder}/out/%c.again", prefix=plain) as receiver:
            for task in tasks(receiver.process.pid):
                equal((task["Seccomp"], task["NoNewPrivs"], int(task["CapEff"], 16)),
                      ("2", "1", 0), task["Name"])
            with connect(receiver.port) as peer:
                peer.sendall(PIECE)
            wait_until(lambda: receiver.closed(), "the end of a connection")
            equal(receiver.stop(), 0, "exit code")


@check
def kept_is_kept():
    with Receiver("--privileges", "keep") as receiver:
        before = tasks(os.getpid())[0]
        for task in tasks(receiver.process.pid):
            for field in ("CapEff", "CapBnd", "Uid", "Seccomp", "NoNewPrivs"):
                equal(task[field], before[field], field)
        require("privileges" not in receiver.events("start")[0], "it says that it dropped some")
        receiver.stop()


def probed(folder, flag, *arguments, more=""):
    """What a stage found that it could do, by name; 0 is success."""
    stage = compiled(folder, os.path.join(ROOT, "tools/acceptance/prober.c"), "prober",
                     "-D_GNU_SOURCE", "-Wl,--no-as-needed", "-luring")
    other = words(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    report = f"{folder}/report"
    options = f"report={report},port={listener.getsockname()[1]},other={other}{more}"
    with Receiver("--parse", "lines", flag, f"{stage}?{options}", *arguments) as receiver:
        with connect(receiver.port) as peer:
            peer.sendall(b"PROBE\n")
            wait_until(lambda: os.path.exists(report) and "ring-nop" in open(report).read(),
                       "the report")
            peer.sendall(b"and on\n")
        wait_until(lambda: receiver.closed(), "the end of the connection")
        equal(receiver.stop(), 0, "exit code")
    listener.close()
    equal(receiver.counters["records"], 2, "records")
    with open(report) as file:
        return {name: int(code) for name, code in (line.split() for line in file)}


TRIES = {"open", "create", "socket", "connect", "dlopen", "mprotect-exec", "fork", "execve",
         "io_uring_setup", "setuid", "kill", "ptrace", "ring-openat", "ring-create",
         "ring-connect"}


@check
def what_a_stage_tries_fails():
    with Scratch() as folder:
        os.mkdir(f"{folder}/out")
        for flag in ("--stage", "--stage-isolated"):
            found = probed(folder, flag, "--sink", f"file:{folder}/out,overwrite=yes")
            equal(set(found) - {"allowed-ring-nop"}, TRIES, "what was tried")
            equal(found.pop("allowed-ring-nop"), 0, "a request of a ring")
            for name, code in found.items():
                require(code in (1, 13), f"{flag}: {name} gave errno {code}, not EPERM or EACCES")
        # That it tries in earnest shows where it may.
        kept = probed(folder, "--stage-isolated", "--privileges", "keep", more=",gentle")
        for name in ("open", "socket", "dlopen", "fork", "ring-openat", "ring-create"):
            equal(kept[name], 0, f"{name} with --privileges keep")
        os.remove("/tmp/ingest-prober")
    return f"{found}"


LOADED = r"""
#include "ingest_stage.h"
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) {
  const char *report = getenv("INGEST_LOAD_REPORT");
  FILE *status = fopen("/proc/self/status", "r"), *out = report ? fopen(report, "w") : NULL;
  for (int c; status && out && (c = fgetc(status)) != EOF;) fputc(c, out);
  if (out) fclose(out);
  if (status) fclose(status);
}
static int32_t create(const ingest_stage_host *host, const char *options, void **instance,
                      char *error, size_t size) {
  (void)host, (void)options, (void)instance, (void)error, (void)size;
  return 0;
}
static void take(void *instance, const ingest_stage_batch *batch) { (void)instance, (void)batch; }
static void destroy(void *instance) { (void)instance; }
const ingest_stage_table *ingest_stage_entry(uint32_t host) {
  (void)host;
  static const ingest_stage_table table = {
    .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "loaded",
    .create = create, .take = take, .destroy = destroy};
  return &table;
}
"""


@check
def an_isolated_stage_is_loaded_with_little():
    """Its code runs from dlopen on: with what it takes to become nobody, and no_new_privs."""
    with Scratch() as folder:
        stage = compiled(folder, LOADED, "loaded")
        os.environ["INGEST_LOAD_REPORT"] = f"{folder}/status"
        try:
            with Receiver("--parse", "lines", "--stage-isolated", stage) as receiver:
                receiver.stop()
        finally:
            del os.environ["INGEST_LOAD_REPORT"]
        with open(f"{folder}/status") as file:
            then = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    change_of_user = 0b111 << 6
    equal(then["NoNewPrivs"], "1", "no_new_privs while it is loaded")
    for field in ("CapPrm", "CapEff", "CapBnd"):
        equal(int(then[field], 16) & ~change_of_user, 0, f"{field} while it is loaded")
    for field in ("CapInh", "CapAmb"):
        equal(int(then[field], 16), 0, f"{field} while it is loaded")
    return f"CapEff {then['CapEff']}, NoNewPrivs {then['NoNewPrivs']}"


@check
def isolated_stages_have_nothing_left_and_start_again():
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--stage-isolated", words(folder)) as receiver:
            [process] = workers(receiver.process.pid)
            nothing_left(process, NOBODY)
            with connect(receiver.port) as peer:
                peer.sendall(b"a\n")
                wait_until(lambda: receiver.events("event"), "the connection")
                os.kill(process, 9)
                peer.sendall(b"b\n")
                wait_until(lambda: workers(receiver.process.pid) not in ([], [process]), "another")
                [again] = workers(receiver.process.pid)
                wait_until(lambda: tasks(again)[0]["Seccomp"] == "2", "its filter")
                nothing_left(again, NOBODY)
                nothing_left(receiver.process.pid, NOBODY)
            with connect(receiver.port) as peer:
                peer.sendall(b"c\n")
            wait_until(lambda: len(receiver.closed()) == 2, "two ends")
            equal(receiver.stop(), 1, "exit code")
        require("ended once before its time" in receiver.end["failure"], receiver.end["failure"])


LAZY = r"""
#include "ingest_stage.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
static char path[256];
static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t size) {
  (void)host, (void)error, (void)size;
  *instance = path;
  (void)ingest_stage_option(options, "path", path, sizeof path);
  return 0;
}
static void take(void *instance, const ingest_stage_batch *batch) {
  (void)instance;
  for (uint32_t index = 0; index < batch->count; index += 1) {
    FILE *file = fopen(path, "r");
    if (file != NULL) {
      (void)fclose(file);
      continue;
    }
    ingest_stage_answer_at(batch, index)->kind = INGEST_STAGE_REFUSE;
    ingest_stage_answer_at(batch, index)->code = (uint64_t)errno;
  }
}
static void sentence(uint64_t code, char *text, size_t size) {
  snprintf(text, size, "cannot open %s: %s", path, strerror((int)code));
}
static void destroy(void *instance) { (void)instance; }
const ingest_stage_table *ingest_stage_entry(uint32_t host) {
  (void)host;
  static const ingest_stage_table table = {
      .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "lazy",
      .create = create, .take = take, .destroy = destroy, .sentence = sentence};
  return &table;
}
"""


@check
def a_stage_that_opens_a_file_too_late_is_explained():
    """With its first record, when the rights are gone: what is told names that, and what helps."""
    with Scratch() as folder:
        stage = compiled(folder, LAZY, "lazy", "-D_DEFAULT_SOURCE")
        for flag in ("--stage", "--stage-isolated"):
            for keep in ((), ("--privileges", "keep")):
                with Receiver("--parse", "lines", flag, f"{stage}?path=/etc/hostname", "-1",
                              *keep) as receiver:
                    with connect(receiver.port) as peer:
                        peer.sendall(b"one\n")
                    code = receiver.finish()
                if keep:
                    equal(code, 0, f"exit code where rights are kept {receiver.text}")
                    continue
                require(code != 0, "the stage could open its file")
                [fault] = receiver.events("fault")
                for words in ("/etc/hostname", "gave its rights up", "when a stage is made",
                              "--privileges keep"):
                    require(words in fault["text"], f"no {words!r} in {fault['text']}")
    return fault["text"]
