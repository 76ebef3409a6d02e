"""One look at an installation: each fact is read when the first check asks for it, then kept.

A check, and a reader of facts, is a function whose parameters name what it needs. A name is a value
that the wiring passes in, a reader that several checks share, or a function of that name in the
check's own module. So a check costs what it names, and a new fact needs no list of facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


class Look:
    """Values by name. An error of a reader is raised at each request for its value."""

    def __init__(
        self, values: Mapping[str, Any], readers: Mapping[str, Callable[..., Any]]
    ) -> None:
        """``readers`` are those that several checks share. Nothing is read yet."""
        self._values = dict(values)
        self._readers = readers

    def value(self, name: str, module: ModuleType | None = None) -> Any:
        """What is known under a name; ``module`` is that of the check that asks."""
        if name not in self._values:
            reader = self._readers.get(name) or getattr(module, name)
            self._values[name] = self.call(reader, module)
        return self._values[name]

    def call(self, function: Callable[..., Any], module: ModuleType | None = None) -> Any:
        """What a function returns, given what its parameters name."""
        return function(**{name: self.value(name, module) for name in _needs(function)})


def _needs(function: Callable[..., Any]) -> list[str]:
    """Its parameters without a default. Not ``inspect``: that takes longer to load than a check."""
    code = function.__code__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    placed = code.co_argcount - len(function.__defaults__ or ())
    optional = {*code.co_varnames[placed : code.co_argcount], *(function.__kwdefaults__ or {})}
    return [name for name in named if name not in optional]
