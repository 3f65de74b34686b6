"""`ingest nic` and the set-up of `ingest run`: made, noted, undone, whatever happens in between."""
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time

from harness import BIN, ROOT, Scratch, check, equal, require
from zcrx_port import MIB, PATIENCE, PORT, Place, released, wait_until

import genetlink  # noqa: I100  (zcrx_port sets the path)
import lab

SEED = int(os.environ.get("INGEST_SEED", "1"))


class Nic(Place):
    """The receiving port as it comes, and `ingest nic` on it."""

    def __init__(self, **options):
        super().__init__(queue=None, **options)

    def nic(self, *words, wanted=0, environment=None, json_output=True):
        command = [os.path.join(BIN, "ingest"), "nic", *map(str, words), "--ifname", self.DEVICE]
        if json_output:
            command.append("--json")
        with genetlink.inside(self.RX):
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE,
                                  stdin=subprocess.DEVNULL, env=environment)
        if wanted is not None:
            equal(done.returncode, wanted, f"exit code of {' '.join(map(str, words))} "
                                           f"({done.stdout[-300:]}{done.stderr.strip()})")
        return json.loads(done.stdout) if json_output and done.stdout else done.stderr

    def snapshot(self):
        """All settings as ethtool and the kernel tell them."""
        texts = {}
        for option in ("-l", "-g", "-k", "-x", "-n"):
            texts[option] = self.ethtool(option)
        shown = self.nic("show")
        texts["threshold"] = shown["settings"].get("hds-thresh")
        for number in shown["contexts"]:
            texts[f"context {number}"] = self.ethtool("-x", "context", number)
        return texts

    def same(self, before, what):
        after = self.snapshot()
        for name in sorted(set(before) | set(after)):
            equal(after.get(name), before.get(name), f"{what}: {name}")
        journals = [name for name in os.listdir("/run/ingest") if name.endswith(".json")]
        equal(journals, [], f"{what}: journals")

    def shuffle(self, generator):
        """A state that an administrator may have left."""
        queues = generator.randint(2, 8)
        self.ethtool("-L", "combined", queues)
        if generator.random() < 0.5:
            weights = [generator.randint(0, 1) for _ in range(queues)]
            self.ethtool("-X", "weight", *(weights if any(weights) else [1]))
        self.ethtool("-G", "tcp-data-split", generator.choice(["on", "off", "auto"]))
        self.ethtool("-G", "rx", generator.choice([256, 512]))
        self.ethtool("-K", "rx-gro-hw", generator.choice(["on", "off"]))
        if generator.random() < 0.5:
            self.ethtool("-K", "ntuple", "on")
            for port in generator.sample(range(80, 90), generator.randint(0, 2)):
                self.ethtool("-N", "flow-type", "tcp4", "dst-port", port, "action",
                             generator.randrange(queues))
        if generator.random() < 0.3:
            self.ethtool("-X", "start", generator.randrange(queues), "equal", 1, "context", "new")

    def clear(self):
        # A check that failed may have left something noted.
        self.nic("restore", "--all", wanted=None)
        for rule in re.findall(r"Filter: (\d+)", self.ethtool("-n")):
            self.ethtool("-N", "delete", rule)
        for number in self.nic("show")["contexts"]:
            self.ethtool("-X", "context", number, "delete")
        self.ethtool("-X", "default")
        self.ethtool("-L", "combined", 8)
        self.ethtool("-K", "ntuple", "off")
        self.ethtool("-K", "rx-gro-hw", "on")
        self.ethtool("-G", "tcp-data-split", "off")
        self.ethtool("-G", "rx", 256)

    def down(self):
        if hasattr(self, "was_up"):
            self.clear()
        super().down()

    def up(self):
        super().up()
        self.clear()
        self.was_up = True


def wish(generator, most=7):
    queues = sorted(generator.sample(range(1, most + 1), generator.randint(1, 2)))
    return ["--queue", ",".join(map(str, queues)), "--port", generator.choice([PORT, "5301,5400"])]


@check
def nic_run_sets_up_and_puts_back():
    with Nic() as place:
        place.ethtool("-L", "combined", 6)
        before = place.snapshot()
        # What a start sets is no hindrance to it.
        text = place.call_inside(os.path.join(BIN, "ingest"), "doctor", "--ifname", place.DEVICE,
                                 "--queue", 6, "--port", PORT)
        require(text.count("`ingest run` sets it while it runs") >= 3, text)
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 4,
                            queue=6, nic="apply") as receiver:
            place.send("--bytes", 64 * MIB, "--streams", 4)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        require(place.queue_counters([6])["split"] > 0, "the queue saw nothing")
        place.same(before, "after the run")
        remarks = receiver.events("start")[0]["remarks"]
        require(any("n-tuple rule" in text for text in remarks), f"no rule among {remarks}")
        return "; ".join(text for text in remarks if text.startswith("zc0: "))[:200]


