"""Pieces of an OpenAPI document for routes that read and write their bodies themselves."""

from collections.abc import Mapping
from typing import Any, Literal

Schema = Mapping[str, Any]


def json_request(schema: Schema, example: object) -> dict[str, Any]:
    """Return what a route says of the body it takes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def json_answer(description: str, schema: Schema, example: object, *, created: bool = False) -> dict[str, Any]:
    """Return what a route says of one answer."""
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": schema, "example": example}},
    }
    if created:
        answer["headers"] = {"Location": {"description": "Where the record is.", "schema": {"type": "string"}}}
    return answer


def parameters(fields: Mapping[str, Schema], where: Literal["path", "query"]) -> list[dict[str, Any]]:
    """Return what a route says of its parameters."""
    return [
        {
            "name": name,
            "in": where,
            "required": where == "path",
            "description": schema.get("description", f"The record's {name}."),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in fields.items()
    ]
