"""What a product is."""

from typing import NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from services.chassis.fields import STRICT, Amount, Id, Line


@with_config(STRICT)
class Product(TypedDict):
    """Something that can be ordered."""

    id: NotRequired[Id]
    name: Line
    price: Amount
