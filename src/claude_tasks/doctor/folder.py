"""The data folder: is it there, can it be written, is there room, is it private?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import Verdict, failed, passed, shell, some, warned

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import DiskFacts, FolderFacts, LooseEntry, PermissionFacts
    from claude_tasks.doctor.finding import Finding

MIB = 1024 * 1024
LITTLE_BYTES = 1024 * MIB
TOO_LITTLE_BYTES = 100 * MIB
MEND = "claude-tasks doctor --fix"
_ELSEWHERE = "export CLAUDE_TASKS_DATA=~/.claude-tasks"
_WRITE_BITS = 0o022


def check_data_dir(data: FolderFacts) -> Finding:
    """There and writable, or none yet where one can be made."""
    name = "data_dir"
    if not data.exists:
        if data.writable:
            return passed(name, f"none yet: the first start makes {data.path}")
        text = f"none yet, and {data.base} cannot be written: {data.path} cannot be made"
        return failed(name, text, _ELSEWHERE)
    if not data.is_folder:
        return failed(name, f"{data.path} is a file, not a folder", shell("ls", "-l", data.path))
    if not data.writable:
        return failed(name, f"{data.path} cannot be written by this user", _allow(data.path))
    return passed(name, data.path)


def check_logs_dir(logs: FolderFacts, data: FolderFacts) -> Finding:
    """There and writable: a run without its log is refused nowhere, but told by nobody."""
    name = "logs_dir"
    if not data.exists:
        return passed(name, "none yet: the data folder is not there")
    if not logs.exists:
        if logs.writable:
            return warned(name, f"{logs.path} is missing: the next start makes it", MEND)
        text = f"{logs.path} is missing, and {logs.base} cannot be written"
        return failed(name, text, _allow(logs.base))
    if not logs.is_folder:
        return failed(name, f"{logs.path} is a file, not a folder", shell("ls", "-l", logs.path))
    if not logs.writable:
        return failed(name, f"{logs.path} cannot be written by this user", _allow(logs.path))
    return passed(name, logs.path)


def check_disk_space(disk: DiskFacts) -> Finding:
    """Room for logs and for the database's own log."""
    text = f"{_size(disk.free_bytes)} free at {disk.path}"
    fix = shell("df", "-h", disk.path)
    if disk.free_bytes < TOO_LITTLE_BYTES:
        return failed("disk_space", f"{text}: less than {_size(TOO_LITTLE_BYTES)}", fix)
    if disk.free_bytes < LITTLE_BYTES:
        return warned("disk_space", f"{text}: less than {_size(LITTLE_BYTES)}", fix)
    return passed("disk_space", text)


def check_permissions(permissions: PermissionFacts) -> Finding:
    """Folders 0700, files 0600: prompts and output are private, and tasks are code."""
    name = "permissions"
    if not permissions.looked_at:
        return passed(name, "none yet: there is nothing to protect")
    if permissions.loose:
        ordered = sorted(permissions.loose, key=_danger, reverse=True)
        verdict = Verdict.FAIL if any(map(_danger, ordered)) else Verdict.WARN
        text = f"open to others: {some([_mode_text(entry) for entry in ordered])}"
        return warned(name, text, MEND)._replace(verdict=verdict)
    if permissions.foreign:
        text = f"owned by another user: {some(list(permissions.foreign))}"
        return warned(name, text, shell("ls", "-l", permissions.foreign[0]))
    if permissions.unreadable:
        text = f"cannot be looked into: {some(list(permissions.unreadable))}"
        return warned(name, text, shell("ls", "-ld", permissions.unreadable[0]))
    part = "the first " if permissions.partial else ""
    entries = "entry" if permissions.looked_at == 1 else "entries"
    return passed(name, f"{part}{permissions.looked_at} {entries}: private to their owner")


def _danger(entry: LooseEntry) -> bool:
    """Others can change it, and so run code as its owner; or it holds a token."""
    return entry.holds_secrets or bool(entry.mode & _WRITE_BITS)


def _mode_text(entry: LooseEntry) -> str:
    return f"{entry.path} is {entry.mode:04o}, not {entry.wanted:04o}"


def _allow(path: str) -> str:
    """Write access for whoever owns it, and that is us."""
    return f'sudo chown "$(id -u)" {shell(path)} && chmod u+rwx {shell(path)}'


def _size(count: int) -> str:
    return f"{count / LITTLE_BYTES:.1f} GiB" if count >= LITTLE_BYTES else f"{count // MIB} MiB"
