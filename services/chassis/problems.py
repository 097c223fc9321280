"""RFC 9457 answers: the one place that writes them."""

from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route

from services.chassis import errors, kinds, request_id
from services.chassis.errors import Reason, ServiceError
from services.chassis.kinds import Kind
from services.chassis.openapi import add_header

MEDIA_TYPE = "application/problem+json"
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Stable; tells the kinds of problems apart. The path of a page that says what to do.",
        },
        "title": {"type": "string", "description": "The kind of problem, for people."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "This problem, for people."},
        "errors": {
            "type": "array",
            "description": "Every reason, where fields are at fault.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON Pointer (RFC 6901) to the field, as a fragment.",
                    },
                    "detail": {"type": "string", "description": "The reason in words."},
                },
            },
        },
    },
}


def answers(*refusals: type[ServiceError] | ServiceError) -> dict[int | str, dict[str, Any]]:
    """Return what an OpenAPI document says of these problems, and of the one that any route may have.

    One entry for each status, one example for each kind: the error's own words where it is given as it is raised.
    """
    documented: dict[int | str, dict[str, Any]] = {}
    for refusal in (*refusals, errors.InternalError):
        kind, example = _documented(refusal)
        entry = documented.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": {}}},
            },
        )
        if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
            add_header(entry, "Retry-After", "Seconds to wait before sending again.", {"type": "integer"})
        entry["description"] = f"{entry['description']} [{kind.title}]({kind.type}).".lstrip()
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"summary": kind.title, "value": example}
    return documented


def _documented(refusal: type[ServiceError] | ServiceError) -> tuple[Kind, dict[str, Any]]:
    if isinstance(refusal, ServiceError):
        return kind_of(type(refusal)), described(refusal)
    kind = kind_of(refusal)
    return kind, _body(kind, kind.detail)


def raised_by(call: Callable[[], object]) -> ServiceError:
    """Return the refusal that the call raises: an example that this service would give."""
    try:
        call()
    except ServiceError as refusal:
        return refusal
    raise AssertionError("nothing was refused")


def kind_of(error: type[ServiceError]) -> Kind:
    """Return the kind of problem that the error is answered as."""
    return kinds.OF_ERRORS[error]


def described(error: ServiceError) -> dict[str, Any]:
    """Return the problem that the error is answered as."""
    return _body(kind_of(type(error)), error.detail, error.reasons)


def add_handlers(app: FastAPI, refusals: Counter[str]) -> None:
    """Make the app answer every error, its own and the framework's, as a problem, and count them by their names."""
    app.state.refusals = refusals
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_defect)


def body_of(kind: Kind, detail: str, reasons: Sequence[Reason] = ()) -> bytes:
    """Return the problem as JSON."""
    return to_json(_body(kind, detail, reasons))


def _body(kind: Kind, detail: str, reasons: Sequence[Reason] = ()) -> dict[str, Any]:
    problem = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail}
    if reasons:
        problem["errors"] = [{"pointer": _pointer(reason), "detail": reason.detail} for reason in reasons]
    return problem


def _pointer(reason: Reason) -> str:
    return f"#/{reason.field}" if reason.field else "#"


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    headers = {}
    if isinstance(error, errors.Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, errors.BodyTooLarge):
        # Nobody is going to read the rest of the body, so the connection can't be used again.
        headers["connection"] = "close"
    return _response(request, kind_of(type(error)), error.detail, error.reasons, headers)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework refused: a path or a method that no route has."""
    assert isinstance(error, HTTPException)
    kind = kinds.OF_STATUS.get(error.status_code)
    if kind is None:
        # It has nothing else to refuse, so this is a defect like any other.
        raise error
    headers = {}
    if kind is kinds.METHOD_NOT_ALLOWED:
        # The framework names the methods of one route; RFC 9110, section 15.5.6 wants those of the resource.
        headers["allow"] = ", ".join(sorted(_allowed_methods(request)))
    return _response(request, kind, kind.detail, (), headers)


def _allowed_methods(request: Request) -> set[str]:
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    # The first that has the path is the one that answers: /users/count is no id.
    path = next((route.path for route in routes if route.matches(request.scope)[0] is not Match.NONE), None)
    methods = {method for route in routes if route.path == path for method in route.methods or ()}
    # What no route has is one of the docs' files, which can only be read; what can be read has a head.
    return methods | {"GET", "HEAD"} if not methods or "GET" in methods else methods


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """Nobody is there to read this; it only keeps a broken connection from being reported as a defect."""
    # Not in any standard, but what nginx counts such requests as.
    return Response(status_code=499)


async def _on_defect(request: Request, _: Exception) -> Response:
    """Answer an error of ours without its traceback, which the server logs under the same id."""
    kind = kind_of(errors.InternalError)
    headers = {request_id.HEADER: request_id.current.get()}
    return _response(request, kind, kind.detail, (), headers)


def _response(
    request: Request, kind: Kind, detail: str, reasons: Sequence[Reason] = (), headers: dict[str, str] | None = None
) -> Response:
    request.app.state.refusals[kind.slug] += 1
    return Response(body_of(kind, detail, reasons), kind.status, headers, media_type=MEDIA_TYPE)
