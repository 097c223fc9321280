"""Pieces of an OpenAPI document for routes that read and write their bodies themselves."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic_core import to_json

Schema = Mapping[str, Any]


def json_request(schema: Schema, example: object) -> dict[str, Any]:
    """Return what a route says of the body it takes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def batch_request(example: Mapping[str, object]) -> dict[str, Any]:
    """Return what a route says of the many records that it takes; any item will do, since bad ones fail alone."""
    line = to_json(example).decode()
    csv = ",".join(example) + "\n" + ",".join(map(str, example.values())) + "\n"
    text = {"type": "string"}
    content = {
        "application/json": {"schema": {"type": "array", "items": {}}, "example": [example]},
        "application/x-ndjson": {"schema": text, "example": line + "\n"},
        "text/csv": {"schema": text, "example": csv},
    }
    return {"requestBody": {"required": True, "content": content}}


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
