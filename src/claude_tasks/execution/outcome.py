"""Derives how a run ended from what its supervisor recorded: a pure function.

Success is exit 0 and, where there is a result event, one without an error: ``is_error`` false, no
``subtype`` of an error, no causes. A ``subtype`` of "success" proves nothing: the CLI sends it with
API errors too. The model's own text is never a cause: it may mention limits, networks and lost
sessions. A run to which a tool was denied is ``completed`` with the reason ``denied``. An agent
that reported its result, and was ended because it did not exit, ends as it reported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.run import Outcome, Reason, State
from claude_tasks.domain.usage import reset_of
from claude_tasks.execution.bounded import shorten
from claude_tasks.execution.contract import EndedBy
from claude_tasks.execution.reset_text import reset_in_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from claude_tasks.execution.contract import ExitFacts, Said

_TOO_MANY_REQUESTS = 429
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 529})
"""API errors that a later attempt may avoid. A usage limit is not one of them."""

_ERROR_CHARACTERS = 4000

_LIMIT_WORDS = {
    "error_max_turns": "the agent reached its limit of turns",
    "error_max_budget_usd": "the agent reached its budget",
}


_ERROR_SUBTYPE = "error_"

_LIMIT = re.compile(
    r"you['\u2019]ve (?:hit|reached) your [^.\n]{0,60}?\blimits?\b"
    r"|\b(?:usage|hour|session|weekly|daily|opus|sonnet) limit reached"
    r"|\blimit reached\s*\|\s*\d",
    re.IGNORECASE,
)
"""The words with which versions of the CLI say that a usage window is used up."""

_UNREACHABLE = re.compile(
    r"\b(?:ECONN(?:REFUSED|RESET|ABORTED)|ENOTFOUND|EAI_AGAIN|E(?:NET|HOST)UNREACH|ENETDOWN"
    r"|(?<!spawn )ETIMEDOUT|ERR_NETWORK|Conn(?:ection)?(?:Refused|Reset|Closed))\b"
    r"|connection (?:error|refused|reset|dropped|closed|timed out)|(?:request|connection) timed out"
    r"|fetch failed|socket hang up|getaddrinfo|can't reach the api"
    r"|network is (?:down|unreachable)|could not resolve (?:host|hostname|proxy)\b"
    r"|name resolution",
    re.IGNORECASE,
)
"""The words of the CLI and its libraries for a network that cannot be reached."""

_NO_SESSION = re.compile(r"No conversation found|does not match any session", re.IGNORECASE)
_ONLY_AN_ERROR = "Execution error"


def outcome_of(
    facts: ExitFacts, *, at: int, timeout_seconds: int, cancel_reason: Reason | None
) -> Outcome:
    """The outcome of a claim. ``facts`` is ``exit.json``; ``at`` is used where it has no end."""
    said = facts.transcript
    ended_at = facts.ended_at or at
    resets_at = _resets_at(said, at=ended_at)
    state, reason, error = _ending(facts, said, timeout_seconds, cancel_reason, resets_at)
    for note in _notes(facts, said, state):
        error = f"{error}\n{note}" if error else note
    return Outcome(
        state=state,
        reason=reason,
        started_at=facts.started_at,
        ended_at=ended_at,
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
        resets_at=resets_at if reason is Reason.USAGE_LIMIT else None,
        unreachable=reason in (Reason.AGENT_ERROR, Reason.EXIT) and _is_unreachable(facts, said),
        session_gone=state is State.FAILED and _session_gone(facts, said),
    )


def _ending(
    facts: ExitFacts,
    said: Said,
    timeout_seconds: int,
    cancel_reason: Reason | None,
    resets_at: int | None,
) -> tuple[State, Reason | None, str | None]:
    ended_by = facts.ended_by
    if ended_by is EndedBy.EXIT:
        return _judge_exit(facts, said, resets_at)
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


def _judge_exit(
    facts: ExitFacts, said: Said, resets_at: int | None
) -> tuple[State, Reason | None, str | None]:
    exit_code = facts.exit_code
    if exit_code is None:
        return State.FAILED, Reason.LOST, "what is left of the run does not say how it ended"
    if _usage_limited(said, resets_at):
        text = said.result_text or "; ".join(said.errors) or "usage limit reached"
        return State.FAILED, Reason.USAGE_LIMIT, shorten(text, head=_ERROR_CHARACTERS, tail=0)
    if _reported_error(said):
        return State.FAILED, Reason.AGENT_ERROR, _agent_error(said)
    if exit_code != 0 and facts.lingered is None:
        return State.FAILED, Reason.EXIT, _exit_error(exit_code, facts, said)
    return State.COMPLETED, Reason.DENIED if said.permission_denials else None, None


def _notes(facts: ExitFacts, said: Said, state: State) -> list[str]:
    """Notes about an end besides its state and reason."""
    notes = []
    if facts.lingered is not None:
        notes.append(
            "the agent had reported its result and did not exit: it was ended after "
            f"{facts.lingered:.0f} s without another word"
        )
    if state is State.COMPLETED and (note := _doubt(said)) is not None:
        notes.append(note)
    if facts.events_failure:
        notes.append(f"the event stream is incomplete: {facts.events_failure}")
    return notes


def _doubt(said: Said) -> str | None:
    """Why a run that counts as a success may not be one."""
    if said.session_id and not said.has_result:
        return "the agent ended without a result event"
    if not said.streamed and not said.has_result and not said.output.strip():
        return "the agent printed nothing at all on standard output"
    if said.output.strip() == _ONLY_AN_ERROR:
        return f'the agent said nothing but "{_ONLY_AN_ERROR}", and exited with 0'
    if said.has_result and not said.num_turns and not said.output.strip():
        return "the agent reported success without a single turn, and said nothing"
    return None


def _usage_limited(said: Said, resets_at: int | None) -> bool:
    """Whether a usage window is used up: by an event, or by an error text that names a reset."""
    if not _may_be_limited(said):
        return False
    told = _rejected(said)
    return bool(told.get("resetsAt") or told.get("rateLimitType")) or resets_at is not None


def _may_be_limited(said: Said) -> bool:
    """Whether its error can be a usage limit. Our own limits and other API statuses are not."""
    return (
        said.is_error
        and not _has_error_subtype(said)
        and said.api_error_status in (None, _TOO_MANY_REQUESTS)
    )


def _rejected(said: Said) -> dict[str, Any]:
    """The stream's event about a used-up window, None where credits let the agent go on."""
    told = said.rate_limit or {}
    return told if told.get("status") == "rejected" and not told.get("isUsingOverage") else {}


