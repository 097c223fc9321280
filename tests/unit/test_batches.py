"""Large files to batches: the same rows, lines and ids whatever the format, and however the file is cut into pieces."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client import batches, json_items
from client.batches import Batch, batches_of
from client.inputs import InputError

SIZES = [1, 2, 3, 100]
LONG = "9" * 5000
NAMES = ["Ada", 'Grace "Amazing", Hopper', "100 %s, %d%%", "Søren 東京 \U0001f600", "two\nlines", "back\\slash", ""]
USERS: list[dict[str, Any]] = [
    {"id": number, "name": name, "email": "a@b"} for number, name in enumerate(NAMES, start=1)
]


def read(folder: Path, name: str, content: str | bytes, size: int = 100) -> list[Batch]:
    """Write the file and return its batches."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    found = list(batches_of(file, "users", size))
    for batch in found:
        assert len(batch.rows) == len(batch.lines) == len(batch.ids)
        # Whatever a file says, a row of it is a line.
        assert all(row.endswith(b"\n") and row.count(b"\n") == 1 for row in batch.rows)
        # Python's json passes over a byte order mark that a service would not expect.
        assert not any(b"\xef\xbb\xbf" in row for row in batch.rows)
    return found


def rows(found: list[Batch]) -> list[bytes]:
    return [row for batch in found for row in batch.rows]


def records(found: list[Batch]) -> list[Any]:
    return [json.loads(row) for row in rows(found)]


def lines(found: list[Batch]) -> list[int | str]:
    return [line for batch in found for line in batch.lines]


def ids(found: list[Batch]) -> list[int | None]:
    return [record_id for batch in found for record_id in batch.ids]


def as_csv(users: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(users[0])
    writer.writerows(user.values() for user in users)
    return text.getvalue()


def as_ndjson(users: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(user, ensure_ascii=False) + "\n" for user in users)


def as_json(users: list[dict[str, Any]]) -> str:
    return json.dumps(users, ensure_ascii=False, indent=1)


WRITERS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "users.csv": as_csv,
    "users.json": as_json,
    "users.ndjson": as_ndjson,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_and_ids(tmp_path: Path, name: str, size: int) -> None:
    found = read(tmp_path, name, WRITERS[name](USERS), size)
    assert records(found) == USERS
    assert ids(found) == [1, 2, 3, 4, 5, 6, 7]
    assert {(batch.service, batch.file) for batch in found} == {("users", name)}
    assert [len(batch.rows) for batch in found[:-1]] == [size] * (len(found) - 1)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", WRITERS)
def test_byte_order_marks_and_line_ends_change_nothing(
    tmp_path: Path, name: str, ending: str, bom: bytes, *, last: bool
) -> None:
    users = [user for user in USERS if "\n" not in user["name"]]
    text = WRITERS[name](users).rstrip("\n") + ("\n" if last else "")
    found = read(tmp_path, name, bom + text.replace("\n", ending).encode(), 4)
    assert records(found) == users
    assert ids(found) == [user["id"] for user in users]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("users.ndjson", '\n{"id": 1}\n \t\r\n\n{"id": 2}\n\n\n\n{"id": 3}', [2, 5, 9]),
        ("users.csv", "id\n\n1\n\n\r\n2\n\n\n\n3\n\n", [3, 6, 10]),
        ("users.json", '\n[\n\n{"id": 1},{\n"id":\n 2},\n\n{"id": 3}\n\n]\n\n', ["4[0]", "4[1]", "8[2]"]),
    ],
)
def test_blank_lines_are_no_rows_and_are_counted(
    tmp_path: Path, name: str, text: str, where: list[int | str], size: int
) -> None:
    found = read(tmp_path, name, text, size)
    assert records(found) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert (lines(found), ids(found)) == (where, [1, 2, 3])


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_kind_of_line_break_within_a_csv_row_counts_once(tmp_path: Path, size: int) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(b'id,name,email\n1,"a\r\nb",x@y\n\n2,"c\rd\n\ne",x@y\r\n3,f,x@y\n\r\n4,"\n","\n"\n5,g,x@y\n')
    with file.open(newline="") as source:
        rows = csv.reader(source)
        expected = [rows.line_num for row in rows if row][1:]
    assert lines(list(batches_of(file, "users", size))) == expected


