"""``python -m tools.release 1.2.3``: closes the changelog, sets the version, commits, tags, builds.

Nothing is pushed. What is refused leaves everything as it is.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION_FILE = Path("src/claude_tasks/__init__.py")
CHANGELOG = Path("CHANGELOG.md")
_NUMBER = re.compile(r"\d+\.\d+\.\d+")
_OPEN = re.compile(r"^## (\S+) - unreleased\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class RefusedError(Exception):
    """The release cannot be made as things stand."""


def release(version: str, *, root: Path, today: date) -> list[Path]:
    """Make it; the files of the distribution. Errors: `RefusedError`."""
    if not _NUMBER.fullmatch(version):
        raise RefusedError(f"{version!r} is no version such as 1.2.3")
    if _git(root, "status", "--porcelain"):
        raise RefusedError("there are changes that are not committed")
    if _git(root, "tag", "--list", f"v{version}"):
        raise RefusedError(f"v{version} is there already")
    changelog = closed_changelog((root / CHANGELOG).read_text("utf-8"), version, today)
    source = (root / VERSION_FILE).read_text("utf-8")
    (root / CHANGELOG).write_text(changelog, "utf-8")
    (root / VERSION_FILE).write_text(
        re.sub(r'__version__ = "[^"]*"', f'__version__ = "{version}"', source), "utf-8"
    )
    _git(root, "commit", "--quiet", "--all", "--message", f"release: {version}")
    _git(root, "tag", "--annotate", "--message", f"claude-tasks {version}", f"v{version}")
    subprocess.run([sys.executable, "-m", "build", "--outdir", "dist"], cwd=root, check=True)
    return sorted((root / "dist").glob(f"claude_tasks-{version}*"))


def closed_changelog(text: str, version: str, today: date) -> str:
    """The changelog with its unreleased part dated, under an empty one for what follows."""
    open_part = _OPEN.search(text)
    if open_part is None or not open_part[2].strip():
        raise RefusedError(f"{CHANGELOG} has nothing under a heading '## … - unreleased'")
    following = _next_minor(version)
    closed = f"## {following} - unreleased\n\n## {version} - {today}\n{open_part[2]}"
    return text[: open_part.start()] + closed + text[open_part.end() :]


def _next_minor(version: str) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main(argv: list[str]) -> int:
    """Say what was made, and what is left to do."""
    try:
        made = release(argv[0] if argv else "", root=ROOT, today=datetime.now(UTC).date())
    except RefusedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(path.relative_to(ROOT))
    print(f"Next: git push && git push origin v{argv[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
