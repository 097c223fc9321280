"""Pydantic's errors in words for people: what is wrong with which field, without the input."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.chassis.errors import Reason

# Pydantic's error types (pydantic.dev/docs/validation/latest/errors/validation_errors) and what each says of its field.
_WORDS = {
    "missing": "is missing",
    "int_type": "is not a whole number",
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is not at least {ge}",
    "less_than_equal": "is greater than {le}",
    "finite_number": "is not a finite number",
    "decimal_max_places": "has more than {decimal_places} decimals",
    "string_type": "is not text",
    "string_unicode": "is not valid Unicode",
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "contains a control character",
    "literal_error": "is not {expected}",
    "list_type": "is not an array",
    "too_long": "has more entries than {max_length}",
}


def reasons_of(error: ValidationError, fields: Sequence[str]) -> list[Reason]:
    """Return every reason once, in the order of the fields."""
    found = (_reason(details, fields) for details in error.errors(include_url=False, include_input=False))
    return list(dict.fromkeys(found))


def _reason(details: ErrorDetails, fields: Sequence[str]) -> Reason:
    kind, location = details["type"], details["loc"]
    if kind == "dict_type":
        return Reason("", "it is not a JSON object")
    if kind == "extra_forbidden":
        # The field's name is input, and none is repeated to its sender.
        return Reason("", f"it has a field other than {', '.join(fields)}")
    words = _WORDS.get(kind)
    sentence = words.format(**details.get("ctx", {})) if words else details["msg"]
    name, *rest = map(str, location)
    return Reason("/".join([name, *rest]), " ".join([name, *rest, sentence]))
