"""The documentation and the answers are one: same names, same types, every route, every status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.routing import Route

from api.as_documented import check_type
from claude_tasks.api import schemas
from claude_tasks.api.application import PathEndpoint, build_application
from claude_tasks.api.backend import Backend
from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.openapi import document
from claude_tasks.api.task_list import shown
from claude_tasks.domain.clock_step import ClockStep
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.node import Role
from claude_tasks.domain.notification import DeliveryCounts, DeliveryRecord, DeliveryState
from claude_tasks.domain.run import Reason, Run, State, Trigger
from claude_tasks.domain.store_records import TaskSummary
from claude_tasks.domain.task_fields import FIELDS, TaskSpec
from claude_tasks.operations.clock_text import ClockTrouble
from claude_tasks.operations.exchange import parse_task
from claude_tasks.operations.explanation import Circumstance, Explanation
from claude_tasks.operations.notifications import delivery_view
from claude_tasks.operations.preview import preview_expression, preview_view
from claude_tasks.operations.settings import SettingsOperations
from claude_tasks.operations.status import NodeStatus, Status
from claude_tasks.operations.status_views import explanation_view, scheduler_view
from claude_tasks.operations.tasks import arm
from claude_tasks.operations.usage import UsageOperations, usage_view
from claude_tasks.operations.views import run_view, task_request
from support.builders import ME, add_task, lead, node

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task
    from support.clock import FakeClock

AT = 1_790_000_000_000
TEXTS = ("one", "two")

FULL = TaskSpec(
    name="everything",
    prompt="hello",
    cron_expr="@daily",
    timezone="Europe/Berlin",
    working_dir="/srv",
    model="opus",
    permission_mode="plan",
    allowed_tools=TEXTS,
    disallowed_tools=TEXTS,
    max_turns=3,
    max_budget_usd=1.5,
    append_system_prompt="be kind",
    extra_args=("--debug",),
    max_retries=2,
    max_concurrency=4,
    notify_on="failure",
    tags=TEXTS,
    discord_webhook="https://discord.example",
    webhook_url="https://hook.example",
    apprise_url="json://hook.example",
    slack_webhook="https://slack.example",
)
RUN = Run(
    id=7,
    task_id=3,
    task_name="everything",
    trigger=Trigger.SCHEDULE,
    scheduled_for=AT,
    state=State.FAILED,
    reason=Reason.TIMEOUT,
    attempt=2,
    claim=1,
    claimed_by="node-a",
    lease_epoch=4,
    assigned_to=None,
    not_before=0,
    queued_at=AT,
    started_at=AT,
    ended_at=AT + 1234,
    cancel_requested_at=None,
    cancel_reason=None,
    exit_code=143,
    output="so far",
    error="took too long",
    session_id="s",
    model="opus",
    cost_usd=0.25,
    input_tokens=1,
    output_tokens=2,
    cache_read_tokens=3,
    cache_creation_tokens=4,
    num_turns=5,
    permission_denials=TEXTS,
    skipped_count=2,
    skipped_until=AT,
    log_path="/logs/7.json",
    deferred_until=None,
    resumes=0,
)
"""With every field set, whether or not such a run can be."""

_UNSET: dict[str, Any] = dict.fromkeys(
    (
        "scheduled_for",
        "reason",
        "started_at",
        "ended_at",
        "exit_code",
        "error",
        "session_id",
        "model",
        "cost_usd",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_creation_tokens",
        "num_turns",
        "skipped_count",
        "skipped_until",
        "log_path",
    )
)
BARE_RUN = RUN._replace(**_UNSET, state=State.QUEUED, permission_denials=())


@pytest.fixture
def full_task(store: Store) -> Task:
    [task_id] = store.add_tasks([arm(FULL, at=AT)], actor=ME, at=AT)
    return store.get_task(task_id)


def fields(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


# Views


def test_a_task_shows_every_documented_field_and_no_other(full_task: Task) -> None:
    told = full_task._replace(spec=full_task.spec._replace(scheduled_at=AT), deleted_at=AT)
    view = shown(TaskSummary(told, AT, State.FAILED, Reason.TIMEOUT, AT), secrets=True)
    check_type(view, schemas.Task)
    assert view.keys() == fields(schemas.Task)


def test_a_bare_task_lacks_only_what_may_be_missing(store: Store) -> None:
    task = add_task(store, at=AT, cron_expr="@daily", enabled=False)
    view = shown(TaskSummary(task, None, None, None), secrets=True)
    check_type(view, schemas.Task)
    check_type({"tasks": [view], "total": 1}, schemas.TaskList)
    required = {f.name for f in msgspec.structs.fields(schemas.Task) if f.required}
    assert view.keys() == required


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("run", [RUN, BARE_RUN], ids=["full", "bare"])
def test_a_run_shows_what_is_documented(run: Run, state: State) -> None:
    view = run_view(run._replace(state=state))
    check_type(view, schemas.Run)
    check_type({"runs": [view], "total": 1}, schemas.RunList)
    check_type({"runs": [view], "total": 1, "next_before": None}, schemas.RunPage)
    if run is RUN:
        assert view.keys() == fields(schemas.Run)


def test_the_scheduler_shows_what_is_documented(store: Store) -> None:
    add_task(store, at=AT, cron_expr="@daily")
    bare = status_of(store)
    check_type(scheduler_view(bare, []), schemas.Scheduler)
    lead(store, at=AT)
    leader = node("node-a", role=Role.SERVE, started_at=AT)
    full = status_of(store)._replace(
        nodes=[NodeStatus(leader, alive=True, leads=True)], agent="/bin/claude", agent_problem=None
    )
    view = scheduler_view(full, store.next_ticks(limit=5))
    check_type(view, schemas.Scheduler)
    assert view.keys() == fields(schemas.Scheduler)
    assert view["nodes"][0].keys() == fields(schemas.Node)
    assert view["lease"].keys() == fields(schemas.Lease)
    assert view["next_ticks"][0].keys() == fields(schemas.NextTick)
    assert view["clock"].keys() == fields(schemas.Clock)
    assert view["clock"]["troubles"][0].keys() == fields(schemas.ClockTrouble)
    assert view["clock"]["last_step"].keys() == fields(schemas.ClockStep)


def status_of(store: Store) -> Status:
    return Status(
        at=AT,
        nodes=[],
        lease=store.read_lease(),
        queued=[],
        running=[],
        next_tick_at=store.next_tick_at(),
        max_concurrent_runs=8,
        agent=None,
        agent_problem="there is none",
        deliveries=DeliveryCounts(1, 2, 3),
        usage_obstacle=None,
        clock_step=ClockStep(AT, 7_200_000),
        clock_troubles=(ClockTrouble(7, "task", "would be silent", "claude-tasks daemon"),),
    )


@pytest.mark.parametrize("run_id", [7, None])
@pytest.mark.parametrize("at", [AT, None])
def test_a_message_shows_what_is_documented(run_id: int | None, at: int | None) -> None:
    record = DeliveryRecord(
        1, 2, "task", run_id, "slack", "failed", DeliveryState.FAILED, 3, AT, at, at, "no"
    )
    view = delivery_view(record)
    check_type(view, schemas.Delivery)
    assert view.keys() == fields(schemas.Delivery)


def test_an_explanation_shows_what_is_documented(full_task: Task) -> None:
    view = explanation_view(
        Explanation(full_task, [Circumstance("topic", "text")], [RUN, BARE_RUN])
    )
    check_type(view, schemas.Explanation)
    assert view.keys() == fields(schemas.Explanation)
    assert view["findings"][0].keys() == fields(schemas.Circumstance)


def test_a_preview_shows_what_is_documented() -> None:
    view = preview_view(preview_expression("@daily", timezone="UTC", at=AT, count=2))
    answer = {"valid": True, **view, "error": None, "hint": None}
    check_type(answer, schemas.Preview)
    assert answer.keys() == fields(schemas.Preview)
    assert view["next_runs"][0].keys() == fields(schemas.PreviewTick)


def test_usage_shows_what_is_documented(store: Store, clock: FakeClock) -> None:
    settings = SettingsOperations(store, clock)
    usage = UsageOperations(store, clock, settings, billed_by=lambda: None, check_disabled=True)
    view = usage_view(*usage.usage_now())
    check_type(view, schemas.Usage)
    assert view.keys() == fields(schemas.Usage)
    assert view["five_hour"].keys() == fields(schemas.UsageBucket)


# Requests


def test_a_request_names_what_a_task_is_made_of() -> None:
    assert fields(schemas.TaskRequest) == fields(schemas.TaskPatch) == set(TaskSpec._fields)


def test_a_request_has_the_defaults_of_a_task() -> None:
    for field in msgspec.structs.fields(schemas.TaskRequest):
        if field.default not in (msgspec.NODEFAULT, msgspec.UNSET):
            assert field.default == TaskSpec._field_defaults[field.name], field.name
    assert not any(field.required for field in msgspec.structs.fields(schemas.TaskPatch))


def test_an_exported_task_is_a_request_as_documented(full_task: Task) -> None:
    request = task_request(full_task)
    asked = msgspec.convert(request, schemas.TaskRequest)
    assert {name: getattr(asked, name) for name in request} == request
    assert parse_task(request, local_zone=str) == FULL


@pytest.mark.parametrize("value", [None, "", 5, True, [], ["a"], {}], ids=repr)
def test_a_value_of_the_wrong_type_is_refused_by_document_and_parser_alike(value: Any) -> None:
    """What the parser takes, the document allows; the operations check what types cannot say."""
    for name in (*FIELDS, "colour"):
        body = {"name": "n", "prompt": "p", name: value}
        try:
            parse_task(body, local_zone=lambda: "UTC")
        except InvalidInputError:
            continue
        if (name, value) not in LOOSER:
            msgspec.convert(body, schemas.TaskRequest)


LOOSER = [
    (name, "") for name in ("name", "prompt", "overlap", "catchup", "on_usage_limit", "notify_on")
]
"""Texts of which the parser knows only that they are texts: the operations refuse them."""


# Routes and statuses


def routes() -> set[tuple[str, str]]:
    nothing: Any = dict.fromkeys(Backend._fields)
    app = build_application(Backend(**{**nothing, "version": "1"}))
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and isinstance(route.endpoint, PathEndpoint)
        if not route.path.endswith("/")
        for method in route.endpoint.handlers
        if method != "HEAD"
    }


def test_every_route_is_documented_and_the_reverse() -> None:
    told = {
        (method.upper(), path)
        for path, methods in document("1")["paths"].items()
        for method in methods
    }
    about_itself = {
        ("GET", f"{prefix}{path}")
        for prefix in ("", "/api/v1")
        for path in ("/schema", "/schema/openapi.json")
    }
    assert routes() == told | about_itself | {("GET", "/metrics")}


def test_every_type_that_is_named_is_described() -> None:
    whole = document("1")
    named = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(whole).decode()))
    described = set(whole["components"]["schemas"])
    assert named <= described
    assert not whole["paths"].keys() - {f"/api/v1{entry.path}" for entry in ENDPOINTS}


@pytest.mark.parametrize("entry", ENDPOINTS, ids=lambda entry: f"{entry.method} {entry.path}")
def test_every_operation_documents_what_the_guard_may_answer(entry: Any) -> None:
    responses = document("1")["paths"][f"/api/v1{entry.path}"][entry.method.lower()]["responses"]
    always = {"403", "429", "500", "503", str(entry.status)}
    if entry.path != "/health":
        always.add("401")
    if entry.method != "GET":
        always |= {"400", "408", "413", "415"}
    if "{" in entry.path:
        always.add("404")
    assert always <= responses.keys()


def test_operations_have_names_of_their_own_and_a_summary() -> None:
    names = [entry.name for entry in ENDPOINTS]
    assert len(set(names)) == len(names)
    assert all(entry.summary for entry in ENDPOINTS)
