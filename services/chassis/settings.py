"""What the environment sets; `docs/settings.md` says the same for people."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from services.chassis.errors import CannotStart


def _names(text: str) -> list[str]:
    """Return the names of a list with commas; raise where one is empty or occurs twice."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("must be different names with commas between them")
    return names


class Settings(BaseModel):
    """The settings that every service has; each is read from the environment variable of its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: Annotated[
        str, Field(min_length=1, description="The address to listen on; nothing but this machine reaches the default.")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")]
    database_url: Annotated[
        str, Field(description="Where the records are kept: `sqlite:///` and a path, or a PostgreSQL address.")
    ]
    unique: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_names),
        Field(
            description="The record's fields, with commas between them, whose values, taken together, one id may hold;"
            " a record with the same values under another id is refused with 409."
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="What is logged to standard error.")
    ] = "warning"
    api_key: Annotated[
        SecretStr | None,
        Field(
            min_length=1, description="What must be sent to write: `Authorization: Bearer` and this; empty, nothing."
        ),
    ] = None
    max_body_bytes: Annotated[
        int, Field(ge=1024, description="The longest body of a request, in bytes; beyond it the answer is 413.")
    ] = 65_536
    max_lookup_ids: Annotated[int, Field(ge=1, description="The most ids in one look-up.")] = 10_000
    max_batch: Annotated[int, Field(ge=1, description="The most records in one transaction.")] = 16_000
    max_waiting: Annotated[
        int, Field(ge=1, description="The most inserts that wait for a transaction; beyond it the answer is 503.")
    ] = 10_000
    max_connections: Annotated[
        int, Field(ge=1, description="The most connections at a time; one more is answered 503 and closed.")
    ] = 900
    receive_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="How long a request's head may take to come, and each KiB of its body, and each KiB of an"
            " answer to be read, in seconds; then the connection is closed.",
        ),
    ] = 8.0
    export_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="How long an export of many records may take, in seconds; then the connection is closed. Until"
            " it has ended, the write-ahead log grows with every write.",
        ),
    ] = 600.0
    exit_on_stdin_eof: Annotated[
        bool, Field(description="Stop when standard input ends, so as not to outlive the program that holds it.")
    ] = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **defaults: object) -> Self:
        """Read the settings, of which empty ones are none; raise `CannotStart`, naming those that are not valid."""
        values = {name: environment[name.upper()] for name in cls.model_fields if environment.get(name.upper())}
        try:
            return cls.model_validate({**defaults, **values})
        except ValidationError as error:
            problems = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
            raise CannotStart(f"The environment is not valid: {problems}.") from error
