"""Registration refused: each cause is named, with the command that mends it and an exit code."""
import os
import struct
import subprocess
import tempfile

from harness import BIN, check, equal, require
from zcrx_port import PORT, Place


@check
def zcrx_refused_split_off():
    with Place(queue=3) as place:
        place.ethtool("-G", "tcp-data-split", "off")
        return place.refused(
            wanted=4, text="header split", remedy="ethtool -G zc0 tcp-data-split on")


@check
def zcrx_refused_threshold():
    with Place(queue=3) as place:
        place.threshold(100)
        said = place.refused(wanted=4, text="hds-thresh", remedy="hds-thresh 0")
        place.threshold(0)
        return said


def xdp_object():
    """An ELF object with a program that lets every packet pass: r0 = XDP_PASS; exit."""
    code = bytes.fromhex("b700000002000000" "9500000000000000")
    names = b"\0.shstrtab\0xdp.frags\0.strtab\0.symtab\0license\0"
    license_text, strings = b"GPL\0", b"\0pass\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 2, 0, len(code))
    parts = [(0, b""), (3, names), (1, code), (3, strings), (2, symbols), (1, license_text)]
    offsets, body, at = [], b"", 64
    for _, data in parts:
        offsets.append(at)
        padded = data + bytes(-len(data) % 8)
        body += padded
        at += len(padded)
    titles = ["", ".shstrtab", "xdp.frags", ".strtab", ".symtab", "license"]
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 247, 1, 0, 0, at, 0, 64, 0, 0,
                         64, len(parts), 1)
    table = b""
    for index, (kind, data) in enumerate(parts):
        title = names.index(b"\0" + titles[index].encode() + b"\0") + 1 if titles[index] else 0
        flags = 6 if titles[index] == "xdp.frags" else 3 if titles[index] == "license" else 0
        link, info, size = (3, 1, 24) if kind == 2 else (0, 0, 0)
        table += struct.pack("<IIQQQQIIQQ", title, kind, flags, 0, offsets[index] if index else 0,
                             len(data), link, info, 8 if kind in (1, 2) else 1, size)
    return header + body + table


@check
def zcrx_refused_XDP():
    with Place(queue=3) as place, tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(xdp_object())
        file.flush()
        # Where headers are split only a program that takes fragments may be attached.
        place.call_inside("ip", "link", "set", "dev", place.DEVICE, "xdpgeneric", "object",
                          file.name, "section", "xdp.frags")
        try:
            return place.refused(wanted=4, text="XDP", remedy="xdp")
        finally:
            place.call_inside("ip", "link", "set", "dev", place.DEVICE, "xdpgeneric", "off")


@check
def zcrx_refused_queue_bound():
    with Place(queue=3) as place:
        place.steer(PORT)
        with place.receiver() as first:
            said = place.refused("--port", PORT + 1, wanted=4, text="taken", remedy="--queue")
            equal(first.stop(), 0, "exit code of the first")
        return said


@check
def zcrx_refused_queue_out_of_range():
    with Place(queue=3) as place:
        return place.refused(queue=9, wanted=4, text="zc0 has", remedy="ethtool -L zc0")


@check
def zcrx_refused_memlock():
    with Place(queue=3) as place:
        # Root's CAP_IPC_LOCK lifts the limit, so it goes.
        prefix = [*place.inside(place.RX), "setpriv", "--bounding-set", "-ipc_lock",
                  "--inh-caps", "-ipc_lock", "prlimit", "--memlock=1048576:1048576"]
        return place.refused(prefix=prefix, wanted=5, text="lock", remedy="ulimit -l")


@check
def zcrx_refused_buffer_length():
    with Place(queue=3) as place:
        return place.refused(
            "--buffer", "64K", "--memory", "pages", wanted=4, text="64", remedy="--buffer")


@check
def zcrx_refused_no_capability():
    with Place(queue=3) as place:
        prefix = [*place.inside(place.RX), "setpriv", "--bounding-set", "-net_admin"]
        return place.refused(prefix=prefix, wanted=5, text="CAP_NET_ADMIN")


@check
def zcrx_refused_loopback_device():
    with Place(queue=3) as place:
        done = subprocess.run(
            [*place.inside(place.RX), os.path.join(BIN, "ingest"), "run", "--ifname", "lo",
             "--queue", "0", "--port", str(PORT)], capture_output=True, text=True, timeout=120)
        equal(done.returncode, 3, f"exit code ({done.stderr.strip()})")
        require("lo" in done.stderr and "--engine" in done.stderr, done.stderr)
        return done.stderr.splitlines()[0][:110]


@check
def zcrx_refused_interface_down():
    with Place(queue=3) as place:
        subprocess.run(["ip", "-n", place.RX, "link", "set", place.DEVICE, "down"], check=True)
        # The kernel binds a queue of an interface that is down, and the driver has its say when
        # the interface comes up: so this must either work then, or say what is wrong now.
        with place.receiver("--connections", 1) as receiver:
            subprocess.run(["ip", "-n", place.RX, "link", "set", place.DEVICE, "up"], check=True)
            place.send("--bytes", "1M")
            equal(receiver.finish(60), 0, "exit code")
        return "bound while down, received once up"


@check
def zcrx_refused_failing_driver():
    with Place(queue=3) as place:
        said = []
        for knob in ["fail_mem_alloc", "fail_start"]:
            place.knob("fail_errno", 12)
            place.knob(knob, 1)
            said.append(place.refused(wanted=1, text="memory"))
            place.knob(knob, 0)
            # And nothing is left behind: the next start works.
            with place.receiver() as receiver:
                equal(receiver.stop(), 0, "exit code after the fault")
        return said[0]
