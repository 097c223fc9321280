"""The picture's file: what stands in it, that nothing breaks out of it, and that it stays small."""

import io
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from client.merge import Merged, Summary, merge
from client.picture import as_json, distribution, write_picture
from client.records import Attempt, Record, Result
from client.server_timing import Timing
from client.timeline import MOST_BARS, Bar, Timeline

HOSTILE = "</script><script>alert(1)</script><!-- <!--<script> \u2028\u2029 &amp; ]]> \x00 \ud800 é {policy} /*style*/"
SMALL_BYTES = 2_000_000


class Scripts(HTMLParser):
    """Collects a page's elements as a browser would take them."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data if data.strip() else ""


def written(merged: Merged) -> str:
    out = io.StringIO()
    write_picture(merged, out)
    # What could not be written to a file fails here.
    return out.getvalue().encode().decode()


def shown(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def result(number: int, *, name: str = "Ada", reasons: tuple[str, ...] = (), sent_s: float = 0.0) -> Result:
    record = Record("users", f"users.csv:{number + 1}", json.dumps({"id": number, "name": name}).encode(), number)
    timing = Timing(None, 1.0, 2.0, 7)
    history = (Attempt(sent_s, sent_s + 0.001, sent_s + 0.02, 422 if reasons else 201, reasons, timing),)
    return Result(record, "rejected" if reasons else "created", 201, reasons, attempts=1, history=history)


def test_it_holds_each_record_and_each_request_with_its_parts() -> None:
    run = shown(written(merge([result(1), result(2, reasons=("name is empty",))], [], 0.5)))
    assert [(row["id"], row["outcome"], row["why"]) for row in run["records"]] == [
        ("1", "created", ""),
        ("2", "rejected", "name is empty"),
    ]
    first, second = run["lanes"]["users"]
    assert (first["record"], second["record"], first["row"], second["row"]) == (0, 1, 0, 1)
    (attempt,) = first["attempts"]
    assert (attempt["began"], attempt["sent"], attempt["answered"], attempt["commit"]) == (0, 1, 20, "7")
    assert [(part["name"], part["from"], part["to"]) for part in attempt["parts"]] == [
        ("wait", 9, 10),
        ("commit", 10, 12),
    ]
    assert run["records_omitted"] == 0


def test_transactions_with_the_same_number_at_two_addresses_have_two_names() -> None:
    results = []
    for number, address in enumerate(("http://a", "http://b"), 1):
        found = result(number)
        (attempt,) = found.history
        timing = replace(attempt.timing, address=address)
        results.append(replace(found, history=(replace(attempt, timing=timing),)))
    bars = shown(written(merge(results, [], 0.5)))["lanes"]["users"]
    assert [bar["attempts"][0]["commit"] for bar in bars] == ["7 of http://a", "7 of http://b"]


def test_no_record_breaks_out_of_it() -> None:
    run = merge([result(1, name=HOSTILE, reasons=(HOSTILE,))], [], 0.5)
    page, usual = written(run), written(merge([result(1)], [], 0.5))
    assert page.isascii() == usual.isascii()
    found, expected = Scripts(), Scripts()
    found.feed(page)
    expected.feed(usual)
    assert found.tags == expected.tags
    assert len(found.scripts) == 2
    (row,) = shown(page)["records"]
    assert row["why"] == HOSTILE
    assert "</script><script>" in row["body"]


@pytest.mark.parametrize("sign", ["<", ">", "&", "\u2028", "\u2029", "\ud800", "\x00"])
def test_signs_that_could_end_a_script_are_written_as_escapes(sign: str) -> None:
    text = as_json({sign: [sign]})
    assert sign not in text
    assert json.loads(text) == {sign: [sign]}


def test_its_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = written(merge([], [], 0.0))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.split(maxsplit=1) for rule in policy[1].split("; "))
    for name, element in (("style-src", "style"), ("script-src", "script")):
        text = re.search(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        assert text
        assert b64decode(rules[name].removeprefix("'sha256-").removesuffix("'")) == sha256(text[1].encode()).digest()
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert not re.search(r'(?:src|href|url)\s*[=(]\s*["\']?(?:https?:|//|data:)', page)


def test_of_long_and_many_records_as_many_are_listed_as_there_is_room_for_and_it_says_so() -> None:
    long = "\U0001f600" * 100_000
    page = written(merge([result(n, name=long, reasons=(long,), sent_s=n) for n in range(1_000)], [], 0.5))
    run = shown(page)
    assert len(page) < SMALL_BYTES
    assert 100 < len(run["records"]) < 1_000
    assert len(run["records"]) + run["records_omitted"] == 1_000


def test_many_requests_that_were_sent_again_and_again_take_no_more_room_than_others() -> None:
    history = tuple(Attempt(at / 10, at / 10, at / 10 + 0.05, 503, ("the service is busy" * 9,)) for at in range(8))
    later = [
        tuple(replace(one, began_s=n + one.began_s, answered_s=n + one.answered_s) for one in history)
        for n in range(2_000)
    ]
    records = [replace(result(n), history=attempts) for n, attempts in enumerate(later)]
    page = written(merge(records, [], 0.5))
    assert len(page) < SMALL_BYTES
    assert sum(bar["requests"] for bar in shown(page)["lanes"]["users"]) == 2_000


def _endless() -> Iterator[Result]:
    for number in range(1_000_000):
        yield Result(Record("users", f"users.csv:{number}", b"", number), "rejected", 422, ("name is empty",))


def test_of_a_million_rejected_rows_some_are_listed_and_the_others_counted() -> None:
    timeline = Timeline(20_000)
    for number in range(50_000):
        attempts = (Attempt(number / 10, number / 10, number / 10 + 0.9, 207),)
        timeline.add(Bar("users", f"users.csv:{number}", attempts, {"created": 90, "rejected": 10}))
    none = Summary(0, 0, 0, 0, 0, 0, 0)
    many = Summary(5_000_000, 4_000_000, 0, 1_000_000, 0, 4_000_000, 10)
    merged = Merged({"users": many, "products": none, "orders": none}, _endless(), 5.0, [], batches=timeline)
    page = written(merged)
    run = shown(page)
    assert len(page) < SMALL_BYTES
    assert len(run["lanes"]["users"]) <= MOST_BARS
    assert sum(bar["requests"] for bar in run["lanes"]["users"]) == 50_000
    assert sum(bar["ends"]["rejected"] for bar in run["lanes"]["users"]) == 500_000
    assert len(run["records"]) == 2_000
    assert run["records_omitted"] == 998_000
    assert run["latencies"]["users"]["count"] == 50_000


def test_a_distribution_names_its_median_and_its_tail_and_counts_everything() -> None:
    spread = distribution([*range(1, 101), 0.0])
    assert (spread["count"], spread["median"], spread["p99"], spread["longest"]) == (101, 50, 99, 100)
    assert sum(each["count"] for each in spread["bins"]) == 101
    for each in spread["bins"]:
        assert each["from"] < each["to"]


def test_a_run_in_which_nothing_was_sent_is_drawn_too() -> None:
    record = Record("users", "users.csv:2", b"{}", 1)
    run = shown(written(merge([Result(record, "undelivered", reasons=("the service does not answer",))], [], 0.0)))
    assert run["lanes"] == {"users": [], "products": [], "orders": []}
    assert run["latencies"] == {}
    assert run["records"][0]["outcome"] == "undelivered"
