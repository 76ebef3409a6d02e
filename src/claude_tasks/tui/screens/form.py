"""The form of a task, made from the table of fields: a new task, or a change of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Footer, Input, Select, Static, TextArea

from claude_tasks.domain.errors import ClaudeTasksError, FieldError, UnknownZoneError
from claude_tasks.domain.instant import human_duration, to_rfc3339
from claude_tasks.domain.schedule.duration import parse_duration
from claude_tasks.domain.schedule.moment import parse_moment
from claude_tasks.domain.task_fields import FIELDS, ONE_OFF, Field, Group, Kind, TaskSpec, Unit
from claude_tasks.text.times import when
from claude_tasks.tui.actions import FORM, bindings
from claude_tasks.tui.screens.base import BaseScreen
from claude_tasks.tui.screens.dialogs import Confirm

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations

_SHOWN_TICKS = 5
_UNSET = "not set"
_YES = "yes"
_WHEN = ("cron_expr", "timezone")
_AT_ONCE = "It has no schedule and no time: it runs once, now. Save it?"
_ONCE = "at once; a schedule makes it recurring: 0 9 * * 1-5, @every 2h"


class _StayedError(Exception):
    """The person does not want to save yet."""


class FormScreen(BaseScreen):
    """Gives the task as it is saved, None where nothing was."""

    place = FORM
    BINDINGS: ClassVar = [
        *bindings(FORM),
        # Before the keys that were typed after them: they go to another field.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    FormScreen #title { height: 1; text-style: bold; padding: 0 1; }
    FormScreen VerticalScroll { height: 1fr; padding: 0 1; }
    FormScreen .group { text-style: bold; color: $primary; margin-top: 1; }
    FormScreen .field { height: auto; layout: grid; grid-size: 2; grid-columns: 16 1fr;
                        grid-rows: auto; }
    FormScreen .field > Static { height: auto; color: $text-muted; }
    FormScreen .field.wrong > .label { color: $error; text-style: bold; }
    FormScreen .error { column-span: 2; height: auto; color: $error; display: none;
                        padding-left: 16; }
    FormScreen .field.wrong .error { display: block; }
    FormScreen Input, FormScreen Select { height: 1; border: none; }
    FormScreen TextArea { height: 6; border: none; padding: 0; }
    FormScreen #preview { height: auto; padding-left: 16; color: $text-muted; }
    """

    def __init__(self, task: Task | None) -> None:
        """``task`` None makes a new one."""
        super().__init__()
        self._edited = task
        self._first: dict[str, str] = {}
        self._schedule_error: FieldError | None = None
        """What is wrong with the schedule as it stands, at its field."""

    def compose(self) -> ComposeResult:
        """Every field, by group."""
        title = (
            "New task" if self._edited is None else f'Task {self._edited.id} "{self._edited.name}"'
        )
        yield Static(title, id="title", markup=False)
        with VerticalScroll(can_focus=False):
            for group in Group:
                yield Static(group.value, classes="group")
                for field in FIELDS.values():
                    if field.group is group:
                        yield from self._row(field)
        yield Footer()

    def on_mount(self) -> None:
        """Begin with the name."""
        self._first = {name: self._text(name) for name in FIELDS}
        self.query_one("#name").focus()
        self._preview()

    # Fields and widgets

    def _row(self, field: Field) -> ComposeResult:
        with Vertical(classes="field", id=f"field-{field.name}"):
            yield Static(field.label, classes="label", markup=False)
            yield self._widget(field)
            yield Static(classes="error", markup=False)
        if field.name == "cron_expr":
            yield Static(id="preview", markup=False)

    def _widget(self, field: Field) -> Widget:
        value = field.default if self._edited is None else getattr(self._edited.spec, field.name)
        if self._edited is None and field.name == "timezone":
            value = self.backend.zone
        if self._edited is None and field.name == "working_dir":
            value = os.getcwd()  # a daemon has another current folder
        if field.kind is Kind.SWITCH:
            words = [("yes", _YES), ("no", "")]
            return Select(
                words, value=_YES if value else "", allow_blank=False, id=field.name, compact=True
            )
        if field.choices:
            options = [(word, word) for word in field.choices]
            known = value if value in field.choices else Select.NULL
            return Select(
                options, value=known, allow_blank=field.optional, id=field.name, compact=True,
                prompt=field.unset or _UNSET,
            )  # fmt: skip
        if field.name == "prompt":
            return TextArea(value or "", id=field.name, compact=True, tab_behavior="focus")
        return Input(
            _shown(field, value), id=field.name, compact=True, placeholder=_placeholder(field),
            password=field.secret,
        )  # fmt: skip

    def _text(self, name: str) -> str:
        widget = self.query_one(f"#{name}")
        if isinstance(widget, TextArea):
            return widget.text
        if isinstance(widget, Select):
            return "" if widget.is_blank() else str(widget.value)
        assert isinstance(widget, Input)  # there is no other kind
        return widget.value

    def _value(self, field: Field) -> Any:
        """What was typed, as a value of the field. Errors: `FieldError`."""
        text = self._text(field.name)
        if field.kind is Kind.SWITCH:
            return bool(text)
        if field.kind is Kind.LIST:
            return tuple(word.strip() for word in text.split(";") if word.strip())
        if not text.strip() and (field.optional or field.default == ""):
            return None if field.optional else ""
        try:
            return self._converted(field, text)
        except ClaudeTasksError as error:
            raise FieldError(field.name, f": {error.message}", hint=error.hint) from error
        except ValueError:
            raise FieldError(field.name, f": {text!r} is not a number") from None

    def _converted(self, field: Field, text: str) -> Any:
        if field.kind is Kind.INSTANT:
            zone = self._text("timezone") or self.backend.zone
            return parse_moment(text, at=self.backend.now(), timezone=zone)
        if field.unit is Unit.SECONDS:
            return parse_duration(text)
        if field.kind in (Kind.WHOLE, Kind.NUMBER):
            return int(text) if field.kind is Kind.WHOLE else float(text)
        if field.name == "working_dir" and not text.startswith("~"):
            return os.path.abspath(text.strip())
        return text if field.name == "prompt" else text.strip()

    def _values(self) -> dict[str, Any]:
        """Of the fields that were changed. Errors: `FieldError`."""
        return {
            name: self._value(field)
            for name, field in FIELDS.items()
            if self._edited is None or self._text(name) != self._first[name]
        }

    def _is_changed(self) -> bool:
        return any(self._text(name) != first for name, first in self._first.items())

    # What it says while one types

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """A field that was left is looked at."""
        name = event.widget.id
        if name in FIELDS:
            self._check(FIELDS[name])

    def _check(self, field: Field) -> None:
        error = self._schedule_error if field.name in _WHEN else None
        try:
            if self._text(field.name) != self._first[field.name]:  # a past time may stay
                self._value(field)
        except FieldError as found:
            error = found
        self._mark(field.name, error if error is not None and error.field == field.name else None)

    def _mark(self, name: str, error: FieldError | None) -> None:
        row = self.query_one(f"#field-{name}")
        row.set_class(error is not None, "wrong")
        if error is not None:
            hint = f" ({error.hint})" if error.hint else ""
            row.query_one(".error", Static).update(f"{error.message}{hint}")

    def on_input_changed(self, event: Input.Changed) -> None:
        """The schedule is shown in English, with its next instants."""
        if event.input.id in ("cron_expr", "timezone", "scheduled_at"):
            self._preview()

    def _preview(self) -> None:
        self.begin(self._show_preview, exclusive=True, group="preview")

    async def _show_preview(self) -> None:
        expression = self._text("cron_expr").strip()
        zone, now = self._text("timezone").strip() or self.backend.zone, self.backend.now()
        shown = self.query_one("#preview", Static)
        self._schedule_error = None
        for name in _WHEN:
            self._mark(name, None)
        if expression == ONE_OFF:
            shown.update(f"once, {self._text('scheduled_at').strip() or _ONCE}")
            return
        try:
            preview = await self.backend.read(
                lambda operations: operations.status.preview(
                    expression, timezone=zone, count=_SHOWN_TICKS
                )
            )
        except ClaudeTasksError as error:
            name = "timezone" if isinstance(error, UnknownZoneError) else "cron_expr"
            self._schedule_error = FieldError(name, f": {error.message}", hint=error.hint)
            shown.update("")
            if not self.query_one(f"#{name}").has_focus:
                self._mark(name, self._schedule_error)
            return
        lines = [
            f"{when(tick.at, zone, now=now)}{f'  ({tick.note})' if tick.note else ''}"
            for tick in preview.ticks
        ]
        shown.update("\n".join([preview.description, *lines]))

    # What it does

    async def do_save(self) -> None:
        """Save; an error goes to its field."""
        for name in FIELDS:
            self._mark(name, None)
        try:
            saved = await self._save()
        except _StayedError:
            return
        except FieldError as error:
            self._mark(error.field, error)
            self.query_one(f"#{error.field}").focus()
            self.notify(error.message, severity="error", markup=False)
            return
        self.dismiss(saved)

    async def _save(self) -> Task | None:
        values, task = self._values(), self._edited
        if self._schedule_error is not None:
            raise self._schedule_error
        if task is None:
            spec = TaskSpec(**values)
            if spec.is_one_off and spec.scheduled_at is None and not await self._agreed(_AT_ONCE):
                raise _StayedError
            return await self.backend.write(lambda operations: operations.tasks.add(spec))
        if not values:
            return None

        now = await self.backend.read(lambda operations: operations.tasks.get(task.id))
        if now.revision != task.revision:
            others = [
                f"{field.label}: {_shown(field, getattr(now.spec, name)) or _UNSET}"
                for name, field in FIELDS.items()
                if getattr(now.spec, name) != getattr(task.spec, name) and not field.secret
            ]
            changed = "\n".join(others) or "nothing that is shown here"
            question = (
                f"Task {task.id} was changed meanwhile (revision {now.revision}):\n{changed}\n"
                "Save what you typed on top of that?"
            )
            if not await self._agreed(question):
                raise _StayedError

        def edit(operations: Operations) -> Task:
            return operations.tasks.edit(task.id, values, expected_revision=now.revision)

        return await self.backend.write(edit)

    async def _agreed(self, question: str) -> bool:
        agreed: bool = await self.app.push_screen_wait(Confirm(question, "Save", "Keep editing"))
        return agreed

    async def do_back(self) -> None:
        """Away; what was typed goes only where a person agreed."""
        if self._is_changed():
            question = "Throw away what you typed?"
            if not await self.app.push_screen_wait(Confirm(question, "Throw away", "Keep")):
                return
        self.dismiss(None)


def _shown(field: Field, value: Any) -> str:
    if value in (None, ()):
        return ""
    if field.kind is Kind.LIST:
        return "; ".join(value)
    if field.kind is Kind.INSTANT:
        return to_rfc3339(value)
    if field.unit is Unit.SECONDS:
        return human_duration(value * 1000).replace(" ", "") if value else "0s"
    return f"{value:g}" if field.kind is Kind.NUMBER else str(value)


def _placeholder(field: Field) -> str:
    several = "; several apart by ;" if field.kind is Kind.LIST else ""
    unset = f" (default: {field.unset})" if field.unset else ""
    return f"{field.help}{several}{unset}"
