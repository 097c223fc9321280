"""Every kind of problem: its name, its status, what it means, and what its sender and the operator do about it."""

from dataclasses import dataclass

from services.chassis import errors
from services.chassis.errors import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem; `detail` is what an answer of it says, where the error does not say more."""

    slug: str
    status: int
    title: str
    meaning: str
    detail: str
    sender: str
    operator: str = ""

    @property
    def type(self) -> str:
        """The path of its page: a relative reference, so it holds for any host (RFC 9457, section 3.1.1)."""
        return f"/problems/{self.slug}"


_SEND_AGAIN = "Send the same again after the seconds that `Retry-After` names; with an id, a retry is always safe."
_MAY_BE_STORED = f"{_SEND_AGAIN} A record without an id may be stored twice by that: look for it first."

OF_ERRORS: dict[type[ServiceError], Kind] = {
    errors.MalformedBody: Kind(
        slug="malformed-body",
        status=400,
        title="The body can't be read",
        meaning="The body, or a row of it, is not JSON in UTF-8, or not CSV.",
        detail="The body is not JSON in UTF-8.",
        sender="Read the body with a JSON parser: most often a quote or a comma is missing, a number is `NaN`, or the"
        " text is not encoded as UTF-8. Of many records, those that could be read are kept.",
    ),
    errors.Unauthorized: Kind(
        slug="unauthorized",
        status=401,
        title="An API key is needed",
        meaning="The service has an `API_KEY`, and the request that would write did not send it.",
        detail="Send the service's API key: Authorization: Bearer, and the key.",
        sender="Send the key as `Authorization: Bearer` and the key; in the interactive docs, by the button Authorize."
        " Reading needs none.",
        operator="Give the key to those who may write. The client takes it from `API_KEY` in its environment.",
    ),
    errors.NoSuchRecord: Kind(
        slug="no-such-record",
        status=404,
        title="No record has this id",
        meaning="The path is right, but no record is stored under this id.",
        detail="No record is stored under this id.",
        sender="Check the id. Records are never deleted, so the service that has acknowledged one finds it.",
    ),
    errors.IdTaken: Kind(
        slug="id-taken",
        status=409,
        title="The id is taken",
        meaning="Another record is stored under this id.",
        detail="Another record is stored under this id.",
        sender="Read the record that has the id. Where yours is another one, send it with an id of its own, or with"
        " none, and it is given the next. A record is never changed, and sending the very same again is no conflict:"
        " that answers 200.",
    ),
    errors.Duplicate: Kind(
        slug="duplicate",
        status=409,
        title="Another record holds the same values",
        meaning="Another id holds the same values in the fields of `UNIQUE`; `errors` names it.",
        detail="User 3 holds the same.",
        sender="Use the record that `errors` names, or send other values. Sent again as it is, the record is refused"
        " again.",
        operator="`UNIQUE` says which fields no two records may share; without it, all are kept.",
    ),
    errors.NoIdLeft: Kind(
        slug="no-id-left",
        status=409,
        title="No id is left to assign",
        meaning="The record has no id, and the greatest is taken.",
        detail="The greatest id is taken; send the record with an id of its own.",
        sender="Send the record with an id of its own. The next id is the greatest one plus one, and somebody has"
        " stored a record under 2^63-1.",
    ),
    errors.BodyTooLarge: Kind(
        slug="body-too-large",
        status=413,
        title="The body is too large",
        meaning="The body, or one of many rows, is longer than `MAX_BODY_BYTES`.",
        detail="A body may have at most 65536 bytes.",
        sender="Send many records to the batch route, whose body may have any length; only a row has a limit.",
        operator="Raise `MAX_BODY_BYTES` if a single record is really longer.",
    ),
    errors.UnsupportedMediaType: Kind(
        slug="unsupported-media-type",
        status=415,
        title="The body's type is not supported",
        meaning="The body's `Content-Type` is none that the route takes, or it is compressed.",
        detail="Send the record as application/json.",
        sender="Send `Content-Type: application/json`; the batch route also takes `application/x-ndjson` and"
        " `text/csv`. Send no `Content-Encoding`.",
    ),
    errors.InvalidRecord: Kind(
        slug="invalid-record",
        status=422,
        title="The record is not valid",
        meaning="The body's fields are not valid; `errors` names every reason.",
        detail="The record was refused.",
        sender="Mend what `errors` names: each `pointer` leads to a field of what was sent, each `detail` says what is"
        " wrong with it. All reasons are there at once. Sent again as it is, the record is refused again.",
    ),
    errors.UnknownReference: Kind(
        slug="unknown-reference",
        status=422,
        title="The record refers to something that does not exist",
        meaning="What the record refers to does not exist; `errors` names all that is missing.",
        detail="What the record refers to does not exist.",
        sender="Store what `errors` names first, then send this record again. If that is still on its way, wait until"
        " it has been acknowledged.",
    ),
    errors.InvalidQuery: Kind(
        slug="invalid-query",
        status=422,
        title="A parameter is not valid",
        meaning="A parameter in the path or the query is not valid; `errors` names every reason.",
        detail="The parameters were refused.",
        sender="Mend what `errors` names; the interactive docs list the parameters of each route. Each may be given"
        " once.",
    ),
    errors.InternalError: Kind(
        slug="internal-error",
        status=500,
        title="The service failed",
        meaning="A defect of ours; it has been logged.",
        detail="The service failed, and has logged why.",
        sender="Send the same again, once; with an id, a retry is always safe. If it fails again, tell the operator"
        " the answer's `X-Request-Id`.",
        operator="Look for the `request_id` in the log: the traceback is there.",
    ),
    errors.Overloaded: Kind(
        slug="overloaded",
        status=503,
        title="The service is busy",
        meaning="Too much is waiting, or there are too many connections or exports; nothing was done for this request."
        " `Retry-After` says when to come back.",
        detail="Too many requests are waiting; nothing was done for this one.",
        sender=f"{_SEND_AGAIN} Many records go faster in one request to the batch route.",
        operator="Watch `waiting` in `/metrics`. If it is at `MAX_WAITING` for long, the disk is slower than what"
        " comes in. Connections are limited by `MAX_CONNECTIONS`.",
    ),
    errors.ReferenceCheckUnavailable: Kind(
        slug="reference-check-unavailable",
        status=503,
        title="The references can't be checked now",
        meaning="The services that own what the record refers to could not be asked; it was neither accepted nor"
        " called invalid.",
        detail="The services that own the references could not be asked.",
        sender=_SEND_AGAIN,
        operator="See whether the other services are up and answer within `LOOKUP_TIMEOUT_S`, and whether this one"
        " knows their addresses and key. Each look-up that failed is in the log, and in `lookup_failures_total`.",
    ),
    errors.StoreUnavailable: Kind(
        slug="store-unavailable",
        status=503,
        title="The database can't be used now",
        meaning="The database can't be written or read just now.",
        detail="The database can't be used just now.",
        sender=_SEND_AGAIN,
        operator="See `/readyz` and the log. Another process may hold the database's lock. After a sync that failed,"
        " or once its files were taken away, the service stores nothing until it is started again.",
    ),
    errors.OutcomeUnknown: Kind(
        slug="outcome-unknown",
        status=503,
        title="Nobody can say whether the record was stored",
        meaning="The database failed during a commit; the record may be stored, so send it again.",
        detail="The answer to a commit was lost; the record may be stored.",
        sender=_MAY_BE_STORED,
        operator="See `/readyz` and the log. On SQLite the service must be started again.",
    ),
    errors.StorageFull: Kind(
        slug="storage-full",
        status=507,
        title="There is no room to store the record",
        meaning="The disk is full, or the database has reached a limit of its size.",
        detail="There is no room left to store records.",
        sender="Send the same again later; with an id, a retry is always safe. Reading still works.",
        operator="Make room on the disk that holds the database, or raise the limit of its size. The service goes on"
        " by itself.",
    ),
}

# What the framework refuses.
NOT_FOUND = Kind(
    slug="not-found",
    status=404,
    title="Nothing is at this path",
    meaning="No route has this path; an id is of digits.",
    detail="No route has this path.",
    sender="Look for the path in the interactive docs. There is none with a slash at its end.",
)
METHOD_NOT_ALLOWED = Kind(
    slug="method-not-allowed",
    status=405,
    title="The path has no such method",
    meaning="The path has no such method; `Allow` names those it has.",
    detail="The path has no such method; Allow names those it has.",
    sender="Use one of the methods that `Allow` names. Records are created and read; they are never changed or"
    " deleted.",
)
OF_STATUS = {kind.status: kind for kind in (NOT_FOUND, METHOD_NOT_ALLOWED)}

# What the protocol refuses before there is a request.
NOT_HTTP = Kind(
    slug="malformed-request",
    status=400,
    title="This is not an HTTP request",
    meaning="What came is not HTTP; the connection is closed.",
    detail="This is not an HTTP request.",
    sender="Speak plain HTTP/1.1 to this port: no TLS (`https:`), no HTTP/2, and no request to be passed on, as"
    " proxies get them.",
    operator="There is no TLS here: where senders need it, put a proxy in front.",
)
TOO_SLOW = Kind(
    slug="request-timeout",
    status=408,
    title="The request came too slowly",
    meaning="The request did not come within `RECEIVE_TIMEOUT_S`; the connection is closed.",
    detail="The request came too slowly.",
    sender="Send the whole request without a pause, and as many bytes of body as `Content-Length` says. What was not"
    " answered may be sent again.",
    operator="Raise `RECEIVE_TIMEOUT_S` if senders are on a slow network.",
)
URL_TOO_LONG = Kind(
    slug="uri-too-long",
    status=414,
    title="The URL is too long",
    meaning="The URL has more than 64 KiB.",
    detail="The URL is too long.",
    sender="Shorten the query. To ask for many ids at once, use the look-up, which takes them in its body.",
)
HEAD_TOO_LARGE = Kind(
    slug="headers-too-large",
    status=431,
    title="The headers are too large",
    meaning="There are more than 100 headers, or they have more than 64 KiB.",
    detail="The headers are too large.",
    sender="Leave out headers that the service has no use for; cookies are the usual cause.",
)

# What the server says when it ends.
STOPPING = Kind(
    slug="stopping",
    status=503,
    title="The service is stopping",
    meaning="The service was stopped before it had answered; the record may be stored, so send it again.",
    detail="The service is stopping; send this again when it is back.",
    sender=_MAY_BE_STORED,
    operator="Start the service again, if nobody else does.",
)

ALL = {
    kind.slug: kind
    for kind in sorted(
        (*OF_ERRORS.values(), *OF_STATUS.values(), NOT_HTTP, TOO_SLOW, URL_TOO_LONG, HEAD_TOO_LARGE, STOPPING),
        key=lambda kind: kind.status,
    )
}
