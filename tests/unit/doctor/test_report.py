"""The catalogue, the report's words, what ``--fix`` would do."""

from __future__ import annotations

import os
import plistlib
import stat
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from claude_tasks.doctor.catalog import NAMES, QUICK, check_module, run_checks
from claude_tasks.doctor.checks.claude_binary import AgentFacts, agent_facts
from claude_tasks.doctor.checks.permissions import permission_facts
from claude_tasks.doctor.checks.service import service_facts, unit_environment
from claude_tasks.doctor.finding import Finding, Report, Verdict
from claude_tasks.doctor.folders import data, logs
from claude_tasks.doctor.looking import Look
from claude_tasks.doctor.repairs import apply_repair, plan_repairs
from claude_tasks.doctor.views import report_view
from claude_tasks.domain.errors import SpawnError, StorageError
from claude_tasks.settings import load_settings
from claude_tasks.system.data_folder import DataFolder
from support.waiting import wait_until
from unit.doctor.made import MACHINE, NOW

if TYPE_CHECKING:
    from pathlib import Path

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL


def _gone() -> Any:
    raise StorageError("the disk is gone", hint="look for it")


def _refused() -> Any:
    raise PermissionError(13, "Permission denied", "/data")


def look_at(root: Path) -> Look:
    """What the file system shows; everything else is out of order."""
    readers: dict[str, Any] = {
        "data": data,
        "logs": logs,
        "agent": _gone,
        "disks": _refused,
        "database": _refused,
    }
    values = {
        "at": NOW,
        "machine": MACHINE,
        "settings": load_settings({"CLAUDE_TASKS_DATA": str(root)}),
    }
    return Look(values, readers)


def report(*verdicts: Verdict) -> Report:
    return Report(NOW, "1.0.0", tuple(Finding(f"c{i}", v, "") for i, v in enumerate(verdicts)))


def test_the_catalogue_is_as_promised() -> None:
    assert NAMES == (
        "claude_binary", "usage_credentials", "data_dir", "database", "logs_dir",
        "scheduler_lease", "nodes", "disk_space", "permissions", "clock_and_zone", "tasks", "runs",
        "notifications", "service", "versions", "api_exposure",
    )  # fmt: skip
    assert set(QUICK) < set(NAMES)
    assert all(check_module(name).__doc__ for name in NAMES)


@pytest.mark.parametrize(
    ("verdicts", "plain", "strict"),
    [
        ((PASS,), "Ready", "Ready"),
        ((PASS, WARN), "Ready", "1 warning"),
        ((FAIL, WARN, FAIL), "2 problems, 1 warning", "2 problems, 1 warning"),
        ((FAIL,), "1 problem", "1 problem"),
        ((FAIL, WARN, WARN), "1 problem, 2 warnings", "1 problem, 2 warnings"),
    ],
)
def test_summary(verdicts: tuple[Verdict, ...], plain: str, strict: str) -> None:
    assert report(*verdicts).summary() == plain
    assert report(*verdicts).summary(strict=True) == strict


def test_view_is_plain_json() -> None:
    assert report_view(report(FAIL, WARN)) == {
        "at": "2027-01-15T08:00:00Z",
        "version": "1.0.0",
        "ready": False,
        "problems": 1,
        "warnings": 1,
        "findings": [
            {"id": "c0", "verdict": "FAIL", "detail": "", "fix": None},
            {"id": "c1", "verdict": "WARN", "detail": "", "fix": None},
        ],
    }


def test_a_fact_that_cannot_be_gathered_is_a_finding(tmp_path: Path) -> None:
    heard: list[Finding] = []
    names = ("disk_space", "claude_binary", "data_dir")
    made = run_checks(look_at(tmp_path), names, each=heard.append)
    assert [(finding.id, finding.verdict) for finding in made.findings] == [
        ("claude_binary", FAIL), ("data_dir", PASS), ("disk_space", FAIL),
    ]  # fmt: skip
    assert heard == list(made.findings)
    assert "the disk is gone; look for it" in made.findings[0].detail
    assert "Permission denied" in made.findings[2].detail


