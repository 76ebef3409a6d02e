"""``doctor`` as a real process: verdicts, hints and exit codes; and never a trace."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.doctor.catalog import QUICK
from support.waiting import wait_until
from unit.doctor.made import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.program import Program
    from support.inbox import Inbox


def doctor(program: Program, *argv: str, code: int = 0) -> dict[str, Any]:
    """What it says with ``--json``: the findings by id, and the rest."""
    done = program("doctor", *argv, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    said["findings"] = {finding["id"]: finding for finding in said["findings"]}
    return said


def verdicts(said: dict[str, Any]) -> dict[str, str]:
    """All but what passed."""
    found = {name: finding["verdict"] for name, finding in said["findings"].items()}
    return {name: verdict for name, verdict in found.items() if verdict != "PASS"}


def test_a_healthy_installation_is_ready(program: Program) -> None:
    installation = program.installation
    daemon = installation.start_leader()
    said = doctor(program)
    assert verdicts(said).items() <= {"service": "WARN", "disk_space": "WARN"}.items()
    assert said["ready"]
    findings = said["findings"]
    assert findings["claude_binary"]["detail"].endswith("2.1.330")
    assert f"daemon {daemon.pid} on " in findings["scheduler_lease"]["detail"]
    done = program("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("PASS  claude_binary ")
    assert lines[-1] == "Ready"


def test_strict_counts_warnings(program: Program) -> None:
    assert doctor(program, "scheduler_lease")["findings"]["scheduler_lease"]["verdict"] == "WARN"
    said = doctor(program, "scheduler_lease", "--strict", code=1)
    assert said["ready"]
    assert said["summary"] == "1 warning"
    done = program("doctor", "--strict", "scheduler_lease")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1 warning"
    assert "fix: claude-tasks daemon" in done.stdout


def test_only_the_checks_asked_for_run(program: Program) -> None:
    said = doctor(program, "logs_dir", "data_dir")
    assert list(said["findings"]) == ["data_dir", "logs_dir"]
    assert not program.installation.starts.exists()  # the agent was not asked


def test_an_unknown_check_lists_the_catalogue(program: Program) -> None:
    done = program("doctor", "data-dri")
    assert done.returncode == 2
    assert "there is no check data-dri" in done.stderr
    assert "did you mean data_dir?" in done.stderr
    assert "usage_credentials" in done.stderr
    assert done.stdout == ""


def test_missing_credentials_fail_with_the_way_in(program: Program) -> None:
    home = program.installation.folder
    program.environment.update(CLAUDE_TASKS_DISABLE_USAGE_CHECK="0", HOME=str(home))
    for variable in ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"):
        program.environment.pop(variable, None)
    finding = doctor(program, "usage_credentials", code=1)["findings"]["usage_credentials"]
    assert finding["verdict"] == "FAIL"
    assert "no credentials" in finding["detail"]
    assert finding["fix"] == "claude /login"
    place = home / ".claude" / ".credentials.json"
    place.parent.mkdir()
    place.write_text('{"claudeAiOauth": {"accessToken": "secret-token", "expiresAt": 1000}}')
    finding = doctor(program, "usage_credentials", code=1)["findings"]["usage_credentials"]
    assert "expired" in finding["detail"]
    place.write_text('{"claudeAiOauth": {"accessToken": "secret-token"}}')
    finding = doctor(program, "usage_credentials")["findings"]["usage_credentials"]
    assert finding["verdict"] == "PASS"
    assert "secret-token" not in json.dumps(finding)
    assert doctor(program, "usage_credentials")["ready"]


def test_a_missing_binary_fails_with_what_to_set(program: Program) -> None:
    program.installation.agent.unlink()
    done = program("doctor")
    assert done.returncode == 1
    assert "FAIL  claude_binary" in done.stdout
    assert "does not exist" in done.stdout
    assert "fix: unset CLAUDE_TASKS_CLAUDE_BIN && npm install -g" in done.stdout
    elsewhere = program.installation.folder / "path" / "claude"
    elsewhere.write_text("#!/bin/sh\n")
    elsewhere.chmod(0o755)
    done = program("doctor", "claude_binary")
    assert f"fix: export CLAUDE_TASKS_CLAUDE_BIN={elsewhere}\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 problem")
    done = program("doctor")
    assert done.stdout.splitlines()[-1].startswith("1 problem")


def test_an_agent_without_its_node_passes_once_the_fix_is_typed(program: Program) -> None:
    """As under a service: installed by npm, with node where a version manager put it."""
    folder = program.installation.folder
    for name, text in (
        ("claude", "#!/usr/bin/env node"),
        ("it's home/.nvm/versions/node/v9.11.2/bin/node", "#!/bin/sh\necho too old; exit 1"),
        ("it's home/.nvm/versions/node/v22.10.0/bin/node", "#!/bin/sh\necho 2.1.330"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o755)
    program.environment |= {"PATH": str(folder / "path"), "HOME": str(folder / "it's home")}
    found = doctor(program, "claude_binary", code=1)["findings"]["claude_binary"]
    assert "exit code 127" in found["detail"]
    fix = found["fix"]
    assert "v22.10.0" in fix
    again = program.shell("/bin/sh", "-c", f"{fix} && claude-tasks doctor claude_binary")
    assert again.startswith("PASS  claude_binary")


def test_status_tells_what_the_quick_checks_complain_of(program: Program) -> None:
    task = program.installation.add(name="homeless", cron_expr="@daily")
    told = program.json("status")["doctor"]
    assert [finding["id"] for finding in told["findings"]] == list(QUICK)
    assert told["ready"]
    assert " doctor " not in program("status").stdout
    program.installation.operations.tasks.edit(task.id, {"working_dir": "/nowhere"})
    told = program.json("status")["doctor"]
    assert [told["ready"], told["problems"]] == [False, 1]
    shown = program("status").stdout
    assert 'FAIL tasks: 1 of 1 enabled cannot run: 1 "homeless"' in shown
    assert "fix: claude-tasks edit 1 --dir " in shown
    assert not program.installation.starts.exists()  # nobody was asked


def test_messages_given_up_warn(program: Program, inbox: Inbox) -> None:
    inbox.status = 404
    program.installation.add(
        prompt="[case:api_error status=400]", scheduled_at=0, slack_webhook=inbox.url("/hook")
    )
    program.installation.start_leader()

    def finding() -> Any:
        return doctor(program, "notifications")["findings"]["notifications"]

    wait_until(lambda: finding()["verdict"] == "WARN", what="the message was given up")
    assert "1 given up in the last day, the newest to slack, of task 1: " in finding()["detail"]
    assert finding()["fix"] == "claude-tasks notify"
    inbox.status = 204
    program.installation.add(
        prompt="[case:api_error status=400]", scheduled_at=0, slack_webhook=inbox.url("/hook")
    )
    wait_until(lambda: finding()["verdict"] == "PASS", what="the channel works again")


def test_a_damaged_database_fails_and_stays_as_it_is(program: Program) -> None:
    installation = program.installation
    installation.operations.close()
    installation.database.write_bytes(b"this was a database once " * 1000)
    before = files(installation.data)
    said = doctor(program, code=1)
    assert said["findings"]["database"]["verdict"] == "FAIL"
    database = installation.database
    assert said["findings"]["database"]["fix"] == f"mv -i {database} {database}.damaged"
    assert said["problems"] == 1  # what could not be looked at warns
    assert said["findings"]["tasks"]["detail"].startswith("not looked at")
    assert files(installation.data) == before


def test_no_folder_is_none_yet_and_none_is_made(program: Program) -> None:
    program.installation.forget_data()
    done = program("doctor")
    assert done.returncode == 0
    assert done.stdout.count("none yet") >= 6
    assert done.stdout.splitlines()[-1] == "Ready"
    assert not program.installation.data.exists()


def test_beside_a_living_daemon_not_one_byte_changes(program: Program) -> None:
    """The daemon is stopped meanwhile: whatever changed would be doctor's doing."""
    installation = program.installation
    installation.add(name="nightly", cron_expr="0 2 * * *")
    daemon = installation.start_leader()
    installation.stop(daemon)
    before = files(installation.data)
    said = doctor(program, *_all_but("scheduler_lease"))
    lease = json.loads(program("doctor", "scheduler_lease", "--json").stdout)["findings"][0]
    assert files(installation.data) == before
    assert said["findings"]["tasks"]["detail"] == "1 enabled"
    assert f"daemon {daemon.pid}" in lease["detail"]
    assert "that node lives" in lease["detail"]
    daemon.send_signal(signal.SIGCONT)


