"""What the service reads of a request, and where it stops."""

from fastapi import Request

from services.chassis.errors import BodyTooLarge, UnsupportedMediaType


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return the body of a JSON request.

    Raises:
        UnsupportedMediaType: it is not sent as application/json, or it is compressed.
        BodyTooLarge: it is longer than `max_bytes`; where its length was announced, before any of it is read.
    """
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send the record as application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    # The server has checked that the length is a number.
    if int(headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"A body may have at most {max_bytes} bytes.")
