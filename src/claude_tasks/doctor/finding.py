"""The result of a check: a verdict, its reasons, the command that fixes the problem.

No ``annotations`` import from the future: it would have each record compile its annotations from
text, which every start of the command pays for.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.hint import Hint, joined, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.doctor.facts import Barred


class Verdict(StrEnum):
    """PASS: as it should be. WARN: it works, with something to know. FAIL: not ready."""

    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """The outcome of one check. ``fix`` is a command to type, None where none would do.

    ``reservation`` is shown beside "Ready", which alone would hide it.
    """

    id: str
    verdict: Verdict
    detail: str
    fix: str | None = None
    reservation: str | None = None


class Report(NamedTuple):
    """All findings of one look. ``at`` is when, ``version`` is this program's."""

    at: int
    version: str
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How many checks failed."""
        return sum(finding.verdict is Verdict.FAIL for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many checks warn."""
        return sum(finding.verdict is Verdict.WARN for finding in self.findings)

    @property
    def ready(self) -> bool:
        """Nothing failed; warnings are allowed."""
        return self.problems == 0

    def summary(self, *, strict: bool = False) -> str:
        """``Ready``, or ``2 problems, 1 warning``; with ``strict`` warnings are not ready."""
        if self.ready and not (strict and self.warnings):
            reservations = [it.reservation for it in self.findings if it.reservation is not None]
            return f"Ready, but {'; '.join(reservations)}" if reservations else "Ready"
        counts = ((self.problems, "problem"), (self.warnings, "warning"))
        return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)


def passed(check: str, detail: str) -> Finding:
    """As it should be."""
    return Finding(check, Verdict.PASS, detail)


def warned(check: str, detail: str, fix: str | None = None) -> Finding:
    """Works, with something to know."""
    return Finding(check, Verdict.WARN, detail, fix)


def failed(check: str, detail: str, fix: str | None = None) -> Finding:
    """Not ready."""
    return Finding(check, Verdict.FAIL, detail, fix)


def shell(*words: str) -> str:
    """Words as a command line that a shell reads back as the same words."""
    return " ".join(map(quoted, words))


_LONGEST = 160
"""Characters of one of several things that are named."""


def some(texts: "Sequence[str]", *, most: int = 3, at_least: bool = False) -> Hint:
    """The first few of many, each cut to a readable length, and how many more there are."""
    more = len(texts) - most
    shown = (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in texts[:most])
    bound = "at least " if at_least else ""
    return Hint(joined("; ", shown), f"; and {bound}{more} more" if more > 0 else "")


def allow(barred: "Barred") -> str:
    """The command that lets this user write there."""
    path = shell(barred.path)
    if barred.read_only_mount:
        return f'sudo mount -o remount,rw "$(findmnt -nro TARGET -T {path})"'
    change = f"chmod u+rw{'x' * barred.is_folder} {path}"
    return change if barred.ours else f'sudo chown "$(id -u)" {path} && {change}'


def why_barred(barred: "Barred") -> str:
    """In a sentence."""
    if barred.read_only_mount:
        return f"{barred.path} is on a file system that is mounted read-only"
    return f"{barred.path} cannot be written by this user"


def cannot_be_read(illegible: list[str]) -> str:
    """About rows that this program did not write so."""
    return f"cannot be read from the database: {some(illegible)}; mend it, or put a backup back"
