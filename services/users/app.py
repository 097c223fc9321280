"""The users service, wired."""

from fastapi import FastAPI

from services.chassis.app import create_app as create_service
from services.chassis.resource import Resource
from services.users.models import User
from services.users.settings import UsersSettings


def create_app(settings: UsersSettings) -> FastAPI:
    """Return the users service's app."""
    users = Resource(
        name="users",
        record=User,
        description="Who can place orders; the only owner of users.db.",
        example={"name": "Ada Lovelace", "email": "ada@example.com"},
        second_example={"name": "Grace Hopper", "email": "grace@example.com"},
        refused_example={"name": "", "email": "grace at example.com"},
    )
    return create_service(users, settings)
