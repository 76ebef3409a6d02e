"""What the API offers beyond v1: edits without lost updates, answers kept, runs found, figures."""

from __future__ import annotations

import getpass
import gzip
import os
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from claude_tasks.api.authorization import Access
from claude_tasks.api.endpoint import Call
from claude_tasks.domain.instant import from_rfc3339
from claude_tasks.domain.run import State
from support.installation import SOURCE
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.installation import Installation
    from support.server import Server

SLOW = "[case:slow_tool seconds=60]"


def command(installation: Installation, *argv: str) -> None:
    """The command line, in a process of its own."""
    environment = {**os.environ, **installation.environment, "PYTHONPATH": str(SOURCE)}
    subprocess.run(
        [sys.executable, "-m", "claude_tasks", *argv],
        env=environment,
        check=True,
        capture_output=True,
        timeout=30,
    )


def edits(task: dict[str, Any]) -> dict[str, Any]:
    """A task without what every edit moves."""
    return {name: value for name, value in task.items() if name not in ("updated_at", "revision")}


# PATCH and If-Match


def test_a_patch_changes_what_it_names_and_nothing_else(server: Server) -> None:
    task = server.add(model="opus", tags=["a"], working_dir="/srv", timeout_seconds=50)
    answer = server.client.patch(f"/tasks/{task['id']}", json={"prompt": "new", "max_turns": 3})
    assert answer.status_code == 200
    after = answer.json()
    assert edits(after) == {**edits(task), "prompt": "new", "max_turns": 3}
    assert after["revision"] == task["revision"] + 1
    assert server.get(f"/tasks/{task['id']}") == after


def test_who_changed_a_task_is_kept(server: Server, shared_installation: Installation) -> None:
    task = server.add(slack_webhook="https://s3cret.example/x")
    url = f"/tasks/{task['id']}"
    server.client.patch(url, json={"tags": ["a"], "slack_webhook": None})
    command(shared_installation, "edit", str(task["id"]), "--at", "tomorrow 9am")
    newest, patched, added = server.get(f"{url}/revisions")["revisions"]
    assert (added["revision"], added["actor"], added["changes"]) == (1, "api:full", [])
    assert patched["actor"] == "api:full"
    assert patched["changes"] == [
        {"field": "tags", "old": [], "new": ["a"]},
        {"field": "slack_webhook", "old": "•••", "new": None},
    ]
    assert newest["actor"] == f"cli:{getpass.getuser()}"
    assert newest["changes"][-1]["field"] == "scheduled_at"
    assert newest["changes"][-1]["new"].endswith("Z")
    assert len(server.get(f"{url}/revisions?limit=1")["revisions"]) == 1
    assert server.client.get("/tasks/9999/revisions").status_code == 404


def test_a_patch_that_changes_nothing_is_no_edit(server: Server) -> None:
    task = server.add()
    bodies: list[dict[str, Any]] = [{}, {"prompt": task["prompt"]}, {"tags": []}]
    for body in bodies:
        assert server.client.patch(f"/tasks/{task['id']}", json=body).json() == task


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_patch_clears_what_may_be_unset(server: Server, nothing: Any) -> None:
    fields = {
        "model": "opus",
        "permission_mode": "plan",
        "discord_webhook": "https://discord.example",
        "slack_webhook": "https://slack.example",
    }
    task = server.add(**fields)
    answer = server.client.patch(f"/tasks/{task['id']}", json=dict.fromkeys(fields, nothing))
    assert answer.json().pop("permission_mode") == "default"
    assert fields.keys() & answer.json().keys() == {"permission_mode"}


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"prompt": None},
        {"cron_expr": None},
        {"enabled": None},
        {"timezone": None},
        {"overlap": None},
        {"timeout_seconds": None},
        {"tags": None},
        {"name": ""},
        {"colour": None},
        {"revision": 3},
    ],
)
def test_a_patch_refuses_what_makes_no_sense(server: Server, body: dict[str, Any]) -> None:
    task = server.add()
    answer = server.client.patch(f"/tasks/{task['id']}", json=body)
    assert answer.status_code == 400, answer.text
    assert next(iter(body)) in answer.json()["error"].lower()
    assert server.get(f"/tasks/{task['id']}") == task


