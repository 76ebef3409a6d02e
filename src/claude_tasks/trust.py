"""Whose a file is that decides what runs here: settings name the agent, a token opens the API.

Whoever can write such a file, or put another in its place, runs code as this user. So it is read
only where its owner and that of its folder are this user or root (for root: or the data folder's
owner, as in a container that mounts a user's folder), and nobody else may write to either.
"""

from __future__ import annotations

import os
import stat

from claude_tasks.domain.errors import ConfigurationError

UNTRUSTED = "untrusted"
"""The code of every refusal here: its hint is the command that helps."""

_WRITE_BITS = 0o022
_FOR_OTHERS = 0o077


def open_trusted(path: str, *, private: bool = False) -> int:
    """A descriptor to read it from; a ``private`` file may be read by nobody else either.

    It never waits, whatever lies there. Errors: `FileNotFoundError` and other `OSError`;
    `ConfigurationError` where others could have written it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if private:
            _check_private(path, status)
        _check(path, status, path, folder_shared=False)
        _check_folders(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_folders(path: str) -> None:
    """That of its name, and, where that is a link, the one that the file is in."""
    folder = os.path.dirname(path)
    _check(folder, os.stat(folder), path, folder_shared=False)
    real = os.path.dirname(os.path.realpath(path))
    if real != os.path.realpath(folder):
        _check(real, os.stat(real), path, folder_shared=True)


def _check(place: str, status: os.stat_result, path: str, *, folder_shared: bool) -> None:
    """``folder_shared``: a folder such as /tmp, whose files only their owners replace, will do."""
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0:
        trusted.add(os.stat(os.path.dirname(path)).st_uid)
    what = "" if place == path else f", and {os.path.basename(path)} is read from there"
    if status.st_uid not in trusted:
        raise _refused(
            f"{place}: it belongs to another user (uid {status.st_uid}){what}",
            f"{'' if os.geteuid() == 0 else 'sudo '}chown {os.geteuid()} {_quoted(place)}",
        )
    if folder_shared and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & _WRITE_BITS:
        mode = stat.S_IMODE(status.st_mode)
        raise _refused(
            f"{place}: others on this machine can write to it (mode {mode:03o}){what}",
            f"chmod go-w {_quoted(place)}",
        )


def _check_private(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _FOR_OTHERS:
        return
    raise ConfigurationError(
        f"{path}: others on this machine can read or change it (mode {mode:03o})",
        hint=f"chmod 600 {_quoted(path)}; if they may have read it: "
        "claude-tasks token new --replace",
    )


def _refused(message: str, command: str) -> ConfigurationError:
    return ConfigurationError(message, hint=command, code=UNTRUSTED)


def _quoted(path: str) -> str:
    import shlex  # noqa: PLC0415 (loads regular expressions; only for a refusal)

    return shlex.quote(path)
