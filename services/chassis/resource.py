"""What a service declares about itself; everything else about it is the chassis's business."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from services.chassis.errors import Reason
from services.chassis.store import Record

# Tells, for each record, every reason for which its references are refused; raises ReferenceCheckUnavailable where
# they could not be checked.
Check = Callable[[Sequence[Record]], Awaitable[list[list[Reason]]]]
# Opens what a check needs, for as long as the service runs.
OpenCheck = Callable[[], AbstractAsyncContextManager[Check]]


@dataclass(frozen=True)
class Resource:
    """A kind of record: its name (route and table), its TypedDict, and an example that can be sent as it is."""

    name: str
    record: type
    description: str
    example: Mapping[str, object]
    open_check: OpenCheck | None = None
