"""Tests of what is made of measurements: registry, plots, page, comparison, the whole command."""

import html.parser
import io
import json
import os
import re
import tempfile
import types
import unittest
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import cli
import compare
import context
import measure
import page
import registry
import svg
import text
from result import Column, Result, spread

VOID = {"meta", "line", "rect", "circle", "path", "br"}


def made_up(cost=0.10, title="Receiving <over> a & b"):
    """A result with everything a result can have."""
    result = Result("fake", title, "About \"it\"")
    near = [cost * share for share in (0.98, 1.0, 1.02)]
    result.table("Cost", [Column("receiver"), Column("buffers"), Column("CPU", "s/GB", "lower"),
                          Column("clean runs")],
                 [["ingest", 8, spread(near), "3/3"], ["peer", 8, spread([0.2, 0.3]), "2/3"],
                  ["none", 8, None, "0/3"]])
    result.dots("CPU", "s/GB", {"ingest": near, "peer": [0.2, 0.3], "none": []}, "lower")
    result.lines("Saved", "payload", "B", "ns",
                 {"ingest": {600: [-10, -5], 8000: [300, 420]}, "peer": {600: [1]}},
                 logarithmic=True)
    result.target("ingest : peer", near, 0.72)
    result.target("saved", [200.0], 320, at_most=False, unit="ns")
    result.target("not run", [], 1, gate=False)
    result.note("a note")
    result.command("ingest run --sink null")
    return result


def suite(run, **more):
    return types.SimpleNamespace(NAME="fake", ABOUT="nothing real", run=run, BUILDS=(), **more)


def document(*results):
    machine = {"cpu": "x", "cpus": 2, "kernel": "6", "commit": "0123456789abcdef", "changed": False,
               "virtual": True, "memory": "1 GiB", "transparentHugePages": "", "swift": "",
               "compiler": "", "liburing": "", "iperf3": ""}
    return {"schema": "ingest-bench/2", "time": 0.0, "machine": machine, "command": "run",
            "options": {"rounds": 3, "seconds": 1.0, "tries": 1}, "notes": [],
            "suites": {"fake": "nothing real"}, "results": [one.document() for one in results]}


class Balance(html.parser.HTMLParser):
    """Counts elements, and sees that each is closed where it should be."""

    def __init__(self, content):
        super().__init__()
        self.open, self.seen, self.wrong = [], {}, []
        self.feed(content)
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


class Registry(unittest.TestCase):
    def test_finds_what_is_here(self):
        found = registry.find()
        self.assertLessEqual({"receive", "check", "send"}, set(found))
        for name, module in found.items():
            self.assertNotIn("\n", module.ABOUT, name)

    def test_says_what_a_suite_lacks(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "suite_lacking.py"), "w", encoding="utf-8") as file:
                file.write("NAME = 'lacking'\n")
            with mock.patch("sys.path", [folder]), self.assertRaisesRegex(ImportError, "ABOUT"):
                registry.find(folder)

    def test_a_peer_that_is_not_there_is_left_out_and_said(self):
        programs = types.SimpleNamespace(iperf3=None, example=None, ingest="", at=str)
        found = registry.find()
        self.assertNotIn(found["receive"].IPERF3, found["receive"].receivers(programs))
        for name, word in (("receive", "iperf3"), ("send", "liburing")):
            self.assertIn(word, found[name].missing(programs)[0])

    def test_networks_follow_the_options(self):
        options = types.SimpleNamespace(place=["lo"])
        needing = suite(None, NEEDS_NETWORK=("veth", "lo"))
        self.assertEqual(registry.networks(needing, options), ["lo"])
        self.assertEqual(registry.networks(suite(None), options), [])


class Plots(unittest.TestCase):
    def test_ticks_are_round_and_hold_the_values(self):
        for low, high in ((0, 1), (0, 0.0123), (-1213, 2687), (0, 99999), (0, 0), (5, 5)):
            marks = svg.ticks(low, high)
            self.assertLessEqual(marks[0], low)
            self.assertGreaterEqual(marks[-1], high)
            self.assertTrue(2 <= len(marks) <= 12, marks)

    def test_whiskers_reach_from_least_to_greatest(self):
        plot = made_up().plots[1]
        drawn = svg.lines(plot)
        axes = svg.Axes(plot)
        for value in (300, 420):
            self.assertIn(f'="{axes.y(value):.1f}"', drawn)
        self.assertEqual(drawn.count("<circle"), 3)
        self.assertIn('class="curve c1 peer"', drawn)
        self.assertNotIn("none", svg.dots(made_up().plots[0]))

    def test_nothing_to_draw_draws_nothing(self):
        result = Result("fake", "x")
        result.dots("empty", "s", {"a": []})
        result.lines("empty", "x", "", "s", {"a": {}})
        self.assertEqual([svg.figure(plot) for plot in result.plots], ["", ""])


