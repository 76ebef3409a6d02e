"""Facts, from the file system and the environment as they are."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from claude_tasks.doctor.catalog import check_module, run_checks
from claude_tasks.doctor.checks.claude_binary import AgentFacts, agent_facts
from claude_tasks.doctor.checks.disk_space import disk_facts
from claude_tasks.doctor.checks.permissions import permission_facts
from claude_tasks.doctor.checks.service import service_facts, unit_environment
from claude_tasks.doctor.folders import folder_facts
from claude_tasks.doctor.looking import Look
from claude_tasks.doctor.repairs import Repair, apply_repair
from claude_tasks.domain.errors import SpawnError, UsageUnavailableError
from claude_tasks.domain.node import Role
from claude_tasks.scheduling.lifetime import LifetimeLock, Sign, probe
from claude_tasks.settings import load_settings
from claude_tasks.system.data_folder import DataFolder
from claude_tasks.wiring.doctor import look_around
from support.builders import node
from unit.doctor.made import NOW, NoSigns, database, node_fact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from claude_tasks.doctor.finding import Finding


def no_agent(_setting: str | None, _path: str | None) -> str:
    raise SpawnError("none")


def no_credentials(_environment: Mapping[str, str], _at: int) -> Any:
    raise UsageUnavailableError("no credentials", code="no_credentials")


def gathered(data: Path, environment: Mapping[str, str] | None = None, **values: Any) -> Look:
    """A look at an installation; what would leave this process is out of order."""
    given = {"CLAUDE_TASKS_DATA": str(data), "HOME": str(data), **(environment or {})}
    made = look_around(load_settings(given), given)
    made._values |= {
        "find_agent": no_agent, "agent_environment": given,
        "environment_of": lambda _path: given, "find_node": lambda: None,
        "find_credentials": no_credentials,
        "other_billing": lambda _environment: None, "inspect": None,
        "is_dead": lambda _registered, _node: None, "is_process": lambda _node: False,
        "signs": NoSigns(), "is_loopback": lambda host: host.startswith("127."),
        "monotonic": 0.0, "at": NOW, **values,
    }  # fmt: skip
    return made


def fact(look: Look, check: str, name: str) -> Any:
    """A check's own."""
    return look.value(name, check_module(check))


@pytest.mark.parametrize(
    ("user", "sandbox", "refuses"), [(0, None, True), (0, "1", False), (1000, None, False)]
)
def test_the_agent_refuses_bypass_to_root_outside_a_sandbox(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    sandbox: str | None,
    *,
    refuses: bool,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    environment = {} if sandbox is None else {"IS_SANDBOX": sandbox}
    assert gathered(tmp_path, environment).value("machine").refuses_bypass is refuses


def test_a_network_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_tasks.system.data_folder.file_system_of", lambda _path: "nfs4")
    network = gathered(tmp_path).value("database").network
    assert network is not None
    assert "network file system (nfs4)" in network.message


def test_room_is_what_this_user_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs(tmp_path))
    values[1:8] = [4096, 1000, 500, 100, 900, 800, 7]  # sizes; blocks, free, ours; entries
    monkeypatch.setattr("os.statvfs", lambda _path: os.statvfs_result(values))
    [disk] = disk_facts(str(tmp_path), str(tmp_path / "logs"))
    assert (disk.free_bytes, disk.free_entries) == (100 * 4096, 7)
    values[5:8] = [0, 0, 0]
    assert disk_facts(str(tmp_path))[0].free_entries is None


def test_logs_elsewhere_count_as_a_disk(tmp_path: Path) -> None:
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    (tmp_path / "logs").symlink_to("/dev/shm")
    disks = disk_facts(str(tmp_path), str(tmp_path / "logs"))
    assert [disk.path for disk in disks] == [str(tmp_path), str(tmp_path / "logs")]


def test_tz_and_zone_data_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = ("Europe/Berlin", ":America/New_York", "UTC", "/usr/share/zoneinfo/Europe/Berlin", "")
    for variable in known:
        zone = fact(gathered(tmp_path, {"TZ": variable}), "clock_and_zone", "zone")
        assert (variable, zone.variable_known, zone.data) == (variable, True, None)
    for variable in ("Mars", "/etc/passwd", "/etc/localtime", "Europe/../../passwd"):
        assert not fact(
            gathered(tmp_path, {"TZ": variable}), "clock_and_zone", "zone"
        ).variable_known, variable
    monkeypatch.setattr("claude_tasks.doctor.checks.clock_and_zone._ANY_ZONE", "No/Where")
    assert fact(gathered(tmp_path), "clock_and_zone", "zone").data is not None


