"""Whatever lives and does nothing is named, and what is said to help, helps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State
from claude_tasks.execution import claim_signs
from claude_tasks.system.clock import SystemClock
from cli.program import Program
from support.dead_mount import dead_mount
from support.installation import EVERY_SECOND, FAULTY_NODE, TTL, Installation, pause, stopped
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.run import Run

FREEZER = Path("/sys/fs/cgroup/freezer")
SILENT_SECONDS = 2.0
UNRECORDED_SECONDS = 5.0


@pytest.fixture
def program(installation: Installation) -> Program:
    return Program(installation)


def doctor(program: Program, *checks: str) -> dict[str, Any]:
    """The findings of the doctor, which is not ready."""
    done = program("doctor", *checks, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["ready"] else 1)
    return {finding["id"]: finding for finding in said["findings"]}


def type_(fix: str) -> None:
    """As it stands, but for the rights that a test has."""
    subprocess.run(["/bin/sh", "-c", fix.replace("sudo ", "")], check=True, capture_output=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: stopped(process.pid), what="it is stopped")


def test_a_stopped_node_and_what_it_holds_are_named(program: Program) -> None:
    installation = program.installation
    task = installation.add(name="held", prompt="[case:slow seconds=1]", enabled=False)
    server = Server(installation, "--scheduler", "false")
    daemon = installation.start_leader()
    run = installation.operations.runs.start(task.id)
    installation.supervisor_pid(installation.operations.runs.get(run.id))
    installation.stop(daemon)
    folder = installation.data / "runs" / f"{run.id}.1"
    wait_until((folder / "exit.json").exists, what="the run ends")
    pause(max(TTL, UNRECORDED_SECONDS) + 0.5)
    found = doctor(program, "nodes", "runs", "scheduler_lease")
    assert {finding["verdict"] for finding in found.values()} == {"FAIL"}
    assert f"daemon {daemon.pid}" in found["nodes"]["detail"]
    assert "it is stopped" in found["nodes"]["detail"]
    assert f"it holds run {run.id}" in found["nodes"]["detail"]
    assert f"ended, but not recorded: run {run.id}" in found["runs"]["detail"]
    shown = program("status").stdout
    assert "hangs" in shown
    assert f"kill -CONT {daemon.pid}" in shown
    why = program("why", str(task.id)).stdout
    assert "! leader" in why
    assert f"run {run.id} ended" in why
    nodes = {node["pid"]: node for node in server.get("/scheduler")["nodes"]}
    assert [nodes[pid]["hung"] for pid in (daemon.pid, server.process.pid)] == [True, False]
    assert nodes[daemon.pid]["beat_at"] < nodes[server.process.pid]["beat_at"]
    server.close()
    assert found["nodes"]["fix"] == f"kill -CONT {daemon.pid}"
    type_(found["runs"]["fix"])
    installation.wait_for_runs(1, State.COMPLETED)
    wait_until(lambda: doctor(program, "nodes")["nodes"]["verdict"] == "PASS")
    installation.check()


def test_a_clock_that_was_set_makes_no_node_hang_and_hides_none_that_does(
    program: Program, tmp_path: Path
) -> None:
    """As after a suspend, or when the time comes from the network: the beat lies where it lay."""
    installation = program.installation
    offset = tmp_path / "offset"
    offset.write_text("-3600000")
    daemon = installation.start_leader(*FAULTY_NODE, TEST_CLOCK_OFFSET=str(offset))
    found = doctor(program, "nodes", "scheduler_lease")
    assert {finding["verdict"] for finding in found.values()} == {"PASS"}
    assert "hangs" not in program("status").stdout
    assert installation.operations.status.scheduler_lives()
    offset.write_text("3600000")
    [before] = installation.query("SELECT beat_at FROM nodes")
    wait_until(
        lambda: installation.query("SELECT beat_at FROM nodes")[0] > before, what="a beat ahead"
    )
    stop(daemon)
    wait_until(
        lambda: doctor(program, "nodes")["nodes"]["verdict"] != "PASS", what="it missed its beat"
    )
    assert doctor(program, "scheduler_lease")["scheduler_lease"]["verdict"] == "FAIL"
    assert not installation.operations.status.scheduler_lives()
    daemon.send_signal(signal.SIGCONT)


def test_a_clock_set_forward_since_a_cancel_makes_no_run_overdue(
    installation: Installation,
) -> None:
    """It was cancelled an hour ago by the clock, and has not run for so long."""
    task = installation.add(name="slow", prompt="[case:slow seconds=20]", enabled=False)
    installation.start_leader()
    started = installation.operations.runs.start(task.id)
    installation.supervisor_pid(installation.operations.runs.get(started.id))
    run = installation.operations.runs.get(started.id)
    at = SystemClock().now()
    cancelled = run._replace(cancel_requested_at=at - 3_600_000)
    runs = str(installation.data / "runs")
    signs = claim_signs.claim_signs(runs, cancelled, kill_grace=1.0, at=at)
    assert signs.silent_ms is None
    installation.operations.runs.cancel(run.id)
    installation.wait_for_runs(1, State.CANCELLED)


def test_a_process_stopped_in_the_middle_of_a_write_is_named(
    program: Program, tmp_path: Path
) -> None:
    installation = program.installation
    trap = tmp_path / "trap"
    installation.add(name="ticks", cron_expr=EVERY_SECOND)
    daemon = installation.start_leader(*FAULTY_NODE, TEST_STOP_IN_TICK=str(trap))
    installation.wait_for_runs(1, State.COMPLETED)
    trap.touch()
    wait_until(lambda: stopped(daemon.pid), what="it is stopped, with the write lock")
    wait_until(
        lambda: doctor(program, "nodes")["nodes"]["verdict"] == "FAIL", what="it missed its beat"
    )
    finding = doctor(program, "nodes")["nodes"]
    assert f"process {daemon.pid} is in the middle of a write" in finding["detail"]
    assert f"process {daemon.pid}" in program("status").stdout
    done = len(installation.runs(State.COMPLETED))
    type_(finding["fix"])
    installation.wait_for_runs(done + 1, State.COMPLETED)


@pytest.mark.parametrize("how", ["removed", "exchanged"])
def test_a_stopped_node_of_another_database_is_named(program: Program, how: str) -> None:
    installation = program.installation
    installation.add(name="ticks", cron_expr=EVERY_SECOND)
    daemon = installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    stop(daemon)
    installation.operations.close()
    aside = installation.folder / "aside"
    aside.mkdir()
    for path in installation.data.glob("tasks.db*"):
        path.rename(aside / path.name)
    if how == "exchanged":
        shutil.move(installation.data / "logs", aside)
        shutil.move(installation.data / "runs", aside)
        assert program("list").returncode == 0, "a new one, empty"
    found = doctor(program, "nodes", "database", "scheduler_lease")
    assert found["nodes"]["verdict"] == "FAIL"
    assert found["nodes"]["fix"] == f"kill -9 {daemon.pid}"
    assert (
        f"process {daemon.pid} is a node of a database that was removed"
        in (found["nodes"]["detail"])
    )
    if how == "exchanged":
        assert f"process {daemon.pid}" in program("status").stdout
    else:
        assert "is gone" in found["database"]["detail"]
        assert found["database"]["fix"] == f"mv -i {installation.data} {installation.data}.old"
        for command in (["status"], ["list"], ["add", "x", "y", "--now"], ["why", "1"]):
            done = program(*command)
            assert (done.returncode, "is gone" in done.stderr) == (5, True), command
            assert f"mv {installation.data}" in done.stderr
    type_(found["nodes"]["fix"])
    daemon.wait()
    assert "a node of" not in doctor(program, "nodes")["nodes"]["detail"]


def test_ticks_that_nobody_takes_are_named(program: Program) -> None:
    installation = program.installation
    task = installation.add(name="ticks", cron_expr=EVERY_SECOND)
    leader = installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    leader.kill()
    leader.wait()
    wait_until(lambda: doctor(program, "scheduler_lease")["scheduler_lease"]["verdict"] == "FAIL")
    finding = doctor(program, "scheduler_lease")["scheduler_lease"]
    assert "nobody schedules, and a task waits for it" in finding["detail"]
    assert finding["fix"] == "claude-tasks daemon"
    assert "a tick is overdue; start one with: " in program("status").stdout
    assert "waiting for a leader" in program("why", str(task.id)).stdout
    assert program("doctor", "scheduler_lease").stdout.splitlines()[-1] == "1 problem"


@pytest.fixture
def stuck(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A node that does not wait for half a minute before it ends a supervisor."""
    monkeypatch.setattr(claim_signs, "SUPERVISOR_SILENCE_MS", SILENT_SECONDS * 1000)
    installation.start_leader(*FAULTY_NODE, TEST_SILENT_SECONDS=str(SILENT_SECONDS))
    return installation


