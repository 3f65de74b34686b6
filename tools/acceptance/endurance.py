"""Memory does not grow with what passes through."""
import os
import subprocess
import time

from harness import BIN, Receiver, check, equal, require

SECONDS = float(os.environ.get("ACCEPTANCE_ENDURANCE_SECONDS", 60))


@check
def resident_size_stays_where_it_was_for_a_minute():
    with Receiver(
        "--parse", "wire", "--checksum", "crc32c:verify", "--sink", "null"
    ) as receiver:
        def sender(*arguments):
            return subprocess.Popen(
                [os.path.join(BIN, "ingest-send"), "--to", f"127.0.0.1:{receiver.port}", "-C",
                 "reno", "-i", "0", *arguments],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        steady = sender("-t", str(SECONDS), "--record-minimum", "1", "--record-maximum", "64K",
                        "-b", "4G", "-P", "4")
        time.sleep(2)  # first touches of every pool
        started = time.monotonic()
        samples = [receiver.resident()]
        churn = 0
        while time.monotonic() - started < SECONDS - 4:
            # Connections that come and go beside the steady ones.
            brief = sender("--records", "2000", "-l", "1K")
            equal(brief.wait(30), 0, "exit code of a brief sender")
            churn += 1
            samples.append(receiver.resident())
            time.sleep(0.5)
        equal(steady.wait(60), 0, f"exit code of the sender: {steady.stderr.read()[-300:]}")
        samples.append(receiver.resident())
        equal(receiver.stop(), 0, "exit code")
        counters = receiver.counters
        equal(counters["faults"], 0, "faults")
        # The first samples may still see pages of code and stack touched for the first time.
        settled = samples[min(4, len(samples) - 1)]
        grown = max(samples) - settled
        require(grown <= 256 << 10, f"grew by {grown} bytes: {samples}")
        return (f"{counters['records']} records, {counters['bytes'] / 1e9:.0f} GB, "
                f"{churn + 4} connections; {settled >> 10} KiB, grown by {grown >> 10} KiB")
