"""Examples for the OpenAPI document: what this service would really be sent and answer, made by its own parts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from services.chassis.batch import Report
from services.chassis.bodies import Refused
from services.chassis.csv_rows import Csv
from services.chassis.errors import ServiceError
from services.chassis.problems import raised_by
from services.chassis.rows import JsonArray, too_large
from services.chassis.service import Service, unknown_reference
from services.chassis.store import Inserted, Outcome

# The greatest id of the examples that have one. It is far above what a service that is only tried out has assigned by
# itself, and all examples share it: what is assigned after it can't be another example's.
_ID = 500_000


def records(service: Service) -> dict[str, Mapping[str, object]]:
    """Return records that can be sent as they are, by what they show."""
    example = service.resource.example
    return {"A record": example, "With an id: sent again, it is unchanged": {"id": _ID, **example}}


def batches(service: Service) -> dict[str, Sequence[Mapping[str, object]]]:
    """Return batches that can be sent as they are, by what they show."""
    example, second = service.resource.example, service.resource.second_example
    return {
        "Two records": [example, second],
        "With ids: sent again, they are unchanged": [{"id": _ID - 1, **second}, {"id": _ID, **example}],
        "A good one and a bad one": [example, service.resource.refused_example],
    }


def invalid_record(service: Service) -> ServiceError:
    """Return how a record is refused whose fields are not valid."""
    return raised_by(lambda: service.parser.from_value(service.resource.refused_example))


def not_stored(service: Service) -> list[ServiceError]:
    """Return how records are refused for which the store has no place."""
    outcomes = [outcome for outcome in get_args(Outcome) if service.unique or outcome != "duplicate"]
    return [refusal for outcome in outcomes if (refusal := service.refusal_of(outcome, _ID))]


def unreadable_batch(service: Service) -> tuple[ServiceError, ...]:
    """Return how a body is refused of which nothing can be read."""
    malformed = raised_by(lambda: JsonArray(service.parser).take(b"{}", final=True))
    header = raised_by(lambda: Csv(service.parser).take(b"id\n", final=True))
    return malformed, too_large(service.settings.max_body_bytes), header


def report(service: Service, *outcomes: Outcome | ServiceError) -> dict[str, Any]:
    """Return what is answered to a batch of records with the ids from 1, of which this became."""
    answered = Report(list_all=False, refusals=Counter(), refusal_of=service.refusal_of)
    for record_id, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, ServiceError):
            answered.add({0: Refused(record_id, outcome)}, Inserted([], {}))
        else:
            answered.add({}, Inserted([record_id], {} if outcome == "created" else {0: outcome}))
    return answered.answer()[1]


def partly_refused(service: Service) -> dict[str, Any]:
    """Return what is answered to a batch of which some records were refused, each for another reason."""
    unknown = [unknown_reference(service.resource.unknown_example)] if service.resource.unknown_example else []
    return report(service, "created", invalid_record(service), "conflict", *unknown)