def test_a_hung_leader_is_stale_and_a_dead_one_too(program: Program) -> None:
    daemon = program.installation.start_leader()
    program.installation.stop(daemon)
    wait_until(lambda: _lease(program)["verdict"] == "FAIL", what="the lease is stale")
    assert _lease(program)["fix"] == f"kill -CONT {daemon.pid}"
    assert f"kill -9 {daemon.pid} ends it instead" in _lease(program)["detail"]
    daemon.kill()
    daemon.wait()
    assert _lease(program)["verdict"] == "WARN"
    assert "that node is dead, and nobody schedules" in _lease(program)["detail"]


def test_a_run_that_nobody_watches_is_named(program: Program) -> None:
    installation = program.installation
    task = installation.add(name="long", prompt="[case:slow seconds=60]", scheduled_at=0)
    installation.start_leader()
    wait_until(
        lambda: installation.query("SELECT 1 FROM task_runs WHERE state = 'running'"),
        what="it runs",
    )
    assert doctor(program, "runs")["findings"]["runs"]["detail"] == "1 running, all watched"
    installation.processes[0].kill()
    installation.processes[0].wait()
    finding = doctor(program, "runs")["findings"]["runs"]
    assert finding["verdict"] == "WARN"
    assert f'"{task.name}"' in finding["detail"]
    assert finding["fix"] == "claude-tasks daemon"


