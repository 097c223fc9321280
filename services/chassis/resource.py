"""What a service declares about itself; everything else about it is the chassis's business."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from services.chassis.errors import Reason
from services.chassis.metrics import Metrics
from services.chassis.settings import Settings
from services.chassis.store import Record

# Every reason for which the references of a record are refused, by the record's position; most often there are none.
Unknown = Mapping[int, Sequence[Reason]]
# Tells what is unknown; raises ReferenceCheckUnavailable where that could not be asked.
Check = Callable[[Sequence[Record]], Awaitable[Unknown]]
# Opens what a check needs, for as long as the service runs; takes the service's settings, and what counts its calls.
OpenCheck = Callable[[Any, Metrics], AbstractAsyncContextManager[Check]]


@dataclass(frozen=True)
class Resource:
    """A kind of record: its name (route, table and file), its TypedDict, and examples.

    Two examples can be sent as they are, one would be refused; `unknown_example` says why one that refers to what does
    not exist would be.
    """

    name: str
    record: type
    description: str
    example: Mapping[str, object]
    second_example: Mapping[str, object]
    refused_example: Mapping[str, object]
    # Where it listens unless its environment says otherwise; 0 takes a free one.
    port: int = 0
    unknown_example: Sequence[Reason] = ()
    open_check: OpenCheck | None = None
    settings: type[Settings] = Settings

    @property
    def noun(self) -> str:
        """What one such record is called."""
        return self.record.__name__.lower()

    def settings_from(self, environment: Mapping[str, str]) -> Settings:
        """Return what the environment sets; raise `CannotStart`, naming what is not valid."""
        return self.settings.from_environment(environment, port=self.port, database_url=f"sqlite:///{self.name}.db")
