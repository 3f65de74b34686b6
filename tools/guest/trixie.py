"""The Debian packages that the guest is made of: kernel, modules, headers, a compiler, ethtool, ip.

Debian trixie's, with the newest kernel of trixie-backports, whatever this machine runs. apt chooses
and verifies them with lists, keys and state of its own, and they are unpacked rather than
installed: no maintainer script runs, so it needs no root and touches nothing of the machine.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from store import GuestError, digest, step

# Raise this when the way of making the tree changes, not only the words below.
RECIPE = 1
SUITE = "trixie"
PACKAGES = (
    "linux-image-amd64", "linux-headers-amd64",
    # What a module build runs; the headers name their compiler.
    "gcc-14", "make", "libc6-dev", "dash", "bash", "coreutils", "sed", "grep", "mawk", "findutils",
    # Newer than a host's may be: header split, its threshold, RSS contexts, netkit.
    "ethtool", "iproute2",
    # Loads the modules, which are compressed.
    "kmod", "liblzma5",
    # Shares this machine's files with the guest; that of older emulators would need root.
    "virtiofsd",
    "base-files")
# Of no use in a tree that nobody boots from.
LEFT_OUT = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/info",
            "./usr/share/zoneinfo")
TOOLS = ("ethtool", "ip", "tc", "ss", "bridge",
         "modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod", "virtiofsd")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "INGEST_DEBIAN_MIRROR"

CONFIGURATION = """\
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "{folder}/preferences";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
"""
PREFERENCES = f"""\
Package: linux-*
Pin: release n={SUITE}-backports
Pin-Priority: 900
"""
# The kernel package wants something that makes initial RAM disks, and with it comes half a system.
# The guest needs none: what it mounts its root with is built into that kernel.
PROVIDED = """\
Package: ingest-guest-provides
Status: install ok installed
Architecture: all
Version: 1
Maintainer: nobody
Provides: linux-initramfs-tool
Description: what the tree of the guest does without

"""
# A program of the tree on another distribution: with the libraries that it was built for.
WRAPPER = """\
#!/bin/sh
tree=${{0%/*}}/..
exec "$tree/lib64/ld-linux-x86-64.so.2" --argv0 "$0" \\
  --library-path "$tree/usr/lib/x86_64-linux-gnu" "$tree{program}" "$@"
"""


def name():
    """The name of the tree in the store: another recipe is another tree."""
    return "trixie-" + digest(RECIPE, SUITE, PACKAGES, LEFT_OUT, TOOLS, CONFIGURATION, PREFERENCES,
                              PROVIDED, WRAPPER)


def run(command, **options):
    """Runs a command quietly; what it said becomes part of the error."""
    try:
        done = subprocess.run(command, **{"stdin": subprocess.DEVNULL, **options}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    except FileNotFoundError as error:
        raise GuestError(f"{command[0]} is missing; tools/install --guest installs what is needed",
                         3) from error
    if done.returncode != 0:
        said = "\n  ".join(done.stdout.strip().splitlines()[-15:])
        raise GuestError(f"`{' '.join(command)}` failed with {done.returncode}:\n  {said}")
    return done.stdout


def mirror():
    """The Debian mirror: as the environment says, else the one that this machine's apt uses."""
    if os.environ.get(MIRROR):
        return os.environ[MIRROR].rstrip("/")
    try:
        listed = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
                      "Created-By: Packages"])
    except GuestError:
        listed = ""
    rows = [line.split("|", 2) for line in listed.splitlines() if line.count("|") >= 2]
    for origin, label, uri in rows:
        # Without downloaded lists apt knows no origin; the name of the archive is as good then.
        known = (origin, label) == ("Debian", "Debian")
        if known or (origin != "Ubuntu" and uri.rstrip("/").endswith("/debian")):
            return uri.rstrip("/")
    raise GuestError(
        f"apt's sources here name no Debian mirror, and the guest's kernel is Debian's.\n"
        f"  Name one: export {MIRROR}=http://SOME-MIRROR/debian\n"
        f"  On Ubuntu also: apt-get install debian-archive-keyring", 3)


def make(folder):
    """Fills `folder` with the tree."""
    if not os.path.exists(KEYRING):
        raise GuestError(f"{KEYRING} is missing, with which Debian's packages are verified; "
                         f"apt-get install debian-archive-keyring", 3)
    source = mirror()
    apt = os.path.join(folder, ".apt")
    for sub in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(apt, sub))
    files = {
        "apt.conf": CONFIGURATION.format(folder=apt),
        "preferences": PREFERENCES,
        "status": PROVIDED,
        "sources.list": "".join(f"deb [signed-by={KEYRING}] {source} {suite} main\n"
                                for suite in (SUITE, SUITE + "-backports")),
    }
    for file, text in files.items():
        with open(os.path.join(apt, file), "w") as out:
            out.write(text)
    environment = dict(os.environ, APT_CONFIG=os.path.join(apt, "apt.conf"), LC_ALL="C.UTF-8")
    with step(f"reading the package lists of {source} {SUITE}, {SUITE}-backports"):
        run(["apt-get", "update", "-q=2", "-o", "APT::Update::Error-Mode=any"], env=environment)
    with step("downloading a kernel, its headers and a compiler (about 200 MB)"):
        run(["apt-get", "install", "-y", "-q=2", "--download-only", *PACKAGES], env=environment)
    with step("unpacking them"):
        unpack(os.path.join(apt, "archives"), folder)
    shutil.rmtree(apt)
    version = kernel(folder)
    with step(f"indexing the modules of Linux {version}"):
        run([os.path.join(folder, "tools/depmod"), "-b", folder, version])


def unpack(archives, folder):
    """Unpacks every package; the links of a merged /usr are there before whatever follows them."""
    for link in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(folder, "usr", link))
        os.symlink("usr/" + link, os.path.join(folder, link))

    def one(package):
        opened = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", os.path.join(archives, package)],
                                  stdout=subprocess.PIPE)
        run(["tar", "-x", "-C", folder, "--keep-directory-symlink", "--no-same-owner",
             *("--exclude=" + path for path in LEFT_OUT)], stdin=opened.stdout)
        if opened.wait() != 0:
            raise GuestError(f"cannot unpack {package}; is the disk full?")

    packages = [file for file in os.listdir(archives) if file.endswith(".deb")]
    packages.sort(key=lambda file: -os.path.getsize(os.path.join(archives, file)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, packages))
    # Links that a maintainer script would have made.
    os.symlink("mawk", os.path.join(folder, "usr/bin/awk"))
    os.makedirs(os.path.join(folder, "tools"))
    for tool in TOOLS:
        places = (f"/usr/{place}/{tool}" for place in ("sbin", "bin", "libexec"))
        program = next(path for path in places if os.path.lexists(folder + path))
        wrapper = os.path.join(folder, "tools", tool)
        with open(wrapper, "w") as out:
            out.write(WRAPPER.format(program=program))
        os.chmod(wrapper, 0o755)


def kernel(folder):
    """The version of the kernel in the tree."""
    versions = os.listdir(os.path.join(folder, "usr/lib/modules"))
    if len(versions) != 1:
        raise GuestError(f"{folder} holds {len(versions)} kernels instead of one; "
                         f"remove that folder and run again")
    return versions[0]