def test_a_csv_row_of_many_lines_is_named_by_its_last_as_where_records_are_sent_singly(tmp_path: Path) -> None:
    found = read(tmp_path, "users.csv", 'id,name\n1,"a\nb\nc"\n2,d\n', 1)
    assert lines(found) == [4, 5]


@pytest.mark.parametrize("size", SIZES)
def test_a_csv_cell_is_a_number_where_it_is_one_in_json_and_text_where_not(tmp_path: Path, size: int) -> None:
    cells = [
        "1",
        "-1",
        "0",
        "1.50",
        "1e5",
        "-0.5E-3",
        "007",
        "+1",
        " 1",
        "1.",
        ".5",
        "1_000",
        "0x1",
        "٣",
        "NaN",
        "one",
        "",
    ]
    found = read(tmp_path, "users.csv", "quantity,id\n" + "".join(f"{cell},5\n" for cell in cells), size)
    literals = [*cells[:6], *map(json.dumps, cells[6:])]
    decoded = [literal.encode().decode("unicode_escape") if "\\" in literal else literal for literal in literals]
    assert [row.decode() for row in rows(found)] == [f'{{"quantity":{literal},"id":5}}\n' for literal in decoded]


def test_a_csv_cell_of_numbers_on_several_lines_is_text(tmp_path: Path) -> None:
    found = read(tmp_path, "users.csv", 'id,name\n1,a\n"2\n3",b\n4,c\n')
    assert records(found) == [{"id": 1, "name": "a"}, {"id": "2\n3", "name": "b"}, {"id": 4, "name": "c"}]


def test_a_csv_row_without_an_id_has_no_id_in_json_either(tmp_path: Path) -> None:
    found = read(tmp_path, "users.csv", 'id,name\n1,\n,a\n"",b\n')
    assert records(found) == [{"id": 1, "name": ""}, {"name": "a"}, {"name": "b"}]
    assert ids(found) == [1, None, None]


@pytest.mark.parametrize("size", SIZES)
def test_csv_rows_with_too_few_or_too_many_cells_say_so_and_leave_others_alone(tmp_path: Path, size: int) -> None:
    found = read(tmp_path, "users.csv", "id,name,email\n1,a,a@b\n2,b\n3,c,a@b,x,y\n4\n5,e,a@b\n", size)
    assert records(found) == [
        {"id": 1, "name": "a", "email": "a@b"},
        {"id": 2, "name": "b"},
        {"id": 3, "name": "c", "email": "a@b", "column 4": "x", "column 5": "y"},
        {"id": 4},
        {"id": 5, "name": "e", "email": "a@b"},
    ]
    assert lines(found) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("rest", ["", ",\n"])
def test_a_csv_header_of_any_text_is_a_name(tmp_path: Path, rest: str) -> None:
    """The second time a row has a cell too many, so that all rows are looked at by themselves."""
    found = read(tmp_path, "users.csv", f'"100 %s","a ""b""",é,"x\ny"\n1,2,3,4\n{rest}')
    assert records(found)[0] == {"100 %s": "1", 'a "b"': "2", "é": "3", "x\ny": "4"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("users.csv", f"id,price\n1,{LONG}\n{LONG},1\n"),
        ("users.json", f'[{{"id":1,"price":{LONG}}},{{"id":{LONG},"price":1}}]'),
        ("users.ndjson", f'{{"id":1,"price":{LONG}}}\n{{"id":{LONG},"price":1}}\n'),
    ],
)
def test_numbers_that_python_refuses_to_read_are_sent_as_they_are_written(tmp_path: Path, name: str, text: str) -> None:
    found = read(tmp_path, name, text)
    assert rows(found) == [f'{{"id":1,"price":{LONG}}}\n'.encode(), f'{{"id":{LONG},"price":1}}\n'.encode()]
    assert ids(found)[1] is None


ODD_ITEMS = [
    '{"id": 1, "name": "a]},{[\\"\\\\", "x": [1, {"id": 2}, "é"]}',
    '{ "name" : "b" ,\n\n "id" : 2 }',
    f'{{"id": 3, "price": {LONG}.25e-7}}',
    '"text, ]"',
    "null",
    "[]",
    "{}",
    "[[1.5], {}]",
    "true",
]


def array_of(items: list[str]) -> str:
    return "\n[ " + " ,\n".join(items) + "\n] \n"


