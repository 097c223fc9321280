"""What the products service declares about itself."""

from services.chassis.resource import Resource
from services.products.models import Product

PRODUCTS = Resource(
    name="products",
    record=Product,
    port=8002,
    description="What can be ordered; the only owner of products.db.",
    example={"name": "Desk Lamp", "price": 24.99},
    second_example={"name": "Notebook", "price": 3.5},
    refused_example={"name": "", "price": 0.001},
)
