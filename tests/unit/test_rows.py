"""Bodies of many records: the same rows come out however the body is cut into pieces, and bad rows fail alone."""

import asyncio
import gc
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from typing_extensions import TypedDict

from services.chassis import rows
from services.chassis.bodies import Parser, Refused
from services.chassis.csv_rows import Csv
from services.chassis.errors import BodyTooLarge, InvalidRecord, MalformedBody, ServiceError
from services.chassis.rows import Format, JsonArray, Ndjson, rows_of
from services.products.models import Product
from services.users.models import User
from tests.rounds import rounds

USERS: Parser[Mapping[str, Any]] = Parser(User)
PRODUCTS: Parser[Mapping[str, Any]] = Parser(Product)
Row = Mapping[str, Any] | Refused
FORMATS: dict[str, Callable[[], Format]] = {
    "ndjson": lambda: Ndjson(USERS),
    "json": lambda: JsonArray(USERS),
    "csv": lambda: Csv(USERS),
}


async def pieces(body: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), piece_bytes):
        yield body[start : start + piece_bytes]


def read(body: bytes, form: Format, piece_bytes: int = 1 << 20, max_row_bytes: int = 65_536) -> list[Row]:
    """Read the body in pieces of that size; what is raised at the end stands last, as a refused row."""

    async def collect() -> list[Row]:
        found: list[Row] = []
        try:
            room = asyncio.Semaphore(1)
            async for some in rows_of(pieces(body, piece_bytes), form, max_row_bytes, room):
                room.release()
                records = iter(some.records)
                found += [some.refused.get(place) or next(records) for place in range(some.received)]
        except ServiceError as error:
            found.append(Refused(None, error))
        return found

    return asyncio.run(collect())


def told(found: list[Row]) -> list[object]:
    """Return each row, or its reasons, or the error where it has none."""
    return [
        [reason.detail for reason in row.error.reasons] or type(row.error) if isinstance(row, Refused) else dict(row)
        for row in found
    ]


def user(number: int, name: str = "Ada") -> dict[str, Any]:
    return {"id": number, "name": name, "email": "a@b"}


def body_of(kind: str, records: list[dict[str, Any]]) -> bytes:
    if kind == "json":
        return json.dumps(records, ensure_ascii=False).encode()
    if kind == "ndjson":
        return "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()
    quoted = ('"' + str(value).replace('"', '""') + '"' for record in records for value in record.values())
    cells = iter(quoted)
    return ("id,name,email\r\n" + "\r\n".join(",".join(row) for row in zip(cells, cells, cells, strict=True))).encode()


NAMES = ["Ada", 'say "hi"', "a,b", "},{", "[]", "\\", "é🎉", "'"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_rows_are_the_same_however_the_body_is_cut(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 64)
    records = [user(number, NAMES[number % len(NAMES)]) for number in range(1, 60)]
    body = body_of(kind, records)
    for piece_bytes in (1, 7, 63, 64, 65, 500, len(body)):
        assert read(body, FORMATS[kind](), piece_bytes) == records


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bad_row_fails_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 64)
    records = [user(number) for number in range(1, 40)]
    bad = random.Random(7).sample(range(39), 11)
    for index in bad:
        records[index] = {"id": 0, "name": "", "email": "x"}
    reasons = ["id is not at least 1", "name is empty", "email is not an e-mail address of at most 254 characters"]
    for piece_bytes in (1, 50, 5000):
        found = told(read(body_of(kind, records), FORMATS[kind](), piece_bytes))
        assert found == [reasons if index in bad else records[index] for index in range(39)]


def padded(kind: str, length: int) -> bytes:
    """Return three rows, the second of which has that many bytes."""
    rows = body_of(kind, [user(1), user(2, "NAME"), user(3)])
    around = len(body_of(kind, [user(1), user(2, ""), user(3)])) - len(body_of(kind, [user(1), user(3)]))
    # What parts it from its neighbour is not the row's.
    separator = {"json": 2, "ndjson": 1, "csv": 2}[kind]
    return rows.replace(b"NAME", b"x" * (length - around + separator))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("max_row_bytes", [1_000, 32_768, 65_536])
