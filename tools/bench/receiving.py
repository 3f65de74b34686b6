"""Runs of a receiver, and the tables and plots that receivers share."""

import measure
from context import TX_CPU
from result import Column, spread


def windowed(context, place, receiver, *sender_options):
    """A run with the common sender, measured in a window of its steady state."""
    options, programs, port = context.options, context.programs, context.port()
    sender = [programs.at("tx-plain"), "-a", place.address, "-p", str(port), "-c", TX_CPU]
    sender += ["-C", "reno", "-t", str(options.seconds), "-w", str(options.warm_up)]
    sender += ["-r", "RXPID", *sender_options]
    run = measure.once(
        (receiver(place.address, port), place.rx), (sender, place.tx), port, options.limit)
    window = run["tx"]["window"]
    gigabytes = window["bytes"] / 1e9
    run["figures"] = {
        "gbit": window["bytes"] * 8 / 1e9 / window["seconds"],
        "machine": (sum(window["busy"]) - window["stolen"]) / gigabytes,
        "receiver": window["receiver"] / gigabytes,
        "sender": window["sender"] / gigabytes,
    }
    return run


def whole(run, count, seconds):
    """Figures of a run that was measured from its start to its end."""
    gigabytes = count / 1e9
    run["figures"] = {
        "gbit": count * 8 / 1e9 / seconds,
        "machine": run["machine"] / gigabytes,
        "receiver": run["rx_cpu"] / gigabytes,
        "sender": run["tx_cpu"] / gigabytes,
    }
    return run


def warm(lowest, title, row, together=True):
    """A run whose sender needed much more CPU time per byte than in this row's best run found its
    memory cold (a virtual machine that has to get free pages back from its host): not the
    receiver's doing. `together`: the rows of the title have the same sender."""

    def accept(run):
        cost = run["figures"]["sender"]
        keys = [(title, row)] + ([title] if together else [])
        for key in keys:
            lowest[key] = min(cost, lowest.get(key, cost))
        return all(cost <= (1.3, 2)[level] * lowest[key] for level, key in enumerate(keys))

    return accept


def describe(result, series, base, more=()):
    """Adds the table and the plot of a series; `more` is (column, row -> cell)."""
    columns = [Column("receiver"), Column("rate", "Gbit/s", "higher"),
               Column("machine CPU", "s/GB", "lower"), Column("receiver CPU", "s/GB", "lower"),
               Column("sender CPU", "s/GB", "lower"),
               Column("machine CPU, ratio to " + base, "", "lower"),
               *(column for column, _ in more), Column("clean runs")]
    rows = []
    for row in series.runs:
        rows.append([
            row, *(spread(series.values(row, figure))
                   for figure in ("gbit", "machine", "receiver", "sender")),
            spread(series.ratios(row, base, "machine")), *(value(row) for _, value in more),
            series.clean(row)])
    result.table("Cost and rate", columns, rows)
    result.dots("Machine CPU per GB", "s/GB",
                {row: series.values(row, "machine") for row in series.runs}, "lower")
    result.dots("Rate", "Gbit/s",
                {row: series.values(row, "gbit") for row in series.runs}, "higher")
    for row, lines in series.commands().items():
        result.command(f"# {row}")
        for line in lines:
            result.command(line)
    result.raw = series.document()

