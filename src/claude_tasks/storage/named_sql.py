"""Statements by name from `.sql` files: ``-- name: x``, a line that says what for, the text."""

from __future__ import annotations

import os
from functools import cache

_FOLDER = os.path.join(os.path.dirname(__file__), "sql")
# No regular expression: to compile one takes as long as to read all statements of a command.
_HEADER = "-- name: "


@cache
def load(room: str) -> dict[str, str]:
    """The statements of ``sql/<room>.sql`` by name."""
    with open(os.path.join(_FOLDER, f"{room}.sql"), encoding="utf-8") as file:
        _, *parts = f"\n{file.read()}".split(f"\n{_HEADER}")
    named = (part.partition("\n") for part in parts)
    return {name: text.strip() for name, _, text in named}


def fragment(room: str, name: str) -> str:
    """A part of statements, without its comment line, which would comment out what follows it."""
    return load(room)[name].split("\n", 1)[1]