@check
def nic_several_queues_and_ports():
    with Nic() as place:
        before = place.snapshot()
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 16,
                            queue="4-7", nic="apply") as receiver:
            place.send("--bytes", 64 * MIB, "--streams", 16)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        used = [one["bytes"] >> 20 for one in receiver.end["receive"]["perThread"]]
        place.same(before, "after the run")
        return f"by queue {used} MiB"


@check
def nic_plan_as_ethtool_lines():
    """The printed lines, typed by hand, lead to the same state as `nic apply`."""
    generator = random.Random(SEED)
    lines = 0
    with Nic() as place:
        for _ in range(4):
            place.clear()
            place.shuffle(generator)
            wanted = wish(generator)
            before = place.snapshot()
            plan = place.nic("plan", *wanted, wanted=None)
            if isinstance(plan, str):
                continue
            place.same(before, "a plan changes nothing")
            place.nic("apply", *wanted)
            applied = place.snapshot()
            equal(place.nic("plan", *wanted)["steps"], [], "steps when all is done")
            place.nic("restore", "--all")
            place.same(before, "restored")
            for step in plan["steps"]:
                require(step["command"], f"no ethtool line for {step['text']}")
                with genetlink.inside(place.RX):
                    lab.call(["sh", "-c", step["command"]])
                lines += 1
            typed = place.snapshot()
            for name in applied:
                equal(typed.get(name), applied[name], f"by hand, {name}")
        place.clear()
    require(lines > 12, f"only {lines} lines were typed")
    return f"{lines} lines"


@contextlib.contextmanager
def killer():
    """An environment in which a process dies before its Nth change."""
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "killpoint.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                        os.path.join(ROOT, "tools/acceptance/killpoint.c"), "-ldl"], check=True)
        counted = os.path.join(folder, "count")

        def environment(number):
            return {**os.environ, "LD_PRELOAD": library, "KILLPOINT": str(number),
                    "KILLPOINT_COUNT": counted}

        def count():
            with open(counted) as file:
                return int(file.read())
        yield environment, count


@check
def nic_killed_at_every_step_of_apply_and_undo():
    # Channels grow, a context is made, all kinds of steps are taken.
    wanted = ["--queue", "4,5", "--port", PORT, "--rx-ring", 512]
    with Nic() as place, killer() as (environment, count):
        place.ethtool("-L", "combined", 5)
        before = place.snapshot()
        place.nic("apply", *wanted, environment=environment(0))
        applying = count()
        applied = place.snapshot()
        place.nic("restore", "--all", environment=environment(0))
        undoing = count()
        place.same(before, "restored")
        require(applying > 12 and undoing > 10, f"only {applying} and {undoing} changes")
        for number in range(1, applying + 1):
            place.nic("apply", *wanted, environment=environment(number), wanted=-signal.SIGKILL,
                      json_output=False)
            # By the next that comes, and by hand.
            if number % 2:
                place.nic("apply", *wanted)
                for name, text in place.snapshot().items():
                    equal(text, applied.get(name), f"applied after a kill at {number}: {name}")
            place.nic("restore", "--all")
            place.same(before, f"killed before change {number} of {applying}")
        for number in range(1, undoing + 1):
            place.nic("apply", *wanted)
            place.nic("restore", "--all", environment=environment(number),
                      wanted=-signal.SIGKILL, json_output=False)
            place.nic("restore", "--all")
            place.same(before, f"undo killed before change {number} of {undoing}")
        return f"{applying} points of apply, {undoing} of undo"


@check
def nic_a_killed_run_is_undone_by_the_next():
    with Nic() as place:
        before = place.snapshot()
        for again in (True, False):
            # Otherwise a process of its own undoes it at once.
            with place.receiver("--privileges", "keep", queue=6, nic="apply") as first:
                first.signal(signal.SIGKILL)
                first.process.wait()
            if again:
                with place.receiver("--connections", 1, queue=6, nic="apply") as second:
                    place.send("--bytes", MIB)
                    equal(second.finish(PATIENCE), 0, "exit code of the second")
                equal(second.counters["copiedBytes"], 0, "copied bytes")
            else:
                steps = place.nic("restore")["steps"]
                require(len(steps) > 3, f"only {steps}")
            place.same(before, "after the kill")
        # A reboot makes what is noted meaningless.
        place.nic("apply", "--queue", 6)
        [name] = [name for name in os.listdir("/run/ingest") if name.endswith(".json")]
        path = os.path.join("/run/ingest", name)
        with open(path) as file:
            journal = json.load(file)
        with open(path, "w") as file:
            json.dump({**journal, "boot": "another"}, file)
        equal(place.nic("restore", "--all")["steps"], [], "steps for another boot's journal")
        with open(path, "w") as file:
            json.dump(journal, file)
        place.nic("restore", "--all")
        place.same(before, "restored")


