"""What an agent can do to whoever runs it: no result, no end, no limit, no valid output."""

from __future__ import annotations

import os
import signal
import time

from claude_tasks.standin import events
from claude_tasks.standin.conversation import STDERR, Conversation, encode, write_all
from claude_tasks.standin.processes import ignore_sigterm, leave_daemon, leave_grandchild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
GIB_OF_OUTPUT = 1 << 30
LINE_BYTES = 4096
CONCLUSION = "Simulated answer: the conclusion, after all the rest."
INVALID = b"caf\xe9 \xff\xfe \xc3"


def ignore_term(talk: Conversation) -> int:
    """Deaf to SIGTERM for ``seconds=N``."""
    ignore_sigterm()
    talk.open()
    time.sleep(talk.directive.number("seconds", 60))
    return talk.finish(CONCLUSION)


def linger(talk: Conversation) -> int:
    """Reports its result, then neither exits nor says a word for ``seconds=N``.

    ``outstanding=1``: while a background task of it goes on. ``deaf=1``: nor does it hear SIGTERM.
    ``error=1``: what it reports is an error.
    """
    options = talk.directive.options
    if "deaf" in options:
        ignore_sigterm()
    talk.open()
    if "outstanding" in options:
        talk.background([{"task_id": "b1", "task_type": "local_bash", "description": "Simulated"}])
    if "error" in options:
        talk.fail_api("API Error: 400 simulated error 400", status=400)
    else:
        talk.finish(CONCLUSION)
    time.sleep(talk.directive.number("seconds", 60))
    return 0


def last_words(talk: Conversation) -> int:
    """On SIGTERM says ``bytes=N`` more, then its result, and exits."""
    count = int(talk.directive.number("bytes", MIB))

    def say_and_exit(_number: int, _frame: object) -> None:
        talk.say("z" * count)
        talk.conclude(CONCLUSION)
        os._exit(143)

    signal.signal(signal.SIGTERM, say_and_exit)
    talk.open()
    talk.say("Simulated: waiting for the end.")
    while True:
        time.sleep(talk.directive.number("seconds", 60))


