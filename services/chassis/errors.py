"""Everything that a service may refuse, and why.

ServiceError
├── MalformedBody               the body is not JSON
├── InvalidRecord               a record breaks its rules; carries every reason
├── InvalidQuery                a path or query parameter breaks its rules; carries every reason
├── UnknownReference            a record names others that do not exist; carries every reason
├── IdTaken                     another record is stored under that id
├── Duplicate                   another id holds the values that are to be unique; carries which
├── NoIdLeft                    the greatest id is taken, so none can be assigned
├── Unauthorized                the service has an API key, and it was not sent
├── NoSuchRecord                no record has that id
├── BodyTooLarge                the body is longer than the service reads
├── UnsupportedMediaType        the body's type or coding is not one the service reads
├── StorageFull                 the disk has no room for the record
├── InternalError               a defect of this service; whatever else is raised is answered as this
├── CannotStart                 the database or a setting can't be used; never sent over HTTP
└── Unavailable                 try again later
    ├── Overloaded              too much is waiting already
    ├── ReferenceCheckUnavailable  the services that own the references could not be asked
    └── StoreUnavailable        the database can't be written or read just now
        └── OutcomeUnknown      it began to commit, and nobody can say whether the record was stored
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one field was refused; `field` is empty where the whole is at fault."""

    field: str
    detail: str


class ServiceError(Exception):
    """The root of the tree; `detail` is one sentence for people and never holds any input."""

    def __init__(self, detail: str, reasons: Sequence[Reason] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reasons = tuple(reasons)


class MalformedBody(ServiceError):
    """The body is not JSON."""


class InvalidRecord(ServiceError):
    """A record breaks its rules."""


class InvalidQuery(ServiceError):
    """A path or query parameter breaks its rules."""


class UnknownReference(ServiceError):
    """A record names others that do not exist."""


class IdTaken(ServiceError):
    """Another record is stored under that id."""


class Duplicate(ServiceError):
    """Another id holds the values that are to be unique."""


class NoIdLeft(ServiceError):
    """The greatest id is taken, so none can be assigned."""


class Unauthorized(ServiceError):
    """The service has an API key, and it was not sent."""


class NoSuchRecord(ServiceError):
    """No record has that id."""


class BodyTooLarge(ServiceError):
    """The body is longer than the service reads."""


class UnsupportedMediaType(ServiceError):
    """The body's type or coding is not one the service reads."""


class StorageFull(ServiceError):
    """The disk has no room for the record."""


class InternalError(ServiceError):
    """A defect of this service."""


class CannotStart(ServiceError):
    """The database or a setting can't be used as it is."""


class Unavailable(ServiceError):
    """Try again later; nothing is wrong with the request."""

    retry_after_s = 1


class Overloaded(Unavailable):
    """Too much is waiting already."""


class ReferenceCheckUnavailable(Unavailable):
    """The services that own the references could not be asked."""


class StoreUnavailable(Unavailable):
    """The database can't be written or read just now."""


class OutcomeUnknown(StoreUnavailable):
    """It began to commit, and nobody can say whether the record was stored."""
