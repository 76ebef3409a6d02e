"""The metrics page: what Prometheus reads, from one look at the program and its runs.

Nothing here is kept between two pages: gauges come from a `MetricsFigures`, everything that only
grows from the `RunFigures`. Names follow https://prometheus.io/docs/practices/naming/: base units,
``_total`` on counters. No metric of the process, the platform or the interpreter is among them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from claude_tasks import __version__
from claude_tasks.domain.run import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claude_tasks.domain.notification import DeliveryCounts
    from claude_tasks.domain.run_figures import Histogram, RunFigures
    from claude_tasks.operations.status import Status

__all__ = ["CONTENT_TYPE", "MetricsFigures", "UsageFigure", "render", "snapshot_of"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The content type of what `render` returns."""

_PREFIX = "claude_tasks_"


class UsageFigure(NamedTuple):
    """How much of an allowance is used, in per cent, and when it starts anew (ms)."""

    bucket: str
    utilization: float
    resets_at: int | None


class MetricsFigures(NamedTuple):
    """The current state. ``leader`` is its node id, role and host; None when no node leads.

    ``nodes`` counts the living nodes by role. ``next_tick_at`` is ms.
    """

    version: str
    tasks_enabled: int
    tasks_disabled: int
    leader: tuple[str, str, str] | None
    lease_epoch: int | None
    nodes: tuple[tuple[str, int], ...]
    next_tick_at: int | None
    max_concurrent_runs: int
    deliveries: DeliveryCounts
    usage: tuple[UsageFigure, ...]


def snapshot_of(
    status: Status,
    tasks_enabled: int,
    tasks_disabled: int,
    usage: Iterable[tuple[str, float, int | None]] = (),
) -> MetricsFigures:
    """The snapshot of a status. ``usage`` holds bucket, per cent, and the reset's instant (ms)."""
    leader = status.leader
    roles = Counter(str(entry.node.role) for entry in status.nodes if entry.alive)
    return MetricsFigures(
        version=__version__,
        tasks_enabled=tasks_enabled,
        tasks_disabled=tasks_disabled,
        leader=None if leader is None else (leader.id, str(leader.role), leader.host),
        lease_epoch=None if status.lease is None else status.lease.epoch,
        nodes=tuple(sorted(roles.items())),
        next_tick_at=status.next_tick_at,
        max_concurrent_runs=status.max_concurrent_runs,
        deliveries=status.deliveries,
        usage=tuple(UsageFigure(*figure) for figure in usage),
    )


def render(snapshot: MetricsFigures, runs: RunFigures) -> bytes:
    """The page, in the text format that `CONTENT_TYPE` names."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(snapshot, runs))
    return generate_latest(registry)


class _Page(Collector):
    """One page's metrics: the registry asks for them when it writes the text."""

    def __init__(self, snapshot: MetricsFigures, runs: RunFigures) -> None:
        self._snapshot = snapshot
        self._runs = runs

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry is this page's own, so there are no names to quarrel about."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every metric, in the order of the page."""
        yield from _counters(self._runs)
        yield from _gauges(self._snapshot, self._runs)
        yield from _leadership(self._snapshot)
        yield from _usage(self._snapshot.usage)


def _counters(runs: RunFigures) -> Iterator[Metric]:
    yield _counter(
        "ticks",
        "Ticks accounted for, by what became of them: run, or the reason of the skip.",
        [((outcome,), count) for outcome, count in sorted(runs.ticks.items())],
        labels=("outcome",),
    )
    yield _histogram(
        "tick_lateness_seconds",
        "From the tick to the moment its run was queued; ticks that were skipped are left out.",
        runs.histograms["lateness"],
    )
    yield _counter(
        "runs",
        "Runs that ended, and skips, by trigger, state and reason (empty for none).",
        sorted(
            ((trigger, state, reason or ""), count)
            for (trigger, state, reason), count in runs.runs.items()
        ),
        labels=("trigger", "state", "reason"),
    )
    yield _histogram(
        "run_wait_seconds",
        "From queued to started, jitter included, of runs that ended at their first attempt.",
        runs.histograms["wait"],
    )
    yield _histogram(
        "run_duration_seconds",
        "From start to end of the last attempt, of runs that ended.",
        runs.histograms["duration"],
    )
    yield _counter("run_cost_usd", "Cost of the runs that ended.", [((), runs.sums["cost_usd"])])
    yield _counter(
        "run_tokens",
        "Tokens of the runs that ended, without those read from or written to the cache.",
        [(("input",), runs.sums["input_tokens"]), (("output",), runs.sums["output_tokens"])],
        labels=("direction",),
    )


def _gauges(snapshot: MetricsFigures, runs: RunFigures) -> Iterator[Metric]:
    yield _gauge(
        "runs",
        "Runs queued and running now.",
        [((state,), runs.open[state]) for state in (State.QUEUED, State.RUNNING)],
        labels=("state",),
    )
    yield _gauge(
        "tasks",
        "Tasks, deleted ones left out.",
        [(("true",), snapshot.tasks_enabled), (("false",), snapshot.tasks_disabled)],
        labels=("enabled",),
    )
    yield _gauge(
        "max_concurrent_runs", "The limit of running runs.", [((), snapshot.max_concurrent_runs)]
    )
    yield _gauge(
        "deliveries",
        "Messages: on their way now; sent and given up in the last 24 hours.",
        [((state,), count) for state, count in snapshot.deliveries._asdict().items()],
        labels=("state",),
    )
    yield _gauge(
        "next_tick_timestamp_seconds",
        "When the next tick is due; absent when none is to come.",
        [] if snapshot.next_tick_at is None else [((), snapshot.next_tick_at / 1000)],
    )
    yield _gauge(
        "build_info", "1, with the version.", [((snapshot.version,), 1)], labels=("version",)
    )


def _leadership(snapshot: MetricsFigures) -> Iterator[Metric]:
    leader = snapshot.leader
    yield _gauge(
        "leader",
        "1 for the living node that schedules; absent when there is none.",
        [] if leader is None else [(leader, 1)],
        labels=("node_id", "role", "host"),
    )
    yield _gauge("has_leader", "Whether a living node schedules.", [((), int(leader is not None))])
    epoch = snapshot.lease_epoch
    yield _gauge(
        "lease_epoch",
        "Rises by one at every takeover; absent when its row cannot be read.",
        [] if epoch is None else [((), epoch)],
    )
    yield _gauge(
        "nodes",
        "Living nodes by role.",
        [((role,), count) for role, count in snapshot.nodes],
        labels=("role",),
    )


def _usage(usage: Sequence[UsageFigure]) -> Iterator[Metric]:
    """Absent while nothing is known: a zero would read as an unused allowance."""
    if not usage:
        return
    yield _gauge(
        "usage_utilization_percent",
        "How much of an allowance is used, 0 to 100.",
        [((figure.bucket,), figure.utilization) for figure in usage],
        labels=("bucket",),
    )
    yield _gauge(
        "usage_resets_timestamp_seconds",
        "When an allowance starts anew.",
        [((entry.bucket,), entry.resets_at / 1000) for entry in usage if entry.resets_at],
        labels=("bucket",),
    )


_Samples = list[tuple[tuple[str, ...], float]]


def _counter(name: str, text: str, samples: _Samples, *, labels: Sequence[str] = ()) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, samples: _Samples, *, labels: Sequence[str] = ()) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, text, labels=())
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, histogram.cumulative(), strict=True))
    family.add_metric((), buckets, histogram.sum_ms / 1000)
    return family
