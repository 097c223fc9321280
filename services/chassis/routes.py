"""HTTP in and out: how records come into every resource."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import Field, with_config
from pydantic_core import to_json
from starlette.responses import Response
from typing_extensions import TypedDict

from services.chassis import errors, examples
from services.chassis.access import Access
from services.chassis.batch import MOST_LISTED, REPORT_SCHEMA, Report, store_all
from services.chassis.bodies import Parser
from services.chassis.csv_rows import Csv
from services.chassis.fields import STRICT
from services.chassis.limits import media_type, read_json_body, refusals
from services.chassis.openapi import add_header, batch_request, json_answer, json_request, parameters
from services.chassis.problems import answers, raised_by
from services.chassis.rows import JsonArray, Ndjson, rows_of
from services.chassis.service import Service, unknown_reference

_JSON = "application/json"
_FORMATS: dict[str, type[JsonArray | Ndjson | Csv]] = {
    _JSON: JsonArray,
    "application/x-ndjson": Ndjson,
    "text/csv": Csv,
}
_Listed = Annotated[
    Literal["all"],
    # As an enumeration it can be chosen in the interactive docs.
    Field(description="`all` lists every row, not only the rejected.", json_schema_extra={"enum": ["all"]}),
]
_STORE_ERRORS = (errors.Overloaded, errors.StoreUnavailable, errors.OutcomeUnknown, errors.StorageFull)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes that write the service's resource."""
    access = Access(service.settings.api_key)
    _add_create(app, service, access)
    _add_create_many(app, service, access)


def _add_create(app: FastAPI, service: Service, access: Access) -> None:
    name, parser = service.resource.name, service.parser
    refused: list[type[errors.ServiceError] | errors.ServiceError] = [
        *examples.not_stored(service),
        examples.invalid_record(service),
        *access.refusals,
    ]
    if service.resource.open_check:
        refused += [unknown_reference(service.resource.unknown_example), errors.ReferenceCheckUnavailable]

    responses: dict[int | str, dict[str, Any]] = {
        201: json_answer("The record was stored.", parser.stored_schema, service.stored_example),
        200: json_answer("Exactly this was stored already.", parser.stored_schema, service.stored_example),
        **answers(*refusals(service.settings.max_body_bytes), *refused, *_STORE_ERRORS),
    }
    add_header(responses[201], "Location", "Where the record is.", {"type": "string"})
    _add_in_flight(responses)
    _add_timing(responses)

    @app.post(
        f"/{name}",
        tags=[name],
        summary="Store one record",
        description="Answers 201 once the record is on disk. Sending the same again is safe: it answers 200 and writes"
        " nothing. Without an id the record is given the next one."
        + (f" Under another id, the same {' and '.join(service.unique)} is refused." if service.unique else ""),
        status_code=HTTPStatus.CREATED,
        responses=responses,
        dependencies=access.documented,
        openapi_extra=json_request(parser.schema, examples.records(service)),
    )
    async def create(request: Request) -> Response:
        access.check(request)
        record = parser.from_json(await read_json_body(request, service.settings.max_body_bytes))
        outcome, record_id = await service.insert(record)
        body = parser.to_json({"id": record_id, **record})
        if outcome == "unchanged":
            return Response(body, HTTPStatus.OK, media_type=_JSON)
        return Response(body, HTTPStatus.CREATED, {"location": f"/{name}/{record_id}"}, media_type=_JSON)


def _add_create_many(app: FastAPI, service: Service, access: Access) -> None:
    name, parser = service.resource.name, service.parser
    query: Parser[dict[str, str]] = Parser(
        with_config(STRICT)(TypedDict("BatchQuery", {"results": _Listed}, total=False))  # type: ignore[operator]
    )
    refused: list[type[errors.ServiceError] | errors.ServiceError] = [
        *examples.unreadable_batch(service),
        _no_such_format(),
        raised_by(lambda: query.from_text([("results", "some")])),
        *access.refusals,
        *_STORE_ERRORS,
    ]
    if service.resource.open_check:
        refused.append(errors.ReferenceCheckUnavailable)
    responses: dict[int | str, dict[str, Any]] = {
        201: json_answer("All were created.", REPORT_SCHEMA, examples.report(service, "created", "created")),
        200: json_answer("None was rejected.", REPORT_SCHEMA, examples.report(service, "unchanged", "unchanged")),
        207: json_answer("Some were rejected.", REPORT_SCHEMA, examples.partly_refused(service)),
        **answers(*refused),
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
        dependencies=access.documented,
        openapi_extra={
            **batch_request(examples.batches(service)),
            "parameters": parameters(query.fields, where="query"),
        },
    )
    async def create_many(request: Request) -> Response:
        access.check(request)
        list_all = "results" in query.from_text(request.query_params.multi_items())
        report = Report(list_all=list_all, refusals=service.metrics.refusals, refusal_of=service.refusal_of)
        form = _FORMATS.get(media_type(request))
        if form is None:
            raise _no_such_format()
        chunks = rows_of(request.stream(), form(parser), service.settings.max_body_bytes, service.room)
        await store_all(chunks, service, report)
        status, body = report.answer()
        return Response(to_json(body), status, media_type=_JSON)


def _no_such_format() -> errors.UnsupportedMediaType:
    return errors.UnsupportedMediaType(f"Send the records as {', '.join(_FORMATS)}.")


def _add_timing(responses: dict[int | str, dict[str, Any]]) -> None:
    # Every answer with one of these comes from the store; others may say what came before it.
    for status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT):
        meaning = "Milliseconds of checking references, of waiting, and of the transaction, with its number."
        add_header(responses[status], "Server-Timing", meaning, {"type": "string"})


def _add_in_flight(responses: dict[int | str, dict[str, Any]]) -> None:
    for status, answer in responses.items():
        # The framework answers a defect outside of what counts the inserts.
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            add_header(answer, "In-Flight", "Inserts that were in flight when this one arrived.", {"type": "integer"})
