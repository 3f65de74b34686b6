"""The virtual NIC (tools/zcnic), built for the guest's kernel with the guest's compiler."""

import os
import shutil

import trixie
from store import GuestError, digest, step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = os.path.join(ROOT, "tools/zcnic")
# Mounts stay in a namespace of their own, so that nothing is left of them however this ends.
# objtool wants /proc; the tree's own /tmp is where the sources are put.
BUILD = """\
set -e
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/tmp"
exec chroot "$1" make -s -C "/usr/lib/modules/$3/build" M=/tmp "-j$4" modules
"""


def sources():
    """Its files, or none where the module is not there."""
    if not os.path.isdir(SOURCES):
        return []
    return sorted(file for file in os.listdir(SOURCES)
                  if file.endswith((".c", ".h")) or file in ("Kbuild", "Makefile"))


def name(version):
    """The name of the module in the store: other sources or another kernel are another module."""
    parts = []
    for file in sources():
        with open(os.path.join(SOURCES, file), "rb") as source:
            parts += [file, source.read()]
    return "zcnic-" + digest(trixie.name(), version, BUILD, *parts) if parts else None


def make(tree, version, folder):
    """Builds the module in `folder`, which holds zcnic.ko then."""
    for file in sources():
        shutil.copy(os.path.join(SOURCES, file), folder)
    command = ["unshare", "--mount", "--propagation=private"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    command += ["sh", "-c", BUILD, "sh", tree, folder, version, str(os.cpu_count())]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    with step(f"building the virtual NIC's module for Linux {version}"):
        trixie.run(command, env=environment)
    if not os.path.exists(os.path.join(folder, "zcnic.ko")):
        raise GuestError(f"building {SOURCES} made no zcnic.ko; does its Makefile name it?")


def get(store, tree, version):
    """The path of zcnic.ko, built if need be; None where the sources are not there."""
    found = name(version)
    if found is None:
        return None
    folder = store.get(found, lambda partial: make(tree, version, partial))
    return os.path.join(folder, "zcnic.ko")
