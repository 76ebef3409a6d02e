"""The metrics page and the ledger behind it: every run counted once, every figure right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from claude_tasks import __version__
from claude_tasks.api.metrics import CONTENT_TYPE, RunLedger, render, snapshot_of
from claude_tasks.domain.lease import Lease
from claude_tasks.domain.node import Role
from claude_tasks.domain.notification import DeliveryCounts
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFacts
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.operations import facts as ledger_module
from claude_tasks.operations.facts import Histogram
from claude_tasks.operations.status import NodeStatus, Status
from support.builders import MINUTELY, add_task, completed, lead, node
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Collection

    from claude_tasks.domain.ports import Store

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class LostContactError(Exception):
    """The source of facts failed."""


class Runs:
    """Rows of runs in memory, which can lose contact in the middle of a look."""

    def __init__(self) -> None:
        self.rows: list[RunFacts] = []
        self.reads_left: int | None = None
        self.asked: list[Collection[int]] = []

    def run_facts(self, *, after_id: int, limit: int) -> list[RunFacts]:
        self._read()
        return [row for row in self.rows if row.id > after_id][:limit]

    def run_facts_of(self, ids: Collection[int]) -> list[RunFacts]:
        self._read()
        self.asked.append(ids)
        return [row for row in self.rows if row.id in ids]

    def _read(self) -> None:
        if self.reads_left == 0:
            raise LostContactError
        if self.reads_left is not None:
            self.reads_left -= 1


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


def ledger_of(*rows: RunFacts) -> RunLedger:
    source = Runs()
    source.rows = list(rows)
    ledger = RunLedger()
    ledger.catch_up(source)
    return ledger


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


def page(ledger: RunLedger | None = None, *, usage: Any = (), **fields: Any) -> Samples:
    snapshot = snapshot_of(status_of(**fields), 3, 2, usage=usage)
    return samples(render(snapshot, ledger or RunLedger()))


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"claude_tasks_{name}", frozenset(labels.items())]


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


# The ledger against a count of everything, whatever happens in between.

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


def assert_counts_everything(ledger: RunLedger, rows: list[RunFacts]) -> None:
    ended = [row for row in rows if row.state.is_terminal]
    ticks: Counter[str] = Counter()
    for outcome in filter(None, map(outcome_of_tick, rows)):
        ticks[outcome[0]] += outcome[1]
    assert ledger.ticks == ticks
    assert ledger.runs == Counter((row.trigger, row.state, row.reason) for row in ended)
    assert ledger.cost_usd == sum(row.cost_usd or 0 for row in ended)
    assert ledger.input_tokens == sum(row.input_tokens or 0 for row in ended)
    assert ledger.output_tokens == sum(row.output_tokens or 0 for row in ended)
    late = [
        max(0, row.queued_at - START) for row in rows if (outcome_of_tick(row) or " ")[0] == "run"
    ]
    assert (ledger.lateness.cumulative()[-1], ledger.lateness.sum_ms) == (len(late), sum(late))
    begun = [row for row in ended if row.started_at is not None]
    took = sum((row.ended_at or 0) - (row.started_at or 0) for row in begun)
    assert (ledger.duration.cumulative()[-1], ledger.duration.sum_ms) == (len(begun), took)
    firsts = [max(0, (row.started_at or 0) - row.queued_at) for row in begun if row.attempt == 1]
    assert (ledger.wait.cumulative()[-1], ledger.wait.sum_ms) == (len(firsts), sum(firsts))
    for state in (State.QUEUED, State.RUNNING):
        assert ledger.open_runs(state) == sum(row.state is state for row in rows)


@given(data=st.data())
def test_every_run_is_counted_once_whatever_order_they_end_in(data: st.DataObject) -> None:
    source, ledger = Runs(), RunLedger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "CHUNK", 3)
        for _ in range(data.draw(st.integers(0, 25))):
            step = data.draw(st.sampled_from(["new", "new", "move", "look", "lost"]))
            movable = [row for row in source.rows if not row.state.is_terminal]
            if step == "new":
                # AUTOINCREMENT leaves gaps where a transaction was given up.
                run_id = len(source.rows) * 2 + 1
                source.rows.append(new_row(run_id, data.draw))
            elif step == "move" and movable:
                row = data.draw(st.sampled_from(movable))
                source.rows[source.rows.index(row)] = next_states(row, data.draw)
            elif step == "look":
                ledger.catch_up(source)
                assert_counts_everything(ledger, source.rows)
            elif step == "lost":
                source.reads_left = data.draw(st.integers(0, 2))
                try:
                    ledger.catch_up(source)
                except LostContactError:
                    pass
                finally:
                    source.reads_left = None
        ledger.catch_up(source)
        assert_counts_everything(ledger, source.rows)


@given(st.lists(st.sampled_from([0, 50, 500, 2000]) | st.integers(-10, 3000)))
def test_a_histogram_counts_what_lies_at_or_under_each_bound(durations: list[int]) -> None:
    histogram = Histogram((0.05, 0.5, 2))
    for duration in durations:
        histogram.observe(duration)
    expected = [sum(d <= bound for d in durations) for bound in (50, 500, 2000)]
    assert histogram.cumulative() == [*expected, len(durations)]


def test_only_open_runs_are_read_again() -> None:
    source, ledger = Runs(), RunLedger()
    source.rows = [facts(1, state=State.FAILED, ended_at=START), facts(2)]
    for _ in range(3):
        ledger.catch_up(source)
    source.rows[1] = facts(2, state=State.FAILED, ended_at=START)
    for _ in range(3):
        ledger.catch_up(source)
    assert source.asked == [(2,), (2,), (2,)]


def test_a_run_that_vanished_is_not_asked_for_for_ever() -> None:
    source, ledger = Runs(), RunLedger()
    source.rows = [facts(1)]
    ledger.catch_up(source)
    source.rows = []
    ledger.catch_up(source)
    assert ledger.open_runs(State.QUEUED) == 0


def test_a_long_history_can_be_read_between_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "CHUNK", 2)
    source, ledger = Runs(), RunLedger()
    source.rows = [facts(number) for number in (1, 2, 3)]
    assert [ledger.read_on(source), ledger.read_on(source)] == [True, False]
    assert ledger.open_runs(State.QUEUED) == 3


# The page.


def test_runs_and_ticks_are_on_the_page() -> None:
    tick = {"trigger": Trigger.SCHEDULE, "scheduled_for": START - 200}
    skip = {**tick, "state": State.SKIPPED, "ended_at": START}
    end = {"claim": 1, "state": State.COMPLETED, "started_at": START + 40}
    found = page(
        ledger_of(
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
    ledger = ledger_of(facts(1, claim=2, attempt=2, state=State.FAILED, **times))
    assert ledger.wait.cumulative()[-1] == 0
    assert ledger.duration.sum_ms == 1000


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
    text = render(snapshot_of(status_of(), 0, 0), ledger_of(facts(1))).decode()
    families = list(text_string_to_metric_families(text))
    assert {family.name.startswith("claude_tasks_") for family in families} == {True}
    assert all(family.documentation for family in families)
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_the_ledger_reads_a_real_store(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    at = START + 40_250  # a quarter of a second after the tick
    store.record_ticks(term, [plan_ticks(task, at=at)], at=at)
    ledger = RunLedger()
    ledger.catch_up(store)
    assert (ledger.open_runs(State.QUEUED), ledger.ticks["run"]) == (1, 0)
    [claimed] = store.claim_runs("node-a", term=term, limit=1, per_node=False, at=at + 10)
    ledger.catch_up(store)
    assert (ledger.open_runs(State.RUNNING), ledger.ticks["run"]) == (1, 1)
    end = completed(at=at + 10, cost_usd=0.125)
    store.finish_runs([Finish(claimed.run.id, 1, end, None)], at=at)
    ledger.catch_up(store)
    assert ledger.runs == {(Trigger.SCHEDULE, State.COMPLETED, None): 1}
    assert (ledger.lateness.sum_ms, ledger.wait.sum_ms, ledger.cost_usd) == (250, 10, 0.125)
    assert store.count_tasks() == (1, 0)
