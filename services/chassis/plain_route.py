"""A route whose endpoint takes the request and returns the response, with none of the framework's machinery between."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import request_response


class PlainRoute(APIRoute):
    """Stands in the OpenAPI document like any other; its endpoint declares no parameters but the request.

    The framework's own way prepares for dependencies, which we have none of, and takes as long as all the rest.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what every route takes."""
        super().__init__(*args, **kwargs)
        self.app = request_response(self.endpoint)
