"""Paths for which a rule alone does not suffice: outside the agent's folders, or protected.

For programs that it knows to work on files, the agent also checks the paths, and changes of the
folder before them. Observed with 2.1.330; for unobserved cases there is no remedy.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from claude_tasks.domain.shell_words import command_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_ON_FILES_TEXT = "cat cp diff file head mkdir mv rm rmdir sort stat tail tee touch uniq wc"
_ON_FILES = frozenset(_ON_FILES_TEXT.split())
"""Programs whose arguments are paths."""
_WITH_OTHER_WORDS_TEXT = (
    "awk base64 cmp column comm cut egrep expand fgrep find fmt fold gawk grep hexdump jq man mawk"
    " md5sum nawk nl numfmt od paste pr rev rg sed sha1sum sha256sum strings tac tr tsort"
    " unexpand"
)
_WITH_OTHER_WORDS = frozenset(_WITH_OTHER_WORDS_TEXT.split())
"""Programs of which some arguments are patterns or scripts."""
_WITHOUT_FLAGS = frozenset({"cp", "mv"})

_PROTECTED_FOLDERS_TEXT = ".git .vscode .idea .claude .husky .cargo .devcontainer .yarn .mvn"
_PROTECTED_FOLDERS = frozenset(_PROTECTED_FOLDERS_TEXT.split())
_PROTECTED_FILES_TEXT = (
    ".gitconfig .gitmodules .bashrc .bash_profile .zshrc .zprofile .profile .zshenv .zlogin"
    " .zlogout .bash_login .bash_aliases .bash_logout .envrc .ripgreprc .mcp.json .claude.json"
    " .npmrc .yarnrc .yarnrc.yml .pnp.cjs .pnp.loader.mjs .pnp.js .pnp.data.json .pnpmfile.cjs"
    " bunfig.toml .bunfig.toml .bazelrc .bazelversion .bazeliskrc .pre-commit-config.yaml"
    " lefthook.yml .lefthook.yml lefthook.yaml .lefthook.yaml gradle-wrapper.properties"
    " maven-wrapper.properties .devcontainer.json pyrightconfig.json"
)
_PROTECTED_FILES = frozenset(_PROTECTED_FILES_TEXT.split())


def is_protected(path: str) -> bool:
    """Whether the agent writes there only when a person approves, regardless of its rules."""
    parts = path.lower().split("/")
    protected = bool(_PROTECTED_FOLDERS.intersection(parts)) or parts[-1] in _PROTECTED_FILES
    return protected or ".config/git" in path.lower()


def needed_folders(pieces: Sequence[str], within: Sequence[str]) -> tuple[str, ...] | None:
    """The folders to add so that rules for the pieces suffice; None where none would.

    ``within`` are the folders that the agent may work in, first its own, "" where it is unknown.
    """
    commands = [command_of(piece) for piece in pieces]
    programs = [words[0] for words in commands if words]
    moves = any(words[:1] == ["cd"] and words[1:] != [within[0]] for words in commands)
    if "cd" in programs and ("git" in programs or (moves and any(map(_works_on_files, programs)))):
        return None  # paths after a change of folder are not resolved
    needed: dict[str, None] = {}
    for words in commands:
        found = _needed(words, within)
        if found is None:
            return None
        needed.update(dict.fromkeys(found))
    return tuple(needed)


def _works_on_files(program: str) -> bool:
    return program in _ON_FILES or program in _WITH_OTHER_WORDS or program == "ls"


def _needed(words: Sequence[str], within: Sequence[str]) -> list[str] | None:
    """The folders that one command needs."""
    program = words[0].rpartition("/")[2] if words else ""
    if program and program != "cd" and not _works_on_files(program):
        return []
    flags = [word for word in words[1:] if word.startswith("-")]
    paths = [word for word in words[1:] if not word.startswith("-")]
    if not program or not _are_plain(program, flags, paths):
        return None
    needed = []
    for path in paths:
        outside = _outside(path, within)
        if outside is None:
            return None
        if outside:
            needed.append(outside if program == "cd" else posixpath.dirname(outside))
    # A folder to add must exist; one that may not be a folder, or the root, is not suggested.
    unclear = program in _WITH_OTHER_WORDS or program == "ls" or (program == "mkdir" and flags)
    return None if needed and (unclear or "/" in needed) else needed


def _are_plain(program: str, flags: Sequence[str], paths: Sequence[str]) -> bool:
    """Whether a rule suffices for such arguments, if their paths lie inside the folders."""
    if program == "cd" and (flags or len(paths) != 1):
        return False
    if any("/" in flag for flag in flags) or (flags and program in _WITHOUT_FLAGS):
        return False
    return not any(is_protected(path) or set("$?[~") & set(path) for path in paths)


def _outside(path: str, within: Sequence[str]) -> str | None:
    """The path where it lies outside all folders, "" where not; None where unknown."""
    if ".." in path.split("/"):
        return None  # a link may lead anywhere
    own, *_ = within
    if not path.startswith("/"):
        return ""
    full = posixpath.normpath(path)
    folders = [posixpath.normpath(folder) for folder in within if folder.startswith("/")]
    if any(full == folder or full.startswith(f"{folder.rstrip('/')}/") for folder in folders):
        return ""
    return full if own else None
