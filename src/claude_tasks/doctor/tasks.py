"""The enabled tasks: would each of them run, if its tick came now?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import failed, passed, shell, some, warned
from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.task import PERMISSION_MODES

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import DatabaseFacts, MachineFacts, TaskFact
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.task import Task

_NAME = "tasks"
_BYPASS = ("--dangerously-skip-permissions", "bypassPermissions")

if TYPE_CHECKING:
    Oddity = tuple[str, str]
    """What is wrong, and the command that mends it."""


def check_tasks(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """FAIL where a task cannot run, WARN where the agent may refuse what it is told."""
    contents = database.contents
    if contents is None:
        if not database.exists or (database.trouble is None and database.schema == 0):
            return passed(_NAME, "none yet")
        return warned(_NAME, f"not looked at: {database.unread} (see database)")
    known: dict[tuple[str, str], str | None] = {}
    broken: list[Oddity] = []
    odd: list[Oddity] = []
    for fact in contents.tasks:
        broken += _named(fact.task, _obstacle(fact, machine, known))
        odd += _named(fact.task, _oddity(fact.task))
    return _finding(len(contents.tasks), broken, odd)


def _finding(count: int, broken: list[Oddity], odd: list[Oddity]) -> Finding:
    total = f"of {count} enabled"
    if broken:
        text = f"{len(broken)} {total} cannot run: {some([text for text, _ in broken])}"
        return failed(_NAME, text, broken[0][1])
    if odd:
        text = f"{len(odd)} {total} may not run: {some([text for text, _ in odd])}"
        return warned(_NAME, text, odd[0][1])
    return passed(_NAME, f"{count} enabled")


def _named(task: Task, found: Oddity | None) -> list[Oddity]:
    return [] if found is None else [(f'{task.id} "{task.name}": {found[0]}', found[1])]


def _obstacle(
    fact: TaskFact, machine: MachineFacts, known: dict[tuple[str, str], str | None]
) -> Oddity | None:
    """What would end each run of the task before it began."""
    task = fact.task
    if not fact.folder_exists:
        return f"its working directory {fact.folder} does not exist", _edit(task, "--dir", "FOLDER")
    wrong = _schedule_problem(task, known)
    if wrong is not None:
        return wrong, _edit(task, "--cron", "EXPRESSION")
    if machine.refuses_bypass and _bypasses(task):
        text = "the agent refuses to bypass permissions as root"
        return text, _edit(task, "--permission-mode", "acceptEdits")
    return None


def _schedule_problem(task: Task, known: dict[tuple[str, str], str | None]) -> str | None:
    """Thousands of tasks share few expressions: each is parsed once."""
    key = (task.cron_expr, task.timezone)
    if key not in known:
        known[key] = _parse_problem(task)
    return known[key]


def _parse_problem(task: Task) -> str | None:
    # Loads the cron library, which an installation without tasks can do without.
    from claude_tasks.domain.tick import schedule_of  # noqa: PLC0415

    try:
        schedule_of(task)
    except ClaudeTasksError as error:
        return f"its schedule {task.cron_expr!r} ({task.timezone}) is not valid: {error.message}"
    return None


def _bypasses(task: Task) -> bool:
    asked = any(argument.endswith(_BYPASS) for argument in task.extra_args)
    return task.permission_mode == "bypassPermissions" or asked


def _oddity(task: Task) -> Oddity | None:
    """What the agent itself would have to refuse."""
    mode, model = task.permission_mode, task.model
    if mode is not None and mode not in PERMISSION_MODES:
        return f"unknown permission mode {mode!r}", _edit(task, "--permission-mode", "default")
    if model is not None and (not model.isprintable() or model.split() != [model]):
        return f"{model!r} is no model's name", _edit(task, "--model", "sonnet")
    return None


def _edit(task: Task, flag: str, value: str) -> str:
    return shell("claude-tasks", "edit", str(task.id), flag, value)
