"""What the orders service declares about itself."""

from services.chassis.resource import Resource
from services.orders.models import Order
from services.orders.references import does_not_exist, open_references
from services.orders.settings import OrdersSettings

ORDERS = Resource(
    name="orders",
    record=Order,
    port=8003,
    description="Who ordered what; the only owner of orders.db.",
    example={"user_id": 1, "product_id": 1, "quantity": 2},
    second_example={"user_id": 1, "product_id": 1, "quantity": 12},
    refused_example={"user_id": 0, "product_id": 1, "quantity": 0},
    unknown_example=[does_not_exist("user", 404), does_not_exist("product", 404)],
    open_check=open_references,
    settings=OrdersSettings,
)
