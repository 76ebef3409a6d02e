"""What a run costs beyond the agent's own process: processor time and memory."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from bench.processes import memory, wait_until
from bench.report import Line, Section, at_most
from bench.sandbox import Sandbox
from bench.statistics_of import median

if TYPE_CHECKING:
    import resource

_APART_MS = 50
_SLEEPERS = 10
_ENDED = "SELECT COUNT(*) FROM task_runs WHERE state = 'completed'"
_SETTLE_SECONDS = 2.0


def measure(*, quick: bool) -> Section:
    """Processor time over a row of single runs, then the memory of waiting supervisors."""
    runs = 60 if quick else 200
    bare = _bare_ms(runs)
    spread = _tree_ms(runs, apart_ms=_APART_MS) - bare
    burst = _tree_ms(runs, apart_ms=0) - bare
    private, proportional = _supervisor_memory()
    return Section(
        "Overhead per run",
        "Processor: user and system time of daemon, spawner, supervisors and agents, as wait4 "
        "reports it for the ended daemon and all it reaped, minus an idle daemon of the same "
        "duration, minus the same agent started bare by posix_spawn. Memory: private pages of a "
        f"supervisor while its agent sleeps, median of {_SLEEPERS}.",
        [
            at_most(f"processor, {runs} runs {_APART_MS} ms apart", spread, 5, "ms"),
            at_most(f"processor, {runs} runs on one tick", burst, 5, "ms"),
            Line("the agent itself, bare", "-", f"{bare:.2f} ms"),
            at_most("supervisor, private", private, 4, "MiB"),
            Line("supervisor, proportional", "-", f"{proportional:.1f} MiB"),
        ],
    )


def _milliseconds(usage: resource.struct_rusage) -> float:
    return (usage.ru_utime + usage.ru_stime) * 1000


def _bare_ms(runs: int) -> float:
    """Per run: the agent alone, with its prompt on standard input."""
    with Sandbox() as box:
        prompt = box.root / "prompt"
        prompt.write_text("say hi\n", encoding="utf-8")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, str(prompt), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ]
        total = 0.0
        for _ in range(runs):
            agent = str(box.agent)
            pid = os.posix_spawn(agent, [agent], box.environment, file_actions=actions)
            total += _milliseconds(os.wait4(pid, 0)[2])
        return total / runs


def _tree_ms(runs: int, *, apart_ms: int) -> float:
    """Per run: everything below and including the daemon, less what idling costs."""
    lead_ms = 1500
    seconds = (lead_ms + runs * apart_ms) / 1000 + _SETTLE_SECONDS
    return (_tree_total(runs, apart_ms, lead_ms, seconds) - _tree_total(0, 0, 0, seconds)) / runs


def _tree_total(runs: int, apart_ms: int, lead_ms: int, seconds: float) -> float:
    with Sandbox(max_concurrent_runs=max(1, runs)) as box:
        node = box.start_leader()
        begun = time.monotonic()
        first = time.time_ns() // 1_000_000 + lead_ms
        box.operations.tasks.add_all(
            [box.spec(f"run {n}", scheduled_at=first + n * apart_ms) for n in range(runs)]
        )
        wait_until(lambda: box.value(_ENDED) >= runs, seconds=60, pause=0.1)
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        return _milliseconds(box.stop_node(node))


def _supervisor_memory() -> tuple[float, float]:
    """Private and proportional, medians, MiB. The agents sleep in processes of their own."""
    with Sandbox(max_concurrent_runs=_SLEEPERS) as box:
        box.write_agent("sleep 60 & wait")
        box.start_leader()
        box.operations.tasks.add_all([box.spec(f"sleeper {n}") for n in range(_SLEEPERS)])
        wait_until(lambda: len(box.start_times()) == _SLEEPERS, seconds=20)
        time.sleep(0.5)
        found = [memory(pid) for pid in _supervisors(box)]
        for (run_id,) in box.rows("SELECT id FROM task_runs"):
            box.operations.runs.cancel(run_id)
        wait_until(lambda: box.active_runs() == 0, seconds=30)
    return median([m.private for m in found]), median([m.proportional for m in found])


def _supervisors(box: Sandbox) -> list[int]:
    files = (box.data / "runs").glob("*/started.json")
    return [json.loads(path.read_bytes())["supervisor_pid"] for path in files]
