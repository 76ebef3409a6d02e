"""Each enabled task would run, if its tick came now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    failed,
    passed,
    shell,
    some,
    warned,
)
from claude_tasks.doctor.node_help import (
    unread,
)

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        DatabaseFacts,
        MachineFacts,
        TaskFact,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_schedule import ScheduleProblem

from claude_tasks.domain.hint import Command, Placeholder
from claude_tasks.domain.task_fields import PERMISSION_MODES
from claude_tasks.system.path_probe import Looked

if TYPE_CHECKING:
    _Known = dict[tuple[str, str, bool], ScheduleProblem | None]
    Oddity = tuple[str, str | None]
    """What is wrong, and the command that fixes it."""


_NAME = "tasks"
_ALIASES = ("default", "haiku", "inherit", "opus", "opusplan", "sonnet")
"""What the agent calls its models by."""
_WRONG = {
    Looked.MISSING: "does not exist",
    Looked.OTHER: "is no folder",
    Looked.BARRED: "cannot be entered by this user",
    Looked.NO_ANSWER: "does not answer (its mount hangs); until it does, each run waits there for"
    " its time limit",
}
_BYPASS = ("--dangerously-skip-permissions", "bypassPermissions")


def judge(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """FAIL where a task cannot run, WARN where the agent may refuse what it is told."""
    contents = database.contents
    if contents is None:
        return unread(_NAME, database)
    known: _Known = {}
    broken: list[Oddity] = [
        (f"{it.text} (its row cannot be read)", it.fix)
        for it in contents.illegible
        if it.part == "tasks"
    ]
    illegible = len(broken)
    odd: list[Oddity] = []
    for fact in contents.tasks:
        broken += _named(fact.task, _obstacle(fact, machine, known))
        odd += _named(fact.task, _oddity(fact.task))
    return _finding(len(contents.tasks) + illegible, broken, odd)


def _finding(count: int, broken: list[Oddity], odd: list[Oddity]) -> Finding:
    total = f"of {count} enabled"
    if broken:
        text = f"{len(broken)} {total} cannot run: {some([text for text, _ in broken])}"
        return failed(_NAME, text, next((fix for _, fix in broken if fix), None))
    if odd:
        text = f"{len(odd)} {total} may not run: {some([text for text, _ in odd])}"
        return warned(_NAME, text, odd[0][1])
    return passed(_NAME, f"{count} enabled")


def _named(task: Task, found: Oddity | None) -> list[Oddity]:
    return [] if found is None else [(f'{task.id} "{task.name}": {found[0]}', found[1])]


def _obstacle(fact: TaskFact, machine: MachineFacts, known: _Known) -> Oddity | None:
    """What would end each run of the task before its agent starts."""
    task = fact.task
    # First: a task with an invalid schedule accepts no other edit.
    wrong = _schedule_problem(task, known)
    if wrong is not None:
        schedule = f"{task.spec.cron_expr!r} ({task.spec.timezone})"
        return f"its schedule {schedule} is not valid: {wrong.text}", wrong.mend(task)
    if fact.looked is not Looked.FOLDER:
        text = f"its working directory {fact.folder} {_WRONG[fact.looked]}"
        return text, _way_in(fact)
    if machine.refuses_bypass and _bypasses(task):
        text = "the agent refuses to bypass permissions as root"
        return text, Command("edit", task.id, "--permission-mode", "acceptEdits")
    return None


def _way_in(fact: TaskFact) -> str:
    """The command that lets a run enter its folder."""
    if fact.looked is Looked.BARRED:
        return shell("chmod", "u+x", fact.folder)
    if fact.mount is not None:  # -f frees waiting processes, and mount works again
        return shell("sudo", "umount", "-f", "-l", fact.mount)
    return Command("edit", fact.task.id, "--dir", Placeholder("<FOLDER>"))


def _schedule_problem(task: Task, known: _Known) -> ScheduleProblem | None:
    """Thousands of tasks share few expressions: each is parsed once."""
    # Loads the cron library, which an installation without tasks can do without.
    from claude_tasks.domain.task_schedule import schedule_problem

    key = (task.spec.cron_expr, task.spec.timezone, task.spec.scheduled_at is None)
    if key not in known:
        known[key] = schedule_problem(task)
    return known[key]


def _bypasses(task: Task) -> bool:
    asked = any(argument.endswith(_BYPASS) for argument in task.spec.extra_args)
    return task.spec.permission_mode == "bypassPermissions" or asked


def _oddity(task: Task) -> Oddity | None:
    """A value that the agent would refuse."""
    mode, model = task.spec.permission_mode, task.spec.model
    if mode is not None and mode not in PERMISSION_MODES:
        fix = Command("edit", task.id, "--permission-mode", "default")
        return f"unknown permission mode {mode!r}", fix
    if model is not None and not _looks_like_a_model(model):
        return f"{model!r} is no model that is known", Command("edit", task.id, "--model", "sonnet")
    return None


def _looks_like_a_model(model: str) -> bool:
    """An alias, a name of Anthropic's, or one that another provider gave it (with dots, slashes).

    Context windows are asked for by a suffix: ``sonnet[1m]``.
    """
    bare = model.removesuffix("[1m]")
    if not bare.isprintable() or bare.split() != [bare] or bare.startswith("-"):
        return False
    return bare in _ALIASES or bare.startswith("claude-") or "." in bare or "/" in bare
