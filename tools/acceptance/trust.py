"""Files that somebody else could change are not followed: configuration, framings, stages."""
import os
import shutil
import subprocess

from harness import BIN, ROOT, Scratch, check, equal, require, run, tool
from plugins import words

OTHER = 4321


def refused(folder, words_of_command, code, *said):
    """It must not start, and say each of these."""
    status, _, error = run(*words_of_command)
    equal(status, code, f"exit code of {words_of_command}: {error}")
    flat = " ".join(error.split())
    for text in said:
        require(text in flat, f"{text!r} is not in: {flat}")
    return error


def commands(folder):
    """What reads each of the three kinds of file, and the file."""
    config, framing, stage = f"{folder}/in/run.json5", f"{folder}/in/frames.json5", words(
        f"{folder}/in")
    with open(config, "w") as file:
        file.write("{ command: \"ingest run\", time: 0.1, port: 0 }\n")
    shutil.copy(f"{ROOT}/configs/kafka-like.json5", framing)
    short = ("run", "--port", 0, "--time", "0.1", "--listen", "127.0.0.1")
    return [(config, ("run", "--config", config)),
            (framing, (*short, "--parse", f"described:{framing}")),
            (stage, (*short, "--parse", "lines", "--stage", stage)),
            (stage, (*short, "--parse", "lines", "--stage-isolated", stage))]


@check
def files_that_others_could_change_are_refused():
    with Scratch() as folder:
        inside = f"{folder}/in"
        os.mkdir(inside, 0o755)
        for path, command in commands(folder):
            equal(run(*command)[0], 0, f"exit code of {command}, all well")
            for target, mode, line in ((path, 0o666, f"chmod go-w {path}"),
                                       (inside, 0o757, f"chmod o-w {inside}"),
                                       (folder, 0o777, f"chmod go-w {folder}")):
                before = os.stat(target).st_mode & 0o7777
                os.chmod(target, mode)
                refused(folder, command, 2, f"{target} can be written by every user", line)
                os.chmod(target, before)
            os.chown(path, OTHER, 0)
            refused(folder, command, 2, f"{path} belongs to user {OTHER}", f"chown root {path}")
            os.chown(path, 0, OTHER)
            os.chmod(path, 0o774)
            refused(folder, command, 2, f"{path} can be written by group {OTHER}",
                    f"chmod g-w {path}")
            os.chown(path, 0, 0)
            # Root's group is root's; in a sticky folder nobody replaces what is another's.
            os.chmod(inside, 0o1777)
            equal(run(*command)[0], 0, f"exit code of {command}, sticky")
            os.chown(inside, OTHER, 0)
            error = refused(folder, command, 2, f"{inside} belongs to user {OTHER}")
            os.chown(inside, 0, 0)
            os.chmod(inside, 0o755)
        return " ".join(error.split())


@check
def links_are_judged_by_what_they_lead_to():
    with Scratch() as folder:
        os.mkdir(f"{folder}/in", 0o755)
        for number, (path, command) in enumerate(commands(folder)):
            link = f"{folder}/link{number}"
            os.symlink(path, link)
            linked = [str(word).replace(path, link) for word in command]
            equal(run(*linked)[0], 0, f"exit code of {linked}")
            os.chmod(f"{folder}/in", 0o777)
            refused(folder, linked, 2, f"{folder}/in can be written by every user")
            os.chmod(f"{folder}/in", 0o755)


@check
def pipes_are_their_readers_own():
    """Standard input and the shell's <( ) have no name that others could use."""
    with Scratch() as folder:
        config = f"{folder}/run.json5"
        with open(config, "w") as file:
            file.write("{ command: \"ingest run\", port: 7777 }\n")
        os.chmod(config, 0o666)
        for line in (f"{BIN}/ingest run --config - --show-config <{config}",
                     f"{BIN}/ingest run --config <(cat {config}) --show-config"):
            done = subprocess.run([tool("bash"), "-c", line], capture_output=True, text=True,
                                  timeout=30)
            equal(done.returncode, 0, f"{line}: {done.stderr}")
            require("7777" in done.stdout, done.stdout)


@check
def an_ordinary_users_files_are_its_own():
    """Its own file, and root's; its private group may write, another one not."""
    with Scratch() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/mine")
        config = f"{folder}/mine/run.json5"
        with open(config, "w") as file:
            file.write("{ command: \"ingest run\" }\n")
        plain = [tool("setpriv"), "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups"]

        def code():
            done = subprocess.run([*plain, f"{BIN}/ingest", "run", "--config", config,
                                   "--show-config"], capture_output=True, text=True, timeout=30)
            return done.returncode, done.stderr

        equal(code(), (0, ""), "a file of root's")
        os.chown(f"{folder}/mine", OTHER, OTHER)
        os.chown(config, OTHER, OTHER)
        os.chmod(config, 0o664)
        equal(code(), (0, ""), "a file of its own that its own group may write")
        os.chown(config, OTHER, 100)
        status, error = code()
        equal(status, 2, "exit code for a file that group 100 may write")
        require("can be written by group 100" in error, error)
        os.chown(config, OTHER + 1, OTHER)
        status, error = code()
        equal(status, 2, "exit code for a file of somebody else's")
        require(f"belongs to user {OTHER + 1}" in error, error)
