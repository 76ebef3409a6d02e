"""A report as a JSON value: the same for ``--json`` and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import to_rfc3339

if TYPE_CHECKING:
    from claude_tasks.doctor.finding import Finding, Report


def report_view(report: Report) -> dict[str, Any]:
    """``ready``, the counts, and every finding."""
    return {
        "at": to_rfc3339(report.at),
        "version": report.version,
        "ready": report.ready,
        "problems": report.problems,
        "warnings": report.warnings,
        "findings": [finding_view(finding) for finding in report.findings],
    }


def finding_view(finding: Finding) -> dict[str, Any]:
    """One finding."""
    view = {**finding._asdict(), "verdict": finding.verdict.value}
    del view["reservation"]  # it is in the detail, in more words
    return view
