"""The settings of the orders service."""

from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, TypeAdapter

from services.chassis.settings import Settings


def _address(text: str) -> str:
    """Return the base of a service's URLs; raise where it is no HTTP URL."""
    TypeAdapter(AnyHttpUrl).validate_python(text)
    return text.rstrip("/")


ServiceUrl = Annotated[str, AfterValidator(_address)]


class OrdersSettings(Settings):
    """The settings of the orders service."""

    port: int = 8003
    database_url: str = "sqlite:///orders.db"
    users_url: Annotated[ServiceUrl, Field(description="Where the users service is.")] = "http://127.0.0.1:8001"
    products_url: Annotated[ServiceUrl, Field(description="Where the products service is.")] = "http://127.0.0.1:8002"
    lookup_timeout_s: Annotated[
        float,
        Field(
            gt=0, description="How long users or products may take to answer, in seconds; beyond it the answer is 503."
        ),
    ] = 2.0
    lookup_api_key: Annotated[
        SecretStr | None,
        Field(description="What is sent with look-ups, as `Authorization: Bearer`, where users and products want it."),
    ] = None
    max_known_ids: Annotated[
        int, Field(ge=0, description="How many ids of users, and of products, are remembered as existing.")
    ] = 250_000
