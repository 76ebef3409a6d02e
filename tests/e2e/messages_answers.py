"""What the loopback Messages API answers for each ``[case:…]``: pure functions of the request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

from claude_tasks.standin.directive import DEFAULT_CASE, Directive, parse

Json = dict[str, Any]

ANSWER = "Simulated answer: the loopback API understood."
USAGE = {
    "input_tokens": 1200,
    "cache_creation_input_tokens": 40,
    "cache_read_input_tokens": 300,
    "output_tokens": 25,
}
"""What every answer reports, so that tests can tell a recorded number from a made-up one."""


class Answer(NamedTuple):
    """One HTTP answer: status, extra headers, and either content blocks or an error message.

    One that ``drops`` is none: the connection is closed.
    """

    status: int
    content: list[Json]
    headers: Mapping[str, str] = {}
    stop_reason: str = "end_turn"
    usage: Mapping[str, int] = USAGE
    error: str = ""
    delay_seconds: float = 0.0
    drops: bool = False


class Asked(NamedTuple):
    """One request: its directive, its body, and how often the same prompt was sent before."""

    directive: Directive
    body: Json
    times_before: int


def decide(body: Json, times_before: int) -> Answer:
    """The answer to one request, from the directive in its user messages."""
    directive = parse(prompt_of(body)) or Directive(DEFAULT_CASE, {})
    case = CASES.get(directive.name, CASES[DEFAULT_CASE])
    return case(Asked(directive, body, times_before))


def prompt_of(body: Json) -> str:
    """The last user text that carries a directive, else the last one at all, else ""."""
    texts = [text for text in _user_texts(body) if not text.startswith("<system-reminder>")]
    marked = [text for text in texts if parse(text)]
    return (marked or texts or [""])[-1]


def _user_blocks(body: Json) -> list[Json]:
    entries = body.get("messages", [])
    contents = [entry.get("content") or [] for entry in entries if entry.get("role") == "user"]
    lists = [[{"text": part}] if isinstance(part, str) else part for part in contents]
    return [block for blocks in lists for block in blocks]


def _user_texts(body: Json) -> list[str]:
    return [block["text"] for block in _user_blocks(body) if "text" in block]


def _tool_was_tried(body: Json) -> bool:
    return any(block.get("type") == "tool_result" for block in _user_blocks(body))


def _text(words: str, **fields: Any) -> Answer:
    return Answer(200, [{"type": "text", "text": words}], **fields)


def _use_bash(command: str, **fields: Any) -> Answer:
    tool_input = {"command": command, "description": "Simulated"}
    block = {"type": "tool_use", "id": "toolu_simulated", "name": "Bash", "input": tool_input}
    return Answer(200, [block], stop_reason="tool_use", **fields)


def _success(_asked: Asked) -> Answer:
    return _text(ANSWER)


def _echo(asked: Asked) -> Answer:
    return _text(prompt_of(asked.body))


def _denied(asked: Asked) -> Answer:
    if _tool_was_tried(asked.body):
        return _text("Simulated: I was not allowed to do that.")
    command = asked.directive.options.get("command", "touch made-by-the-agent")
    return _use_bash(command.replace("%20", " "))


def _slow_tool(asked: Asked) -> Answer:
    if _tool_was_tried(asked.body):
        return _text(ANSWER)
    return _use_bash(f"sleep {asked.directive.options.get('seconds', '1')}")


def _slow(asked: Asked) -> Answer:
    return _text(ANSWER, delay_seconds=asked.directive.number("seconds", 1))


def _max_turns(_asked: Asked) -> Answer:
    return _use_bash("true")


def _max_budget(_asked: Asked) -> Answer:
    return _use_bash("true", usage=USAGE | {"input_tokens": 5_000_000})


def _api_error(asked: Asked) -> Answer:
    status = int(asked.directive.number("status", 500))
    headers = {"retry-after": "1"} if status in (429, 529) else {"x-should-retry": "false"}
    return Answer(status, [], headers=headers, error=f"simulated error {status}")


def _api_retry(asked: Asked) -> Answer:
    if asked.times_before < asked.directive.number("attempts", 2):
        return Answer(529, [], headers={"retry-after": "0"}, error="simulated error 529")
    return _text(ANSWER)


def _usage_limit(asked: Asked) -> Answer:
    headers = _window("rejected", 1.0, asked.directive.number("resets_in", 3600))
    message = "This request would exceed your account's rate limit. Please try again later."
    return Answer(429, [], headers=headers | {"x-should-retry": "false"}, error=message)


def _usage_text(asked: Asked) -> Answer:
    text = asked.directive.options.get("text", "resets_2:06pm_(UTC)").replace("_", " ")
    return Answer(429, [], headers={"x-should-retry": "false"}, error=text)


def _unreachable(_asked: Asked) -> Answer:
    return Answer(0, [], drops=True)


def _background(asked: Asked) -> Answer:
    if _tool_was_tried(asked.body):
        return _text(ANSWER)
    seconds = asked.directive.options.get("seconds", "1")
    answer = _use_bash(f"sleep {seconds}")
    answer.content[0]["input"]["run_in_background"] = True
    return answer


def _usage_warning(asked: Asked) -> Answer:
    resets_in = asked.directive.number("resets_in", 3600)
    share = asked.directive.number("utilization", 0.92)
    status = "allowed_warning" if share > 0.9 else "allowed"
    return _text(ANSWER, headers=_window(status, share, resets_in))


def _window(status: str, utilization: float, resets_in: float) -> dict[str, str]:
    """The headers by which the API tells a subscriber how full the five-hour window is.

    Undocumented; these are the names the CLI reads. It shows them for OAuth tokens only.
    """
    prefix = "anthropic-ratelimit-unified"
    reset = str(int(time.time() + resets_in))
    headers = {
        f"{prefix}-status": status,
        f"{prefix}-reset": reset,
        f"{prefix}-representative-claim": "five_hour",
        f"{prefix}-5h-status": status,
        f"{prefix}-5h-reset": reset,
        f"{prefix}-5h-utilization": f"{utilization:g}",
        f"{prefix}-overage-status": "rejected",
        f"{prefix}-overage-disabled-reason": "org_level_disabled",
    }
    if status != "allowed":
        headers[f"{prefix}-5h-surpassed-threshold"] = "0.9"
    return headers


CASES: dict[str, Callable[[Asked], Answer]] = {
    "success": _success,
    "echo": _echo,
    "denied": _denied,
    "slow": _slow,
    "slow_tool": _slow_tool,
    "max_turns": _max_turns,
    "max_budget": _max_budget,
    "api_error": _api_error,
    "api_retry": _api_retry,
    "usage_limit": _usage_limit,
    "usage_text": _usage_text,
    "unreachable": _unreachable,
    "background": _background,
    "usage_warning": _usage_warning,
}
