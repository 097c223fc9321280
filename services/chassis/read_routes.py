"""HTTP in and out: what can be asked of every resource."""

from typing import Annotated, Any, get_type_hints
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from pydantic import Field, with_config
from pydantic_core import to_json
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from typing_extensions import TypedDict

from services.chassis import errors
from services.chassis.bodies import Parser
from services.chassis.exports import Exports
from services.chassis.fields import STRICT, Id
from services.chassis.limits import prefers, read_json_body, refusals
from services.chassis.openapi import json_answer, json_request, parameters
from services.chassis.plain_route import is_head
from services.chassis.problems import answers, raised_by
from services.chassis.service import Service
from services.chassis.store import MAX_ID

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_DEFAULT_LIMIT = 100
_GREATEST_LIMIT = 1_000
# What an id takes in a look-up at the most: nineteen digits and a comma.
_LONGEST_ID_BYTES = 20
_READ_ERRORS = (errors.StoreUnavailable,)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes that read the service's resource."""
    _add_read(app, service)
    _add_list(app, service)
    _add_count(app, service)
    _add_lookup(app, service)


def _add_lookup(app: FastAPI, service: Service) -> None:
    name = service.resource.name

    @with_config(STRICT)
    class Lookup(TypedDict):
        ids: Annotated[list[Id], Field(max_length=service.settings.max_lookup_ids)]

    parser: Parser[Lookup] = Parser(Lookup)
    missing_schema = {
        "title": "Missing",
        "type": "object",
        "required": ["missing"],
        "properties": {"missing": {"type": "array", "items": {"type": "integer"}}},
    }
    max_bytes = service.settings.max_body_bytes + _LONGEST_ID_BYTES * service.settings.max_lookup_ids
    found = json_answer("The ids that do not exist, or the records that do.", missing_schema, {"missing": [1_000_000]})
    found["content"][_NDJSON] = _lines(service)

    @app.post(
        f"/{name}/lookup",
        tags=[name],
        summary="Ask which ids do not exist",
        description="Many ids in one request; the answer names those that no record has, ascending, each once. With"
        " `Accept: application/x-ndjson` it is the records that do exist, by id, a line of JSON each.",
        responses={
            200: found,
            **answers(*refusals(max_bytes), raised_by(lambda: parser.from_value({"ids": ["1", 0]})), *_READ_ERRORS),
        },
        openapi_extra=json_request(parser.schema, {"Two ids": {"ids": [1, 1_000_000]}}),
    )
    async def lookup(request: Request) -> Response:
        ids = parser.from_json(await read_json_body(request, max_bytes))["ids"]
        if prefers(request, _NDJSON, _JSON):
            return Response(await service.store.ndjson(ids), media_type=_NDJSON)
        return Response(to_json({"missing": await service.store.missing(ids)}), media_type=_JSON)


def _lines(service: Service) -> dict[str, Any]:
    return {"schema": {"type": "string"}, "example": service.parser.to_json(service.stored_example).decode() + "\n"}


def _add_list(app: FastAPI, service: Service) -> None:
    name, parser = service.resource.name, service.parser
    exports = Exports(service.store, service.settings.export_timeout_s)
    hints = get_type_hints(service.resource.record, include_extras=True) | {"id": Id}
    after = Annotated[int, Field(ge=0, le=MAX_ID, description="Records with an id above this one.")]
    limit = Annotated[
        int,
        Field(ge=1, le=_GREATEST_LIMIT, description=f"At most so many; {_DEFAULT_LIMIT} by default, of NDJSON all."),
    ]
    fields: dict[str, Any] = {"after": after, "limit": limit, **hints}
    query: Parser[dict[str, Any]] = Parser(with_config(STRICT)(TypedDict("Query", fields, total=False)))  # type: ignore[operator]
    page_example = {"items": [service.stored_example], "next": f"/{name}?after=1&limit=1"}
    page_schema = {
        "title": "Page",
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": parser.stored_schema},
            "next": {"type": ["string", "null"], "description": "Where the next page is; null on the last."},
        },
    }

    listed = json_answer("One page, or everything as lines.", page_schema, page_example)
    listed["content"][_NDJSON] = _lines(service)

    @app.get(
        f"/{name}",
        tags=[name],
        summary="List records by id",
        description="Pages by keyset: follow `next` until it is null. Any field of the record filters by equality. With"
        " `Accept: application/x-ndjson` the answer is all of it at once, a line of JSON each, as it was when it was"
        " asked for: what the batch route takes. Without its end it is not all, and the connection is closed.",
        responses={
            200: listed,
            **answers(raised_by(lambda: query.from_text([("limit", "0")])), errors.Overloaded, *_READ_ERRORS),
        },
        openapi_extra={"parameters": parameters(query.fields, where="query")},
    )
    async def page(request: Request) -> Response:
        wanted = query.from_text(request.query_params.multi_items())
        after, limit = wanted.pop("after", 0), wanted.pop("limit", None)
        if prefers(request, _NDJSON, _JSON):
            return await exports.answer(after, limit, wanted, _NDJSON, head_only=is_head(request.scope))
        limit = limit or _DEFAULT_LIMIT
        # One more than asked for tells whether there is a next page.
        rows = await service.store.page(after, limit + 1, wanted)
        items = b",".join(map(parser.to_json, rows[:limit]))
        following = None
        if len(rows) > limit:
            following = f"/{name}?{urlencode({'after': rows[limit - 1]['id'], 'limit': limit, **wanted})}"
        return Response(b'{"items":[%b],"next":%b}' % (items, to_json(following)), media_type=_JSON)


def _add_count(app: FastAPI, service: Service) -> None:
    name = service.resource.name
    schema = {
        "title": "Count",
        "type": "object",
        "required": ["count"],
        "properties": {"count": {"type": "integer", "minimum": 0}},
    }

    @app.get(
        f"/{name}/count",
        tags=[name],
        summary="Count the records",
        description="How many records are stored.",
        responses={200: json_answer("The count.", schema, {"count": 1}), **answers(*_READ_ERRORS)},
    )
    async def count(_: Request) -> Response:
        return Response(to_json({"count": await service.store.count()}), media_type=_JSON)


class _Digits(Convertor[str]):
    """A path's part that may be an id, so that /users/lookup is none; the record type decides whether it is one."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def _add_read(app: FastAPI, service: Service) -> None:
    name = service.resource.name
    register_url_convertor("digits", _Digits())
    key: Parser[dict[str, int]] = Parser(with_config(STRICT)(TypedDict("Key", {"id": Id})))  # type: ignore[operator]

    @app.get(
        f"/{name}/{{id:digits}}",
        tags=[name],
        summary="Read one record",
        description="The record as it is stored.",
        responses={
            200: json_answer("The record.", service.parser.stored_schema, service.stored_example),
            **answers(errors.NoSuchRecord, raised_by(lambda: key.from_text([("id", "0")])), *_READ_ERRORS),
        },
        openapi_extra={"parameters": parameters(key.fields, where="path")},
    )
    async def read(request: Request) -> Response:
        record_id = key.from_text(request.path_params.items())["id"]
        row = await service.store.get(record_id)
        if row is None:
            raise errors.NoSuchRecord("No record is stored under this id.")
        return Response(service.parser.to_json(row), media_type=_JSON)
