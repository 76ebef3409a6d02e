"""Who changed a task, and what: one record a revision.

Written in the transaction of the change itself. Secrets are not stored: of an address only that it
was set, changed or cleared.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from claude_tasks.domain.task_fields import FIELDS, TaskSpec

HIDDEN = "•••"
"""Stands for an address."""


class Face(StrEnum):
    """The interface that a person, a program or an agent used."""

    CLI = "cli"
    API = "api"
    TUI = "tui"
    AGENT = "agent"


class Actor(NamedTuple):
    """Who changes something: the user of the machine, the scope of a token, the run of an agent."""

    face: Face
    name: str

    def __str__(self) -> str:
        """As stored and shown: ``cli:root``, ``api:full``, ``agent:run 12``."""
        return f"{self.face}:{self.name}"


class TaskRevision(NamedTuple):
    """One revision: ``changes`` has old and new value of each field that changed, as stored."""

    revision: int
    at: int
    actor: str
    changes: Mapping[str, tuple[Any, Any]]


def changes_between(before: TaskSpec, after: TaskSpec) -> dict[str, tuple[Any, Any]]:
    """Old and new value of every field that differs."""
    return {
        name: (_kept(name, old), _kept(name, new))
        for name, old, new in zip(FIELDS, before, after, strict=True)
        if old != new
    }


def _kept(name: str, value: Any) -> Any:
    return HIDDEN if FIELDS[name].secret and value is not None else value
