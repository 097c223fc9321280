"""A run whose records are sent one by one: sent, read back, compared, and merged."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from client.arguments import DEFAULT_THREADS, Arguments
from client.fan_out import FanOut
from client.merge import Comparison, Run, merge
from client.progress import shown
from client.read_back import Held, read_back
from client.records import Record, Result
from client.services import Service


def run_one_by_one(
    records: Sequence[Record],
    services: Sequence[Service],
    up: AbstractSet[str],
    others: Sequence[Service],
    arguments: Arguments,
) -> Run:
    """Send the records to those of the services that are up, and to the others one after another."""
    running = [service for service in services if service.name in up]
    give_up_after_s, unique = arguments.give_up_after_s, arguments.unique
    fan_out = FanOut(
        running, threads=arguments.threads or DEFAULT_THREADS, give_up_after_s=give_up_after_s, unique=unique
    )
    with shown(fan_out.lanes):
        sent = fan_out.send([record for record in records if record.service in up])
    unsent = [
        Result(record, "undelivered", reasons=("the service does not answer",))
        for record in records
        if record.service not in up
    ]
    held: list[Held] = []
    comparison: Comparison | None = None
    interrupted = sent.interrupted
    try:
        silent = {r.record.service for r in sent.results if r.outcome == "undelivered"}
        for service in running:
            patience_s = 0.0 if sent.interrupted or service.name in silent else give_up_after_s
            held.append(read_back(service, sent.results, patience_s))
        if others and not interrupted:
            # Imported here, since it is seldom asked for.
            from client.compare import compare_records  # noqa: PLC0415

            comparison = compare_records(sent, records, others, give_up_after_s)
    except KeyboardInterrupt:
        # What is known is still shown.
        interrupted = True
    merged = merge([*sent.results, *unsent], held, sent.elapsed_s)
    return Run(replace(merged, comparison=comparison), interrupted)
