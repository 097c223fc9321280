"""Runs the orders service: python -m services.orders."""

from services.chassis.server import run
from services.orders.resource import ORDERS

if __name__ == "__main__":
    run(ORDERS)
