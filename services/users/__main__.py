"""Runs the users service: python -m services.users."""

from services.chassis.server import run
from services.users.resource import USERS

if __name__ == "__main__":
    run(USERS)
