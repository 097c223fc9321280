"""The three services of a run: those that are there, or those that are started for it, and which of them answer."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext

from client.arguments import Arguments
from client.local import local_services
from client.records import SERVICES
from client.services import ANSWER_TIMEOUT_S, Service, connect


@contextmanager
def connected(arguments: Arguments) -> Iterator[list[Service]]:
    """Yield the three services that the arguments name, or have started; raise `StartError` where that failed."""
    local = local_services(arguments.db_dir, arguments.unique) if arguments.local else nullcontext(arguments.urls)
    with local as urls, ExitStack() as connections:
        yield _services(urls, arguments, connections)


@contextmanager
def on_copies(arguments: Arguments) -> Iterator[list[Service]]:
    """Yield three more services, to which the records are sent one after another; none unless that is asked for."""
    if not arguments.compare:
        yield []
        return
    # Imported here, since it is seldom asked for.
    from client.compare import services_on_copies  # noqa: PLC0415

    with services_on_copies(arguments.db_dir, arguments.unique) as urls, ExitStack() as connections:
        services = _services(urls, arguments, connections)
        # Both ways begin with services that have answered.
        names_of_those_up(services, arguments.give_up_after_s)
        yield services


def _services(urls: Mapping[str, str], arguments: Arguments, connections: ExitStack) -> list[Service]:
    within_s = arguments.answer_within_s
    return [
        Service(
            name,
            urls[name],
            connections.enter_context(
                connect(urls[name], within_s or ANSWER_TIMEOUT_S, give_up_after_s=arguments.give_up_after_s)
            ),
            arguments.api_key,
            within_s,
        )
        for name in SERVICES
    ]


def names_of_those_up(services: Sequence[Service], give_up_after_s: float) -> set[str]:
    """Return the names of the services that answer, and say what to do about the others."""
    # Asked at the same time, so that silent ones are waited for once and not three times.
    with ThreadPoolExecutor(len(services)) as threads:
        answering = threads.map(lambda service: service.answers(give_up_after_s), services)
        answers = dict(zip(services, answering, strict=True))
    if not all(answers.values()):
        for service in (service for service, answer in answers.items() if not answer):
            print(f"{service.name} does not answer at {service.url.replace(',', ' or ')}.", file=sys.stderr)
        print(
            "Start the services with: docker compose up -d\nor let this command start its own: run.py --local",
            file=sys.stderr,
        )
    return {service.name for service, answer in answers.items() if answer}