def test_whole_numbers_may_come_with_a_point(server: Server) -> None:
    task = server.add(timeout_seconds=60.0)
    assert task["timeout_seconds"] == 60
    preview = {"cron_expr": "@daily", "count": 2.0}
    answer = server.client.post("/schedules/preview", json=preview)
    assert len(answer.json()["next_runs"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"name": "n", "prompt": "p", "cron_expr": "@daily"}),
        ("PATCH", "", {"name": "n"}),
        ("POST", "/toggle", None),
        ("DELETE", "", None),
    ],
)
def test_a_change_meant_for_another_revision_is_refused(
    server: Server, method: str, path: str, body: Any
) -> None:
    task = server.add()
    url = f"/tasks/{task['id']}"
    server.client.patch(url, json={"prompt": "somebody else was here"})
    stands = server.get(url)
    more = {} if body is None else {"json": body}
    for stale in ('"1"', "1", 'W/"1-17"', '"no-tag-of-ours"', "", '"99"', '"2", "3"'):
        headers = {"If-Match": stale}
        answer = server.client.request(method, url + path, headers=headers, **more)
        assert answer.status_code == 412, (stale, answer.text)
        assert answer.json()["code"] == "revision_conflict"
    assert server.get(url) == stands
    headers = {"If-Match": '"2"'}
    assert server.client.request(method, url + path, headers=headers, **more).status_code == 200


def test_every_etag_of_a_task_serves_as_if_match(server: Server) -> None:
    """Of an answer to a change, of a look, of a packed look (weak), and the one for whatever is."""
    added = server.client.post("/tasks", json={"name": "t", "prompt": "p" * 2000, "enabled": False})
    url = f"/tasks/{added.json()['id']}"

    def change(tag: str, number: int) -> str:
        body = {"max_turns": number}
        answer = server.client.patch(url, json=body, headers={"If-Match": tag})
        assert answer.status_code == 200, (tag, answer.text)
        return str(answer.headers["etag"])

    tag = change(added.headers["etag"], 1)
    tag = change(tag, 2)
    looked = server.client.get(url, headers={"Accept-Encoding": "identity"})
    change(looked.headers["etag"], 3)
    packed = server.client.get(url, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["etag"].startswith("W/")
    change(packed.headers["etag"], 4)
    tag = change("*", 5)
    toggled = server.client.post(f"{url}/toggle", headers={"If-Match": tag})
    assert toggled.status_code == 200
    tag = change(toggled.headers["etag"], 6)
    put = server.client.put(url, json={"name": "t", "prompt": "q"}, headers={"If-Match": tag})
    change(put.headers["etag"], 7)


def test_a_run_meanwhile_is_no_lost_update(server: Server) -> None:
    task = server.add()
    tag = server.client.get(f"/tasks/{task['id']}").headers["etag"]
    server.ended(server.run(task["id"]))
    assert server.client.get(f"/tasks/{task['id']}").headers["etag"] != tag
    answer = server.client.patch(
        f"/tasks/{task['id']}", json={"name": "renamed"}, headers={"If-Match": tag}
    )
    assert answer.status_code == 200


# ETag, 304, gzip, HEAD


def read_paths(server: Server) -> list[str]:
    task = server.add(prompt="hello " * 500)
    run = server.ended(server.run(task["id"]))["id"]
    path = f"/tasks/{task['id']}"
    more = ["/runs", f"/runs/{run}", f"{path}/runs", f"{path}/runs/latest", f"{path}/runs/{run}"]
    return ["/tasks", path, *more]


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    for path in read_paths(server):
        first = server.client.get(path)
        tag = first.headers["etag"]
        assert first.headers["vary"] == "Accept-Encoding, Authorization"
        for known in (tag, f"W/{tag.removeprefix('W/')}", f'"other", {tag}', "*"):
            for method in ("GET", "HEAD"):
                again = server.client.request(method, path, headers={"If-None-Match": known})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"].removeprefix("W/") == tag.removeprefix("W/")
                assert again.headers["vary"] == "Accept-Encoding, Authorization"
        other = server.client.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)


