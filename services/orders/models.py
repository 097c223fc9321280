"""What an order is."""

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from services.chassis.fields import STRICT, Id


@with_config(STRICT)
class Order(TypedDict):
    """So many of a product for a user; both belong to other services."""

    id: NotRequired[Id]
    user_id: Id
    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