def test_a_task_without_its_folder_fails(program: Program) -> None:
    task = program.installation.add(name="lost home", cron_expr="0 2 * * *")
    edited = program("edit", str(task.id), "--dir", str(program.installation.folder))
    assert edited.returncode == 0, edited.stderr
    gone = program.installation.folder / "gone"
    gone.mkdir()
    assert program("edit", str(task.id), "--dir", str(gone)).returncode == 0
    gone.rmdir()
    finding = doctor(program, "tasks", code=1)["findings"]["tasks"]
    assert str(gone) in finding["detail"]
    assert finding["fix"] == f"claude-tasks edit {task.id} --dir <FOLDER>"


def test_settings_that_would_be_open_warn_until_there_is_a_token(program: Program) -> None:
    program.environment["CLAUDE_TASKS_HOST"] = "0.0.0.0"
    finding = doctor(program, "api_exposure")["findings"]["api_exposure"]
    assert finding["verdict"] == "WARN"  # serve refuses by itself
    assert finding["fix"] == "claude-tasks token new"
    token = program("token", "new").stdout.strip()
    said = doctor(program, "api_exposure")
    assert said["findings"]["api_exposure"]["verdict"] == "PASS"
    assert token not in json.dumps(said)


def test_fix_asks_a_terminal_or_takes_yes(program: Program) -> None:
    data = program.installation.data
    data.chmod(0o755)
    shutil.rmtree(data / "logs")
    done = program("doctor", "--fix", stdin="y\n")
    assert done.returncode == 2
    assert "claude-tasks doctor --fix --yes" in done.stderr
    assert program("doctor", "--yes").returncode == 2
    assert stat.S_IMODE(data.stat().st_mode) == 0o755
    said = doctor(program, "permissions", "logs_dir", "--fix", "--yes")
    assert said["repaired"] == [f"mkdir -p -m 700 {data}/logs", f"chmod 700 {data}"]
    assert verdicts(said) == {}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "logs").stat().st_mode) == 0o700
    assert doctor(program, "permissions", "--fix", "--yes")["repaired"] == []


