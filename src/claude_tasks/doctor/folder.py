"""The data folder: is it there, can it be written, is there room, is it private?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    Verdict,
    allow,
    failed,
    passed,
    shell,
    some,
    warned,
    why_barred,
)

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import DiskFacts, FolderFacts, LooseEntry, PermissionFacts
    from claude_tasks.doctor.finding import Finding

MIB = 1024 * 1024
LITTLE_BYTES = 1024 * MIB
TOO_LITTLE_BYTES = 100 * MIB
FEW_ENTRIES = 1000
TOO_FEW_ENTRIES = 100
MEND = "claude-tasks doctor --fix"
_ELSEWHERE = "export CLAUDE_TASKS_DATA=~/.claude-tasks"
_WRITE_BITS = 0o022
_STICKY = 0o1000
_WORST_FIRST = (Verdict.FAIL, Verdict.WARN, Verdict.PASS)


def check_data_dir(data: FolderFacts, inner: tuple[FolderFacts, ...] = ()) -> Finding:
    """There and writable with all that a node needs in it, or none yet where one can be made."""
    name = "data_dir"
    if not data.exists:
        if data.barred is None and data.base_is_folder:
            return passed(name, f"none yet: the first start makes {data.path}")
        return failed(name, f"none yet, and {_why_not_made(data)}", _ELSEWHERE)
    for folder in (data, *(folder for folder in inner if folder.exists)):
        wrong = _wrong_with(name, folder)
        if wrong is not None:
            return wrong
    return passed(name, data.path)


def check_logs_dir(logs: FolderFacts, data: FolderFacts) -> Finding:
    """There and writable: a run without its log is refused nowhere, but told by nobody."""
    name = "logs_dir"
    if not data.exists:
        return passed(name, "none yet: the data folder is not there")
    if not data.is_folder:
        return warned(name, "not looked at: there is no data folder (see data_dir)")
    if not logs.exists:
        if logs.barred is None:
            return warned(name, f"{logs.path} is missing: the next start makes it", MEND)
        text = f"{logs.path} is missing, and {why_barred(logs.barred)}"
        return failed(name, text, allow(logs.barred))
    return _wrong_with(name, logs) or passed(name, logs.path)


def _wrong_with(name: str, folder: FolderFacts) -> Finding | None:
    """What keeps one that is there from being used."""
    if folder.leads_nowhere:
        text = f"{folder.path} is a link that leads nowhere: remove it, or make what it leads to"
        return failed(name, text, shell("rm", folder.path))
    if not folder.is_folder:
        text = f"{folder.path} is a file, not a folder: move it away, and the next start makes one"
        return failed(name, text, shell("mv", "-i", folder.path, f"{folder.path}.moved"))
    if folder.barred is not None:
        return failed(name, why_barred(folder.barred), allow(folder.barred))
    return None


def _why_not_made(folder: FolderFacts) -> str:
    barred = folder.barred
    why = f"{folder.base} is no folder" if barred is None else why_barred(barred)
    return f"{why}: {folder.path} cannot be made"


def check_disk_space(disks: tuple[DiskFacts, ...]) -> Finding:
    """Room for logs and for the database's own log: the worst of the disks they are on."""
    found = [_disk_space(disk) for disk in disks]
    return min(found, key=lambda finding: _WORST_FIRST.index(finding.verdict))


def _disk_space(disk: DiskFacts) -> Finding:
    name, text = "disk_space", f"{_size(disk.free_bytes)} free at {disk.path}"
    entries = disk.free_entries
    if entries is not None and entries < FEW_ENTRIES:
        make = failed if entries < TOO_FEW_ENTRIES else warned
        text = f"room for {entries} more files only at {disk.path}: remove some there"
        return make(name, text, shell("df", "-i", disk.path))
    if disk.free_bytes >= LITTLE_BYTES:
        return passed(name, text)
    too_little = disk.free_bytes < TOO_LITTLE_BYTES
    make, limit = (failed, TOO_LITTLE_BYTES) if too_little else (warned, LITTLE_BYTES)
    text = f"{text}: less than {_size(limit)}, so make room there"
    return make(name, text, shell("df", "-h", disk.path))


def check_permissions(permissions: PermissionFacts) -> Finding:
    """Folders 0700, files 0600: prompts and output are private, and tasks are code."""
    name = "permissions"
    if not permissions.looked_at:
        return passed(name, "none yet: there is nothing to protect")
    if permissions.loose:
        ordered = sorted(permissions.loose, key=_danger, reverse=True)
        verdict = Verdict.FAIL if any(map(_danger, ordered)) else Verdict.WARN
        text = f"open to others: {some([_mode_text(entry) for entry in ordered])}"
        return warned(name, text, _close(ordered))._replace(verdict=verdict)
    if permissions.foreign:
        text = f"owned by another user: {some(list(permissions.foreign))}"
        if permissions.as_root:  # a service's folder: taking it would lock its owner out
            return warned(name, f"{text}; run claude-tasks as that user")
        return warned(name, text, f'sudo chown "$(id -u)" {shell(permissions.foreign[0])}')
    if permissions.unreadable:
        text = f"cannot be looked into: {some(list(permissions.unreadable))}"
        return warned(name, text, shell("chmod", "u+rwx", permissions.unreadable[0]))
    part = "the first " if permissions.partial else ""
    entries = "entry" if permissions.looked_at == 1 else "entries"
    return passed(name, f"{part}{permissions.looked_at} {entries}: private to their owner")


def _danger(entry: LooseEntry) -> bool:
    """Others can change it, and so run code as its owner; or it holds a token."""
    return entry.holds_secrets or bool(entry.mode & _WRITE_BITS)


def _close(loose: list[LooseEntry]) -> str | None:
    """What is ours, ``--fix`` closes; of what a link leads to, one at a time; a /tmp stays open."""
    if not all(entry.outside for entry in loose):
        return MEND
    own = [entry for entry in loose if not entry.mode & _STICKY]
    return shell("chmod", f"{own[0].wanted:o}", own[0].path) if own else None


def _mode_text(entry: LooseEntry) -> str:
    text = f"{entry.path} is {entry.mode:04o}, not {entry.wanted:04o}"
    if entry.outside and entry.mode & _STICKY:
        return f"{text}, and shared with others: link to a folder of your own instead"
    return text


def _size(count: int) -> str:
    return f"{count / LITTLE_BYTES:.1f} GiB" if count >= LITTLE_BYTES else f"{count // MIB} MiB"
