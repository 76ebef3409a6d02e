"""A run under its supervisor, with real processes and the stand-in agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from claude_tasks.domain.run import Outcome, Reason, State, Trigger
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.execution import traces
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.process_tree import Living, look_for_the_living
from claude_tasks.execution.run_folder import Condition, RunFolder
from claude_tasks.execution.run_log import events_path
from claude_tasks.execution.spawner import Spawner
from support.builders import add_task
from support.waiting import wait_until
from support.workshop import Workshop

if TYPE_CHECKING:
    from claude_tasks.execution.contract import ExitFacts, RunSpec


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_from(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip(), what=f"{path.name} is written")
    return int(path.read_text().split()[0])


def test_a_run_that_succeeds_is_recorded_with_all_it_said(workshop: Workshop) -> None:
    run = workshop.run("say hello")
    assert (run.state, run.reason, run.exit_code) == (State.COMPLETED, None, 0)
    assert "imulated" in run.output
    assert run.session_id
    assert run.model
    assert run.cost_usd
    assert run.cost_usd > 0
    assert run.input_tokens
    assert run.num_turns == 1
    assert run.error is None


def test_an_agent_that_needs_node_finds_the_one_beside_it_under_a_bare_path(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As npm installs it under a version manager: a link to a script for ``env node``."""
    agent = tmp_path / "claude"
    (tmp_path / "node").write_text(f'#!/bin/sh\nshift\nexec {tmp_path}/real-claude "$@"\n')
    (tmp_path / "node").chmod(0o755)
    agent.rename(tmp_path / "real-claude")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "cli.js").write_text("#!/usr/bin/env node\n")
    (tmp_path / "package" / "cli.js").chmod(0o755)
    agent.symlink_to("package/cli.js")
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bare"))
    run = workshop.run("say hello")
    assert (run.state, run.exit_code) == (State.COMPLETED, 0), run.error


def test_the_run_log_and_the_event_stream_stand_side_by_side(workshop: Workshop) -> None:
    run = workshop.run("say hello", name="nightly", model="opus", timezone="Asia/Tokyo")
    assert run.log_path is not None
    log = Path(run.log_path)
    assert log.parent == Path(workshop.settings.folder.logs) / str(run.task_id)
    assert log.name.startswith(f"{run.id}_completed_2")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    record = json.loads(log.read_text())
    assert record["run_id"] == run.id
    assert (record["task_name"], record["prompt"]) == ("nightly", "say hello")
    assert (record["status"], record["state"], record["reason"]) == ("completed", "completed", None)
    assert record["output"] == run.output
    assert record["duration_ms"] == run.duration_ms
    assert record["timezone"] == "Asia/Tokyo"
    for name in ("scheduled_for", "cost_usd", "input_tokens", "num_turns", "permission_denials"):
        assert name in record
    events = log.parent / f"{run.id}.events.jsonl"
    assert stat.S_IMODE(events.stat().st_mode) == 0o600
    kinds = [json.loads(line)["type"] for line in events.read_text().split("\n") if line]
    assert kinds[0] == "system"
    assert kinds[-1] == "result"
    assert not list(Path(workshop.settings.folder.runs).iterdir()), "the run's folder is tidied up"


def test_the_prompt_goes_in_on_standard_input_whatever_it_looks_like(workshop: Workshop) -> None:
    prompt = "--help\n-x; $(rm -rf /) 'quoted' \"twice\" ünïcödé \u2028 end [case:echo]"
    run = workshop.run(prompt)
    assert run.state is State.COMPLETED
    assert run.output.strip() == prompt.strip()


def test_a_prompt_larger_than_any_command_line_arrives_whole(workshop: Workshop) -> None:
    prompt = "[case:echo] " + "x" * 1_000_000
    launched = workshop.launch(prompt)
    folder = Path(workshop.settings.folder.runs)
    argv = json.loads((folder / f"{launched.id}.1" / "spec.json").read_text())["argv"]
    assert prompt not in argv
    run = workshop.finish(launched)
    assert run.state is State.COMPLETED
    assert run.output.startswith("[case:echo] xxx")
    assert "characters left out" in run.output


