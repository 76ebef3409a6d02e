"""One event of the agent's stream as lines for a person. Pure, and never fails on any input."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINE_LIMIT = 200
_MOST = 10
_LARGEST = 2**53
_TELLING = ("command", "file_path", "path", "pattern", "url", "query", "description", "prompt")


def event_lines(line: bytes) -> list[str]:
    """What to show for one line of the stream; [] for what is of no interest."""
    text = line.decode("utf-8", "replace").rstrip()
    if not text.startswith("{"):
        return [text] if text else []
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):  # plain text that begins with a brace
        return [text]
    if not isinstance(event, dict):
        return [text]
    describe = _KINDS.get(str(event.get("type")))
    return describe(event) if describe else []


def _system(event: dict[str, Any]) -> list[str]:
    if event.get("subtype") == "api_retry":
        return ["! the API did not answer; the agent tries again"]
    if event.get("subtype") != "init":
        return []
    facts = (event.get("model"), event.get("permissionMode"), event.get("cwd"))
    return ["* " + ", ".join(str(fact) for fact in facts if fact)]


def _assistant(event: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for block in _blocks(event):
        if block.get("type") == "text":
            lines += str(block.get("text", "")).splitlines()
        elif block.get("type") == "tool_use":
            lines.append(f"> {block.get('name', 'tool')}{_asked(block.get('input'))}")
    return lines


def _user(event: dict[str, Any]) -> list[str]:
    return [_tool_result(b) for b in _blocks(event) if b.get("type") == "tool_result"]


def _tool_result(block: dict[str, Any]) -> str:
    content = block.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    lines = str(content or "").splitlines() or ["(nothing)"]
    more = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
    return f"< {'error: ' if block.get('is_error') else ''}{_short(lines[0])}{more}"


def _rate_limit(event: dict[str, Any]) -> list[str]:
    info = event.get("rate_limit_info")
    if not isinstance(info, dict) or info.get("status") in (None, "allowed"):
        return []
    return [f"! usage limit {info.get('rateLimitType', '')}: {info['status']}"]


def _result(event: dict[str, Any]) -> list[str]:
    facts = ["failed" if event.get("is_error") else "done"]
    turns, milliseconds, cost = (
        _number(event.get(name)) for name in ("num_turns", "duration_ms", "total_cost_usd")
    )
    if turns is not None:
        facts.append(f"{turns:g} turn{'' if turns == 1 else 's'}")
    if milliseconds is not None:
        facts.append(f"{milliseconds / 1000:.1f} s")
    if cost is not None:
        facts.append(f"${cost:.4f}")
    denied, errors = event.get("permission_denials"), event.get("errors")
    if denied and isinstance(denied, list):
        facts.append(f"{len(denied)} denied")
    causes = [each for each in _list(errors) if isinstance(each, str)]
    return ["= " + ", ".join(facts), *(f"! {_short(' '.join(c.split()))}" for c in causes[:_MOST])]


def _number(value: Any) -> float | None:
    """A count as it may be shown; JSON may hold numbers of any size."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and abs(value) < _LARGEST else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _own(event: dict[str, Any]) -> list[str]:
    if event.get("subtype") != "truncated":
        return []
    return [f"… {event.get('dropped_bytes', 'some')} bytes were not kept …"]


def _blocks(event: dict[str, Any]) -> list[dict[str, Any]]:
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = content if isinstance(content, list) else []
    return [block for block in blocks if isinstance(block, dict)]


def _asked(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    telling = next((value[name] for name in _TELLING if value.get(name)), "")
    return f": {_short(' '.join(str(telling).split()))}" if telling else ""


def _short(text: str) -> str:
    return text if len(text) <= _LINE_LIMIT else text[:_LINE_LIMIT] + "…"


_KINDS = {
    "system": _system,
    "assistant": _assistant,
    "user": _user,
    "rate_limit_event": _rate_limit,
    "result": _result,
    "claude_tasks": _own,
}
