"""Stages in processes of their own: what a crash or a hang costs, and what it does not."""
import os
import signal
import time

from harness import Receiver, Scratch, check, connect, equal, require, run, send
from plugins import compiled, faults, received, words

# Does to itself what the first word of a record says.
TROUBLE = r"""
#include "ingest_stage.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile size_t nowhere = 8;
static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t size) {
  (void)host;
  *instance = NULL;
  if (ingest_stage_option(options, "abort", NULL, 0) >= 0) abort();
  if (ingest_stage_option(options, "refuse", NULL, 0) < 0) return 0;
  snprintf(error, size, "refuse was given");
  return 1;
}
static int is(const ingest_stage_piece *piece, const char *word) {
  return piece->length >= strlen(word) && memcmp(piece->payload, word, strlen(word)) == 0;
}
static uint64_t opened(void *instance, const ingest_stage_connection *at, void **user) {
  (void)instance;
  *user = malloc(16);
  snprintf(*user, 16, "%u", (unsigned)at->connection);
  return 0;
}
static void take(void *instance, const ingest_stage_batch *batch) {
  (void)instance;
  for (uint32_t index = 0; index < batch->count; index += 1) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    ingest_stage_answer *answer = ingest_stage_answer_at(batch, index);
    // What open gave to this process, not to one before it.
    if ((uint64_t)atoi(piece->user) != piece->connection) abort();
    if (!(piece->flags & INGEST_STAGE_FIRST)) continue;
    if (is(piece, "SEGV")) *(volatile int *)nowhere = 1;
    if (is(piece, "WRITE")) *(volatile char *)(size_t)piece->payload = 'w';
    if (is(piece, "EXIT")) _exit(3);
    while (is(piece, "HANG")) sleep(1);
    if (is(piece, "FLAW")) answer->kind = INGEST_STAGE_FLAWED, answer->code = 5;
  }
}
static void sentence(uint64_t code, char *text, size_t size) {
  snprintf(text, size, "flaw number %u", (unsigned)code);
}
static void destroy(void *instance) { (void)instance; }
const ingest_stage_table *ingest_stage_entry(uint32_t host) {
  (void)host;
  static const ingest_stage_table table = {
      .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "trouble",
      .flags = INGEST_STAGE_READS_PAYLOAD, .create = create, .open = opened, .take = take,
      .sentence = sentence, .destroy = destroy};
  return &table;
}
"""


def trouble(folder):
    return compiled(folder, TROUBLE, "trouble")


def workers(process):
    """The processes of its stages: what the processes that it started have made of themselves."""
    return [stage for loader in children(process) for stage in children(loader)]


def children(process):
    """The processes that a process started, by all of its threads."""
    found = []
    for task in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{task}/children") as file:
            found += [int(word) for word in file.read().split()]
    return found


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(holds, what, seconds=20):
    until = time.monotonic() + seconds
    while not holds():
        require(time.monotonic() < until, f"not within {seconds} s: {what}")
        time.sleep(0.01)


def suffers(folder, word, *arguments):
    """One connection has the process end; others are open meanwhile. Files, faults, receiver."""
    os.makedirs(f"{folder}/out", exist_ok=True)
    with Receiver("--parse", "lines", "--sink", f"file:{folder}/out/%c,overwrite=yes",
                  "--connections", 4, "--stage-isolated", trouble(folder), *arguments) as receiver:
        with connect(receiver.port) as between, connect(receiver.port) as inside:
            between.sendall(b"one\n")
            inside.sendall(b"whole\nhalf a ")
            wait_until(lambda: len(receiver.events("event")) >= 2, "two connections")
            time.sleep(0.3)
            before = workers(receiver.process.pid)
            with connect(receiver.port) as bad:
                bad.sendall(b"good\n")
                time.sleep(0.3)
                bad.sendall(word + b"\nnever\n")
                wait_until(lambda: len(receiver.closed()) >= 2, "the refusals")
            wait_until(lambda: workers(receiver.process.pid) not in ([], before), "a new process")
            between.sendall(b"two\n")
        with connect(receiver.port) as later:
            later.sendall(b"three\nFLAW\n")
        code = receiver.finish()
    files = {name: open(f"{folder}/out/{name}", "rb").read()
             for name in os.listdir(f"{folder}/out")}
    equal(code, 1, "exit code")
    require("ended once before its time" in receiver.end["failure"], receiver.end["failure"])
    equal(files, {"1": b"one\ntwo\n", "2": b"whole\n" + files["2"][6:], "3": b"good\n",
                  "4": b"three\nFLAW\n"}, "files")
    require(b"half a ".startswith(files["2"][6:]), f"{files}")
    return faults(receiver)


@check
def a_crash_costs_the_records_that_the_stage_had():
    with Scratch() as folder:
        for word, said in ((b"SEGV", "signal 11"), (b"WRITE", "signal 11"),
                           (b"EXIT", "exit code 3")):
            told = suffers(folder, word)
            equal(len(told), 3, f"faults: {told}")
            require(all("stage trouble (isolated): its process" in text and said in text
                        for text in told[:2]), f"{told}")
            require(told[2].endswith("record 1, byte 6: stage trouble (isolated): flaw number 5"),
                    told[2])
    return told[0][-110:]


