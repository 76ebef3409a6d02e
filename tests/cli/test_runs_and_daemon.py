"""Running, following, cancelling; the daemon's life. With real processes and the stand-in."""

from __future__ import annotations

import json
import os
import shlex
import signal
from typing import TYPE_CHECKING

from claude_tasks.domain.run import Reason, State
from cli.program import ended
from support.waiting import wait_until

if TYPE_CHECKING:
    from cli.program import Program

LONG = "[case:slow_tool seconds=60]"


def test_run_without_a_node_runs_in_the_foreground(program: Program) -> None:
    program.installation.add(name="quick", prompt="hello", cron_expr="0 2 * * *")
    done = program("run", "quick")
    assert done.returncode == 0
    assert done.stdout.startswith("Simulated answer")
    assert "No scheduler lives" in done.stderr
    assert "Run 1 completed" in done.stderr
    [run] = program.installation.runs(State.COMPLETED)
    assert run.assigned_to is not None
    assert program.json("status")["nodes"] == []


def test_failed_run_exits_1_with_its_reason(program: Program) -> None:
    program.installation.add(
        name="bad", prompt="[case:api_error status=400]", cron_expr="0 2 * * *"
    )
    done = program("run", "bad")
    assert done.returncode == 1
    assert "Run 1 failed: agent_error" in done.stderr
    assert done.stderr.count("agent_error") == 1, "it is said once"
    assert "claude-tasks logs 1" in done.stderr


def test_denied_tools_are_shown(program: Program) -> None:
    program.installation.add(name="denied", prompt="[case:denied]", cron_expr="0 2 * * *")
    assert "1 tool use denied" in program("run", "denied").stderr
    assert "Bash(touch made-by-the-agent)" in program("logs", "denied").stdout


def test_every_view_has_the_command_that_allows_exactly_what_was_denied(program: Program) -> None:
    program.installation.add(
        name="denied", prompt="[case:denied]", cron_expr="0 2 * * *", allowed_tools=("Read",)
    )
    wanted = "claude-tasks edit 1 --allow-tool Read --allow-tool 'Bash(touch made-by-the-agent)'"
    assert wanted in program("run", "denied").stderr
    for command in (("list",), ("runs",), ("show", "1"), ("logs", "1"), ("why", "1")):
        shown = program(*command)
        assert wanted in " ".join((shown.stdout + shown.stderr).split()), command
        assert "completed: denied" in shown.stdout, command
    assert program.json("logs", "1")["reason"] == "denied"
    assert program(*shlex.split(wanted)[1:]).returncode == 0
    assert "Run 2 completed" in program("run", "denied").stderr
    assert "allow" not in program("list").stderr
    reasons = {run.id: run.reason for run in program.installation.runs()}
    assert reasons == {1: Reason.DENIED, 2: None}


def test_add_and_edit_say_what_an_agent_may_do_by_default(program: Program) -> None:
    words = ("prompt", "--every", "1h", "--dir", str(program.installation.folder))
    assert "edits and commands will be denied" in program("add", "a", *words).stderr
    assert "edits and commands will be denied" in program("edit", "1", "--model", "opus").stderr
    mode = ("--permission-mode", "acceptEdits")
    assert "denied" not in program("edit", "1", *mode).stderr
    assert "denied" not in program("add", "b", *words, "--allow-tool", "Bash").stderr
    assert "denied" not in program("add", "c", *words, "--", "--permission-mode", "plan").stderr


def test_a_network_that_is_away_is_said_to_whoever_waits(program: Program) -> None:
    program.installation.add(name="away", prompt="[case:unreachable]", cron_expr="0 2 * * *")
    process = program.open("run", "away")
    wait_until(
        lambda: [run for run in program.installation.runs() if run.unreachable_since is not None],
        what="the run waits for the network",
    )
    [run] = program.installation.runs()
    why = program("why", "away").stdout
    process.send_signal(signal.SIGINT)
    _, _, err = ended(process)
    assert (run.retries, run.state) == (0, State.QUEUED)
    assert f"Run {run.id} waits. attempt 1: the network is away since" in err
    assert "the network is away since" in " ".join(why.split())


def test_a_note_on_a_success_is_seen(program: Program) -> None:
    program.installation.add(name="empty", prompt="[case:silent]", cron_expr="0 2 * * *")
    assert "without a single turn" in program("run", "empty").stderr
    assert "without a single turn" in program("logs", "1").stdout


def test_ctrl_c_cancels_a_run_in_the_foreground(program: Program) -> None:
    program.installation.add(name="slow", prompt=LONG, cron_expr="0 2 * * *")
    process = program.open("run", "slow", "--json")
    program.installation.wait_for_runs(1, State.RUNNING)
    busy = program("run", "slow")
    assert busy.returncode == 1
    assert "skipped: overlap" in busy.stderr
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out) == (130, "")
    assert "Cancelling run 1" in err
    assert program.installation.runs(State.CANCELLED)[0].id == 1


def test_second_ctrl_c_leaves_the_run_to_its_supervisor(program: Program) -> None:
    program.environment["CLAUDE_TASKS_KILL_GRACE"] = "60"
    program.installation.add(name="deaf", prompt="[case:ignore_term]", cron_expr="0 2 * * *")
    process = program.open("run", "deaf")
    assert process.stderr is not None
    events = program.installation.data / "logs" / "1" / "1.events.jsonl"
    wait_until(lambda: events.exists() and events.read_bytes().count(b"\n") >= 1)
    process.send_signal(signal.SIGINT)
    while "Cancelling" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130
    assert "under its supervisor" in err
    assert [run.state for run in program.installation.runs()] == [State.RUNNING]


