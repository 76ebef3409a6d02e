"""The metrics page and the figures behind it: every run counted once, every figure right."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from claude_tasks import __version__
from claude_tasks.api.metrics import CONTENT_TYPE, render, snapshot_of
from claude_tasks.domain.lease import Lease
from claude_tasks.domain.node import Role
from claude_tasks.domain.notification import DeliveryCounts
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.run_figures import Histogram, RunFigures
from claude_tasks.domain.store_records import RunFacts
from claude_tasks.operations.status import NodeStatus, Status
from support.builders import node
from support.clock import START

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def facts(run_id: int = 1, **fields: Any) -> RunFacts:
    values: dict[str, Any] = {
        "id": run_id,
        "trigger": Trigger.MANUAL,
        "state": State.QUEUED,
        "reason": None,
        "scheduled_for": None,
        "queued_at": START,
        "started_at": None,
        "ended_at": None,
        "attempt": 1,
        "cost_usd": None,
        "input_tokens": None,
        "output_tokens": None,
        "skipped_count": None,
        "claim": 0,
        **fields,
    }
    return RunFacts(**values)


def figures_of(*rows: RunFacts) -> RunFigures:
    figures = RunFigures()
    for row in rows:
        figures.enter(row)
    return figures


def status_of(**fields: Any) -> Status:
    values: dict[str, Any] = {
        "at": START,
        "nodes": [],
        "lease": Lease("scheduler", None, 7, 0, 15_000, *(None,) * 7),
        "queued": [],
        "running": [],
        "next_tick_at": None,
        "max_concurrent_runs": 8,
        "agent": None,
        "agent_problem": None,
        "deliveries": DeliveryCounts(1, 2, 3),
        "usage_obstacle": None,
        **fields,
    }
    return Status(**values)


def samples(page: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def page(runs: RunFigures | None = None, *, usage: Any = (), **fields: Any) -> Samples:
    snapshot = snapshot_of(status_of(**fields), 3, 2, usage=usage)
    return samples(render(snapshot, runs or RunFigures()))


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"claude_tasks_{name}", frozenset(labels.items())]


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


# The figures against a count of everything, whatever happens in between.

SKIPS = [None, Reason.MISSED, Reason.OVERLAP, Reason.DELETED]


def next_states(row: RunFacts, draw: Any) -> RunFacts:
    """One step that the state machine of runs allows."""
    if row.state is State.QUEUED:
        step = draw(st.sampled_from(["claim", "cancel", "skip"]))
        if step == "claim":
            begun = row.queued_at + draw(st.integers(-50, 5000))
            return row._replace(state=State.RUNNING, claim=row.claim + 1, started_at=begun)
        if step == "cancel":
            return row._replace(
                state=State.CANCELLED, reason=Reason.CANCELLED, ended_at=row.queued_at + 10
            )
        return row._replace(
            state=State.SKIPPED, reason=Reason.DISABLED, ended_at=row.queued_at + 10
        )
    if draw(st.booleans()) and row.attempt < 3:
        return row._replace(state=State.QUEUED, started_at=None, attempt=row.attempt + 1)
    assert row.started_at is not None
    return row._replace(
        state=draw(st.sampled_from([State.COMPLETED, State.FAILED])),
        ended_at=row.started_at + draw(st.integers(0, 100_000)),
        cost_usd=draw(st.sampled_from([None, 0.25, 1.5])),
        input_tokens=draw(st.sampled_from([None, 10])),
        output_tokens=draw(st.sampled_from([None, 3])),
    )


def new_row(run_id: int, draw: Any) -> RunFacts:
    queued_at = START + draw(st.integers(-100, 700_000))
    if draw(st.booleans()):
        return facts(run_id, queued_at=queued_at)
    row = facts(run_id, trigger=Trigger.SCHEDULE, scheduled_for=START, queued_at=queued_at)
    reason = draw(st.sampled_from(SKIPS))
    if reason is None:
        return row
    count = draw(st.sampled_from([None, 1, 60]))
    return row._replace(state=State.SKIPPED, reason=reason, ended_at=queued_at, skipped_count=count)


def outcome_of_tick(row: RunFacts) -> tuple[str, int] | None:
    if row.trigger is not Trigger.SCHEDULE or (row.claim == 0 and not row.state.is_terminal):
        return None
    if row.state is State.SKIPPED and row.claim == 0:
        return str(row.reason), row.skipped_count or 1
    return "run", 1


def assert_counts_everything(figures: RunFigures, rows: list[RunFacts]) -> None:
    ended = [row for row in rows if row.state.is_terminal]
    ticks: Counter[str] = Counter()
    for outcome in filter(None, map(outcome_of_tick, rows)):
        ticks[outcome[0]] += outcome[1]
    assert figures.ticks == ticks
    assert figures.runs == Counter((row.trigger, row.state, row.reason) for row in ended)
    for name in ("cost_usd", "input_tokens", "output_tokens"):
        assert figures.sums[name] == sum(getattr(row, name) or 0 for row in ended)
    late = [
        max(0, row.queued_at - START) for row in rows if (outcome_of_tick(row) or " ")[0] == "run"
    ]
    begun = [row for row in ended if row.started_at is not None]
    took = [(row.ended_at or 0) - (row.started_at or 0) for row in begun]
    firsts = [max(0, (row.started_at or 0) - row.queued_at) for row in begun if row.attempt == 1]
    for name, expected in (("lateness", late), ("duration", took), ("wait", firsts)):
        histogram = figures.histograms[name]
        assert (histogram.cumulative()[-1], histogram.sum_ms) == (len(expected), sum(expected))
    for state in (State.QUEUED, State.RUNNING):
        assert figures.open[state] == sum(row.state is state for row in rows)


@given(data=st.data())
def test_what_is_kept_and_what_is_entered_later_are_everything(data: st.DataObject) -> None:
    rows = [new_row(number, data.draw) for number in range(data.draw(st.integers(0, 20)))]
    for _ in range(data.draw(st.integers(0, 20))):
        movable = [row for row in rows if not row.state.is_terminal]
        if movable:
            row = data.draw(st.sampled_from(movable))
            rows[rows.index(row)] = next_states(row, data.draw)
    kept = [row for row in rows if row.state.is_terminal and data.draw(st.booleans())]
    figures = RunFigures(figures_of(*kept).cells())
    for row in rows:
        if row not in kept:
            figures.enter(row)
    assert_counts_everything(figures, rows)
    whole = figures_of(*rows)
    assert sorted(RunFigures(whole.cells()).cells()) == sorted(whole.cells())


@given(st.lists(st.sampled_from([0, 50, 500, 2000]) | st.integers(-10, 3000)))
def test_a_histogram_counts_what_lies_at_or_under_each_bound(durations: list[int]) -> None:
    histogram = Histogram((0.05, 0.5, 2))
    for duration in durations:
        histogram.observe(duration)
    expected = [sum(d <= bound for d in durations) for bound in (50, 500, 2000)]
    assert histogram.cumulative() == [*expected, len(durations)]


# The page.


def test_runs_and_ticks_are_on_the_page() -> None:
    tick = {"trigger": Trigger.SCHEDULE, "scheduled_for": START - 200}
    skip = {**tick, "state": State.SKIPPED, "ended_at": START}
    end = {"claim": 1, "state": State.COMPLETED, "started_at": START + 40}
    found = page(
        figures_of(
            facts(1, **skip, reason=Reason.MISSED, skipped_count=60),
            facts(2, **skip, reason=Reason.MISSED, skipped_count=2),
            facts(3, **skip, reason=Reason.OVERLAP, skipped_count=1),
            facts(4, **tick, **end, ended_at=START + 4040, cost_usd=0.5, input_tokens=7),
            facts(5, **end, ended_at=START + 90_040, cost_usd=0.25, output_tokens=9),
            facts(6),
            facts(7, state=State.RUNNING, claim=1, started_at=START),
        )
    )
    assert value(found, "ticks_total", outcome="missed") == 62
    assert value(found, "ticks_total", outcome="overlap") == 1
    assert value(found, "ticks_total", outcome="run") == 1
    skipped = {"trigger": "schedule", "state": "skipped", "reason": "missed"}
    assert value(found, "runs_total", **skipped) == 2
    assert value(found, "runs_total", trigger="manual", state="completed", reason="") == 1
    assert value(found, "tick_lateness_seconds_bucket", le="0.1") == 0
    assert value(found, "tick_lateness_seconds_bucket", le="0.25") == 1
    assert value(found, "tick_lateness_seconds_sum") == 0.2
    assert value(found, "run_wait_seconds_bucket", le="0.05") == 2
    assert value(found, "run_duration_seconds_bucket", le="5.0") == 1
    assert value(found, "run_duration_seconds_bucket", le="+Inf") == 2
    assert value(found, "run_duration_seconds_count") == 2
    assert value(found, "run_duration_seconds_sum") == 94
    assert value(found, "run_cost_usd_total") == 0.75
    assert value(found, "run_tokens_total", direction="input") == 7
    assert value(found, "run_tokens_total", direction="output") == 9
    assert value(found, "runs", state="queued") == 1
    assert value(found, "runs", state="running") == 1


def test_a_retried_run_tells_nothing_about_waiting() -> None:
    times = {"started_at": START + 60_000, "ended_at": START + 61_000}
    figures = figures_of(facts(1, claim=2, attempt=2, state=State.FAILED, **times))
    assert figures.histograms["wait"].cumulative()[-1] == 0
    assert figures.histograms["duration"].sum_ms == 1000


def test_the_leader_and_the_living_nodes_are_on_the_page() -> None:
    leader = node("node-a", role=Role.SERVE, host='quo"te\\d')
    found = page(
        nodes=[
            NodeStatus(leader, alive=True, leads=True),
            NodeStatus(node("node-b"), alive=True, leads=False),
            NodeStatus(node("node-c"), alive=False, leads=False),
        ],
        next_tick_at=START + 500,
        max_concurrent_runs=5,
    )
    assert value(found, "leader", node_id="node-a", role="serve", host='quo"te\\d') == 1
    assert value(found, "has_leader") == 1
    assert value(found, "lease_epoch") == 7
    assert value(found, "nodes", role="serve") == 1
    assert value(found, "nodes", role="daemon") == 1
    assert value(found, "next_tick_timestamp_seconds") == (START + 500) / 1000
    assert value(found, "max_concurrent_runs") == 5
    assert value(found, "tasks", enabled="true") == 3
    assert value(found, "tasks", enabled="false") == 2
    assert value(found, "build_info", version=__version__) == 1


def test_what_is_not_there_is_absent_and_not_zero() -> None:
    dead = NodeStatus(node("node-a"), alive=False, leads=True)
    found = page(nodes=[dead])
    assert value(found, "has_leader") == 0
    absent = {"leader", "nodes", "next_tick_timestamp_seconds", "usage_utilization_percent"}
    assert not names(found) & {f"claude_tasks_{name}" for name in absent}


def test_usage_is_on_the_page_once_it_is_known() -> None:
    found = page(usage=[("five_hour", 42.5, START), ("seven_day", 7, None)])
    assert value(found, "usage_utilization_percent", bucket="five_hour") == 42.5
    assert value(found, "usage_utilization_percent", bucket="seven_day") == 7
    assert value(found, "usage_resets_timestamp_seconds", bucket="five_hour") == START / 1000
    resets = ("claude_tasks_usage_resets_timestamp_seconds", frozenset({("bucket", "seven_day")}))
    assert resets not in found


def test_every_metric_is_ours_explained_and_not_about_the_process() -> None:
    text = render(snapshot_of(status_of(), 0, 0), figures_of(facts(1))).decode()
    families = list(text_string_to_metric_families(text))
    assert {family.name.startswith("claude_tasks_") for family in families} == {True}
    assert all(family.documentation for family in families)
    assert CONTENT_TYPE.startswith("text/plain; version=")
