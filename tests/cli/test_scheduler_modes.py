"""Who schedules: every mode alone, beside every other, and when leadership moves. Real processes.

The first line on standard output is the mode and who leads, before anything else.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import State
from cli.program import ended
from support.installation import EVERY_SECOND
from support.profile import some
from support.terminal import TerminalSession
from support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from cli.program import Program
    from support.installation import Installation

HOST = socket.gethostname()

MODES: dict[str, tuple[str, ...]] = {
    "daemon": ("daemon",),
    "daemon off": ("daemon", "--scheduler=False"),
    "serve": ("serve", "--port=0", "--scheduler=TRUE"),
    "serve off": ("serve", "--port=0", "--scheduler=false"),
    "tui auto": ("tui",),
    "tui on": ("--scheduler=on",),
    "tui off": ("tui", "--scheduler", "OFF"),
}
SCHEDULING = [name for name in MODES if not name.endswith("off")]
OFF = [name for name in MODES if name.endswith("off")]


class Started:
    """A daemon or server in one of the modes, as far as its first line."""

    def __init__(self, program: Program, mode: str) -> None:
        self.mode = mode
        self.role = mode.partition(" ")[0]
        self.process = program.open(*MODES[mode])
        self.installation = program.installation

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def who(self) -> str:
        return f"{self.role} pid {self.pid} on {HOST}"

    def line(self) -> str:
        """The next line on standard output; waits for it."""
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline().rstrip("\n")).startswith("Listening on "):
            pass
        return line

    def stop(self, *signals: signal.Signals) -> tuple[str, str]:
        """SIGTERM, or these; it ends well. Both outputs, as far as they were not read."""
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        code, out, err = ended(self.process)
        assert code == 0, err
        return out, err

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class StartedUi(Started):
    """The terminal UI in one of its modes, on a terminal of its own."""

    def __init__(self, program: Program, mode: str) -> None:
        self.mode = mode
        self.role = "tui"
        self.word = mode.partition(" ")[2]
        self.installation = program.installation
        argv = [sys.executable, "-m", "claude_tasks", *MODES[mode]]
        self.session = TerminalSession(argv, program.environment, str(self.installation.folder))
        program.sessions.append(self.session)
        self.session.wait_for(f"TUI scheduler mode: {self.word}")

    @property
    def pid(self) -> int:
        return self.session.pid

    def stands(self, leader: Started | None) -> None:
        """Waits until its head says so."""
        if leader is self:
            standing = "leader"
        elif leader is None:
            standing = "no leader"
        else:
            follows = "leader is" if self.word == "off" else "follower of"
            standing = f"{follows} {leader.role} pid {leader.pid}"
        self.session.wait_for(f"{self.word}: {standing}")

    def stop(self, *signals: signal.Signals) -> tuple[str, str]:
        for number in signals or (signal.SIGTERM,):
            os.kill(self.pid, number)
        shown = self.session.all()
        assert self.session.exit_code == 0, shown
        return shown, self._log()

    def kill(self) -> None:
        self.session.close()

    def _log(self) -> str:
        return (self.installation.data / "tui.log").read_text()


def start(program: Program, mode: str) -> Started:
    return StartedUi(program, mode) if mode.startswith("tui") else Started(program, mode)


def _stands(one: Started, leader: Started | None) -> None:
    """It says, first of all or next, that ``leader`` leads."""
    if isinstance(one, StartedUi):
        one.stands(leader)
    else:
        assert one.line() == _line(one, leader)


def _line(one: Started, leader: Started | None) -> str:
    """What a daemon or a server says of itself while ``leader`` leads."""
    leads = leader is one
    name = one.role.title()
    if one.mode.endswith("off"):
        return f"{name} scheduler: disabled"
    other = "" if leads or leader is None else f", leader is {leader.who}"
    return f"{name} scheduler: enabled (leader={str(leads).lower()}){other}"


def _lease_entries(installation: Installation) -> int:
    [(count,)] = installation.query("SELECT COUNT(*) FROM changes WHERE topic = 'lease'")
    return int(count)


def _lease(installation: Installation) -> Any:
    [row] = installation.query(
        "SELECT holder, epoch, renew_seq, acquired_at, renewed_at FROM scheduler_leases"
    )
    return row


@pytest.mark.parametrize("mode", some(MODES, quick=3))
def test_a_mode_alone(program: Program, mode: str) -> None:
    one = start(program, mode)
    leader = one if mode in SCHEDULING else None
    _stands(one, leader)
    assert program.installation.leader_pid() == (one.pid if leader else None)
    out, err = one.stop()
    if isinstance(one, StartedUi):
        assert f"TUI scheduler mode: {one.word}{' (leader)' if leader else ''}\r\n" in out
    else:
        assert "scheduler" not in out, "nothing changed, so nothing more is said"
    assert err.count("leadership gained: epoch 1 (free)") == (1 if leader else 0)
    assert err.count("leadership lost") == (1 if leader else 0)
    assert program.installation.leader_pid() is None
    assert program.installation.query("SELECT id FROM nodes") == []


@pytest.mark.parametrize("first", some(SCHEDULING, quick=1))
def test_every_mode_beside_one_that_leads(program: Program, first: str) -> None:
    leader = start(program, first)
    _stands(leader, leader)
    others = [start(program, mode) for mode in MODES]
    for other in others:
        _stands(other, leader)
    wait_until(lambda: len(program.installation.operations.status.living_nodes()) == 8)
    assert program.installation.leader_pid() == leader.pid
    assert program.installation.epoch() == 1
    for other in others:
        _, err = other.stop()
        assert isinstance(other, StartedUi) or "leadership gained" not in err
    leader.stop()


def test_every_mode_beside_all_that_do_not_schedule(program: Program) -> None:
    bystanders = [start(program, mode) for mode in OFF]
    for one in bystanders:
        _stands(one, None)
    for epoch, mode in enumerate(SCHEDULING, start=1):
        one = start(program, mode)
        _stands(one, one)
        assert (program.installation.leader_pid(), program.installation.epoch()) == (one.pid, epoch)
        one.stop()
    for mode in OFF:
        one = start(program, mode)
        _stands(one, None)
        one.stop()
    assert program.installation.epoch() == len(SCHEDULING)
    for one in bystanders:
        one.stop()


def test_auto_follows_a_daemon_and_takes_over_when_it_is_killed(program: Program) -> None:
    daemon = start(program, "daemon")
    _stands(daemon, daemon)
    tui = start(program, "tui auto")
    _stands(tui, daemon)
    daemon.kill()
    _stands(tui, tui)
    assert program.installation.leader_pid() == tui.pid

    later = start(program, "daemon")
    _stands(later, tui)
    _, err = tui.stop()
    assert "leadership gained: epoch 2 (holder_dead)" in err
    assert "leadership lost: epoch 2: released" in err
    _stands(later, later)
    _, err = later.stop()
    assert "leadership gained: epoch 3 (free)" in err
    assert f"the leader is now tui pid {tui.pid}" not in err, "that it said in its first line"


@pytest.mark.parametrize(
    ("second", "how"),
    some(itertools.product(["daemon", "serve"], [signal.SIGKILL, signal.SIGTERM]), quick=2),
)
def test_auto_leaves_the_lease_to_the_other_daemon(
    program: Program, second: str, how: signal.Signals
) -> None:
    first = start(program, "daemon")
    _stands(first, first)
    tui, other = start(program, "tui auto"), start(program, second)
    _stands(tui, first)
    _stands(other, first)
    first.process.send_signal(how)
    first.process.wait()
    _stands(other, other)
    _stands(tui, other)
    assert (program.installation.leader_pid(), program.installation.epoch()) == (other.pid, 2)
    other.kill()
    _stands(tui, tui)
    tui.stop()


def test_one_that_is_on_takes_part_like_a_daemon(program: Program) -> None:
    daemon = start(program, "daemon")
    _stands(daemon, daemon)
    tui = start(program, "tui on")
    _stands(tui, daemon)
    daemon.kill()
    _stands(tui, tui)
    tui.stop()


def _json_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_mode_and_leadership_as_json(program: Program) -> None:
    daemon = program.open("daemon", "--json")
    serve = program.open("serve", "--port=0", "--json")
    off = program.open("serve", "--port=0", "--scheduler=false", "--json")
    lines = [_json_line(process) for process in (daemon, serve)]
    nodes = {node["pid"]: node["id"] for node in program.json("status")["nodes"]}
    leader = program.installation.leader_pid()
    for process, line in zip((daemon, serve), lines, strict=True):
        assert line["scheduler"] is True
        assert line["leader"] is (leader == process.pid)
        assert line["leader_node"] == nodes[leader]
    assert [line["mode"] for line in lines] == ["on", "on"]
    assert _json_line(off) == {
        "scheduler": False,
        "mode": "off",
        "leader": False,
        "leader_node": None,
    }
    address = _json_line(off)
    assert address["address"].startswith("http://127.0.0.1:")
    assert address["token_required"] is False


@pytest.mark.parametrize("mode", some(OFF, quick=1))
def test_off_makes_no_attempt_on_the_lease_and_manual_runs_still_work(
    program: Program, mode: str
) -> None:
    installation = program.installation
    due = installation.add(name="due", cron_expr=EVERY_SECOND)
    manual = installation.add(name="manual", cron_expr="0 3 1 1 *")
    one = start(program, mode)
    _stands(one, None)
    [node] = installation.operations.status.living_nodes()
    assert (node.pid, node.scheduler) == (one.pid, False)
    untouched = _lease(installation)
    assert untouched == (None, 0, 0, None, None)

    installation.operations.runs.start(manual.id, assigned_to=node.id)
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert (run.task_id, run.claimed_by) == (manual.id, node.id)
    beside = program("run", "manual")
    assert beside.returncode == 0, beside.stderr
    assert "Run 2 completed" in beside.stderr

    assert due.next_run_at is not None
    overdue = due.next_run_at + 3000  # several looks of a keeper, and a whole ttl
    wait_until(lambda: time.time() * 1000 > overdue, what="three ticks have passed")
    assert _lease(installation) == untouched
    assert _lease_entries(installation) == 0
    after = installation.operations.tasks.get(str(due.id))
    assert (after.next_run_at, after.cursor_at) == (due.next_run_at, due.cursor_at)
    assert {run.task_id for run in installation.runs()} == {manual.id}

    daemon = start(program, "daemon")
    _stands(daemon, daemon)
    assert _lease_entries(installation) > 0, "what an attempt leaves behind"
    wait_until(lambda: any(run.task_id == due.id for run in installation.runs()))
    _, err = one.stop()
    assert "leadership" not in err
    installation.settle()
    daemon.stop()
    installation.check()


def test_a_common_run_waits_for_a_node_that_schedules(program: Program) -> None:
    """With the scheduler off only what is given to that very node is executed."""
    task = program.installation.add(name="manual", cron_expr="0 3 1 1 *")
    off = start(program, "daemon off")
    _stands(off, off)
    common = program.installation.operations.runs.start(task.id)
    [node] = program.installation.operations.status.living_nodes()
    other = program.installation.add(name="other", cron_expr="0 3 1 1 *")
    own = program.installation.operations.runs.start(other.id, assigned_to=node.id)
    [done] = program.installation.wait_for_runs(1, State.COMPLETED)
    assert done.id == own.id
    assert program.installation.operations.runs.get(common.id).state is State.QUEUED
    daemon = start(program, "daemon")
    _stands(daemon, daemon)
    program.installation.wait_for_runs(2, State.COMPLETED)
    assert program.installation.operations.runs.get(common.id).claimed_by != node.id


def test_signals_that_come_at_once_end_it_well(program: Program) -> None:
    for mode in SCHEDULING:
        one = start(program, mode)
        _stands(one, one)
        one.stop(signal.SIGINT, signal.SIGTERM)
    assert program.installation.query("SELECT id FROM nodes") == []
    assert program.installation.leader_pid() is None
