"""One simulated conversation: what was said so far, what it cost, and how it is printed."""

from __future__ import annotations

import json
import os
import time

from claude_tasks.standin import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.standin.directive import Directive
    from claude_tasks.standin.events import Json
    from claude_tasks.standin.flags import Flags

STDOUT, STDERR = 1, 2


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; ``os.write`` alone may take a part of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def fresh_uuid() -> str:
    """A version 4 UUID without importing ``uuid``."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Conversation:
    """The agent's side of a run; the cases drive it. Methods that end it return the exit code.

    ``spent`` is what earlier turns of a resumed session cost: the real total is cumulative.
    """

    def __init__(
        self,
        *,
        argv: list[str],
        flags: Flags,
        prompt: str,
        directive: Directive,
        session_id: str,
        spent: float,
    ) -> None:
        """Begin with nothing said."""
        self.argv = argv
        self.flags = flags
        self.prompt = prompt
        self.directive = directive
        self.session_id = session_id
        self.cost = spent
        self.model = events.model_name(flags.get("--model"))
        self.usage = dict.fromkeys(events.USAGE, 0)
        self.denials: list[Json] = []
        self.tools_asked = 0
        self.tools_answered = 0
        self.format = flags.get("--output-format", "text")
        self._started = time.monotonic()
        self._collected: list[Json] = []

    def write(self, data: bytes) -> None:
        """Raw bytes onto standard output, for the cases that are no JSON."""
        write_all(STDOUT, data)

    def emit(self, event: Json) -> None:
        """Print one event where the format shows events (one compact JSON line), else drop it."""
        event.setdefault("session_id", self.session_id)
        event.setdefault("uuid", fresh_uuid())
        if self.format == "stream-json":
            self.write(encode(event))
        elif self.format == "json":
            self._collected.append(event)

    def open(self) -> None:
        """Print ``system/init``."""
        mode = self.flags.get("--permission-mode", "default")
        if self.flags.has("--dangerously-skip-permissions"):
            mode = "bypassPermissions"
        denied = self.flags.many("--disallowedTools")
        self.emit(
            events.init(
                session_id=self.session_id,
                model=self.model,
                permission_mode="default" if mode == "manual" else mode,
                cwd=os.getcwd(),
                tools=[tool for tool in events.TOOLS if tool not in denied],
            )
        )

    def say(self, text: str) -> None:
        """One message of text."""
        self._charge(events.USAGE, events.COST_PER_MESSAGE)
        self.emit(events.assistant(self.model, {"type": "text", "text": text}))

    def use_tool(self, command: str) -> str:
        """One message that asks for Bash; returns the tool use's id."""
        self._charge(events.USAGE, events.COST_PER_MESSAGE)
        self.tools_asked += 1
        block = {
            "type": "tool_use",
            "id": f"toolu_simulated_{self.tools_asked}",
            "name": "Bash",
            "input": {"command": command, "description": "Simulated"},
        }
        self.emit(events.assistant(self.model, block))
        return str(block["id"])

    def tool_result(self, tool_use_id: str, content: str, *, is_error: bool = False) -> None:
        """The tool's output, which begins the next turn."""
        self.tools_answered += 1
        self.emit(events.tool_result(content, is_error=is_error, tool_use_id=tool_use_id))

    def deny(self, tool_use_id: str, command: str) -> None:
        """The refusal of a tool: an event, an error as its result, an entry in the final list."""
        message = f"Simulated: '{command}' needs approval, and nobody is there to give it."
        self.denials.append(
            {"tool_name": "Bash", "tool_use_id": tool_use_id, "tool_input": {"command": command}}
        )
        event = {"type": "system", "subtype": "permission_denied", "tool_name": "Bash"}
        self.emit(event | {"tool_use_id": tool_use_id, "message": message})
        self.tool_result(tool_use_id, message, is_error=True)

    def begin_another_turn(self) -> None:
        """After a result: the next one tells of its own turns, but for the cost."""
        self.tools_asked = self.tools_answered = 0
        self.usage = dict.fromkeys(events.USAGE, 0)
        self.denials = []

    def background(self, tasks: list[Json]) -> None:
        """What goes on in the background now."""
        subtype = "background_tasks_changed"
        self.emit({"type": "system", "subtype": subtype, "tasks": tasks})

    def turns_are_used_up(self) -> bool:
        """Whether ``--max-turns`` forbids to answer after the tool that was just used."""
        limit = float(self.flags.get("--max-turns", "0"))
        return 0 < limit <= self.tools_answered

    def finish(self, text: str) -> int:
        """Say ``text`` as the conclusion and end well: 0; or 1, when that broke the budget."""
        self.say(text)
        return self.conclude(text)

    def conclude(self, text: str) -> int:
        """End well with ``text`` without saying it as a message first."""
        if self.is_over_budget():
            return self.fail_budget()
        head = {"is_error": False, "subtype": "success", "api_error_status": None}
        self._result(head | {"result": text}, stop="end_turn", terminal="completed", plain=text)
        return 0

    def fail_turns(self) -> int:
        """End because ``--max-turns`` is used up: 1."""
        limit = self.flags.get("--max-turns", "1")
        head = {"is_error": True, "subtype": "error_max_turns"}
        head["errors"] = [f"Reached maximum number of turns ({limit})"]
        plain = f"Error: Reached max turns ({limit})"
        self._result(head, stop="tool_use", terminal="max_turns", plain=plain)
        return 1

    def is_over_budget(self) -> bool:
        """Whether this conversation cost ``--max-budget-usd`` or more."""
        return self.flags.has("--max-budget-usd") and self.cost >= float(
            self.flags.get("--max-budget-usd")
        )

    def fail_budget(self) -> int:
        """End because ``--max-budget-usd`` is used up, even when the answer was there: 1."""
        limit = self.flags.get("--max-budget-usd", "0")
        head = {"is_error": True, "subtype": "error_max_budget_usd"}
        head["errors"] = [f"Reached maximum budget (${limit})"]
        plain = f"Error: Exceeded USD budget ({limit})"
        self._result(head, stop="tool_use", terminal="budget_exhausted", plain=plain)
        return 1

    def fail_api(self, text: str, *, status: int | None, error: str = "") -> int:
        """End as after an API error: text on stdout, ``subtype`` still "success": 1."""
        name, kind = events.ERROR_NAMES.get(status or 401, ("server_error", "api_error"))
        if error == "connection_failed":
            name = "unknown"
        self._say_error(text, name, status)
        head = {"is_error": True, "subtype": "success", "api_error_status": status}
        if status is not None:
            head["api_error_type"] = kind
        if error:
            head["api_error"] = error
        self._result(
            head | {"result": text}, stop="stop_sequence", terminal="api_error", plain=text
        )
        return 1

    def fail_before_start(self, text: str) -> int:
        """End as with an unknown session: the text on stderr, in a stream also a result: 1."""
        if self.format == "stream-json":
            head = {"is_error": True, "subtype": "error_during_execution", "errors": [text]}
            self._result(head, stop="", terminal="", plain="")
        write_all(STDERR, f"{text}\n".encode())
        return 1

    def _say_error(self, text: str, name: str, status: int | None) -> None:
        event = events.assistant("<synthetic>", {"type": "text", "text": text})
        event["message"]["usage"] = dict.fromkeys(events.USAGE, 0)
        self.emit(event | {"error": name, "is_api_error_message": True, "api_error_status": status})

    def _charge(self, usage: dict[str, int], cost: float) -> None:
        self.usage = {key: self.usage[key] + count for key, count in usage.items()}
        self.cost += cost

    def _result(self, head: Json, *, stop: str, terminal: str, plain: str) -> None:
        """Print the result in the format asked for. ``type`` comes late, as in the real one."""
        elapsed = int((time.monotonic() - self._started) * 1000)
        per_model = events.model_usage(self.usage, self.cost)
        event: Json = {
            "duration_api_ms": elapsed,
            "stop_reason": stop or None,
            "session_id": self.session_id,
            "total_cost_usd": self.cost,
            "usage": self.usage | {"service_tier": "standard"},
            "modelUsage": {self.model: per_model} if any(self.usage.values()) else {},
            "permission_denials": self.denials,
            "terminal_reason": terminal or None,
            "num_turns": 1 + self.tools_answered if terminal else 0,
        }
        event |= head
        event |= {"type": "result", "duration_ms": elapsed, "uuid": fresh_uuid()}
        self._print_result(event, plain)

    def _print_result(self, event: Json, plain: str) -> None:
        if self.directive.options.get("order") == "classic":
            event = {"type": "result", "subtype": event["subtype"]} | event
        if self.format == "text":
            # The real one ends an answer with a newline, but not the word on a cap.
            end = "\n" if "result" in event else ""
            self.write(f"{plain}{end}".encode(errors="replace"))
        elif self.format == "json" and self.flags.has("--verbose"):
            self.write(encode([*self._collected, event]))
        else:
            self.write(encode(event))


def encode(value: object) -> bytes:
    """One line of compact JSON, not escaped to ASCII, as the real one writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace") + b"\n"