def _reported_error(said: Said) -> bool:
    """Whether the result names an error. Some do so with ``is_error`` false and exit code 0."""
    return said.is_error or _has_error_subtype(said) or bool(said.errors)


def _has_error_subtype(said: Said) -> bool:
    return (said.subtype or "").startswith(_ERROR_SUBTYPE)


def _resets_at(said: Said, *, at: int) -> int | None:
    """When the window resets, ms: from the event (seconds since the epoch), else from the text."""
    if not _may_be_limited(said):
        return None
    resets_at = reset_of(_rejected(said).get("resetsAt"), at=at)
    if resets_at is not None:
        return resets_at
    if said.subtype not in (None, "success"):
        return None
    text = "\n".join([said.result_text, *said.errors])
    if said.api_error_status is None and not _LIMIT.search(text):
        return None
    return reset_in_text(text, at=at, here=None, find_zone=_zone)


def _zone(name: str) -> tzinfo | None:
    from claude_tasks.domain.schedule.zones import find_zone  # noqa: PLC0415 (rarely needed)

    try:
        return find_zone(name)
    except InvalidInputError:
        return None


def _is_transient(said: Said) -> bool:
    return said.api_error_status in TRANSIENT_STATUSES


def _is_unreachable(facts: ExitFacts, said: Said) -> bool:
    """Whether the network was unreachable before the model's first answer: nothing was done yet.

    An agent with an event stream reports this as its result or in a message of the CLI; network
    errors of its servers and hooks on standard error do not count. An agent without a stream that
    printed anything may already have worked.
    """
    if said.answered or said.api_error_status is not None:
        return False
    if said.api_error == "connection_failed":
        return True
    if said.streamed or said.has_result or said.session_id:
        return bool(_UNREACHABLE.search(said.api_error_text or said.result_text))
    return not said.output.strip() and bool(_UNREACHABLE.search(_bounded(facts.stderr)))


def _session_gone(facts: ExitFacts, said: Said) -> bool:
    """Whether the session to resume does not exist: the CLI says so before it does anything."""
    causes = "\n".join([*said.errors, _bounded(facts.stderr)])
    return not said.answered and _NO_SESSION.search(causes) is not None


def _bounded(text: str) -> str:
    return shorten(text, head=_ERROR_CHARACTERS, tail=_ERROR_CHARACTERS)


def _agent_error(said: Said) -> str:
    """The causes that the result names, else the result's text."""
    subtype, causes = said.subtype or "", "; ".join(said.errors)
    known = _LIMIT_WORDS.get(subtype)
    if known and causes:
        known = f"{known}: {causes}"
    unnamed = f"the agent reported {subtype if _has_error_subtype(said) else 'an error'}"
    text = known or causes or said.output or unnamed
    return shorten(text, head=_ERROR_CHARACTERS, tail=0)


def _exit_error(exit_code: int, facts: ExitFacts, said: Said) -> str:
    """The end of standard error, where programs name their reason; else what the agent printed."""
    detail = (facts.stderr or "; ".join(said.errors) or said.output or "").strip()
    if exit_code < 0:
        summary = f"the agent was ended by signal {-exit_code}"
    else:
        summary = f"the agent exited with {exit_code}"
    return f"{summary}: {detail[-_ERROR_CHARACTERS:]}" if detail else summary
