"""Writes docs/reference.md from the tables of fields and settings: ``make reference``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.task_fields import FIELDS, Kind, Unit
from claude_tasks.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from claude_tasks.domain.task_fields import Field
    from claude_tasks.settings import Setting

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

_HEAD = """\
# Reference

Made by `make reference` from the tables that the program itself reads.

## Fields of a task

The API, `import` and `export` use the name, the command line the flag (`claude-tasks add --help`).
A flag takes spans such as `90s` or `1h30m` for seconds.

| field | flag | default | takes | |
|---|---|---|---|---|
"""
_SETTINGS = """
## Settings

Default < `config.toml` in the data folder (`CLAUDE_TASKS_DATA`, `~/.claude-tasks`) < environment <
flag. In `config.toml` a setting has its name without the prefix, in lower case:
`max_concurrent_runs = 4`.

| environment | default | takes | |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    fields = "".join(map(_field_row, FIELDS.values()))
    settings = "".join(_setting_row(name, setting) for name, setting in SETTINGS.items())
    return f"{_HEAD}{fields}{_SETTINGS}{settings}"


def _field_row(field: Field) -> str:
    default = "required" if field.required else field.unset or _shown(field.default, field)
    flag = f"`{field.flag}`" if field.flag else ""
    takes = _takes(field.choices, field.lowest, field.highest) or field.kind.value
    if field.unit is Unit.SECONDS:
        takes = f"{takes} seconds"
    about = field.help + ("; a secret" if field.secret else "")
    return _row(f"`{field.name}`", flag, default, takes, about)


def _setting_row(name: str, setting: Setting) -> str:
    default = setting.unset or _shown(Settings._field_defaults.get(name))
    takes = _takes(setting.words, setting.lowest, setting.highest)
    about = setting.help + ("; a secret" if setting.secret else "")
    return _row(f"`CLAUDE_TASKS_{name.upper()}`", default, takes, about)


def _takes(words: tuple[str, ...], lowest: float | None, highest: float | None) -> str:
    if words:
        return ", ".join(f"`{word}`" for word in words)
    return "" if lowest is None or highest is None else f"{_number(lowest)} to {_number(highest)}"


def _shown(value: Any, field: Field | None = None) -> str:
    if value in (None, (), ""):
        return ""
    if field is not None and field.kind is Kind.WHOLE and field.unit is Unit.SECONDS and value:
        return human_duration(value * 1000)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return _number(value) if isinstance(value, int | float) else f"`{value}`"


def _number(value: float) -> str:
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
