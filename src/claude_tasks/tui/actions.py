"""Every action of the terminal UI: its key, its words, the command that does the same.

Footer, help and palette read this table; a binding's id is the action's, which ``[keys]`` of
``config.toml`` may give another key.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType

from claude_tasks.domain.hint import Command, Hint

TASKS, RUNS, RUN, FORM, PAGE = "tasks", "runs", "run", "form", "page"
"""The places where an action can be done: the kinds of screens."""


class Action(NamedTuple):
    """``keys`` are Textual's names, separated by commas; ``twin`` is the same on a command line.

    ``in_footer`` actions are shown at the bottom while there is room.
    """

    id: str
    keys: str
    label: str
    help: str
    places: tuple[str, ...]
    twin: str = ""
    in_footer: bool = True


ACTIONS = (
    Action("open", "enter", "Open", "the runs of a task, the record of a run", (TASKS, RUNS),
           Command("runs", "TASK"), in_footer=False),
    Action("add", "a", "Add", "a new task", (TASKS,), Command("add")),
    Action("edit", "e", "Edit", "change the task", (TASKS,), Command("edit", "TASK")),
    Action("run", "r", "Run", "run the task now", (TASKS, RUNS), Command("run", "TASK")),
    Action("toggle", "t", "On/off", "let the task fire, or stop it from firing", (TASKS,),
           Hint(Command("enable", "TASK"), ", ", Command("disable", "TASK"))),
    Action("delete", "d", "Delete", "delete the task; its runs stay", (TASKS,),
           Command("rm", "TASK")),
    Action("cancel", "c", "Cancel", "end the run, with everything it started", (TASKS, RUNS, RUN),
           Command("cancel", "RUN"), in_footer=False),
    Action("log", "l", "Log", "the last run: its output, live while it runs", (TASKS, RUNS, RUN),
           Command("logs", "-f", "RUN")),
    Action("search", "slash", "Search", "filter: words, state:failed, tag:nightly", (TASKS, RUNS),
           Hint(Command("list", "--tag", "TAG"), ", ", Command("runs", "--text", "TEXT"))),
    Action("failed", "f", "Failed", "only what failed; again for all", (TASKS, RUNS),
           Command("runs", "--state", "failed"), in_footer=False),
    Action("sort", "S", "Sort", "by newest, name, next run, last run", (TASKS,), in_footer=False),
    Action("all_runs", "R", "All runs", "what ran, of all tasks", (TASKS,), Command("runs"),
           in_footer=False),
    Action("why", "w", "Why", "why the task did or did not run", (TASKS, RUNS),
           Command("why", "TASK"), in_footer=False),
    Action("undo", "z", "Undo", "take back the last delete, edit or toggle", (TASKS,),
           Command("restore", "TASK"), in_footer=False),
    Action("agenda", "A", "Agenda", "all that is due in the next 24 h", (TASKS,), in_footer=False),
    Action("timeline", "T", "Timeline", "24 h back and 24 h ahead, a lane a task", (TASKS,),
           in_footer=False),
    Action("doctor", "D", "Doctor", "is it ready, and if not, which command helps", (TASKS,),
           Command("doctor"), in_footer=False),
    Action("settings", "s", "Settings", "every setting and where its value comes from", (TASKS,),
           in_footer=False),
    Action("resume", "o", "Resume", "go on in the session of an ended run, in this terminal",
           (TASKS, RUNS, RUN), "claude --resume SESSION", in_footer=False),
    Action("copy", "y", "Copy", "the command that resumes the run's session, or shows the task",
           (TASKS, RUNS, RUN), in_footer=False),
    Action("help", "question_mark", "Help", "all keys, and what they do", (TASKS, RUNS, RUN, PAGE)),
    Action("back", "escape", "Back", "to where you came from", (RUNS, RUN, FORM, PAGE)),
    Action("save", "ctrl+s", "Save", "save the task", (FORM,),
           Hint(Command("add"), ", ", Command("edit", "TASK"))),
    Action("suspend", "ctrl+z", "Suspend", "to the shell; fg comes back", (TASKS, RUNS, RUN, PAGE),
           in_footer=False),
    Action("quit", "q", "Quit", "leave; runs go on", (TASKS, RUNS, RUN, PAGE)),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}


def bindings(place: str) -> list[BindingType]:
    """The keys of one kind of screen. Ctrl-C leaves too, wherever ``quit`` does."""
    own = [action for action in ACTIONS if place in action.places]
    made: list[BindingType] = [
        Binding(
            action.keys, _doing(action), action.label, show=_is_in_footer(action, place),
            id=action.id,
            tooltip=action.help,
        )
        for action in own
    ]  # fmt: skip
    if BY_ID["quit"] in own:
        made.append(Binding("ctrl+c", _doing(BY_ID["quit"]), show=False))
    return made


def _is_in_footer(action: Action, place: str) -> bool:
    """The screen of one run has room for all of its few."""
    return action.in_footer or place == RUN


def _doing(action: Action) -> str:
    return f"do('{action.id}')"


def shown_key(keys: str) -> str:
    """How a key is written for people: ``/`` for ``slash``, ``Ctrl+S`` for ``ctrl+s``."""
    names = {"slash": "/", "question_mark": "?", "escape": "Esc", "enter": "Enter"}
    key = keys.partition(",")[0]
    return names.get(key) or "+".join(
        part.capitalize() if len(part) > 1 else part.upper() if "+" in key else part
        for part in key.split("+")
    )
