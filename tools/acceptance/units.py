"""What is installed beside the binaries."""
import os
import subprocess

from harness import BIN, ROOT, Scratch, check, equal, tool


@check
def the_systemd_unit_verifies():
    with open(os.path.join(ROOT, "tools/systemd/ingest@.service")) as file:
        text = file.read()
    with Scratch() as folder:
        # The unit names where the program is installed; here it is where it was built.
        binary = os.path.join(BIN, "ingest")
        path = os.path.join(folder, "ingest@.service")
        with open(path, "w") as file:
            file.write(text.replace("/usr/local/bin/ingest", binary))
        # A specifier is only resolved in an instance.
        done = subprocess.run(
            [tool("systemd-analyze"), "verify", "--man=no",
             path.replace("@.service", "@eth1.service")],
            capture_output=True, text=True, timeout=60)
        equal((done.returncode, done.stdout + done.stderr), (0, ""), "what systemd-analyze says")
        with open(path, "w") as file:
            file.write(text.replace("/usr/local/bin/ingest", "/nowhere/ingest"))
        broken = subprocess.run(
            [tool("systemd-analyze"), "verify", "--man=no",
             path.replace("@.service", "@eth1.service")],
            capture_output=True, text=True, timeout=60)
        equal(broken.returncode != 0, True, "a wrong unit is found")
