"""RFC 9457 answers: the one table from error to status, and the one place that writes them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route

from services.chassis import errors, request_id
from services.chassis.errors import Reason, ServiceError
from services.chassis.openapi import add_header

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:parallel-insert:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status, the last part of its type, and its title for people."""

    status: int
    slug: str
    title: str


_KINDS: dict[type[ServiceError], Kind] = {
    errors.MalformedBody: Kind(400, "malformed-body", "The body can't be read"),
    errors.Unauthorized: Kind(401, "unauthorized", "An API key is needed"),
    errors.NoSuchRecord: Kind(404, "no-such-record", "No record has this id"),
    errors.IdTaken: Kind(409, "id-taken", "The id is taken"),
    errors.Duplicate: Kind(409, "duplicate", "Another record holds the same values"),
    errors.NoIdLeft: Kind(409, "no-id-left", "No id is left to assign"),
    errors.BodyTooLarge: Kind(413, "body-too-large", "The body is too large"),
    errors.UnsupportedMediaType: Kind(415, "unsupported-media-type", "The body's type is not supported"),
    errors.InvalidRecord: Kind(422, "invalid-record", "The record is not valid"),
    errors.UnknownReference: Kind(422, "unknown-reference", "The record refers to something that does not exist"),
    errors.InvalidQuery: Kind(422, "invalid-query", "A parameter is not valid"),
    errors.InternalError: Kind(500, "internal-error", "The service failed"),
    errors.Overloaded: Kind(503, "overloaded", "The service is busy"),
    errors.ReferenceCheckUnavailable: Kind(503, "reference-check-unavailable", "The references can't be checked now"),
    errors.StoreUnavailable: Kind(503, "store-unavailable", "The database can't be used now"),
    errors.StorageFull: Kind(507, "storage-full", "There is no room to store the record"),
}

SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Stable; tells the kinds of problems apart."},
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


def answers(*kinds: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Return what an OpenAPI document says of these problems, and of the one that any route may have.

    One entry for each status, one example for each kind.
    """
    documented: dict[int | str, dict[str, Any]] = {}
    for kind in map(_KINDS.__getitem__, (*kinds, errors.InternalError)):
        entry = documented.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": {}}},
            },
        )
        if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
            add_header(entry, "Retry-After", "Seconds to wait before sending again.", {"type": "integer"})
        entry["description"] = f"{entry['description']} {kind.title}.".lstrip()
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"value": _body(kind, f"{kind.title}.")}
    return documented


def kind_of(error: type[ServiceError]) -> Kind:
    """Return the kind of problem that the error is answered as."""
    return _KINDS[error]


def described(error: ServiceError) -> dict[str, Any]:
    """Return the problem that the error is answered as."""
    return _body(_KINDS[type(error)], error.detail, error.reasons)


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
    problem = {"type": _TYPE_PREFIX + kind.slug, "title": kind.title, "status": kind.status, "detail": detail}
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
    return _response(request, _KINDS[type(error)], error.detail, error.reasons, headers)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework refused: a path or a method that no route has."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = {}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of one route; RFC 9110, section 15.5.6 wants those of the resource.
        headers["allow"] = ", ".join(sorted(_allowed_methods(request)))
    slug = status.phrase.lower().replace(" ", "-")
    return _response(request, Kind(status, slug, status.phrase), f"{status.description or status.phrase}.", (), headers)


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
    headers = {request_id.HEADER: request_id.current.get()}
    return _response(request, _KINDS[errors.InternalError], "The service failed, and has logged why.", (), headers)


def _response(
    request: Request, kind: Kind, detail: str, reasons: Sequence[Reason] = (), headers: dict[str, str] | None = None
) -> Response:
    request.app.state.refusals[kind.slug] += 1
    return Response(body_of(kind, detail, reasons), kind.status, headers, media_type=MEDIA_TYPE)