def big_result(talk: Conversation) -> int:
    """A result with ``denials=N`` refused writes of ``bytes=M`` each, after ``before=K`` bytes."""
    talk.open()
    before = int(talk.directive.number("before", 0))
    if before:
        message = events.assistant(talk.model, {"type": "text", "text": "x" * LINE_BYTES})
        _pour(talk, encode(message | {"session_id": talk.session_id}), before)
    count = int(talk.directive.number("denials", 30))
    content = "é\n" * (int(talk.directive.number("bytes", 40_000)) // 3)
    for number in range(count):
        asked = {"file_path": f"/simulated/{number}.txt", "content": content}
        entry = {"tool_name": "Write", "tool_use_id": f"toolu_{number}", "tool_input": asked}
        talk.denials.append(entry)
    return talk.finish(CONCLUSION)


def silent(talk: Conversation) -> int:
    """Success without a turn and without a word."""
    talk.open()
    result = {"type": "result", "subtype": "success", "is_error": False, "result": ""}
    talk.emit(result | {"num_turns": 0, "total_cost_usd": 0.0})
    return 0


def execution_error(talk: Conversation) -> int:
    """Says "Execution error", in plain text, and exits with 0."""
    talk.write(b"Execution error\n")
    return 0


def errors(talk: Conversation) -> int:
    """An error whose causes only the list ``errors`` of its result names."""
    talk.open()
    result = {"type": "result", "subtype": "error_during_execution", "is_error": True}
    causes = ["simulated cause one", "simulated cause two"]
    talk.emit(result | {"num_turns": 1, "total_cost_usd": 0.0, "errors": causes})
    return 1


def grandchild(talk: Conversation) -> int:
    """Ends at once, and leaves a process that holds stdout and stderr for ``seconds=N``."""
    talk.open()
    seconds = talk.directive.number("seconds", 60)
    leave_grandchild(seconds, talk.directive.options.get("pid_file", ""))
    return talk.finish(CONCLUSION)


def escaped(talk: Conversation) -> int:
    """Deaf to SIGTERM for ``seconds=N``, as is a daemon it left outside its process tree."""
    ignore_sigterm()
    talk.open()
    seconds = talk.directive.number("seconds", 60)
    leave_daemon(seconds, talk.directive.options.get("pid_file", ""))
    talk.say("Simulated: a daemon of mine escaped.")  # a sign for tests that it lives
    time.sleep(seconds)
    return talk.conclude(CONCLUSION)


def big_output(talk: Conversation) -> int:
    """``bytes=N`` (default 1 GiB): JSON lines, or ``mode=text``, or ``mode=oneline``."""
    mode = talk.directive.options.get("mode", "json")
    total = int(talk.directive.number("bytes", GIB_OF_OUTPUT))
    if mode == "json":
        talk.open()
        message = events.assistant(talk.model, {"type": "text", "text": "x" * LINE_BYTES})
        _pour(talk, encode(message | {"session_id": talk.session_id}), total)
        return talk.finish(CONCLUSION)
    if mode == "oneline":
        _pour(talk, b"x" * LINE_BYTES, total)
        talk.write(CONCLUSION.encode())
    else:
        _pour(talk, b"x" * (LINE_BYTES - 1) + b"\n", total)
        talk.write(CONCLUSION.encode() + b"\n")
    return 0


def _pour(talk: Conversation, unit: bytes, total: int) -> None:
    """Write whole ``unit``s, at least ``total`` bytes of them, about a MiB at a time."""
    chunk = unit * max(1, min(MIB, total) // len(unit))
    written = 0
    while written < total:
        talk.write(chunk)
        written += len(chunk)


def invalid_utf8(talk: Conversation) -> int:
    """Bytes that are no UTF-8: in an event, on a line of their own, on stderr, in the result."""
    talk.open()
    event = encode(events.assistant(talk.model, {"type": "text", "text": "@"}))
    talk.write(event.replace(b"@", INVALID))
    talk.write(INVALID + b"\n")
    write_all(STDERR, b"simulated: " + INVALID + b"\n")
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "end @"}
    result |= {"session_id": talk.session_id, "num_turns": 1, "total_cost_usd": 0.0}
    talk.write(encode(result).replace(b"@", INVALID))
    return 0


def long_line(talk: Conversation) -> int:
    """A result of ``bytes=N`` (default 200,000) characters on one line."""
    talk.open()
    count = int(talk.directive.number("bytes", 200_000))
    return talk.conclude("y" * count)


def missing_result(talk: Conversation) -> int:
    """Answers, then ends with ``code=N`` (default 0) without a result event."""
    talk.open()
    talk.say(CONCLUSION)
    return int(talk.directive.number("code", 0))


def text(talk: Conversation) -> int:
    """Plain text whatever was asked for, like an agent of another make."""
    talk.write(b"Simulated plain text, line 1.\nSimulated plain text, line 2.\n")
    return int(talk.directive.number("code", 0))


def garbage(talk: Conversation) -> int:
    """Malformed lines between good ones, then success."""
    talk.open()
    for line in (b"{not json\n", b"\n", b"[1, 2]\n", b'"text"\n', b"null\n", b'{"type":7}\n'):
        talk.write(line)
    talk.write(b'{"type":"assistant","message":{"content":null}}\n{"type":"result"')
    talk.write(b"\n")
    return talk.finish(CONCLUSION)


def crash(talk: Conversation) -> int:
    """Dies of SIGKILL in the middle of its work."""
    talk.open()
    talk.say("Simulated: about to crash.")
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def exit_with(talk: Conversation) -> int:
    """Ends with ``code=N`` (default 1), no result, and a word on stderr."""
    talk.open()
    code = int(talk.directive.number("code", 1))
    write_all(STDERR, f"simulated failure, exit {code}\n".encode())
    return code


CASES: dict[str, Callable[[Conversation], int]] = {
    "ignore_term": ignore_term,
    "linger": linger,
    "last_words": last_words,
    "big_result": big_result,
    "silent": silent,
    "execution_error": execution_error,
    "errors": errors,
    "grandchild": grandchild,
    "escaped": escaped,
    "big_output": big_output,
    "invalid_utf8": invalid_utf8,
    "long_line": long_line,
    "missing_result": missing_result,
    "text": text,
    "garbage": garbage,
    "crash": crash,
    "exit": exit_with,
}
