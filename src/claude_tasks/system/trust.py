"""Checks owner and mode of files that decide what runs here: settings and tokens.

Another user who can write or replace such a file can run code as this user. So it is read only
where it and its folder belong to this user or root (for root: or to the data folder's owner, as in
a container that mounts a user's folder), and no other user may write to either. The same holds for
each link on the way. A link to a missing file is an error: the file may be a token on a mount that
is not there yet, and without it the API would be open.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.domain.hint import Command, Hint, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

UNTRUSTED = "untrusted"
"""The code of every refusal here: its hint is the command that helps."""

_WRITE_BITS = 0o022
_FOR_OTHERS = 0o077
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_MOST_LINKS = 40
"""The kernel follows no more (path_resolution(7))."""


def open_trusted(path: str, *, private: bool = False) -> int:
    """A descriptor to read the file; a ``private`` file must not be readable by others either.

    Never blocks, not even on a pipe. Errors: `FileNotFoundError` and other `OSError`;
    `ConfigurationError` where others could have written it, where it is a link to nowhere or no
    file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOWHERE and os.path.islink(path):
            raise ConfigurationError(
                f"{path}: it is a link to {os.readlink(path)}, and there is nothing",
                hint=f"put the file back there, or go without it: rm {quoted(path)}",
            ) from None
        raise
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        if private:
            _check_private(path, status)
        _check(path, status, path, folder_shared=False)
        _check_folders(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def out_of_the_way(path: str) -> str:
    """The command that makes room for a file."""
    return f"mv {quoted(path)} {quoted(f'{path}.old')}"


def _check_folders(path: str) -> None:
    """Check the folder of the path and, for a link, the folders of all links and of the file."""
    folder = os.path.dirname(path)
    _check(folder, os.stat(folder), path, folder_shared=False)
    links = list(_links(path))
    for link in links[1:]:
        _check_owner(link, os.lstat(link), path)
    for place in dict.fromkeys(os.path.dirname(each) for each in (*links, os.path.realpath(path))):
        if place != os.path.realpath(folder):
            _check(place, os.stat(place), path, folder_shared=True)


def _links(path: str) -> Iterator[str]:
    """Each link that is followed from a file's name on, those of folders too."""
    at, parts, found = os.path.realpath(os.path.dirname(path)), [os.path.basename(path)], 0
    while parts and found < _MOST_LINKS:
        at = os.path.normpath(os.path.join(at, parts.pop(0)))  # itself without links
        if os.path.islink(at):
            target, found = os.readlink(at), found + 1
            yield at
            at = "/" if os.path.isabs(target) else os.path.dirname(at)
            parts = target.split("/") + parts


def _check(place: str, status: os.stat_result, path: str, *, folder_shared: bool) -> None:
    """``folder_shared``: a folder such as /tmp, whose files only their owners replace, will do."""
    what = _check_owner(place, status, path)
    if folder_shared and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & _WRITE_BITS:
        mode = stat.S_IMODE(status.st_mode)
        raise _refused(
            f"{place}: others on this machine can write to it (mode {mode:03o}){what}",
            f"chmod go-w {quoted(place)}",
        )


def _check_owner(place: str, status: os.stat_result, path: str) -> str:
    """How the file has to do with the place, in words."""
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0:
        trusted.add(os.stat(os.path.dirname(path)).st_uid)
    what = "" if place == path else f", and {os.path.basename(path)} is read from there"
    if status.st_uid not in trusted:
        sudo = "" if os.geteuid() == 0 else "sudo "
        itself = "-h " if stat.S_ISLNK(status.st_mode) else ""
        raise _refused(
            f"{place}: it belongs to another user (uid {status.st_uid}){what}",
            f"{sudo}chown {itself}{os.geteuid()} {quoted(place)}",
        )
    return what


def _check_kind(path: str, status: os.stat_result) -> None:
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)):  # /dev/null is one
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe"
        raise ConfigurationError(f"{path}: it is {what}, no file", hint=out_of_the_way(path))


def _check_private(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _FOR_OTHERS:
        return
    raise ConfigurationError(
        f"{path}: others on this machine can read or change it (mode {mode:03o})",
        hint=Hint(
            f"chmod 600 {quoted(path)}; if they may have read it: ",
            Command("token", "new", "--replace"),
        ),
    )


def _refused(message: str, command: str) -> ConfigurationError:
    return ConfigurationError(message, hint=command, code=UNTRUSTED)
