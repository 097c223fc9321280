"""HTTP in and out: the routes that every resource has."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from pydantic import Field, with_config
from pydantic_core import to_json
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from typing_extensions import TypedDict

from services.chassis import errors
from services.chassis.batch import MOST_LISTED, REPORT_SCHEMA, Report, store_all
from services.chassis.bodies import Parser
from services.chassis.csv_rows import Csv
from services.chassis.fields import STRICT, Id
from services.chassis.limits import media_type, read_json_body
from services.chassis.openapi import add_header, batch_request, json_answer, json_request, parameters
from services.chassis.problems import answers
from services.chassis.rows import JsonArray, Ndjson, rows_of
from services.chassis.service import Service
from services.chassis.store import MAX_ID, Outcome

_JSON = "application/json"
_DEFAULT_LIMIT = 100
_GREATEST_LIMIT = 1_000

_REQUEST_ERRORS = (errors.MalformedBody, errors.BodyTooLarge, errors.UnsupportedMediaType)
_READ_ERRORS = (errors.StoreUnavailable,)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes of the service's resource."""
    _add_create(app, service)
    _add_create_many(app, service)
    _add_lookup(app, service)
    _add_list(app, service)
    _add_count(app, service)
    _add_read(app, service)


def _add_create(app: FastAPI, service: Service) -> None:
    name, parser = service.resource.name, service.parser
    refusals: list[type[errors.ServiceError]] = [errors.IdTaken, errors.NoIdLeft, errors.InvalidRecord]
    if service.resource.open_check:
        refusals += [errors.UnknownReference, errors.ReferenceCheckUnavailable]

    responses: dict[int | str, dict[str, Any]] = {
        201: json_answer("The record was stored.", parser.stored_schema, service.stored_example),
        200: json_answer("Exactly this was stored already.", parser.stored_schema, service.stored_example),
        **answers(*_REQUEST_ERRORS, *refusals, errors.Overloaded, errors.StoreUnavailable, errors.StorageFull),
    }
    add_header(responses[201], "Location", "Where the record is.", {"type": "string"})
    _add_in_flight(responses)

    @app.post(
        f"/{name}",
        tags=[name],
        summary="Store one record",
        description="Answers 201 once the record is on disk. Sending the same again is safe: it answers 200 and writes"
        " nothing. Without an id the record is given the next one.",
        status_code=HTTPStatus.CREATED,
        responses=responses,
        openapi_extra=json_request(parser.schema, service.resource.example),
    )
    async def create(request: Request) -> Response:
        record = parser.from_json(await read_json_body(request, service.settings.max_body_bytes))
        outcome, record_id = await service.insert(record)
        body = parser.to_json({"id": record_id, **record})
        if outcome is Outcome.UNCHANGED:
            return Response(body, HTTPStatus.OK, media_type=_JSON)
        return Response(body, HTTPStatus.CREATED, {"location": f"/{name}/{record_id}"}, media_type=_JSON)


