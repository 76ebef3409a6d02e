"""The socket, bound before anything else starts: a port in use is an error, not half a server.

And how many connections may come of it: each takes a file descriptor, and without any left the
node could not even look at its runs.
"""

from __future__ import annotations

import errno
import logging
import resource
import socket

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.hint import Command, Hint

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 1000
_FEWEST_CONNECTIONS = 16
_OWN_FILES = 256
"""Descriptors for all that is no connection: databases, logs, locks, pipes of runs."""
_WANTED_FILES = 4096
"""Enough for all of that. Not more, for agents inherit the limit: what opens at most as many files
as it used to does not notice, and a loop over every possible descriptor stays short."""
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any. Errors: `ClaudeTasksError`."""
    bare = host.strip().removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(
            bare or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # Of a name with addresses of both kinds the IPv4 one: what clients try last they all have.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(host, port, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from error
    return bound


def make_room() -> None:
    """Raise the soft limit of open files to what the most connections need, if the system lets us.

    For the whole process and those it starts from now on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS has further limits of its own
        log.warning("at most %d open files, so fewer connections: %s", soft, error)


def most_connections() -> int:
    """How many there may be under the limit of open files that is in force.

    A connection may need a second descriptor: the file that a stream follows.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, (soft - _OWN_FILES) // 2))


def address_of(bound: socket.socket) -> str:
    """``http://127.0.0.1:8080``: where a listening socket is to be found."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refused(host: str, port: int, error: OSError) -> ClaudeTasksError:
    place = f"{host or '0.0.0.0'}:{port}"  # noqa: S104 (only shown)
    if error.errno == errno.EADDRINUSE:
        return ClaudeTasksError(
            f"{place} is in use already",
            hint=Hint(
                "end who listens there, or choose another port: ",
                Command("serve", "--port", "0"),
                " takes a free one",
            ),
            code="port_in_use",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ClaudeTasksError(
            f"{place}: this user may not listen there", hint="choose a port above 1023",
            code="port_denied",
        )  # fmt: skip
    return ClaudeTasksError(
        f"cannot listen on {place}: {error.strerror or error}",
        hint="--host names an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        code="port",
    )
