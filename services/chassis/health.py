"""Liveness, readiness and metrics."""

from fastapi import APIRouter
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


def make_router(service: Service) -> APIRouter:
    """Return the routes that tell how the service is."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/livez",
        summary="Is the process alive?",
        responses={200: json_answer("It is.", _SCHEMA, {"status": "alive"})},
    )
    async def live() -> Response:
        return JSONResponse({"status": "alive"})

    @router.get(
        "/readyz",
        summary="Can it store records now?",
        responses={200: json_answer("It can.", _SCHEMA, {"status": "ready"}), **answers(StoreUnavailable)},
    )
    async def ready() -> Response:
        await service.store.check()
        return JSONResponse({"status": "ready"})

    @router.get(
        "/metrics",
        summary="The service's figures, as Prometheus reads them",
        responses={
            200: {"description": "The figures.", "content": {metrics.MEDIA_TYPE: {"schema": {"type": "string"}}}}
        },
    )
    async def figures() -> Response:
        return Response(service.metrics.text(service.inserts.batches), media_type=metrics.MEDIA_TYPE)

    return router
