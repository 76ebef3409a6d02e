"""What existing clients of API v1 make of our answers: zones, one-offs, permission modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.installation import Installation

V1 = (
    "name", "prompt", "cron_expr", "scheduled_at", "working_dir",
    "discord_webhook", "slack_webhook", "model", "permission_mode", "enabled",
)  # fmt: skip
"""What a form of an existing client shows, and sends back whole on Save."""

DAILY = {"name": "daily", "prompt": "hello", "cron_expr": "0 9 * * *", "enabled": True}


def _served(installation: Installation, **environment: str) -> Iterator[Server]:
    started = Server(installation, **environment)
    yield started
    started.close()


@pytest.fixture
def tokyo(installation: Installation) -> Iterator[Server]:
    """A server on a machine in Tokyo; nothing there changes its clocks."""
    yield from _served(installation, TZ="Asia/Tokyo")


# The server's zone


def test_a_task_without_a_zone_fires_by_the_server_s_clocks(tokyo: Server) -> None:
    answer = tokyo.client.post("/tasks", json=DAILY)
    assert answer.status_code == 201
    task = answer.json()
    assert task["timezone"] == "Asia/Tokyo"
    assert task["next_run_at"].endswith("T00:00:00Z"), "9 in Tokyo"
    preview = tokyo.client.post("/schedules/preview", json={"cron_expr": "0 9 * * *"}).json()
    assert preview["timezone"] == "Asia/Tokyo"
    assert preview["next_runs"][0]["at"] == task["next_run_at"]
    named = tokyo.client.post("/tasks", json={**DAILY, "timezone": "UTC"}).json()
    assert named["timezone"] == "UTC"
    assert named["next_run_at"].endswith("T09:00:00Z")


def test_a_put_without_a_zone_leaves_it(tokyo: Server) -> None:
    task = tokyo.add(timezone="America/Lima")
    after = tokyo.client.put(f"/tasks/{task['id']}", json={**DAILY, "name": "new"}).json()
    assert (after["name"], after["timezone"]) == ("new", "America/Lima")


def test_a_server_whose_zone_is_none_takes_utc_and_says_so(installation: Installation) -> None:
    for server in _served(installation, TZ="Mars/Olympus"):
        assert server.add()["timezone"] == "UTC"
        assert server.log.count("TZ=Mars/Olympus is no IANA time zone") == 1


# A Save: the fields of API v1 as they were answered, sent back


def save(server: Server, task: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The task after a Save; ``None`` leaves a field out."""
    form = {name: task[name] for name in V1 if name in task} | changed
    body = {name: value for name, value in form.items() if value is not None}
    answer = server.client.put(f"/tasks/{task['id']}", json=body)
    assert answer.status_code == 200, answer.text
    after: dict[str, Any] = answer.json()
    return after


def runs_of(server: Server, task: dict[str, Any]) -> int:
    return int(server.get(f"/tasks/{task['id']}/runs")["total"])


def first_run(server: Server, task: dict[str, Any]) -> int:
    """The run of a one-off, once it fired."""
    latest = f"/tasks/{task['id']}/runs/latest"
    run: int = wait_until(lambda: server.client.get(latest).json().get("id"), what="it fired")
    return run


def fired(server: Server, **fields: Any) -> dict[str, Any]:
    """A one-off that had its run."""
    task = server.add(**{"cron_expr": "", **fields})
    server.ended(first_run(server, task))
    after: dict[str, Any] = server.get(f"/tasks/{task['id']}")
    return after


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"permission_mode": "plan", "model": "opus", "working_dir": "/srv"},
        {"permission_mode": "default"},
        {"enabled": False},
        {"cron_expr": "", "scheduled_at": "2099-05-06T07:08:09.123Z"},
        {"cron_expr": "", "enabled": False},
    ],
)
def test_a_save_without_a_change_changes_nothing(server: Server, fields: dict[str, Any]) -> None:
    task = server.add(**fields)
    assert save(server, task) == task
    assert server.get(f"/tasks/{task['id']}") == task


def test_the_mode_in_force_is_always_answered_and_a_save_chooses_none(
    shared_installation: Installation, server: Server
) -> None:
    kept = shared_installation.operations.tasks
    for fields, mode in (({}, None), ({"permission_mode": "default"}, "default")):
        task = server.add(**fields)
        assert task["permission_mode"] == "default"
        assert save(server, task, name="new")["permission_mode"] == "default"
        assert kept.get(task["id"]).spec.permission_mode == mode
    listed = server.get("/tasks")["tasks"]
    assert {"permission_mode"} <= set.intersection(*(set(entry) for entry in listed))
    task = server.add(permission_mode="plan")
    assert save(server, task, permission_mode="default")["permission_mode"] == "default"
    assert kept.get(task["id"]).spec.permission_mode == "default"
    patched = server.add()
    server.client.patch(f"/tasks/{patched['id']}", json={"permission_mode": "default"})
    assert kept.get(patched["id"]).spec.permission_mode == "default", "a PATCH means what it names"


