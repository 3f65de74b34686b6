"""Files that follow each other, and direct writes: together what was sent, whole after a kill."""
import json
import os
import random
import shutil
import subprocess
import time

from harness import (
    Receiver, Scratch, Skipped, check, connect, equal, random_file, require, run, same_file, tool)

MIB = 1 << 20


def lines(count, seed):
    """Lines of 1 to 4000 bytes, newlines included."""
    source = random.Random(seed)
    return b"".join(source.randbytes(source.randrange(4000)).hex().encode()[:source.randrange(4000)]
                    + b"\n" for _ in range(count))


def files(directory):
    """Name and content of each finished file, in order."""
    found = []
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".part"):
            with open(os.path.join(directory, name), "rb") as file:
                found.append((name, file.read()))
    return found


def whole_lines(found, rotate):
    for name, content in found:
        require(content.endswith(b"\n"), f"{name} ends inside a line")
    for name, content in found[:-1]:
        require(rotate <= len(content) < rotate + 4000, f"{name} has {len(content)} bytes")


@check
def rotation_by_size_of_each_connection():
    nc = tool("nc")
    source = lines(10_000, 1)
    with Scratch() as scratch:
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        path = os.path.join(scratch, "source")
        with open(path, "wb") as file:
            file.write(source)
        with Receiver("--parse", "lines", "--sink", f"file:{out},rotate=1M,sync=rename",
                      "--connections", 2) as receiver:
            for _ in range(2):
                with open(path, "rb") as file:
                    subprocess.run([nc, "-N", "127.0.0.1", str(receiver.port)], stdin=file,
                                   check=True, timeout=60)
            equal(receiver.finish(), 0, "exit code")
        found = files(out)
        equal(len(os.listdir(out)), len(found), "finished files")
        for serial in (1, 2):
            own = [pair for pair in found if pair[0].startswith(f"connection-{serial}-")]
            require(len(own) > 5, f"{len(own)} files of connection {serial}")
            whole_lines(own, MIB)
            require(b"".join(content for _, content in own) == source,
                    f"the files of connection {serial} are not what was sent")
        return f"{len(found)} files, {2 * len(source) >> 20} MiB"


@check
def rotation_by_time_of_one_file():
    with Scratch() as scratch, Receiver(
            "--parse", "lines", "--sink", f"file:{scratch}/log-%n,layout=one,rotate-every=300ms",
            "--connections", 2) as receiver:
        peers = [connect(receiver.port) for _ in range(2)]
        sent = []
        for number in range(40):
            sent.append(b"%d of %d\n" % (number, number % 2))
            peers[number % 2].sendall(sent[-1])
            time.sleep(0.05)
        for peer in peers:
            peer.close()
        equal(receiver.finish(), 0, "exit code")
        found = files(scratch)
        require(4 <= len(found) <= 8, f"{len(found)} files in 2 s")
        require(b"".join(content for _, content in found) == b"".join(sent), "lines differ")
        return f"{len(found)} files"


@check
def a_kill_leaves_whole_files():
    """What has its name was fsynced and is whole records, without a gap from the start on."""
    source = lines(20_000, 2)
    with Scratch() as scratch, Receiver(
            "--parse", "lines", "--sink", f"file:{scratch},rotate=1M,sync=rename") as receiver:
        peer = connect(receiver.port)
        peer.sendall(source[:12 * MIB])
        until = time.monotonic() + 20
        while len(files(scratch)) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        receiver.process.kill()
        receiver.process.wait()
        peer.close()
        found = files(scratch)
        parts = [name for name in os.listdir(scratch) if name.endswith(".part")]
        require(len(found) >= 5 and parts, f"{len(found)} files and {len(parts)} parts")
        whole_lines(found, MIB)
        equal([name for name, _ in found],
              [f"connection-1-{number:06}" for number in range(1, len(found) + 1)], "names")
        content = b"".join(content for _, content in found)
        require(content == source[:len(content)], "the files are not the start of what was sent")
        return f"{len(found)} whole files, {len(parts)} parts"


