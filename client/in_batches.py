"""A run whose records are sent in batches while their files are read: sent, read back, compared, and merged."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from client.arguments import DEFAULT_BATCH, FEWEST_THREADS, Arguments
from client.bulk import Bulk
from client.merge import Comparison, Run
from client.progress import shown
from client.read_back import count_of
from client.services import Service


def run_in_batches(
    files: Mapping[str, Path],
    services: Sequence[Service],
    up: AbstractSet[str],
    others: Sequence[Service],
    arguments: Arguments,
) -> Run:
    """Send the files to those of the services that are up, and to the others one batch after another."""
    size, give_up_after_s = arguments.batch or DEFAULT_BATCH, arguments.give_up_after_s
    bulk = Bulk(services, up, threads=arguments.threads or FEWEST_THREADS, give_up_after_s=give_up_after_s)
    with shown(bulk.lanes):
        interrupted = bulk.send(files, size)
    counts: dict[str, int | None] = {}
    comparison: Comparison | None = None
    try:
        for service in (service for service in services if service.name in up):
            tally = bulk.tallies[service.name]
            patience_s = 0.0 if interrupted or tally.outcomes["undelivered"] else give_up_after_s
            counts[service.name], unreadable = count_of(service, patience_s)
            tally.differences += unreadable
        if others and not interrupted:
            # Imported here, since it is seldom asked for.
            from client.compare import compare_batches  # noqa: PLC0415

            comparison = compare_batches(bulk, files, size, others, give_up_after_s)
    except KeyboardInterrupt:
        # What is known is still shown.
        interrupted = True
    merged = replace(bulk.merged(counts), comparison=comparison)
    return Run(merged, interrupted, [f"{error} What follows was not sent." for error in bulk.unreadable.values()])