@pytest.mark.parametrize("piece_bytes", [999, 1 << 20])
def test_a_row_may_be_as_long_as_is_said_wherever_it_stands(kind: str, max_row_bytes: int, piece_bytes: int) -> None:
    too_long_a_name = ["name is longer than 200 characters"]
    for body, expected in (
        (padded(kind, max_row_bytes), [user(1), too_long_a_name, user(3)]),
        (padded(kind, max_row_bytes + 3), [user(1), BodyTooLarge]),
        (padded(kind, 10 * max_row_bytes), [user(1), BodyTooLarge]),
        # The same as the last row.
        (padded(kind, max_row_bytes + 3).rpartition(b"\n")[0] if kind != "json" else b"", [user(1), BodyTooLarge]),
    ):
        if body:
            assert told(read(body, FORMATS[kind](), piece_bytes, max_row_bytes)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b'{"id":1\n{"id":2}', [MalformedBody, ["name is missing", "email is missing"]]),
        (b'{"id":1},{"id":2}\n', [MalformedBody]),
        (b"[\n]\n7\n\xff\n", [MalformedBody, MalformedBody, ["it is not a JSON object"], MalformedBody]),
        # A record on two lines beside two on one: as many rows as lines, and still three that are none.
        (
            b'{"id":1,"name":"A","email":"a@b"},{"id":2,"name":"B","email":"a@b"}\n{"id":3\n"name":"C","email":"a@b"}\n',
            [MalformedBody, MalformedBody, MalformedBody],
        ),
        # The same, where the third goes on inside of a text.
        (
            b'{"id":1,"name":"A","email":"a@b"},{"id":2,"name":"B","email":"a@b"}\n{"id":3,"name":"x}\n{y","email":"a@b"}\n',
            [MalformedBody, MalformedBody, MalformedBody],
        ),
    ],
)
def test_each_line_of_ndjson_is_one_value(body: bytes, expected: list[object]) -> None:
    assert told(read(body, FORMATS["ndjson"]())) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", []),
        (b" [ ] \n", []),
        (b"", [MalformedBody]),
        (b"{}", [MalformedBody]),
        (b"[{}", [MalformedBody]),
        (b"[{},]", [["name is missing", "email is missing"], MalformedBody]),
        (b"[{}] x", [["name is missing", "email is missing"], MalformedBody]),
        (b"[{} {}]", [MalformedBody]),
        (b'[7, "\xff", [{}]]', [["it is not a JSON object"]] * 3),
        (b'[{"id": 1, "name": "\\ud800", "email": "a@b"}]', [["name is not valid Unicode"]]),
        (b"[" + b"9" * 5000 + b"]", [["it is not a JSON object"]]),
        (b"[" * 20_000, [MalformedBody]),
    ],
)
def test_an_array_is_read_as_far_as_it_is_one(body: bytes, expected: list[object]) -> None:
    for piece_bytes in (1, len(body) or 1):
        assert told(read(body, FORMATS["json"](), piece_bytes)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", [MalformedBody]),
        (b"id,name,email", []),
        (b"\xef\xbb\xbfid,name,email\n", []),
        (b"name,email\nAda,a@b\n", [{"name": "Ada", "email": "a@b"}]),
        (b"email,id,name\na@b,1,Ada\na@b,,Bob\n", [user(1), {"name": "Bob", "email": "a@b"}]),
        (b"id,name,email\n1,Ada\n2,Ada,a@b\n", [["it has 2 cells under a header of 3"], user(2)]),
        (b"id,name,email\n1\n2,Ada,a@b\n", [["it has 1 cell under a header of 3"], user(2)]),
        (b"id,name,email\n1_0,Ada,a@b\n", [["id is not a whole number"]]),
        (b'id,name,email\n1,"A\nB",a@b\n', [["name contains a control character"]]),
        (b'id,name,email\n1,Ada,a@b\n2,"A"x,a@b\n', [user(1), MalformedBody]),
        (b"id,name,email\n1,\xff,a@b\n", [["name is not valid Unicode"]]),
        (b'id,name,email\n1,"Ada\n', [MalformedBody]),
        (b'id,name,email\n1,5" pipe,a@b\n2,Ada,a@b\n', [user(1, '5" pipe'), user(2)]),
        # A carriage return by itself ends no line, whether or not there are quotes.
        (b"id,name,email\n1,A\rB,a@b\n2,Ada\r,a@b\n", [["name contains a control character"], user(2)]),
        (b'id,name,email\n1,A\rB,"a@b"\n2,"Ada"\r,a@b\n', [["name contains a control character"], MalformedBody]),
        (b"id,name\n", [["email is missing in the header"]]),
        (
            b"id,name,email,s3cret,id\n",
            [["the header has a column other than id, name, email", "the header has a column twice"]],
        ),
    ],
)
def test_csv_has_a_header_and_cells(body: bytes, expected: list[object]) -> None:
    assert told(read(body, FORMATS["csv"]())) == expected


def test_a_quote_that_nothing_closes_does_not_hold_up_the_rows_after_it() -> None:
    users = [user(number) for number in range(1, 9_000)]
    table = "id,name,email\n" + "".join(f"{number['id']},{number['name']},a@b\n" for number in users)
    assert read(table.replace("\n5,Ada", '\n5,5" pipe').encode(), Csv(USERS))[-1] == users[-1]


