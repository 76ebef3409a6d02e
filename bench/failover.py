"""The leader goes, in three ways; how long until another leads, and what is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from bench.processes import wait_until
from bench.report import Section, at_most, none_of
from bench.sandbox import Sandbox
from bench.statistics_of import median

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from bench.report import Line

_SHORT_TTL = 3.0
_SECOND = 1000


class Way(NamedTuple):
    """How the leader goes, with the budget in seconds until another epoch begins."""

    name: str
    number: signal.Signals
    budget: float
    settings: dict[str, float]
    repetitions: int
    repetitions_quick: int


_WAYS = (
    Way("SIGTERM", signal.SIGTERM, 0.1, {}, 8, 3),
    Way("kill -9", signal.SIGKILL, 0.5, {}, 8, 3),
    Way("SIGSTOP", signal.SIGSTOP, _SHORT_TTL + 1, {"lease_ttl": _SHORT_TTL}, 4, 1),
)


class Row(NamedTuple):
    """What the account needs of a run. ``skipped_until`` is the last tick a skip stands for."""

    tick: int
    state: str
    skipped_until: int | None


class Ticks(NamedTuple):
    """The account over a whole series of faults."""

    due: int
    lost: int
    doubled: int
    started_twice: int
    missed: int


def measure(*, quick: bool) -> Section:
    """Every way, several times."""
    lines: list[Line] = []
    for way in _WAYS:
        times, ticks = _series(way, way.repetitions_quick if quick else way.repetitions)
        label = f"{way.name} of the leader, {len(times)} times"
        lines += [
            at_most(f"{label}: longest time to a new epoch", max(times), way.budget, "s"),
            at_most(f"{way.name}: median", median(times), way.budget, "s"),
            none_of(f"{way.name}: ticks lost, of {ticks.due}", ticks.lost),
            none_of(f"{way.name}: ticks doubled", ticks.doubled),
            none_of(f"{way.name}: runs whose agent started twice", ticks.started_twice),
            none_of(f"{way.name}: ticks only recorded as missed", ticks.missed)._replace(
                budget="-", verdict="-"
            ),
        ]
    return Section(
        "Failover",
        "Two nodes, one task every second. From the signal until the lease is held in a later "
        f"epoch, by reading the database every 2 ms. SIGSTOP with a ttl of {_SHORT_TTL:g} s; one "
        "that hits the leader in the middle of a write is repeated, for nobody can write then. "
        "A tick is lost when it has neither a row nor a place in the range of a skip; doubled when "
        "it has two rows.",
        lines,
    )


def _series(way: Way, repetitions: int) -> tuple[list[float], Ticks]:
    with Sandbox(**way.settings) as box:
        nodes = {node.pid: node for node in (box.start_leader(), box.start_node())}
        task = box.operations.tasks.add(
            box.spec("every second", cron_expr="* * * * * *", overlap="allow")
        )
        times = []
        for _ in range(repetitions):
            _wait_for_two_nodes(box)
            time.sleep(1.5 + random.random())  # any phase of the tick, a few ticks between faults
            times.append(_fault(box, nodes, way))
        time.sleep(1.5)
        box.operations.tasks.disable(task.id)
        wait_until(lambda: box.active_runs() == 0, seconds=20)
        return times, account(_rows(box), [stamp.name for stamp in box.stamps.iterdir()])


def _wait_for_two_nodes(box: Sandbox) -> None:
    wait_until(lambda: box.value("SELECT COUNT(*) FROM nodes") >= 2 and box.epoch(), seconds=20)


def _fault(box: Sandbox, nodes: dict[int, subprocess.Popen[bytes]], way: Way) -> float:
    """Strike the leader; seconds until another epoch is held. Afterwards there are two again."""
    epoch, pid = box.epoch(), box.leader()
    assert pid is not None  # it was waited for
    struck = time.monotonic()
    os.kill(pid, way.number)
    if way.number is signal.SIGSTOP and box.is_locked():
        os.kill(pid, signal.SIGCONT)  # in the middle of a write: nobody can, until it goes on
        time.sleep(1)
        return _fault(box, nodes, way)
    taken = wait_until(lambda: box.epoch() > epoch, seconds=30, pause=0.002)
    if way.number is signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    else:
        box.reap(nodes.pop(pid))
        fresh = box.start_node()
        nodes[fresh.pid] = fresh
    return taken - struck


def _rows(box: Sandbox) -> list[Row]:
    sql = "SELECT scheduled_for, state, skipped_until FROM task_runs ORDER BY scheduled_for"
    return [Row(*row) for row in box.rows(sql)]


def account(rows: Sequence[Row], stamps: Sequence[str]) -> Ticks:
    """What became of every second from the first row's tick to the last row's.

    ``stamps`` are the names of the agents' stamps: ``run.claim.pid``.
    """
    due = set(range(rows[0].tick, rows[-1].tick + _SECOND, _SECOND))
    covered: set[int] = set()
    for row in rows:
        covered.update(range(row.tick, (row.skipped_until or row.tick) + _SECOND, _SECOND))
    starts = Counter(name.partition(".")[0] for name in stamps)
    return Ticks(
        due=len(due),
        lost=len(due - covered),
        doubled=len(rows) - len({row.tick for row in rows}),
        started_twice=sum(1 for count in starts.values() if count > 1),
        missed=len(due - {row.tick for row in rows if row.state != "skipped"}),
    )
