"""Runs the products service: python -m services.products."""

from services.chassis.server import run
from services.products.app import create_app
from services.products.settings import ProductsSettings

if __name__ == "__main__":
    run(create_app, ProductsSettings)
