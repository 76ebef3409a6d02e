"""Rows that somebody else wrote: each command says what is wrong, and one command helps."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from claude_tasks.settings import load_settings
from claude_tasks.storage.records import TASK_COLUMNS
from claude_tasks.wiring.operations import open_operations
from support.profile import some

if TYPE_CHECKING:
    from unit.cli.command_line import CommandLine


def rewrite(cli: CommandLine, sql: str) -> None:
    path = f"{cli.environment['CLAUDE_TASKS_DATA']}/tasks.db"
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        file.execute(sql)


@pytest.fixture
def two_tasks(cli: CommandLine) -> CommandLine:
    for name in ("one", "two"):
        cli.good("add", name, "Look.", "--every", "1h")
    with contextlib.closing(open_operations(load_settings(cli.environment))) as operations:
        operations.runs.start(1)  # it waits in the queue
    return cli


@pytest.mark.parametrize(
    "change",
    [
        "name = X'00ff'",
        "tags = '{'",
        f"tags = '{'[' * 100_000}'",
        "revision = 'x', prompt = 7",
    ],
)
def test_a_task_whose_row_makes_no_sense_can_be_taken_away(
    two_tasks: CommandLine, change: str
) -> None:
    rewrite(two_tasks, f"UPDATE tasks SET {change} WHERE id = 1")
    for refused in ("show", "disable", "why"):
        outcome = two_tasks(refused, "1")
        assert (outcome.code, "claude-tasks rm 1" in outcome.err) == (5, True), outcome.err
    doctor = two_tasks("doctor", "tasks")
    assert "its row cannot be read" in doctor.out
    assert "fix: claude-tasks rm 1" in doctor.out
    assert two_tasks.good("rm", "1").out == "Deleted task 1. Its runs stay.\n"
    for gone in ("rm", "disable"):
        assert two_tasks(gone, "1").code == 3
    assert [task["name"] for task in two_tasks.good("list", "--json").json["tasks"]] == ["two"]
    assert "PASS  tasks" in two_tasks.good("doctor", "tasks").out
    [run] = two_tasks.good("runs", "--json").json["runs"]
    assert (run["state"], run["reason"]) == ("skipped", "deleted")
    assert "claude-tasks rm" not in two_tasks("restore", "1").err  # a revision is set right by it


def test_a_list_names_the_tasks_that_it_leaves_out_and_names_lead_to_them(
    two_tasks: CommandLine,
) -> None:
    rewrite(two_tasks, "UPDATE tasks SET extra_args = 'x' WHERE id = 1")
    listed = two_tasks.good("list")
    assert "two" in listed.out
    assert 'Note: task 1 "one": its row cannot be read: ' in listed.err
    assert "take it away with: claude-tasks rm 1" in listed.err
    refused = two_tasks("why", "one")
    assert (refused.code, "claude-tasks rm 1" in refused.err) == (5, True)
    assert 'task 1 "one"' in two_tasks("doctor", "tasks").out
    assert two_tasks.good("rm", "one").out == "Deleted task 1. Its runs stay.\n"
    assert two_tasks.good("list").err == ""

    rewrite(two_tasks, "UPDATE tasks SET extra_args = 'x' WHERE id = 2")
    assert two_tasks.good("list").out == "No task that can be read.\n"


@pytest.mark.parametrize("changes", ["{", "[" * 100_000, "[1]", '{"a": 7}'])
def test_a_change_that_makes_no_sense_hides_no_other(cli: CommandLine, changes: str) -> None:
    cli.good("add", "one", "Look.", "--every", "1h")
    cli.good("edit", "1", "--model", "opus")
    rewrite(cli, f"UPDATE task_revisions SET changes = '{changes}' WHERE revision = 1")
    assert "model" in cli.good("show", "1").out


def test_a_task_whose_last_run_makes_no_sense_is_listed_without_it(two_tasks: CommandLine) -> None:
    rewrite(two_tasks, "UPDATE tasks SET last_run_id = 1 WHERE id = 1")
    rewrite(two_tasks, "UPDATE task_runs SET state = 'odd' WHERE id = 1")
    assert {task["name"] for task in two_tasks.good("list", "--json").json["tasks"]} == {
        "one",
        "two",
    }
    assert two_tasks.good("list").err == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE scheduler_leases SET epoch = 'zzz'", "epoch is 'zzz'"),
        ("UPDATE scheduler_leases SET holder = X'00ff'", "holder is b'\\x00\\xff'"),
        ("DELETE FROM scheduler_leases", "it is missing"),
    ],
)
def test_status_and_why_say_what_is_wrong_with_the_lease_and_all_the_rest(
    two_tasks: CommandLine, change: str, says: str
) -> None:
    rewrite(two_tasks, change)
    status = two_tasks.good("status")
    assert f"! lease scheduler: its row cannot be read: {says}" in status.out
    assert "none lives; start one with: claude-tasks daemon" in status.out
    assert "0 of 8 running, 1 queued" in status.out
    view = two_tasks.good("status", "--json").json
    assert view["lease"] is None
    assert says in view["lease_problem"]
    why = two_tasks.good("why", "1").out
    assert says in why
    assert "start one with: claude-tasks daemon" in why


def test_a_task_whose_schedule_makes_no_sense_is_shown_with_the_command_that_mends_it(
    two_tasks: CommandLine,
) -> None:
    rewrite(two_tasks, "UPDATE tasks SET cron_expr = '61 * * * *' WHERE id = 1")
    why = two_tasks.good("why", "one").out
    assert "! schedule" in why
    assert "'61' is not a minute; claude-tasks edit 1 --cron <EXPRESSION>" in why
    for look in (("show", "one"), ("next", "one")):
        said = two_tasks.good(*look).out
        assert "'61' is not a minute; claude-tasks edit 1 --cron <EXPRESSION>" in said
    assert two_tasks.good("next", "one", "--json").json["next_runs"] == []
    two_tasks.good("edit", "1", "--cron", "0 9 * * *")
    assert "! schedule" not in two_tasks.good("why", "one").out


@pytest.mark.parametrize("value", ["X'ff'", "'zzz'", "9000000000000000000", """'["\\ud800"]'"""])
@pytest.mark.parametrize("column", some(TASK_COLUMNS[1:-1], quick=8))
def test_whatever_stands_in_a_task_no_list_fails_and_each_task_is_shown_or_named(
    two_tasks: CommandLine, column: str, value: str
) -> None:
    rewrite(two_tasks, f"UPDATE tasks SET {column} = {value} WHERE id = 1")
    if column == "deleted_at":
        return
    for look in (("list", "--json"), ("list",), ("export",), ("status",), ("list", "--all")):
        assert two_tasks(*look).code == 0
    listed = two_tasks.good("list", "--json")
    shown = {task["id"] for task in listed.json["tasks"]}
    assert shown >= {2}
    assert (1 in shown) == (two_tasks("show", "1").code == 0)
    named = 'Note: task 1 "' in listed.err and "its row cannot be read" in listed.err
    named = named or "Note: task 1: its row cannot be read" in listed.err  # whose name is none
    assert (1 in shown) != named


def test_a_cell_without_end_fills_no_message(two_tasks: CommandLine) -> None:
    rewrite(two_tasks, "UPDATE tasks SET prompt = zeroblob(1000000) WHERE id = 1")
    assert len(two_tasks("show", "1").err) < 1000
    rewrite(two_tasks, "UPDATE task_runs SET state = hex(zeroblob(1000000)) WHERE id = 1")
    assert len(two_tasks("logs", "1").err) < 1000
