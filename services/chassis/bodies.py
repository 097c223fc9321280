"""Bodies and parameters in, validated values out, with every reason where they are not valid."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from services.chassis.errors import InvalidQuery, InvalidRecord, MalformedBody, ServiceError
from services.chassis.reasons import reasons_of
from services.chassis.store import MAX_ID

Value = TypeVar("Value")

# Pydantic reads a JSON number by way of a binary double, which is exact up to 15 digits: enough for amounts, which have
# at most nine before the point, unless there are seven or more after it, or an exponent moves it. Such numbers are read
# digit by digit. (Text that looks like one does no harm.)
_MORE_THAN_A_DOUBLE = re.compile(rb"\.\d{7}|[:\s]-?[\d.]+[eE]")
# RFC 8259, section 6.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Longer than any id; Python itself refuses to read integers of more than 4,300 digits.
_LONGEST_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Refused:
    """One of many values that was not taken, and why; with its id where it has one."""

    id: int | None
    error: ServiceError


class Parser(Generic[Value]):
    """Reads one type of JSON object, from JSON or from the text of parameters."""

    def __init__(self, kind: Any) -> None:
        """Take the TypedDict to read."""
        self.adapter: TypeAdapter[Value] = TypeAdapter(kind)
        # Of many records, hardly any text occurs twice: looking for it takes longer than making it.
        self._many: TypeAdapter[list[Value]] = TypeAdapter(list[kind], config=ConfigDict(cache_strings="keys"))
        self.schema = self.adapter.json_schema()
        self.fields: dict[str, dict[str, Any]] = self.schema["properties"]
        # Only decimals could be rounded on their way in.
        self._has_decimals = any(field.get("type") == "number" for field in self.fields.values())
        # What is stored has every field; its id is left out by the sender only.
        self.stored_schema = {**self.schema, "required": list(self.fields)}

    def from_json(self, body: bytes) -> Value:
        """Return the validated value.

        Raises:
            MalformedBody: the body is not JSON in UTF-8.
            InvalidRecord: it breaks the type's rules; carries every reason.
        """
        if self._may_be_rounded(body):
            return self.from_value(decoded(body))
        try:
            return self.adapter.validate_json(body)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                raise self._refusal(error) from error
        # JSON that Pydantic will not read, such as a lone surrogate or a number of 5,000 digits, is still JSON: its
        # reasons are the fields', and only what nobody can read is malformed.
        return self.from_value(decoded(body))

    def from_value(self, value: object) -> Value:
        """Return the validated value of what was decoded; raise `InvalidRecord` with every reason."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: ValidationError) -> InvalidRecord:
        return InvalidRecord("The record was refused.", reasons_of(error, list(self.fields)))

    def from_array(self, array: bytes) -> list[Value] | None:
        """Return the validated items of a JSON array, or None where anything is wrong with any of them."""
        if self._may_be_rounded(array):
            return None
        try:
            return self._many.validate_json(array)
        except ValidationError:
            return None

    def _may_be_rounded(self, body: bytes) -> bool:
        return self._has_decimals and _MORE_THAN_A_DOUBLE.search(body) is not None

    def one_of_many(self, value: object) -> Value | Refused:
        """Return the validated value of what was decoded, or why it is refused."""
        try:
            return self.from_value(value)
        except InvalidRecord as error:
            found = value.get("id") if isinstance(value, dict) else None
            return Refused(found if type(found) is int and 1 <= found <= MAX_ID else None, error)

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
            values[name] = self.value_of(name, text)
        try:
            return self.adapter.validate_python(values)
        except ValidationError as error:
            raise InvalidQuery("The parameters were refused.", reasons_of(error, list(self.fields))) from error

    def is_number(self, name: str) -> bool:
        """Tell whether the field of that name holds a number."""
        return self.fields.get(name, {}).get("type") in {"integer", "number"}

    def value_of(self, name: str, text: str) -> object:
        """Return what a field's text means: a number where the field holds one and JSON would write it so."""
        if not self.is_number(name) or not NUMBER.fullmatch(text):
            return text
        return decoded(text.encode())


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else Decimal(digits)


def _fraction(digits: str) -> Decimal | float:
    try:
        return Decimal(digits)
    except ArithmeticError:
        # An exponent beyond all measure: what is left is infinity or 0, and no field takes either.
        return float(digits)


# Numbers are kept as they are written; NaN and its like, which are no JSON, are left to the fields to refuse.
DECODER = json.JSONDecoder(parse_float=_fraction, parse_int=_whole, parse_constant=float)


def decoded(body: bytes) -> object:
    """Return what the JSON says, with its numbers as they were written.

    Raises:
        MalformedBody: it is not JSON in UTF-8.
    """
    try:
        return DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedBody("The body is not JSON in UTF-8.") from error
