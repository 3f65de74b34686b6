"""What the figures depend on: machine, kernel, tool chain, versions of the peers."""

import os
import platform
import shutil
import subprocess


def output(*command, cwd=None):
    """The first line a program prints; nothing where there is no such program."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    return (done.stdout.strip() or done.stderr.strip()).split("\n")[0]


def first_value(path, word):
    """What follows `word :` in a file of /proc."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(word):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def content(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def package(name):
    return output("dpkg-query", "-W", "-f", "${Version}", name)


def describe(root):
    flags = first_value("/proc/cpuinfo", "flags").split()
    memory = first_value("/proc/meminfo", "MemTotal").split()
    return {
        "kernel": platform.release(),
        "cpu": first_value("/proc/cpuinfo", "model name") or platform.machine(),
        "cpus": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "memory": f"{int(memory[0]) / 2**20:.1f} GiB" if memory else "",
        "transparentHugePages": content("/sys/kernel/mm/transparent_hugepage/enabled"),
        "commit": output("git", "rev-parse", "HEAD", cwd=root) or "unknown",
        "changed": bool(output("git", "status", "--porcelain", cwd=root)),
        "swift": output("swift", "--version"),
        "compiler": output(os.environ.get("CC") or "clang", "--version").split(" (")[0]
        or output("gcc", "--version"),
        "liburing": package("liburing-dev"),
        "iperf3": output("iperf3", "--version").split(" (")[0],
    }
