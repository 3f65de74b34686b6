"""The process that puts the NIC back for a receiver that has given up the right to."""
import os
import signal

from harness import check, equal, require
from isolation import children, is_alive
from nic_transaction import Nic
from privileges import NOBODY, nothing_left, tasks
from zcrx_port import MIB, PATIENCE, wait_until

NET_ADMIN = 1 << 12


def keeper_of(receiver):
    found = []
    for process in children(receiver.process.pid):
        with open(f"/proc/{process}/cmdline") as file:
            if "nic-keeper" in file.read():
                found.append(process)
    equal(len(found), 1, "keepers")
    return found[0]


def journals():
    return [name for name in os.listdir("/run/ingest") if name.endswith(".json")]


@check
def nic_is_put_back_by_a_process_that_can_do_nothing_else():
    with Nic() as place:
        before = place.snapshot()
        with place.receiver("--connections", 1, queue=6, nic="apply") as receiver:
            threads = nothing_left(receiver.process.pid, NOBODY)
            keeper = keeper_of(receiver)
            [task] = tasks(keeper)
            for field in ("CapPrm", "CapEff", "CapBnd"):
                equal(int(task[field], 16), NET_ADMIN, f"the keeper's {field}")
            equal((task["Seccomp"], task["NoNewPrivs"]), ("2", "1"), "Seccomp, NoNewPrivs")
            # What ends the receiver politely does not end it.
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(keeper, number)
            require(place.snapshot() != before, "nothing was set up")
            place.send("--bytes", 4 * MIB)
            equal(receiver.finish(PATIENCE), 0, "exit code")
        equal(receiver.counters["copiedBytes"], 0, "copied bytes")
        require(not is_alive(keeper), "the keeper is still there")
        place.same(before, "after the run")
    return f"{threads} threads"


@check
def nic_is_put_back_after_a_kill_without_another_start():
    with Nic() as place:
        before = place.snapshot()
        with place.receiver(queue=6, nic="apply") as receiver:
            keeper = keeper_of(receiver)
            receiver.signal(signal.SIGKILL)
            receiver.process.wait()
        wait_until(lambda: not is_alive(keeper), PATIENCE, "the keeper's end")
        place.same(before, "after the kill")


@check
def nic_keeper_that_is_killed_is_told_of_and_leaves_the_journal():
    with Nic() as place:
        before = place.snapshot()
        with place.receiver(queue=6, nic="apply") as receiver:
            os.kill(keeper_of(receiver), signal.SIGKILL)
            told = lambda: [e["text"] for e in receiver.events("event") if e["kind"] == "keeper"]
            wait_until(told, PATIENCE, "word of its end")
            place.send("--bytes", MIB)
            equal(receiver.stop(PATIENCE), 9, "exit code")
        equal(len(told()), 1, "times that it was told")
        require("nic restore" in told()[0], told()[0])
        equal(len(journals()), 1, "journals")
        require(len(place.nic("restore")["steps"]) > 3, "nothing was restored")
        place.same(before, "restored")
        return told()[0]
