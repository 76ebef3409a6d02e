"""What the model says decides nothing about how its run ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State
from claude_tasks.execution.contract import EndedBy, ExitFacts
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.transcript import Transcript

if TYPE_CHECKING:
    from claude_tasks.domain.run import Outcome

AT = 1_790_000_000_000
INIT = {"type": "system", "subtype": "init", "session_id": "s", "model": "m"}
RESETS = AT // 1000 + 3 * 86_400
LIMIT_WORDS = "You've hit your 5-hour limit. The usage limit resets at 9am."
AWAY = "API Error: Unable to connect to API (ECONNREFUSED)"


def said(text: str, model: str = "m") -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"model": model, "content": content}}


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "num_turns": 3} | fields


def failed(subtype: str = "error_max_turns", *errors: str) -> dict[str, Any]:
    return result(subtype=subtype, is_error=True, errors=list(errors))


def rejected(**more: Any) -> dict[str, Any]:
    info = {"status": "rejected", "resetsAt": RESETS, "rateLimitType": "seven_day"} | more
    return {"type": "rate_limit_event", "rate_limit_info": info}


OVERAGE = rejected(overageStatus="allowed", isUsingOverage=True)


def end(*printed: dict[str, Any] | str, exit_code: int = 1, stderr: str = "") -> Outcome:
    transcript = Transcript(now=lambda: AT)
    for line in printed:
        text = line if isinstance(line, str) else json.dumps(line)
        transcript.feed(f"{text}\n".encode())
    transcript.close()
    facts = ExitFacts(EndedBy.EXIT, AT - 1000, AT, exit_code, stderr)
    facts = facts._replace(transcript=transcript.summary())
    return outcome_of(facts, at=AT, timeout_seconds=60, cancel_reason=None)


@pytest.mark.parametrize(
    "last",
    [
        failed("error_max_turns", "Reached maximum number of turns (5)"),
        failed("error_max_budget_usd", "Reached maximum budget ($1)"),
        failed("error_during_execution"),
        failed("error_max_turns", LIMIT_WORDS),
        failed("success"),
        result(is_error=True, api_error_status=429, result="slow down"),
    ],
)
def test_a_model_that_speaks_of_limits_makes_no_usage_limit(last: dict[str, Any]) -> None:
    outcome = end(INIT, said(LIMIT_WORDS), last)
    assert (outcome.reason, outcome.resets_at) == (Reason.AGENT_ERROR, None)


@pytest.mark.parametrize(
    ("told", "last"),
    [
        (OVERAGE, failed("error_max_turns", "Reached maximum number of turns (5)")),
        (OVERAGE, result(is_error=True, result="Not logged in")),
        (rejected(), failed("error_max_budget_usd", "Reached maximum budget ($1)")),
        (rejected(), result(is_error=True, api_error_status=400, result="prompt is too long")),
        (rejected(), result(is_error=True, api_error_status=500, result="overloaded")),
    ],
)
def test_a_used_up_window_is_not_the_cause_of_every_later_error(
    told: dict[str, Any], last: dict[str, Any]
) -> None:
    outcome = end(INIT, told, said("working"), last)
    assert (outcome.reason, outcome.resets_at) == (Reason.AGENT_ERROR, None)


@pytest.mark.parametrize("status", [None, 429])
def test_a_used_up_window_is_the_cause_of_a_refusal(status: int | None) -> None:
    last = result(is_error=True, api_error_status=status, result="limit")
    outcome = end(INIT, rejected(isUsingOverage=False), last)
    assert (outcome.reason, outcome.resets_at) == (Reason.USAGE_LIMIT, RESETS * 1000)


@pytest.mark.parametrize(
    "printed",
    [
        (INIT, said(AWAY, "<synthetic>"), result(is_error=True, result=AWAY)),
        (INIT, result(is_error=True, api_error="connection_failed", result="it failed")),
        (INIT, said("API Error: Connection error.", "<synthetic>")),
        (
            INIT,
            said("API Error: Connection error.", "<synthetic>"),
            failed("error_during_execution"),
        ),
        (result(is_error=True, result="API Error: getaddrinfo ENOTFOUND api.anthropic.com"),),
    ],
)
def test_the_network_was_away_where_the_cli_itself_says_so(printed: Any) -> None:
    assert end(*printed).unreachable


@pytest.mark.parametrize(
    ("printed", "stderr"),
    [
        ((INIT, failed("error_during_execution", "MCP server x: connect ECONNREFUSED")), ""),
        ((INIT, "MCP server x: connect ECONNREFUSED"), ""),
        ((INIT,), "hook: curl: (7) connection refused"),
        (
            (INIT, said("working"), said(AWAY, "<synthetic>"), result(is_error=True, result=AWAY)),
            "",
        ),
        (("step 1: the invoice is mailed",), "curl: (7) connection refused"),
        ((), "error: could not resolve --mcp-config path /x.json"),
        ((), "Error: Could not resolve authentication method"),
        ((), "error: unable to connect to the MCP server of the settings"),
        ((), "write EPIPE"),
        ((), "spawn ETIMEDOUT"),
    ],
)
def test_other_failures_to_connect_are_the_runs_own(printed: Any, stderr: str) -> None:
    outcome = end(*printed, stderr=stderr)
    assert outcome.state is State.FAILED
    assert not outcome.unreachable


def test_an_agent_without_a_stream_that_printed_nothing_may_tell_it_on_standard_error() -> None:
    assert end(stderr="curl: (6) Could not resolve host: api.anthropic.com").unreachable


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (result(subtype="error_during_execution", errors=["boom"]), "boom"),
        (result(subtype="error_max_turns"), "limit of turns"),
        (result(subtype="error_of_a_later_version"), "error_of_a_later_version"),
        (result(errors=["boom"]), "boom"),
        ({"type": "result", "subtype": "error_during_execution"}, "error_during_execution"),
        ({"type": "result", "subtype": "success", "is_error": True}, "reported an error"),
    ],
)
def test_a_result_that_names_an_error_is_one_even_where_the_agent_exits_with_0(
    last: dict[str, Any], error: str
) -> None:
    outcome = end(INIT, last, exit_code=0)
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert error in (outcome.error or "")


@pytest.mark.parametrize(
    ("printed", "note"),
    [
        ((), "printed nothing"),
        (("", "  "), "printed nothing"),
        ((INIT,), "without a result event"),
        (({"type": "result", "subtype": "success", "is_error": False},), "without a single turn"),
    ],
)
def test_a_success_that_shows_nothing_is_noted(printed: Any, note: str) -> None:
    outcome = end(*printed, exit_code=0)
    assert (outcome.state, outcome.reason) == (State.COMPLETED, None)
    assert note in (outcome.error or "")


def test_a_success_that_says_something_is_not_noted() -> None:
    assert end(INIT, result(result="done"), exit_code=0).error is None
    assert end("plain words", exit_code=0).error is None


GONE = "No conversation found with session ID: s"


def test_a_session_is_gone_where_the_cli_says_so_before_the_model_answers() -> None:
    assert end(failed("error_during_execution", GONE)).session_gone
    assert end(stderr=GONE).session_gone
    assert not end(INIT, said(f"grep found: {GONE}"), failed()).session_gone
    assert not end(INIT, said("x"), failed("error_during_execution", GONE)).session_gone
    assert not end(f"the log says: {GONE}").session_gone
