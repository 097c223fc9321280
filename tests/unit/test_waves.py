"""The order in which rows may be sent, and what a large run remembers."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from client.batches import Batch
from client.ledger import Ledger
from client.records import Record, Result
from client.waves import Waves


def waves_of(folder: Path, ids: Sequence[int | None], size: int, ledger: Ledger) -> Waves:
    """Return the waves of a file with those ids; each row's name is its place."""
    file = folder / "users.ndjson"
    rows = [{"name": place} if id_ is None else {"id": id_, "name": place} for place, id_ in enumerate(ids)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Waves(file, "users", size, ledger)


def places(batches: Sequence[Batch]) -> list[int]:
    """Return the rows' places in the file."""
    found = [json.loads(row)["name"] for batch in batches for row in batch.rows]
    assert [line for batch in batches for line in batch.lines] == [place + 1 for place in found]
    # What no database holds is no id.
    assert [id_ for batch in batches for id_ in batch.ids] == [
        id_ if id_ is not None and -(2**63) <= id_ < 2**63 else None
        for id_ in (json.loads(row).get("id") for batch in batches for row in batch.rows)
    ]
    return found


def sent(waves: Waves) -> tuple[list[int], list[int], list[int]]:
    return places(list(waves.first())), places(list(waves.second())), places(list(waves.without_id()))


@pytest.mark.parametrize("start", [1, 7, 10**17])
def test_ids_that_follow_each_other_are_sent_at_once_and_not_remembered(tmp_path: Path, start: int) -> None:
    ledger = Ledger()
    ids = range(start, start + 25)
    assert sent(waves_of(tmp_path, ids, 10, ledger)) == (list(range(25)), [], [])
    # Had the ledger been told of any, it would not be new now.
    assert ledger.not_seen("users", ids) == list(range(25))


@pytest.mark.parametrize("ids", [[1, 2, 4, 5, 9], [9, 8, 7, 1, 2], [5, 1, 6, 2, 7], [3, 1 << 62, 4, 1, -5]])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_ids_with_gaps_or_out_of_order_are_each_sent_once_in_the_files_order(
    tmp_path: Path, ids: list[int], size: int
) -> None:
    assert sent(waves_of(tmp_path, ids, size, Ledger())) == ([0, 1, 2, 3, 4], [], [])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("ids", "second"),
    [
        # Behind ids that follow each other, and among others.
        ([1, 2, 3, 4, 5, 3, 6, 1, 3, 7], [5, 7, 8]),
        ([10, 20, 10, 30, 20, 10, 40], [2, 4, 5]),
        ([1, 1, 1, 2, 3], [1, 2]),
        ([5, 6, 7, 8, 1, 2, 8, 5, 1], [6, 7, 8]),
        ([0, 1, 2, 3, 4, 5, 9, 1, 2, 9], [7, 8, 9]),
    ],
)
def test_second_records_of_an_id_are_put_off_in_their_order(
    tmp_path: Path, ids: list[int], second: list[int], size: int
) -> None:
    waves = waves_of(tmp_path, ids, size, Ledger())
    first, later, without = sent(waves)
    assert later == second
    assert first == [place for place in range(len(ids)) if place not in second]
    assert without == []


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("great", [2**63, 10**25, -(2**63) - 1, -(10**25)])
def test_ids_that_are_too_great_for_any_database_do_no_harm(tmp_path: Path, great: int, size: int) -> None:
    ids = [1, great, 3, great, 3]
    first, second, without = sent(waves_of(tmp_path, ids, size, Ledger()))
    # The service refuses them, whenever they are sent.
    assert (first, second, without) == ([0, 2], [4], [1, 3])


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_records_without_an_id_are_sent_last(tmp_path: Path, size: int) -> None:
    ids = [None, 1, 2, None, 2, 3, None, None]
    assert sent(waves_of(tmp_path, ids, size, Ledger())) == ([1, 2, 5], [4], [0, 3, 6, 7])


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_file_without_any_id_is_sent_whole(tmp_path: Path, size: int) -> None:
    assert sent(waves_of(tmp_path, [None] * 5, size, Ledger())) == ([], [], [0, 1, 2, 3, 4])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_ids_every_row_is_sent_once_and_in_its_wave(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    ids: list[int | None] = list(range(1, random_.randrange(1, 40)))
    ids += [random_.choice([None, random_.randrange(1, 60), random_.randrange(1, 60)]) for _ in range(60)]
    first, second, without = sent(waves_of(tmp_path, ids, random_.randrange(1, 20), Ledger()))
    firsts = {record_id: place for place, record_id in reversed(list(enumerate(ids))) if record_id is not None}
    assert first == sorted(firsts.values())
    assert without == [place for place, record_id in enumerate(ids) if record_id is None]
    assert second == sorted(set(range(len(ids))) - set(first) - set(without))


def test_no_batch_is_larger_than_asked_for_and_none_is_empty(tmp_path: Path) -> None:
    waves = waves_of(tmp_path, [1, 2, None, 2, 1, None, 2, 9, 1], 2, Ledger())
    sizes = {len(batch.rows) for wave in (waves.first, waves.second, waves.without_id) for batch in wave()}
    assert sizes == {1, 2}


def test_services_have_ids_of_their_own() -> None:
    ledger = Ledger()
    assert ledger.not_seen("users", [1, 2, 1]) == [0, 1]
    assert ledger.not_seen("orders", [2, 3]) == [0, 1]
    assert ledger.not_seen("users", [3, 2, 1]) == [0]


def batch_of(service: str, lines: Sequence[int]) -> Batch:
    return Batch(service, f"{service}.csv", lines, [b"%d\n" % line for line in lines], list(lines))


def test_rows_that_wait_come_back_in_their_order_in_batches_of_the_size_asked_for() -> None:
    ledger = Ledger()
    ledger.put_off(batch_of("users", [5, 9, 7]))
    ledger.put_off(batch_of("orders", [1]))
    ledger.put_off(batch_of("users", [2, 3]))
    found = list(ledger.kept_for_later("users", 2))
    assert [list(batch.lines) for batch in found] == [[5, 9], [7, 2], [3]]
    assert [list(batch.rows) for batch in found] == [[b"5\n", b"9\n"], [b"7\n", b"2\n"], [b"3\n"]]
    assert [list(batch.ids) for batch in found] == [[5, 9], [7, 2], [3]]
    assert {(batch.service, batch.file) for batch in found} == {("users", "users.csv")}
    assert list(ledger.kept_for_later("products", 2)) == []


def result_of(batch: Batch, place: int) -> Result:
    record = Record(batch.service, f"{batch.file}:{batch.lines[place]}", b"", batch.ids[place])
    return Result(record, "rejected", 422, ("é is no name", "x"), attempts=2, began_s=1.0, ended_s=1.5)


def test_results_come_by_service_and_line_however_they_were_taken_down() -> None:
    ledger = Ledger()
    for service, lines in (("orders", [3]), ("users", [30, 4]), ("products", [7]), ("users", [5, 100, 1])):
        batch = batch_of(service, lines)
        ledger.add(batch, {place: result_of(batch, place) for place in range(len(lines))})
    assert [result.record.origin for result in ledger] == [
        *(f"users.csv:{line}" for line in (1, 4, 5, 30, 100)),
        "products.csv:7",
        "orders.csv:3",
    ]


def test_results_of_an_array_come_in_its_order() -> None:
    ledger = Ledger()
    batch = Batch("users", "users.json", ["2[11]", "1[10]", "1[0]", "1[2]"], [b""] * 4, [2, 1, 4, 3])
    ledger.add(batch, {place: result_of(batch, place) for place in range(4)})
    assert [result.record.origin.rpartition(":")[2] for result in ledger] == ["1[0]", "1[2]", "1[10]", "2[11]"]


def test_a_result_comes_back_as_it_was() -> None:
    ledger = Ledger()
    batch = batch_of("users", [8])
    ledger.add(batch, {0: result_of(batch, 0)})
    (found,) = ledger
    assert (found.record.service, found.record.origin, found.id) == ("users", "users.csv:8", 8)
    assert (found.outcome, found.status, found.reasons, found.attempts) == ("rejected", 422, ("é is no name", "x"), 2)
    assert found.elapsed_ms == 500


def test_how_many_rows_there_are_is_an_estimate_until_the_file_has_been_read(tmp_path: Path) -> None:
    # Some are sent later, and count as well.
    waves = waves_of(tmp_path, [*range(1, 50_000), 7, None], 1000, Ledger())
    assert waves.rows_in_all() == (0, True)
    first = waves.first()
    next(first)
    rows, estimated = waves.rows_in_all()
    assert estimated
    assert 40_000 < rows < 60_000
    assert len(list(first)) == 49
    assert waves.rows_in_all() == (50_001, False)