def test_the_event_stream_is_live_while_the_agent_works(workshop: Workshop) -> None:
    run = workshop.launch("[case:slow seconds=30]")
    events = Path(workshop.settings.folder.logs) / str(run.task_id) / f"{run.id}.events.jsonl"
    wait_until(lambda: events.exists() and events.stat().st_size > 0, what="events appear")
    assert workshop.store.get_run(run.id).state is State.RUNNING
    workshop.supervisor_pid(run)
    workshop.store.request_cancel(run.id, at=workshop.clock.now())
    workshop.execution.cancel(run.id)
    assert workshop.finish(run).state is State.CANCELLED


def test_a_denied_tool_is_kept_and_shown_and_fails_nothing(workshop: Workshop) -> None:
    run = workshop.run("[case:denied]")
    assert (run.state, run.exit_code) == (State.COMPLETED, 0)
    assert run.permission_denials


def test_an_api_error_fails_the_run_although_its_subtype_says_success(workshop: Workshop) -> None:
    run = workshop.run("[case:api_error status=400]")
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.AGENT_ERROR, 1)
    assert run.error


def test_a_usage_limit_is_told_from_other_errors(workshop: Workshop) -> None:
    run = workshop.run("[case:usage_limit]", max_retries=3)
    assert (run.state, run.reason, run.attempt) == (State.FAILED, Reason.USAGE_LIMIT, 1)
    assert run.error is not None
    assert "limit" in run.error


@pytest.mark.parametrize(("case", "word"), [("max_turns", "turns"), ("max_budget", "budget")])
def test_a_limit_of_the_task_is_named(workshop: Workshop, case: str, word: str) -> None:
    run = workshop.run(f"[case:{case}]")
    assert (run.state, run.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert run.error is not None
    assert word in run.error


def test_an_exit_code_fails_the_run_with_the_end_of_standard_error(workshop: Workshop) -> None:
    run = workshop.run("[case:session_in_use]")
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.EXIT, 1)
    assert run.error is not None
    assert "in use" in run.error


def test_an_agent_that_is_killed_says_by_which_signal(workshop: Workshop) -> None:
    run = workshop.run("[case:crash]")
    assert (run.state, run.reason, run.exit_code) == (State.FAILED, Reason.EXIT, -9)
    assert run.error is not None
    assert "signal 9" in run.error


def test_plain_text_agents_work_too(workshop: Workshop) -> None:
    run = workshop.run("[case:text]")
    assert run.state is State.COMPLETED
    assert run.output
    assert run.session_id  # it was given one, as any agent is


@pytest.mark.parametrize("case", ["garbage", "invalid_utf8", "long_line bytes=300000"])
def test_strange_output_is_read_leniently(workshop: Workshop, case: str) -> None:
    run = workshop.run(f"[case:{case}]")
    assert run.state is State.COMPLETED
    assert run.output


def test_a_missing_result_event_is_mentioned(workshop: Workshop) -> None:
    run = workshop.run("[case:missing_result]")
    assert run.state is State.COMPLETED
    assert run.error is not None
    assert "without a result event" in run.error


def test_a_time_limit_ends_the_agent_and_everything_it_started(
    workshop: Workshop, tmp_path: Path
) -> None:
    stray = tmp_path / "stray"
    run = workshop.run(f"[case:escaped seconds=60 pid_file={stray}]", timeout_seconds=1)
    assert (run.state, run.reason) == (State.FAILED, Reason.TIMEOUT)
    assert run.duration_ms is not None
    assert run.duration_ms < 6000
    wait_until(lambda: gone(pid_from(stray)), what="the escaped grandchild is gone")


def test_an_agent_that_ignores_term_is_killed(workshop: Workshop) -> None:
    run = workshop.run("[case:ignore_term seconds=60]", timeout_seconds=1)
    assert run.reason is Reason.TIMEOUT
    assert run.exit_code == -9


