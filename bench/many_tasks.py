"""Ten thousand tasks: import, start, idle processor time and memory."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bench.processes import children, memory, processor_seconds, wait_until
from bench.report import Line, Section, at_most
from bench.sandbox import PROMPT, Sandbox, cli_command
from bench.statistics_of import median

if TYPE_CHECKING:
    from bench.report import Section as SectionType

TASKS = 10_000
_DUE = "SELECT COUNT(*) FROM task_runs"


def measure(*, quick: bool) -> SectionType:
    """Import, then start several times, then watch one node idle."""
    with Sandbox() as box:
        imported = _import(box)
        starts = [_start_to_scheduled(box) for _ in range(2 if quick else 5)]
        idle = _idle(box, seconds=6 if quick else 25)
    return Section(
        f"{TASKS:,} enabled tasks",
        "Import: `claude-tasks import FILE`, the whole process. Start: from just before the daemon "
        "is executed until it holds the lease and the row of a tick that was already due is in the "
        "database, median. Idle: user and system time of daemon and spawner while nothing is due.",
        [
            at_most("import of all", imported, 2.0, "s"),
            at_most("process start to leader and scheduled", median(starts), 1.0, "s"),
            *idle,
        ],
    )


def _import(box: Sandbox) -> float:
    document = box.root / "tasks.json"
    document.write_text(json.dumps({"tasks": _requests(str(box.root))}), encoding="utf-8")
    begun = time.monotonic()
    subprocess.run(
        [*cli_command(), "import", str(document)],
        env=box.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - begun


def _requests(folder: str) -> list[dict[str, Any]]:
    """Schedules of all minutes, hours and some days, none within days from now."""
    today = datetime.now(UTC).day
    days = [(today + away) % 28 + 1 for away in (8, 10, 12, 14)]
    return [
        {
            "name": f"task {n}",
            "prompt": PROMPT,
            "cron_expr": f"{n % 60} {n // 60 % 24} {days[n % 4]} * *",
            "working_dir": folder,
        }
        for n in range(TASKS)
    ]


def _start_to_scheduled(box: Sandbox) -> float:
    """One task is due: its row proves that the new leader has scheduled."""
    box.operations.tasks.add(box.spec("due"))
    before = box.value(_DUE)
    begun = time.monotonic()
    node = box.start_node()
    ready = wait_until(lambda: box.value(_DUE) > before, seconds=60, pause=0.002)
    assert box.leader() == node.pid  # nobody else could have written the row
    wait_until(lambda: box.active_runs() == 0, seconds=20)
    box.stop_node(node)
    return ready - begun


def _idle(box: Sandbox, *, seconds: float) -> list[Line]:
    node = box.start_leader()
    time.sleep(2)
    (spawner,) = children(node.pid)
    before, begun = _used(node.pid, spawner), time.monotonic()
    time.sleep(seconds)
    used = [now - then for now, then in zip(_used(node.pid, spawner), before, strict=True)]
    share = 100 * sum(used) / (time.monotonic() - begun)
    daemon, extra = memory(node.pid), memory(spawner)
    return [
        at_most("idle leader: processor", share, 0.5, "% of a core"),
        at_most("daemon, idle: resident", daemon.resident, 45, "MiB"),
        Line("daemon, idle: proportional", "-", f"{daemon.proportional:.1f} MiB"),
        Line("its spawner adds, resident", "-", f"{extra.resident:.1f} MiB"),
        Line("its spawner adds, proportional", "-", f"{extra.proportional:.1f} MiB"),
        at_most(
            "daemon and spawner, proportional", daemon.proportional + extra.proportional, 45, "MiB"
        ),
    ]


def _used(*pids: int) -> list[float]:
    return [processor_seconds(pid) for pid in pids]
