"""The catalogue of checks, in the order in which they are printed; and running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.agent import check_claude_binary, check_usage_credentials
from claude_tasks.doctor.database import check_database
from claude_tasks.doctor.finding import Finding, Report, failed
from claude_tasks.doctor.folder import (
    check_data_dir,
    check_disk_space,
    check_logs_dir,
    check_permissions,
)
from claude_tasks.doctor.machine import (
    check_api_exposure,
    check_clock_and_zone,
    check_notifications,
    check_service,
)
from claude_tasks.doctor.nodes import check_nodes
from claude_tasks.doctor.scheduling import check_runs, check_scheduler_lease, check_versions
from claude_tasks.doctor.tasks import check_tasks
from claude_tasks.domain.errors import ClaudeTasksError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from claude_tasks.doctor.facts import Facts


class Check(NamedTuple):
    """One check: its id, what it looks at in a line, and which facts its evaluator wants."""

    id: str
    about: str
    evaluate: Callable[[Facts], Finding]


CHECKS: tuple[Check, ...] = (
    Check(
        "claude_binary", "the agent is found, runs, is not too old",
        lambda facts: check_claude_binary(facts.agent),
    ),
    Check(
        "usage_credentials", "present and not expired, or not needed",
        lambda facts: check_usage_credentials(facts.credentials, facts.usage),
    ),
    Check("data_dir", "there and writable", lambda facts: check_data_dir(facts.data, facts.inner)),
    Check(
        "database", "opens, writable, whole, schema, WAL, local disk",
        lambda facts: check_database(facts.database),
    ),
    Check(
        "logs_dir", "there and writable", lambda facts: check_logs_dir(facts.logs, facts.data)
    ),
    Check(
        "scheduler_lease", "who holds it, and whether that node lives",
        lambda facts: check_scheduler_lease(facts.database, facts.machine, at=facts.at),
    ),
    Check(
        "nodes", "none that lives hangs, or keeps others from their work",
        lambda facts: check_nodes(facts.database, facts.liveness, facts.machine),
    ),
    Check("disk_space", "room for logs and data", lambda facts: check_disk_space(facts.disk)),
    Check(
        "permissions", "folders 0700, files 0600",
        lambda facts: check_permissions(facts.permissions),
    ),
    Check(
        "clock_and_zone", "a plausible clock, nothing left by one ahead, time zone data, TZ",
        lambda facts: check_clock_and_zone(facts.zone, facts.database),
    ),
    Check(
        "tasks", "each enabled task could run now",
        lambda facts: check_tasks(facts.database, facts.machine),
    ),
    Check("runs", "none stuck, none lost, none failing always",
          lambda facts: check_runs(facts.database, facts.machine)),
    Check("notifications", "messages about runs arrive",
          lambda facts: check_notifications(facts.database, facts.channels)),
    Check("service", "starts with the machine, and finds the agent then",
          lambda facts: check_service(facts.service)),
    Check(
        "versions", "every living node is of this version",
        lambda facts: check_versions(facts.database, facts.machine),
    ),
    Check(
        "api_exposure", "beyond this machine only with a token",
        lambda facts: check_api_exposure(facts.exposure),
    ),
)  # fmt: skip

NAMES = tuple(check.id for check in CHECKS)
QUICK = ("logs_dir", "nodes", "disk_space", "permissions", "clock_and_zone", "tasks", "runs",
         "notifications", "versions")  # fmt: skip
"""Those that start no process, ask nobody and read little: what every ``status`` can afford."""


def run_checks(
    facts: Facts,
    names: Collection[str] = NAMES,
    *,
    each: Callable[[Finding], None] | None = None,
) -> Report:
    """Run the checks named, in the catalogue's order; ``each`` hears of every finding at once.

    Never raises for what it finds: a fact that cannot be gathered is a finding too.
    """
    findings = []
    for check in CHECKS:
        if check.id not in names:
            continue
        finding = _evaluate(check, facts)
        findings.append(finding)
        if each is not None:
            each(finding)
    return Report(facts.at, facts.machine.version, tuple(findings))


def _evaluate(check: Check, facts: Facts) -> Finding:
    """One finding, whatever happens: a report that ends halfway helps nobody."""
    try:
        return check.evaluate(facts)
    except ClaudeTasksError as error:
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        return failed(check.id, f"could not be checked: {text}")
    except OSError as error:
        return failed(check.id, f"could not be checked: {error}")
    except Exception as error:  # noqa: BLE001 (said in the finding, and the others go on)
        return failed(check.id, f"could not be checked: {type(error).__name__}: {error}")
