"""The stand-in's main path: flags, session, prompt, then the case, in the real CLI's order."""

from __future__ import annotations

import json
import os
import re
import sys
import time

from claude_tasks.standin import directive as directives
from claude_tasks.standin import events, sessions
from claude_tasks.standin.conversation import STDERR, Conversation, fresh_uuid, write_all
from claude_tasks.standin.flags import Flags, RejectedError, parse
from claude_tasks.standin.processes import end_on_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from claude_tasks.standin.directive import Directive

    Cases: TypeAlias = dict[str, Callable[[Conversation], int]]

CASE_VARIABLE = "CLAUDE_TASKS_STANDIN_CASE"
STARTS_VARIABLE = "CLAUDE_TASKS_STANDIN_STARTS"
NO_SUCH_TITLE = (
    "Error: --resume requires a valid session ID or session title when used with --print. "
    "Usage: claude -p --resume <session-id|title>. Provided value "
    '"{}" is not a UUID and does not match any session title.'
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def main(argv: list[str]) -> int:
    """Run as ``claude`` with ``argv`` would; the exit code."""
    note_start(os.environ.get(STARTS_VARIABLE, ""))
    try:
        return _run(argv, parse(argv))
    except RejectedError as error:
        write_all(STDERR, f"{error}\n".encode(errors="replace"))
        return 1
    except BrokenPipeError:  # no reader: the real agent ends too
        return 1


def note_start(path: str) -> None:
    """Append "pid time_ns" to ``path``, if one is named: the proof of how often we were started.

    One ``write`` in append mode: lines of concurrent starts do not mix.
    """
    if path:
        line = f"{os.getpid()} {time.time_ns()}\n".encode()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, line)
        os.close(descriptor)


def _run(argv: list[str], flags: Flags) -> int:
    if flags.has("--version"):
        print(f"{events.VERSION} (Claude Code; {events.SIMULATED})")
        return 0
    _check(flags)
    prompt = _read_prompt(flags)
    if prompt is None:
        return 0
    directive = _directive_of(prompt)
    note_start(directive.options.get("leave_file", ""))
    return _converse(argv, flags, prompt, directive)


def _check(flags: Flags) -> None:
    """Refuse what the real one refuses before it reads the prompt."""
    if not flags.has("--print"):
        raise RejectedError("Error: the simulated agent has no interactive mode; use -p")
    session = flags.get("--session-id")
    if session and flags.has("--resume") and not flags.has("--fork-session"):
        raise RejectedError(
            "Error: --session-id with --continue or --resume also needs --fork-session."
        )
    if session and not UUID.fullmatch(session):
        raise RejectedError("Error: Invalid session ID. Must be a valid UUID.")
    if _wants_bypass(flags) and os.getuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        raise RejectedError(
            "--dangerously-skip-permissions cannot be used with root/sudo "
            "privileges for security reasons"
        )
    if flags.get("--output-format") == "stream-json" and not flags.has("--verbose"):
        raise RejectedError(
            "Error: When using --print, --output-format=stream-json requires --verbose"
        )


def _wants_bypass(flags: Flags) -> bool:
    by_switch = flags.has("--dangerously-skip-permissions")
    return by_switch or flags.get("--permission-mode") == "bypassPermissions"


def _read_prompt(flags: Flags) -> str | None:
    """The prompt: the word given, then standard input. None when only questions were asked."""
    piped = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode(errors="replace")
    if flags.get("--input-format") == "stream-json":
        return _read_messages(piped)
    prompt = "\n".join(part for part in (*flags.words[:1], piped) if part)
    if not prompt:
        _warn_of_swallowed_prompt(flags)
        raise RejectedError(
            "Error: Input must be provided either through stdin or as a prompt "
            "argument when using --print"
        )
    if not prompt.strip():
        raise RejectedError(
            "Error: Input contained only whitespace. Provide a prompt with text "
            "through stdin or as a prompt argument when using --print"
        )
    return prompt


def _warn_of_swallowed_prompt(flags: Flags) -> None:
    if flags.swallowed:
        flag, value = flags.swallowed
        text = (
            f'"{value}" was read as a value of {flag}, not as a prompt · '
            f"put a prompt before {flag} or after --\n"
        )
        write_all(STDERR, text.encode(errors="replace"))


def _read_messages(piped: str) -> str | None:
    """The prompt in ``--input-format stream-json``; control requests are answered on the way."""
    texts = []
    for line in piped.splitlines():
        message = json.loads(line)
        if message.get("type") == "control_request":
            _answer_control(message)
        elif message.get("type") == "user":
            content = message["message"]["content"]
            blocks = [{"text": content}] if isinstance(content, str) else content
            texts += [block["text"] for block in blocks if "text" in block]
    return "\n".join(texts) or None


def _answer_control(message: events.Json) -> None:
    """``get_usage``, as the real one answers somebody who is not logged in."""
    usage = {"subscription_type": None, "rate_limits_available": False, "rate_limits": None}
    response = {"subtype": "success", "request_id": message["request_id"], "response": usage}
    print(json.dumps({"type": "control_response", "response": response}), flush=True)


def _directive_of(prompt: str) -> Directive:
    """The prompt's, else the environment's, else plain success."""
    text = os.environ.get(CASE_VARIABLE, "").strip()
    wrapped = text if text.startswith("[") else f"[case:{text}]"
    found = directives.parse(prompt) or directives.parse(wrapped)
    return found or directives.Directive(directives.DEFAULT_CASE, {})


def known_cases() -> Cases:
    """What it can be asked to do, by name. The tests put their own in its place."""
    from claude_tasks.standin.cases import CASES  # noqa: PLC0415 (--version needs none of them)

    return CASES


def _converse(argv: list[str], flags: Flags, prompt: str, directive: Directive) -> int:
    cases = known_cases()
    case = cases.get(directive.name)
    if case is None:
        known = ", ".join(sorted(cases))
        raise RejectedError(f"Error: no simulated case '{directive.name}'; there are: {known}")
    session_id, spent, problem = _session(flags)
    talk = Conversation(
        argv=argv,
        flags=flags,
        prompt=prompt,
        directive=directive,
        session_id=session_id,
        spent=spent,
    )
    if problem:
        return talk.fail_before_start(problem)
    end_on_signals(talk)
    code = case(talk)
    if not flags.has("--no-session-persistence"):
        sessions.note_cost(talk.session_id, talk.cost)
    return code


def _session(flags: Flags) -> tuple[str, float, str]:
    """This run's session id, what it cost before in US dollars, and why it cannot be, or ""."""
    wanted = flags.get("--session-id") or fresh_uuid()
    if not flags.has("--resume"):
        return _new_session(flags, wanted), 0.0, ""
    resumed = flags.get("--resume")
    if not UUID.fullmatch(resumed):
        return wanted, 0.0, NO_SUCH_TITLE.format(resumed)
    spent = sessions.spent(resumed)
    if spent is None:
        return resumed, 0.0, f"No conversation found with session ID: {resumed}"
    if flags.has("--fork-session"):
        return _new_session(flags, wanted), spent, ""
    return resumed, spent, ""


def _new_session(flags: Flags, session_id: str) -> str:
    if not flags.has("--no-session-persistence") and not sessions.begin(session_id):
        raise RejectedError(f"Error: Session ID {session_id} is already in use.")
    return session_id
