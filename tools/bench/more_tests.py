#!/usr/bin/env python3
"""Checks the programs and suites around the hot loop, stages, scaling, latency, start-up, guest.

usage: tools/bench/more_tests.py

Builds tools/stageloop and the programs. Nothing here is timed. What needs root, or `ingest`, is
skipped without it, with a word.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import context  # noqa: E402  (its path is set above)
import extras  # noqa: E402
import measure  # noqa: E402
import suite_guest  # noqa: E402
import suite_latency  # noqa: E402
import suite_scaling  # noqa: E402
import suite_stages  # noqa: E402
import suite_start  # noqa: E402

PROGRAMS = context.Programs(ROOT)
PORTS = itertools.count(25000 + os.getpid() % 4000)
STAGELOOP = os.path.join(ROOT, "tools/stageloop/.build/release/stageloop")
BUILT = os.path.exists(PROGRAMS.ingest) and os.path.exists(PROGRAMS.ingest_send)


def setUpModule():
    subprocess.run([os.path.join(HERE, "build")], check=True, stdout=subprocess.DEVNULL)
    for name in ("relay", "tx-many", "rx-epoll"):
        extras.c_program(PROGRAMS, name)
    suite_latency.prepare(PROGRAMS)
    suite_stages.prepare(PROGRAMS)


class Programs(unittest.TestCase):
    def test_many_connections_carry_all_bytes(self):
        for connections in (1, 70):
            port = next(PORTS)
            receiver = [PROGRAMS.at("rx-epoll"), "-p", str(port), "-P", str(connections)]
            sender = [PROGRAMS.at("tx-many"), "-p", str(port), "-P", str(connections), "-n", "20m",
                      "-w", "4m", "-l", "10001", "-r", "RXPID"]
            run = measure.once((receiver, None), (sender, None), port, 60)
            self.assertEqual(run["rx"]["bytes"], 24 << 20)
            window = run["tx"]["window"]
            self.assertAlmostEqual(window["bytes"], 20 << 20, delta=10001)
            self.assertGreater(window["receiver"], 0)

    def test_a_relay_changes_nothing(self):
        digests = set()
        for mode in ((), ("-s",)):
            port, onward = next(PORTS), next(PORTS)
            end = measure.Program([PROGRAMS.at("rx-plain"), "-p", str(onward), "-k"])
            try:
                end.listening(onward, "tcp")
                relay = [PROGRAMS.at("relay"), "-p", str(port), "-P", str(onward), *mode]
                sender = [PROGRAMS.at("tx-plain"), "-p", str(port), "-n", "7777777", "-C", "reno"]
                run = measure.once((relay, None), (sender, None), port, 60)
                end.finish(60)
                digests.add((end.json()["bytes"], end.json()["crc32c"], run["rx"]["bytes"]))
            finally:
                end.stop()
        self.assertEqual(len(digests), 1, digests)
        self.assertEqual(digests.pop()[0], 7777777)

    def test_ages_of_stamps_are_in_order(self):
        port = next(PORTS)
        receiver = [PROGRAMS.at("stamp-read"), "-p", str(port)]
        sender = [PROGRAMS.at("stamp-send"), "-p", str(port), "-r", "20000", "-t", "0.1"]
        read = measure.once((receiver, None), (sender, None), port, 30)["rx"]["read"]
        self.assertEqual(read["count"], 2000)
        shares = [read[share] for share in suite_latency.SHARES]
        self.assertEqual(shares, sorted(shares))
        self.assertGreater(shares[0], 500)  # half a microsecond: nothing is that fast

    def test_what_is_no_stamp_is_refused(self):
        done = subprocess.run([PROGRAMS.at("stamp-read")], input=b"x" * 64, capture_output=True,
                              check=False)
        self.assertEqual(done.returncode, 1)


class Stageloop(unittest.TestCase):
    def told(self, *words, code=0):
        done = subprocess.run([STAGELOOP, *words], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code)
        return json.loads(done.stdout) if code == 0 else None

    def test_every_record_is_seen(self):
        area = 1 << 20
        for kind, framing in (("fixed", 0), ("lines", 1), ("length", 4), ("described", 8),
                              ("chunked", 7), ("wire", 32)):
            told = self.told("frame", kind, f"area={area}", "payload=500", "bytes=1", "repeats=1")
            whole = area // (500 + framing)
            self.assertIn(told["records"], (whole, whole + (kind == "wire")), kind)
            self.assertEqual(told["faults"], 0)

    def test_every_digest_fits(self):
        for kind in suite_stages.DIGESTS:
            told = self.told("digest", kind, "area=1048576", "buffer=4096", "bytes=1", "repeats=1")
            self.assertEqual(told["verified"], 256 if kind.endswith("-verify") else 0)
            if kind.endswith("-placed"):
                self.assertEqual(told["records"], 256)
            self.assertEqual((told["faults"], len(told["ours"])), (0, 1))

    def test_every_completion_becomes_a_lease(self):
        for what in ("inline", "spread", "both"):
            for engine in ("zcrx", "pbuf"):
                told = self.told(what, engine, "count=51200")
                self.assertEqual(told["completions"], told["leases"], (what, engine))

    def test_what_there_is_not_is_refused(self):
        self.told("frame", "nonsense", code=2)
        self.told("inline", "zcrx", "count=none", code=2)


@unittest.skipUnless(BUILT and os.geteuid() == 0, "needs root, ingest and ingest-send")
class Suites(unittest.TestCase):
    def results(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [os.path.join(HERE, "run"), *words, "--no-build", "--quick", "--out", folder],
                capture_output=True, text=True, check=False)
            with open(os.path.join(folder, "result.json"), encoding="utf-8") as file:
                kept = json.load(file)["results"]
        for part in kept:
            self.assertEqual(part["errors"], [])
        self.assertEqual(done.returncode, 0, done.stderr[-1000:])
        return kept

    def rows(self, part):
        return [row for table in part["tables"] for row in table["rows"]]

    def test_forwarding_and_files(self):
        files, forwarding = self.results("stages", "--part", "file", "--part", "forward",
                                         "--file-mib", "16")
        self.assertEqual(len(self.rows(files)), 6)
        self.assertEqual([row[0] for row in self.rows(forwarding)], list(suite_stages.RELAYS))

    def test_connections(self):
        part, = self.results("scaling", "--scale", "connections", "--most", "10")
        self.assertEqual([row[0] for row in self.rows(part)], ["1"] * 3 + ["10"] * 3)

    def test_start(self):
        part, = self.results("start", "--starts", "2")
        first = {row[0]: row for row in self.rows(part)}["ingest"]
        self.assertLess(first[1]["median"], first[2]["median"])

    def test_latency(self):
        part, = self.results("latency")
        self.assertEqual(len(part["tables"]), 3)
        for table in part["tables"]:
            for row in table["rows"]:
                self.assertLessEqual(row[1]["median"], row[3]["median"], row[0])


class Guest(unittest.TestCase):
    def result(self, rows):
        found = {row: {"completions": 1, "perByte": byte + 1, "perFurtherByte": byte,
                       "perCompletion": each} for row, (byte, each) in rows.items()}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"rows": found, "budget": 705, "bytes": 1 << 20, "kernel": "7.3"}, file)
            file.flush()
            options = types.SimpleNamespace(counts=file.name)
            run = context.Context(options, PROGRAMS, context.Progress(), {})
            return suite_guest.receiving(run)

    def test_targets(self):
        rows = {"zcrx 4K": (2.0, 590), "zcrx 16K": (1.9, 1800), "zcrx 64K": (1.95, 6000),
                "recv()": (4.0, 20000)}
        met = [target.met for target in self.result(rows).targets]
        self.assertEqual(met, [True, True, False, True, True])
        self.assertEqual(len(self.result(rows).tables[0]["rows"]), 4)

    def test_sends_are_held_against_the_example(self):
        udp = {"600": {"example send": 4800.0, "ingest send": 5000.0, "ingest send-zc": 5200.0},
               "4000": {"example send": 6000.0, "ingest send": 5900.0, "ingest send-zc": 5200.0}}
        told = {"udp": udp, "tcp": {"600": {"example send": 11000.0, "ingest send": 10000.0}}}
        with unittest.mock.patch.object(suite_guest, "sent", return_value=(told, "command")):
            result = suite_guest.sending(context.Context(None, PROGRAMS, context.Progress(), {}))
        self.assertEqual([(target.values, target.met) for target in result.targets],
                         [([0.96], False), ([1.1], True)])
        self.assertEqual([[row[0] for row in table["rows"]] for table in result.tables],
                         [list(udp["600"]), ["example send", "ingest send"]])

    def test_a_row_that_is_missing_is_said(self):
        with self.assertRaises(measure.Failed):
            self.result({"zcrx 4K": (2.0, 590)})


class Scaling(unittest.TestCase):
    def test_sizes(self):
        self.assertEqual([suite_scaling.in_bytes(text) for text in ("16", "4K", "16M", "4G")],
                         [16, 4096, 16 << 20, 4 << 30])

    def test_a_start_that_fails_is_said(self):
        with self.assertRaises(measure.Failed):
            suite_start.start_once(["false"], next(PORTS), False)


if __name__ == "__main__":
    unittest.main()
