"""One run of a command in the guest, from what it needs to its exit code."""

import contextlib
import os
import platform
import resource
import shutil
import signal
import time

import nicmodule
import trixie
import verdict
from machine import EMULATOR, Machine
from store import GuestError, Store, say

ROOT = nicmodule.ROOT
LOGS = os.path.join(ROOT, ".build/guest")
KEPT_LOGS = 20
# Seconds after which a part that no run has used is not missed.
UNUSED = 7 * 86400
TIMED_OUT, GUEST_FAILED, BROKEN_PIPE = 124, 125, 141
# After an interrupt the command has so many seconds to end.
GRACE = 15
# Kernel file systems of the guest's own stand there.
HIDDEN = ("/proc", "/sys", "/dev", "/run")
LIMITS = ("RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_STACK", "RLIMIT_CORE")
PASSED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL")
PASSED_PREFIXES = ("LC_", "INGEST_", "SWIFT")
MARK = "/run/ingest-guest"


class Parts:
    """What a guest is made of, downloaded and built where it was missing."""

    def __init__(self, store):
        self.tree = store.get(trixie.name(), trixie.make)
        self.version = trixie.kernel(self.tree)
        self.modules = os.path.join(self.tree, "usr/lib/modules")
        self.kernel = os.path.join(self.modules, self.version, "vmlinuz")
        self.module = nicmodule.get(store, self.tree, self.version)

    def tool(self, name):
        return os.path.join(self.tree, "tools", name)

    def overlay(self):
        folder = os.path.join(self.modules, self.version, "kernel/fs/overlayfs")
        return os.path.join(folder, next(f for f in os.listdir(folder) if f.startswith("overlay")))


def check_place():
    """Refuses where no guest can be had."""
    if os.path.exists(MARK):
        raise GuestError("this is the guest already; run the command as it is", 3)
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise GuestError(f"the guest is emulated on x86_64 Linux; this is {platform.system()} on "
                         f"{platform.machine()}", 3)
    if not shutil.which(EMULATOR):
        raise GuestError(f"{EMULATOR} is missing; install it with: tools/install --guest", 3)


def visible(folder):
    folder = os.path.realpath(folder)
    if any(folder == hidden or folder.startswith(hidden + "/") for hidden in HIDDEN):
        raise GuestError(f"{folder} is not there in the guest, which has {', '.join(HIDDEN)} of "
                         f"its own; use another folder", 2)
    return folder


def environment(parts, asked):
    """The command's variables: some of the caller's, and the guest's own."""
    chosen = {name: value for name, value in os.environ.items()
              if name in PASSED or name.startswith(PASSED_PREFIXES)}
    for text in asked:
        name, given, value = text.partition("=")
        if given or name in os.environ:
            chosen[name] = value if given else os.environ[name]
    system = "/usr/sbin:/usr/bin:/sbin:/bin"
    chosen["PATH"] = os.path.join(parts.tree, "tools") + ":" + chosen.get("PATH", system)
    chosen["GUEST_TREE"] = parts.tree
    if parts.module:
        chosen["ZCNIC_KO"] = parts.module
    return chosen


def describe(options, parts):
    """The job that process 1 of the guest gets."""
    variables = environment(parts, options.env)
    shared = [ROOT, *options.share]
    if "TMPDIR" in variables:
        shared.append(variables["TMPDIR"])
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS}
    settings = {"kernel/modprobe": parts.tool("modprobe"),
                "fs/nr_open": str(max(limits["RLIMIT_NOFILE"][1], 1 << 20))}
    if options.icount:
        # Virtual time runs away while the guest waits for this machine: that is no hung task.
        settings["kernel/hung_task_timeout_secs"] = "0"
        # Addresses that differ would make hash tables of pointers differ.
        settings["kernel/randomize_va_space"] = "0"
    umask = os.umask(0)
    os.umask(umask)
    return {"command": options.command, "folder": visible(os.getcwd()), "environment": variables,
            "shared": sorted({visible(folder) for folder in shared}), "limits": limits,
            "umask": umask, "overlay": parts.overlay(), "modules": parts.modules,
            "module": parts.module, "insmod": parts.tool("insmod"), "sysctl": settings,
            "cpus": options.cpus, "host": platform.node()}


