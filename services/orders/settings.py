"""The settings of the orders service."""

from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, TypeAdapter

from services.chassis.settings import Settings


def _addresses(text: str) -> str:
    """Return the bases of a service's URLs, separated by commas alone; raise where one is no HTTP URL."""
    urls = [url.strip().rstrip("/") for url in text.split(",")]
    for url in urls:
        TypeAdapter(AnyHttpUrl).validate_python(url)
    return ",".join(urls)


ServiceUrls = Annotated[str, AfterValidator(_addresses)]


class OrdersSettings(Settings):
    """The settings of the orders service."""

    users_url: Annotated[
        ServiceUrls, Field(description="Where the users service is: one address or several, separated by commas.")
    ] = "http://127.0.0.1:8001"
    products_url: Annotated[
        ServiceUrls, Field(description="Where the products service is: one address or several, separated by commas.")
    ] = "http://127.0.0.1:8002"
    lookup_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="How long users or products may take to answer, in seconds; beyond it the answer is 503."
            " Several addresses share it.",
        ),
    ] = 2.0
    lookup_api_key: Annotated[
        SecretStr | None,
        Field(description="What is sent with look-ups, as `Authorization: Bearer`, where users and products want it."),
    ] = None
    max_known_ids: Annotated[
        int, Field(ge=0, description="How many ids of users, and of products, are remembered as existing.")
    ] = 250_000
