"""What is kept of runs: queued, claimed, finished, handed over; each change a compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.session import fresh_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.run import Outcome, Run, Trigger
    from claude_tasks.domain.run_figures import RunFigures
    from claude_tasks.domain.store_records import (
        Claimed,
        Finish,
        IllegibleRun,
        RunFilter,
        TurnedAway,
        UsageBlock,
    )


class RunStore(Protocol):
    """Runs: their queue, their claims, their ends."""

    def add_run(self, task_id: int, *, trigger: Trigger, assigned_to: str | None, at: int) -> Run:
        """Queue a run by hand, or record its skip where the overlap rule says so."""
        ...

    def get_run(self, run_id: int) -> Run:
        """One run. Errors: `NotFoundError`."""
        ...

    def list_runs(self, wanted: RunFilter) -> list[Run]:
        """Runs, newest first."""
        ...

    def count_runs(self, wanted: RunFilter, *, most: int | None = None) -> int:
        """How many runs match, whatever the page."""
        ...

    def run_figures(self) -> RunFigures:
        """Figures about all runs there ever were, as they stand."""
        ...

    def index_older_texts(self) -> bool:
        """Make some texts from before the search's index quick to find; whether there are more."""
        ...

    def count_waiting(self, node_id: str) -> int:
        """How many queued runs only this node may start."""
        ...

    def claim_runs(
        self,
        node_id: str,
        *,
        term: Term | None,
        limit: int,
        per_node: bool,
        at: int,
        own_limit: int | None = None,
        new_session: Callable[[], str] | None = fresh_session,
    ) -> list[Claimed]:
        """Take queued runs that may start now, within the global and each task's limit.

        With a ``term`` the node takes what is left to the leader as well as its own; errors:
        `LeadershipLostError` when the term is over. ``limit`` is the global limit of running
        runs; with ``per_node`` it counts only this node's own. ``own_limit`` is how many of those
        assigned to this very node may run here at once (None: no such limit); what it holds back
        is in nobody's way. Each row then names its session: the one that it goes on in, else one
        of ``new_session``; none where the task's ``extra_args`` name one. ``new_session`` None
        leaves it as it is: no agent will be started.
        """
        ...

    def has_startable(
        self,
        node_id: str,
        *,
        leading: bool,
        limit: int,
        per_node: bool,
        at: int,
        own_limit: int | None = None,
    ) -> bool:
        """Whether `claim_runs` would take any run."""
        ...

    def turn_away(
        self, node_id: str, *, term: Term | None, block: UsageBlock, at: int
    ) -> TurnedAway:
        """Skip or defer the runs that could start now, each by its task's rule.

        A one-off is deferred unless its own rule is to skip, and so is what has begun before.
        Errors: `LeadershipLostError` when the term is over.
        """
        ...

    def postpone_deferred(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Have runs that could start now wait until ``look_at``, and say why; how many.

        Only those that were told to wait for usage, until an instant later than ``since``.
        Errors: `LeadershipLostError` when the term is over.
        """
        ...

    def postpone_unreachable(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Have runs that could start now wait until ``look_at``, and say why; how many.

        Only those that first met the network that is away later than ``since``, or meet it now.
        Errors: `LeadershipLostError` when the term is over.
        """
        ...

    def reconsider_deferred(self, *, task_id: int | None = None, at: int) -> int:
        """Let the runs that wait below the usage threshold be looked at now; how many."""
        ...

    def next_start_at(self, node_id: str, *, leading: bool, after: int) -> int | None:
        """The earliest ``not_before`` later than ``after`` among the queued runs of this node."""
        ...

    def finish_runs(self, finished: Sequence[Finish], *, at: int) -> list[bool]:
        """Move running runs to their terminal state; False where the row had moved on already."""
        ...

    def requeue_run(
        self,
        run_id: int,
        *,
        claim: int,
        attempt: int,
        not_before: int,
        spent: Outcome | None,
        at: int,
        resumes: bool = False,
        anew: bool = False,
        retries: int = 0,
        unreachable_since: int | None = None,
    ) -> bool:
        """Put a running run back into the queue: for another attempt, or as never started (None).

        ``spent`` is the outcome so far, summed over attempts: its cost, tokens, session and error
        stay on the row. With ``resumes`` the next attempt goes on in that session, with ``anew``
        in none. ``retries`` is how many of the task's this one uses up. ``unreachable_since`` is
        when the run first met the network that is away, None when it got through.
        """
        ...

    def request_cancel(self, run_id: int, *, at: int) -> Run:
        """Cancel a queued run at once, ask for the cancel of a running one; returns it as it is.

        Errors: `NotFoundError`; `ConflictError` when the run has ended.
        """
        ...

    def running_of(self, node_id: str) -> list[Run]:
        """The running runs that this node claimed."""
        ...

    def running_elsewhere(self, node_id: str) -> list[Run]:
        """The running runs that other nodes claimed."""
        ...

    def cancel_requests(self, node_id: str) -> list[int]:
        """Running runs of this node that somebody wants to end."""
        ...

    def illegible_running(self) -> list[IllegibleRun]:
        """What reads as running, or as nothing, and no node can watch: it makes no record."""
        ...

    def mend_run(self, run_id: int, *, node_id: str, lives: bool, at: int) -> bool:
        """Set the cells of a row right that make no sense, as if nothing were known.

        ``lives`` is whether anything of the run does: then it is under way, whatever its row says.
        A claim that is with no node is ``node_id``'s from then on. False where none is such, or one
        by which a claim is known.
        """
        ...

    def fail_illegible_run(self, run: IllegibleRun, *, at: int) -> None:
        """Let one of these end, so that it holds no place."""
        ...

    def adopt_run(self, run: Run, *, node_id: str, epoch: int | None, at: int) -> bool:
        """Take over the watch on a running run of a dead node; False when another did."""
        ...

    def assigned_nodes(self) -> list[str]:
        """The nodes that queued runs wait for."""
        ...

    def release_nobodys(self, *, at: int) -> int:
        """Leave the queued runs to the leader whose node cannot be one; how many."""
        ...

    def release_assigned(self, node_id: str, *, at: int) -> int:
        """Leave the queued runs of a dead node to the leader; returns how many."""
        ...
