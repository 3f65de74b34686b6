"""The guest's root file system: the host's files, a throw-away layer above them, shared folders."""

import ctypes
import fcntl
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_PIVOT_ROOT, SYS_FINIT_MODULE = 155, 313
MODULE_INIT_COMPRESSED_FILE = 4
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2


def call(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind="", flags=0, options=""):
    call(LIBC.mount(os.fsencode(source), os.fsencode(target), kind.encode(),
                    ctypes.c_ulong(flags), os.fsencode(options)), f"mount {kind} {target}")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def load(path):
    """Loads a module from its file, compressed or not."""
    file = os.open(path, os.O_RDONLY)
    flags = MODULE_INIT_COMPRESSED_FILE if path.endswith((".xz", ".zst", ".gz")) else 0
    call(LIBC.syscall(SYS_FINIT_MODULE, file, b"", flags), f"load {path}")
    os.close(file)


def make(job):
    """Mounts it, moves to it, and mounts the kernel's file systems in it."""
    load(job["overlay"])
    work, root = "/run/layer", "/run/root"
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    for folder in (work + "/upper", work + "/work", root):
        os.makedirs(folder)
    mount("overlay", root, "overlay",
          options=f"lowerdir=/,upperdir={work}/upper,workdir={work}/work")
    for folder in job["shared"]:
        mount(folder, root + folder, flags=MS_BIND)
    os.makedirs(root + "/usr/lib/modules", exist_ok=True)
    mount(job["modules"], root + "/usr/lib/modules", flags=MS_BIND)
    private = MS_NOSUID | MS_NODEV | MS_NOEXEC
    for folder in ("/proc", "/sys", "/dev", "/run"):
        os.makedirs(root + folder, exist_ok=True)
    mount("proc", root + "/proc", "proc", private)
    mount("sysfs", root + "/sys", "sysfs", private)
    mount("devtmpfs", root + "/dev", "devtmpfs", MS_NOSUID)
    mount("tmpfs", root + "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.chdir(root)
    call(LIBC.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    call(LIBC.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")
    for target, kind, options in (
            ("/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666"),
            ("/dev/shm", "tmpfs", "mode=1777"),
            ("/dev/hugepages", "hugetlbfs", "pagesize=2M"),
            ("/sys/kernel/debug", "debugfs", ""),
            ("/sys/kernel/tracing", "tracefs", ""),
            ("/sys/fs/cgroup", "cgroup2", ""),
            ("/sys/fs/bpf", "bpf", "")):
        os.makedirs(target, exist_ok=True)
        mount(kind, target, kind, options=options)
    for link, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        if not os.path.lexists("/dev/" + link):
            os.symlink("/proc/self/" + target, "/dev/" + link)
    os.makedirs("/run/lock")


def settle(job):
    """What a started system has beside its file systems."""
    socket.sethostname("guest")
    up = struct.pack("16sh14x", b"lo", 0x1)  # IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS
    # The kernel starts on one CPU, so that no other runs code that it patches meanwhile.
    for number in range(1, job["cpus"]):
        write(f"/sys/devices/system/cpu/cpu{number}/online", "1")
    for path, text in job["sysctl"].items():
        write("/proc/sys/" + path, text)
    if job["module"]:
        # So that `modprobe zcnic` finds it, beside the modules of the kernel's own package.
        os.makedirs("/etc/modprobe.d", exist_ok=True)
        write("/etc/modprobe.d/ingest-guest.conf",
              f"install zcnic {job['insmod']} {job['module']} $CMDLINE_OPTS\n")
    write("/run/ingest-guest", job["host"] + "\n")