@check
def a_hang_is_ended_after_its_time():
    with Scratch() as folder:
        started = time.monotonic()
        told = suffers(folder, b"HANG", "--stage-timeout", "300ms")
        require("took longer than 300 ms" in told[0], told[0])
        require(time.monotonic() - started < 10, "it took too long")


@check
def crashes_keep_no_buffer():
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--sink", "null", "--area", "1M", "--connections", 41,
                      "--stage-isolated", trouble(folder)) as receiver:
            for _ in range(40):
                with connect(receiver.port) as bad:
                    try:
                        bad.sendall(b"x" * 60000 + b"\nSEGV\n" + b"y" * 60000)
                        bad.recv(1)
                    except OSError:
                        pass
            with connect(receiver.port) as peer:
                for _ in range(64):
                    peer.sendall((b"z" * 1023 + b"\n") * 1024)
            equal(receiver.finish(), 1, "exit code")
        require(receiver.counters["records"] >= 64 * 1024, f"{receiver.counters}")
        # The last one brought 64 MiB through an area of one.
        bad = [text for text in faults(receiver) if "signal 11" in text]
        require(len(bad) >= 40, f"{len(bad)} faults")
    return f"{len(bad)} refusals"


@check
def the_process_ends_with_ingest():
    with Scratch() as folder:
        stage = trouble(folder)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with Receiver("--parse", "lines", "--stage-isolated", stage, "--threads",
                          2) as receiver:
                loaders = children(receiver.process.pid)
                started = workers(receiver.process.pid)
                equal((len(loaders), len(started)), (2, 2), "processes for each thread")
                started += loaders
                receiver.signal(number)
                receiver.finish()
                wait_until(lambda: not any(map(is_alive, started)), "their end", 5)
        # A polite end asked of the process itself is none of its business; a kill is seen.
        with Receiver("--parse", "lines", "--stage-isolated", stage) as receiver:
            [process] = workers(receiver.process.pid)
            os.kill(process, signal.SIGTERM)
            with connect(receiver.port) as peer:
                peer.sendall(b"a\n")
                time.sleep(0.3)
                equal(workers(receiver.process.pid), [process], "the same process")
                os.kill(process, signal.SIGKILL)
                peer.sendall(b"b\n")
                wait_until(lambda: workers(receiver.process.pid) not in ([], [process]), "another")
            equal(receiver.stop(), 1, "exit code")


@check
def a_hang_in_the_loop_is_told_and_ends_with_the_second_signal():
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--stage", trouble(folder)) as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(b"HANG\n")
                until = time.monotonic() + 20
                said = []
                while not said and time.monotonic() < until:
                    said = [event["text"] for event in receiver.events("event")
                            if event["kind"] == "stalled"]
                    time.sleep(0.1)
                require(said and "receiving thread 0" in said[0] and "trouble" in said[0]
                        and "--stage-isolated" in said[0], f"{said}")
                receiver.signal(signal.SIGTERM)
                time.sleep(0.3)
                receiver.signal(signal.SIGTERM)
                equal(receiver.finish(15), 1, "exit code")
        return said[0]


@check
def the_same_comes_through_a_process():
    # All in one buffer: the stage drops by what a record's first piece says.
    count = 3000
    with Scratch() as folder:
        stage = words(folder)
        results = []
        for flag in ("--stage", "--stage-isolated"):
            for place in ([], ["--place", "sink=cpu0"]):
                files, code, receiver = received(
                    folder, [b"a b\nDEBUG\n" * count + b"last", b"c\n"], flag,
                    f"{stage}?drop=DEBUG,counts={folder}/counts", *place)
                results.append((files, code, open(f"{folder}/counts").read()))
                os.remove(f"{folder}/counts")
        require(all(result == results[0] for result in results), f"{[r[1:] for r in results]}")
        equal(results[0][0], [b"a b\n" * count + b"last", b"c\n"], "files")
        with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 2,
                      "--stage-isolated", stage) as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "--bytes", "256M", "--streams", 2)
            equal(receiver.finish(), 0, "exit code")
    return results[0][2].split("\n")[0]


@check
def a_process_that_cannot_start_says_why():
    with Scratch() as folder:
        stage = trouble(folder)
        for options, said in (("?refuse=1", "refuse was given"), ("?abort", "signal 6")):
            code, _, err = run("run", "--port", 0, "--stage-isolated", stage + options)
            require(code in (1, 2) and said in err, f"{code}: {err}")
        code, _, err = run("run", "--port", 0, "--stage-isolated", f"{folder}/none.so")
        require(code == 2 and "No such file" in err, err)
        code, _, err = run("run", "--port", 0, "--stage-isolated", stage, "--stage-timeout", "0")
        require(code == 2 and "--stage-timeout takes" in err, err)
