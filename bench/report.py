"""Lines of the result: a budget, what was measured, whether it holds, and what a peer needs."""

from __future__ import annotations

import os
import platform
import sqlite3
from typing import NamedTuple

HOLDS = "ok"
MISSED = "MISSED"
NO_VERDICT = "-"


class Line(NamedTuple):
    """One row of the table. ``ratio`` is ours over the peer's: below 1 we need less."""

    what: str
    budget: str
    measured: str
    verdict: str = NO_VERDICT
    peer: str = ""
    ratio: str = ""


class Section(NamedTuple):
    """One measurement with how it was done."""

    title: str
    how: str
    lines: list[Line]


def at_most(
    what: str, value: float, limit: float, unit: str, *, peer: str = "", ratio: str = ""
) -> Line:
    """A line whose budget is an upper limit."""
    verdict = HOLDS if value <= limit else MISSED
    return Line(what, f"≤ {limit:g} {unit}", f"{value:.3g} {unit}", verdict, peer, ratio)


def none_of(what: str, count: int, *, peer: str = "") -> Line:
    """A line whose budget is zero."""
    return Line(what, "0", str(count), HOLDS if count == 0 else MISSED, peer)


def times(ours: float, theirs: float) -> str:
    """Ours over theirs."""
    return f"{ours / theirs:.2f}x" if theirs > 0 else NO_VERDICT


def as_table(section: Section) -> str:
    """A section for a terminal."""
    header = Line("what", "budget", "measured", "verdict", "peer", "ours / peer")
    rows = [header, *section.lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    text = "\n".join(line.rstrip() for line in lines)
    return f"{section.title}\n{section.how}\n{text}\n"


def as_markdown(sections: list[Section], *, mode: str, load: float) -> str:
    """The file: no host, no path, nothing that tells machines apart but what explains figures."""
    machine = (
        f"`make bench` ({mode}): {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()}; load average {load:.1f} before. "
        "Ratios are ours over the peer's in the same run: below 1 we need less."
    )
    parts = ["# Budgets, as measured", machine]
    for section in sections:
        parts += [f"## {section.title}", section.how, _markdown_table(section.lines)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(lines: list[Line]) -> str:
    rows = [
        "| what | budget | measured | verdict | peer | ours / peer |",
        "|---|---|---|---|---|---|",
    ]
    rows += [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
    return "\n".join(rows)
