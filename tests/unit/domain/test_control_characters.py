"""Text of others is shown, and cannot steer what shows it."""

from __future__ import annotations

import unicodedata

import pytest

from claude_tasks.domain.control_characters import escape_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("größer 日本 👩‍👩‍👧 é", "größer 日本 👩‍👩‍👧 é"),
        (r"C:\new", r"C:\new"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b]52;c;ZXZpbA==\x07", r"\x1b]52;c;ZXZpbA==\x07"),
        ("\x9b31mred", r"\x9b31mred"),
        ("\x00\x7f", r"\x00\x7f"),
        ("one\u2028two\u2029three\x85four", r"one\u2028two\u2029three\x85four"),
        ("evil\u202egpj.exe\u2066\u200f\u061c", r"evil\u202egpj.exe\u2066\u200f\u061c"),
        ("half \udc9b", r"half \udc9b"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


def test_no_control_character_is_left_whatever_the_text() -> None:
    every = "".join(map(chr, range(0x110000)))
    left = escape_controls(every)
    assert not [c for c in left if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in left if unicodedata.bidirectional(c) in _DIRECTIONS]
    assert len(left.splitlines()) == 1
    left.encode()


def test_what_is_to_be_kept_is_kept_and_nothing_else() -> None:
    assert escape_controls("a\n\tb\x1b\u2028", keep="\n\t") == "a\n\tb\\x1b\\u2028"
    assert escape_controls("a\n\tb") == r"a\n\tb", "keeping is for that one call"


_DIRECTIONS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
