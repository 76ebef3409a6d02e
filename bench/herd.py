"""Many tasks on one tick, on this program and on its peers, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bench.processes import children, wait_until
from bench.report import Line, Section, at_most, none_of, times
from bench.sandbox import PROMPT, Sandbox, next_second
from bench.statistics_of import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TASKS = 300
_PATIENCE_SECONDS = 60.0


class Herd(NamedTuple):
    """How one scheduler fared. Lateness in seconds, of the agents that started."""

    name: str
    lateness: list[float]
    all_recorded: float
    stuck: int = 0
    row_lateness: tuple[float, ...] = ()
    processor_ms: float = 0.0

    @property
    def lost(self) -> int:
        return TASKS - len(self.lateness)

    @property
    def p50(self) -> float:
        return percentile(self.lateness, 0.5)

    @property
    def p99(self) -> float:
        return percentile(self.lateness, 0.99)


def measure(*, quick: bool) -> Section:
    """All in turn; ``quick`` once, else three rounds of which each one's median run is quoted."""
    contenders = (our_herd, apscheduler_herd, huey_herd, bare_herd)
    rounds = [[run() for run in contenders] for _ in range(1 if quick else 3)]
    ours = [herds[0] for herds in rounds]
    median_run, *peers = [_median_run(herds) for herds in zip(*rounds, strict=True)]
    return Section(
        f"{TASKS} tasks on one tick",
        "Agent: a shell script that stamps its start with a file. Lateness: that stamp minus the "
        f"tick, for all alike. Of {len(rounds)} rounds the median by p99. Peers keep their jobs in "
        f"SQLite where named so, have {TASKS} threads and subprocess.run; the bare line is "
        "posix_spawn in a loop.",
        [*_our_lines(median_run, ours), *_peer_lines(median_run, peers)],
    )


def _median_run(herds: Sequence[Herd]) -> Herd:
    return sorted(herds, key=lambda herd: herd.p99)[len(herds) // 2]


def _our_lines(herd: Herd, runs: list[Herd]) -> list[Line]:
    return [
        none_of("ticks lost, over all herds", sum(run.lost for run in runs)),
        none_of("rows stuck, over all herds", sum(run.stuck for run in runs)),
        at_most("start lateness p50", herd.p50, 0.3, "s"),
        at_most("start lateness p99", herd.p99, 0.75, "s"),
        at_most("the row's started_at, p50", percentile(herd.row_lateness, 0.5), 0.3, "s"),
        at_most("the row's started_at, p99", percentile(herd.row_lateness, 0.99), 0.75, "s"),
        Line("all recorded after", "-", f"{herd.all_recorded:.2f} s"),
    ]


def _peer_lines(ours: Herd, peers: list[Herd]) -> list[Line]:
    lines: list[Line] = []
    for peer in peers:
        for what, mine, theirs in (
            ("lateness p50", ours.p50, peer.p50),
            ("lateness p99", ours.p99, peer.p99),
            ("all recorded", ours.all_recorded, peer.all_recorded),
        ):
            said = f"{peer.name}: {theirs:.2f} s, {peer.lost} lost"
            ratio = times(mine, theirs)
            lines.append(Line(what, "-", f"{mine:.2f} s", peer=said, ratio=ratio))
    return lines


def our_herd() -> Herd:
    """One cron task each, all on one second, every run allowed at once."""
    with Sandbox(max_concurrent_runs=TASKS) as box:
        node = box.start_leader()
        due = next_second(ahead=2)
        at = datetime.fromtimestamp(due, UTC)
        cron = f"{at.second} {at.minute} {at.hour} * * *"
        box.operations.tasks.add_all([box.spec(f"herd {n}", cron_expr=cron) for n in range(TASKS)])
        time.sleep(max(0.0, due - time.time()))
        recorded = _wait_recorded(box, due)
        rows = box.rows("SELECT started_at FROM task_runs WHERE state = 'completed'")
        lateness = [stamp - due for stamp in box.start_times()]
        stuck = box.active_runs()
        usage = box.stop_node(node)
        return Herd(
            "claude-tasks",
            lateness,
            recorded,
            stuck=stuck,
            row_lateness=tuple(started / 1000 - due for (started,) in rows),
            processor_ms=(usage.ru_utime + usage.ru_stime) * 1000 / TASKS,
        )


def _wait_recorded(box: Sandbox, due: int) -> float:
    sql = "SELECT COUNT(*) FROM task_runs WHERE state NOT IN ('queued', 'running')"
    with contextlib.suppress(TimeoutError):  # what is missing then shows as lost or stuck
        wait_until(lambda: box.value(sql) >= TASKS, seconds=_PATIENCE_SECONDS, pause=0.05)
    return time.time() - due


def apscheduler_herd() -> Herd:
    """The same on APScheduler 3."""
    with Sandbox() as box:
        due = next_second(ahead=5)
        said = _peer(box, "apscheduler_herd", due, str(box.root / "jobs.db"))
        return _peer_result(box, f"APScheduler 3 ({said['store']} job store)", said, due)


def huey_herd() -> Herd:
    """The same on Huey."""
    with Sandbox() as box, _huey_consumer(box.root / "huey.db", box.environment):
        due = next_second(ahead=5)
        said = _peer(box, "huey_herd", due)
        return _peer_result(box, "Huey (SQLite)", said, due)


def bare_herd() -> Herd:
    """The floor: the same number of agents, spawned and reaped by a loop that does nothing else."""
    with Sandbox() as box:
        begun = time.time()
        for _ in range(TASKS):
            os.posix_spawn(str(box.agent), [str(box.agent)], dict(os.environ), file_actions=_QUIET)
        for _ in range(TASKS):
            os.wait()
        ended = time.time() - begun
        return Herd("bare posix_spawn", [t - begun for t in box.start_times()], ended)


_QUIET = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
]


def _peer(box: Sandbox, module: str, due: int, *more: str) -> dict[str, object]:
    said_to_peer = (str(box.agent), PROMPT, str(due), str(TASKS))
    done = subprocess.run(
        [sys.executable, "-m", f"bench.peers.{module}", *said_to_peer, *more],
        env=box.environment,
        capture_output=True,
        check=True,
    )
    said: dict[str, object] = json.loads(done.stdout)
    return said


def _peer_result(box: Sandbox, name: str, said: dict[str, object], due: int) -> Herd:
    return Herd(name, [stamp - due for stamp in box.start_times()], float(str(said["seconds"])))


@contextlib.contextmanager
def _huey_consumer(database: Path, environment: dict[str, str]) -> Iterator[None]:
    environment["BENCH_HUEY_DATABASE"] = str(database)
    command = ["-m", "huey.bin.huey_consumer", "bench.peers.huey_app.huey", "-w", str(TASKS), "-q"]
    consumer = subprocess.Popen([sys.executable, *command], env=environment)
    try:
        threads = f"/proc/{consumer.pid}/task"
        wait_until(lambda: len(os.listdir(threads)) > TASKS, seconds=20)
        yield
    finally:
        for child in children(consumer.pid):
            os.kill(child, signal.SIGKILL)
        consumer.kill()
        consumer.wait()
