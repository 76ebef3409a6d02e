"""Did you mean …? For words that are not known."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def did_you_mean(
    word: str, known: Iterable[str], *, also: Mapping[str, str] | None = None
) -> str | None:
    """``did you mean list?``, None when nothing is near. ``also`` has words for what is meant."""
    meant = (also or {}).get(word.lower())
    if meant is not None:
        return f"did you mean {meant}?"
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), list(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else None
