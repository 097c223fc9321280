"""What a user is."""

from typing import Annotated, NotRequired

from pydantic import StringConstraints, with_config
from typing_extensions import TypedDict

from services.chassis.fields import STRICT, Id, Line, Refusal

# The e-mail state of HTML's input element (html.spec.whatwg.org, "valid e-mail address").
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = rf"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*$"

Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=_EMAIL),
    Refusal("is not an e-mail address of at most 254 characters"),
]


@with_config(STRICT)
class User(TypedDict):
    """Someone who can place orders."""

    id: NotRequired[Id]
    name: Line
    email: Email
