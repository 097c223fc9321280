"""What the service reads of a request, and where it stops."""

import re

from fastapi import Request

from services.chassis.errors import BodyTooLarge, MalformedBody, ServiceError, UnsupportedMediaType

# Less than the whole weight that an accepted type has without one.
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?)\s*(?:;|$)")


def refusals(max_bytes: int) -> tuple[type[ServiceError] | ServiceError, ...]:
    """Return what may be refused of a JSON body of so many bytes at the most, before its fields are looked at."""
    return MalformedBody, _too_large(max_bytes), UnsupportedMediaType


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return the body of a JSON request.

    Raises:
        UnsupportedMediaType: it is not sent as application/json, or it is compressed.
        BodyTooLarge: it is longer than `max_bytes`; where its length was announced, before any of it is read.
    """
    if media_type(request) != "application/json":
        raise UnsupportedMediaType("Send the record as application/json.")
    # The server has checked that the length is a number.
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


def media_type(request: Request) -> str:
    """Return the body's type without its parameters; raise `UnsupportedMediaType` where the body is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"A body may have at most {max_bytes} bytes.")


def prefers(request: Request, wanted: str, default: str) -> bool:
    """Tell whether a type is asked for by its name, and weighs no less than the default (RFC 9110, section 12.5.1)."""
    weights: dict[str, float] = {}
    for accepted in ",".join(request.headers.getlist("accept")).lower().split(","):
        name, _, parameters = accepted.partition(";")
        less = _WEIGHT.search(parameters)
        weights[name.strip()] = float(less[1]) if less else 1.0
    return weights.get(wanted, 0.0) > 0 and weights[wanted] >= weights.get(default, 0.0)
