"""Makes control characters visible that would steer a terminal or fake a line of output."""

from __future__ import annotations

CONTROLS = (
    *range(0x20),  # C0: line ends, ESC, BEL
    *range(0x7F, 0xA0),  # DEL and C1: 0x9B begins a sequence just as ESC [ does
    0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # text direction
    0x2028, 0x2029,  # line and paragraph separator
    *range(0xD800, 0xE000),  # lone surrogates, from invalid UTF-8: they cannot be encoded
)  # fmt: skip
"""The code points that are written out."""
_tables: dict[str, dict[int, str]] = {}


def escape_controls(text: str, keep: str = "") -> str:
    r"""``text`` with each control character written out: ``\n``, ``\x1b``, ``\u202e``.

    Those in ``keep`` stay as they are, and so do backslashes: people read it, programs do not.
    """
    if text.isascii() and text.isprintable():
        return text
    table = _tables.get(keep)
    if table is None:
        table = _tables[keep] = {code: repr(chr(code))[1:-1] for code in CONTROLS} | {
            ord(character): character for character in keep
        }
    return text.translate(table)
