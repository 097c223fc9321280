"""Bodies and parameters in, validated values out, with every reason where they are not valid."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from services.chassis.errors import InvalidQuery, InvalidRecord, MalformedBody
from services.chassis.reasons import reasons_of

Value = TypeVar("Value")

# Pydantic reads a JSON number by way of a binary double, which is exact up to 15 digits: enough for amounts, which have
# at most nine before the point, unless there are seven or more after it, or an exponent moves it. Such numbers are read
# digit by digit. (Text that looks like one does no harm.)
_MORE_THAN_A_DOUBLE = re.compile(rb"\.\d{7}|[:\s]-?[\d.]+[eE]")
# RFC 8259, section 6.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Longer than any id; Python itself refuses to read integers of more than 4,300 digits.
_LONGEST_WHOLE = 100


class Parser(Generic[Value]):
    """Reads one type of JSON object, from JSON or from the text of parameters."""

    def __init__(self, kind: Any) -> None:
        """Take the TypedDict to read."""
        self.adapter: TypeAdapter[Value] = TypeAdapter(kind)
        self.schema = self.adapter.json_schema()
        self.fields: dict[str, dict[str, Any]] = self.schema["properties"]
        # What is stored has every field; its id is left out by the sender only.
        self.stored_schema = {**self.schema, "required": list(self.fields)}

    def from_json(self, body: bytes) -> Value:
        """Return the validated value.

        Raises:
            MalformedBody: the body is not JSON in UTF-8.
            InvalidRecord: it breaks the type's rules; carries every reason.
        """
        try:
            if _MORE_THAN_A_DOUBLE.search(body):
                return self.adapter.validate_python(_decoded(body))
            return self._validated(body)
        except ValidationError as error:
            raise InvalidRecord("The record was refused.", reasons_of(error, list(self.fields))) from error

    def _validated(self, body: bytes) -> Value:
        try:
            return self.adapter.validate_json(body)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                raise
            # JSON that Pydantic will not read, such as a lone surrogate or a number of 5,000 digits, is still JSON:
            # its reasons are the fields', and only what nobody can read is malformed.
            return self.adapter.validate_python(_decoded(body))

    def to_json(self, value: Any) -> bytes:
        """Return a valid value as JSON."""
        return self.adapter.dump_json(value)

    def from_text(self, parameters: Iterable[tuple[str, str]]) -> Value:
        """Return the validated value of names and texts; numbers are taken as JSON writes them.

        Raises:
            InvalidQuery: they break the type's rules, or one is given twice; carries every reason.
        """
        values: dict[str, object] = {}
        for name, text in parameters:
            if name in values:
                raise InvalidQuery("A parameter is given twice.")
            values[name] = self._value(name, text)
        try:
            return self.adapter.validate_python(values)
        except ValidationError as error:
            raise InvalidQuery("The parameters were refused.", reasons_of(error, list(self.fields))) from error

    def _value(self, name: str, text: str) -> object:
        if self.fields.get(name, {}).get("type") not in {"integer", "number"} or not _NUMBER.fullmatch(text):
            return text
        try:
            return _decoded(text.encode())
        except MalformedBody:
            # A number beyond all measure is none.
            return text


def _decoded(body: bytes) -> object:
    """Return what the JSON says, with its numbers as they were written."""
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_int=_whole, parse_constant=float)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise MalformedBody("The body is not JSON in UTF-8.") from error


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else Decimal(digits)