PIECES = {
    "csv": ['"', ",", "\r", "\n", "\r\n", "1", "é", "\0", "1,Ada,a@b\n", '2,"B",c@d\n', '3,"B\n', " "],
    "json": [*'[]{},"\\1 -é\n', "},", '{"id":1,"name":"A","email":"a@b"},', "null", "1e5", '"x":', "]]"],
    "ndjson": [*'[]{},"\\1 -é\r\n', "\r\n", '{"id":1,"name":"A","email":"a@b"}\n', "null", '{"id":3\n', "}\n{"],
}


@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_is_sent_the_rows_are_the_same_however_it_is_cut(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(11)
    begin = {"csv": "id,name,email\n", "json": "[", "ndjson": ""}[kind]
    for _ in range(rounds(200, 10_000)):
        body = (begin + "".join(chance.choices(PIECES[kind], k=chance.randint(1, 25)))).encode()
        monkeypatch.setattr(rows, "CHUNK_BYTES", 32_768)
        whole = told(read(body, FORMATS[kind]()))
        monkeypatch.setattr(rows, "CHUNK_BYTES", chance.randint(1, 20))
        assert told(read(body, FORMATS[kind](), chance.randint(1, 20))) == whole, body


def test_amounts_are_as_exact_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 64)
    prices = ["0.10", "999999999.99", "1e2", "19.990000000000000000001"]
    lines = "\n".join(f'{{"id":{number},"name":"A","price":{price}}}' for number, price in enumerate(prices, start=1))
    table = "id,name,price\n" + "\n".join(f"{number},A,{price}" for number, price in enumerate(prices, start=1))
    for found in (read(lines.encode(), Ndjson(PRODUCTS), 10), read(table.encode(), Csv(PRODUCTS), 10)):
        assert [str(row["price"]) for row in found if not isinstance(row, Refused)] == [
            "0.10",
            "999999999.99",
            "100.00",
        ]
        assert told(found)[3] == ["price has more than 2 decimals"]


def test_the_header_refuses_before_any_row_is_taken() -> None:
    with pytest.raises(InvalidRecord):
        Csv(USERS).take(b"id,nmae\n1,Ada\n", final=False)


@pytest.mark.parametrize("number", ["1e9999999999999999999", "-1e-9999999999999999999", "9" * 5000, "NaN", "1e999"])
@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_a_number_beyond_all_measure_is_its_rows_own_trouble(kind: str, number: str) -> None:
    body = body_of(kind, [user(1), user(2), user(3)]).replace(b'"id": 2', f'"id": {number}'.encode())
    assert told(read(body, FORMATS[kind]())) == [user(1), ["id is not a whole number"], user(3)]


class Text(TypedDict):
    """What takes hardly any time to validate."""

    text: str


TEXTS: Parser[Mapping[str, Any]] = Parser(Text)


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Keep the collection of garbage out of what is measured: it looks at all that there is, whoever made it."""
    gc.disable()
    yield
    gc.enable()


def cpu_s(body: bytes, times: int) -> float:
    """Return the processor time of reading the body so many times as CSV, as a part of one and as all of it."""
    began_s = time.process_time()
    for final in (False, True) * times:
        with suppress(ServiceError):
            Csv(TEXTS).take(b"text\n" + body, final=final)
    return time.process_time() - began_s


@pytest.mark.parametrize(
    ("start", "row"),
    [
        (b"", b'"'),
        (b"", b'"\n"\n'),
        (b"", b'""""\n'),
        (b"", b'"' + b"\n" * 500 + b'"\n'),
        (b"", b'"' + b'""' * 500 + b'"\n'),
        (b'"', b"\n"),
    ],
    ids=["quotes", "lines of quotes", "quoted quotes", "quoted lines", "many quoted quotes", "lines in an open quote"],
)
@pytest.mark.usefixtures("no_collections")
def test_the_work_of_quotes_grows_as_their_number_does(start: bytes, row: bytes) -> None:
    rows = 2_000 // len(row)
    # As much to read, at once and in 64 parts. At once it takes up to twice as long, for want of cache; if each were
    # looked at for every other, up to 64 times. The least of three tries, since others use the processor as well.
    assert min(cpu_s(start + row * rows * 64, 1) / cpu_s(start + row * rows, 64) for _ in range(3)) < 4


@pytest.mark.parametrize(("kind", "row"), [("ndjson", b"{}\n"), ("json", b"1,"), ("csv", b"1\n")])
def test_of_rows_that_are_all_refused_few_are_worked_on_before_others_have_their_turn(kind: str, row: bytes) -> None:
    start = {"ndjson": b"", "json": b"[", "csv": b"id,name,email\n"}[kind]

    async def refused() -> list[int]:
        room = asyncio.Semaphore(1_000)
        body = pieces(start + 100_000 * row + (b"1]" if kind == "json" else b""), 1 << 18)
        return [len(some.refused) async for some in rows_of(body, FORMATS[kind](), 65_536, room) if some.refused]

    first, *others = asyncio.run(refused())
    assert first + sum(others) >= 100_000
    # The last piece of a body is what is left of it.
    assert max(others[:-1]) <= 1_100
