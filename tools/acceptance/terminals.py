"""What a person at a terminal sees."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from harness import BIN, check, equal, require


def on_terminal(columns, kind):
    """Everything that a short loopback run writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [os.path.join(BIN, "ingest"), "loopback", "-t", "1", "-i", "0", "-b", "50M"],
        stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env={"TERM": kind})
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the last writer has gone
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    equal(process.wait(20), 0, "exit code")
    return seen.decode()


@check
def progress_line_fits_the_terminal():
    for columns in (20, 80):
        lines = re.findall(r"\r\x1b\[K(\[[^\r\n]*)", on_terminal(columns, "xterm"))
        require(lines, f"no progress line on {columns} columns")
        longest = max(map(len, lines))
        require(longest < columns, f"{longest} characters on {columns} columns")
    return "20 and 80 columns"


@check
def no_escapes_on_a_dumb_terminal():
    require("\x1b" not in on_terminal(80, "dumb"), "an escape sequence on TERM=dumb")
    return "none"