def test_credentials_that_may_not_be_read_are_not_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fact(gathered(tmp_path), "usage_credentials", "credentials").unreadable is None
    path = tmp_path / ".claude" / ".credentials.json"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr("os.access", lambda name, _mode: str(name) != str(path))
    facts = gathered(tmp_path)
    assert fact(facts, "usage_credentials", "credentials").unreadable == str(path)
    [finding] = run_checks(facts, ("usage_credentials",)).findings
    assert "is there, and cannot be read" in finding.detail


def test_findings_are_told_as_they_are_made(tmp_path: Path) -> None:
    heard: list[Finding] = []

    def find(_setting: str | None, _path: str | None) -> str:
        told_before.append(len(heard))
        raise SpawnError("none")

    told_before: list[int] = []
    facts = gathered(tmp_path, find_agent=find)
    run_checks(facts, ("claude_binary", "data_dir"), each=heard.append)
    assert told_before[0] == 0
    assert [finding.id for finding in heard] == ["claude_binary", "data_dir"]

    def late_logs() -> Any:
        assert [finding.id for finding in heard[2:]] == ["data_dir"]
        return folder_facts(str(tmp_path))

    late = Look(facts._values, {**facts._readers, "logs": late_logs})
    report = run_checks(late, ("data_dir", "logs_dir"), each=heard.append)
    assert report.ready, report


def test_whatever_a_check_trips_over_is_its_finding(tmp_path: Path) -> None:
    def find(_setting: str | None, _path: str | None) -> str:
        raise KeyError("odd")

    report = run_checks(gathered(tmp_path, find_agent=find), ("claude_binary", "data_dir"))
    assert [finding.verdict for finding in report.findings] == ["FAIL", "PASS"]
    assert "KeyError: 'odd'" in report.findings[0].detail


def test_what_is_not_ours_is_left_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "bin").mkdir(mode=0o755)
    (tmp_path / "bin" / "tool").touch(mode=0o755)
    (tmp_path / "notes.txt").touch(mode=0o644)
    (tmp_path / "auth_token").touch(mode=0o640)
    (tmp_path / "tasks.db-wal").touch(mode=0o644)
    found = permission_facts(DataFolder(str(tmp_path))).loose
    assert {(entry.path, entry.holds_secrets) for entry in found} == {
        (f"{tmp_path}/auth_token", True), (f"{tmp_path}/tasks.db-wal", False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("lease_ttl = 9\n", False),
        ('auth_token = "x"\n', True),
        ('  slack_webhook="x"\n', True),
        ('# auth_token = "x"\n', False),
    ],
)
def test_settings_that_open_something_are_secrets(
    tmp_path: Path, text: str, *, secret: bool
) -> None:
    tmp_path.chmod(0o700)
    config = tmp_path / "config.toml"
    config.write_text(text)
    config.chmod(0o644)
    [loose] = permission_facts(DataFolder(str(tmp_path))).loose
    assert loose.holds_secrets is secret


def test_a_file_in_the_data_folders_place_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch(mode=0o755)
    assert permission_facts(DataFolder(str(file))).looked_at == 0


