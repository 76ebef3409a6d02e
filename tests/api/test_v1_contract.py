"""API v1, row by row: what existing clients rely on, by name, type, status and message."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

import claude_tasks
from claude_tasks.domain.instant import from_rfc3339
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.installation import Installation

YEARLY = "0 3 1 1 *"
SLOW = "[case:slow_tool seconds=60]"
V1_STATUSES = {"pending", "running", "completed", "failed"}

ALWAYS = {
    "id": int,
    "name": str,
    "prompt": str,
    "cron_expr": str,
    "is_one_off": bool,
    "working_dir": str,
    "permission_mode": str,
    "enabled": bool,
    "created_at": str,
    "updated_at": str,
}
OPTIONAL = {
    "scheduled_at",
    "discord_webhook",
    "slack_webhook",
    "model",
    "last_run_at",
    "next_run_at",
    "last_run_status",
}
RUN_ALWAYS = {"id": int, "task_id": int, "started_at": str, "status": str, "output": str}
RUN_OPTIONAL = {"ended_at": str, "error": str, "session_id": str, "duration_ms": int}


def request(**fields: Any) -> dict[str, Any]:
    return {"name": "task", "prompt": "hello", "cron_expr": YEARLY, "enabled": True, **fields}


def error(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert isinstance(body["error"], str)
    assert body["error"]
    return str(body["error"])


def check_task(task: dict[str, Any]) -> None:
    assert {name: type(task[name]) for name in ALWAYS} == ALWAYS
    assert None not in [task[name] for name in OPTIONAL & task.keys()]
    for name in ("scheduled_at", "created_at", "updated_at", "last_run_at", "next_run_at"):
        if name in task:
            from_rfc3339(task[name])
    assert task.get("last_run_status", "completed") in V1_STATUSES


def check_run(run: dict[str, Any]) -> None:
    assert {name: type(run[name]) for name in RUN_ALWAYS} == RUN_ALWAYS
    for name in RUN_OPTIONAL.keys() & run.keys():
        assert type(run[name]) is RUN_OPTIONAL[name]
    for name in {"started_at", "ended_at"} & run.keys():
        from_rfc3339(run[name])
    assert run["status"] in V1_STATUSES
    assert (run["status"] != "failed") or run["error"]


# GET /health


def test_health_names_status_and_version(server: Server) -> None:
    assert server.get("/health") == {"status": "ok", "version": claude_tasks.__version__}


def test_health_alone_needs_no_token(installation: Installation) -> None:
    guarded = Server(installation, CLAUDE_TASKS_AUTH_TOKEN="secret-of-this-test")
    del guarded.client.headers["Authorization"]
    assert guarded.get("/health")["status"] == "ok"
    assert error(guarded.client.get("/tasks"), 401) == "Unauthorized"
    guarded.close()


# GET and POST /tasks


def test_the_list_has_every_task_newest_first_and_their_number(own_server: Server) -> None:
    assert own_server.get("/tasks") == {"tasks": [], "total": 0}
    ids = [own_server.add(name=f"task {number}")["id"] for number in range(3)]
    found = own_server.get("/tasks")
    assert [task["id"] for task in found["tasks"]] == ids[::-1]
    assert found["total"] == 3
    for task in found["tasks"]:
        check_task(task)


def test_a_task_answers_with_all_its_fields(server: Server) -> None:
    wanted = request(
        working_dir="/srv",
        discord_webhook="https://discord.example/1",
        slack_webhook="https://slack.example/2",
        model="opus",
        permission_mode="plan",
        enabled=False,
    )
    answer = server.client.post("/tasks", json=wanted)
    assert answer.status_code == 201
    task = answer.json()
    check_task(task)
    assert {name: task[name] for name in wanted} == wanted
    assert task["is_one_off"] is False
    assert server.get(f"/tasks/{task['id']}") == task


def test_optional_fields_are_absent_when_unset(server: Server) -> None:
    task = server.add(enabled=False)
    assert not OPTIONAL & task.keys()
    assert "next_run_at" in server.add(enabled=True)


def test_what_a_client_writes_for_unset_is_unset(server: Server) -> None:
    blank = dict.fromkeys(("discord_webhook", "slack_webhook", "model", "permission_mode"), "")
    task = server.add(enabled=False, **blank)
    assert not OPTIONAL & task.keys()
    assert task["permission_mode"] == "default"
    assert server.add(working_dir="")["working_dir"] == "."
    nothing = dict.fromkeys((*blank, "working_dir", "scheduled_at"))
    task = server.add(enabled=False, **nothing)
    assert not OPTIONAL & task.keys()
    assert (task["working_dir"], task["permission_mode"]) == (".", "default")


def test_the_fields_beyond_v1_have_their_names_and_defaults(server: Server) -> None:
    task = server.add()
    added = {
        "timezone": "UTC",
        "overlap": "skip",
        "catchup": "latest",
        "catchup_window_seconds": 86_400,
        "jitter_seconds": 0,
        "timeout_seconds": 1800,
        "max_retries": 0,
        "max_concurrency": None,
        "allowed_tools": [],
        "disallowed_tools": [],
        "max_turns": None,
        "max_budget_usd": None,
        "append_system_prompt": None,
        "extra_args": [],
        "on_usage_limit": None,
        "notify_on": None,
        "tags": [],
        "revision": 1,
    }
    assert {name: task[name] for name in added} == added


@pytest.mark.parametrize("when", [{}, {"scheduled_at": ""}, {"scheduled_at": None}])
@pytest.mark.parametrize("cron_expr", [{}, {"cron_expr": ""}])
def test_a_one_off_without_a_time_runs_now(
    server: Server, cron_expr: dict[str, Any], when: dict[str, Any]
) -> None:
    body = {"name": "once", "prompt": "hello", "enabled": True, **cron_expr, **when}
    answer = server.client.post("/tasks", json=body)
    assert answer.status_code == 201, answer.text
    task = answer.json()
    assert task["is_one_off"] is True
    assert "scheduled_at" not in task
    latest = f"/tasks/{task['id']}/runs/latest"
    run = wait_until(lambda: server.client.get(latest).json().get("id"), what="it fired")
    assert server.ended(run)["status"] == "completed"
    after = server.get(f"/tasks/{task['id']}")
    check_task(after)
    assert after["last_run_status"] == "completed"
    assert not {"next_run_at", "scheduled_at"} & after.keys()


def test_a_one_off_waits_for_its_time(server: Server) -> None:
    task = server.add(cron_expr="", scheduled_at="2099-05-06T09:08:07+02:00")
    assert task["scheduled_at"] == task["next_run_at"] == "2099-05-06T07:08:07Z"
    assert error(server.client.get(f"/tasks/{task['id']}/runs/latest"), 404) == "No runs found"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "Name is required"),
        ({"name": "  "}, "Name is required"),
        ({"name": None}, "Name is required"),
        ({"prompt": ""}, "Prompt is required"),
        ({"prompt": None}, "Prompt is required"),
        ({"cron_expr": "whenever"}, "Invalid cron expression"),
        ({"cron_expr": "61 * * * *"}, "Invalid cron expression"),
        ({"name": 5}, "name must be text"),
        ({"enabled": "yes"}, "enabled must be true or false"),
        ({"timezone": None}, "timezone must be text"),
        ({"timeout_seconds": 1.5}, "timeout_seconds must be a whole number"),
        ({"timeout_seconds": True}, "timeout_seconds must be a whole number"),
        ({"timeout_seconds": 10**300}, "timeout_seconds must be between"),
        ({"max_turns": ""}, "max_turns must be a whole number"),
        ({"tags": "one"}, "tags must be a list of texts"),
        ({"cron_expr": "", "scheduled_at": "tomorrow"}, "Invalid time 'tomorrow'"),
        ({"permission_mode": "yolo"}, "permission_mode: 'yolo'"),
        ({"prompt": "a\0b"}, "prompt: a NUL character"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"colour": None}, "unknown field 'colour'"),
        ({"id": 1}, "field 'id' cannot be set"),
    ],
)
def test_nonsense_is_refused_and_the_field_named(
    server: Server, fields: dict[str, Any], message: str
) -> None:
    task = server.add()
    before = server.get("/tasks")["total"]
    for answer in (
        server.client.post("/tasks", json=request(**fields)),
        server.client.put(f"/tasks/{task['id']}", json=request(**fields)),
    ):
        assert error(answer, 400).startswith(message)
        assert answer.json()["code"] == "invalid"
    assert server.get("/tasks")["total"] == before
    assert server.get(f"/tasks/{task['id']}") == task


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "a", "prompt": "b"} trailing',
        b'{"name": "a", "prompt": "b"}{}',
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"name": "\xff", "prompt": "b"}',
        b'{"name": "\\ud800", "prompt": "b"}',
        b'{"name": "a", "prompt": "b", "max_turns": 1e999}',
        b'{"name": "a", "prompt": "b", "max_turns": NaN}',
        b'{"name": "a", "prompt": "b", "max_turns": ' + b"9" * 5000 + b"}",
        b'{"name": ' * 20_000 + b"1" + b"}" * 20_000,
    ],
    ids=range(14),
)
def test_a_body_that_is_no_request_is_refused(server: Server, body: bytes) -> None:
    task = server.add()
    headers = {"Content-Type": "application/json"}
    for method, path in (
        ("POST", "/tasks"),
        ("PUT", f"/tasks/{task['id']}"),
        ("PATCH", f"/tasks/{task['id']}"),
        ("PUT", "/settings"),
        ("POST", "/schedules/preview"),
    ):
        error(server.client.request(method, path, content=body, headers=headers), 400)
    assert server.get(f"/tasks/{task['id']}") == task


def test_a_body_over_one_mebibyte_is_refused(server: Server) -> None:
    frame = len(json.dumps(request(prompt="")))
    headers = {"Content-Type": "application/json"}

    def post(size: int) -> Any:
        body = json.dumps(request(prompt="x" * (size - frame), enabled=True))
        assert len(body) == size
        return server.client.post("/tasks", content=body, headers=headers)

    assert post(1024 * 1024).status_code == 201
    error(post(1024 * 1024 + 1), 413)


# GET, PUT, DELETE /tasks/{id}, toggle


@pytest.mark.parametrize("task_id", ["999999", "0", "-1", "1.5", "abc", "9" * 19, "9" * 5000, "٣"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/toggle"),
        ("POST", "/run"),
        ("GET", "/runs"),
        ("GET", "/runs/latest"),
        ("GET", "/why"),
    ],
)
def test_no_such_task(server: Server, method: str, path: str, task_id: str) -> None:
    body = {"PUT": request(), "PATCH": {"name": "new"}}.get(method)
    answer = server.client.request(method, f"/tasks/{task_id}{path}", json=body)
    assert error(answer, 404) == "Task not found"


def test_a_put_replaces_what_v1_knows_and_leaves_what_it_does_not(server: Server) -> None:
    task = server.add(
        model="opus",
        permission_mode="plan",
        discord_webhook="https://discord.example",
        slack_webhook="https://slack.example",
        working_dir="/srv",
        timezone="Europe/Berlin",
        timeout_seconds=77,
        tags=["a"],
        max_turns=5,
    )
    answer = server.client.put(
        f"/tasks/{task['id']}",
        json={"name": "other", "prompt": "else", "cron_expr": "@daily", "timeout_seconds": 78},
    )
    assert answer.status_code == 200
    after = answer.json()
    check_task(after)
    assert (after["name"], after["prompt"], after["cron_expr"]) == ("other", "else", "@daily")
    assert not {"model", "discord_webhook", "slack_webhook"} & after.keys()
    assert after["permission_mode"] == "default"
    assert after["working_dir"] == "."
    kept = {"timezone": "Europe/Berlin", "timeout_seconds": 78, "tags": ["a"], "max_turns": 5}
    assert {name: after[name] for name in kept} == kept
    assert after["created_at"] == task["created_at"]
    assert server.get(f"/tasks/{task['id']}") == after


@pytest.mark.parametrize("enabled", [True, False])
def test_a_put_without_enabled_leaves_the_switch(server: Server, *, enabled: bool) -> None:
    task = server.add(enabled=enabled)
    body = request(name="renamed")
    del body["enabled"]
    after = server.client.put(f"/tasks/{task['id']}", json=body).json()
    assert (after["name"], after["enabled"]) == ("renamed", enabled)
    switched = server.client.put(f"/tasks/{task['id']}", json={**body, "enabled": not enabled})
    assert switched.json()["enabled"] is not enabled


def test_a_put_that_changes_the_schedule_moves_the_next_run(server: Server) -> None:
    task = server.add(cron_expr="0 3 1 1 *")
    after = server.client.put(f"/tasks/{task['id']}", json=request(cron_expr="0 4 1 1 *")).json()
    assert after["next_run_at"] == task["next_run_at"].replace("T03:", "T04:")


def test_a_deleted_task_is_gone_and_says_so(server: Server) -> None:
    task = server.add()
    answer = server.client.delete(f"/tasks/{task['id']}")
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": "Task deleted"}
    assert error(server.client.get(f"/tasks/{task['id']}"), 404) == "Task not found"
    assert error(server.client.delete(f"/tasks/{task['id']}"), 404) == "Task not found"
    assert task["id"] not in [entry["id"] for entry in server.get("/tasks")["tasks"]]


def test_toggle_switches_both_ways(server: Server) -> None:
    task = server.add(enabled=True)
    for enabled in (False, True):
        answer = server.client.post(f"/tasks/{task['id']}/toggle")
        assert answer.status_code == 200
        check_task(answer.json())
        assert answer.json()["enabled"] is enabled
        assert ("next_run_at" in answer.json()) is enabled
        assert server.get(f"/tasks/{task['id']}") == answer.json()


def test_a_client_that_always_declares_json_may_send_no_body(server: Server) -> None:
    task = server.add()
    headers = {"Content-Type": "application/json"}
    toggled = server.client.post(f"/tasks/{task['id']}/toggle", headers=headers)
    assert toggled.status_code == 200
    started = server.client.post(f"/tasks/{task['id']}/run", headers=headers)
    assert started.status_code == 202
    assert server.client.get(f"/tasks/{task['id']}", headers=headers).status_code == 200
    server.ended(started.json()["run_id"])
    assert server.client.delete(f"/tasks/{task['id']}", headers=headers).status_code == 200


def test_a_one_off_that_has_fired_cannot_be_switched_on_again(server: Server) -> None:
    task = server.add(cron_expr="")
    path = f"/tasks/{task['id']}"
    run = wait_until(
        lambda: server.client.get(f"{path}/runs/latest").json().get("id"), what="it fired"
    )
    server.ended(run)
    if server.get(path)["enabled"]:
        assert server.client.post(f"{path}/toggle").json()["enabled"] is False
    assert error(server.client.post(f"{path}/toggle"), 409).startswith("The time of task")


# POST /tasks/{id}/run and what became of it


def test_a_run_asked_for_is_accepted_and_done(server: Server) -> None:
    task = server.add(prompt="[case:echo] say this")
    answer = server.client.post(f"/tasks/{task['id']}/run")
    assert answer.status_code == 202
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Task execution started")
    run = server.ended(body["run_id"])
    check_run(run)
    assert run["status"] == run["state"] == "completed"
    assert "say this" in run["output"]
    assert "error" not in run
    assert {"ended_at", "session_id", "duration_ms"} <= run.keys()
    ended, started = from_rfc3339(run["ended_at"]), from_rfc3339(run["started_at"])
    assert run["duration_ms"] == ended - started
    path = f"/tasks/{task['id']}/runs"
    assert server.get(f"{path}/{run['id']}") == run
    assert server.get(f"{path}/latest") == run
    assert server.get(path) == {"runs": [run], "total": 1}


def test_the_fields_of_a_run_beyond_v1_are_always_there(server: Server) -> None:
    run = server.ended(server.run(server.add()["id"]))
    added = [
        "state",
        "reason",
        "trigger",
        "scheduled_for",
        "queued_at",
        "attempt",
        "exit_code",
        "model",
        "cost_usd",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_creation_tokens",
        "num_turns",
        "permission_denials",
        "skipped_count",
        "skipped_until",
    ]
    assert set(added) <= run.keys()
    assert (run["trigger"], run["scheduled_for"], run["attempt"]) == ("manual", None, 1)
    assert (run["exit_code"], run["reason"], run["permission_denials"]) == (0, None, [])
    assert run["cost_usd"] >= 0
    assert run["num_turns"] >= 1


def test_a_running_run_reads_running_and_a_cancelled_one_failed(server: Server) -> None:
    task = server.add(prompt=SLOW)
    run_id = server.run(task["id"])

    def look() -> Any:
        run = server.get(f"/runs/{run_id}")
        check_run(run)
        return run if run["state"] == "running" else None

    running = wait_until(look, what="it runs")
    assert running["status"] == "running"
    assert not {"ended_at", "duration_ms", "error"} & running.keys()
    assert server.get(f"/tasks/{task['id']}")["last_run_status"] == "running"
    assert server.client.post(f"/runs/{run_id}/cancel").status_code == 202
    run = server.ended(run_id)
    check_run(run)
    assert (run["status"], run["state"], run["reason"]) == ("failed", "cancelled", "cancelled")
    after = server.get(f"/tasks/{task['id']}")
    assert (after["last_run_status"], after["last_run_reason"]) == ("failed", "cancelled")


def test_a_run_that_took_too_long_reads_failed(server: Server) -> None:
    task = server.add(prompt=SLOW, timeout_seconds=1)
    run = server.ended(server.run(task["id"]))
    check_run(run)
    assert (run["status"], run["state"], run["reason"]) == ("failed", "failed", "timeout")


@pytest.mark.parametrize(
    ("prompt", "fields", "reason"),
    [
        ("[case:api_error status=500]", {}, "agent_error"),
        ("[case:bad_flag]", {}, "exit"),
        ("[case:success]", {"working_dir": "/nowhere/at/all"}, "spawn"),
    ],
)
def test_a_run_that_failed_says_why(
    server: Server, prompt: str, fields: dict[str, Any], reason: str
) -> None:
    task = server.add(prompt=prompt, **fields)
    run = server.ended(server.run(task["id"]))
    check_run(run)
    assert (run["status"], run["state"], run["reason"]) == ("failed", "failed", reason)


def test_a_skipped_run_reads_failed_and_begins_no_run(server: Server) -> None:
    task = server.add(prompt=SLOW)
    busy = server.run(task["id"])
    answer = server.client.post(f"/tasks/{task['id']}/run")
    error(answer, 409)
    skipped = server.get(f"/runs/{answer.json()['run_id']}")
    check_run(skipped)
    assert (skipped["status"], skipped["state"], skipped["reason"]) == (
        "failed",
        "skipped",
        "overlap",
    )
    assert server.get(f"/tasks/{task['id']}/runs")["total"] == 2
    server.client.post(f"/runs/{busy}/cancel")
    server.ended(busy)


def test_a_queued_run_reads_pending_since_it_was_queued(server: Server) -> None:
    task = server.add(prompt=SLOW, overlap="queue")
    first = server.run(task["id"])
    waiting = server.get(f"/runs/{server.run(task['id'])}")
    check_run(waiting)
    assert (waiting["status"], waiting["state"], waiting["reason"]) == ("pending", "queued", None)
    assert waiting["started_at"] == waiting["queued_at"]
    for run_id in (waiting["id"], first):
        server.client.post(f"/runs/{run_id}/cancel")
    run = server.ended(waiting["id"])
    check_run(run)
    assert (run["status"], run["state"]) == ("failed", "cancelled")
    server.ended(first)


def test_runs_asked_for_can_be_switched_off(installation: Installation) -> None:
    closed = Server(installation, CLAUDE_TASKS_API_RUN_CONCURRENCY="0")
    task = closed.add()
    answer = closed.client.post(f"/tasks/{task['id']}/run")
    assert error(answer, 503) == "Task execution queue is disabled"
    assert answer.json()["code"] == "queue_disabled"
    assert closed.get(f"/tasks/{task['id']}/runs") == {"runs": [], "total": 0}
    assert error(closed.client.post("/tasks/999/run"), 404) == "Task not found"
    closed.close()


def test_a_queue_of_a_thousand_is_full(installation: Installation) -> None:
    crowded = Server(installation, CLAUDE_TASKS_API_RUN_CONCURRENCY="1")
    task = crowded.add(prompt=SLOW, overlap="allow")
    running = crowded.run(task["id"])
    wait_until(lambda: crowded.get(f"/runs/{running}")["state"] == "running", what="it runs")
    waiting = crowded.run(task["id"])
    fill_queue(installation, waiting, 999)
    answer = crowded.client.post(f"/tasks/{task['id']}/run")
    assert error(answer, 503) == "Task execution queue is full"
    assert crowded.get(f"/tasks/{task['id']}/runs?limit=5")["total"] == 1001
    assert crowded.get("/scheduler")["queued"] == 1000
    crowded.close()


def fill_queue(installation: Installation, waiting: int, copies: int) -> None:
    """Queue a run again and again, as asking for it so many times would."""
    columns = [row[1] for row in installation.query("PRAGMA table_info(task_runs)")]
    others = ", ".join(name for name in columns if name != "id")
    with sqlite3.connect(installation.database, timeout=10) as connection:
        for _ in range(copies):
            connection.execute(
                f"INSERT INTO task_runs ({others}) SELECT {others} FROM task_runs WHERE id = ?",
                (waiting,),
            )
    connection.close()


# GET /tasks/{id}/runs


def test_the_runs_of_a_task_come_newest_first_and_their_number_is_of_all(
    own_server: Server, installation: Installation
) -> None:
    task, other = own_server.add(enabled=False), own_server.add(enabled=False)
    path = f"/tasks/{task['id']}/runs"
    assert own_server.get(path) == {"runs": [], "total": 0}
    asked = installation.operations.runs  # assigned to nobody who lives: they stay queued
    installation.operations.tasks.edit(task["id"], {"overlap": "allow"})
    ids = [asked.start(task["id"], assigned_to="nobody").id for _ in range(25)]
    asked.start(other["id"], assigned_to="nobody")
    found = own_server.get(path)
    assert [run["id"] for run in found["runs"]] == ids[:-21:-1]
    assert found["total"] == 25
    for run in found["runs"]:
        check_run(run)
        assert run["task_id"] == task["id"]
    assert len(own_server.get(path, params={"limit": 200})["runs"]) == 25
    assert [run["id"] for run in own_server.get(path, params={"limit": 1})["runs"]] == [ids[-1]]
    assert own_server.get(f"{path}/latest")["id"] == ids[-1]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "9" * 5000, "1\0"])
def test_a_limit_outside_1_to_200_is_refused(server: Server, limit: str) -> None:
    task = server.add()
    answer = server.client.get(f"/tasks/{task['id']}/runs", params={"limit": limit})
    assert "limit" in error(answer, 400)


def test_no_such_run(server: Server) -> None:
    task, other = server.add(), server.add()
    run_id = server.run(other["id"])
    server.ended(run_id)
    path = f"/tasks/{task['id']}/runs"
    assert error(server.client.get(f"{path}/latest"), 404) == "No runs found"
    for run in ("999999", "0", "x", "9" * 5000, str(run_id)):
        assert error(server.client.get(f"{path}/{run}"), 404) == "Run not found"
    assert error(server.client.get("/runs/999999"), 404) == "Run not found"
    assert error(server.client.post("/runs/999999/cancel"), 404) == "Run not found"
    assert error(server.client.get("/runs/999999/events"), 404) == "Run not found"


# GET, PUT /settings and GET /usage


@pytest.mark.parametrize("percent", [0, 100, 42.5, 80.0])
def test_the_usage_threshold_is_kept(server: Server, percent: float) -> None:
    answer = server.client.put("/settings", json={"usage_threshold": percent})
    assert answer.status_code == 200
    assert answer.json() == {"usage_threshold": percent}
    assert server.get("/settings") == {"usage_threshold": percent}


def test_the_usage_threshold_begins_at_80(own_server: Server) -> None:
    assert own_server.get("/settings") == {"usage_threshold": 80}


@pytest.mark.parametrize("percent", [-0.1, 100.1, 1e300, -(10**30)])
def test_a_usage_threshold_is_a_percentage(server: Server, percent: float) -> None:
    before = server.get("/settings")
    answer = server.client.put("/settings", json={"usage_threshold": percent})
    assert error(answer, 400) == "Usage threshold must be between 0 and 100"
    assert server.get("/settings") == before


@pytest.mark.parametrize(
    "body", [{}, {"usage_threshold": "5"}, {"usage_threshold": None}, {"usage_threshold": True}]
)
def test_a_usage_threshold_is_a_number(server: Server, body: dict[str, Any]) -> None:
    assert "usage_threshold" in error(server.client.put("/settings", json=body), 400)


def test_settings_nobody_knows_are_refused(server: Server) -> None:
    body = {"usage_threshold": 5, "colour": "red"}
    assert "colour" in error(server.client.put("/settings", json=body), 400)


def test_usage_reads_zero_while_the_check_is_off(server: Server) -> None:
    found = server.get("/usage")
    for bucket in (found["five_hour"], found["seven_day"]):
        assert set(bucket) == {"utilization", "resets_at"}
        assert bucket["utilization"] == 0
        from_rfc3339(bucket["resets_at"])


# Errors


def test_an_unknown_path_and_a_wrong_method_are_json_too(server: Server) -> None:
    assert error(server.client.get("/nothing/here"), 404) == "Not found"
    answer = server.client.put("/tasks")
    assert error(answer, 405) == "Method not allowed"
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_a_database_that_fails_is_a_5xx_and_says_nothing_of_the_inside(
    own_server: Server, installation: Installation
) -> None:
    task = own_server.add()
    with sqlite3.connect(installation.database, timeout=10) as connection:
        connection.execute("ALTER TABLE tasks RENAME TO tasks_gone")
    connection.close()
    for path in ("/tasks", f"/tasks/{task['id']}"):
        answer = own_server.client.get(path)
        message = error(answer, 500)
        assert not any(word in answer.text for word in ("tasks_gone", "sqlite", "no such", "/"))
        assert message == "Internal error; the server's log says more"
    error(own_server.client.post("/tasks", json=request()), 500)
