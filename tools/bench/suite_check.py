"""Receiving wire records and verifying the checksum of each."""

import measure
import peers
import receiving
from context import RX_CPU, TX_CPU
from result import Result

NAME = "check"
ABOUT = "receiving wire records and verifying the CRC32C of each"
NEEDS_NETWORK = ("veth", "lo")
ORDER = 20

TWIN, CHECKING = "C twin, wire", "ingest + CRC32C"


def receivers(programs):
    """From our sender; the last two read every byte."""
    return {
        TWIN: peers.twin(programs),
        "C twin + CRC32C": peers.twin(programs, "-k"),
        CHECKING: peers.ours(
            programs, "--parse", "wire", "--checksum", "crc32c:verify", "--sink", "null"),
    }


def steps(context):
    return context.options.rounds * len(receivers(context.programs)) * len(context.places)


def checked(context, place, receiver):
    """A run with our own sender of wire records, measured as a whole."""
    options, port = context.options, context.port()
    sender = [context.programs.ingest_send, "--to", f"{place.address}:{port}", "--method", "send"]
    sender += ["-C", "reno", "-l", "128K", "-t", f"{options.seconds + options.warm_up:g}", "--json"]
    run = measure.once(
        (receiver(place.address, port), place.rx), (sender, place.tx, TX_CPU), port, options.limit)
    end = run["tx"]["end"]["send"]
    return receiving.whole(run, end["counters"]["bytes"], end["elapsedSeconds"])


def crc_floor(context):
    """CPU seconds per GB of ISA-L's CRC32C over memory like ours, the best of a few."""
    command = [context.programs.at("crc-floor"), "-W", peers.AREA, "-b", peers.BUFFER, "-n", "4g",
               "-c", RX_CPU]
    return min(measure.alone(command, context.options.limit)["tx"]["seconds_per_gb"]
               for _ in range(3))


def over(context, place, lowest):
    title = f"check {place.kind}"
    floor = crc_floor(context)
    result = Result(NAME, f"Verifying over {place.kind}",
                    "Wire records from ingest-send; every byte is read once for its checksum.")
    series = context.rounds(title, receivers(context.programs),
                            lambda row: checked(context, place, row),
                            lambda row: receiving.warm(lowest, title, row))
    receiving.describe(result, series, TWIN)
    result.note(f"ISA-L's CRC32C alone: {floor:.4f} s/GB over memory of the same size.")
    result.target(
        f"{place.kind}: machine CPU per GB, ingest + CRC32C : 1.10 C twin + 1.15 ISA-L",
        series.combine((CHECKING, TWIN), "machine",
                       lambda mine, twin: mine / (1.10 * twin + 1.15 * floor)), 1.00)
    return result


def run(context):
    lowest = {}
    for place in context.places.values():
        yield over(context, place, lowest)
