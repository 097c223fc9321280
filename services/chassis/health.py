"""Liveness, readiness and metrics."""

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from services.chassis import metrics
from services.chassis.errors import StoreUnavailable
from services.chassis.openapi import json_answer
from services.chassis.problems import answers
from services.chassis.service import Service

_SCHEMA = {
    "title": "Health",
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}},
}


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes that tell how the service is."""

    @app.get(
        "/livez",
        tags=["health"],
        summary="Is the process alive?",
        description="Answers as long as the process does; asks nobody.",
        responses={200: json_answer("It is.", _SCHEMA, {"status": "alive"}), **answers()},
    )
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Can it store records now?",
        description="Does what takes the right, the locks and the server that an insert needs, and writes nothing.",
        responses={200: json_answer("It can.", _SCHEMA, {"status": "ready"}), **answers(StoreUnavailable)},
    )
    async def ready(_: Request) -> Response:
        await service.store.check()
        return JSONResponse({"status": "ready"})

    @app.get(
        "/metrics",
        tags=["health"],
        summary="The service's figures",
        description="In Prometheus's text format.",
        responses={
            200: {
                "description": "The figures.",
                "content": {metrics.MEDIA_TYPE: {"schema": {"type": "string"}, "example": metrics.Metrics().text(0)}},
            },
            **answers(),
        },
    )
    async def figures(_: Request) -> Response:
        return Response(service.metrics.text(service.inserts.waiting), media_type=metrics.MEDIA_TYPE)
