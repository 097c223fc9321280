"""What the users service declares about itself."""

from services.chassis.resource import Resource
from services.users.models import User

USERS = Resource(
    name="users",
    record=User,
    port=8001,
    description="Who can place orders; the only owner of users.db.",
    example={"name": "Ada Lovelace", "email": "ada@example.com"},
    second_example={"name": "Grace Hopper", "email": "grace@example.com"},
    refused_example={"name": "", "email": "grace at example.com"},
)
