"""The command line: what to measure, building it, the laboratory, and where results go."""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import compare
import context
import host
import measure
import page
import registry
import text
from result import SCHEMA, Result

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PRODUCTS = ("ingest", "ingest-send")
INSIDE = "INGEST_BENCH_INSIDE"


def common_options(parser):
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time of a run (1)")
    parser.add_argument("--warm-up", type=float, default=0.3, help="seconds before it (0.3)")
    parser.add_argument("--place", action="append", choices=("veth", "lo", "hole"),
                        help="only over this network; may be repeated")
    parser.add_argument("--noise", type=float, default=0.06,
                        help="share of a CPU that other processes may take (0.06)")
    parser.add_argument("--tries", type=int, default=6, help="runs until one is clean (6)")
    parser.add_argument("--patience", type=float, default=20,
                        help="seconds to wait for a quiet machine before each run (20)")
    parser.add_argument("--rps", metavar="CPU",
                        help="receive work on this CPU, as a network card would have it")
    parser.add_argument("--quick", action="store_true",
                        help="one short run of each, clean or not: to see that everything runs")
    parser.add_argument("--out", metavar="PATH",
                        help="a folder, or a file NAME.json, for the result and the report")
    parser.add_argument("--compare", metavar="JSON", help="set it beside this earlier result")
    parser.add_argument("--report", metavar="JSON",
                        help="measure nothing: write the report of this result again")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--no-build", action="store_true")