def test_after_any_change_every_answer_is_new(
    server: Server, shared_installation: Installation
) -> None:
    task = server.add()
    path = f"/tasks/{task['id']}"
    changes: dict[str, Callable[[], object]] = {
        "edit by the api": lambda: server.client.patch(path, json={"prompt": "by the api"}),
        "switch": lambda: server.client.post(f"{path}/toggle"),
        "edit by another process": lambda: command(
            shared_installation, "edit", str(task["id"]), "--prompt", "by the command line"
        ),
        "run": lambda: server.ended(server.run(task["id"])),
    }
    for what, change in changes.items():
        before = {url: server.client.get(url) for url in ("/tasks", path)}
        change()
        for url, old in before.items():
            known = {"If-None-Match": old.headers["etag"]}
            new = server.client.get(url, headers=known)
            assert new.status_code == 200, what
            assert new.json() != old.json(), what
    listed = {entry["id"]: entry for entry in server.get("/tasks")["tasks"]}
    assert listed[task["id"]] == server.get(path)
    assert listed[task["id"]]["prompt"] == "by the command line"


def test_an_answer_has_no_etag_while_the_counter_cannot_be_read() -> None:
    """Two such answers may differ: under one tag the second would read "not modified"."""
    backend: Any = SimpleNamespace(start_id="a1")
    nothing: Any = {**dict.fromkeys(Call._fields), "backend": backend}
    assert Call(**{**nothing, "change": -1}).tag("3") == {}
    full, read = (
        Call(**{**nothing, "change": 7, "access": access}) for access in (Access.FULL, Access.READ)
    )
    assert full.tag("3") == {"etag": '"3-c7-a1-full"'}
    assert read.tag() == {"etag": '"c7-a1-read"'}


def test_a_packed_answer_is_the_plain_one(server: Server) -> None:
    raw_client = httpx.Client(trust_env=False)  # without the hook that reads every answer
    for path in read_paths(server):
        plain = server.client.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        packs = len(plain.content) > 1024
        for accepted in ("gzip", "br, gzip;q=0.5", "GZIP ; q=1"):
            url = f"{server.address}/api/v1{path}"
            with raw_client.stream("GET", url, headers={"Accept-Encoding": accepted}) as answer:
                raw = b"".join(answer.iter_raw())
            if packs:
                assert answer.headers["content-encoding"] == "gzip"
                assert int(answer.headers["content-length"]) == len(raw) < len(plain.content)
                assert gzip.decompress(raw) == plain.content
            else:
                assert raw == plain.content
        for refused in ("gzip;q=0", "gzip; q=0.000", "br", "notgzip", "gzipped"):
            answer = server.client.get(path, headers={"Accept-Encoding": refused})
            assert "content-encoding" not in answer.headers, refused
            assert answer.content == plain.content
    raw_client.close()


def test_head_tells_what_get_would(server: Server) -> None:
    plain = {"Accept-Encoding": "identity"}
    others = ["/health", "/settings", "/usage", "/schema", "/schema/openapi.json"]
    for path in [*read_paths(server), *others]:
        head = server.client.head(path, headers=plain)
        got = server.client.get(path, headers=plain)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == got.headers.get(name), path
    assert server.client.head("/tasks/999999").status_code == 404


def test_a_slash_at_the_end_of_a_path_is_nothing(server: Server) -> None:
    task = server.add()
    assert server.get(f"/tasks/{task['id']}/") == task
    assert server.client.delete(f"/tasks/{task['id']}/").status_code == 200
    assert server.client.get("/nothing/").json()["code"] == "not_found"


