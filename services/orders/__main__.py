"""Runs the orders service: python -m services.orders."""

from services.chassis.server import run
from services.orders.app import create_app
from services.orders.settings import OrdersSettings

if __name__ == "__main__":
    run(create_app, OrdersSettings)
