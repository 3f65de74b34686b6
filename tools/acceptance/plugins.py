"""Stages from shared objects: --stage, with the samples in C, Swift and Python."""
import hashlib
import os
import subprocess
import time

from harness import ROOT, Receiver, Scratch, check, connect, equal, require, run, send, tool

SAMPLES = os.path.join(ROOT, "tools/samples/plugins")
INCLUDE = os.path.join(ROOT, "Sources/CIngestStage/include")
FIRST = b"alpha beta\nDEBUG x y\n!no\n12 34\nlast one"
SECOND = b"DEBUG a\nhello\nDEBUG b"


def compiled(folder, source, name, *words):
    """A shared object from C, by a path or as text."""
    path = f"{folder}/lib{name}.so"
    if "\n" in source:
        with open(f"{folder}/{name}.c", "w") as file:
            file.write(source)
        source = f"{folder}/{name}.c"
    subprocess.run([tool("cc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared",
                    "-fPIC", "-I", INCLUDE, *words, source, "-o", path], check=True)
    return path


def words(folder):
    return compiled(folder, f"{SAMPLES}/words.c", "words")


def received(folder, texts, *arguments):
    """Sends each text over a connection of its own, one after the other; files, exit code, run."""
    os.makedirs(f"{folder}/out", exist_ok=True)
    with Receiver("--parse", "lines", "--sink", f"file:{folder}/out,overwrite=yes",
                  "--connections", len(texts), *arguments) as receiver:
        for index, text in enumerate(texts):
            with connect(receiver.port) as peer:
                peer.sendall(text)
            until = time.monotonic() + 20
            while len(receiver.closed()) <= index and time.monotonic() < until:
                time.sleep(0.01)
        code = receiver.finish()
    files = [open(f"{folder}/out/{name}", "rb").read()
             for name in sorted(os.listdir(f"{folder}/out"))]
    return files, code, receiver


def faults(receiver):
    return [line["data"]["text"] for line in receiver.lines if line.get("event") == "fault"]


@check
def a_stage_in_c_drops_counts_and_tells():
    with Scratch() as folder:
        stage = f"{words(folder)}?drop=DEBUG,most=2,counts={folder}/counts"
        files, code, receiver = received(folder, [FIRST, SECOND, b"one two three\n"], "--stage",
                                         stage)
        counted = open(f"{folder}/counts").read().split("\n")[:-1]
    equal(files, [b"alpha beta\n!no\n12 34\nlast one", b"hello\n", b"one two three\n"], "files")
    equal(counted, ["1 5 10", "2 3 5", "3 1 3"], "connection, records, words")
    equal(code, 7, "exit code")
    [fault] = faults(receiver)
    require("record 0, byte 0: stage words: a record of 3 words" in fault, fault)
    return fault[:90]


@check
def stages_stand_in_order_on_any_thread():
    last = len(os.sched_getaffinity(0)) - 1
    with Scratch() as folder:
        first, drop = words(folder), "DEBUG"
        second = compiled(folder, open(f"{SAMPLES}/words.c").read().replace('"words"', '"other"'),
                          "other")
        for place in ([], ["--place", f"sink=cpu{last}"], ["--place", f"checksum=cpu{last}"]):
            counts = f"{folder}/counts"
            files, code, _ = received(
                folder, [FIRST, SECOND], "--stage", f"{first}?drop={drop}", "--stage",
                f"{second}?drop=last,counts={counts}", *place)
            equal(files, [b"alpha beta\n!no\n12 34\n", b"hello\n"], f"files {place}")
            equal(code, 0, "exit code")
            # The second saw only what the first let through.
            equal(open(counts).read(), "1 4 7\n2 1 1\n", f"counts of the second {place}")
            os.remove(counts)


@check
def the_same_bytes_come_through_a_stage():
    with Scratch() as folder:
        stage = words(folder)
        sums = set()
        for arguments in ([], ["--stage", stage], ["--stage", stage, "--place", "sink=cpu0"]):
            with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--sink",
                          f"file:{folder}/%c,overwrite=yes", "-1", *arguments) as receiver:
                send("--to", f"127.0.0.1:{receiver.port}", "--bytes", "48M", "--seed", 5,
                     "--record-minimum", 1, "--record-maximum", "100K")
                equal(receiver.finish(), 0, "exit code")
            with open(f"{folder}/1", "rb") as file:
                sums.add((hashlib.sha256(file.read()).hexdigest()[:16],
                          receiver.counters["records"]))
        require(len(sums) == 1, f"different: {sums}")
    return f"{sums}"


@check
def what_cannot_be_loaded_is_refused_with_the_remedy():
    with Scratch() as folder:
        stage = words(folder)
        plain = f"{folder}/plain.so"
        with open(plain, "w") as file:
            file.write("no shared object, but some bytes long\n")
        for words_, code, said in (
                (f"{folder}/none.so", 2, "No such file"),
                (plain, 2, "is not a shared object"),
                (f"{stage}?", 2, "an option is empty"),
                (f"{stage}?a=1,a=2", 2, "a is given twice"),
                (f"{stage}?most=many", 2, "most=many is no number of words"),
                (compiled(folder, "int f(void);\nint f(void) { return 1; }\n", "f"), 1,
                 "has no stage in it")):
            status, out, err = run("run", "--port", 0, "--stage", words_)
            equal(status, code, f"exit code of {words_}")
            require(said in err and out == "", f"{words_}: {err}")
            require(err.count("\n") >= 1, f"no remedy: {err}")


@check
def a_static_executable_knows_that_it_cannot_load():
    source = os.path.join(ROOT, "Sources/CIngestKernel")
    with Scratch() as folder:
        with open(f"{folder}/main.c", "w") as file:
            file.write('#include "ik_load.h"\nint main(void) { return ik_is_static(); }\n')
        for flag, wanted in (("-static", 1), ("-pie", 0), ("-no-pie", 0)):
            # The header is clang's dialect.
            subprocess.run([tool("clang"), flag, "-fPIE", "-D_GNU_SOURCE",
                            "-I", f"{source}/include", f"{source}/load.c", f"{folder}/main.c",
                            "-o", f"{folder}/main"], check=True)
            equal(subprocess.run([f"{folder}/main"]).returncode, wanted, f"linked with {flag}")


@check
def the_list_of_stages_and_the_configuration_know_them():
    with Scratch() as folder:
        stage = f"{words(folder)}?drop=X"
        code, listed, _ = run("stages")
        require(code == 0 and "--stage" in listed and "ingest_stage.h" in listed, listed[-300:])
        code, shown, _ = run("run", "--stage", stage, "--stage", "./b.so", "--show-config")
        require(code == 0 and f'"{stage}"' in shown and '"./b.so"' in shown, shown)
        with open(f"{folder}/c.json5", "w") as file:
            file.write(f"{{ parse: 'lines', stages: ['{stage}'], }}")
        files, code, _ = received(folder, [b"Xa\nb\n"], "--config", f"{folder}/c.json5")
        equal((files, code), ([b"b\n"], 0), "by a file of configuration")
        with open(f"{folder}/c.json5", "w") as file:
            file.write("{ stages: './b.so' }")
        code, _, said = run("run", "--config", f"{folder}/c.json5")
        require(code == 2 and "a list of stages" in said, said)
