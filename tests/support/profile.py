"""How thoroughly generated tests look: quickly by default, fully in CI (``TEST_PROFILE=full``)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

FULL = os.environ.get("TEST_PROFILE") == "full"


def examples(*, quick: int, full: int) -> int:
    """How many examples a test draws."""
    return full if FULL else quick


def some(cases: Iterable[T], *, quick: int) -> list[T]:
    """Of a table of cases all in CI, and so many by default, from its first to its last."""
    table = list(cases)
    if FULL or quick >= len(table):
        return table
    return [table[place * (len(table) - 1) // max(quick - 1, 1)] for place in range(quick)]


# No deadline: what a loaded machine takes for an example says nothing.
settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("full", max_examples=100, deadline=None)
settings.load_profile("full" if FULL else "quick")