def test_options_name_every_method_of_a_path(server: Server) -> None:
    expected = {
        "/tasks": {"GET", "HEAD", "POST", "OPTIONS"},
        "/tasks/1": {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"},
        "/settings": {"GET", "HEAD", "PUT", "OPTIONS"},
        "/tasks/1/run": {"POST", "OPTIONS"},
        "/events": {"GET", "OPTIONS"},
    }
    for path, methods in expected.items():
        answer = server.client.options(path)
        assert answer.status_code == 204
        assert set(answer.headers["allow"].split(", ")) == methods


# GET /runs


@pytest.fixture
def runs_of_three_kinds(own_server: Server) -> dict[str, Any]:
    """The ids of: a good run, a failed one, a skipped one, a running one; and of their tasks."""
    good = own_server.add(name="good", prompt="[case:echo] needle%_ in the output")
    bad = own_server.add(name="bad", prompt="[case:bad_flag]")
    busy = own_server.add(name="busy", prompt=SLOW)
    completed = own_server.ended(own_server.run(good["id"]))
    failed = own_server.ended(own_server.run(bad["id"]))
    running = own_server.run(busy["id"])
    wait_until(lambda: own_server.get(f"/runs/{running}")["state"] == "running", what="it runs")
    skipped = own_server.client.post(f"/tasks/{busy['id']}/run").json()["run_id"]
    return {
        "completed": completed,
        "failed": failed,
        "running": own_server.get(f"/runs/{running}"),
        "skipped": own_server.get(f"/runs/{skipped}"),
    }


def test_runs_are_found_by_every_filter(
    own_server: Server, runs_of_three_kinds: dict[str, Any]
) -> None:
    kinds = runs_of_three_kinds
    newest_first = ["skipped", "running", "failed", "completed"]

    def found(**parameters: Any) -> list[str]:
        page = own_server.get("/runs", params=parameters)
        names = {run["id"]: name for name, run in kinds.items()}
        assert page["total"] == (4 if "before" in parameters else len(page["runs"]))
        assert page["next_before"] is None
        return [names[run["id"]] for run in page["runs"]]

    assert found() == newest_first
    assert found(state="completed") == ["completed"]
    assert found(state=["completed", "skipped"]) == ["skipped", "completed"]
    assert found(state=["queued"]) == []
    assert found(reason="overlap") == ["skipped"]
    assert found(reason=["overlap", "exit"]) == ["skipped", "failed"]
    assert found(reason="overlap", state="completed") == []
    assert found(task=kinds["running"]["task_id"]) == ["skipped", "running"]
    assert found(task=999_999) == []
    assert found(text="needle%_ IN") == ["completed"]
    assert found(text="needle%%") == []
    assert found(text="") == newest_first
    assert found(text="bad") == ["failed"]
    assert found(before=kinds["running"]["id"]) == ["failed", "completed"]
    assert found(since="2099-01-01T00:00:00Z") == []
    assert found(until="2099-01-01T00:00:00+01:00") == newest_first
    began = kinds["failed"]["started_at"]
    assert found(since=began)[-1] == "failed"
    assert found(until=began) == ["completed"]
    assert found(since=began, until=began) == []


def test_a_filter_may_be_as_long_as_an_address(server: Server) -> None:
    many = "&".join(["state=queued"] * 4900)  # 64 KiB; what is longer, the parser refuses
    assert server.get(f"/runs?{many}")["total"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "state=done",
        "reason=bad",
        "task=0",
        "task=x",
        f"task={2**63}",
        "task=" + "9" * 5000,
        "since=yesterday",
        "until=2026-01-01",
        "since=%ff",
        "before=0",
        "limit=0",
        "limit=201",
        "colour=red",
        "%ff=1",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_by_name(server: Server, query: str) -> None:
    answer = server.client.get(f"/runs?{query}")
    assert answer.status_code == 400, answer.text
    name = query.partition("=")[0]
    assert name.startswith("%") or name in answer.json()["error"]


def test_pages_have_no_gap_and_no_double_while_runs_come_in(
    own_server: Server, installation: Installation
) -> None:
    task = own_server.add(overlap="allow")
    start = installation.operations.runs.start
    ids = [start(task["id"], assigned_to="nobody").id for _ in range(45)]
    seen: list[int] = []
    before: dict[str, Any] = {}
    sizes = []
    while True:
        page = own_server.get("/runs", params={"limit": 10, **before})
        sizes.append(len(page["runs"]))
        seen += [run["id"] for run in page["runs"]]
        if page["next_before"] is None:
            break
        start(task["id"], assigned_to="nobody")  # newer than all the pages
        before = {"before": page["next_before"]}
    assert seen == ids[::-1]
    assert sizes == [10, 10, 10, 10, 5]
    assert own_server.get("/runs")["total"] == 49


def test_the_last_page_that_is_full_has_none_after_it(
    own_server: Server, installation: Installation
) -> None:
    task = own_server.add(overlap="allow")
    for _ in range(4):
        installation.operations.runs.start(task["id"], assigned_to="nobody")
    first = own_server.get("/runs", params={"limit": 2})
    last = own_server.get("/runs", params={"limit": 2, "before": first["next_before"]})
    assert (len(last["runs"]), last["next_before"]) == (2, None)


# Runs asked for and cancelled


def test_a_busy_task_refuses_and_names_the_record_of_it(server: Server) -> None:
    task = server.add(prompt=SLOW)
    busy = server.run(task["id"])
    answer = server.client.post(f"/tasks/{task['id']}/run")
    assert answer.status_code == 409
    body = answer.json()
    assert body["code"] == "overlap"
    said = r"Not started: .+ \(overlap = skip; run (\d+) is (running|queued)\)"
    named = re.fullmatch(said, body["error"])
    assert named, body["error"]
    assert int(named[1]) == busy
    assert server.get(f"/runs/{body['run_id']}")["state"] == "skipped"
    server.client.post(f"/runs/{busy}/cancel")
    server.ended(busy)


def test_a_run_that_waits_is_cancelled_at_once_and_an_ended_one_not_at_all(server: Server) -> None:
    task = server.add(prompt=SLOW, overlap="queue")
    first = server.run(task["id"])
    second = server.run(task["id"])
    answer = server.client.post(f"/runs/{second}/cancel")
    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["state"]) == (second, "cancelled")
    assert server.client.post(f"/runs/{first}/cancel").status_code == 202
    ended = server.ended(first)
    assert ended["state"] == "cancelled"
    again = server.client.post(f"/runs/{first}/cancel")
    assert again.status_code == 409
    assert again.json()["code"] == "conflict"
    assert server.get(f"/runs/{first}") == ended


# GET /scheduler, POST /schedules/preview, GET /tasks/{id}/why


def test_the_scheduler_page_names_leader_lease_and_next_ticks(
    own_server: Server, installation: Installation
) -> None:
    task = own_server.add(name="yearly")
    own_server.add(enabled=False)
    for _ in range(2):
        installation.operations.tasks.edit(task["id"], {"overlap": "allow"})
        installation.operations.runs.start(task["id"], assigned_to="nobody")
    wait_until(lambda: own_server.get("/scheduler")["leader"], what="somebody leads")
    page = own_server.get("/scheduler")
    [node] = page["nodes"]
    assert page["leader"] == page["lease"]["holder"] == node["id"]
    assert (node["role"], node["pid"]) == ("serve", own_server.process.pid)
    assert (node["alive"], node["leads"], node["scheduler"]) == (True, True, True)
    assert page["lease"]["epoch"] == installation.epoch()
    assert (page["queued"], page["running"]) == (2, 0)
    [tick] = page["next_ticks"]
    assert tick == {"task_id": task["id"], "task_name": "yearly", "at": task["next_run_at"]}
    assert page["agent"] == str(installation.agent)
    assert page["agent_problem"] is None


def test_a_preview_says_in_words_what_comes_next(server: Server) -> None:
    asked = {"cron_expr": "0 9 * * MON", "timezone": "Europe/Berlin", "count": 3}
    preview = server.client.post("/schedules/preview", json=asked)
    assert preview.status_code == 200
    body = preview.json()
    assert (body["valid"], body["error"], body["hint"]) == (True, None, None)
    assert (body["cron_expr"], body["timezone"]) == ("0 9 * * MON", "Europe/Berlin")
    assert "09:00" in body["description"]
    assert len(body["next_runs"]) == 3
    for tick in body["next_runs"]:
        assert set(tick) == {"at", "local", "note"}
        assert "09:00" in tick["local"]
    default = server.client.post("/schedules/preview", json={"cron_expr": "@daily"})
    assert len(default.json()["next_runs"]) == 5
    assert default.json()["timezone"] == "UTC"


def test_a_preview_notes_what_a_change_of_the_clocks_does(server: Server) -> None:
    asked = {"cron_expr": "30 2 * 3,10 SUN", "timezone": "Europe/Berlin", "count": 20}
    ticks = server.client.post("/schedules/preview", json=asked).json()["next_runs"]
    assert any(tick["note"] for tick in ticks)
    assert not all(tick["note"] for tick in ticks)


@pytest.mark.parametrize(
    "asked",
    [
        {"cron_expr": "whenever"},
        {"cron_expr": "0 0 30 2 *"},
        {"cron_expr": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron_expr": "* * * * *", "timezone": "a\0b"},
        {"cron_expr": "* * * * *", "timezone": "../../etc/passwd"},
        {"cron_expr": "\0"},
    ],
)
def test_a_preview_of_nonsense_says_what_is_wrong(server: Server, asked: dict[str, Any]) -> None:
    answer = server.client.post("/schedules/preview", json=asked)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["valid"], body["next_runs"], body["description"]) == (False, [], None)
    assert body["error"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"cron_expr": 5},
        {"cron_expr": "@daily", "count": 0},
        {"cron_expr": "@daily", "count": 101},
        {"cron_expr": "@daily", "count": 1.5},
        {"cron_expr": "*" * 1001},
        {"cron_expr": "@daily", "colour": "red"},
    ],
)
def test_a_preview_asked_for_wrongly_is_refused(server: Server, asked: dict[str, Any]) -> None:
    assert server.client.post("/schedules/preview", json=asked).status_code == 400


