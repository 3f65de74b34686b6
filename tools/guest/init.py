"""Process 1 of the guest: makes a root file system to work on, runs one command, says what came.

The kernel starts this from the host's files (virtiofs), with Python alone: no initial RAM disk, no
service manager. It talks over virtio-serial ports, never over the console: a job comes in as a line
of JSON, and out go the command's output, its errors, the kernel's log and the end of it. Whatever
goes wrong in here ends process 1, which is a kernel panic, and its reason is on the console.
"""

import errno
import json
import os
import resource
import select
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pools  # noqa: E402  (its path is set above)
import rootfs  # noqa: E402

CHUNK = 1 << 16


def port(name):
    """A virtio-serial port by its name; ports appear while the kernel is still starting."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for entry in os.listdir("/sys/class/virtio-ports"):
            try:
                with open(f"/sys/class/virtio-ports/{entry}/name") as file:
                    if file.read().strip() == name:
                        return os.open(f"/dev/{entry}", os.O_RDWR)
            except FileNotFoundError:
                pass  # its name comes a moment after it
        time.sleep(0.01)
    raise RuntimeError(f"there is no virtio-serial port {name}")


def read_line(descriptor):
    """One line, and what came after it."""
    data = b""
    while b"\n" not in data:
        data += os.read(descriptor, CHUNK)
    return data.split(b"\n", 1)


class Stream:
    """Carries what comes out of a descriptor to a port, and counts it."""

    def __init__(self, source, sink):
        self.source, self.sink, self.sent = source, sink, 0
        os.set_blocking(source, False)

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self.sink, view):]
        self.sent += len(data)

    def pump(self):
        """Carries once; False at the end of it, None where nothing is there now."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return None
        self.send(data)
        return bool(data)


class KernelLog(Stream):
    """The kernel's log from its beginning: a line for each record, as `<level>[time] text`."""

    def __init__(self, sink):
        super().__init__(os.open("/dev/kmsg", os.O_RDONLY), sink)

    def pump(self):
        try:
            record = os.read(self.source, CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            self.send(b"<4>[    0.000000] guest: the kernel's log was overrun, lines are lost\n")
            return True
        head, text = record.split(b";", 1)
        level, _, microseconds = head.split(b",")[:3]
        time_of = b"<%d>[%12.6f] " % (int(level) & 7, int(microseconds) / 1e6)
        # What follows the first line belongs to the record's dictionary, not to its text.
        self.send(time_of + text.split(b"\n", 1)[0] + b"\n")
        return True


def tainted():
    with open("/proc/sys/kernel/tainted") as file:
        return int(file.read())


def start(job, streams):
    """Starts the command in a session of its own; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for target, stream in enumerate(streams, 1):
            os.dup2(stream, target)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        for kind, (soft, hard) in job["limits"].items():
            resource.setrlimit(getattr(resource, kind), (soft, hard))
        os.umask(job["umask"])
        os.chdir(job["folder"])
        os.execvpe(job["command"][0], job["command"], job["environment"])
    except FileNotFoundError as error:
        code = 127
        os.write(2, f"guest: {error.filename}: not found\n".encode(errors="surrogateescape"))
    except Exception as error:
        code = 126
        os.write(2, f"guest: cannot run {job['command'][0]}: {error}\n".encode(errors="replace"))
    os._exit(code)


def reap(child):
    """Collects every ended process; the exit code of `child` once it is among them."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == 0:
            return code
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code


def end_all():
    """Kills what the command left running, and waits until it is gone."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def work(job, control, rest):
    """Runs the command to its end; what to tell the host of it."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    outputs, pipes = [], []
    for name in ("stdout", "stderr"):
        source, sink = os.pipe()
        outputs.append(Stream(source, port("ingest." + name)))
        pipes.append(sink)
    log = KernelLog(port("ingest.kernel"))
    before = tainted()
    child = start(job, pipes)
    for sink in pipes:
        os.close(sink)
    tell(control, event="started", uptime=time.clock_gettime(time.CLOCK_BOOTTIME))
    poll = select.poll()
    sources = {stream.source: stream for stream in (*outputs, log)}
    for descriptor in (*sources, control, wake):
        poll.register(descriptor, select.POLLIN)
    code = None
    while code is None:
        for descriptor, _ in poll.poll():
            if descriptor in sources:
                if sources[descriptor].pump() is False:
                    poll.unregister(descriptor)
            elif descriptor == control:
                rest = obey(rest + os.read(control, CHUNK), child)
            else:
                os.read(wake, CHUNK)
                code = reap(child)
    # Whoever the command left behind may hold its pipes; what it wrote itself is in them by now.
    end_all()
    # Rings end in the background after their process; what they held comes back until then.
    leaks = pools.leaks(5)
    for stream in (*outputs, log):
        while stream.pump():
            pass
    os.sync()
    return {"code": code, "tainted": tainted() & ~before, "leaks": leaks,
            "sent": [stream.sent for stream in (*outputs, log)]}


def obey(data, child):
    """Passes on the signals that the host asks for; returns what is no whole line yet."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        try:
            os.killpg(child, json.loads(line)["signal"])
        except ProcessLookupError:
            pass
    return rest


def tell(control, **message):
    os.write(control, json.dumps(message).encode() + b"\n")


def main():
    # Over what the host has there, which its files show, too.
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        rootfs.mount(kind, target, kind)
    control = port("ingest.control")
    line, rest = read_line(control)
    job = json.loads(line)
    rootfs.make(job)
    rootfs.settle(job)
    tell(control, event="ended", **work(job, control, rest))
    # The host ends the machine once it has it all.
    while True:
        signal.pause()


main()