def new_logs():
    """The beginning of this run's log names; only the newest runs' are kept."""
    os.makedirs(LOGS, exist_ok=True)
    logs = [os.path.join(LOGS, name) for name in os.listdir(LOGS) if name.endswith(".log")]
    runs = sorted({name.split(".")[0] for name in map(os.path.basename, logs)})
    for path in logs:
        if os.path.basename(path).split(".")[0] in runs[:-KEPT_LOGS]:
            with contextlib.suppress(FileNotFoundError):  # another run tidies up, too
                os.unlink(path)
    return os.path.join(LOGS, f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Session:
    """A machine while it runs, and what comes of it."""

    def __init__(self, options, parts, logs):
        self.options, self.logs = options, logs
        self.machine = Machine(options, parts, logs)
        self.job = describe(options, parts)
        self.started = False
        self.interrupted = None

    def run(self):
        """The exit code; None where the machine died of the known flake before the command."""
        handlers = {number: signal.signal(number, self.interrupt)
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            self.machine.start(self.job)
            return self.attend()
        finally:
            self.machine.stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def interrupt(self, number, _):
        self.machine.events.put(("interrupt", number))

    def attend(self):
        machine, limit = self.machine, self.options.limit
        until = time.monotonic() + limit
        while True:
            what, detail = machine.next_event(until - time.monotonic())
            if what == "started":
                self.started = True
                if self.options.verbose:
                    say(f"the command starts, {detail['uptime']:.1f} s after the kernel")
            elif what == "interrupt" and self.started and not self.interrupted:
                self.interrupted = detail
                machine.post({"signal": detail})
                until = min(until, time.monotonic() + GRACE)
            elif what == "interrupt":
                say("interrupted: the guest was ended")
                return 128 + detail
            elif what == "late" and self.interrupted:
                say(f"the command did not end within {GRACE} s of the interrupt: the guest was "
                    f"ended")
                return 128 + self.interrupted
            elif what == "late":
                return self.late(limit)
            elif what == "ended":
                return self.judge(detail)
            elif what == "gone":
                return self.died(detail)
            elif what == "output":
                return self.output_failed(detail)

    def late(self, limit):
        say(f"time limit: {'the command' if self.started else 'the guest'} did not "
            f"{'end' if self.started else 'start'} within {limit:g} s; the guest was ended "
            f"(--limit SECONDS sets another)")
        self.show_console(10)
        return TIMED_OUT

    def output_failed(self, error):
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        say(f"cannot write what the command said: {error.strerror}; the guest was ended")
        return GUEST_FAILED

    def judge(self, detail):
        """The command ended; so does its code stand?"""
        if not self.machine.await_output(detail["sent"], 30):
            say("what the command said did not arrive in full")
            return GUEST_FAILED
        lines = verdict.complaints(read(self.logs + ".kernel.log"))
        marks = verdict.taints(detail["tainted"])
        leaks = detail["leaks"]
        if not lines and not marks and not leaks:
            return detail["code"]
        for line in lines:
            say(f"kernel: {verdict.text_of(line)}")
        for leak in leaks:
            say(f"kernel: {leak}")
        said = f"; it is tainted by {', '.join(marks)}" if marks else ""
        say(f"the command ended with {detail['code']}, but the guest's kernel complained{said}")
        say(f"all of its log: {os.path.relpath(self.logs)}.kernel.log")
        return GUEST_FAILED

    def died(self, status):
        """The machine ended without a word of process 1."""
        console = read(self.logs + ".console.log")
        if not self.started and verdict.is_known_flake(console):
            return None
        reason = verdict.death(console)
        when = "while the command ran" if self.started else "before the command started"
        if reason:
            say(f"the guest's kernel died {when}: {reason}")
        elif console or self.started:
            say(f"the guest ended {when}, without a panic: was it told to power off or restart?")
        else:
            said = read(self.logs + ".qemu.log") + read(self.logs + ".files.log")
            say(f"the emulator did not start ({status}): {said.strip() or 'it does not say why'}")
        self.show_console(40)
        return GUEST_FAILED

    def show_console(self, count):
        for line in verdict.tail(read(self.logs + ".console.log"), count):
            say(f"console: {line}")
        say(f"all of it: {os.path.relpath(self.logs)}.console.log")


def run(options):
    """Runs the command; returns the exit code for this process."""
    check_place()
    with Store() as store:
        parts = Parts(store)
        for again in (False, True):
            code = Session(options, parts, new_logs()).run()
            if code is not None:
                return code
            say("the emulator's second CPU ran code that was being patched (Oops: int3 in "
                "sched_clock_cpu), before the command started; "
                + ("twice: giving up" if again else "starting once more"))
        return GUEST_FAILED


def build(clean):
    """Makes what a guest needs, and says where it is."""
    check_place()
    with Store() as store:
        parts = Parts(store)
    say(f"Linux {parts.version} in {parts.tree}")
    if parts.module:
        say(f"the virtual NIC's module in {parts.module}")
    if clean:
        store.clean(UNUSED)
    return 0