class Page(unittest.TestCase):
    def test_is_whole_and_needs_nothing_else(self):
        wrong = made_up(title="Broken")
        wrong.error("copied <all>")
        content = page.render(document(made_up(), wrong))
        checked = Balance(content)
        self.assertEqual(checked.wrong, [])
        self.assertEqual(checked.seen["figure"], 4)
        self.assertNotIn("script", checked.seen)
        self.assertEqual(re.findall(r"(?:https?:|url\(|@import|src=)", content), [])
        self.assertIn("prefers-color-scheme: dark", content)
        self.assertIn("Receiving &lt;over&gt; a &amp; b", content)
        self.assertIn("copied &lt;all&gt;", content)
        for word in ("pass", "MISS", "no run"):
            self.assertIn(f">{word}</td>", content)

    def test_text_says_the_same(self):
        said = text.document_text(document(made_up()))
        for word in ("0.100 (0.098 to 0.102)", "at most 0.720", "at least 320 ns", "MISS",
                     "no run"):
            self.assertIn(word, said)

    def test_a_row_has_a_cell_per_column(self):
        with self.assertRaises(ValueError):
            Result("fake", "x").table("t", [Column("a"), Column("b")], [["only one"]])


class Comparisons(unittest.TestCase):
    def changes(self, before, after):
        comparison = compare.Comparison(document(made_up(before)))
        part = made_up(after).document()
        table = part["tables"][0]
        return [[comparison.of(part, table, row, at) for at in range(len(row))]
                for row in table["rows"]]

    def test_marks_only_what_is_beyond_both_spreads(self):
        mine = self.changes(0.10, 0.101)[0][2]
        self.assertFalse(mine.beyond)
        self.assertAlmostEqual(mine.percent, 1)
        mine = self.changes(0.10, 0.08)[0][2]
        self.assertTrue(mine.beyond and mine.good)
        self.assertAlmostEqual(mine.earlier, 0.10)
        mine = self.changes(0.10, 0.20)[0][2]
        self.assertTrue(mine.beyond and not mine.good)

    def test_two_values_are_not_enough_to_be_sure(self):
        change = compare.change_between(spread([1, 2]), spread([8, 9]), "lower")
        self.assertFalse(change.beyond)
        self.assertEqual(change.earlier, 1.5)

    def test_compares_only_what_was_measured(self):
        rows = self.changes(0.10, 0.08)
        self.assertEqual([bool(change) for change in rows[0]], [False, False, True, False])
        self.assertEqual(rows[2], [None] * 4)

    def test_stands_in_the_page_and_in_the_text(self):
        comparison = compare.Comparison(document(made_up(0.10)))
        after = document(made_up(0.08))
        self.assertIn("was 0.100, -20.0 %", page.render(after, comparison))
        self.assertIn("[was 0.100, -20.0 % *]", text.document_text(after, comparison))

    def test_another_format_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"schema": "ingest-bench/1"}, file)
            file.flush()
            with self.assertRaises(ValueError):
                compare.load(file.name)


class Runs(unittest.TestCase):
    def run_suite(self, run, *words):
        module = suite(run)
        options = cli.arguments({"fake": module}, ["fake", *words])
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            status = cli.run_suites([module], options, context.Programs(cli.ROOT), None)
        return status, options

    def test_writes_all_three_and_gates(self):
        with tempfile.TemporaryDirectory() as folder:
            status, options = self.run_suite(lambda given: made_up(), "--out", folder)
            self.assertEqual(status, 0)
            self.assertEqual(sorted(os.listdir(folder)),
                             ["report.html", "report.md", "result.json"])
            kept = compare.load(os.path.join(folder, "result.json"))
            self.assertEqual(kept["results"], [made_up().document()])
            options.gate = True
            with redirect_stdout(io.StringIO()):
                self.assertEqual(cli.verdict(kept, options, None), 1)

    def test_a_suite_that_fails_is_told_and_keeps_what_it_had(self):
        def run(given):
            yield made_up()
            raise measure.Failed("the peer died")

        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "some.json")
            self.assertEqual(self.run_suite(run, "--out", out)[0], 1)
            kept = compare.load(out)
            self.assertEqual(len(kept["results"]), 2)
            self.assertEqual(kept["results"][1]["errors"], ["the peer died"])
            self.assertTrue(os.path.exists(os.path.join(folder, "some.html")))

    def test_a_row_that_fails_leaves_the_others(self):
        def start(row):
            if row == "bad":
                raise measure.Failed("no such option")
            return {"others": 0.0, "stolen": 0.0, "wall": 1.0, "figures": {"n": 2.0}}

        def run(given):
            found = given.rounds("x", {"good": "good", "bad": "bad"}, start)
            self.assertEqual(found.values("good", "n"), [2.0, 2.0])
            self.assertEqual(found.ratios("good", "bad", "n"), [])
            self.assertIsNone(found.middle("bad", "n"))
            return made_up()

        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "some.json")
            status, _ = self.run_suite(run, "--rounds", "2", "--patience", "0", "--noise", "9",
                                       "--out", out)
            self.assertEqual(status, 1)
            kept = compare.load(out)
        self.assertEqual(kept["results"][0]["errors"], ["x: bad: no such option"])

    def test_rounds_go_back_and_forth(self):
        order = []

        def start(row):
            order.append(row)
            return {"others": 0.0, "stolen": 0.0, "wall": 1.0, "figures": {"n": len(order)}}

        def run(given):
            found = given.rounds("x", {"a": "a", "b": "b"}, start)
            self.assertEqual(found.values("a", "n"), [1, 4, 5])
            return made_up()

        self.run_suite(run, "--rounds", "3", "--patience", "0", "--noise", "9")
        self.assertEqual(order, ["a", "b", "b", "a", "a", "b"])