@pytest.mark.parametrize("enabled", [None, False, True])
def test_a_save_neither_arms_nor_runs_a_one_off_again(
    server: Server, *, enabled: bool | None
) -> None:
    for when in (None, "2020-01-02T03:04:05.678Z"):
        task = fired(server, scheduled_at=when)
        assert task.get("scheduled_at") == when
        assert not task["enabled"]
        for shown in (when, when and "2020-01-02T03:04:00Z", None):
            after = save(server, task, name=f"as {shown}", scheduled_at=shown, enabled=enabled)
            assert after["name"] == f"as {shown}"
            assert not after["enabled"]
            assert "next_run_at" not in after
            assert after.get("scheduled_at") == when
        assert runs_of(server, task) == 1


def test_a_one_off_that_has_fired_is_armed_by_a_new_time(server: Server) -> None:
    task = fired(server)
    later = "2099-05-06T07:08:09Z"
    after = save(server, task, scheduled_at=later, enabled=True)
    assert after["scheduled_at"] == after["next_run_at"] == later
    assert after["enabled"]
    kept_off = save(server, fired(server), scheduled_at=later)  # the switch as it was read
    assert (kept_off["scheduled_at"], kept_off["enabled"]) == (later, False)
    assert "next_run_at" not in kept_off
    by_patch = server.client.patch(f"/tasks/{fired(server)['id']}", json={"scheduled_at": later})
    assert by_patch.json()["next_run_at"] == later


def test_a_put_without_a_time_keeps_the_one_there_is(server: Server) -> None:
    later = "2099-05-06T07:08:09Z"
    task = server.add(cron_expr="", scheduled_at=later)
    for nothing in ({}, {"scheduled_at": ""}, {"scheduled_at": None}):
        body = {"name": "kept", "prompt": "hello", **nothing}
        after = server.client.put(f"/tasks/{task['id']}", json=body).json()
        assert after["scheduled_at"] == after["next_run_at"] == later
    assert runs_of(server, task) == 0


def test_a_recurring_task_that_becomes_a_one_off_without_a_time_runs_now(server: Server) -> None:
    task = server.add()
    after = save(server, task, cron_expr="")
    assert after["is_one_off"]
    assert "scheduled_at" not in after
    server.ended(first_run(server, task))
    done = server.get(f"/tasks/{task['id']}")
    assert save(server, done) == done
    assert runs_of(server, task) == 1


def test_a_one_off_that_becomes_recurring_is_armed_by_its_schedule(server: Server) -> None:
    task = fired(server)
    after = save(server, task, cron_expr="0 3 1 1 *", enabled=True)
    assert "next_run_at" in after
    assert not save(server, fired(server), cron_expr="0 3 1 1 *")["enabled"], "as it was said"


def test_a_time_made_up_stays_hidden_when_the_switch_is_turned(server: Server) -> None:
    task = server.add(cron_expr="", enabled=False)
    path = f"/tasks/{task['id']}"
    assert "scheduled_at" not in task
    renamed = save(server, task, name="new")
    assert "scheduled_at" not in renamed
    assert "scheduled_at" not in server.client.post(f"{path}/toggle").json()
    server.ended(first_run(server, task))
    assert "scheduled_at" not in server.get(path)
    assert all(
        "scheduled_at" not in entry
        for entry in server.get("/tasks")["tasks"]
        if entry["id"] == task["id"]
    )


def test_a_save_leaves_the_run_of_a_one_off_that_still_waits(
    shared_installation: Installation, server: Server
) -> None:
    busy = [server.add(prompt="[case:slow_tool seconds=60]") for _ in range(8)]
    running = [server.run(task["id"]) for task in busy]
    task = server.add(cron_expr="")
    run = first_run(server, task)
    waits = server.get(f"/tasks/{task['id']}")
    assert save(server, waits) == waits
    assert shared_installation.operations.runs.get(run).state == "queued"
    for run_id in (*running, run):
        server.client.post(f"/runs/{run_id}/cancel")
    for run_id in (*running, run):
        server.ended(run_id)
