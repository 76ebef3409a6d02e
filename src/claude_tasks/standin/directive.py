"""The words in a prompt that tell a simulated agent, or a simulated API, how to behave."""

from __future__ import annotations

import re

DEFAULT_CASE = "success"


class Directive:
    """``[case:NAME key=value …]``: the case and its options, all text."""

    __slots__ = ("name", "options")

    def __init__(self, name: str, options: dict[str, str]) -> None:
        """Keep both; no NamedTuple, because ``typing`` would cost a third of the start-up."""
        self.name = name
        self.options = options

    def number(self, key: str, default: float) -> float:
        """Option ``key`` as a number, ``default`` where it is absent."""
        return float(self.options.get(key, default))


def parse(text: str) -> Directive | None:
    """The last directive in ``text``, None when there is none.

    The last one counts because a resumed conversation holds those of the earlier turns too.
    Raises nothing: words without ``=`` become options with an empty value.
    """
    found = re.findall(r"\[case:([a-z][a-z0-9_]*)([^\]\n]*)\]", text)
    if not found:
        return None
    name, words = found[-1]
    pairs = (word.partition("=") for word in words.split())
    return Directive(name, {key: value for key, _, value in pairs})
