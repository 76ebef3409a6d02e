"""What the agent really said, and how it ended: real supervisors, the stand-in agent."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from claude_tasks.domain.errors import StorageValueError
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.task_fields import OnUsageLimit
from claude_tasks.domain.usage import NETWORK_PATIENCE_MS
from claude_tasks.execution import following, recorder
from claude_tasks.execution.contract import EventsOwner
from claude_tasks.execution.event_stream import EventStreamFile
from claude_tasks.standin import sessions
from support.invariants import check_invariants
from support.waiting import wait_until
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.domain.run import Run


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Workshop]:
    """A workshop that ends lingering agents soon."""
    made = Workshop(tmp_path, CLAUDE_TASKS_LINGER="0.4")
    yield made
    made.close()
    check_invariants(made.settings.folder.database, settled=False, starts=made.starts)


def events_of(workshop: Workshop, run: Run) -> Path:
    return Path(workshop.settings.folder.logs) / str(run.task_id) / f"{run.id}.events.jsonl"


def log_of(run: Run) -> dict[str, Any]:
    assert run.log_path is not None
    record: dict[str, Any] = json.loads(Path(run.log_path).read_text())
    return record


def again(workshop: Workshop, run: Run) -> Run:
    """The next attempt of a run that went back into the queue, up to its claim."""

    def queued() -> bool:
        workshop.execution.settle(at=workshop.clock.now())
        return workshop.store.get_run(run.id).state is State.QUEUED

    wait_until(queued, what="the run is queued again")
    return workshop.store.get_run(run.id)


def give_up(workshop: Workshop, run: Run) -> None:
    """Leave nothing in the queue."""
    workshop.store.request_cancel(run.id, at=workshop.clock.now())


# What it said


def test_the_causes_that_only_a_list_names_are_the_error(workshop: Workshop) -> None:
    run = workshop.run("[case:errors]")
    assert (run.state, run.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert run.error == "simulated cause one; simulated cause two"
    assert log_of(run)["error"] == run.error


def test_a_denied_tool_is_no_plain_success(workshop: Workshop) -> None:
    run = workshop.run("[case:denied]")
    assert (run.state, run.reason) == (State.COMPLETED, Reason.DENIED)
    assert run.permission_denials == ("Bash(touch made-by-the-agent)",)
    assert log_of(run)["reason"] == "denied"


def test_what_was_denied_before_a_second_result_is_not_forgotten(workshop: Workshop) -> None:
    first = {"type": "result", "is_error": False, "permission_denials": [{"tool_name": "X"}]}
    transcript = workshop.folder / "agent.sh"
    last = {"type": "result", "is_error": False, "permission_denials": [], "result": "end"}
    text = "\n".join(json.dumps(event) for event in (first, last))
    transcript.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    transcript.chmod(0o755)
    (workshop.folder / "claude").unlink()
    (workshop.folder / "claude").symlink_to(transcript)
    run = workshop.run("hello")
    assert (run.reason, run.permission_denials, run.output) == (Reason.DENIED, ("X",), "end")


@pytest.mark.parametrize(
    ("case", "word"), [("silent", "without a single turn"), ("execution_error", "Execution error")]
)
def test_a_doubtful_success_is_noted(workshop: Workshop, case: str, word: str) -> None:
    run = workshop.run(f"[case:{case}]")
    assert (run.state, run.reason, run.exit_code) == (State.COMPLETED, None, 0)
    assert word in (run.error or "")
    assert log_of(run)["error"] == run.error


def test_a_result_of_many_mebibytes_is_taken_with_cost_and_denials(workshop: Workshop) -> None:
    run = workshop.run("[case:big_result denials=150 bytes=40000]")
    assert (run.state, run.reason, run.num_turns) == (State.COMPLETED, Reason.DENIED, 1)
    assert run.cost_usd
    assert run.permission_denials[0] == "Write(/simulated/0.txt)"
    assert run.permission_denials[-1] == "… and 50 more"
    [result] = [
        json.loads(line)
        for line in events_of(workshop, run).read_bytes().split(b"\n")
        if b'"type":"result"' in line[-200:]
    ]
    assert len(result["permission_denials"]) == 150


def test_a_large_result_behind_much_output_is_kept_whole_in_the_event_file(
    workshop: Workshop,
) -> None:
    run = workshop.run(f"[case:big_result denials=30 bytes=40000 before={20 << 20}]")
    assert run.reason is Reason.DENIED
    lines = [line for line in events_of(workshop, run).read_bytes().split(b"\n") if line]
    events = [json.loads(line) for line in lines]
    assert len(events[-1]["permission_denials"]) == 30
    [gap] = [event for event in events if event["type"] == "claude_tasks"]
    assert gap["dropped_bytes"] > 3 << 20


def test_a_supervisor_stays_small_whatever_its_agent_prints(workshop: Workshop) -> None:
    """Less than one time the size of the event, where three times would be allowed."""
    size = 40 << 20
    run = workshop.launch(f"[case:big_result denials=1000 bytes={size // 1000}]")
    supervisor = psutil.Process(workshop.supervisor_pid(run))
    peaks = []

    def ended() -> bool:
        try:
            peaks.append(int(_status(supervisor.pid)["VmHWM"].split()[0]) * 1024)
        except (OSError, KeyError):
            workshop.execution.settle(at=workshop.clock.now())
        return workshop.store.get_run(run.id).state.is_terminal

    wait_until(ended, seconds=60, what="the run ends")
    assert workshop.store.get_run(run.id).reason is Reason.DENIED
    assert 0 < peaks[-1] < size


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


# How it ended


def test_an_agent_that_reported_and_does_not_exit_is_what_it_reported(patient: Workshop) -> None:
    run = patient.run("[case:linger]")
    assert (run.state, run.reason) == (State.COMPLETED, None)
    assert "conclusion" in run.output
    assert run.cost_usd
    assert "did not exit" in (run.error or "")


def test_an_agent_that_reported_an_error_and_does_not_exit_failed(patient: Workshop) -> None:
    run = patient.run("[case:linger error=1 deaf=1]")
    assert (run.state, run.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert "simulated error 400" in (run.error or "")
    assert "did not exit" in (run.error or "")


def test_an_agent_with_a_background_task_is_waited_for(patient: Workshop) -> None:
    run = patient.launch("[case:background seconds=1.5]")  # longer than it may linger
    run = patient.finish(run)
    assert (run.state, run.exit_code, run.error) == (State.COMPLETED, 0, None)
    assert "The background command has ended." in run.output


def test_a_background_task_without_end_is_given_no_more_than_the_agents_own_ceiling(
    patient: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert following.background_seconds() == 600
    monkeypatch.setenv("CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS", "900000")
    assert following.background_seconds() == 900
    run = patient.run("[case:linger outstanding=1]", timeout_seconds=2)
    assert (run.state, run.reason) == (State.FAILED, Reason.TIMEOUT)
    assert "conclusion" in run.output


def test_a_time_limit_in_the_middle_of_lingering_changes_nothing(workshop: Workshop) -> None:
    run = workshop.run("[case:linger]", timeout_seconds=2)  # it may linger for a minute
    assert (run.state, run.reason) == (State.COMPLETED, None)
    assert "did not exit" in (run.error or "")


def test_what_an_agent_says_while_it_is_ended_is_read(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, CLAUDE_TASKS_KILL_GRACE="20")
    try:
        run = workshop.launch("[case:last_words bytes=1000000]")
        events = events_of(workshop, run)
        wait_until(lambda: events.exists() and "waiting for the end" in events.read_text())
        workshop.store.request_cancel(run.id, at=workshop.clock.now())
        began = time.monotonic()
        workshop.execution.cancel(run.id)
        run = workshop.finish(run)
        assert (run.state, run.exit_code) == (State.CANCELLED, 143)
        assert run.cost_usd
        assert run.output.endswith("the conclusion, after all the rest.")
        assert time.monotonic() - began < 15  # not after the grace
    finally:
        workshop.close()


# Sessions


def test_a_run_names_its_session_before_its_agent_starts(workshop: Workshop) -> None:
    run = workshop.launch("[case:argv]")
    assert run.session_id is not None
    ended = workshop.finish(run)
    arguments = json.loads(ended.output)
    assert arguments[arguments.index("--session-id") + 1] == run.session_id
    assert ended.session_id == run.session_id


@pytest.mark.parametrize(
    "own",
    [
        ("--session-id", "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01"),
        ("--session-id=6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01",),
        ("--resume", "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01"),
        ("-r", "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01"),
        ("--continue",),
        ("-c",),
    ],
    ids="=".join,
)
def test_a_task_may_name_its_own_session(workshop: Workshop, own: tuple[str, ...]) -> None:
    run = workshop.launch("[case:argv]", extra_args=own)
    assert run.session_id is None
    ended = workshop.finish(run)
    assert ended.state is State.COMPLETED, ended.error
    arguments = json.loads(ended.output)
    assert sum(word.startswith(("--session-id", "--resume", "-r")) for word in arguments) <= 1
    assert ended.session_id  # as the agent told it


@pytest.mark.parametrize("own", [("--fork-session",), ("--no-session-persistence",)], ids="".join)
def test_flags_about_sessions_that_name_none_are_no_hindrance(
    workshop: Workshop, own: tuple[str, ...]
) -> None:
    run = workshop.launch("[case:argv]", extra_args=own)
    assert run.session_id is not None
    assert workshop.finish(run).session_id == run.session_id


def test_a_retry_begins_a_session_of_its_own(workshop: Workshop) -> None:
    run = workshop.launch("[case:api_error status=529]", max_retries=1)
    again(workshop, run)
    workshop.claim()
    retried = workshop.store.get_run(run.id)
    assert retried.session_id not in (None, run.session_id)
    assert workshop.finish(run).session_id == retried.session_id


def test_a_resume_goes_on_in_its_session(workshop: Workshop) -> None:
    run = workshop.launch("[case:usage_limit]", on_usage_limit=OnUsageLimit.DEFER)
    waiting = again(workshop, run)
    assert (waiting.resumes, waiting.resume_of) == (1, run.session_id)
    workshop.claim()
    ended = workshop.finish(run)
    assert (ended.state, ended.session_id) == (State.COMPLETED, run.session_id)


def test_a_session_that_is_gone_is_begun_anew_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = workshop.folder / "sessions"
    monkeypatch.setenv(sessions.VARIABLE, str(kept))
    run = workshop.launch("[case:usage_limit]", on_usage_limit=OnUsageLimit.DEFER)
    again(workshop, run)
    assert run.session_id is not None
    os.unlink(kept / run.session_id)
    workshop.claim()
    anew = again(workshop, run)
    assert (anew.resume_of, anew.not_before) == (None, 0)
    assert "No conversation found" in (anew.error or "")
    workshop.claim()
    ended = workshop.finish(run)
    assert ended.session_id not in (None, run.session_id)
    assert ended.reason is Reason.USAGE_LIMIT, "the original prompt was given, not the other"
    assert "begun anew" in (ended.error or "")
    assert len(workshop.started()) == 3
    assert log_of(ended)["error"] == ended.error


# Limits and networks


def test_a_limit_told_in_words_alone_is_waited_for(workshop: Workshop) -> None:
    words = "text=You've_hit_your_limit_·_resets_2:06pm_(UTC)"
    run = workshop.launch(f"[case:usage_text {words}]", on_usage_limit=OnUsageLimit.DEFER)
    waiting = again(workshop, run)
    assert (waiting.reason, waiting.resumes) == (Reason.USAGE_LIMIT, 1)
    assert waiting.deferred_until is not None
    assert time.gmtime(waiting.deferred_until // 1000)[3:5] == (14, 6)
    give_up(workshop, run)


def test_a_429_without_a_reset_is_an_overload(workshop: Workshop) -> None:
    run = workshop.launch("[case:usage_text text=slow_down]", max_retries=1)
    waiting = again(workshop, run)
    assert (waiting.deferred_until, waiting.retries) == (None, 1)
    assert "attempt 1 failed" in (waiting.error or "")
    give_up(workshop, run)


def test_a_network_that_is_away_costs_no_retry(workshop: Workshop) -> None:
    run = workshop.launch("[case:unreachable]")
    for attempt in (2, 3):
        waiting = again(workshop, run)
        assert (waiting.attempt, waiting.retries) == (attempt, 0)
        assert waiting.unreachable_since is not None
        assert "ECONNRESET" in (waiting.error or "")
        assert "the network is away since" in (waiting.error or "")
        workshop.claim()
    since = again(workshop, run).unreachable_since
    assert since == waiting.unreachable_since, "it is counted from the first time"
    give_up(workshop, run)


def test_a_network_that_is_away_for_good_fails_the_run(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "NETWORK_PATIENCE_MS", 1)
    assert NETWORK_PATIENCE_MS == 15 * 60 * 1000
    run = workshop.launch("[case:unreachable]")
    again(workshop, run)
    workshop.claim()
    ended = workshop.finish(run)
    assert (ended.state, ended.reason) == (State.FAILED, Reason.AGENT_ERROR)
    assert ended.unreachable_since is not None


def test_a_network_that_breaks_down_in_the_middle_is_the_runs_own_failure(
    workshop: Workshop,
) -> None:
    agent = workshop.folder / "agent.sh"
    said = {"type": "assistant", "message": {"model": "m", "content": [{"type": "text"}]}}
    result = {"type": "result", "is_error": True, "result": "API Error: ECONNRESET"}
    text = "\n".join(json.dumps(event) for event in (said, result))
    agent.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit 1\n")
    agent.chmod(0o755)
    (workshop.folder / "claude").unlink()
    (workshop.folder / "claude").symlink_to(agent)
    assert workshop.run("hello").reason is Reason.AGENT_ERROR


# Unattended


def test_an_agent_does_not_schedule_behind_our_back(workshop: Workshop) -> None:
    assert workshop.run("[case:env name=CLAUDE_CODE_DISABLE_CRON]").output == "1"
    arguments = json.loads(workshop.run("[case:argv]").output)
    assert "--disallowedTools=ScheduleWakeup,SendMessage" in arguments


def test_what_a_task_allows_by_name_is_left_to_it(workshop: Workshop) -> None:
    allowed = ("CronCreate", "SendMessage(worker)")
    run = workshop.run("[case:env name=CLAUDE_CODE_DISABLE_CRON]", allowed_tools=allowed)
    assert run.output == "(unset)"
    arguments = json.loads(workshop.run("[case:argv]", allowed_tools=allowed).output)
    assert "--disallowedTools=ScheduleWakeup" in arguments


# A row that somebody spoiled under way


def spoil(workshop: Workshop, run: Run, assignment: str) -> None:
    connection = workshop.store._connection  # type: ignore[attr-defined]
    connection.execute(f"UPDATE task_runs SET {assignment} WHERE id = {run.id}")


def test_the_end_of_a_run_sets_its_row_right(workshop: Workshop) -> None:
    run = workshop.launch("say hello")
    spoil(workshop, run, "attempt = 'many', started_at = X'00'")
    sql = f"SELECT state FROM task_runs WHERE id = {run.id}"
    wait_until(
        lambda: (
            workshop.execution.settle(at=workshop.clock.now())
            or workshop.store._connection.rows(sql) == [("completed",)]  # type: ignore[attr-defined]
        )
    )
    run = workshop.store.get_run(run.id)
    assert (run.claim, run.attempt) == (1, 1)
    assert run.cost_usd is not None


def test_a_row_that_takes_no_write_keeps_no_other_end_from_being_recorded(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = workshop.launch("say hello"), workshop.launch("say hello")

    def refuse(*_: object, **__: object) -> bool:
        raise StorageValueError("a run that ended is never rewritten")

    monkeypatch.setattr(workshop.store, "mend_run", refuse)
    spoil(workshop, bad, "attempt = 'many'")
    assert workshop.finish(good).state is State.COMPLETED
    connection = workshop.store._connection  # type: ignore[attr-defined]
    sql = f"SELECT state, reason FROM task_runs WHERE id = {bad.id}"
    wait_until(
        lambda: (
            workshop.execution.settle(at=workshop.clock.now())
            or connection.rows(sql) == [("failed", "lost")]
        )
    )
    # Nobody can read the row, also not who checks the invariants.
    connection.execute("DELETE FROM outbox")
    connection.execute(f"DELETE FROM task_runs WHERE id = {bad.id}")
    workshop.starts.write_text(f"{good.id}.1\n")


# The event file


@pytest.mark.parametrize("claim", [1, 2])
def test_an_event_file_of_another_database_is_moved_aside(workshop: Workshop, claim: int) -> None:
    folder = Path(workshop.settings.folder.logs) / "1"
    folder.mkdir(parents=True)
    (folder / "1.events.jsonl").write_text('{"type":"of another"}\n')
    (folder / "1.events.run").write_text('{"run_id": 1, "queued_at": 7}')
    if claim == 1:
        run = workshop.run("say hello")
    else:
        run = workshop.launch("[case:api_error status=529]", max_retries=1)
        again(workshop, run)
        (folder / "1.events.jsonl").write_text('{"type":"of another"}\n')
        (folder / "1.events.run").write_text('{"run_id": 1, "queued_at": 7}')
        workshop.claim()
        run = workshop.finish(run)
    assert "of another" not in events_of(workshop, run).read_text()
    aside = sorted(folder.glob("1.events.jsonl.of-another-run.*"))
    assert [path.read_text() for path in aside] == ['{"type":"of another"}\n'] * claim


def test_a_retry_continues_the_event_file(workshop: Workshop) -> None:
    run = workshop.launch("[case:api_error status=529]", max_retries=1)
    again(workshop, run)
    workshop.claim()
    run = workshop.finish(run)
    events = [json.loads(line) for line in events_of(workshop, run).read_text().split("\n") if line]
    assert [event["type"] for event in events].count("result") == 2


def test_a_data_folder_that_is_gone_is_not_made_again(workshop: Workshop, tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "logs" / "1" / "1.events.jsonl"
    stream = EventStreamFile(str(gone), result_span=lambda: None, owner=EventsOwner(1, 7, 1))
    stream.write(b"{}\n")
    stream.close()
    assert stream.failure is not None
    assert not (tmp_path / "gone").exists()
    assert workshop.store.list_runs(RunFilter()) == []
