"""How much of the agent's usage windows is spent, as every face shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.usage import (
    BUCKETS,
    USABLE_MS,
    Decision,
    Judgement,
    Reading,
    Window,
    decide,
)
from claude_tasks.domain.usage_text import failure_cause, failure_text, over_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.usage_ports import UsageStore
    from claude_tasks.operations.settings import SettingsOperations

NOT_CHECKED = "not checked"
"""The source where usage is of no interest."""


class UsageStatus(NamedTuple):
    """Usage now: the reading it rests on, the threshold, what a run would be told.

    ``age_ms`` is how old the reading is. ``blocking`` is the window that is in the way of runs.
    """

    reading: Reading
    threshold: float
    age_ms: int
    blocking: Window | None
    trouble: str | None


class UsageOperations:
    """Reads usage; changes nothing."""

    def __init__(
        self,
        store: UsageStore,
        clock: Clock,
        settings: SettingsOperations,
        *,
        check_disabled: bool,
        billed_by: Callable[[], str | None],
    ) -> None:
        """With ``check_disabled`` usage is not checked and never blocks a run.

        Nor does it where ``billed_by`` names what pays for the agent instead of a subscription.
        """
        self._store = store
        self._clock = clock
        self._settings = settings
        self._check_disabled = check_disabled
        self._billed_by = billed_by

    def is_stale(self) -> bool:
        """Whether a source should be asked before this is shown."""
        judgement = self._judge(self._clock.now())
        return self._of_no_interest() is None and judgement.decision is Decision.ASK

    def usage(self) -> UsageStatus:
        """As it is known now. Errors: `UsageUnavailableError`."""
        at = self._clock.now()
        threshold = self._settings.usage_threshold()
        judgement = self._judge(at)
        why = self._of_no_interest()
        if why is not None:
            known = judgement.reading if self._check_disabled else None
            reading = known or Reading((), why, at)
            return UsageStatus(reading, threshold, max(0, at - reading.at), None, None)
        if judgement.reading is None or judgement.decision in (Decision.UNAVAILABLE, Decision.ASK):
            raise _unavailable(judgement, at=at)
        return UsageStatus(
            judgement.reading,
            threshold,
            max(0, at - judgement.reading.at),
            judgement.blocking,
            None if judgement.failure is None else failure_text(judgement, at=at),
        )

    def usage_now(self) -> tuple[UsageStatus, int]:
        """The same, with the instant. Errors: `UsageUnavailableError`."""
        return self.usage(), self._clock.now()

    def obstacle(self) -> str | None:
        """What usage keeps from running, as far as is known; no source is asked."""
        if self._of_no_interest() is not None:
            return None
        at, threshold = self._clock.now(), self._settings.usage_threshold()
        judgement = self._judge(at)
        if judgement.decision is Decision.OVER:
            return over_text(judgement, threshold=threshold, at=at)
        return (
            failure_text(judgement, at=at) if judgement.decision is Decision.UNAVAILABLE else None
        )

    def last_reading(self) -> Reading | None:
        """The last good answer, as long as it may be used."""
        reading, at = self._store.read_usage().reading, self._clock.now()
        return reading if reading is not None and 0 <= at - reading.at < USABLE_MS else None

    def _of_no_interest(self) -> str | None:
        """Why usage does not limit runs here, None where it does."""
        if self._check_disabled:
            return NOT_CHECKED
        billed_by = self._billed_by()
        return billed_by and f"billed by {billed_by}, no usage window applies"

    def _judge(self, at: int) -> Judgement:
        return decide(self._store.read_usage(), threshold=self._settings.usage_threshold(), at=at)


def usage_view(status: UsageStatus, at: int) -> dict[str, Any]:
    """As JSON values. A window that says nothing of its reset is shown as reset now."""
    reading = status.reading
    names = [*BUCKETS, *(w.name for w in reading.windows if w.name not in BUCKETS)]
    windows = {name: _window_view(reading.window(name), at) for name in names}
    return {
        **{name: windows[name] for name in BUCKETS},
        "windows": windows,
        "source": reading.source,
        "read_at": to_rfc3339(reading.at),
        "age_seconds": round(status.age_ms / 1000),
        "threshold": status.threshold,
        "blocked_by": None if status.blocking is None else status.blocking.name,
        "trouble": status.trouble,
    }


def _window_view(window: Window, at: int) -> dict[str, Any]:
    resets_at = at if window.resets_at is None else window.resets_at
    return {"utilization": window.utilization, "resets_at": to_rfc3339(resets_at)}


def _unavailable(judgement: Judgement, *, at: int) -> UsageUnavailableError:
    return UsageUnavailableError(
        f"Usage is not known: {failure_cause(judgement, at=at)}",
        hint=Hint(
            Command("doctor", "usage_credentials"),
            " looks closer; CLAUDE_TASKS_DISABLE_USAGE_CHECK=1 goes without",
        ),
    )
