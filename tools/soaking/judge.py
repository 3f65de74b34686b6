"""What came of each stream, by the receiver's word and by what its sink holds."""
from harness import require
from traffic import MARK

RESET, VANISHED = "reset", "vanished"


def judge_streams(round_):
    """Each connection ended as it was meant to."""
    closed = {int(one["peer"].rsplit(":", 1)[1]): one for one in round_.receiver.closed()}
    for stream in round_.all_streams():
        one = closed.get(stream.port)
        if one is None:
            require(round_.is_over(), f"{stream.name}: ingest says nothing of its end")
            continue
        ends = list(round_.expectation.ends)
        ends.append({None: "finished", "reset": RESET, "vanish": VANISHED}[stream.breaks])
        require(any(end in one["ended"] for end in ends),
                f"{stream.name} ended as {one['ended']!r}, wanted {ends}")
        stream.ended = one
        if one["ended"] == "finished":
            require(one["bytes"] == len(stream.data) or stream.stopped.is_set(),
                    f"{stream.name}: {one['bytes']} of {len(stream.data)} bytes, and finished")
        if stream.acknowledged and not round_.is_over() and RESET in one["ended"]:
            require(one["bytes"] == stream.sent,
                    f"{stream.name}: {one['bytes']} of {stream.sent} acknowledged bytes")


def by_mark(round_, pieces):
    """Which stream each file is of."""
    streams = {stream.data[:MARK]: stream for stream in round_.all_streams() if stream.data}
    found = {}
    for piece in pieces:
        if len(piece) < MARK:
            continue
        stream = streams.get(piece[:MARK])
        require(stream, f"{len(piece)} bytes that nobody sent")
        require(stream.name not in found, f"{stream.name} is there twice")
        found[stream.name] = (stream, piece)
    return found


def judge_sinks(round_):
    """The bytes themselves: each once, in order, up to where the stream ended."""
    if round_.plan.is_wire:
        return
    for target in round_.targets:
        if getattr(target, "lost", None):
            judge_lost(round_, target)
            continue
        pieces = target.finish()
        found = by_mark(round_, pieces)
        # The process of a stage died over records of theirs, though the peer was through.
        told = {one["connection"] for one in round_.receiver.events("fault")
                if one["kind"] == "stage"}
        for stream in round_.all_streams():
            ended = getattr(stream, "ended", None)
            whole = ended is not None and ended["ended"] == "finished" and not stream.breaks \
                and not stream.stopped.is_set() and ended["id"] not in told
            if stream.name not in found:
                require(not whole or len(stream.data) < MARK, f"{stream.name} is in no file")
                continue
            piece = found[stream.name][1]
            stream.judge(piece, whole)
            # What the kernel gave is in the sink: a refused stream alone may have lost its rest.
            if ended is not None and ended["ended"] != "refused" and ended["id"] not in told:
                require(len(piece) == ended["bytes"], f"{stream.name}: {ended['bytes']} bytes "
                        f"received, {len(piece)} in the sink")
    if round_.safe:
        judge_safe(round_)


def judge_safe(round_):
    """After a kill: as much as was told to be safe is there."""
    safe = {}
    for (serial, sink, _), count in round_.safe.items():
        if serial is not None and sink == 0:
            safe[serial] = safe.get(serial, 0) + count
    opened = {one["id"]: int(one["peer"].rsplit(":", 1)[1])
              for one in round_.receiver.events("event") if one["kind"] == "opened"}
    names = {stream.port: stream for stream in round_.all_streams()}
    found = by_mark(round_, round_.targets[-1].finish())
    for serial, count in safe.items():
        stream = names[opened[serial]]
        have = len(found[stream.name][1]) if stream.name in found else 0
        require(have >= count, f"{stream.name}: {count} bytes were safe, {have} are there")


def judge_lost(round_, target):
    """After a consumer was killed: what it had is lost and counted, nothing else.

    That every byte is in one count is seen of each run (harness.py).
    """
    # Of a stream that broke off, what had come of it.
    streams = [stream.data[:stream.ended["bytes"]] if getattr(stream, "ended", None)
               else stream.data for stream in round_.all_streams()]
    for consumer in target.lost:
        for piece in target.content(consumer):
            require(any(data.startswith(piece) for data in streams),
                    f"{len(piece)} bytes of the first consumer were not sent so")
    for piece in target.finish():
        # A stop under load cuts the end off, too.
        require(any(data.endswith(piece) or data.startswith(piece)
                    or round_.is_over() and piece in data for data in streams),
                f"{len(piece)} bytes of the next consumer were not sent so")