@pytest.mark.parametrize(("answer", "mode"), [("n", 0o755), ("", 0o755), ("y", 0o700)])
def test_fix_on_a_terminal_does_what_is_answered(program: Program, answer: str, mode: int) -> None:
    data = program.installation.data
    data.chmod(0o755)
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "claude_tasks", "doctor", "permissions", "--fix"],
            env=program.environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert f"would do: chmod 700 {data}" in done.stderr
    assert "Do this? [y/N]" in done.stderr
    assert stat.S_IMODE(data.stat().st_mode) == mode
    assert done.stdout.splitlines()[-1] == "Ready"  # open for reading only: a warning


@pytest.fixture
def readable(program: Program) -> Iterator[Program]:
    """An installation that may be read, and not be written."""
    data = program.installation.data
    paths = (data, *data.rglob("*"))
    folders = {path for path in paths if path.is_dir()}
    for path in paths:
        path.chmod(0o555 if path in folders else 0o444)
    yield program
    for path in paths:  # so that it can be removed
        path.chmod(0o700 if path in folders else 0o600)


def unprivileged(program: Program, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user who is refused what modes refuse.

    Root is refused nothing, by two capabilities. They are dropped in the child rather than its
    user changed: another user might reach neither the interpreter nor this checkout.
    """
    try:
        return subprocess.run(
            [sys.executable, "-B", "-m", "claude_tasks", *argv],
            env=program.environment,
            cwd="/",
            preexec_fn=_obey_modes,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.SubprocessError as error:
        pytest.skip(f"root cannot drop its capabilities here: {error}")


_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_PR_CAPBSET_DROP = 24


def _obey_modes() -> None:
    """What the bounding set lacks, an exec does not give (capabilities(7))."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def test_an_unwritable_data_folder_fails_with_what_allows_it(readable: Program) -> None:
    data = readable.installation.data
    before = files(data)
    done = unprivileged(readable, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    found = {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}
    for check in ("data_dir", "database", "logs_dir"):
        assert found[check]["verdict"] == "FAIL", found[check]
        assert "cannot be written by this user" in found[check]["detail"]
        assert str(data) in found[check]["fix"]
    assert files(data) == before


def test_a_folder_that_cannot_be_entered_is_no_traceback(readable: Program) -> None:
    readable.installation.data.chmod(0o000)
    done = unprivileged(readable, "doctor", "database", "data_dir")
    assert done.returncode == 1
    assert "FAIL  data_dir" in done.stdout
    assert "FAIL  database" in done.stdout
    assert "cannot be entered by this user" in done.stdout
    assert done.stderr == ""


def test_it_loads_little(program: Program) -> None:
    """The agent's version apart: that starts a process, and looks along PATH."""
    program.installation.add(name="a", scheduled_at=4_000_000_000_000)
    done = program("doctor", *_all_but("claude_binary"), python=("-X", "importtime"))
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "claude_tasks.doctor.catalog" in imported
    heavy = {
        "asyncio", "cronsim", "dataclasses", "inspect", "logging", "msgspec", "starlette",
        "psutil", "socket", "uuid",
    }  # fmt: skip
    assert not imported & heavy


def _all_but(name: str) -> tuple[str, ...]:
    from claude_tasks.doctor.catalog import NAMES  # noqa: PLC0415

    return tuple(check for check in NAMES if check != name)


def _lease(program: Program) -> dict[str, Any]:
    done = program("doctor", "scheduler_lease", "--json")
    finding: dict[str, Any] = json.loads(done.stdout)["findings"][0]
    return finding
