"""JSON as text that any terminal may show: the same value, its control characters escaped."""

from __future__ import annotations

import json

from claude_tasks.domain.control_characters import CONTROLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ESCAPES = {code: f"\\u{code:04x}" for code in CONTROLS if code >= 0x20}  # noqa: PLR2004
"""Those that JSON leaves as they are; below stand the line breaks of an indented text."""


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value, on one line unless indented. Outside of strings JSON has no such character."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text if text.isascii() and "\x7f" not in text else text.translate(_ESCAPES)
