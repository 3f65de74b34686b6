"""What the gates read out of finished binaries: functions, calls, loops, instruction counts."""

import os
import re
import subprocess
import sys


class GateError(Exception):
    """A gate's sentence for people; printed without a traceback."""


def run(command, **options):
    """Runs a command and returns its output; a failure becomes a GateError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError:
        raise GateError(f"{command[0]} is not installed; tools/install --tests installs it")
    if done.returncode:
        text = (done.stdout + done.stderr).strip()[-2000:]
        raise GateError(f"{' '.join(command)} failed ({done.returncode}):\n{text}")
    return done.stdout


def demangle(text):
    return run(["swift", "demangle"], input=text)


class Function:
    """A function of a disassembly: its name and its instructions as (address, text)."""

    def __init__(self, name):
        self.name = name
        self.code = []

    def targets(self):
        """Addresses of what is called or jumped to directly, as (address, target address)."""
        for address, text in self.code:
            found = re.match(r"(?:call|j\w+)\s+([0-9a-f]+)\b", text)
            if found:
                yield address, int(found[1], 16)

    def calls(self):
        """Targets of calls and of jumps that leave the function, as (address, name)."""
        for address, text in self.code:
            found = re.match(r"(call|jmp|j\w+)\s+(.*)", text)
            if not found:
                continue
            target = re.search(r"<(.+)>$", found[2])
            if found[1] == "call":
                yield address, target[1] if target else found[2]
            elif target and not self.owns(target[1]):
                yield address, target[1]

    def owns(self, target):
        return target == self.name or target.startswith(self.name + "+0x")

    def loops(self):
        """Address ranges from the target of a backward jump to the jump."""
        for address, text in self.code:
            found = re.match(r"j\w+\s+([0-9a-f]+)\s", text)
            if found and int(found[1], 16) <= address and self.contains(int(found[1], 16)):
                yield int(found[1], 16), address

    def contains(self, address):
        return bool(self.code) and self.code[0][0] <= address <= self.code[-1][0]


def functions(binary, symbol=None):
    """The functions of a binary by objdump, names mangled."""
    if not os.path.exists(binary):
        raise GateError(f"{binary} is not there; build it first")
    command = ["objdump", "-d", "--no-show-raw-insn"]
    if symbol:
        command.append(f"--disassemble={symbol}")
    found = []
    for line in run(command + [binary]).splitlines():
        head = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        if head:
            found.append(Function(head[1]))
            continue
        body = re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)
        if body and found:
            found[-1].code.append((int(body[1], 16), body[2].strip()))
    return found


def split_unnamed(found):
    """Cuts functions without a symbol off the ones in front of them.

    LLVM merges equal functions into one whose name does not reach the symbol table. Such a one
    starts on a 16-byte boundary behind the end of another (a ret or jmp, then padding), and nothing
    in front of it jumps there.
    """
    result = []
    for function in found:
        inside = {target for _, target in function.targets()}
        current, ended = Function(function.name), False
        result.append(current)
        for address, text in function.code:
            padding = re.match(r"(data16|cs |nop|xchg +%ax,%ax)", text)
            if ended and not padding and address % 16 == 0 and address not in inside:
                current = Function(f"(unnamed at {address:x})")
                result.append(current)
            if not padding:
                ended = bool(re.match(r"(ret|jmp|ud2)", text))
            current.code.append((address, text))
    return result


def plain(name):
    """A call's target without the version and linkage suffixes: malloc@plt -> malloc."""
    return re.sub(r"(@.*|\+0x[0-9a-f]+)$", "", name)


def without_debug_info(binary, folder):
    """A copy that valgrind can read: 3.19 gives up on the DWARF 5 that Swift writes."""
    copy = os.path.join(folder, os.path.basename(binary))
    run(["objcopy", "--strip-debug", binary, copy])
    return copy


def instructions(binary, arguments, function, folder):
    """Instructions executed inside a function, its callees included, and what was printed."""
    out = os.path.join(folder, "callgrind.out")
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
               f"--toggle-collect={function}", binary] + arguments
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise GateError("valgrind is not installed; tools/install --tests installs it")
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or int(found[1]) == 0:
        raise GateError(f"{' '.join(command)} counted nothing:\n{done.stderr.strip()[-2000:]}")
    return int(found[1]), done.stdout.strip()


def main(body):
    """Runs a gate's main function; a GateError ends it with its sentence and status 1."""
    try:
        sys.exit(body())
    except GateError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(1)