def arguments(suites, words=None):
    listed = "\n".join(f"  {name:<10} {module.ABOUT}" for name, module in suites.items())
    parser = argparse.ArgumentParser(
        prog="tools/bench/run", usage="tools/bench/run [SUITE ...] [options]",
        description="Measures ingest beside programs that do the same work, and writes a report.",
        epilog=f"suites (all of them if none is named):\n{listed}\n\n"
               "README.md beside this says how it measures and how to read the report.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="which; see below")
    common_options(parser)
    for name, module in suites.items():
        if hasattr(module, "add_arguments"):
            module.add_arguments(parser.add_argument_group(f"suite {name}"))
    options = parser.parse_args(words)
    for name in options.suites:
        if name not in suites:
            parser.error(f"no suite {name}: there are {', '.join(suites)}")
    if options.rounds < 1 or options.tries < 1:
        parser.error("at least one round and one try")
    options.suites = options.suites or list(suites)
    if options.quick:
        options.rounds, options.tries, options.patience = 1, 1, 0
        options.seconds, options.warm_up = 0.2, 0.1
    options.limit = options.seconds + options.warm_up + 15
    return options


def build(chosen, programs):
    products = sorted({product for module in chosen
                       for product in getattr(module, "BUILDS", PRODUCTS)})
    steps = [["swift", "build", "-c", "release", "--product", product] for product in products]
    for step in [*steps, [os.path.join(HERE, "build")]]:
        print("building: " + " ".join(step), file=sys.stderr)
        if subprocess.run(step, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
            sys.exit(f"bench: {' '.join(step)} failed")
    for module in chosen:
        if hasattr(module, "prepare"):
            module.prepare(programs)


def check_programs(chosen, programs, kinds):
    """What would fail every run is said before the first one."""
    wanted = {product for module in chosen for product in getattr(module, "BUILDS", PRODUCTS)}
    paths = {"ingest": programs.ingest, "ingest-send": programs.ingest_send}
    lacking = [name for name in sorted(wanted) if not os.path.exists(paths.get(name, HERE))]
    if kinds and not os.path.exists(programs.at("tx-plain")):
        lacking.append("tools/bench/build's programs")
    if lacking:
        sys.exit(f"bench: {', '.join(lacking)}: not built; run this without --no-build")


def enter_laboratory(kinds, options):
    """Starts this program again inside of tools/lab, which always removes the networks."""
    if not shutil.which("ip"):
        sys.exit("bench: these suites need network namespaces, and there is no ip command here; "
                 "run tools/install --bench")
    if os.geteuid() != 0:
        sys.exit("bench: these suites need network namespaces, so root: run it by sudo -E")
    command = [os.path.join(ROOT, "tools/lab"), "--congestion", "reno"]
    if options.rps is not None:
        command += ["--rps", options.rps]
    command += [*kinds, "--", sys.executable, os.path.join(HERE, "run"), *sys.argv[1:]]
    # An interrupt from the terminal reaches the program inside, too: it writes what it has.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode)


def pieces(found):
    """The results of run(context): one, or several one after the other."""
    return [found] if isinstance(found, Result) else found


def measure_all(chosen, options, programs, done, comparison):
    """Runs the suites one by one; done(part) is called with each result's document."""
    progress = context.Progress()
    contexts = []
    for module in chosen:
        places = {kind: context.Place(kind) for kind in registry.networks(module, options)}
        contexts.append(context.Context(options, programs, progress, places))
        if hasattr(module, "steps"):
            progress.total += module.steps(contexts[-1])
    for module, given in zip(chosen, contexts):
        try:
            for result in pieces(module.run(given)):
                result.errors += given.failures
                given.failures.clear()
                part = result.document()
                progress.close()
                print("\n" + text.result_text(part, comparison), flush=True)
                done(part)
        except measure.Failed as failure:
            progress.close()
            print(f"bench: {module.NAME}: {failure}", file=sys.stderr)
            broken = Result(module.NAME, f"{module.NAME}: not measured to its end")
            broken.error(str(failure))
            done(broken.document())


def destinations(out):
    """The result, the report as text and as a page; nothing without --out."""
    if not out:
        return {}
    if out.endswith(".json"):
        os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
        base = out[:-5]
        return {"json": out, "md": base + ".md", "html": base + ".html"}
    os.makedirs(out, exist_ok=True)
    return {"json": os.path.join(out, "result.json"), "md": os.path.join(out, "report.md"),
            "html": os.path.join(out, "report.html")}


def write(document, comparison, paths, kinds=("json", "md", "html")):
    makers = {"json": lambda: json.dumps(document, indent=1),
              "md": lambda: text.document_text(document, comparison),
              "html": lambda: page.render(document, comparison)}
    for kind in kinds:
        if kind in paths:
            with open(paths[kind], "w", encoding="utf-8") as file:
                file.write(makers[kind]())


def verdict(document, options, comparison):
    """Prints the targets. Returns the exit status."""
    if targets := text.targets_text(document, comparison):
        print("### Targets\n\n" + targets)
    errors = [error for part in document["results"] for error in part["errors"]]
    for line in errors:
        print(f"bench: {line}", file=sys.stderr)
    missed = [target for part in document["results"] for target in part["targets"]
              if target["gate"] and not target["met"]]
    return 1 if errors or (options.gate and missed) else 0


def run_suites(chosen, options, programs, comparison):
    notes = [line for module in chosen if hasattr(module, "missing")
             for line in module.missing(programs)]
    for line in notes:
        print(f"bench: note: {line}", file=sys.stderr)
    document = {
        "schema": SCHEMA, "time": time.time(), "machine": host.describe(ROOT),
        "command": shlex.join(["tools/bench/run", *sys.argv[1:]]),
        "options": vars(options), "notes": list(dict.fromkeys(notes)),
        "suites": {module.NAME: module.ABOUT for module in chosen}, "results": [],
    }
    paths, interrupted = destinations(options.out), False

    def done(part):
        document["results"].append(part)
        write(document, comparison, paths, ("json",))

    try:
        measure_all(chosen, options, programs, done, comparison)
    except KeyboardInterrupt:
        interrupted = True
        document["notes"].append("Interrupted: what follows is what was measured until then.")
    write(document, comparison, paths)
    if "html" in paths:
        print(f"bench: report: {paths['html']}", file=sys.stderr)
    status = verdict(document, options, comparison)
    return 130 if interrupted else status


def beside(path):
    """Where the report of a result goes if nobody says: to its own folder, under its own name."""
    standard = os.path.basename(path) == "result.json"
    return os.path.dirname(os.path.abspath(path)) if standard else path


def earlier(path):
    try:
        return compare.load(path)
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {error}")


def main():
    suites = registry.find()
    options = arguments(suites)
    comparison = compare.Comparison(earlier(options.compare)) if options.compare else None
    if options.report:
        document = earlier(options.report)
        paths = destinations(options.out or beside(options.report))
        write(document, comparison, paths, ("md", "html"))
        print(f"bench: report: {paths['html']}", file=sys.stderr)
        sys.exit(verdict(document, options, comparison))
    chosen = [suites[name] for name in suites if name in options.suites]
    programs = context.Programs(ROOT)
    if INSIDE not in os.environ:
        if not options.no_build:
            build(chosen, programs)
        kinds = sorted({kind for module in chosen for kind in registry.networks(module, options)})
        check_programs(chosen, programs, kinds)
        if kinds:
            enter_laboratory(kinds, options)
    sys.exit(run_suites(chosen, options, context.Programs(ROOT), comparison))
