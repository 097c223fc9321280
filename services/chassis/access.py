"""Who may write: everyone, or whoever sends the service's API key."""

from secrets import compare_digest
from typing import Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from pydantic import SecretStr

from services.chassis.errors import ServiceError, Unauthorized


class Access:
    """What routes that write ask of a request, and what the OpenAPI document says of it."""

    def __init__(self, api_key: SecretStr | None) -> None:
        """Take the key; without one, nothing is asked."""
        self._expected = api_key.get_secret_value().encode() if api_key else None
        self.refusals: list[type[ServiceError]] = [Unauthorized] if api_key else []
        # For the document alone: our routes have none of the framework's dependencies, and check by themselves.
        scheme = HTTPBearer(description="The service's `API_KEY`.", auto_error=False)
        self.documented: list[Any] = [Security(scheme)] if api_key else []

    def check(self, request: Request) -> None:
        """Raise `Unauthorized` unless the request has the key (RFC 6750, section 2.1), where there is one."""
        if self._expected is None:
            return
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        # In constant time, so that nobody finds the key letter by letter.
        if not compare_digest(sent.strip().encode("latin-1"), self._expected) or scheme.lower() != "bearer":
            raise Unauthorized("Send the service's API key: Authorization: Bearer, and the key.")