def test_a_tool_in_a_session_of_its_own_is_ended_with_the_agent(
    workshop: Workshop, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    run = workshop.launch(f"[case:slow_tool seconds=60 pid_file={tool}]")
    pid = pid_from(tool)
    workshop.store.request_cancel(run.id, at=workshop.clock.now())
    workshop.execution.cancel(run.id)
    ended = workshop.finish(run)
    assert (ended.state, ended.reason) == (State.CANCELLED, Reason.CANCELLED)
    wait_until(lambda: gone(pid), what="the tool is gone")


def test_a_grandchild_that_holds_standard_output_does_not_prolong_the_run(
    workshop: Workshop, tmp_path: Path
) -> None:
    stray = tmp_path / "stray"
    run = workshop.run(f"[case:grandchild seconds=60 pid_file={stray}]")
    assert run.state is State.COMPLETED
    assert run.duration_ms is not None
    assert run.duration_ms < 5000
    wait_until(lambda: gone(pid_from(stray)), what="nothing is left behind")


def test_much_output_keeps_head_and_tail_in_bounded_memory(workshop: Workshop) -> None:
    run = workshop.launch("[case:big_output bytes=60000000]")
    supervisor = psutil.Process(workshop.supervisor_pid(run))
    most = 0

    def watched() -> bool:
        nonlocal most
        try:
            most = max(most, supervisor.memory_info().rss)
        except psutil.NoSuchProcess:
            return True
        workshop.execution.settle(at=workshop.clock.now())
        return workshop.store.get_run(run.id).state.is_terminal

    wait_until(watched, seconds=60)
    ended = workshop.finish(run)
    assert ended.state is State.COMPLETED
    assert ended.cost_usd, "the result at the very end was read"
    assert most < 64 * 1024 * 1024
    events = Path(workshop.settings.folder.logs) / str(run.task_id) / f"{run.id}.events.jsonl"
    assert events.stat().st_size < 18 * 1024 * 1024
    lines = events.read_bytes().split(b"\n")
    assert any(b'"subtype":"truncated"' in line for line in lines)
    assert json.loads(lines[-2])["type"] == "result"


def test_a_line_without_end_is_bounded_too(workshop: Workshop) -> None:
    run = workshop.run("[case:big_output bytes=20000000 mode=oneline]")
    assert run.state.is_terminal
    assert len(run.output) < 300_000


def test_a_log_folder_deleted_while_the_agent_works_comes_back(workshop: Workshop) -> None:
    run = workshop.launch("[case:slow seconds=1]")
    folder = Path(workshop.settings.folder.logs)
    wait_until(lambda: list(folder.glob("*/*.events.jsonl")))
    shutil.rmtree(folder)
    ended = workshop.finish(run)
    assert ended.state is State.COMPLETED
    assert ended.log_path is not None
    assert Path(ended.log_path).exists()
    events = folder / str(run.task_id) / f"{run.id}.events.jsonl"
    assert json.loads(events.read_text().split("\n")[-2])["type"] == "result"


def test_the_home_of_another_user_is_asked_of_nobody(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask_the_network(name: str) -> None:
        asked.append(name)
        raise KeyError(name)

    monkeypatch.setattr("pwd.getpwnam", ask_the_network)
    run = workshop.run("hello", working_dir="~somebody/work")
    assert (run.state, run.reason, asked) == (State.FAILED, Reason.SPAWN, [])
    assert "--dir" in (run.error or "")


def test_a_working_directory_below_the_home_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workshop = Workshop(tmp_path / "workshop")
    for folder in ("~", "~/work"):
        assert workshop.run("hello", working_dir=folder).state is State.COMPLETED
    workshop.close()


def test_a_working_directory_that_is_gone_fails_with_what_to_do(
    workshop: Workshop, tmp_path: Path
) -> None:
    run = workshop.run("hello", working_dir=str(tmp_path / "gone"))
    assert (run.state, run.reason) == (State.FAILED, Reason.SPAWN)
    assert run.error is not None
    assert "does not exist" in run.error
    assert run.error.endswith("create it, or edit the task's --dir")
    assert run.log_path is not None
    assert json.loads(Path(run.log_path).read_text())["reason"] == "spawn"
    assert workshop.started() == []


def test_a_missing_binary_fails_with_what_to_do(workshop: Workshop) -> None:
    (workshop.folder / "claude").unlink()
    run = workshop.run("hello")
    assert (run.state, run.reason) == (State.FAILED, Reason.SPAWN)
    assert run.error is not None
    assert "CLAUDE_TASKS_CLAUDE_BIN" in run.error


def test_a_binary_that_cannot_be_executed_fails_with_its_error(workshop: Workshop) -> None:
    (workshop.folder / "claude").write_text("#!/nonexistent/interpreter\n")
    run = workshop.run("hello")
    assert (run.state, run.reason) == (State.FAILED, Reason.SPAWN)
    assert run.error is not None
    assert "No such file" in run.error


def test_bypassing_permissions_as_root_is_refused_before_the_start(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_tasks.execution.executor.os.geteuid", lambda: 0)
    monkeypatch.delenv("IS_SANDBOX", raising=False)
    run = workshop.run("hello", permission_mode="bypassPermissions")
    assert (run.state, run.reason) == (State.FAILED, Reason.SPAWN)
    assert run.error is not None
    assert "as root" in run.error
    assert workshop.started() == []


def test_a_transient_failure_is_tried_again_in_the_same_row(workshop: Workshop) -> None:
    run = workshop.launch("[case:api_error status=529]", max_retries=2)

    def ended() -> bool:
        workshop.execution.settle(at=workshop.clock.now())
        current = workshop.store.get_run(run.id)
        if current.state is State.QUEUED:
            workshop.store._connection.execute(  # type: ignore[attr-defined]
                "UPDATE task_runs SET assigned_to = 'me' WHERE id = :i", {"i": run.id}
            )
            workshop.claim()
        return current.state.is_terminal

    wait_until(ended)
    last = workshop.store.get_run(run.id)
    assert (last.state, last.reason, last.attempt, last.claim) == (
        State.FAILED,
        Reason.AGENT_ERROR,
        3,
        3,
    )
    assert workshop.started() == [f"{run.id}.1", f"{run.id}.2", f"{run.id}.3"]
    once = workshop.run("[case:api_error status=529]")
    assert last.num_turns is not None
    assert once.num_turns is not None
    assert last.num_turns == 3 * once.num_turns, "what a run took is what its attempts took"


def test_a_lasting_failure_is_not_tried_again(workshop: Workshop) -> None:
    run = workshop.run("[case:api_error status=401]", max_retries=5)
    assert (run.state, run.attempt) == (State.FAILED, 1)


def test_the_agent_does_not_get_our_token_and_can_start_nested(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_TASKS_AUTH_TOKEN", "secret")
    monkeypatch.setenv("CLAUDECODE", "1")
    assert "secret" not in workshop.run("[case:env name=CLAUDE_TASKS_AUTH_TOKEN]").output
    assert workshop.run("[case:env name=CLAUDE_TASKS_RUN]").output.strip().endswith("2.1")


def test_a_supervisor_killed_with_its_agent_is_lost_and_nothing_lives_on(
    workshop: Workshop, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    run = workshop.launch(f"[case:slow_tool seconds=60 pid_file={tool}]")
    pid = pid_from(tool)
    os.kill(workshop.supervisor_pid(run), signal.SIGKILL)
    ended = workshop.finish(run)
    assert (ended.state, ended.reason) == (State.FAILED, Reason.LOST)
    wait_until(lambda: gone(pid), what="the tool of the orphaned agent is gone")
    assert workshop.started() == [f"{run.id}.1"]


def write_agent(workshop: Workshop, program: str) -> None:
    """An agent of the test's own, in Python; it says that it started like the others."""
    mark = f'echo "${{CLAUDE_TASKS_RUN##*/}}" >> {workshop.starts}'
    (workshop.folder / "agent.py").write_text(program)
    (workshop.folder / "claude").write_text(
        f"#!/bin/sh\n{mark}\nexec {sys.executable} {workshop.folder}/agent.py\n"
    )


def test_a_child_that_floods_standard_output_does_not_keep_the_run(workshop: Workshop) -> None:
    write_agent(
        workshop,
        "import subprocess\n"
        "subprocess.Popen(['yes', 'x' * 1000], start_new_session=True)\n"
        "print('done', flush=True)\n",
    )
    run = workshop.run("flood", timeout_seconds=20)
    assert run.state is State.COMPLETED
    assert run.duration_ms is not None
    assert run.duration_ms < 10_000


@pytest.mark.parametrize("disguise", [["sleep"], ["env", "-i", "setsid", "sleep"]])
def test_nothing_is_lost_while_a_tool_of_its_agent_lives(
    workshop: Workshop, tmp_path: Path, disguise: list[str]
) -> None:
    """A tool that closed what it inherited holds no lock; one that scrubbed its environment has
    no marker. Each is ended before the run is called lost.
    """
    close = disguise == ["sleep"]
    pids = tmp_path / "pids"
    write_agent(
        workshop,
        "import os, subprocess, time\n"
        f"tool = subprocess.Popen({[*disguise, '300']!r}, close_fds={close},"
        " start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{tool.pid}}')\n"
        "time.sleep(300)\n",
    )
    run = workshop.launch("hello")
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    agent, tool = (int(pid) for pid in pids.read_text().split())
    os.kill(workshop.supervisor_pid(run), signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    assert workshop.finish(run).reason is Reason.LOST
    assert gone(tool)


def test_a_supervisor_told_to_stop_by_a_stranger_is_no_cancel(workshop: Workshop) -> None:
    run = workshop.launch("[case:slow seconds=60]")
    os.kill(workshop.supervisor_pid(run), signal.SIGTERM)
    ended = workshop.finish(run)
    assert (ended.state, ended.reason) == (State.FAILED, Reason.TERMINATED)


def test_a_spawner_that_died_unnoticed_costs_no_run(workshop: Workshop) -> None:
    workshop.run("first")
    spawner = workshop.execution._executor._spawner._process
    assert spawner is not None
    spawner.kill()
    spawner.wait()
    run = workshop.launch("second")  # nobody has looked since

    def ended() -> bool:
        workshop.execution.settle(at=workshop.clock.now())
        workshop.claim()  # a claim that never started is queued again
        return workshop.store.get_run(run.id).state.is_terminal

    wait_until(ended)
    assert workshop.store.get_run(run.id).state is State.COMPLETED
    assert len(workshop.started()) == 2


def test_a_run_that_cannot_be_looked_at_stays_watched(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = workshop.launch("hello")
    workshop.wait_for_start(run)
    looks: list[bool] = []
    look = RunFolder.look

    def fail_once(self: RunFolder, *verdict: Any, **more: Any) -> Condition:
        looks.append(True)
        if len(looks) == 1:
            raise OSError(28, "No space left on device")
        return look(self, *verdict, **more)

    monkeypatch.setattr(RunFolder, "look", fail_once)
    assert workshop.finish(run).state is State.COMPLETED
    assert len(looks) > 1


def starts_at_its_second_claim(workshop: Workshop) -> None:
    run = workshop.launch("hello")
    wait_until(lambda: workshop.execution.settle(at=workshop.clock.now()) == 1)
    assert workshop.store.get_run(run.id).state is State.QUEUED
    workshop.claim()
    assert workshop.finish(workshop.store.get_run(run.id)).state is State.COMPLETED
    assert workshop.started() == [f"{run.id}.2"]


def test_a_full_disk_at_launch_queues_the_run_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RunFolder.create
    fails = [True]

    def fail_once(self: RunFolder, spec: RunSpec, prompt: str) -> None:
        if fails and fails.pop():
            raise OSError(28, "No space left on device")
        create(self, spec, prompt)

    monkeypatch.setattr(RunFolder, "create", fail_once)
    starts_at_its_second_claim(workshop)


def test_a_folder_removed_before_its_agent_starts_queues_the_run_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RunFolder.create
    fails = [True]

    def remove_once(self: RunFolder, spec: RunSpec, prompt: str) -> None:
        create(self, spec, prompt)
        if fails and fails.pop():
            os.unlink(self.prompt)  # as far as `rm -rf` got when the supervisor looked for it

    monkeypatch.setattr(RunFolder, "create", remove_once)
    starts_at_its_second_claim(workshop)


def test_what_claims_that_are_over_left_behind_is_removed(workshop: Workshop) -> None:
    over = workshop.run("hello")
    open_run = workshop.launch("[case:slow seconds=1]")
    runs = Path(workshop.settings.folder.runs)
    leftover = RunFolder.of(str(runs), over.id, over.claim)
    leftover.create(workshop.spec_of(over), "a prompt that should not lie about")
    workshop.execution.tidy(lambda _: True)
    assert [path.name for path in runs.iterdir()] == [f"{open_run.id}.1"]
    assert workshop.finish(open_run).state is State.COMPLETED


def test_an_end_that_cannot_be_stored_ends_the_run_all_the_same(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absurd(facts: ExitFacts, **more: Any) -> Outcome:
        return outcome_of(facts, **more)._replace(num_turns=10**30)

    monkeypatch.setattr("claude_tasks.execution.recorder.outcome_of", absurd)
    run = workshop.run("hello")
    assert (run.state, run.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert run.error is not None
    assert "could not be stored" in run.error


def test_orphans_of_another_data_folder_are_left_alone(workshop: Workshop, tmp_path: Path) -> None:
    """Run ids repeat from one data folder to the next: 1.1 here is not 1.1 there."""
    other = Workshop(tmp_path / "other")
    theirs = other.launch("[case:slow seconds=1]")
    other.wait_for_start(theirs)
    tool = tmp_path / "tool"
    mine = workshop.launch(f"[case:slow_tool seconds=60 pid_file={tool}]")
    pid_from(tool)
    assert (mine.id, mine.claim) == (theirs.id, theirs.claim)
    os.kill(workshop.supervisor_pid(mine), signal.SIGKILL)
    assert workshop.finish(mine).reason is Reason.LOST
    assert other.finish(theirs).state is State.COMPLETED
    other.close()


def test_the_death_of_the_spawner_harms_no_run(workshop: Workshop) -> None:
    run = workshop.launch("[case:slow seconds=1]")
    workshop.wait_for_start(run)
    spawner = workshop.execution._executor._spawner._process
    assert spawner is not None
    spawner.kill()
    assert workshop.finish(run).state is State.COMPLETED
    assert workshop.run("again").state is State.COMPLETED


def test_a_run_claimed_but_never_launched_goes_back_into_the_queue(workshop: Workshop) -> None:
    run = workshop.launch("first")
    workshop.finish(run)
    task = workshop.store.get_task(run.task_id)

    at = workshop.clock.now()
    queued = workshop.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="me", at=at)
    [claimed] = workshop.store.claim_runs("me", term=None, limit=1, per_node=False, at=at)
    workshop.execution.adopt(claimed.run, task)  # as the next node finds it
    wait_until(lambda: workshop.execution.settle(at=at) == 1)
    again = workshop.store.get_run(queued.id)
    assert (again.state, again.claim, again.attempt) == (State.QUEUED, 1, 1)
    assert workshop.started() == [f"{run.id}.1"]


def test_that_a_claim_began_is_written_down_before_its_agent_can_do_anything(
    workshop: Workshop,
) -> None:
    agent = workshop.folder / "claude"
    first_act = f"ls {workshop.settings.folder.logs}/*/*.run > {workshop.folder}/seen"
    agent.write_text(agent.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{first_act}\n"))
    run = workshop.run("first")
    assert (workshop.folder / "seen").read_text().endswith(f"{run.id}.events.run\n")


def test_a_supervisor_that_comes_after_the_verdict_starts_nothing(workshop: Workshop) -> None:
    """The spawner may read a request after its daemon died and a rescuer closed the claim."""
    first = workshop.run("first")
    folder = RunFolder.of(workshop.settings.folder.runs, 77, 1)
    folder.create(workshop.spec_of(first)._replace(marker=folder.path), "late")
    assert folder.look() is Condition.UNSTARTED
    spawner = Spawner()
    spawner.request(folder.path)
    wait_until(lambda: folder.path in spawner.released()[0])
    spawner.stop()
    assert workshop.started() == [f"{first.id}.1"]
    assert folder.look() is Condition.ENDED


@pytest.mark.parametrize(
    ("owner", "begun"),
    [
        ({}, True),
        ({"claim": None}, True),
        ({"claim": 2}, False),
        ({"run_id": 99}, False),
        ({"queued_at": 1}, False),
        (None, False),
    ],
)
def test_only_the_file_of_this_very_claim_tells_that_its_agent_was_started(
    workshop: Workshop,
    owner: dict[str, Any] | None,
    begun: bool,  # noqa: FBT001 (a parameter of the table above)
) -> None:
    task = add_task(workshop.store, at=0)
    run = workshop.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="gone", at=5)
    [claimed] = workshop.store.claim_runs("gone", term=None, limit=1, per_node=False, at=5)
    path = Path(events_path(workshop.settings.folder.logs, task.id, run.id))
    path.parent.mkdir(parents=True)
    if owner is not None:
        facts = {"run_id": run.id, "queued_at": 5, "claim": 1} | owner
        path.with_suffix(".run").write_text(json.dumps(facts))
    workshop.execution.adopt(claimed.run, task)
    workshop.execution.settle(at=10)
    after = workshop.store.get_run(run.id)
    assert (after.state, after.reason) == (
        (State.FAILED, Reason.LOST) if begun else (State.QUEUED, None)
    )


def test_many_claims_without_a_folder_cost_one_look_at_all_processes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    living = look_for_the_living()

    def look() -> Living:
        looks.append(None)
        return living

    monkeypatch.setattr(traces, "look_for_the_living", look)
    task = add_task(workshop.store, at=0, overlap="allow")
    for _ in range(100):
        workshop.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="gone", at=5)
    for claimed in workshop.store.claim_runs("gone", term=None, limit=100, per_node=False, at=5):
        workshop.execution.adopt(claimed.run, task)
    workshop.execution.settle(at=10)
    assert len(looks) == 1
    queued = RunFilter(states=(State.QUEUED,), limit=200)
    assert len(workshop.store.list_runs(queued)) == 100