def why(installation: Installation, run: Run) -> str:
    found = installation.operations.status.why(run.task_id).findings
    return "; ".join(it.text for it in found if it.topic == "running" and it.stands_in_the_way)


def test_a_run_that_kill_does_not_end_is_named(stuck: Installation, tmp_path: Path) -> None:
    with dead_mount(tmp_path / "mount", takes_requests=True) as mount:
        task = stuck.add(name="stuck", enabled=False, timeout_seconds=1)
        stuck.operations.tasks.edit(task.id, {"working_dir": f"{mount.path}/project"})
        run = stuck.operations.runs.start(task.id)
        pid = stuck.supervisor_pid(stuck.operations.runs.get(run.id))
        wait_until(lambda: "was killed" in stuck.log(), what="it is killed, in vain")
        finding = stuck.finding("runs")
        assert finding.verdict == "FAIL"
        assert f"process {pid} waits in the kernel for a disk or a mount" in finding.detail
        assert finding.fix == f"sudo umount -f -l {mount.path}"
        assert f"sudo umount -f -l {mount.path}" in why(stuck, run)
        type_(finding.fix or "")
        [ended] = stuck.wait_for_runs(1, State.FAILED)
        assert ended.reason is Reason.TIMEOUT
    assert stuck.finding("runs").verdict == "PASS"
    stuck.check()


