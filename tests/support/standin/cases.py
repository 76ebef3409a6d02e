"""Further cases of the simulated agent: how runs of the real one end.

Each case takes the conversation and returns the exit code. ``misbehaviour`` adds those that no
well-behaved agent shows.
"""

from __future__ import annotations

import json
import os
import time

from claude_tasks.standin import events
from claude_tasks.standin.cases import ANSWER
from claude_tasks.standin.flags import RejectedError
from claude_tasks.standin.processes import Tool, end_on_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.standin.conversation import Conversation

DEAR = 24.0
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500
WARNING_SHARE = 0.9
NOON = 12
HEARTBEAT_SECONDS = 0.25
FORBIDDEN_COMMAND = "touch made-by-the-agent"


def denied(talk: Conversation) -> int:
    """A tool that needs approval: refused and exit 0, unless the flags allow it."""
    talk.open()
    tool = talk.use_tool(FORBIDDEN_COMMAND)
    if "Bash" in talk.flags.many("--disallowedTools"):
        talk.tool_result(tool, "No such tool available: Bash.", is_error=True)
    elif _is_allowed(talk):
        talk.tool_result(tool, "(simulated: nothing was touched)")
    else:
        talk.deny(tool, FORBIDDEN_COMMAND)
    if talk.turns_are_used_up():
        return talk.fail_turns()
    return talk.finish("Simulated: I was not allowed to do that.")


def _is_allowed(talk: Conversation) -> bool:
    mode = talk.flags.get("--permission-mode")
    allowed = talk.flags.many("--allowedTools")
    return (
        "Bash" in allowed
        or f"Bash({FORBIDDEN_COMMAND})" in allowed
        or mode in ("acceptEdits", "bypassPermissions")
        or talk.flags.has("--dangerously-skip-permissions")
    )


def api_error(talk: Conversation) -> int:
    """``status=400|401|403|429|500|529``: the API refused."""
    talk.open()
    status = int(talk.directive.number("status", 500))
    return talk.fail_api(_api_error_text(status), status=status)


def _api_error_text(status: int) -> str:
    """How the CLI words an answer of ``status`` whose message is "simulated error STATUS"."""
    text = f"simulated error {status}"
    if status in (401, 403):
        return f"Failed to authenticate. API Error: {status} {text}"
    if status == TOO_MANY_REQUESTS:
        return f"API Error: Request rejected (429) · {text}"
    if status >= SERVER_ERROR:
        advice = "This is a server-side issue, usually temporary — try again in a moment."
        return f"API Error: {status} {text}. {advice}"
    return f"API Error: {status} {text}"


def not_logged_in(talk: Conversation) -> int:
    """No credentials: an API error without a status."""
    talk.open()
    return talk.fail_api("Not logged in · Please run /login", status=None)


def usage_limit(talk: Conversation) -> int:
    """The subscription's window is used up until ``resets_at`` (s), or for ``resets_in`` s."""
    talk.open()
    resets_at = _resets_at(talk)
    talk.emit(events.rate_limit(status="rejected", resets_at=resets_at, utilization=1.0))
    text = f"You've hit your 5-hour limit · resets {_clock_time(resets_at)}"
    return talk.fail_api(text, status=429, error="usage_limit_reached")


def usage_text(talk: Conversation) -> int:
    """The API's 429, with ``text=`` (its blanks as _) as all that tells of a limit."""
    talk.open()
    text = talk.directive.options.get("text", "resets_2:06pm_(UTC)").replace("_", " ")
    return talk.fail_api(f"API Error: Request rejected (429) · {text}", status=429)


def unreachable(talk: Conversation) -> int:
    """The network is away: no answer of the API at all."""
    talk.open()
    text = "API Error: Connection dropped (ECONNRESET). Check the gateway set in ANTHROPIC_BASE_URL"
    return talk.fail_api(f"{text}, then try again.", status=None, error="connection_failed")


def background(talk: Conversation) -> int:
    """A command in the background for ``seconds=N``: a result before and one after its end."""
    talk.open()
    seconds = talk.directive.number("seconds", 1)
    tool = talk.use_tool(f"sleep {seconds:g}")
    talk.background([{"task_id": "b1", "task_type": "local_bash", "description": "Simulated"}])
    talk.emit(events.task("task_started", tool_use_id=tool, is_backgrounded=True))
    talk.tool_result(tool, "Command running in background with ID: b1.")
    talk.finish(ANSWER)
    talk.begin_another_turn()
    time.sleep(seconds)
    talk.emit(events.task("task_notification", tool_use_id=tool, status="completed"))
    talk.background([])
    talk.open()
    return talk.finish(f"{ANSWER} The background command has ended.")


