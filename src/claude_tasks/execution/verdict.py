"""From what the supervisor saw to how the run ended: a pure function.

Success is exit 0 and, where there is a result event, ``is_error`` false. The event's ``subtype``
is no help: it says "success" for API errors too. A denied tool does not fail a run; it is kept and
shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.run import Outcome, Reason, State
from claude_tasks.domain.usage import reset_of
from claude_tasks.execution.bounded import shorten
from claude_tasks.execution.contract import EndedBy

if TYPE_CHECKING:
    from claude_tasks.execution.contract import ExitFacts, Said

TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 529})
"""API errors that a later attempt may not meet. A usage limit is no such error."""

_ERROR_CHARACTERS = 4000

_LIMIT_WORDS = {
    "error_max_turns": "the agent reached its limit of turns",
    "error_max_budget_usd": "the agent reached its budget",
}


def judge(
    facts: ExitFacts, *, at: int, timeout_seconds: int, cancel_reason: Reason | None
) -> Outcome:
    """The outcome of a claim. ``facts`` is ``exit.json``; ``at`` is its end where it has none."""
    said = facts.transcript
    state, reason, error = _ending(facts, said, timeout_seconds, cancel_reason)
    if facts.events_failure:
        note = f"the event stream is incomplete: {facts.events_failure}"
        error = f"{error}\n{note}" if error else note
    return Outcome(
        state=state,
        reason=reason,
        started_at=facts.started_at,
        ended_at=facts.ended_at or at,
        exit_code=facts.exit_code,
        output=said.output,
        error=error,
        session_id=said.session_id,
        model=said.model,
        cost_usd=said.cost_usd,
        input_tokens=said.input_tokens,
        output_tokens=said.output_tokens,
        cache_read_tokens=said.cache_read_tokens,
        cache_creation_tokens=said.cache_creation_tokens,
        num_turns=said.num_turns,
        permission_denials=tuple(said.permission_denials),
        transient=reason is Reason.AGENT_ERROR and _is_transient(said),
        resets_at=_resets_at(said, at=at) if reason is Reason.USAGE_LIMIT else None,
    )


def _ending(
    facts: ExitFacts, said: Said, timeout_seconds: int, cancel_reason: Reason | None
) -> tuple[State, Reason | None, str | None]:
    ended_by = facts.ended_by
    if ended_by is EndedBy.EXIT:
        return _judge_exit(facts, said)
    if ended_by is EndedBy.CANCEL and cancel_reason is not None:
        return State.CANCELLED, cancel_reason, _CANCELLED[cancel_reason]
    reason, text = {
        EndedBy.PREFLIGHT: (Reason.PREFLIGHT, facts.error),
        EndedBy.SPAWN: (Reason.SPAWN, f"the agent could not be started: {facts.error}"),
        EndedBy.INTERNAL: (Reason.LOST, f"the supervisor failed:\n{facts.error}"),
        EndedBy.LOST: (
            Reason.LOST,
            facts.error or "the supervisor died and nobody saw how the run ended",
        ),
        EndedBy.TIMEOUT: (
            Reason.TIMEOUT,
            f"the run was stopped at its time limit of {timeout_seconds} s",
        ),
        EndedBy.CANCEL: (
            Reason.TERMINATED,
            "the run was told to stop from outside, as by a shutdown: nobody had cancelled it",
        ),
    }[ended_by]
    return State.FAILED, reason, text


_CANCELLED = {
    Reason.CANCELLED: "the run was cancelled",
    Reason.CANCELLED_BY_NEXT: "the run was cancelled: a later tick took its place",
}


def _judge_exit(facts: ExitFacts, said: Said) -> tuple[State, Reason | None, str | None]:
    exit_code = facts.exit_code
    if exit_code is None:
        return State.FAILED, Reason.LOST, "what is left of the run does not say how it ended"
    if _usage_limited(said):
        return State.FAILED, Reason.USAGE_LIMIT, said.output or "usage limit reached"
    if said.is_error:
        return State.FAILED, Reason.AGENT_ERROR, _agent_error(said)
    if exit_code != 0:
        return State.FAILED, Reason.EXIT, _exit_error(exit_code, facts, said)
    if said.session_id and not said.has_result:
        return State.COMPLETED, None, "the agent ended without a result event"
    return State.COMPLETED, None, None


def _usage_limited(said: Said) -> bool:
    rejected = (said.rate_limit or {}).get("status") == "rejected"
    return bool(said.is_error) and rejected


def _resets_at(said: Said, *, at: int) -> int | None:
    """Milliseconds; the event tells seconds since the epoch."""
    return reset_of((said.rate_limit or {}).get("resetsAt"), at=at)


def _is_transient(said: Said) -> bool:
    return said.api_error_status in TRANSIENT_STATUSES


def _agent_error(said: Said) -> str:
    subtype = said.subtype or ""
    text = _LIMIT_WORDS.get(subtype) or said.output or f"the agent reported {subtype}"
    return shorten(text, head=_ERROR_CHARACTERS, tail=0)


def _exit_error(exit_code: int, facts: ExitFacts, said: Said) -> str:
    """The end of standard error, where programs put their reason; else what they printed."""
    detail = (facts.stderr or said.output or "").strip()
    if exit_code < 0:
        summary = f"the agent was ended by signal {-exit_code}"
    else:
        summary = f"the agent exited with {exit_code}"
    return f"{summary}: {detail[-_ERROR_CHARACTERS:]}" if detail else summary
