"""Finds what blocks a living process, and the command that lets it go on."""

from __future__ import annotations

import os

from claude_tasks.domain.signs import Stall
from claude_tasks.system.process_state import is_stopped, waits_in_the_kernel

_CGROUPS = "/sys/fs/cgroup"
_FREEZERS = {
    "freezer": ((f"{_CGROUPS}/freezer", "freezer.state", "THAWED"),),
    "": ((_CGROUPS, "cgroup.freeze", "0"), (f"{_CGROUPS}/unified", "cgroup.freeze", "0")),
}
"""By controller, "" for version 2: where its groups are, the file that freezes, what thaws."""
_ID_LENGTH = 64
"""Hexadecimal digits of a container's id; its first twelve name it as well."""


def stall_of(pid: int) -> Stall | None:
    """What blocks a process; None where nothing known does."""
    if is_stopped(pid):
        return Stall("is stopped, by SIGSTOP or Ctrl-Z", f"kill -CONT {pid}")
    thaw = _thaw(pid)
    if thaw is not None:
        return Stall("is frozen with its container", thaw)
    if waits_in_the_kernel(pid):
        return Stall("waits in the kernel for a disk or a mount that does not answer", None)
    return None


def _thaw(pid: int) -> str | None:
    """The command that lets a frozen process go on (cgroups(7), both versions)."""
    for _, controllers, path in _cgroups(pid):
        for root, name, value in _FREEZERS.get(controllers, ()):
            frozen = [group for group in _upwards(path) if _is_frozen(f"{root}{group}/{name}")]
            if frozen:
                group = frozen[-1]
                return _unpause(group) or f"echo {value} | sudo tee {root}{group}/{name}"
    return None


def _cgroups(pid: int) -> list[tuple[str, str, str]]:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return []
    return [(line[0], line[1], line[2]) for line in lines if len(line) > 2]  # noqa: PLR2004


def _upwards(path: str) -> list[str]:
    """A group and those that hold it, but for the root, which cannot be frozen."""
    groups = []
    while path.strip("/"):
        groups.append(path)
        path = os.path.dirname(path)
    return groups


def _is_frozen(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() in ("FROZEN", "FREEZING", "1")
    except OSError:
        return False


def _unpause(group: str) -> str | None:
    """The command that unpauses the container whose id is in the name of the group."""
    name = os.path.basename(group).removesuffix(".scope")
    prefix, _, number = name.rpartition("-")
    if len(number) != _ID_LENGTH or set(number) - set("0123456789abcdef"):
        return None
    return f"{'podman' if 'libpod' in prefix else 'docker'} unpause {number[:12]}"