@check
def nic_somebody_elses_change_is_kept():
    with Nic() as place:
        place.nic("apply", "--queue", 6)
        place.ethtool("-X", "equal", 3)
        kept = place.nic("restore", "--all", wanted=9)["kept"]
        require(len(kept) == 1 and "indirection table" in kept[0], kept)
        require("equal" not in kept[0] and "0-2" in kept[0], kept)
        require("     2" in place.ethtool("-x"), "the other's table is gone")
        equal(place.nic("restore", "--all")["steps"], [], "steps of a second restore")
        return kept[0][:110]


@check
def nic_two_processes_share_an_interface():
    with Nic() as place:
        before = place.snapshot()
        with place.receiver("--connections", 1, queue=6, nic="apply") as first:
            with place.receiver("--connections", 1, "--port", PORT + 1, queue=5,
                                nic="apply") as second:
                place.send("--bytes", 4 * MIB)
                equal(first.finish(PATIENCE), 0, "exit code of the first")
                require("tcp-data-split" in place.nic("show")["settings"], "no split shown")
                equal(place.nic("show")["settings"]["tcp-data-split"], [2], "split of the other")
                place.send("--bytes", 4 * MIB, port=PORT + 1)
                equal(second.finish(PATIENCE), 0, "exit code of the second")
        for one in (first, second):
            equal(one.counters["copiedBytes"], 0, "copied bytes")
        place.same(before, "after both")


def link_is_told(place, receiver):
    told = lambda: [e["text"] for e in receiver.events("event") if e["kind"] == "link"]
    both = ["the link is down: no carrier", "the link is up"]
    for state in (0, 1):
        place.knob("link", state)
        wait_until(lambda: told() == both[:state + 1], 30, "the link is told")
    # Faster than the kernel's link watch tells: it may merge the two into one notification.
    place.knob("link", 0)
    place.knob("link", 1)
    wait_until(lambda: told()[2:] in (both, ["the link was down for a moment"]), 30,
               "the short loss is told")


@check
def nic_changes_under_load_are_told():
    with Nic() as place:
        with place.receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 4,
                            queue=6, nic="apply") as receiver:
            sender = place.run(place.TX, [os.path.join(BIN, "ingest-send"), "--to",
                                          f"{place.RX_ADDRESS}:{PORT}", "--streams", 4, "-t", 12,
                                          "--bitrate", "200M", "--json"],
                               stdout=subprocess.DEVNULL)
            wait_until(lambda: place.queue_counters([6])["split"] > 100, 60, "traffic")
            place.ethtool("-X", "equal", 8)
            [rule, *_] = re.findall(r"Filter: (\d+)", place.ethtool("-n"))
            place.ethtool("-N", "delete", rule)
            changed = time.monotonic()
            wait_until(lambda: len([e for e in receiver.events("event") if e["kind"] == "drift"])
                       >= 2, 30, "both changes are told")
            took = time.monotonic() - changed
            link_is_told(place, receiver)
            equal(sender.wait(PATIENCE), 0, "exit code of the sender")
            code = receiver.finish(PATIENCE)
        equal(code, 9, f"exit code ({receiver.end.get('failure')})")
        counters = receiver.counters
        equal(counters["closed"], 4, "connections")
        equal(counters["reset"], 0, "connections lost")
        equal(counters["faults"], 0, "faults")
        return f"told after {took:.1f} s; {counters['copiedBytes'] >> 10} KiB were copied meanwhile"


@check
def nic_what_is_not_safe_is_refused():
    with Nic() as place:
        before = place.snapshot()
        said = []
        for queue, words in [(0, "queue 0"), (8, "no receive queue 8"), ("0-7", "would be left")]:
            text = place.nic("apply", "--queue", queue, wanted=2, json_output=False)
            require(words in text and "\n" in text.strip(), text)
            said.append(text.splitlines()[0])
        place.same(before, "after the refusals")
        place.nic("apply", "--queue", 0, "--force")
        place.nic("restore", "--all")
        place.same(before, "forced and restored")
        prefix = [*place.inside(place.RX), "setpriv", "--bounding-set", "-net_admin"]
        done = subprocess.run([*prefix, os.path.join(BIN, "ingest"), "nic", "apply", "--ifname",
                               "zc0", "--queue", "6"], capture_output=True, text=True)
        equal(done.returncode, 5, f"exit code without CAP_NET_ADMIN ({done.stderr})")
        place.same(before, "without CAP_NET_ADMIN")
        # Who only looks needs no right at all.
        nobody = [*place.inside(place.RX), "setpriv", "--reuid", "65534", "--clear-groups"]
        for words in (["plan", "--queue", "6"], ["show"]):
            done = subprocess.run([*nobody, os.path.join(BIN, "ingest"), "nic", *words, "--ifname",
                                   "zc0"], capture_output=True, text=True)
            equal(done.returncode, 0, f"exit code of {words[0]} by nobody ({done.stderr})")
        return said[0]
