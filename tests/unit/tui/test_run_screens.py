"""Runs of a task and one run: live output, search, record, leaving while runs go on."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.run import Outcome, Reason, State
from claude_tasks.domain.store_records import Finish
from unit.tui.conftest import gone, shown, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task
    from unit.tui.conftest import Desk


def begin(desk: Desk, task: Task) -> Run:
    """A run of it that the UI's own node watches."""
    store: Any = desk.operations.changes
    at = desk.backend_now()
    desk.operations.runs.start(task.id, assigned_to=desk.node.id)
    [claimed] = store.claim_runs(desk.node.id, term=None, limit=9, per_node=True, at=at)
    run: Run = claimed.run
    return run


def end(desk: Desk, run: Run, **facts: Any) -> None:
    store: Any = desk.operations.changes
    at = desk.backend_now()
    outcome = Outcome(
        **{
            "state": State.COMPLETED,
            "reason": None,
            "started_at": at - 5000,
            "ended_at": at,
            **facts,
        }
    )
    store.finish_runs([Finish(run.id, run.claim, outcome, None)], at=at)


def events_of(desk: Desk, run: Run) -> Path:
    path = desk.logs / str(run.task_id) / f"{run.id}.events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def says(path: Path, *texts: str) -> None:
    with path.open("a") as file:
        for text in texts:
            content = [{"type": "text", "text": text}]
            event = {"type": "assistant", "message": {"content": content}}
            file.write(json.dumps(event) + "\n")


def test_output_comes_live_and_stands_still_while_one_reads_above(desk: Desk) -> None:
    """Defect 9: no output while it runs, and nothing refreshed."""
    run = begin(desk, desk.add("talks"))
    path = events_of(desk, run)
    says(path, *(f"line {number}" for number in range(60)))

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "line 59")  # the last line, beside the running task
        await pilot.press("l")
        await until(pilot, "line 59")
        says(path, "and one more")
        await until(pilot, "and one more")
        await pilot.press("home")
        await until(pilot, "line 0")
        says(path, "unseen")
        await until(pilot, "1 new lines below, End follows")
        assert "unseen" not in shown(pilot.app)
        await pilot.press("end")
        await until(pilot, "unseen")
        end(desk, run, output="# All done", cost_usd=0.5)
        screen = await until(pilot, "completed")
        assert "$0.5000" in await until(pilot, "$0.5000"), screen

    desk.drive(script, size=(120, 24))


def test_a_failed_run_shows_its_cause_in_the_list_and_in_the_record(desk: Desk) -> None:
    """A preflight failure with its cause, in the history screen (plan, cycle 4)."""
    cause = "usage could not be checked: no credentials"
    run = begin(desk, desk.add("cannot"))
    end(desk, run, state=State.FAILED, reason=Reason.PREFLIGHT, error=cause)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "failed: preflight")
        await pilot.press("enter")
        await until(pilot, cause)
        await pilot.press("enter")
        screen = await until(pilot, "trigger")
        assert cause in screen
        await pilot.press("escape")
        await until(pilot, "Runs of cannot")

    desk.drive(script, size=(160, 24))


def test_runs_are_searched_in_all_their_texts(desk: Desk) -> None:
    task = desk.add("many")
    for text in ("found a needle here", "only hay"):
        end(desk, begin(desk, task), output=text)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "many")
        await pilot.press("R")
        await until(pilot, "2 runs")
        await pilot.press("slash", *"needle", "enter")
        screen = await until(pilot, "1 run ")
        assert "found a needle" in screen
        assert "hay" not in screen
        await pilot.press("escape")
        await until(pilot, "2 runs")
        await pilot.press("f")
        await until(pilot, "No run fits.")
        await pilot.press("escape")
        await until(pilot, "tasks, by")

    desk.drive(script, size=(140, 24))


def test_leaving_says_that_runs_go_on(desk: Desk) -> None:
    """Defect 6: quitting while a run was in progress said nothing."""
    begin(desk, desk.add("goes on"))

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "goes on")
        await pilot.press("q")
        await until(pilot, "1 run goes on without this screen")
        await pilot.press("enter")
        await gone(pilot, "without this screen")
        assert pilot.app.is_running
        await pilot.press("q", "y")

    assert desk.drive(script).return_code == 0


def test_what_nobody_foresaw_leaves_a_file_and_ends_with_an_error(desk: Desk) -> None:
    desk.add("there")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "there")
        screen: Any = pilot.app.screen

        def fail() -> None:
            raise ZeroDivisionError("nobody foresaw this")

        screen.call_later(fail)
        await asyncio.sleep(0.3)

    app = desk.drive(script)
    assert "nobody foresaw this" in str(app.failure)
    [name] = [name for name in os.listdir(desk.settings.data) if name.startswith("tui-crash")]
    path = os.path.join(desk.settings.data, name)
    with open(path) as file:
        assert "ZeroDivisionError" in file.read()
    os.unlink(path)


def test_the_session_of_an_ended_run_is_copied_and_a_running_one_is_in_use(desk: Desk) -> None:
    """Defect 11: resuming worked on one system only, elsewhere nothing happened."""
    task = desk.add("resumed")
    first = begin(desk, task)
    end(desk, first, session_id="5f1e0f4e-0000-4000-8000-000000000000")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "completed")
        await pilot.press("l")
        await until(pilot, "session 5f1e0f4e")
        await pilot.press("y")
        await until(pilot, "Copied: /bin/true --resume")
        await pilot.press("escape")
        begin(desk, task)
        await until(pilot, "running")
        await pilot.press("o")
        await until(pilot, "its session is in use")

    desk.drive(script, size=(120, 24))


def test_pages_show_what_is_due_what_ran_why_and_what_holds(desk: Desk) -> None:
    task = desk.add("paged")
    end(desk, begin(desk, task), state=State.FAILED, reason=Reason.EXIT, error="it broke")
    desk.add("often", cron_expr="@every 90s")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "2 of 2 tasks")
        await pilot.press("A")
        screen = await until(pilot, "Agenda")
        screen = await until(pilot, "often: Every 1m 30s")
        assert "paged" in screen
        await pilot.press("escape", "T")
        screen = await until(pilot, "x failed")
        assert "·x·" in next(line for line in screen.splitlines() if line.startswith(" paged"))
        assert "~~~" in next(line for line in screen.splitlines() if line.startswith(" often"))
        await pilot.press("escape", "s")
        await until(pilot, "max_concurrent_runs  8  (default)")
        await pilot.press("escape", "D")
        await until(pilot, "PASS  database")
        await pilot.press("escape", "w")
        screen = await until(pilot, "Why · often")
        await until(pilot, "nobody schedules")
        await pilot.press("escape")
        await until(pilot, "2 of 2 tasks")

    desk.drive(script, size=(120, 60))
