"""The checks, in the order in which they are printed; and running them.

A check is a module of `checks` with a function ``judge``, which gets what its parameters name
(`looking`) and returns a `Finding`. A new one is its module and its name here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import trouble_of
from claude_tasks.doctor.finding import Finding, Report, failed
from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.hint import Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType

    from claude_tasks.doctor.looking import Look

NAMES = (
    "claude_binary", "usage_credentials", "data_dir", "database", "logs_dir", "scheduler_lease",
    "nodes", "disk_space", "permissions", "clock_and_zone", "tasks", "runs", "notifications",
    "service", "versions", "api_exposure",
)  # fmt: skip

QUICK = ("logs_dir", "nodes", "disk_space", "permissions", "clock_and_zone", "tasks", "runs",
         "notifications", "versions")  # fmt: skip
"""Checks that start no process, send no request and read little: ``status`` runs them."""


def run_checks(
    look: Look,
    names: Collection[str] = NAMES,
    *,
    each: Callable[[Finding], None] | None = None,
) -> Report:
    """Run the checks named, in the catalogue's order; ``each`` hears of every finding at once.

    Never raises for what it finds: a fact that cannot be gathered is a finding too.
    """
    findings = []
    for name in NAMES:
        if name not in names:
            continue
        finding = _judge(name, look)
        findings.append(finding)
        if each is not None:
            each(finding)
    return Report(look.value("at"), look.value("machine").version, tuple(findings))


def check_module(name: str) -> ModuleType:
    """The module of a check, loaded when it is first asked for."""
    return import_module(f"claude_tasks.doctor.checks.{name}")


def _judge(name: str, look: Look) -> Finding:
    """One finding, also for an unforeseen error, so that the report is complete."""
    try:
        module = check_module(name)
        finding: Finding = look.call(module.judge, module)
    except ClaudeTasksError as error:
        return failed(name, Hint("could not be checked: ", trouble_of(error).text))
    except OSError as error:
        return failed(name, f"could not be checked: {error}")
    except Exception as error:  # noqa: BLE001 (named in the finding)
        return failed(name, f"could not be checked: {type(error).__name__}: {error}")
    return finding
