"""``doctor``: is this installation ready, and if not, which command mends it?"""

from __future__ import annotations

from contextlib import contextmanager

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import ConfigurationError, InvalidInputError
from claude_tasks.domain.hint import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence
    from typing import Any

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.doctor.finding import Finding, Report
    from claude_tasks.doctor.repairs import Outcome

DESCRIPTION = (
    "Looks only: it makes no folder, takes no lease, writes no byte, also beside a living daemon."
    " Exits 0 when ready (warnings allowed), 1 when something failed."
)
EXAMPLES = """
claude-tasks doctor
claude-tasks doctor database scheduler_lease
claude-tasks doctor --json | jq '.findings[] | select(.verdict != "PASS")'
claude-tasks doctor --fix
"""
_VERDICT_WIDTH = 4
_ID_WIDTH = 17
_YES = ("y", "yes")


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("checks", metavar="CHECK", nargs="*", help="only these; else all")
    parser.add_argument("--strict", action="store_true", help="a warning exits 1 as well")
    parser.add_argument(
        "--fix", action="store_true",
        help="show what can be mended safely (modes, missing folders), ask, do it",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="with --fix: do not ask")


def run(context: Context, arguments: Namespace) -> Result:
    """Run the checks, and repair with ``--fix``."""
    names = _checked(arguments.checks)
    _require_settings(context)
    _refuse_to_ask_nobody(context, arguments)
    report = _look(context, names)
    outcomes: list[Outcome] = []
    if arguments.fix:
        outcomes = _mend(context, names, asks=not arguments.yes)
        report = _look(context, names) if outcomes else report
    ready = report.ready and not (arguments.strict and report.warnings)
    if not context.printer.as_json:
        context.printer.line(report.summary(strict=arguments.strict))
    return Result(
        data=lambda: _view(context, report, outcomes, strict=arguments.strict),
        text=list,
        exit_code=0 if ready else 1,
        streamed=not context.printer.as_json,
    )


def _checked(asked: Sequence[str]) -> tuple[str, ...]:
    """The checks to run. Errors: `InvalidInputError` for an unknown one."""
    from claude_tasks.doctor.catalog import NAMES

    for name in asked:
        if name not in NAMES:
            from claude_tasks.cli.suggest import did_you_mean

            known = f"The checks are: {', '.join(NAMES)}"
            near = did_you_mean(name.replace("-", "_"), NAMES)
            hint = f"{near} {known}" if near else known
            raise InvalidInputError(f"there is no check {name}", hint=hint, code="usage")
    return tuple(asked) or NAMES


def _require_settings(context: Context) -> None:
    """Load the settings, which every check needs. Errors: `ConfigurationError`, with a hint."""
    try:
        _ = context.settings
    except ConfigurationError as error:
        hint = error.hint or "mend what is named there, or set the file aside, and look again"
        raise ConfigurationError(f"no check could run: {error.message}", hint=hint) from error


def _refuse_to_ask_nobody(context: Context, arguments: Namespace) -> None:
    if arguments.yes and not arguments.fix:
        raise InvalidInputError("--yes goes with --fix", hint="add --fix", code="usage")
    if arguments.fix and not arguments.yes and not context.stdin.isatty():
        raise InvalidInputError(
            "--fix asks before it changes anything, and there is no terminal to ask on",
            hint=Command("doctor", "--fix", "--yes"),
            code="usage",
        )


def _look(context: Context, names: tuple[str, ...]) -> Report:
    from claude_tasks.doctor.catalog import run_checks
    from claude_tasks.wiring.doctor import look_around

    def say(finding: Finding) -> None:
        if not context.printer.as_json:
            _print(context, finding)

    look = look_around(context.settings, context.environment)
    if "claude_binary" not in names:  # the one that starts a process
        return run_checks(look, names, each=say)
    with _ended_in_order():
        return run_checks(look, names, each=say)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Raise SIGTERM as an exception, so that the agent asked for its version is ended too."""
    import signal

    from claude_tasks.cli.exit_codes import Terminated

    def end(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(context: Context, finding: Finding) -> None:
    """Print a finding as soon as it is known, and below it the command that fixes it."""
    say = context.printer.called
    head = f"{finding.verdict.value.ljust(_VERDICT_WIDTH)}  {finding.id.ljust(_ID_WIDTH)}"
    detail = " ".join(say(finding.detail).split())
    context.printer.line(f"{head}  {detail}")
    if finding.fix:
        indent = " " * (_VERDICT_WIDTH + _ID_WIDTH + 4)
        context.printer.line(f"{indent}fix: {say(finding.fix)}")


def _mend(context: Context, names: tuple[str, ...], *, asks: bool) -> list[Outcome]:
    """Show the repairs, ask, do them; the results."""
    from claude_tasks.doctor.repairs import apply_repair, plan_repairs
    from claude_tasks.wiring.doctor import look_around

    repairs = plan_repairs(look_around(context.settings, context.environment), names)
    if not repairs:
        context.printer.note("There is nothing that can be mended safely from here.")
        return []
    for repair in repairs:
        context.printer.note(f"would do: {repair.command}")
    if asks and not _agreed(context):
        context.printer.note("Nothing was changed.")
        return []
    outcomes = [apply_repair(repair) for repair in repairs]
    for outcome in outcomes:
        said = "done" if outcome.problem is None else f"not done ({outcome.problem})"
        context.printer.note(f"{said}: {outcome.command}")
    context.printer.note("Looking again:")
    return outcomes


def _agreed(context: Context) -> bool:
    context.printer.note("Do this? [y/N]")
    return context.stdin.readline().strip().lower() in _YES


def _view(
    context: Context, report: Report, outcomes: list[Outcome], *, strict: bool
) -> dict[str, Any]:
    from claude_tasks.doctor.views import report_view

    view = report_view(report)
    view["summary"] = report.summary(strict=strict)
    view["repaired"] = [it.command for it in outcomes if it.problem is None]
    view["not_repaired"] = [it._asdict() for it in outcomes if it.problem is not None]
    for finding in view["findings"]:
        if finding["fix"]:
            finding["fix"] = context.printer.for_this_data(finding["fix"])
    return view
