"""The store's interface for runs; each change is a compare-and-swap."""

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
        """How many runs match, on all pages."""
        ...

    def run_figures(self) -> RunFigures:
        """Figures about all runs ever, as of now."""
        ...

    def index_older_texts(self) -> bool:
        """Index the texts of some runs older than the search index; whether there are more."""
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

        With a ``term`` the node takes the common queue as well as its own runs; errors:
        `LeadershipLostError` when the term is over. ``limit`` is the global limit of running runs;
        with ``per_node`` it counts only this node's own. ``own_limit`` is how many of those
        assigned to this node may run here at once (None: no limit); runs that it holds back do not
        block others. Each row then names its session: the one to resume, else one from
        ``new_session``; none where the task's ``extra_args`` name one. ``new_session`` None leaves
        the session unchanged: no agent will be started.
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

        A one-off is deferred unless its own rule is to skip, and so is a run that was started
        before. Errors: `LeadershipLostError` when the term is over.
        """
        ...

    def postpone_deferred(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Have runs that could start now wait until ``look_at``, and say why; how many.

        Only deferred runs, whose reset is later than ``since``. Errors: `LeadershipLostError` when
        the term is over.
        """
        ...

    def postpone_unreachable(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Have runs that could start now wait until ``look_at``, and say why; how many.

        Only those that first met the unreachable network later than ``since``, or meet it now.
        Errors: `LeadershipLostError` when the term is over.
        """
        ...

    def reconsider_deferred(self, *, task_id: int | None = None, at: int) -> int:
        """Let the deferred runs below the usage threshold be judged again now; how many."""
        ...

    def next_start_at(self, node_id: str, *, leading: bool, after: int) -> int | None:
        """The earliest ``not_before`` later than ``after`` among the queued runs of this node."""
        ...

    def finish_runs(self, finished: Sequence[Finish], *, at: int) -> list[bool]:
        """Move running runs to their terminal state; False where the row had already changed."""
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
        """Running runs of this node with a cancel request."""
        ...

    def illegible_running(self) -> list[IllegibleRun]:
        """Unreadable rows that are running, or in no known state: no node can watch them."""
        ...

    def mend_run(self, run_id: int, *, node_id: str, lives: bool, at: int) -> bool:
        """Repair the unreadable cells of a row, as if their values were unknown.

        ``lives`` is whether a process of the run lives: then the run counts as running. A claim
        without a valid node becomes ``node_id``'s. False where no cell is unreadable, or one that
        identifies the claim is.
        """
        ...

    def fail_illegible_run(self, run: IllegibleRun, *, at: int) -> None:
        """End one of these, so that it takes no place."""
        ...

    def adopt_run(self, run: Run, *, node_id: str, epoch: int | None, at: int) -> bool:
        """Take over the watch on a running run of a dead node; False when another did."""
        ...

    def assigned_nodes(self) -> list[str]:
        """The nodes to which queued runs are assigned."""
        ...

    def release_nobodys(self, *, at: int) -> int:
        """Leave to the leader the queued runs whose assigned node id is invalid; how many."""
        ...

    def release_assigned(self, node_id: str, *, at: int) -> int:
        """Leave the queued runs of a dead node to the leader; returns how many."""
        ...
