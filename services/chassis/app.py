"""The app factory: a resource and its settings in, a FastAPI app out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import Response

from services.chassis import health, problem_pages, problems, read_routes, routes
from services.chassis.docs import add_docs, description
from services.chassis.observer import Observer
from services.chassis.plain_route import PlainRoute
from services.chassis.resource import Resource
from services.chassis.service import Service
from services.chassis.settings import Settings

VERSION = "0.1.0"


def create_app(resource: Resource, settings: Settings) -> FastAPI:
    """Return the service's app; its database is opened when the app starts, and not before."""
    service = Service(resource, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title=resource.name,
        summary=resource.description,
        description=description(resource.name),
        version=VERSION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[
            {"name": resource.name, "description": "Send records, one or many, and read them."},
            {"name": "health", "description": "How the service is, for whoever looks after it."},
        ],
        lifespan=lifespan,
        # A redirect would answer where a problem is due: /users/ is not /users.
        redirect_slashes=False,
        # What routes return, they have written themselves; the document says what it is.
        default_response_class=Response,
        # These would load their scripts from the internet.
        docs_url=None,
        redoc_url=None,
        # Asking for every request whether any of it is set up takes longer than reading the record.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = PlainRoute
    routes.add_routes(app, service)
    read_routes.add_routes(app, service)
    health.add_routes(app, service)
    app.add_middleware(Observer, inserts={f"/{resource.name}", f"/{resource.name}/batch"}, metrics=service.metrics)
    add_docs(app)
    problem_pages.add_pages(app)
    problems.add_handlers(app, service.metrics.refusals)
    return app
