"""What people do with tasks: every edit survives, every due tick is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import ConflictError, InvalidInputError, NotFoundError
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.store_records import ArmedSpec, RunFilter, TaskEdit
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.operations.exchange import export_tasks, parse_tasks
from claude_tasks.operations.tasks import TaskOperations
from support.builders import ME, MINUTELY, lead, spec

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.revision import Actor
    from support.clock import FakeClock


@pytest.fixture
def tasks(store: Store, clock: FakeClock) -> TaskOperations:
    return TaskOperations(store, clock, actor=ME)


def fire(store: Store, at: int) -> None:
    term = lead(store, at=at)
    store.record_ticks(term, [plan_ticks(t, at=at) for t in store.due_tasks(at=at, limit=9)], at=at)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "  "}, "Name is required"),
        ({"prompt": "\n"}, "Prompt is required"),
        ({"cron_expr": "*/70 * * * *"}, "Invalid cron expression"),
        ({"cron_expr": "* * 30 2 *"}, "Invalid cron expression"),
        ({"timezone": "Mars/Olympus", "cron_expr": MINUTELY}, "time zone"),
        ({"timezone": "Mars/Olympus"}, "time zone"),
        ({"timeout_seconds": 0}, "timeout_seconds must be between"),
        ({"max_budget_usd": float("nan")}, "max_budget_usd must be between"),
        ({"overlap": "sometimes"}, "overlap"),
        ({"permission_mode": "yolo"}, "permission_mode"),
        ({"name": "x" * 201}, "too long"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"tags": ("\ud800",)}, "Unicode"),
        ({"notify_on": "never"}, "notify_on"),
        ({"max_turns": True}, "must be a number"),
        ({"name": "two\nlines"}, "one line"),
        ({"name": "\x1b[31mred"}, "one line"),
        ({"extra_args": ("--output-format=text",)}, "what runs depend on"),
    ],
)
def test_nonsense_is_refused_by_field(
    tasks: TaskOperations, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tasks.add(spec(**fields))
    assert tasks.list() == []


def test_a_one_off_without_a_time_is_due_now(tasks: TaskOperations, clock: FakeClock) -> None:
    task = tasks.add(spec())
    assert (task.spec.scheduled_at, task.next_run_at) == (clock.now(), clock.now())


def test_a_task_is_found_by_id_or_by_a_name_of_its_own(tasks: TaskOperations) -> None:
    one = tasks.add(spec(name="one"))
    for _ in range(2):
        tasks.add(spec(name="two"))
    assert tasks.get(one.id) == tasks.get(str(one.id)) == tasks.get("one") == one
    with pytest.raises(ConflictError, match="2 tasks are named"):
        tasks.get("two")
    with pytest.raises(NotFoundError):
        tasks.get("three")


def test_changing_the_prompt_leaves_the_schedule_alone(
    tasks: TaskOperations, clock: FakeClock
) -> None:
    task = tasks.add(spec(cron_expr="@every 1h"))
    clock.advance(600)
    edited = tasks.edit(task.id, {"prompt": "new"})
    assert (edited.spec.prompt, edited.next_run_at) == ("new", task.next_run_at)
    assert edited.anchor_at == task.anchor_at


def test_a_new_schedule_counts_from_now(tasks: TaskOperations, clock: FakeClock) -> None:
    task = tasks.add(spec(cron_expr="@every 1h"))
    clock.advance(600)
    edited = tasks.edit(task.id, {"cron_expr": "@every 2h"})
    assert edited.next_run_at is not None
    assert abs(edited.next_run_at - (clock.now() + 7_200_000)) < 1000


def test_an_edit_without_a_difference_is_none(tasks: TaskOperations) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY))
    assert tasks.edit(task.id, {"prompt": task.spec.prompt}).revision == 1


def test_a_lost_update_is_refused(tasks: TaskOperations) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY))
    tasks.edit(task.id, {"prompt": "theirs"})
    with pytest.raises(ConflictError) as caught:
        tasks.edit(task.id, {"prompt": "mine"}, expected_revision=task.revision)
    assert caught.value.code == "revision_conflict"
    assert tasks.get(task.id).spec.prompt == "theirs"


def test_an_edit_that_loses_a_race_is_made_again_on_what_won(
    tasks: TaskOperations, store: Store
) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY))
    write = store.edit_task
    raced: list[bool] = []

    def lose_once(edit: TaskEdit, *, actor: Actor, at: int) -> bool:
        if not raced:
            raced.append(True)
            other = TaskEdit(
                task.id, task.revision, task.cursor_at, task.next_run_at, {"model": "theirs"}
            )
            assert write(other, actor=actor, at=at)
        return write(edit, actor=actor, at=at)

    store.edit_task = lose_once  # type: ignore[method-assign]
    edited = tasks.edit(task.id, {"prompt": "mine"})
    assert (edited.spec.prompt, edited.spec.model, edited.revision) == ("mine", "theirs", 3)


def test_disabling_accounts_for_what_was_due(
    tasks: TaskOperations, store: Store, clock: FakeClock
) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY))
    clock.advance(150)
    disabled = tasks.disable(task.id)
    assert disabled.next_run_at is None
    [row] = store.list_runs(RunFilter())
    assert (row.state, row.reason, row.skipped_count) == (State.SKIPPED, Reason.DISABLED, 2)


def test_enabling_makes_up_for_nothing(tasks: TaskOperations, clock: FakeClock) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY, enabled=False))
    clock.advance(3600)
    enabled = tasks.enable(task.id)
    assert enabled.next_run_at is not None
    assert enabled.next_run_at > clock.now()


def test_a_one_off_that_has_fired_is_not_armed_again_by_enabling_it(
    tasks: TaskOperations, store: Store, clock: FakeClock
) -> None:
    task = tasks.add(spec())
    fire(store, clock.now())
    with pytest.raises(ConflictError, match="has passed") as caught:
        tasks.enable(task.id)
    assert "--at" in (caught.value.hint or "")


def test_a_new_time_arms_a_one_off_that_has_fired(
    tasks: TaskOperations, store: Store, clock: FakeClock
) -> None:
    task = tasks.add(spec())
    fire(store, clock.now())
    later = clock.now() + 60_000
    moved = tasks.edit(task.id, {"scheduled_at": later})
    assert (moved.spec.enabled, moved.next_run_at) == (True, later)


def test_moving_a_one_off_takes_its_queued_run_along(
    tasks: TaskOperations, store: Store, clock: FakeClock
) -> None:
    task = tasks.add(spec())
    fire(store, clock.now())
    tasks.edit(task.id, {"scheduled_at": clock.now() + 60_000})
    [row] = store.list_runs(RunFilter())
    assert (row.state, row.reason) == (State.SKIPPED, Reason.RESCHEDULED)


def test_a_one_off_is_not_moved_back_onto_a_time_that_had_its_run(
    tasks: TaskOperations, store: Store, clock: FakeClock
) -> None:
    task = tasks.add(spec())
    fired_at = clock.now()
    fire(store, fired_at)
    tasks.edit(task.id, {"scheduled_at": fired_at + 60_000})
    with pytest.raises(ConflictError, match="had its run for that time already"):
        tasks.edit(task.id, {"scheduled_at": fired_at})


def test_another_zone_does_not_arm_a_spent_one_off(tasks: TaskOperations, clock: FakeClock) -> None:
    task = tasks.add(spec())
    clock.advance(1)
    tasks.disable(task.id)
    tasks.edit(task.id, {"timezone": "Asia/Tokyo"})
    with pytest.raises(ConflictError, match="has passed"):
        tasks.enable(task.id)


def test_a_disabled_one_off_that_was_never_due_can_be_enabled(
    tasks: TaskOperations, clock: FakeClock
) -> None:
    task = tasks.add(spec(scheduled_at=clock.now() + 60_000))
    tasks.disable(task.id)
    assert tasks.enable(task.id).next_run_at == clock.now() + 60_000


def test_a_restored_task_goes_on_from_now(tasks: TaskOperations, clock: FakeClock) -> None:
    task = tasks.add(spec(cron_expr=MINUTELY))
    removed = tasks.remove(task.id)
    assert removed is not None
    assert removed.deleted_at == clock.now()
    with pytest.raises(NotFoundError):
        tasks.get(task.id)
    clock.advance(3600)
    restored = tasks.restore(task.id)
    assert restored.next_run_at is not None
    assert restored.next_run_at > clock.now()
    with pytest.raises(ConflictError, match="not deleted"):
        tasks.restore(task.id)


def test_a_removed_and_restored_one_off_still_fires(
    tasks: TaskOperations, clock: FakeClock
) -> None:
    later = clock.now() + 60_000
    task = tasks.add(spec(scheduled_at=later))
    tasks.remove(task.id)
    assert tasks.restore(task.id).next_run_at == later


def test_many_are_added_or_none_and_the_bad_one_is_named(tasks: TaskOperations) -> None:
    with pytest.raises(InvalidInputError, match=r"task 2 \(second\): Invalid cron expression"):
        tasks.add_all([spec(name="first"), spec(name="second", cron_expr="nonsense")])
    assert tasks.list() == []


def test_an_export_reads_back_as_equal_tasks(tasks: TaskOperations, clock: FakeClock) -> None:
    specs = [
        spec(name="a", cron_expr="0 0 9 * * MON", timezone="Europe/Paris", tags=("x",)),
        spec(name="b", scheduled_at=clock.now() + 60_000, model="opus", max_budget_usd=0.5),
        spec(name="c", cron_expr="@daily", enabled=False, allowed_tools=("Read",)),
    ]
    tasks.add_all(specs)
    document = export_tasks([summary.task for summary in reversed(tasks.list())])
    assert parse_tasks(document, local_zone=str) == specs


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": 5}, "name must be text"),
        ({"nmae": "x"}, "unknown field 'nmae'"),
        ({"tags": "x"}, "tags must be a list"),
        ({"max_turns": 1.5}, "max_turns must be a whole number"),
        ({"enabled": "yes"}, "enabled must be true or false"),
        ({"scheduled_at": "tomorrow"}, "task 1"),
        ("text", "a task is an object"),
    ],
)
def test_a_bad_document_names_task_and_field(entry: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_tasks({"tasks": [entry]}, local_zone=lambda: "UTC")
    with pytest.raises(InvalidInputError, match="no list of tasks"):
        parse_tasks(["x"], local_zone=lambda: "UTC")


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("discord_webhook", "foo"),
        ("slack_webhook", "ftp://hooks.example/x"),
        ("webhook_url", "https://"),
        ("webhook_url", "http://host:port/x"),
        ("apprise_url", "tgram"),
    ],
)
def test_an_address_that_is_none_is_refused_when_it_is_said(
    store: Store, clock: FakeClock, field: str, address: str
) -> None:
    operations = TaskOperations(store, clock, actor=ME)
    with pytest.raises(InvalidInputError, match=field):
        operations.add(spec(cron_expr="@daily", **{field: address}))
    task = operations.add(spec(cron_expr="@daily"))
    with pytest.raises(InvalidInputError, match=field):
        operations.edit(task.id, {field: address})


def test_a_task_kept_with_a_bad_address_stays_editable(store: Store, clock: FakeClock) -> None:
    [task_id] = store.add_tasks(
        [ArmedSpec(spec(cron_expr="@daily", slack_webhook="foo"), clock.now(), clock.now(), None)],
        actor=ME,
        at=clock.now(),
    )
    assert TaskOperations(store, clock, actor=ME).edit(task_id, {"name": "new"}).name == "new"
