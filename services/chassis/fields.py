"""The field types that records are built from, and the configuration of every record type."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from services.chassis.store import MAX_ID

# Types are taken as JSON has them ("1" is no number), and a field that nobody declared is refused.
STRICT = ConfigDict(strict=True, extra="forbid")

# Unicode's control characters (category Cc), NUL among them.
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
# The same for text that is not trimmed yet: at least one character is neither a control character nor white space.
_NOT_BLANK = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
_GREATEST_AMOUNT = Decimal("999999999.99")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Names, in one sentence without its subject, whatever is wrong with a field; say it last in `Annotated`."""

    sentence: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Replace the field's own errors by this one."""
        return core_schema.custom_error_schema(
            handler(source), custom_error_type="refusal", custom_error_message=self.sentence
        )


def _exact(value: object) -> Decimal:
    """Return a JSON number as the decimal that was written; a float is taken by its shortest form, which is that."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number_type", "is not a number")
    return Decimal(str(value))


def _to_cents(value: Decimal) -> Decimal:
    """Return the amount with both decimals, so that equal amounts are equal as text too."""
    return value.quantize(_CENT)


Id = Annotated[int, Field(ge=1, le=MAX_ID, json_schema_extra={"format": "int64"})]

Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_NO_CONTROLS),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "pattern": _NOT_BLANK,
            "description": "1 to 200 characters once trimmed; no control characters.",
        }
    ),
]

# A double holds every such amount closely enough to be printed as it was written, so JSON readers see it exactly.
Amount = Annotated[
    Decimal,
    Field(gt=0, le=_GREATEST_AMOUNT, decimal_places=2, allow_inf_nan=False),
    BeforeValidator(_exact),
    AfterValidator(_to_cents),
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": float(_GREATEST_AMOUNT), "multipleOf": 0.01}),
]
