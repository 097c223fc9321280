"""A commit for each request, as FastAPI apps over SQLite are usually written, on the packages that ours runs on."""

import os
import sqlite3
import threading

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()
local = threading.local()


class NewUser(BaseModel):
    """What is sent."""

    name: str = Field(min_length=1, max_length=200)
    email: str = Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")


class User(NewUser):
    """What is stored."""

    id: int


def connection() -> sqlite3.Connection:
    """Return this thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["DATABASE"], timeout=30)
        # As durable as ours: every commit is synced.
        local.connection.execute("PRAGMA synchronous = FULL")
    opened: sqlite3.Connection = local.connection
    return opened


@app.post("/users", status_code=201)
def create_user(user: NewUser) -> User:
    """Store a user; the answer is sent after the commit."""
    with connection() as db:
        cursor = db.execute("INSERT INTO users (name, email) VALUES (?, ?)", (user.name, user.email))
    assert cursor.lastrowid is not None
    return User(id=cursor.lastrowid, name=user.name, email=user.email)