def test_daemon_fires_says_who_leads_and_stops_on_sigterm(program: Program) -> None:
    program.installation.add(name="tick", prompt="hello", cron_expr="* * * * * *")
    daemon = program.open("daemon", "--log-format", "json")
    program.installation.wait_for_runs(1, State.COMPLETED)
    status = program.json("status")
    [node] = status["nodes"]
    assert (node["pid"], node["role"], node["leads"]) == (daemon.pid, "daemon", True)
    assert status["leader"] == node["id"]
    daemon.send_signal(signal.SIGHUP)
    daemon.send_signal(signal.SIGTERM)
    code, out, err = ended(daemon)
    assert code == 0
    lines = out.splitlines()
    assert lines == ["Daemon scheduler: enabled (leader=true)"]
    messages = [json.loads(line)["message"] for line in err.splitlines() if line.startswith("{")]
    assert any(message.startswith("leadership gained: epoch 1") for message in messages)
    assert any(message.startswith("SIGHUP ignored") for message in messages)
    assert program.json("status")["nodes"] == []


def test_daemon_without_scheduler_follows_nobody(program: Program) -> None:
    daemon = program.open("daemon", "--scheduler=FALSE")
    wait_until(lambda: program.json("status")["nodes"])
    assert program.json("status")["leader"] is None
    daemon.send_signal(signal.SIGINT)
    code, out, _ = ended(daemon)
    assert (code, out) == (0, "Daemon scheduler: disabled\n")


def test_daemon_that_stops_says_what_goes_on(program: Program) -> None:
    program.installation.add(name="slow", prompt=LONG)
    daemon = program.open("daemon")
    program.installation.wait_for_runs(1, State.RUNNING)
    daemon.send_signal(signal.SIGTERM)
    code, _, err = ended(daemon)
    assert code == 0
    assert "1 agent goes on" in err
    assert [run.state for run in program.installation.runs()] == [State.RUNNING]


def test_run_with_a_daemon_is_queued_and_waited_for(program: Program) -> None:
    program.installation.add(name="quick", prompt="hello", cron_expr="0 2 * * *")
    program.installation.add(name="slow", prompt=LONG, cron_expr="0 2 * * *")
    daemon = program.open("daemon")
    wait_until(lambda: program.installation.leader_pid() == daemon.pid)
    done = program("run", "quick", "--wait", "--json")
    assert done.returncode == 0
    run = json.loads(done.stdout)
    assert (run["id"], run["state"]) == (1, "completed")
    assert program.installation.runs()[0].assigned_to is None

    queued = program("run", "slow")
    assert queued.stdout == 'Queued run 2 of task 2 "slow".\n'
    follower = program.open("logs", "-f", "2")
    assert follower.stdout is not None
    assert follower.stdout.readline().startswith("* simulated agent")
    assert follower.stdout.readline().startswith("> Bash: sleep")
    assert program.json("cancel", "2", "--wait")["state"] == "cancelled"
    code, _, err = ended(follower)
    assert code == 1
    assert "Run 2 cancelled" in err
    again = program("cancel", "2")
    assert again.returncode == 4
    assert "has ended already" in again.stderr


def test_runs_page_filter_and_explain(program: Program) -> None:
    program.installation.add(name="quick", prompt="hello", cron_expr="0 2 * * *")
    program.installation.add(name="bad", prompt="[case:crash]", cron_expr="0 2 * * *")
    for name in ("quick", "bad", "quick"):
        program("run", name)
    page = program("runs", "--limit", "2")
    assert [line.split()[:2] for line in page.stdout.splitlines()[1:]] == [
        ["3", "quick"],
        ["2", "bad"],
    ]
    assert "2 of 3; older ones: add --before 2" in page.stderr
    older = program.json("runs", "--before", "2")
    assert ([run["id"] for run in older["runs"]], older["total"]) == ([1], 3)
    assert program.json("runs", "quick")["total"] == 2
    assert [run["id"] for run in program.json("runs", "--state", "failed")["runs"]] == [2]
    mistyped = program("runs", "--state", "failld")
    assert (mistyped.returncode, "did you mean failed?" in mistyped.stderr) == (2, True)
    task = program.json("show", "quick")
    assert (task["last_run_status"], [run["id"] for run in task["runs"]]) == ("completed", [3, 1])
    assert "completed" in program("show", "quick").stdout
    findings = program.json("why", "quick")["findings"]
    assert [entry["topic"] for entry in findings if entry["stands_in_the_way"]] == ["leader"]
    assert "! leader" in program("why", "quick").stdout


def test_logs_finds_a_run_by_id_or_the_latest_of_a_task(program: Program) -> None:
    program.installation.add(name="quick", prompt="hello", cron_expr="0 2 * * *")
    assert program("logs", "quick").returncode == 3
    program("run", "quick")
    for words in (("1",), ("quick",), ("--task", "1"), ("-f", "1")):
        assert program("logs", *words).returncode == 0
    record = program.json("logs", "1")
    assert os.path.isfile(record["log_path"])
    kinds = [
        json.loads(line)["type"]
        for line in program("logs", "1", "--events").stdout.split("\n")
        if line
    ]
    assert kinds[0] == "system"
    assert kinds[-1] == "result"
    assert program("logs", "7").returncode == 3
    assert program("logs").returncode == 2


def test_demo_shows_three_simulated_runs(program: Program) -> None:
    program.environment["TMPDIR"] = str(program.installation.folder)
    done = program("demo", "--json")
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stderr
    shown = json.loads(done.stdout)
    completed = [run for run in shown["runs"] if run["state"] == "completed"]
    assert len(completed) >= 3
    assert os.path.isfile(completed[0]["log_path"])
    assert shown["data"].startswith(str(program.installation.folder))
