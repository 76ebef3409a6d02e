"""The form of a task, made from the table of fields."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from textual.widgets import Input

from claude_tasks.domain.run import State
from claude_tasks.domain.task_fields import FIELDS
from claude_tasks.tui.screens.form import FormScreen
from unit.tui.conftest import gone, shown, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from unit.tui.conftest import Desk


async def type_into(pilot: Pilot[None], field: str, text: str) -> None:
    pilot.app.screen.query_one(f"#{field}").focus()
    await pilot.pause()
    await pilot.press(*("space" if letter == " " else letter for letter in text))
    await pilot.pause()


async def open_form(pilot: Pilot[None], key: str) -> None:
    await until(pilot, "tasks, by")
    await pilot.press(key)
    await until(pilot, "Save")
    await pilot.pause()


def test_every_field_is_reached_and_seen_at_80_by_24(desk: Desk) -> None:
    """Defect 1: the form did not scroll; one typed blind."""

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        reached = set()
        for _ in range(len(FIELDS) + 1):
            focused = pilot.app.screen.focused
            assert focused is not None
            assert focused.id in FIELDS
            reached.add(focused.id)
            screen = shown(pilot.app)
            assert FIELDS[focused.id].label in screen, f"{focused.id}\n{screen}"
            region = focused.region
            assert 0 < region.y < 24
            await pilot.press("tab")
            await pilot.pause()
        assert reached == set(FIELDS)

    desk.drive(script, size=(80, 24))


def test_a_new_task_is_saved_with_what_was_typed(desk: Desk) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await type_into(pilot, "name", "nightly review")
        await type_into(pilot, "prompt", "look at it")
        await type_into(pilot, "tags", "docs; night")
        await type_into(pilot, "cron_expr", "0 9 * * 1-5")
        screen = await until(pilot, "Monday through Friday")
        assert screen.count("09:00 UTC") >= 5
        await type_into(pilot, "max_budget_usd", "2.5")
        await pilot.press("ctrl+s")
        await until(pilot, "nightly review")
        await gone(pilot, "New task")

    desk.drive(script, size=(100, 50))
    [summary] = desk.operations.tasks.list()
    spec = summary.task.spec
    assert (spec.prompt, spec.tags, spec.max_budget_usd) == ("look at it", ("docs", "night"), 2.5)
    assert (spec.cron_expr, spec.timezone, spec.timeout_seconds) == ("0 9 * * 1-5", "UTC", 1800)


def test_an_error_stands_at_its_field_once_that_was_left_and_nowhere_before(desk: Desk) -> None:
    """Defects 8 and 12: errors showed later and elsewhere, or at fields nobody had touched."""

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        form = pilot.app.screen
        assert not form.query(".wrong")
        await type_into(pilot, "max_turns", "many")
        assert not form.query(".wrong")
        await pilot.press("tab")
        await until(pilot, "max_turns: 'many' is not a number")
        assert [row.id for row in form.query(".wrong")] == ["field-max_turns"]

    desk.drive(script, size=(100, 60))


def test_what_cannot_be_saved_is_said_at_the_field_which_gets_the_keys(desk: Desk) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await type_into(pilot, "name", "x")
        await type_into(pilot, "prompt", "y")
        await type_into(pilot, "timeout_seconds", "soon")
        await pilot.press("ctrl+s")
        await until(pilot, "timeout_seconds")
        assert pilot.app.screen.focused is not None
        assert pilot.app.screen.focused.id == "timeout_seconds"
        assert isinstance(pilot.app.screen, FormScreen)

    desk.drive(script, size=(80, 24))
    assert desk.operations.tasks.list() == []


def test_an_unchanged_save_writes_nothing(desk: Desk) -> None:
    """Defect 5: any save cleared the last and the next run."""
    task = desk.add(
        "whole", timeout_seconds=90, model="sonnet", permission_mode="plan", overlap="queue",
        allowed_tools=("Read", "Bash(npm test)"), tags=("a", "b"), max_budget_usd=0.25,
        slack_webhook="https://hooks.slack.com/services/x", prompt="two\nlines",
    )  # fmt: skip

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "e")
        await pilot.press("ctrl+s")
        await gone(pilot, "Save")

    desk.drive(script)
    assert desk.operations.tasks.get(task.id) == task


def test_an_edit_changes_what_was_typed_and_undo_takes_it_back(desk: Desk) -> None:
    task = desk.add("before", timeout_seconds=90, tags=("a",))

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "e")
        pilot.app.screen.query_one("#name", Input).cursor_position = len("before")
        await pilot.press("end", *"+after")
        await pilot.press("ctrl+s")
        await until(pilot, "before+after")
        changed = desk.operations.tasks.get(task.id)
        assert changed.spec == task.spec._replace(name="before+after")
        assert changed.next_run_at == task.next_run_at
        await pilot.press("z")
        await until(pilot, "Took back")

    desk.drive(script, size=(140, 30))
    assert desk.operations.tasks.get(task.id).spec == task.spec


def test_an_edit_made_elsewhere_meanwhile_is_shown_and_not_overwritten(desk: Desk) -> None:
    task = desk.add("mine", model="opus")

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "e")
        desk.operations.tasks.edit(task.id, {"model": "sonnet"})
        await type_into(pilot, "name", "x")
        await pilot.press("ctrl+s")
        await until(pilot, "was changed meanwhile (revision 2)")
        await until(pilot, "model: sonnet")
        await pilot.press("enter")
        await gone(pilot, "was changed meanwhile")
        assert isinstance(pilot.app.screen, FormScreen)
        spec = desk.operations.tasks.get(task.id).spec
        assert (spec.name, spec.model) == ("mine", "sonnet")
        await pilot.press("ctrl+s")
        await until(pilot, "was changed meanwhile")
        await pilot.press("tab", "enter")
        await gone(pilot, "Task 1")

    desk.drive(script)
    spec = desk.operations.tasks.get(task.id).spec
    assert (spec.name, spec.model) == ("x", "sonnet")


def test_a_task_without_schedule_and_time_is_asked_about_for_it_runs_at_once(desk: Desk) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await pilot.press(*"now", "tab", *"do it", "ctrl+s")
        await until(pilot, "it runs once, now")
        await pilot.press("enter")
        await gone(pilot, "it runs once, now")
        assert desk.operations.tasks.list() == []
        await pilot.press("ctrl+s")
        await until(pilot, "it runs once, now")
        await pilot.press("y")
        await gone(pilot, "New task")

    desk.drive(script)
    [summary] = desk.operations.tasks.list()
    spec = summary.task.spec
    assert (spec.name, spec.prompt, spec.working_dir) == ("now", "do it", os.getcwd())


def test_a_wrong_schedule_stands_at_its_field_and_is_not_saved(desk: Desk) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await type_into(pilot, "name", "x")
        await type_into(pilot, "prompt", "y")
        await type_into(pilot, "cron_expr", "0 25 * * *")
        await pilot.press("tab")
        await until(pilot, "cron_expr:")
        assert [row.id for row in pilot.app.screen.query(".wrong")] == ["field-cron_expr"]
        await pilot.press("ctrl+s")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, FormScreen)

    desk.drive(script)
    assert desk.operations.tasks.list() == []


def test_escape_throws_nothing_away_unasked(desk: Desk) -> None:
    """Defect 12: Esc threw everything away."""

    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await pilot.press("escape")
        await gone(pilot, "New task")
        await open_form(pilot, "a")
        await type_into(pilot, "name", "half")
        await pilot.press("escape")
        await until(pilot, "Throw away what you typed?")
        await pilot.press("enter")
        await gone(pilot, "Throw away what")
        assert "half" in shown(pilot.app)
        await pilot.press("escape")
        await until(pilot, "Throw away what you typed?")
        await pilot.press("y")
        await gone(pilot, "New task")

    desk.drive(script)
    assert desk.operations.tasks.list() == []


def test_a_one_off_says_when_it_runs(desk: Desk) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await open_form(pilot, "a")
        await type_into(pilot, "name", "once")
        await type_into(pilot, "prompt", "now")
        await type_into(pilot, "scheduled_at", "in 2h")
        await pilot.press("ctrl+s")
        await until(pilot, "in 1h 59m")

    desk.drive(script, size=(100, 50))
    [summary] = desk.operations.tasks.list()
    assert summary.task.is_one_off
    assert summary.last_run_state is not State.COMPLETED
