"""Statements by name from `.sql` files: ``-- name: x``, a line that says what for, the text."""

from __future__ import annotations

import os
import re
from functools import cache

_FOLDER = os.path.join(os.path.dirname(__file__), "sql")
_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load(room: str) -> dict[str, str]:
    """The statements of ``sql/<room>.sql`` by name."""
    with open(os.path.join(_FOLDER, f"{room}.sql"), encoding="utf-8") as file:
        parts = _HEADER.split(file.read())
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def fragment(room: str, name: str) -> str:
    """A part of statements, without its comment line, which would comment out what follows it."""
    return load(room)[name].split("\n", 1)[1]