def usage_warning(talk: Conversation) -> int:
    """Success, and word that the window is nearly used up (``utilization=``, default 0.92)."""
    talk.open()
    talk.say(ANSWER)
    share = talk.directive.number("utilization", 0.92)
    status = "allowed_warning" if share > WARNING_SHARE else "allowed"
    talk.emit(events.rate_limit(status=status, resets_at=_resets_at(talk), utilization=share))
    return talk.conclude(ANSWER)


def _resets_at(talk: Conversation) -> int:
    in_a_while = time.time() + talk.directive.number("resets_in", 3600)
    return int(talk.directive.number("resets_at", in_a_while))


def _clock_time(seconds: int) -> str:
    """``2:06pm (UTC)``, in the process's zone, as the real one words it."""
    moment = time.localtime(seconds)
    hour = moment.tm_hour % NOON or NOON
    minutes = f":{moment.tm_min:02}" if moment.tm_min else ""
    return f"{hour}{minutes}{'am' if moment.tm_hour < NOON else 'pm'} ({moment.tm_zone})"


def max_turns(talk: Conversation) -> int:
    """Asks for a tool again and again until ``--max-turns`` (default 1) ends it."""
    talk.open()
    for _ in range(max(1, int(float(talk.flags.get("--max-turns", "1"))))):
        talk.tool_result(talk.use_tool("true"), "(Bash completed with no output)")
    return talk.fail_turns()


def max_budget(talk: Conversation) -> int:
    """One dear message, which breaks any ``--max-budget-usd``."""
    talk.open()
    talk.use_tool("true")
    talk.cost += DEAR
    return talk.fail_budget()


def bad_flag(_talk: Conversation) -> int:
    """As if an unknown flag had been given."""
    raise RejectedError("error: unknown option '--simulated'")


def session_in_use(talk: Conversation) -> int:
    """As if another run had taken this session id."""
    raise RejectedError(f"Error: Session ID {talk.session_id} is already in use.")


def unknown_session(talk: Conversation) -> int:
    """As if the session to resume did not exist."""
    text = f"No conversation found with session ID: {talk.session_id}"
    return talk.fail_before_start(text)


def api_retry(talk: Conversation) -> int:
    """Success after ``attempts=N`` (default 2) failed tries."""
    talk.open()
    attempts = int(talk.directive.number("attempts", 2))
    for attempt in range(1, attempts + 1):
        event = {"type": "system", "subtype": "api_retry", "attempt": attempt}
        event |= {"max_retries": 10, "retry_delay_ms": 1, "error_status": 529}
        talk.emit(event | {"error": "overloaded"})
    return talk.finish(ANSWER)


def slow(talk: Conversation) -> int:
    """Thinks for ``seconds=N`` with a sign of life every quarter second, then succeeds."""
    talk.open()
    stay_busy(talk, talk.directive.number("seconds", 1))
    return talk.finish(ANSWER)


def stay_busy(talk: Conversation, seconds: float) -> None:
    """Pass ``seconds``, emitting harmless events."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, HEARTBEAT_SECONDS))
        talk.emit({"type": "stream_event", "event": {"type": "ping"}})


def held(talk: Conversation) -> int:
    """Thinks until there is a file ``until=PATH``, then succeeds."""
    talk.open()
    while not os.path.exists(talk.directive.options["until"]):
        stay_busy(talk, HEARTBEAT_SECONDS)
    return talk.finish(ANSWER)


def slow_tool(talk: Conversation) -> int:
    """Runs ``sleep seconds`` as a tool, in a session of its own as the real one does."""
    command = f"sleep {talk.directive.number('seconds', 1):g}"
    tool = Tool(command, talk.directive.options.get("pid_file", ""))
    end_on_signals(talk, tool)
    talk.open()
    tool.start(talk.use_tool(command))
    tool.wait()
    talk.tool_result(tool.use_id, "(Bash completed with no output)")
    if talk.turns_are_used_up():
        return talk.fail_turns()
    return talk.finish(ANSWER)


def echo(talk: Conversation) -> int:
    """The prompt as it arrived."""
    talk.open()
    return talk.finish(talk.prompt)


def env(talk: Conversation) -> int:
    """The environment variable ``name=X``, or the word (unset)."""
    talk.open()
    return talk.finish(os.environ.get(talk.directive.options.get("name", ""), "(unset)"))


def cwd(talk: Conversation) -> int:
    """The working directory."""
    talk.open()
    return talk.finish(os.getcwd())


def argv(talk: Conversation) -> int:
    """The arguments it was started with, as a JSON list."""
    talk.open()
    return talk.finish(json.dumps(talk.argv))


CASES: dict[str, Callable[[Conversation], int]] = {
    case.__name__: case
    for case in (
        denied,
        api_error,
        not_logged_in,
        usage_limit,
        usage_text,
        usage_warning,
        unreachable,
        background,
        max_turns,
        max_budget,
        bad_flag,
        session_in_use,
        unknown_session,
        api_retry,
        slow,
        held,
        slow_tool,
        echo,
        env,
        cwd,
        argv,
    )
}
