"""How thoroughly generated tests look: quickly by default, fully in CI (``TEST_PROFILE=full``)."""

from __future__ import annotations

import os

from hypothesis import settings

FULL = os.environ.get("TEST_PROFILE") == "full"


def examples(*, quick: int, full: int) -> int:
    """How many examples a test draws."""
    return full if FULL else quick


# No deadline: what a loaded machine takes for an example says nothing.
settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("full", max_examples=100, deadline=None)
settings.load_profile("full" if FULL else "quick")
