"""The page of reference says what the tables say that the program reads."""

from __future__ import annotations

from tools.reference import PAGE, page

from claude_tasks.domain.task_fields import FIELDS
from claude_tasks.settings import SETTINGS


def test_the_page_is_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make reference"


def test_every_field_and_setting_says_what_it_is_for() -> None:
    assert all(field.help for field in FIELDS.values())
    assert all(setting.help for setting in SETTINGS.values())
