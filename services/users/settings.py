"""The settings of the users service."""

from services.chassis.settings import Settings


class UsersSettings(Settings):
    """The settings of the users service."""

    port: int = 8001
    database_url: str = "sqlite:///users.db"
