"""A route whose endpoint takes the request and returns the response, with none of the framework's machinery between."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import Match, request_response
from starlette.types import Receive, Scope, Send

# The key under which a request's scope says so.
_IS_HEAD = "parallel_insert.is_head"


class PlainRoute(APIRoute):
    """Stands in the OpenAPI document like any other; its endpoint declares no parameters but the request.

    The framework's own way prepares for dependencies, which we have none of, and takes as long as all the rest.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what every route takes."""
        super().__init__(*args, **kwargs)
        self.app = request_response(self.endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match HEAD where GET would match."""
        return super().matches(_head_as_get(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET; the server leaves the body out (RFC 9110, section 9.3.2)."""
        await super().handle(_head_as_get(scope), receive, send)


def is_head(scope: Scope) -> bool:
    """Tell whether no more than the head of the answer is asked for, so that a long body need not be made."""
    return _IS_HEAD in scope


def _head_as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET", _IS_HEAD: True} if scope.get("method") == "HEAD" else scope
