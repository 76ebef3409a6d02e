"""Where the agent lets no rule decide alone: paths outside of its folders, and protected ones.

Of programs that it knows to work on files it looks at the paths too, and at changes of the folder
before them. As observed of 2.1.330; for what was not observed there is no remedy.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from claude_tasks.domain.shell_words import command_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_ON_FILES_TEXT = "cat cp diff file head mkdir mv rm rmdir sort stat tail tee touch uniq wc"
_ON_FILES = frozenset(_ON_FILES_TEXT.split())
"""Programs whose words are paths."""
_WITH_OTHER_WORDS_TEXT = (
    "awk base64 cmp column comm cut egrep expand fgrep find fmt fold gawk grep hexdump jq man mawk"
    " md5sum nawk nl numfmt od paste pr rev rg sed sha1sum sha256sum strings tac tr tsort"
    " unexpand"
)
_WITH_OTHER_WORDS = frozenset(_WITH_OTHER_WORDS_TEXT.split())
"""Programs some of whose words are patterns or scripts."""
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
    """Whether the agent writes there only when somebody says so, whatever its rules are."""
    parts = path.lower().split("/")
    protected = bool(_PROTECTED_FOLDERS.intersection(parts)) or parts[-1] in _PROTECTED_FILES
    return protected or ".config/git" in path.lower()


def needed_folders(pieces: Sequence[str], within: Sequence[str]) -> tuple[str, ...] | None:
    """The folders to be added, so that rules for the pieces decide; None where nothing does that.

    ``within`` are the folders that the agent may work in, first its own, "" where it is unknown.
    """
    commands = [command_of(piece) for piece in pieces]
    programs = [words[0] for words in commands if words]
    moves = any(words[:1] == ["cd"] and words[1:] != [within[0]] for words in commands)
    if "cd" in programs and ("git" in programs or (moves and any(map(_works_on_files, programs)))):
        return None  # where its paths lead from there is not looked at
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
    """What one command needs."""
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
    # A folder to be added must be there; what only may be one, or holds all, is none to suggest.
    unclear = program in _WITH_OTHER_WORDS or program == "ls" or (program == "mkdir" and flags)
    return None if needed and (unclear or "/" in needed) else needed


def _are_plain(program: str, flags: Sequence[str], paths: Sequence[str]) -> bool:
    """Whether the agent lets a rule decide about such words, where they lead nowhere else."""
    if program == "cd" and (flags or len(paths) != 1):
        return False
    if any("/" in flag for flag in flags) or (flags and program in _WITHOUT_FLAGS):
        return False
    return not any(is_protected(path) or set("$?[~") & set(path) for path in paths)


def _outside(path: str, within: Sequence[str]) -> str | None:
    """The path where it lies outside of all folders, "" where not; None where nobody knows."""
    if ".." in path.split("/"):
        return None  # it may lead anywhere, by way of a link
    own, *_ = within
    if not path.startswith("/"):
        return ""
    full = posixpath.normpath(path)
    folders = [posixpath.normpath(folder) for folder in within if folder.startswith("/")]
    if any(full == folder or full.startswith(f"{folder.rstrip('/')}/") for folder in folders):
        return ""
    return full if own else None
