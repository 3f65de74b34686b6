"""What suites build beyond tools/bench/build: packages of their own, single C programs."""

import os
import shutil
import subprocess
import sys

import measure

HERE = os.path.dirname(os.path.abspath(__file__))


def package(programs, name, *products):
    """Builds products of the Swift package tools/NAME, all of them if none is named."""
    command = ["swift", "build", "-c", "release", "--package-path",
               os.path.join(programs.root, "tools", name)]
    for step in [[*command, "--product", product] for product in products] or [command]:
        print("building: " + " ".join(step), file=sys.stderr)
        if subprocess.run(step, stdout=sys.stderr, check=False).returncode:
            raise measure.Failed(f"{' '.join(step)} failed")


def product(programs, name, program):
    """Where a product of tools/NAME lies."""
    path = os.path.join(programs.root, "tools", name, ".build/release", program)
    if not os.path.exists(path):
        raise measure.Failed(f"{path} is not there; build it with: swift build -c release "
                             f"--package-path tools/{name}")
    return path


def c_program(programs, name, *flags, suffix=""):
    """Compiles tools/bench/NAME.c into the folder of the benchmark's programs."""
    compiler = os.environ.get("CC") or shutil.which("clang") or shutil.which("gcc")
    if not compiler:
        raise measure.Failed("no C compiler; install one with: apt-get install gcc")
    os.makedirs(programs.bench, exist_ok=True)
    include = os.path.join(programs.root, "Sources/CIngestStage/include")
    command = [compiler, "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
               "-I", include, "-o", programs.at(name + suffix), os.path.join(HERE, name + ".c"),
               *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise measure.Failed(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
