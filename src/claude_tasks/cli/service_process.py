"""Runs a node until a signal: prints its mode, waits, prints which runs go on.

The first line on standard output is the scheduler's mode and who leads; what is logged before it
is known waits for it.
"""

from __future__ import annotations

import signal

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.exit_codes import DONE
from claude_tasks.cli.left_running import left_running
from claude_tasks.cli.log_output import hold_logging, start_logging
from claude_tasks.cli.node_failure import raise_failure
from claude_tasks.cli.results import Result
from claude_tasks.cli.scheduler_mode import Mode
from claude_tasks.cli.signals import STOP_SECONDS, SignalPipe, StopWatchdog
from claude_tasks.domain.errors import InvalidInputError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.node import Node, Role
    from claude_tasks.scheduling.node import RunningNode

HANGUP = (
    "Started on a terminal, it ends as on SIGTERM when the terminal closes (SIGHUP); where standard"
    " error is no terminal, or under nohup, SIGHUP is logged and ignored."
)
"""For descriptions."""
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("text", "json")
_LOOK_SECONDS = 0.1
_ELECTION_LOOK_SECONDS = 0.01
_ELECTION_MS = 500
"""A free lease is taken within this: not before it has passed is a node called a follower."""
_FIRST_LINE_SECONDS = 0.5
"""How long the log waits for the first line on standard output, which may be the same file."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def add_log_flags(parser: Parser) -> None:
    """``--log-format`` and ``--log-level``."""
    parser.add_argument(
        "--log-format", metavar="text|json", type=_choice("--log-format", _FORMATS), default="text"
    )
    parser.add_argument(
        "--log-level", metavar="LEVEL", type=_choice("--log-level", _LEVELS),
        help=" | ".join(_LEVELS),
    )  # fmt: skip


class ServiceProcess:
    """One node, from its start to its end, as a person sees it.

    ``line`` says in words how it stands. Signals are caught from the first moment on.
    """

    def __init__(
        self,
        context: Context,
        arguments: Namespace,
        *,
        role: Role,
        line: Callable[..., str],
        api: tuple[str, bool] | None = None,
    ) -> None:
        """``arguments`` hold ``scheduler``, a `Mode`, and the log flags.

        ``api`` is the address that the node answers at, and whether it asks for no token there.
        """
        self._context = context
        self._mode: Mode = arguments.scheduler
        self._line = line
        self._leads: bool | None = None
        self._leader_id: str | None = None
        self._stopped = False
        context.printer.never_wait()
        # By the time of a hangup the terminal is gone. Under nohup and the like nothing ends us.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._hangup_ends = context.printer.stderr.isatty() and not ignored
        self._release = hold_logging()
        level = arguments.log_level or context.settings.log_level
        start_logging(context.printer.stderr, level=level, log_format=arguments.log_format)
        self._pipe = SignalPipe(_SIGNALS)
        ends = [number for number in _SIGNALS if number != signal.SIGHUP or self._hangup_ends]
        self._watchdog = StopWatchdog(ends, code=DONE, last_words=self._say_that_it_hangs)
        from claude_tasks.wiring.node import build_node

        try:
            self.node: RunningNode = build_node(
                context.settings,
                role=role,
                schedules=self._mode.schedules,
                yields=self._mode is Mode.AUTO,
                api=api,
            )
        except BaseException:
            self._let_go()
            raise

    def start(self) -> None:
        """Start the node and print its mode first. Errors: those of a start."""
        try:
            self.node.start()
            self._elect()
            self._say()
            self._context.printer.drain(_FIRST_LINE_SECONDS)
        finally:
            self._release()
        self._log_start()

    def stay(self, watch: Callable[[], BaseException | None] = lambda: None) -> None:
        """Wait for a signal that ends it; say when leadership changes.

        ``watch`` is asked for the failure of whatever else must live.
        """
        while True:
            if self._mode.schedules:
                self._watch_leadership()
            raise_failure(self.node, watch())
            if any(self._ends(number) for number in self._pipe.wait(_LOOK_SECONDS)):
                return

    def stop(self) -> None:
        """Stop the node and give the signals back. Safe to repeat."""
        self.stop_node()
        self._let_go()

    def stop_node(self) -> None:
        """Stop the node alone: impatient signals do no harm while the rest ends. Repeatable."""
        self._release()
        self.node.stop()

    def _let_go(self) -> None:
        self._release()
        if not self._stopped:
            self._stopped = True
            self._watchdog.close()
            self._pipe.close()

    def _say_that_it_hangs(self) -> None:
        """Log that the process was told to end and does not."""
        import logging

        from claude_tasks.cli.outlet import drain_all

        self._release()
        log = logging.getLogger(__name__)
        log.critical("told to end, it has not within %g s: it ends without the rest", STOP_SECONDS)
        drain_all()

    def left_running(self) -> list[str]:
        """What goes on without this process, as notes."""
        return left_running(self._context, self.node.node.id)

    def _elect(self) -> None:
        """Wait until it is known who leads: this node, or another that lives."""
        until = self._context.now() + _ELECTION_MS
        while self._mode.schedules and self.node.term is None and self._context.now() < until:
            raise_failure(self.node)
            if self._leader() is not None:
                return  # another node leads: leave it the lease
            self._context.sleep(_ELECTION_LOOK_SECONDS)

    def _watch_leadership(self) -> None:
        """Say when this node begins or ceases to lead, and whom it follows from then on."""
        if (self.node.term is not None) != self._leads:
            self._say()
        elif not self._leads and self._has_news():
            leader = self._leader()
            if leader is not None and leader.id != self._leader_id:
                self._say()
                self._log_leader(leader)

    def _has_news(self) -> bool:
        """Whether anything was written since the last look; a look costs next to nothing."""
        try:
            return self._context.operations.changes.changed()
        except StorageError:  # the keeper says so, again and again
            return False

    def _leader(self) -> Node | None:
        """The node that leads, if another. An unreadable database does not end this process.

        Its own name in the lease says nothing here: this node leads by its term alone.
        """
        try:
            leader = self._context.operations.status.leader()
        except StorageError:  # the keeper says so, again and again
            return None
        return None if leader is None or leader.id == self.node.node.id else leader

    def _log_leader(self, leader: Node) -> None:
        import logging

        logging.getLogger(__name__).info(
            "the leader is now %s pid %d on %s", leader.role, leader.pid, leader.host
        )

    def _say(self) -> None:
        leads = self.node.term is not None
        self._leads = leads
        leader = None if leads or not self._mode.schedules else self._leader()
        self._leader_id = leader.id if leader else None
        printer = self._context.printer
        if printer.as_json:
            printer.value(
                {
                    "scheduler": self._mode.schedules,
                    "mode": self._mode.value,
                    "leader": leads,
                    "leader_node": leader.id if leader else self.node.node.id if leads else None,
                }
            )
        else:
            printer.line(self._line(self._mode, leads=leads, leader=leader))

    def _log_start(self) -> None:
        """Log version, folder and settings, and warn of a missing agent before a run fails.

        An error here does not stop the node.
        """
        import logging

        from claude_tasks import __version__

        log = logging.getLogger(__name__)
        try:
            agent, problem = self._context.operations.status.agent()
        except Exception as error:
            log.exception("the agent could not be looked for")
            agent, problem = None, repr(error)
        log.info(
            "claude-tasks %s, data folder %s, agent %s, at most %d runs at once",
            __version__,
            self._context.settings.data,
            agent or "none",
            self._context.settings.max_concurrent_runs,
        )
        if problem is not None:
            log.warning("no agent, every run will fail: %s", problem)

    def _ends(self, number: signal.Signals) -> bool:
        """Whether a signal ends the process.

        SIGHUP does only where it was started on a terminal.
        """
        import logging

        log = logging.getLogger(__name__)
        if number is signal.SIGHUP and not self._hangup_ends:
            log.info("SIGHUP ignored: settings are read at start; restart to read them again")
            return False
        log.info("%s: stopping", number.name)
        return True


def run_service(
    context: Context, arguments: Namespace, *, role: Role, line: Callable[..., str]
) -> Result:
    """Run a node of this role until it is told to stop."""
    process = ServiceProcess(context, arguments, role=role, line=line)
    try:
        process.start()
        process.stay()
    finally:
        process.stop()
    return Result(data=lambda: None, text=list, notes=process.left_running(), streamed=True)


def _choice(flag: str, words: tuple[str, ...]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() not in words:
            raise InvalidInputError(f"{text!r}", hint=f"one of: {', '.join(words)}")
        return text.lower()

    return typed(flag, convert)
