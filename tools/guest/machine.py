"""The emulated machine: qemu without hardware virtualisation, on the host's files (virtiofs).

The root file system is the host's, so there is nothing to install and a program built here runs
there as it is. The guest's process 1 (init.py) gets a job and answers over virtio-serial ports.
"""

import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading

from store import say

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = ("control", "stdout", "stderr", "kernel")
EMULATOR = "qemu-system-x86_64"
# Where a CPU can copy memory by one instruction ("fsrm"), a kernel does, and that one is emulated
# byte by byte; wide registers and five levels of page tables cost as well. So an older CPU, with
# what the tests need beside: 1 GiB pages, and random numbers from the start.
CPU = "Westmere,+pdpe1gb,+rdtscp,+rdrand"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
CHUNK = 1 << 16


def die_with_parent():
    """However this process ends, what it started does not outlive it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, passed, output):
    """Starts a process that ^C on this terminal does not reach."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                            pass_fds=passed, start_new_session=True, preexec_fn=die_with_parent)


def receive(port):
    """What comes next; nothing once the emulator is gone."""
    try:
        return port.recv(CHUNK)
    except ConnectionResetError:
        return b""


class Machine:
    """One guest, from power-on to its end."""

    def __init__(self, settings, parts, logs):
        self.settings, self.parts, self.logs = settings, parts, logs
        # A simple one, for signal handlers put into it.
        self.events = queue.SimpleQueue()
        self.received = dict.fromkeys(PORTS, 0)
        self.changed = threading.Condition()
        self.processes = []

    # -- starting ---------------------------------------------------------------------------------

    def share_files(self):
        """virtiofsd on the host's root; the descriptor that qemu talks to it through."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("")  # an abstract address that the kernel chooses
        listening.listen(1)
        # Cached for good: it makes reading three times as fast as asking again each second. Mount
        # points of the host are not announced, for the layer above would stop at them.
        command = [self.parts.tool("virtiofsd"), f"--fd={listening.fileno()}", "--shared-dir", "/",
                   "--cache", "always", "--sandbox", "none", "--no-announce-submounts"]
        with open(self.logs + ".files.log", "wb") as log:
            self.processes.append(spawn(command, [listening.fileno()], log))
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(listening.getsockname())
        listening.close()
        return connected

    def arguments(self, files, ports):
        chosen = self.settings
        accelerator = "tcg,thread=multi"
        words = ["console=ttyS0", "rootfstype=virtiofs", "root=host", "rw", "panic=-1",
                 "oops=panic", f"loglevel={7 if chosen.verbose else 5}", "ingest-guest",
                 # Returns in place of indirect jumps are much to emulate, and guard nothing here.
                 "mitigations=off",
                 # An emulated CPU that runs code while another patches it may die of it. So the
                 # others come up last; and that one is late is no reason to distrust the clock
                 # and to patch more.
                 "maxcpus=1", "tsc=reliable", "clocksource=tsc", *chosen.append]
        counted = []
        if chosen.icount:
            accelerator = "tcg,thread=single"
            counted = ["-icount", "shift=0,sleep=off"]
            words.append("nokaslr")
        command = [
            EMULATOR, "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", "q35,memory-backend=memory", "-accel", accelerator, *counted,
            "-cpu", CPU, "-smp", str(chosen.cpus), "-m", chosen.memory,
            # Shared, because virtiofsd puts file contents straight into the guest's memory.
            "-object", f"memory-backend-memfd,id=memory,size={chosen.memory},share=on",
            "-chardev", f"socket,id=files,fd={files.fileno()}",
            "-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024",
            "-chardev", f"file,id=console,path={self.logs.replace(',', ',,')}.console.log",
            "-serial", "chardev:console", "-device", "virtio-serial-pci"]
        for name, port in ports.items():
            command += ["-chardev", f"socket,id={name},fd={port.fileno()}",
                        "-device", f"virtserialport,chardev={name},name=ingest.{name}"]
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        init = [f'init="{python}"', "--", "-I", "-S", f'"{os.path.join(HERE, "init.py")}"']
        return command + ["-kernel", self.parts.kernel, "-append", " ".join(words + init)]

    def start(self, job):
        """Powers the machine on; the job waits in its port until process 1 reads it."""
        files = self.share_files()
        pairs = {name: socket.socketpair() for name in PORTS}
        ours = {name: pair[0] for name, pair in pairs.items()}
        theirs = {name: pair[1] for name, pair in pairs.items()}
        passed = [files.fileno(), *(end.fileno() for end in theirs.values())]
        command = self.arguments(files, theirs)
        if self.settings.verbose:
            say(" ".join(command))
        with open(self.logs + ".qemu.log", "wb") as log:
            self.qemu = spawn(command, passed, log)
        self.processes.insert(0, self.qemu)
        for end in (files, *theirs.values()):
            end.close()
        self.control = ours["control"]
        self.log = open(self.logs + ".kernel.log", "wb", buffering=0)
        sinks = {"stdout": sys.stdout.fileno(), "stderr": sys.stderr.fileno(),
                 "kernel": self.log.fileno()}
        for name, sink in sinks.items():
            self.thread(self.carry, name, ours[name], sink)
        self.thread(self.listen)
        self.thread(self.await_end)
        self.thread(self.post, job)

    def thread(self, body, *arguments):
        threading.Thread(target=body, args=arguments, daemon=True).start()

    # -- threads ----------------------------------------------------------------------------------

    def carry(self, name, port, sink):
        """What comes through a port, to where it belongs, as it comes."""
        while data := receive(port):
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(sink, view):]
            except OSError as error:
                self.events.put(("output", error))
                return
            with self.changed:
                self.received[name] += len(data)
                self.changed.notify_all()

    def listen(self):
        """Messages of process 1."""
        rest = b""
        while data := receive(self.control):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                self.events.put((message.pop("event"), message))

    def await_end(self):
        self.events.put(("gone", self.qemu.wait()))

    # -- while it runs ----------------------------------------------------------------------------

    def next_event(self, seconds):
        """(what, detail): started, ended, gone, output or interrupt; late after so many seconds."""
        try:
            return self.events.get(timeout=max(seconds, 0))
        except queue.Empty:
            return "late", None

    def post(self, message):
        """Has process 1 do something: the job first, {"signal": N} for the command later."""
        try:
            self.control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the emulator is gone, as await_end says

    def await_output(self, sent, seconds):
        """Waits until all has arrived that process 1 says it sent."""
        wanted = dict(zip(("stdout", "stderr", "kernel"), sent))
        with self.changed:
            return self.changed.wait_for(
                lambda: all(self.received[name] >= count for name, count in wanted.items()),
                seconds)

    def stop(self):
        """Ends what this machine started, and nothing else."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