@pytest.mark.skipif(not FREEZER.exists(), reason="needs the freezer of cgroups, version 1")
def test_a_frozen_run_is_named(stuck: Installation) -> None:
    group = FREEZER / f"claude-tasks-test-{os.getpid()}"
    group.mkdir()
    task = stuck.add(name="frozen", enabled=False, prompt="[case:slow seconds=60]")
    run = stuck.operations.runs.start(task.id)
    pid = stuck.supervisor_pid(stuck.operations.runs.get(run.id))
    (group / "cgroup.procs").write_text(str(pid))
    (group / "freezer.state").write_text("FROZEN")
    stuck.operations.runs.cancel(run.id)
    try:
        wait_until(lambda: "was killed" in stuck.log(), what="it is killed, in vain")
        finding = stuck.finding("runs")
        assert finding.verdict == "FAIL"
        assert f"process {pid} is frozen with its container: run {run.id}" in finding.detail
        assert str(finding.fix) in why(stuck, run)
        type_(finding.fix or "")
        [ended] = stuck.wait_for_runs(1, State.CANCELLED)
        assert ended.reason is Reason.CANCELLED
    finally:
        (group / "freezer.state").write_text("THAWED")
        wait_until(lambda: not (group / "cgroup.procs").read_text(), what="it is empty")
        group.rmdir()
    stuck.check()


def said_once(installation: Installation, check: str, *verdicts: str) -> Finding:
    """What a check says as soon as it has one of the verdicts."""
    found: list[Finding] = []

    def is_said() -> bool:
        found.append(installation.finding(check))
        return found[-1].verdict in verdicts

    wait_until(is_said, seconds=40, what=f"{check} says {verdicts}")
    return found[-1]


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_another_program_that_keeps_the_database_locked_is_named_and_no_node_is_to_be_killed(
    installation: Installation,
) -> None:
    node = installation.start_leader()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(installation.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        nodes = said_once(installation, "nodes", "WARN", "FAIL")
        assert f"process {other.pid} is in the middle of a write" in nodes.detail
        assert nodes.fix == f"kill {other.pid}"
        lease = said_once(installation, "scheduler_lease", "FAIL")
        assert f"waits for the database, which process {other.pid} keeps locked" in lease.detail
        assert lease.fix == f"kill {other.pid}"
        assert f"kill -9 {node.pid}" not in lease.detail + nodes.detail
        other.stdin.close()
    said_once(installation, "scheduler_lease", "PASS")
    said_once(installation, "nodes", "PASS")
