"""What the answer to many records says of each."""

from collections import Counter

from typing_extensions import TypedDict

from services.chassis.batch import Report
from services.chassis.resource import Resource
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.store import Inserted, Outcome


class Thing(TypedDict):
    id: int
    name: str


RESOURCE = Resource("things", Thing, "Things.", {"name": "a"}, {"name": "b"}, {"name": ""})


def test_a_row_that_was_given_no_id_is_reported_without_one() -> None:
    service = Service(RESOURCE, Settings(port=0, database_url="sqlite:///unused.db", unique="name"))
    report = Report(list_all=False, refusals=Counter(), refusal_of=service.refusal_of)
    outcomes: dict[int, Outcome] = {0: "conflict", 1: "no-id-left", 2: "duplicate", 3: "duplicate"}
    report.add({}, Inserted([7, 0, 0, 9], outcomes, {2: 7, 3: 8}))
    _, body = report.answer()
    assert [(row["index"], row["id"], row["problem"].get("errors")) for row in body["results"]] == [
        (0, 7, [{"pointer": "#/id", "detail": "id is taken by another record"}]),
        (1, None, None),
        (2, None, [{"pointer": "#/name", "detail": "name is held by thing 7"}]),
        (3, 9, [{"pointer": "#/name", "detail": "name is held by thing 8"}]),
    ]