def test_why_names_what_stands_in_the_way(server: Server) -> None:
    task = server.add(name="reasons", enabled=False)
    run = server.ended(server.run(task["id"]))
    body = server.get(f"/tasks/{task['id']}/why")
    assert (body["task_id"], body["task_name"]) == (task["id"], "reasons")
    assert body["runs"] == [run]
    standing = {entry["topic"] for entry in body["findings"] if entry["stands_in_the_way"]}
    assert "enabled" in standing


# GET /metrics, GET /schema


def figures(server: Server, *, root: bool = False) -> dict[str, float]:
    url = f"{server.address}/metrics" if root else "/metrics"
    answer = server.client.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name
        + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_figures_are_prometheus_text_and_move(own_server: Server) -> None:
    task = own_server.add()
    before = figures(own_server)
    assert before["claude_tasks_tasks[true]"] == 1
    own_server.ended(own_server.run(task["id"]))
    own_server.add(enabled=False)
    after = figures(own_server)
    assert after["claude_tasks_tasks[false]"] == before["claude_tasks_tasks[false]"] + 1
    assert after["claude_tasks_runs_total[][completed][manual]"] == 1
    assert after["claude_tasks_run_duration_seconds_count"] == 1
    assert after["claude_tasks_run_cost_usd_total"] > 0
    assert figures(own_server, root=True).keys() == after.keys()


