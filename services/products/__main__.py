"""Runs the products service: python -m services.products."""

from services.chassis.server import run
from services.products.resource import PRODUCTS

if __name__ == "__main__":
    run(PRODUCTS)
