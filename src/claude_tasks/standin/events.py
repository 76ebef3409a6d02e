"""The events of the real CLI's stream, field for field and in its order (2.1.330). Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

VERSION = "2.1.330"
SIMULATED = "simulated agent"
COST_PER_MESSAGE = 0.00556
USAGE = {
    "input_tokens": 1200,
    "cache_creation_input_tokens": 40,
    "cache_read_input_tokens": 300,
    "output_tokens": 25,
}
"""What one simulated message reports."""

TOOLS = ["Task", "Bash", "Edit", "NotebookEdit", "Read", "Skill", "WebFetch", "WebSearch", "Write"]
ERROR_NAMES = {
    400: ("unknown", "invalid_request_error"),
    401: ("authentication_failed", "authentication_error"),
    403: ("authentication_failed", "permission_error"),
    429: ("rate_limit", "rate_limit_error"),
    500: ("server_error", "api_error"),
    529: ("server_error", "overloaded_error"),
}
"""HTTP status of the API → the CLI's name for it, and the API's own."""


def model_name(asked: str) -> str:
    """What stands where the real one names a model: never something that looks like one."""
    return f"{SIMULATED} ({asked})" if asked else SIMULATED


def init(*, session_id: str, model: str, permission_mode: str, cwd: str, tools: list[str]) -> Json:
    """``system/init``, the first event of a run."""
    return {
        "type": "system",
        "subtype": "init",
        "cwd": cwd,
        "session_id": session_id,
        "tools": tools,
        "mcp_servers": [],
        "model": model,
        "permissionMode": permission_mode,
        "slash_commands": ["clear", "compact", "context", "init", "review", "usage"],
        "apiKeySource": "none",
        "claude_code_version": f"{VERSION} ({SIMULATED})",
        "output_style": "default",
        "agents": ["claude", "Explore", "general-purpose", "Plan"],
        "skills": [],
        "plugins": [],
        "simulated": True,
    }


def assistant(model: str, block: Json) -> Json:
    """One whole message of the assistant, made of one content block."""
    message = {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
        "context_management": None,
    }
    return {"type": "assistant", "message": message, "parent_tool_use_id": None}


def tool_result(content: str, *, is_error: bool, tool_use_id: str) -> Json:
    """The ``user`` event that carries a tool's output back."""
    block = {
        "tool_use_id": tool_use_id,
        "type": "tool_result",
        "content": content,
        "is_error": is_error,
    }
    message = {"role": "user", "content": [block]}
    return {"type": "user", "message": message, "parent_tool_use_id": None}


def interrupted() -> Json:
    """What the real one prints when SIGINT ends it (with exit 0 and without a result)."""
    block = {"type": "text", "text": "[Request interrupted by user]"}
    message = {"role": "user", "content": [block]}
    return {"type": "user", "message": message, "parent_tool_use_id": None}


def rate_limit(*, status: str, resets_at: int, utilization: float, kind: str = "five_hour") -> Json:
    """``rate_limit_event``. ``resets_at``: seconds since the epoch; ``utilization``: 0…1.

    A rejection names no utilization at the top level, only in the window.
    """
    info: Json = {"status": status, "resetsAt": resets_at, "rateLimitType": kind}
    if status != "rejected":
        info["utilization"] = utilization
    window = {"utilization": utilization, "resetsAt": resets_at, "status": status}
    info |= {"isUsingOverage": False, "unifiedWindows": {kind: window}}
    return {"type": "rate_limit_event", "rate_limit_info": info}


def task(subtype: str, **fields: object) -> Json:
    """What the stream tells of one command in the background."""
    return {"type": "system", "subtype": subtype, "task_id": "b1"} | fields


def model_usage(usage: dict[str, int], cost: float) -> Json:
    """One entry of ``modelUsage``."""
    return {
        "inputTokens": usage["input_tokens"],
        "outputTokens": usage["output_tokens"],
        "cacheReadInputTokens": usage["cache_read_input_tokens"],
        "cacheCreationInputTokens": usage["cache_creation_input_tokens"],
        "webSearchRequests": 0,
        "costUSD": cost,
        "contextWindow": 200000,
        "maxOutputTokens": 32000,
        "provider": SIMULATED,
    }