@pytest.mark.parametrize("block", [*range(1, 24), 64, 4999, 5000])
def test_a_json_array_gives_the_same_items_wherever_a_block_of_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(json_items, "_BLOCK", block)
    # Reading a number of 5,000 digits a few characters at a time takes long, and shows no more than one of fifty.
    items = [
        item.replace(LONG, LONG[: min(block, 50) * 100]) if block > 9 else item.replace(LONG, LONG[:50])
        for item in ODD_ITEMS
    ]
    found = read(tmp_path, "users.json", array_of(items), 2)
    assert [row.decode() for row in rows(found)] == [item.replace("\n", " ") + "\n" for item in items]
    assert lines(found) == [f"{line}[{place}]" for place, line in enumerate([2, 3, 6, 7, 8, 9, 10, 11, 12])]
    assert ids(found) == [1, 2, 3, *[None] * 6]


@pytest.mark.parametrize("block", range(1, 12))
@pytest.mark.parametrize("number", ["1.5", "10e5", "-0.25E-3", "-17"])
def test_an_item_that_is_a_number_is_whole_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, number: str
) -> None:
    monkeypatch.setattr(json_items, "_BLOCK", block)
    assert rows(read(tmp_path, "users.json", f'[{number}, {{"id": 1}}]')) == [f"{number}\n".encode(), b'{"id": 1}\n']


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"id": 7}', 7),
        ('{"id":7,"name":"a"}', 7),
        ('{"name": "a", "id": 7}', 7),
        ('{"id"  :  7 }', 7),
        ('{"id": -7}', -7),
        ('{"id": 9223372036854775808}', None),
        ('{"id": 7, "name": "{\\"id\\": 8}"}', 7),
        ('{"name": "{\\"id\\": 8}"}', None),
        ('{"friend": {"id": 8}}', None),
        ('{"friend": {"id": 8}, "id": 7}', 7),
        ('{"id": 7.0}', None),
        ('{"id": true}', None),
        ('{"id": "7"}', None),
        ('{"id": null}', None),
        ('{"id": 7', None),
        ("null", None),
        ("[" * 100_000, None),
    ],
)
@pytest.mark.parametrize("among", [[], ['{"id": 1, "name": "a"}', '{"name": "b"}']])
def test_an_id_is_a_whole_number_of_the_record_itself(
    tmp_path: Path, among: list[str], row: str, expected: int | None
) -> None:
    found = read(tmp_path, "users.ndjson", "\n".join([row, *among]))
    assert ids(found)[0] == expected
    assert ids(found)[1:] == [1, None][: len(among)]


@pytest.mark.parametrize(
    "text",
    [
        # As many braces, and as many ids after a brace, as there are rows.
        '{"id": 1, "x": {"id": 2}}\n{"id": 7}\nnull\n',
        '{"id": 1}{"id": 2}\n{"id": 7}\n# a comment\n',
        '[]\n{"id": 7}\n{"id": 1, "x": {"id": 2}}\n',
        '{"name": "a"}\n{"id": 7}\n{"id": 1, "x": {"id": 2}}\n',
        '{"name": "a"}\n{"id": 7}\n{"id": 1, "friends": [{"id": 2}]}\n',
    ],
)
def test_a_row_has_its_own_id_although_another_has_two_and_another_none(tmp_path: Path, text: str) -> None:
    assert ids(read(tmp_path, "users.ndjson", text))[1] == 7


def test_of_an_id_that_is_given_twice_the_last_counts_as_for_the_services(tmp_path: Path) -> None:
    assert ids(read(tmp_path, "users.ndjson", '{"id": 1, "id": 2}\n{"id": 3}\n')) == [2, 3]
    assert ids(read(tmp_path, "users.csv", "id,id\n1,2\n")) == [2]


@pytest.mark.parametrize("long", [f"0.{LONG}", LONG])
def test_what_stands_beside_an_id_does_not_take_it_away(tmp_path: Path, long: str) -> None:
    """Without its id, the record could not be sent again."""
    found = read(tmp_path, "users.ndjson", f'{{"id": 1, "price": {long}}}\n{{"price": 2, "id": 2}}\n')
    assert ids(found) == [1, 2]


