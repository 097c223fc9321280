"""What each service takes for a record, and every reason it gives for what it does not take."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from services.chassis.bodies import Parser
from services.chassis.errors import InvalidQuery, InvalidRecord, MalformedBody
from services.orders.models import Order
from services.products.models import Product
from services.users.models import User

Records = Mapping[str, Any]
USERS: Parser[Records] = Parser(User)
PRODUCTS: Parser[Records] = Parser(Product)
ORDERS: Parser[Records] = Parser(Order)


def refusals(parser: Parser[Records], body: str) -> list[str]:
    with pytest.raises(InvalidRecord) as refused:
        parser.from_json(body.encode())
    return [reason.detail for reason in refused.value.reasons]


def user(**changes: str) -> str:
    return _object({"id": "1", "name": '"Ada"', "email": '"ada@example.com"', **changes})


def product(**changes: str) -> str:
    return _object({"id": "1", "name": '"Lamp"', "price": "9.99", **changes})


def _object(fields: Mapping[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{literal}' for name, literal in fields.items() if literal) + "}"


def test_a_record_is_taken_with_its_id_or_without() -> None:
    assert USERS.from_json(user().encode()) == {"id": 1, "name": "Ada", "email": "ada@example.com"}
    assert USERS.from_json(user(id="").encode()) == {"name": "Ada", "email": "ada@example.com"}


def test_a_list_that_is_too_long_is_told_how_long_it_may_be() -> None:
    class Lookup(TypedDict):
        ids: Annotated[list[int], Field(max_length=1)]

    assert refusals(Parser(Lookup), '{"ids": [1, 2]}') == ["ids has more entries than 1"]


@pytest.mark.parametrize("literal", ["0", "-1", "-0"])
def test_ids_begin_at_one(literal: str) -> None:
    assert refusals(USERS, user(id=literal)) == ["id is not at least 1"]


@pytest.mark.parametrize("literal", ['"1"', "1.0", "1e0", "true", "null", "[]", "9" * 5000, "NaN", "1e999"])
def test_an_id_is_a_whole_number_and_nothing_like_one(literal: str) -> None:
    assert refusals(USERS, user(id=literal)) == ["id is not a whole number"]


def test_ids_end_where_a_signed_64_bit_integer_does() -> None:
    assert USERS.from_json(user(id=str(2**63 - 1)).encode())["id"] == 2**63 - 1
    assert refusals(USERS, user(id=str(2**63))) == ["id is greater than 9223372036854775807"]


def test_a_name_is_kept_without_the_space_around_it() -> None:
    assert USERS.from_json(user(name='" \\tAda \\n"').encode())["name"] == "Ada"


@pytest.mark.parametrize("name", ["'); DROP TABLE users;--", "שלום", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🎉", "a" * 200, "🎉" * 200])
def test_any_text_is_a_name(name: str) -> None:
    assert USERS.from_json(user(name=f'"{name}"').encode())["name"] == name


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ('""', "name is empty"),
        ('"  "', "name is empty"),
        ('"' + "a" * 201 + '"', "name is longer than 200 characters"),
        ('"a\\u0000b"', "name contains a control character"),
        ('"a\\u001bb"', "name contains a control character"),
        ('"a\\u0085b"', "name contains a control character"),
        ('"\\ud800"', "name is not valid Unicode"),
        ("7", "name is not text"),
        ("null", "name is not text"),
        ("", "name is missing"),
    ],
)
def test_what_is_no_name(literal: str, reason: str) -> None:
    assert refusals(USERS, user(name=literal)) == [reason]


@pytest.mark.parametrize("email", ["a@b", "a.b+c@d-e.example", "a" * 63 + "@" + "b" * 63 + ".example"])
def test_what_is_an_e_mail_address(email: str) -> None:
    assert USERS.from_json(user(email=f'"{email}"').encode())["email"] == email


@pytest.mark.parametrize(
    "email", ["", "a", "@b", "a@", "a@-b", "a@b-", "a@b..c", " a@b", "a@b\\n", "ä@b", "a@" + "b" * 64]
)
def test_what_is_none(email: str) -> None:
    assert refusals(USERS, user(email=f'"{email}"')) == ["email is not an e-mail address of at most 254 characters"]


def test_an_e_mail_address_has_at_most_254_characters() -> None:
    domain = ".".join(["b" * 60] * 4)
    assert USERS.from_json(user(email=f'"{"a" * (253 - len(domain))}@{domain}"').encode())
    assert refusals(USERS, user(email=f'"{"a" * (254 - len(domain))}@{domain}"'))


@pytest.mark.parametrize(
    ("literal", "price"),
    [
        ("0.10", "0.10"),
        ("0.01", "0.01"),
        ("1e2", "100.00"),
        ("7", "7.00"),
        ("999999999.99", "999999999.99"),
        ("1.100000000000", "1.10"),
        ("1234567890123456e-14", None),
        ("12345678900000.000001e-5", None),
        ("1e-2", "0.01"),
        ("19.990000000000000000001", None),
    ],
)
def test_a_price_is_exact_or_refused(literal: str, price: str | None) -> None:
    if price is None:
        assert refusals(PRODUCTS, product(price=literal)) == ["price has more than 2 decimals"]
        return
    record = PRODUCTS.from_json(product(price=literal).encode())
    assert str(record["price"]) == price
    assert f'"price":{float(price)!r}'.encode() in PRODUCTS.to_json(record)


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("0", "price is not greater than 0"),
        ("-0.01", "price is not greater than 0"),
        ("0.001", "price has more than 2 decimals"),
        ("1000000000", "price is greater than 999999999.99"),
        ("1e308", "price is greater than 999999999.99"),
        ("1e999", "price is greater than 999999999.99"),
        ("NaN", "price is not a finite number"),
        ("Infinity", "price is not a finite number"),
        ("9" * 5000, "price is greater than 999999999.99"),
        ('"9.99"', "price is not a number"),
        ('"9.9900000000"', "price is not a number"),
        ("true", "price is not a number"),
        ("null", "price is not a number"),
        ("", "price is missing"),
    ],
)
def test_what_is_no_price(literal: str, reason: str) -> None:
    assert refusals(PRODUCTS, product(price=literal)) == [reason]


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("0", "quantity is not at least 1"),
        ("-1", "quantity is not at least 1"),
        ("1000001", "quantity is greater than 1000000"),
        ("1.5", "quantity is not a whole number"),
    ],
)
def test_what_is_no_quantity(literal: str, reason: str) -> None:
    body = _object({"user_id": "1", "product_id": "1", "quantity": literal})
    assert refusals(ORDERS, body) == [reason]


def test_every_reason_is_given_at_once_and_none_repeats_the_input() -> None:
    body = '{"id": 0, "name": "", "secret": 1, "other": 2, "price": "SECRET"}'
    assert refusals(PRODUCTS, body) == [
        "id is not at least 1",
        "name is empty",
        "price is not a number",
        "it has a field other than id, name, price",
    ]


@pytest.mark.parametrize("body", ["[]", '"x"', "null", "7"])
def test_a_record_is_an_object(body: str) -> None:
    assert refusals(USERS, body) == ["it is not a JSON object"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}x",
        b"\xff",
        b"\x00\x01",
        '{"id": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"id": 1}',
        b"[" * 20_000,
        b'{"a":' * 20_000,
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        USERS.from_json(body)


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("1.00000001e9999999999999999999", "price is not a finite number"),
        ("1.00000001e999999999999999999", "price is greater than 999999999.99"),
        ("1.00000001e-999999999999999999", "price has more than 2 decimals"),
        ("1.00000001e-9999999999999999999", "price is not greater than 0"),
    ],
)
def test_a_number_beyond_all_measure_is_no_price(literal: str, reason: str) -> None:
    assert refusals(PRODUCTS, product(price=literal)) == [reason]


def test_parameters_are_read_as_json_writes_numbers() -> None:
    assert PRODUCTS.from_text([("id", "7"), ("name", "7"), ("price", "7.5")]) == {
        "id": 7,
        "name": "7",
        "price": Decimal("7.50"),
    }


@pytest.mark.parametrize(
    "text", ["1_000", "0x1", "007", "+1", " 1", "１", "", "\x00", "1e9999999999999999999", "9" * 5000]
)
def test_no_other_text_is_a_number(text: str) -> None:
    with pytest.raises(InvalidQuery, match="refused"):
        ORDERS.from_text([("user_id", text), ("product_id", "1"), ("quantity", "1")])


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(InvalidQuery):
        ORDERS.from_text([("user_id", "1"), ("user_id", "2")])
