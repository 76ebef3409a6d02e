"""The command line in this process: words and environment in, exit code and both outputs out."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    def __init__(self, folder: Path) -> None:
        self.environment = {"CLAUDE_TASKS_DATA": str(folder), "TZ": "Europe/Berlin"}

    def __call__(self, *argv: str, stdin: str = "", **environment: str) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        code = run(
            argv,
            self.environment | environment,
            stdin=io.StringIO(stdin),
            stdout=out,
            stderr=err,
        )
        return Outcome(code, out.getvalue(), err.getvalue())

    def good(self, *argv: str, stdin: str = "") -> Outcome:
        outcome = self(*argv, stdin=stdin)
        assert outcome.code == 0, outcome.err
        return outcome


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
