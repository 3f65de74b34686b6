"""Round after round: says what each came to, and keeps what a failed one left."""
import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
import time
import traceback

import draws
from grounds import Guest, Host
from harness import Failed, Scratch, require
from rounds import Round
from steady import Steady

# No round takes nearly as long; one that does hangs.
LONGEST = 240


class Overdue(Failed):
    pass


@contextlib.contextmanager
def deadline(seconds):
    """Whatever takes longer is interrupted: that is a hang."""
    def ring(*_):
        raise Overdue(f"no end after {seconds} s")
    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def say(text):
    print(text, flush=True)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def attempt(ground, plan, programs, steady, kept):
    """One round; the round itself, and what did not hold."""
    failure = None
    with Scratch() as scratch:
        os.symlink(programs["consumer"], os.path.join(scratch, "consumer"))
        before = descriptors()
        round_ = Round(ground, plan, scratch, programs)
        try:
            with deadline(LONGEST):
                round_.run()
                # What an earlier round left behind may have gone meanwhile.
                now = descriptors()
                require(now <= before, f"{now} descriptors of the soak itself, {before} before")
                steady.serve()
        except Failed as reason:
            failure = str(reason)
        except Exception:
            failure = traceback.format_exc()
        if failure:
            # Before the scratch folder goes.
            keep(round_, scratch, failure, kept)
        for path in round_.recordings():
            with contextlib.suppress(OSError):
                os.unlink(path)
    return round_, failure


def keep(round_, scratch, failure, kept):
    """Plan, reason, talk and recordings of a round that failed."""
    folder = os.path.join(kept, f"seed-{round_.plan.seed}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(f"{folder}/plan.txt", "w") as file:
        file.write(f"{round_.plan}\n{getattr(round_, 'words', '')}\n\n{failure}\n")
    for number, receiver in enumerate(round_.receivers):
        with open(f"{folder}/ingest-{number}.jsonl", "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in receiver.lines)
        with open(f"{folder}/ingest-{number}.txt", "w") as file:
            file.write("\n".join([" ".join(receiver.command), *receiver.text, ""]))
    for path in [*round_.recordings(), *(os.path.join(scratch, name)
                                         for name in os.listdir(scratch) if "flight" in name)]:
        with contextlib.suppress(OSError):
            shutil.copy(path, folder)


def run(options, programs, until, kept):
    """The rounds; the exit code."""
    only = tuple(options.only)
    tally, failed, done, total = {}, [], 0, 0
    started = time.monotonic()
    say(f"soak: seed {options.seed}, on {options.on}, {os.uname().release}, "
        f"{os.cpu_count()} CPUs, {os.environ['INGEST_BIN']}")
    interrupted = False
    with (Guest() if options.on == "guest" else Host()) as ground, Steady() as steady:
        say(f"steady run: {steady.serve()}")
        try:
            for number in itertools.count():
                if number == options.rounds or until and time.monotonic() > until:
                    break
                plan = draws.plan(options.seed + number, ground.has_nic, only)
                began = time.monotonic()
                round_, failure = attempt(ground, plan, programs, steady, kept)
                took = time.monotonic() - began
                done, total = done + 1, total + round_.bytes
                for name, count in round_.struck.items():
                    tally[name] = tally.get(name, 0) + count
                say(f"round {number + 1} seed {plan.seed} {'FAILED' if failure else 'ok'} "
                    f"{took:.1f} s ({round_.times()}): {plan.line()}")
                if failure:
                    failed.append(plan.seed)
                    report(options, plan, failure, kept)
                    if not options.keep_going:
                        break
        except KeyboardInterrupt:
            interrupted = True
            say("interrupted")
        if not failed and not interrupted:
            say(steady.finish())
    minutes = (time.monotonic() - started) / 60
    say("struck: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.items())))
    say(f"soak: {done} rounds in {minutes:.1f} minutes from seed {options.seed}, "
        f"{total >> 20} MiB received, {len(failed)} failed"
        + (f" (seeds {', '.join(map(str, failed))})" if failed else ""))
    sys.stdout.flush()
    return 130 if interrupted else 1 if failed else 0


def report(options, plan, failure, kept):
    only = f" --only {','.join(options.only)}" if options.only else ""
    on = " --on host" if options.on == "host" else ""
    for line in failure.strip().splitlines():
        say(f"    {line[:600]}")
    say(f"    again: tools/soak{on}{only} --seed {plan.seed} --rounds 1")
    say(f"    kept: {os.path.relpath(kept)}/seed-{plan.seed}")