@pytest.mark.parametrize(
    ("name", "text"), [("users.csv", "id,name\n"), ("users.json", " [ ] \n"), ("users.ndjson", "\n \n\n")]
)
def test_a_file_without_rows_gives_no_batches(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == []


def test_a_line_that_is_broken_is_sent_as_it_stands(tmp_path: Path) -> None:
    text = b'{"id": 1}\n{"id": 2, "na\n\xff\xfe\n{"id": 3} {"id": 4}\n{"id": 5}'
    found = read(tmp_path, "users.ndjson", text)
    assert b"".join(rows(found)) == text + b"\n"


BROKEN = {
    "users.csv": ('id,name\n1,a\n2,b\n3,c\n4,"d\n', "5"),
    "users.json": ('[{"id": 1},\n{"id": 2},\n{"id": 3},\n{"id": 4', "4[3]"),
}


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        *((name, *broken) for name, broken in BROKEN.items()),
        ("users.csv", 'id\n1\n2\n3\n"4"x\n5\n', "5"),
        ("users.json", '[{"id": 1},\n{"id": 2},\n{"id": 3}\n{"id": 4}]', "3[2]"),
        ("users.json", '[{"id": 1},\n{"id": 2},\n{"id": 3},\n]', "4[3]"),
        ("users.json", '[{"id": 1},\n{"id": 2},\n{"id": 3}\n]\n[]', "5"),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_of_a_file_with_a_broken_end_what_comes_before_is_given_and_the_line_is_named(
    tmp_path: Path, name: str, text: str, where: str, size: int
) -> None:
    file = tmp_path / name
    file.write_text(text)
    found: list[Batch] = []
    with pytest.raises(InputError, match=rf"{name}:{re.escape(where)}: \S"):
        found.extend(batches_of(file, "users", size))
    assert ids(found) == [1, 2, 3]


@pytest.mark.parametrize("name", ["users.csv", "users.json", "users.ndjson"])
def test_a_file_that_is_empty_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} is empty"):
        read(tmp_path, name, "")


@pytest.mark.parametrize("text", [" \n", '{"id": 1}', "id,name\n1,a\n"])
def test_a_json_file_that_is_no_array_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"users\.json:\d: not a JSON array"):
        read(tmp_path, "users.json", text)


@pytest.mark.parametrize("name", ["users.csv", "users.json"])
def test_text_that_is_not_utf_8_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} is not UTF-8"):
        read(tmp_path, name, b'["\xff"]')


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: No such file"):
        list(batches_of(tmp_path / name, "users", 10))


def test_a_line_that_is_too_long_to_be_held_ends_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_LONGEST_LINE_BYTES", 30)
    file = tmp_path / "users.ndjson"
    file.write_text('{"id": 1}\n{"id": 2}\n{"id": 3, "name": "' + "x" * 30 + '"}\n{"id": 4}\n')
    found: list[Batch] = []
    with pytest.raises(InputError, match=r"users\.ndjson:3: from here on a line is too long"):
        found.extend(batches_of(file, "users", 2))
    assert ids(found) == [1, 2]


def test_an_item_that_is_too_long_to_be_held_ends_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "_BLOCK", 16)
    monkeypatch.setattr(json_items, "_LONGEST_ITEM", 32)
    file = tmp_path / "users.json"
    file.write_text('[{"id": 1},\n{"id": 2},\n{"id": 3, "name": "' + "x" * 100 + '"},\n{"id": 4}]')
    found: list[Batch] = []
    with pytest.raises(InputError, match=r"users\.json:3\[2\]: \S"):
        found.extend(batches_of(file, "users", 2))
    assert ids(found) == [1, 2]


def test_parts_of_a_batch_keep_lines_rows_and_ids_together(tmp_path: Path) -> None:
    (batch,) = read(tmp_path, "users.ndjson", '{"id": 1}\n\n{"id": 2}\n{"name": "a"}\n')
    some = batch.only([2, 0])
    assert (list(some.lines), list(some.rows), list(some.ids)) == (
        [4, 1],
        [b'{"name": "a"}\n', b'{"id": 1}\n'],
        [None, 1],
    )
    first, others = batch.parted(1)
    assert (list(first.ids), list(others.ids), list(others.lines)) == ([1], [2, None], [3, 4])
    everything, nothing = batch.parted(3)
    assert (list(everything.ids), list(nothing.rows)) == ([1, 2, None], [])
