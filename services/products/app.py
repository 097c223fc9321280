"""The products service, wired."""

from fastapi import FastAPI

from services.chassis.app import create_app as create_service
from services.chassis.resource import Resource
from services.products.models import Product
from services.products.settings import ProductsSettings


def create_app(settings: ProductsSettings) -> FastAPI:
    """Return the products service's app."""
    products = Resource(
        name="products",
        record=Product,
        description="What can be ordered; the only owner of products.db.",
        example={"name": "Desk Lamp", "price": 24.99},
        second_example={"name": "Notebook", "price": 3.5},
        refused_example={"name": "", "price": 0.001},
    )
    return create_service(products, settings)