def _add_create_many(app: FastAPI, service: Service) -> None:
    name, parser = service.resource.name, service.parser
    formats: dict[str, type[JsonArray | Ndjson | Csv]] = {
        _JSON: JsonArray,
        "application/x-ndjson": Ndjson,
        "text/csv": Csv,
    }
    query: Parser[dict[str, str]] = Parser(
        with_config(STRICT)(TypedDict("BatchQuery", {"results": Literal["all"]}, total=False))  # type: ignore[operator]
    )
    refusals = [
        errors.InvalidQuery,
        errors.InvalidRecord,
        errors.Overloaded,
        errors.StoreUnavailable,
        errors.StorageFull,
    ]
    if service.resource.open_check:
        refusals.append(errors.ReferenceCheckUnavailable)
    example = {"received": 1, "created": 1, "unchanged": 0, "rejected": 0, "results": [], "results_omitted": 0}
    responses: dict[int | str, dict[str, Any]] = {
        201: json_answer("All were created.", REPORT_SCHEMA, example),
        200: json_answer("None was rejected.", REPORT_SCHEMA, {**example, "created": 0, "unchanged": 1}),
        207: json_answer("Some were rejected.", REPORT_SCHEMA, {**example, "created": 0, "rejected": 1}),
        **answers(*_REQUEST_ERRORS, *refusals),
    }
    _add_in_flight(responses)

    @app.post(
        f"/{name}/batch",
        tags=[name],
        summary="Store many records",
        description="A JSON array, NDJSON, or CSV with a header line, of any length. Records are stored while they"
        " arrive; good ones are kept, whatever becomes of others. The answer lists those that were rejected, up to"
        f" {MOST_LISTED}, or with `?results=all` every one, and says in `results_omitted` how many more there are.",
        status_code=HTTPStatus.CREATED,
        responses=responses,
        openapi_extra={
            **batch_request(service.resource.example),
            "parameters": parameters(query.fields, where="query"),
        },
    )
    async def create_many(request: Request) -> Response:
        report = Report(list_all="results" in query.from_text(request.query_params.multi_items()))
        form = formats.get(media_type(request))
        if form is None:
            raise errors.UnsupportedMediaType(f"Send the records as {', '.join(formats)}.")
        chunks = rows_of(request.stream(), form(parser), service.settings.max_body_bytes)
        await store_all(chunks, service, report)
        status, body = report.answer()
        return Response(to_json(body), status, media_type=_JSON)


def _add_in_flight(responses: dict[int | str, dict[str, Any]]) -> None:
    for status, answer in responses.items():
        # The framework answers a defect outside of what counts the inserts.
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            add_header(answer, "In-Flight", "Inserts that were in flight when this one arrived.", {"type": "integer"})


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

    @app.post(
        f"/{name}/lookup",
        tags=[name],
        summary="Ask which ids do not exist",
        description="Many ids in one request; the answer names those that no record has, ascending, each once.",
        responses={
            200: json_answer("The ids that do not exist.", missing_schema, {"missing": [1_000_000]}),
            **answers(*_REQUEST_ERRORS, errors.InvalidRecord, *_READ_ERRORS),
        },
        openapi_extra=json_request(parser.schema, {"ids": [1, 1_000_000]}),
    )
    async def lookup(request: Request) -> Response:
        wanted = parser.from_json(await read_json_body(request, service.settings.max_body_bytes))
        return Response(to_json({"missing": await service.store.missing(wanted["ids"])}), media_type=_JSON)


def _add_list(app: FastAPI, service: Service) -> None:
    name, parser = service.resource.name, service.parser
    hints = get_type_hints(service.resource.record, include_extras=True) | {"id": Id}
    after = Annotated[int, Field(ge=0, le=MAX_ID, description="Records with an id above this one.")]
    limit = Annotated[
        int, Field(ge=1, le=_GREATEST_LIMIT, description=f"At most so many; {_DEFAULT_LIMIT} by default.")
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

    @app.get(
        f"/{name}",
        tags=[name],
        summary="List records by id",
        description="Pages by keyset: follow `next` until it is null. Any field of the record filters by equality.",
        responses={
            200: json_answer("One page.", page_schema, page_example),
            **answers(errors.InvalidQuery, *_READ_ERRORS),
        },
        openapi_extra={"parameters": parameters(query.fields, where="query")},
    )
    async def page(request: Request) -> Response:
        wanted = query.from_text(request.query_params.multi_items())
        after, limit = wanted.pop("after", 0), wanted.pop("limit", _DEFAULT_LIMIT)
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
    async def count() -> Response:
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
            **answers(errors.NoSuchRecord, errors.InvalidQuery, *_READ_ERRORS),
        },
        openapi_extra={"parameters": parameters(key.fields, where="path")},
    )
    async def read(request: Request) -> Response:
        record_id = key.from_text(request.path_params.items())["id"]
        row = await service.store.get(record_id)
        if row is None:
            raise errors.NoSuchRecord("No record is stored under this id.")
        return Response(service.parser.to_json(row), media_type=_JSON)