@check
def a_full_disk_while_rotating():
    if os.geteuid() != 0:
        raise Skipped("mounting a small tmpfs needs root")
    source = lines(10_000, 3)
    with Scratch() as disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
        try:
            with Receiver("--parse", "lines", "--sink", f"file:{disk},rotate=1M,sync=rename",
                          "--connections", 1) as receiver:
                peer = connect(receiver.port)
                try:
                    peer.sendall(source)
                except OSError:
                    pass
                peer.close()
                equal(receiver.finish(), 1, "exit code")
                [fault] = receiver.events("fault")
                equal(fault["kind"], "sink", "fault")
            found = files(disk)
            require(len(found) < 8, f"{len(found)} files")
            whole_lines(found + [("", b"\n")], MIB)
            # Several are written at a time: a number that is missing is a file that failed.
            names = [f"connection-1-{number:06}" for number in range(1, 99)]
            first = [content for (name, content), wanted in zip(found, names) if name == wanted]
            content = b"".join(first)
            require(content == source[:len(content)], "the files are not the start")
            # How many depends on how many were under way when the disk was full.
            require(first and len(content) >= fault["offset"],
                    f"{len(content)} bytes without a gap, {fault['offset']} were told to be safe")
            return f"{len(first)} files without a gap, {len(found)} whole ones, on a disk of 8 MiB"
        finally:
            subprocess.run(["umount", disk], check=False)


@check
def rotation_without_a_number_is_refused():
    with Scratch() as scratch:
        code, _, said = run("run", "--port", "0", "--parse", "lines", "--sink",
                            f"file:{scratch}/%c,rotate=1M")
        equal(code, 2, "exit code")
        require("%n" in said, said)
        return said.strip().splitlines()[-1]


def is_direct(receiver, seconds):
    """Whether a file of the receiver was open with O_DIRECT at some time."""
    until = time.monotonic() + seconds
    directory = f"/proc/{receiver.process.pid}/fdinfo"
    while time.monotonic() < until and receiver.process.poll() is None:
        for name in os.listdir(directory):
            try:
                with open(os.path.join(directory, name)) as file:
                    flags = int(file.read().split("flags:")[1].split()[0], 8)
            except (OSError, IndexError):
                continue
            if flags & os.O_DIRECT:
                return True
    return False


@check
def direct_writes_of_a_large_file():
    """Blocks past the page cache, the rest of the last page through it; with rotation too."""
    nc = tool("nc")
    with Scratch() as scratch:
        path = os.path.join(scratch, "source")
        random_file(path, 64 * MIB + 12_345)
        for options in ("direct", "direct,block=64K,rotate=10M,sync=rename"):
            out = os.path.join(scratch, "out")
            os.mkdir(out)
            with Receiver("--parse", "raw", "--sink", f"file:{out},{options}", "-1") as receiver:
                with open(path, "rb") as file:
                    sender = subprocess.Popen([nc, "-N", "127.0.0.1", str(receiver.port)],
                                              stdin=file)
                    seen = is_direct(receiver, 20)
                    equal(sender.wait(60), 0, "nc's exit code")
                equal(receiver.finish(), 0, "exit code")
                require(seen, "no file was open with O_DIRECT")
                equal(receiver.counters["sinkCopiedBytes"], 64 * MIB + 12_345, "bytes copied")
                equal(receiver.counters["sinkBytes"], 64 * MIB + 12_345, "bytes written")
            joined = os.path.join(scratch, "joined")
            with open(joined, "wb") as file:
                for _, content in files(out):
                    file.write(content)
            require(same_file(path, joined), f"{options}: the files are not what was sent")
            shutil.rmtree(out)
        return "64 MiB, twice"


@check
def a_file_system_without_direct_writes():
    if os.geteuid() != 0:
        raise Skipped("mounting a file system needs root")
    with Scratch() as disk:
        subprocess.run(["mount", "-t", "ramfs", "ramfs", disk], check=True)
        try:
            with Receiver("--parse", "raw", "--sink", f"file:{disk},direct", "-1") as receiver:
                peer = connect(receiver.port)
                peer.sendall(b"x" * 3_000_001)
                peer.close()
                equal(receiver.finish(), 0, "exit code")
                said = json.dumps(receiver.lines) + " ".join(receiver.text)
                require("refuses O_DIRECT" in said, f"said: {said[-400:]}")
            equal([len(content) for _, content in files(disk)], [3_000_001], "sizes")
            return "told, and written all the same"
        finally:
            subprocess.run(["umount", disk], check=False)
