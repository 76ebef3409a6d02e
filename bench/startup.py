"""How long a light command takes, over an interpreter that does nothing."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from bench.report import Line, Section, at_most
from bench.sandbox import Sandbox, cli_command
from bench.statistics_of import median

if TYPE_CHECKING:
    from bench.report import Section as SectionType

_TASKS = 50
_BUDGETS = {"version": 2.0, "list": 4.0, "list --json": 4.0, "doctor": 6.0}


def measure(*, quick: bool) -> SectionType:
    """Interleaved repetitions, so that whatever disturbs the machine disturbs all alike."""
    with Sandbox() as box:
        # Half a year away: doctor fails where a tick comes due and nobody schedules.
        month = (time.gmtime().tm_mon + 5) % 12 + 1
        for n in range(_TASKS):
            box.operations.tasks.add(box.spec(f"task {n}", cron_expr=f"{n} 3 1 {month} *"))
        box.write_agent("echo '2.1.330 (Claude Code)'")  # what it takes to answer is not ours
        commands = {"": [sys.executable, "-c", "pass"]}
        commands.update({name: [*cli_command(), *name.split()] for name in _BUDGETS})
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _wall_ms(command, box.environment)  # compiles what was never run before
        for _ in range(11 if quick else 41):
            for name, command in commands.items():
                taken[name].append(_wall_ms(command, box.environment))
    nothing = median(taken[""])
    return Section(
        "Start-up",
        f"Wall time of the whole process, medians of {len(taken[''])} interleaved repetitions, "
        f"{_TASKS} tasks, over `python -c pass` with the same interpreter.",
        [
            Line("python -c pass", "-", f"{nothing:.1f} ms"),
            *[_line(name, median(taken[name]), nothing) for name in _BUDGETS],
        ],
    )


def _line(name: str, milliseconds: float, nothing: float) -> Line:
    line = at_most(f"claude-tasks {name}", milliseconds / nothing, _BUDGETS[name], "x")
    return line._replace(peer=f"{milliseconds:.1f} ms against {nothing:.1f} ms")


def _wall_ms(command: list[str], environment: dict[str, str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    begun = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    taken = time.perf_counter() - begun
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    return taken * 1000