def test_the_document_is_json_for_programs_and_a_page_for_people(server: Server) -> None:
    as_json = server.client.get("/schema")
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json()["openapi"] == "3.1.0"
    assert server.get("/schema/openapi.json") == as_json.json()
    assert server.get(f"{server.address}/schema") == as_json.json()
    page = server.client.get("/schema", headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    for path in as_json.json()["paths"]:
        assert path in page.text


def test_a_run_of_a_scheduled_task_is_told_apart(own_server: Server) -> None:
    own_server.add(cron_expr="* * * * * *", overlap="allow")
    page = wait_until(
        lambda: own_server.get("/runs", params={"state": "completed"})["runs"], what="it ticked"
    )
    run = page[-1]
    assert (run["trigger"], run["state"]) == ("schedule", State.COMPLETED)
    assert from_rfc3339(run["scheduled_for"]) <= from_rfc3339(run["started_at"])


def test_the_doctor_examines_over_the_api_too(server: Server) -> None:
    report = server.get("/doctor")
    assert {"claude_binary", "database", "scheduler_lease"} <= {
        finding["id"] for finding in report["findings"]
    }
    verdicts = [finding["verdict"] for finding in report["findings"]]
    assert report["problems"] == verdicts.count("FAIL")
    assert report["ready"] is (report["problems"] == 0)