def test_repairs_close_what_is_open_and_make_what_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir(mode=0o755)
    (root / "runs").mkdir(mode=0o700)
    (root / "tasks.db").touch(mode=0o644)
    (root / "elsewhere").symlink_to(tmp_path)
    facts = look_at(root)
    planned = plan_repairs(facts, NAMES)
    assert sorted(repair.command for repair in planned) == [
        f"chmod 600 {root}/tasks.db",
        f"chmod 700 {root}",
        f"mkdir -p -m 700 {root}/logs",
    ]
    assert not (root / "logs").exists()
    for repair in planned:
        apply_repair(repair)
    assert plan_repairs(look_at(root), NAMES) == []
    assert stat.S_IMODE((root / "tasks.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "logs").stat().st_mode) == 0o700


def test_repairs_are_those_of_the_checks_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert [r.path for r in plan_repairs(look_at(root), NAMES)] == [str(root), f"{root}/logs"]
    assert plan_repairs(look_at(root), ("permissions", "logs_dir")) == []


def test_a_link_is_never_followed_by_a_repair(tmp_path: Path) -> None:
    root, outside = tmp_path / "data", tmp_path / "outside"
    root.mkdir(mode=0o700)
    outside.touch(mode=0o644)
    (root / "logs").mkdir(mode=0o700)
    file = root / "logs" / "file"
    file.touch(mode=0o644)
    [repair] = plan_repairs(look_at(root), NAMES)
    file.unlink()
    file.symlink_to(outside)
    assert apply_repair(repair).problem == "left alone: it is a link by now"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_a_long_history_is_looked_at_in_part(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "logs").mkdir(mode=0o700)
    for number in range(9):
        (tmp_path / "logs" / str(number)).touch(mode=0o600)
    facts = permission_facts(DataFolder(str(tmp_path)), most=5)
    assert (facts.looked_at, facts.partial, facts.loose) == (5, True, ())


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def asked(path: str, seconds: float = 10) -> AgentFacts:
    return agent_facts(
        lambda: path, from_setting=True, environment_of=lambda _: os.environ, seconds=seconds
    )


def test_an_agent_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    hanging = script(tmp_path / "claude", f"sleep 60 & echo $! > {started}; wait")
    facts = asked(hanging, seconds=1)
    assert facts.does_not_run == "gave no version within 1 s"
    sleeper = int(started.read_text())
    wait_until(lambda: _is_gone(sleeper), what="what it started is killed")


def _is_gone(pid: int) -> bool:
    """Or dead, and not yet looked at by its new parent."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_an_agent_that_fails_is_quoted(tmp_path: Path) -> None:
    facts = asked(script(tmp_path / "claude", "echo broken >&2; exit 3"))
    assert facts.does_not_run == "failed with exit code 3: broken"
    assert asked(script(tmp_path / "quiet", "exit 1")).does_not_run == (
        "failed with exit code 1: it said nothing"
    )
    assert "cannot be started" in str(asked(str(tmp_path)).does_not_run)


def finder(setting: str | None, search_path: str | None) -> str:
    """Finds the agent on /opt/agent only, or where it is told."""
    if setting or "/opt/agent" in (search_path or "").split(":"):
        return setting or "/opt/agent/claude"
    raise SpawnError("the claude binary was not found")


def installed(home: Path, text: str, *, enabled: bool = True, setting: str | None = None) -> Any:
    folder = home / ".config/systemd/user"
    (folder / "default.target.wants").mkdir(parents=True)
    (folder / "claude-tasks.service").write_text(text)
    if enabled:
        link = folder / "default.target.wants/claude-tasks.service"
        link.symlink_to(folder / "claude-tasks.service")
    environment = {"HOME": str(home)}
    nowhere = str(home / "system")
    return service_facts(
        finder, setting, environment=environment, platform="linux", system_folder=nowhere
    )


@pytest.mark.parametrize(
    ("text", "setting", "sees"),
    [
        ("[Service]\nExecStart=claude-tasks daemon\n", None, False),
        ("[Service]\nExecStart=claude-tasks daemon\n", "/from/config/claude", True),
        ('[Service]\nEnvironment="PATH=/opt/agent:/bin" X=1\n', None, True),
        ("[Service]\nEnvironment=CLAUDE_TASKS_CLAUDE_BIN=/x/claude\n", None, True),
    ],
)
def test_a_unit_is_read_as_systemd_reads_it(
    tmp_path: Path, text: str, setting: str | None, *, sees: bool
) -> None:
    facts = installed(tmp_path, text, setting=setting)
    assert facts.kind == "systemd"
    assert facts.enabled
    assert (facts.agent is None) is sees


def test_a_unit_nobody_wants_is_not_enabled(tmp_path: Path) -> None:
    assert not installed(tmp_path, "[Service]\n", enabled=False).enabled


def test_drop_ins_of_a_unit_count(tmp_path: Path) -> None:
    folder = tmp_path / ".config/systemd/user/claude-tasks.service.d"
    folder.mkdir(parents=True)
    (folder / "agent.conf").write_text("[Service]\nEnvironment=PATH=/opt/agent\n")
    assert installed(tmp_path, "[Service]\n").agent is None


def test_an_open_quote_in_a_unit_is_passed_over() -> None:
    assert unit_environment("Environment='A=1\nEnvironment=B=2", "/h") == ({"B": "2"}, None)


def test_a_plist_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "Library/LaunchAgents"
    folder.mkdir(parents=True)
    entries = {"RunAtLoad": True, "EnvironmentVariables": {"PATH": "/opt/agent:/usr/bin"}}
    (folder / "com.claude-tasks.plist").write_bytes(plistlib.dumps(entries))
    home = {"HOME": str(tmp_path)}
    facts = service_facts(finder, None, environment=home, platform="darwin")
    assert (facts.kind, facts.enabled, facts.agent) == ("launchd", True, None)
    (folder / "com.claude-tasks.plist").write_bytes(b"no plist")
    facts = service_facts(finder, None, environment=home, platform="darwin")
    assert (facts.enabled, facts.agent is None) == (False, False)
