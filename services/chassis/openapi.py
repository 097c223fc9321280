"""Pieces of an OpenAPI document for routes that read and write their bodies themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic_core import to_json

Schema = Mapping[str, Any]


def json_request(schema: Schema, examples: Mapping[str, object]) -> dict[str, Any]:
    """Return what a route says of the body it takes; its examples by what they show."""
    content = {"application/json": {"schema": schema, "examples": _named(examples)}}
    return {"requestBody": {"required": True, "content": content}}


def batch_request(examples: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[str, Any]:
    """Return what a route says of the many records that it takes; any item will do, since bad ones fail alone."""
    text = {"type": "string"}
    content = {
        "application/json": {"schema": {"type": "array", "items": {}}, "examples": _named(examples)},
        "application/x-ndjson": {
            "schema": text,
            "examples": _named({shown: _ndjson(records) for shown, records in examples.items()}),
        },
        "text/csv": {"schema": text, "examples": _named({shown: _csv(records) for shown, records in examples.items()})},
    }
    return {"requestBody": {"required": True, "content": content}}


def _ndjson(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(to_json(record).decode() + "\n" for record in records)


def _csv(records: Sequence[Mapping[str, object]]) -> str:
    rows = [list(records[0]), *(record.values() for record in records)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _named(examples: Mapping[str, object]) -> dict[str, Any]:
    return {shown: {"value": value} for shown, value in examples.items()}


def json_answer(description: str, schema: Schema, example: object) -> dict[str, Any]:
    """Return what a route says of one answer."""
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def add_header(answer: dict[str, Any], name: str, description: str, schema: Schema) -> None:
    """Add a header that the answer always has to what a route says of it."""
    answer.setdefault("headers", {})[name] = {"description": description, "required": True, "schema": schema}


def parameters(fields: Mapping[str, Schema], where: Literal["path", "query"]) -> list[dict[str, Any]]:
    """Return what a route says of its parameters."""
    return [
        {
            "name": name,
            "in": where,
            "required": where == "path",
            "description": schema.get("description", f"The record's {name}."),
            "schema": {key: value for key, value in schema.items() if key != "description"},
            # With an example a path can be tried out as it stands.
            **({"example": 1} if where == "path" else {}),
        }
        for name, schema in fields.items()
    ]
