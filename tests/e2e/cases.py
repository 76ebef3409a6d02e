"""The one table of agreement: what a run of the agent shows, for the simulated and the real one.

The same prompt and flags go to both. For the stand-in the ``[case:…]`` directive decides what it
does, for the real CLI what the loopback API answers it; the expectations are the same. A row that
fails for the real one means that the stand-in simulates something that does not exist.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from e2e.agents import STREAM

SESSION = "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01"
OTHER_SESSION = "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a02"
BYPASS_REFUSED = "cannot be used with root/sudo privileges"
AS_ROOT = os.geteuid() == 0
TEXT = ()
JSON = ("--output-format", "json")
JSON_ARRAY = ("--output-format", "json", "--verbose")
UNSET = ""
AWKWARD = "- [case:echo] --flag ünïcode \U0001f600 \u2028 <x> & 'q' \"d\" \\n\n\ntail  "


class Case(NamedTuple):
    """One row: what is run, then what must be seen.

    ``fields`` are those of the result event that must be equal; a field that must be absent is
    named in ``absent``. ``result`` and ``stderr`` are regular expressions that must be found.
    ``cost`` is "positive", "zero" or "" (not looked at). ``kinds`` must occur in this order, with
    anything in between. ``environment`` is laid over the agent's; an empty value unsets.
    """

    name: str
    prompt: str
    flags: tuple[str, ...] = ()
    exit_code: int = 0
    fields: dict[str, Any] | None = None
    absent: tuple[str, ...] = ()
    result: str = ""
    stderr: str = r"\A\Z"
    stdout: str = ""
    denials: int = 0
    cost: str = ""
    kinds: tuple[str, ...] = ()
    format: tuple[str, ...] = STREAM
    before: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    subscriber: bool = False
    only_as_root: bool = False


def _well(turns: int = 1, **more: Any) -> dict[str, Any]:
    """The fields of a result that is fine."""
    fields = {"is_error": False, "subtype": "success", "api_error_status": None}
    return fields | {"num_turns": turns, "terminal_reason": "completed"} | more


def _api_failure(status: int | None, **more: Any) -> dict[str, Any]:
    """The fields of a result after an API error: the subtype is "success" all the same."""
    fields = {"is_error": True, "subtype": "success", "api_error_status": status}
    return (
        fields | {"num_turns": 1, "terminal_reason": "api_error", "permission_denials": []} | more
    )


def _capped(subtype: str, turns: int, reason: str, error: str) -> dict[str, Any]:
    """The fields of a result when one of our own limits ended the run."""
    fields: dict[str, Any] = {"is_error": True, "subtype": subtype, "num_turns": turns}
    return fields | {"terminal_reason": reason, "errors": [error]}


def _api_error(status: int, text: str) -> Case:
    return Case(
        f"api_error_{status}",
        f"[case:api_error status={status}]",
        exit_code=1,
        fields=_api_failure(status),
        result=text,
        cost="zero",
        kinds=("system/init", "assistant", "result/success"),
    )


def _refused(name: str, flags: tuple[str, ...], text: str, **more: Any) -> Case:
    """A command line that is refused: exit 1, a word on stderr, nothing on stdout."""
    return Case(name, "[case:success]", flags, 1, stderr=text, stdout=r"\A\Z", **more)


WHOLE_RUN = ("system/init", "assistant", "result/success")
WITH_TOOL = ("system/init", "assistant", "user", "assistant", "result/success")
WITH_DENIAL = ("system/init", "assistant", "system/permission_denied", "user", "assistant")

ENDINGS = (
    Case(
        "success",
        "[case:success]",
        fields=_well(),
        result="^Simulated answer",
        cost="positive",
        kinds=WHOLE_RUN,
    ),
    Case(
        "denied",
        "[case:denied]",
        fields=_well(2),
        result="not allowed",
        denials=1,
        cost="positive",
        kinds=WITH_DENIAL,
    ),
    Case(
        "denied_by_dont_ask",
        "[case:denied]",
        ("--permission-mode", "dontAsk"),
        fields=_well(2),
        denials=1,
        kinds=WITH_DENIAL,
    ),
    Case(
        "allowed_by_flag",
        "[case:denied]",
        ("--allowedTools", "Bash", "Read"),
        fields=_well(2),
        kinds=WITH_TOOL,
    ),
    Case(
        "allowed_by_the_exact_rule",
        "[case:denied]",
        ("--allowedTools=Bash(touch made-by-the-agent)",),
        fields=_well(2),
        kinds=WITH_TOOL,
    ),
    Case(
        "not_allowed_by_a_rule_for_another_command",
        "[case:denied]",
        ("--allowedTools=Bash(touch made-by)",),
        fields=_well(2),
        denials=1,
        kinds=WITH_DENIAL,
    ),
    Case(
        "allowed_by_accept_edits",
        "[case:denied]",
        ("--permission-mode", "acceptEdits"),
        fields=_well(2),
        kinds=WITH_TOOL,
    ),
    Case(
        "disallowed_tool_is_no_denial",
        "[case:denied]",
        ("--allowedTools", "Bash", "--disallowedTools", "Bash"),
        fields=_well(2),
        kinds=WITH_TOOL,
    ),
    Case(
        "denied_then_out_of_turns",
        "[case:denied]",
        ("--max-turns", "1"),
        1,
        denials=1,
        fields=_capped("error_max_turns", 2, "max_turns", "Reached maximum number of turns (1)"),
        absent=("result",),
    ),
    Case(
        "max_turns",
        "[case:max_turns]",
        ("--max-turns", "1", "--allowedTools", "Bash"),
        1,
        fields=_capped("error_max_turns", 2, "max_turns", "Reached maximum number of turns (1)"),
        absent=("result", "api_error_status"),
        cost="positive",
    ),
    Case(
        "max_turns_2",
        "[case:max_turns]",
        ("--max-turns", "2", "--allowedTools", "Bash"),
        1,
        fields=_capped("error_max_turns", 3, "max_turns", "Reached maximum number of turns (2)"),
        absent=("result", "api_error_status"),
        cost="positive",
    ),
    Case(
        "max_turns_0_is_no_limit", "[case:denied]", ("--max-turns", "0"), fields=_well(2), denials=1
    ),
    Case(
        "max_budget",
        "[case:max_budget]",
        ("--max-budget-usd", "0.01"),
        1,
        fields=_capped(
            "error_max_budget_usd", 1, "budget_exhausted", "Reached maximum budget ($0.01)"
        ),
        absent=("result", "api_error_status"),
        cost="positive",
    ),
    Case(
        "budget_broken_by_the_answer",
        "[case:success]",
        ("--max-budget-usd", "0.001"),
        1,
        fields=_capped(
            "error_max_budget_usd", 1, "budget_exhausted", "Reached maximum budget ($0.001)"
        ),
        absent=("result",),
        cost="positive",
    ),
    _api_error(400, r"^API Error: 400 simulated error 400$"),
    _api_error(401, r"^Failed to authenticate\. API Error: 401 simulated error 401$"),
    _api_error(403, r"^Failed to authenticate\. API Error: 403 simulated error 403$"),
    _api_error(429, r"^API Error: Request rejected \(429\) · simulated error 429$"),
    _api_error(500, r"^API Error: 500 simulated error 500\. This is a server-side issue"),
    _api_error(529, r"^API Error: 529 simulated error 529\. This is a server-side issue"),
    Case(
        "not_logged_in",
        "[case:not_logged_in]",
        exit_code=1,
        fields=_api_failure(None),
        result=r"^Not logged in · Please run /login$",
        cost="zero",
        environment=(("ANTHROPIC_API_KEY", UNSET),),
    ),
    Case(
        "usage_limit",
        "[case:usage_limit]",
        exit_code=1,
        subscriber=True,
        fields=_api_failure(429, api_error="usage_limit_reached"),
        cost="zero",
        result=r"^You've hit your 5-hour limit · resets \d{1,2}(:\d\d)?[ap]m \(UTC\)$",
        kinds=("system/init", "rate_limit_event", "assistant", "result/success"),
    ),
    Case(
        "usage_text",
        "[case:usage_text text=You've_hit_your_limit_·_resets_2:06pm_(UTC)]",
        exit_code=1,
        fields=_api_failure(429),
        cost="zero",
        result=r"^API Error: Request rejected \(429\) · You've hit .* resets 2:06pm \(UTC\)$",
        kinds=WHOLE_RUN,
    ),
    Case(
        "unreachable",
        "[case:unreachable]",
        exit_code=1,
        fields=_api_failure(None, api_error="connection_failed"),
        cost="zero",
        result=r"^API Error: Connection dropped \(ECONNRESET\)",
        kinds=WHOLE_RUN,
    ),
    Case(
        "background",
        "[case:background]",
        ("--allowedTools", "Bash"),
        fields=_well(2),
        kinds=(
            "system/background_tasks_changed",
            "system/task_started",
            "result/success",
            "system/task_notification",
            "system/background_tasks_changed",
            "system/init",
            "result/success",
        ),
    ),
    Case(
        "usage_warning",
        "[case:usage_warning]",
        fields=_well(),
        subscriber=True,
        kinds=("system/init", "assistant", "rate_limit_event", "result/success"),
    ),
    Case(
        "usage_allowed",
        "[case:usage_warning utilization=0.4]",
        fields=_well(),
        subscriber=True,
        kinds=("system/init", "assistant", "rate_limit_event", "result/success"),
    ),
    Case(
        "api_retry",
        "[case:api_retry attempts=1]",
        fields=_well(),
        cost="positive",
        environment=(("CLAUDE_CODE_MAX_RETRIES", "2"),),
        kinds=("system/init", "system/api_retry", "assistant", "result/success"),
    ),
    Case(
        "slow_tool",
        "[case:slow_tool seconds=0.1]",
        ("--allowedTools", "Bash"),
        fields=_well(2),
        kinds=WITH_TOOL,
    ),
)

SESSIONS = (
    Case(
        "session_id_is_honoured",
        "[case:success]",
        ("--session-id", SESSION),
        fields=_well(session_id=SESSION),
    ),
    Case(
        "session_in_use",
        "[case:success]",
        ("--session-id", SESSION),
        1,
        stdout=r"\A\Z",
        stderr=f"^Error: Session ID {SESSION} is already in use",
        before=("--session-id", SESSION),
    ),
    Case(
        "resumed",
        "[case:echo] again",
        ("--resume", SESSION),
        result=r"^\[case:echo\] again$",
        fields=_well(session_id=SESSION),
        before=("--session-id", SESSION),
    ),
    Case(
        "unknown_session",
        "[case:success]",
        ("--resume", OTHER_SESSION),
        1,
        fields={
            "is_error": True,
            "subtype": "error_during_execution",
            "num_turns": 0,
            "session_id": OTHER_SESSION,
            "errors": [f"No conversation found with session ID: {OTHER_SESSION}"],
        },
        absent=("result",),
        cost="zero",
        stderr=f"^No conversation found with session ID: {OTHER_SESSION}$",
    ),
    Case(
        "resume_is_no_uuid",
        "[case:success]",
        ("--resume", "x"),
        1,
        fields={"is_error": True, "subtype": "error_during_execution", "num_turns": 0},
        absent=("result",),
        cost="zero",
        stderr='^Error: --resume requires .* Provided value "x" is not a UUID',
    ),
    Case(
        "text_unknown_session",
        "[case:success]",
        ("--resume", OTHER_SESSION),
        1,
        stdout=r"\A\Z",
        stderr=f"^No conversation found with session ID: {OTHER_SESSION}$",
        format=TEXT,
    ),
    Case(
        "json_unknown_session",
        "[case:success]",
        ("--resume", OTHER_SESSION),
        1,
        stdout=r"\A\Z",
        stderr=f"^No conversation found with session ID: {OTHER_SESSION}$",
        format=JSON,
    ),
    Case(
        "forked",
        "[case:success]",
        ("--resume", SESSION, "--fork-session", "--session-id", OTHER_SESSION),
        fields=_well(session_id=OTHER_SESSION),
        before=("--session-id", SESSION),
    ),
    Case(
        "without_persistence",
        "[case:success]",
        ("--no-session-persistence", "--session-id", SESSION),
        fields=_well(session_id=SESSION),
        before=("--no-session-persistence", "--session-id", SESSION),
    ),
    _refused("session_id_is_no_uuid", ("--session-id", "x"), "^Error: Invalid session ID"),
    _refused(
        "session_id_and_resume",
        ("--session-id", SESSION, "--resume", OTHER_SESSION),
        "^Error: --session-id with --continue or --resume also needs --fork-session",
    ),
)

PERMISSIONS = (
    _refused(
        "bypass_flag_as_root",
        ("--dangerously-skip-permissions",),
        BYPASS_REFUSED,
        only_as_root=True,
    ),
    _refused(
        "bypass_mode_as_root",
        ("--permission-mode", "bypassPermissions"),
        BYPASS_REFUSED,
        only_as_root=True,
    ),
    Case(
        "bypass_in_a_sandbox",
        "[case:denied]",
        ("--permission-mode", "bypassPermissions"),
        fields=_well(2),
        environment=(("IS_SANDBOX", "1"),),
        kinds=WITH_TOOL,
    ),
    Case("mode_default", "[case:success]", ("--permission-mode", "default"), fields=_well()),
    Case("mode_manual", "[case:success]", ("--permission-mode", "manual"), fields=_well()),
)

COMMAND_LINES = (
    _refused("unknown_flag", ("--nonsense",), r"^error: unknown option '--nonsense'"),
    _refused("unknown_short_flag", ("-x",), r"^error: unknown option '-x'"),
    _refused("missing_value", ("--max-turns",), "^error: option .* argument missing"),
    _refused("turns_no_number", ("--max-turns", "x"), "argument 'x' is invalid. must be a number"),
    _refused("budget_no_number", ("--max-budget-usd", "x"), "must be a number greater than 0"),
    _refused("budget_zero", ("--max-budget-usd", "0"), "must be a number greater than 0"),
    _refused("unknown_mode", ("--permission-mode", "x"), "Allowed choices are acceptEdits, auto"),
    _refused("unknown_format", ("--output-format", "xml"), "Allowed choices are text, json"),
    _refused(
        "stream_without_verbose",
        ("--output-format", "stream-json"),
        "requires --verbose",
        format=TEXT,
    ),
    Case("empty_prompt", "", (), 1, stderr="^Error: Input must be provided", stdout=r"\A\Z"),
    Case("blank_prompt", " \n", (), 1, stderr="^Error: Input contained only", stdout=r"\A\Z"),
    Case(
        "prompt_after_dashes",
        "",
        ("--", "[case:echo] word"),
        result=r"^\[case:echo\] word$",
        fields=_well(),
    ),
    Case(
        "prompt_and_stdin",
        "piped",
        ("--", "[case:echo] word"),
        fields=_well(),
        result=r"\A\[case:echo\] word\npiped\Z",
    ),
    Case(
        "swallowed_prompt",
        "",
        ("--allowedTools", "Bash", "a prompt"),
        1,
        stdout=r"\A\Z",
        stderr='"a prompt" was read as a value of --allowedTools',
    ),
    Case(
        "equals_signs_and_dashed_values",
        "[case:success]",
        ("--append-system-prompt", "--foo", "--max-turns=3", "--allowedTools=Bash,Read"),
        fields=_well(),
    ),
    Case(
        "round_trip",
        AWKWARD,
        result=rf"\A{re.escape(AWKWARD)}\Z",
        fields=_well(),
    ),
)

FORMATS = (
    Case("text", "[case:success]", stdout=r"\ASimulated answer.*\n\Z", format=TEXT),
    Case(
        "text_api_error",
        "[case:api_error status=500]",
        (),
        1,
        format=TEXT,
        stdout=r"\AAPI Error: 500 ",
    ),
    Case(
        "text_max_turns",
        "[case:max_turns]",
        ("--max-turns", "1"),
        1,
        format=TEXT,
        stdout=r"\AError: Reached max turns \(1\)\Z",
    ),
    Case(
        "text_max_budget",
        "[case:max_budget]",
        ("--max-budget-usd", "0.01"),
        1,
        format=TEXT,
        stdout=r"\AError: Exceeded USD budget \(0\.01\)\Z",
    ),
    Case("json", "[case:success]", fields=_well(), format=JSON, kinds=("result/success",)),
    Case("json_array", "[case:success]", fields=_well(), format=JSON_ARRAY, kinds=WHOLE_RUN),
)

CASES = ENDINGS + SESSIONS + PERMISSIONS + COMMAND_LINES + FORMATS
