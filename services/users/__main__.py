"""Runs the users service: python -m services.users."""

from services.chassis.server import run
from services.users.app import create_app
from services.users.settings import UsersSettings

if __name__ == "__main__":
    run(create_app, UsersSettings)
