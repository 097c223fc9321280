"""A service against a model: whatever is asked, in whatever order, across restarts, it answers as a dict would.

So does one that refuses duplicates.
"""

import json
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.databases import Databases
from tests.processes import running
from tests.resource import MAX_ID
from tests.rounds import rounds

Record = dict[str, Any]

# Few of each, so that ids are taken, and contents are the same, again and again.
IDS = st.integers(1, 12)
CONTENTS: st.SearchStrategy[Record] = st.fixed_dictionaries(
    {"name": st.sampled_from(["Lamp", " Lamp ", "Chair"]), "price": st.sampled_from([1, 1.0, 0.1, 24.99])}
)
RECORDS = st.one_of(CONTENTS, st.builds(lambda record_id, content: {"id": record_id, **content}, IDS, CONTENTS))
BAD_ROWS = st.sampled_from(['{"name": "Lamp"}', "[]", "{", '{"id": 0, "name": "Lamp", "price": 1}'])
ROWS = st.lists(st.one_of(RECORDS, RECORDS, RECORDS, BAD_ROWS), max_size=12)


# A record's id where it has one, what became of it, and why it was refused.
Result = tuple[int | None, str, str]
TAKEN = "id is taken by another record"


class Model:
    """What the service has to do."""

    def __init__(self, unique: Sequence[str] = ()) -> None:
        self.unique = unique
        self.stored: dict[int, Record] = {}

    def insert(self, records: list[Record]) -> list[Result]:
        """Store those that can be; return what became of each. All are committed at once."""
        results: dict[int, Result] = {}
        # In the order of their ids, and then those that have none.
        for place, record in sorted(enumerate(records), key=lambda item: item[1].get("id", MAX_ID)):
            results[place] = self._insert({**record, "name": record["name"].strip()})
        return [result for _, result in sorted(results.items())]

    def _insert(self, record: Record) -> Result:
        record_id = record.get("id")
        if held := self.stored.get(record_id or 0):
            return (record_id, "unchanged", "") if held == record else (record_id, "rejected", TAKEN)
        for holder, held in sorted(self.stored.items()):
            if self.unique and all(held[name] == record[name] for name in self.unique):
                verb = "is" if len(self.unique) == 1 else "are"
                return record_id, "rejected", f"{' and '.join(self.unique)} {verb} held by product {holder}"
        record_id = record_id or max([0, *self.stored]) + 1
        self.stored[record_id] = {"id": record_id, **record}
        return record_id, "created", ""


def reason_in(problem: Record | None) -> str:
    return "" if problem is None else str(problem["errors"][0]["detail"])


class Comparison(RuleBasedStateMachine):
    """The same to a service and to the model of it; each is a rule that may be next."""

    def __init__(self, unique: str, place: Databases) -> None:
        super().__init__()
        self.unique = unique
        self.model = Model(unique.split(",") if unique else [])
        self.stack = ExitStack()
        self.place = place
        self.start()

    def start(self) -> None:
        self.products = self.stack.enter_context(running("products", self.place, UNIQUE=self.unique))
        client = httpx.Client(base_url=self.products.url, trust_env=False, verify=False)
        self.http = self.stack.enter_context(client)

    def teardown(self) -> None:
        self.stack.close()

    @rule(record=RECORDS)
    def create(self, record: Record) -> None:
        answer = self.http.post("/products", json=record)
        ((record_id, outcome, reason),) = self.model.insert([record])
        assert answer.status_code == {"created": 201, "unchanged": 200, "rejected": 409}[outcome]
        if outcome == "rejected":
            assert reason_in(answer.json()) == reason
        else:
            assert record_id
            assert answer.json() == self.model.stored[record_id]
        if outcome == "created":
            assert answer.headers["location"] == f"/products/{record_id}"

    @rule(rows=ROWS)
    def create_many(self, rows: list[Record | str]) -> None:
        lines = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        headers = {"content-type": "application/x-ndjson"}
        answer = self.http.post("/products/batch?results=all", content=lines, headers=headers)
        stored = iter(self.model.insert([row for row in rows if not isinstance(row, str)]))
        expected = [None if isinstance(row, str) else next(stored) for row in rows]
        for result, wanted in zip(answer.json()["results"], expected, strict=True):
            if wanted:
                assert (result["id"], result["outcome"], reason_in(result["problem"])) == wanted
            else:
                assert (result["id"], result["outcome"]) == (None, "rejected")
        outcomes = [wanted[1] if wanted else "rejected" for wanted in expected]
        for outcome in ("created", "unchanged", "rejected"):
            assert answer.json()[outcome] == outcomes.count(outcome)
        all_created = outcomes and set(outcomes) == {"created"}
        assert answer.status_code == (207 if "rejected" in outcomes else 201 if all_created else 200)

    @rule(record_id=IDS)
    def read(self, record_id: int) -> None:
        answer = self.http.get(f"/products/{record_id}")
        assert answer.status_code == (200 if record_id in self.model.stored else 404)
        assert answer.status_code == 404 or answer.json() == self.model.stored[record_id]

    @rule(after=st.integers(0, 12), limit=st.integers(1, 5), name=st.sampled_from(["Lamp", "Chair"]))
    def page(self, after: int, limit: int, name: str) -> None:
        wanted = [record for key, record in sorted(self.model.stored.items()) if key > after and record["name"] == name]
        page = self.http.get("/products", params={"after": after, "limit": limit, "name": name}).json()
        assert page["items"] == wanted[:limit]
        assert (page["next"] is None) == (len(wanted) <= limit)

    @rule(ids=st.lists(st.integers(1, 20)))
    def look_up(self, ids: list[int]) -> None:
        answer = self.http.post("/products/lookup", json={"ids": ids})
        assert answer.json() == {"missing": sorted(set(ids) - self.model.stored.keys())}

    @rule(how=st.sampled_from([signal.SIGTERM, signal.SIGKILL]))
    def restart(self, how: signal.Signals) -> None:
        self.products.process.send_signal(how)
        self.products.process.wait(timeout=10)
        self.start()

    @invariant()
    def everything_is_stored(self) -> None:
        assert self.http.get("/products/count").json() == {"count": len(self.model.stored)}
        page = self.http.get("/products", params={"limit": 1000}).json()
        assert page == {"items": [record for _, record in sorted(self.model.stored.items())], "next": None}


@pytest.mark.timeout(rounds(120, 1800))
@pytest.mark.parametrize("unique", ["", "name", "name,price"])
def test_a_service_answers_as_its_model_does(unique: str, databases: Databases) -> None:
    run_state_machine_as_test(
        # Whatever makes one will do.
        lambda: Comparison(unique, databases.fresh()),  # type: ignore[arg-type]
        settings=settings(
            max_examples=rounds(few=5, many=60),
            stateful_step_count=rounds(few=20, many=40),
            deadline=None,
            database=None,
            # A service is started for each attempt, so nothing is tried again to find a shorter way to a failure.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