def test_a_data_folder_that_is_a_link_is_closed_where_it_is(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "data"
    target.mkdir(mode=0o755)
    link.symlink_to(target)
    [loose] = permission_facts(DataFolder(str(link))).loose
    assert apply_repair(Repair(loose.path, loose.wanted, makes_folder=False)).problem is None
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert permission_facts(DataFolder(str(link))).loose == ()


def test_logs_that_are_elsewhere_are_judged_and_not_mended(tmp_path: Path) -> None:
    data, logs = tmp_path / "data", tmp_path / "logs"
    data.mkdir(mode=0o700)
    logs.mkdir()
    logs.chmod(0o777)
    (data / "logs").symlink_to(logs)
    [loose] = permission_facts(DataFolder(str(data))).loose
    assert (loose.path, loose.mode, loose.outside) == (str(logs), 0o777, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_entries_of_others_are_told_and_their_database_judged(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for name in ("tasks.db", "config.toml"):
        (tmp_path / name).touch(mode=0o600)
        os.chown(tmp_path / name, 65534, 65534)
    (tmp_path / "tasks.db").chmod(0o666)
    facts = permission_facts(DataFolder(str(tmp_path)))
    assert set(facts.foreign) == {f"{tmp_path}/tasks.db", f"{tmp_path}/config.toml"}
    assert [(entry.path, entry.outside) for entry in facts.loose] == [
        (f"{tmp_path}/tasks.db", True)
    ]


def test_a_repair_of_what_is_gone_says_so(tmp_path: Path) -> None:
    outcome = apply_repair(Repair(f"{tmp_path}/gone", 0o600, makes_folder=False))
    assert outcome == (f"chmod 600 {tmp_path}/gone", "gone by now: runs come and go")


def test_a_link_that_leads_nowhere_is_told_from_nothing(tmp_path: Path) -> None:
    assert not folder_facts(str(tmp_path / "none")).leads_nowhere
    (tmp_path / "link").symlink_to(tmp_path / "none")
    assert folder_facts(str(tmp_path / "link")).leads_nowhere
    (tmp_path / "file").touch()
    below = folder_facts(str(tmp_path / "file" / "data"))
    assert (below.exists, below.base_is_folder) == (False, False)


def agent(tmp_path: Path, text: str, environment: Mapping[str, str]) -> AgentFacts:
    path = tmp_path / "claude"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return agent_facts(
        lambda: str(path), from_setting=True, environment_of=lambda _: environment, seconds=9
    )


def test_an_agent_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    facts = agent(tmp_path, "exec yes", dict(os.environ))
    assert facts.does_not_run == "said more than 64 KiB to --version"


def test_the_agent_gets_its_own_environment(tmp_path: Path) -> None:
    assert agent(tmp_path, 'echo "$OF_MINE"', {"OF_MINE": "2.1.7"}).says == "2.1.7"


@pytest.mark.parametrize(
    ("text", "needs_node"),
    [
        ("#!/usr/bin/env node", True),
        ("#!/bin/sh\nexec node cli.js", True),
        ("#!/bin/bash\nnode cli.js", True),
        ("#!/bin/sh\nexec somebody-elses-program", False),
        ("#!/bin/sh\necho node is old; exit 1", False),
    ],
)
def test_an_agent_that_finds_no_node_is_told_from_one_that_fails(
    tmp_path: Path, text: str, *, needs_node: bool
) -> None:
    path = tmp_path / "claude"
    path.write_text(text + "\n")
    path.chmod(0o755)
    (tmp_path / "env").symlink_to("/usr/bin/env")
    facts = agent_facts(
        lambda: str(path),
        from_setting=False,
        environment_of=lambda _: {"PATH": str(tmp_path)},
        find_node=lambda: "/somewhere/node",
    )
    assert facts.does_not_run is not None
    assert facts.needs_node is needs_node, facts
    assert facts.node == ("/somewhere/node" if needs_node else None)


def test_a_lock_is_looked_at_by_reading_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is mounted read-only, or as another user who may read."""
    real = os.open

    def only_reading(path: str, flags: int, mode: int = 0o600) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    lock = LifetimeLock(str(tmp_path), "node")
    lock.acquire()
    monkeypatch.setattr("os.open", only_reading)
    assert probe(str(tmp_path), "node") is Sign.ALIVE
    lock.release(tidy=False)
    assert probe(str(tmp_path), "node") is Sign.DEAD

    def refused(path: str, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.open", refused)
    assert probe(str(tmp_path), "node") is Sign.UNKNOWN


def test_living_nodes_that_are_open_are_told(tmp_path: Path) -> None:
    facts = gathered(tmp_path)
    far: dict[str, Any] = {"role": Role.SERVE, "listens": "http://0.0.0.0:80", "open": True}
    facts._values["database"] = database(
        nodes=(
            node_fact("a", **far),
            node_fact("b", **{**far, "open": False}),
            node_fact("c", **{**far, "listens": "http://127.0.0.1:80"}),
            node_fact("d", alive=False, **far),
            node_fact("e"),
        )
    )
    exposure = fact(facts, "api_exposure", "exposure")
    assert exposure.open_to == (node("a", **far),)
    assert exposure.asking == (node("b", **{**far, "open": False}),)


@pytest.mark.parametrize(
    ("environment", "file", "fix"),
    [
        ({}, "auth_token", "claude-tasks token new --replace"),
        ({}, "read_token", "claude-tasks token new --read-only --replace"),
        ({"CLAUDE_TASKS_AUTH_TOKEN": "short"}, None, "unset CLAUDE_TASKS_AUTH_TOKEN"),
        ({"CLAUDE_TASKS_READ_TOKEN": "short"}, None, "unset CLAUDE_TASKS_READ_TOKEN"),
    ],
)
def test_a_token_that_cannot_be_used_is_replaced_where_it_is(
    tmp_path: Path, environment: dict[str, str], file: str | None, fix: str
) -> None:
    if file is not None:
        (tmp_path / file).write_text("short")
        (tmp_path / file).chmod(0o600)
    exposure = fact(gathered(tmp_path, environment), "api_exposure", "exposure")
    assert exposure.trouble is not None
    assert exposure.fix == fix


def finds_on_opt(setting: str | None, path: str | None) -> str:
    if setting or "/opt/agent" in (path or ""):
        return setting or "/opt/agent/claude"
    raise SpawnError("not found")


def unit(home: Path, name: str, text: str) -> Path:
    folder = home / ".config/systemd/user"
    (folder / "default.target.wants").mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / "default.target.wants" / name).symlink_to(folder / name)
    return folder / name


def service(home: Path, linger: Path | None = None) -> Any:
    return service_facts(
        finds_on_opt,
        None,
        environment={"HOME": str(home)},
        platform="linux",
        system_folder=str(home / "system"),
        linger_folder=str(linger or home / "no-logind"),
    )


def test_a_unit_beside_ours_is_not_taken_for_it(tmp_path: Path) -> None:
    unit(tmp_path, "claude-tasks-backup.service", "[Service]\nExecStart=/bin/tar c claude-tasks\n")
    assert service(tmp_path).kind is None
    ours = unit(tmp_path, "my-claude-tasks.service", "[Service]\nExecStart=claude-tasks daemon\n")
    assert service(tmp_path).path == str(ours)


def test_a_masked_unit_is_told(tmp_path: Path) -> None:
    path = unit(tmp_path, "claude-tasks.service", "")
    path.unlink()
    path.symlink_to("/dev/null")
    assert service(tmp_path).masked


def test_a_users_unit_starts_with_the_machine_only_where_it_lingers(tmp_path: Path) -> None:
    import pwd  # noqa: PLC0415 (of one test)

    unit(tmp_path, "claude-tasks.service", "[Service]\n")
    assert service(tmp_path).lingers is None
    linger = tmp_path / "linger"
    linger.mkdir()
    assert service(tmp_path, linger).lingers is False
    (linger / pwd.getpwuid(os.geteuid()).pw_name).touch()
    assert service(tmp_path, linger).lingers is True


def test_a_units_variables_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# no\nPATH=/from/file\nB='2 3'\n")
    text = (
        f"Environment=PATH=%h/bin:100%% \\\n  A=1\nEnvironmentFile=%h/env\n"
        f"EnvironmentFile=-{tmp_path}/none\n"
    )
    variables, unread = unit_environment(text, str(tmp_path))
    assert variables == {"PATH": "/from/file", "A": "1", "B": "2 3"}
    assert unread is None
    variables, unread = unit_environment("Environment=P=%h/100%%\nEnvironmentFile=/none", "/h")
    assert (variables, unread) == ({"P": "/h/100%"}, "/none")


def test_a_process_is_the_node_that_began_with_it_here(tmp_path: Path) -> None:
    """A number is given to others in time."""
    look = look_around(load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)}), {})
    is_process = look.value("is_process")
    here, began = os.uname().nodename, int(psutil.Process().create_time() * 1000)
    ours: dict[str, Any] = {"pid": os.getpid(), "host": here, "started_at": began + 500}
    assert is_process(node(**ours))
    assert not is_process(node(**{**ours, "host": "elsewhere"}))
    assert not is_process(node(**{**ours, "started_at": began - 60_000})), "the number was reused"
    assert not is_process(node(**{**ours, "started_at": began + 600_000})), "another container's"
    assert not is_process(node(**{**ours, "pid": 2**30}))
