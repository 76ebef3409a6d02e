"""The main screen: what is selected, searched, deleted, undone; each flow by its keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.domain.run import State
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.tui import dashboard
from unit.tui.conftest import gone, shown, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from claude_tasks.operations.facade import Operations
    from claude_tasks.tui.dashboard import Dashboard
    from unit.tui.conftest import Desk


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


def test_the_selection_is_a_task_and_stays_while_others_come_and_go(desk: Desk) -> None:
    """Defect 4: a row number was selected, and `d` asked to delete another task."""
    tasks = [desk.add(f"task {number}") for number in range(3)]

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "3 of 3 tasks")
        await press(pilot, "j")
        desk.add("added elsewhere")
        await until(pilot, "4 of 4 tasks")
        await press(pilot, "d")
        await until(pilot, 'Delete task 2 "task 1"?')
        await press(pilot, "escape")
        desk.operations.tasks.remove(tasks[1].id)
        await until(pilot, "3 of 3 tasks")
        await press(pilot, "d")
        await until(pilot, 'Delete task 1 "task 0"?')

    desk.drive(script)


def test_a_found_task_has_all_keys_after_enter(desk: Desk) -> None:
    """Defect 2: after Enter every key but Esc was swallowed."""
    for name in ("backup", "nightly review", "audit"):
        desk.add(name, tags=("docs",) if name == "audit" else ())

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "3 of 3 tasks")
        await press(pilot, "slash", *"nrev", "enter")
        screen = await until(pilot, "1 of 3 tasks")
        assert "nightly review" in screen
        await press(pilot, "t")
        await until(pilot, '"nightly review" is off')
        await press(pilot, "enter")
        await until(pilot, "Runs of nightly review")
        await press(pilot, "escape")
        await until(pilot, "1 of 3 tasks")
        await press(pilot, "escape")
        await until(pilot, "3 of 3 tasks")
        await press(pilot, "G", "slash", *"i", "enter", "d")
        await until(pilot, 'Delete task 3 "audit"?')
        await press(pilot, "escape", "escape")
        await press(pilot, "slash", *"tag:do", "enter")
        assert "audit" in await until(pilot, "1 of 3 tasks")

    desk.drive(script)
    assert desk.operations.tasks.get("nightly review").spec.enabled is False


def test_delete_names_its_target_begins_at_no_and_is_taken_back(desk: Desk) -> None:
    """Defect 14: delete took all runs with it, and there was no undo."""
    task = desk.add("precious")
    desk.operations.runs.start(task.id)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "precious")
        await press(pilot, "d")
        await until(pilot, 'Delete task 1 "precious"?')
        await press(pilot, "enter")
        await gone(pilot, "Delete task")
        assert desk.operations.tasks.list()
        await press(pilot, "d", "tab", "enter")
        await until(pilot, "No tasks yet")
        assert desk.operations.tasks.list() == []
        await press(pilot, "z")
        await until(pilot, "precious")

    desk.drive(script)
    [summary] = desk.operations.tasks.list()
    assert summary.task.id == task.id
    assert len(desk.operations.runs.list(RunFilter(task_id=task.id))) == 1


@pytest.mark.parametrize("lives", [False, True])
def test_run_now_works_with_the_scheduler_off_and_beside_a_daemon(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    lives: bool,  # noqa: FBT001 (a case)
) -> None:
    """Defect 16: with the scheduler off nothing happened."""
    from claude_tasks.operations.status import StatusOperations  # noqa: PLC0415 (to replace a part)

    task = desk.add("by hand")
    monkeypatch.setattr(StatusOperations, "scheduler_lives", lambda _self: lives)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "by hand")
        await press(pilot, "r")
        await until(pilot, 'Run 1 of "by hand" queued')
        await until(pilot, "queued")

    desk.drive(script)
    [run] = desk.operations.runs.list(RunFilter(task_id=task.id))
    assert run.assigned_to == (None if lives else desk.node.id)
    assert desk.node.woken == 1


def test_toggle_shows_what_it_did_and_undo_takes_it_back(desk: Desk) -> None:
    desk.add("on and off")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "on and off")
        await press(pilot, "t")
        await until(pilot, '"on and off" is off')
        await press(pilot, "z")
        await until(pilot, "Took back")
        await press(pilot, "z")
        await until(pilot, "Nothing to take back")

    desk.drive(script)
    assert desk.operations.tasks.get("on and off").spec.enabled


def test_a_queued_run_is_cancelled_once_one_agreed(desk: Desk) -> None:
    task = desk.add("long")
    run = desk.operations.runs.start(task.id)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "long")
        await press(pilot, "l")
        await until(pilot, 'Run 1 of task 1 "long": queued')
        await press(pilot, "c", "enter")
        await gone(pilot, "with everything it started")
        assert desk.operations.runs.get(run.id).state is State.QUEUED
        await press(pilot, "c", "y")
        await until(pilot, "cancelled")

    desk.drive(script)
    assert desk.operations.runs.get(run.id).state is State.CANCELLED


def test_every_key_of_the_registry_is_in_the_help_which_does_it(desk: Desk) -> None:
    """Defect 13: help left out keys."""
    from claude_tasks.tui.actions import ACTIONS, TASKS, shown_key  # noqa: PLC0415 (one test's)

    desk.add("helped")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "helped")
        await press(pilot, "question_mark")
        screen = await until(pilot, "type to search")
        for action in ACTIONS:
            if TASKS in action.places:
                assert f"{shown_key(action.keys):<8}{action.label}" in screen, action.id
        await press(pilot, *"stop it from", "enter")
        await until(pilot, '"helped" is off')

    desk.drive(script, size=(120, 60))


def test_columns_give_way_and_how_it_went_stays(desk: Desk) -> None:
    """Defect 10: at 40 columns the status was gone; wide terminals stopped at 160."""
    desk.add("a task with quite a long name that goes on")

    async def script(pilot: Pilot[None]) -> None:
        screen = await until(pilot, "never ran")
        assert "NEXT RUN" not in screen
        await pilot.resize_terminal(200, 30)
        screen = await until(pilot, "SAID")
        assert max(map(len, screen.splitlines())) > 160
        assert "At 02:00 every day" in screen
        await pilot.resize_terminal(80, 24)
        await until(pilot, "NEXT RUN")

    desk.drive(script, size=(40, 12))


def test_words_of_others_steer_no_terminal(desk: Desk) -> None:
    desk.operations.tasks.add(desk.add("x").spec._replace(name="bold [red]é漢字"))

    async def script(pilot: Pilot[None]) -> None:
        screen = await until(pilot, "bold [red]é漢")
        assert "\x1b" not in screen

    desk.drive(script)


def test_a_database_that_is_locked_is_a_banner(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from claude_tasks.domain.errors import StorageBusyError  # noqa: PLC0415 (one test's)

    desk.add("there")
    really = dashboard.take
    locked = False

    def take(operations: Operations, before: Dashboard | None = None) -> Dashboard:
        if locked:
            raise StorageBusyError("another process keeps the database locked")
        return really(operations, before)

    monkeypatch.setattr("claude_tasks.tui.app.take", take)

    async def script(pilot: Pilot[None]) -> None:
        nonlocal locked
        await until(pilot, "there")
        locked = True
        desk.add("another")
        screen = await until(pilot, "keeps the database locked")
        assert "there" in screen
        locked = False
        desk.add("a third")
        await until(pilot, "3 of 3 tasks")
        assert "locked" not in shown(pilot.app)

    desk.drive(script)


def test_a_node_that_cannot_go_on_leaves_the_screen_and_says_so(desk: Desk) -> None:
    desk.add("there")

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "there")
        desk.node.failure = RuntimeError("gone")
        screen = await until(pilot, "This process starts nothing any more")
        assert "there" in screen
        await press(pilot, "q")

    assert desk.drive(script).return_code == 0


def test_keys_are_given_to_other_actions_in_the_config_file(desk: Desk) -> None:
    desk.add("remapped")
    config = Path(desk.settings.folder.config)
    config.write_text('max_concurrent_runs = 3\n[keys]\ntoggle = "x"\n')
    config.chmod(0o600)

    async def script(pilot: Pilot[None]) -> None:
        await until(pilot, "remapped")
        await press(pilot, "t")
        await press(pilot, "x")
        await until(pilot, '"remapped" is off')

    desk.drive(script)
    assert desk.operations.tasks.get("remapped").revision == 2


@pytest.mark.parametrize(
    ("table", "said"), [('fly = "x"', "there is no action fly"), ("run = 7", "no table of texts")]
)
def test_keys_that_make_no_sense_are_refused_before_it_opens(
    desk: Desk, table: str, said: str
) -> None:
    config = Path(desk.settings.folder.config)
    config.write_text(f"[keys]\n{table}\n")
    config.chmod(0o600)
    with pytest.raises(ConfigurationError, match=said):
        desk.backend()
