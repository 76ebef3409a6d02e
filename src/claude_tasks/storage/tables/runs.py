"""Runs: queued, claimed, finished, handed over. Each change is a compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import ConflictError, IllegibleError, NotFoundError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.node import is_node_id
from claude_tasks.domain.planned import PlannedRow
from claude_tasks.domain.run import AT_ONCE, Reason, Run
from claude_tasks.domain.session import fresh_session, names_a_session
from claude_tasks.domain.store_records import Claimed, Finish, RunFilter, TurnedAway
from claude_tasks.domain.task_fields import Overlap
from claude_tasks.storage.named_sql import fragment, load
from claude_tasks.storage.records import (
    legible,
    outcome_values,
    run_from_row,
    sound,
    task_from_row,
    texts_from,
)
from claude_tasks.storage.tables.history import HistoryTable
from claude_tasks.storage.tables.planned_rows import (
    insert_planned,
    make_way,
    require_term,
    settled,
)
from claude_tasks.storage.tables.queue import Queue
from claude_tasks.storage.tables.run_filter import conditions, select
from claude_tasks.storage.tables.spoiled_runs import SpoiledRuns
from claude_tasks.storage.tables.tasks import select as select_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.run import Outcome, Trigger
    from claude_tasks.domain.store_records import UsageBlock
    from claude_tasks.domain.task import Task


_ALL = 2**31
"""A limit above any number of runs."""


class RunTable(SpoiledRuns, HistoryTable):
    """The store's part about runs."""

    def add_run(self, task_id: int, *, trigger: Trigger, assigned_to: str | None, at: int) -> Run:
        """Queue a run by hand, or record that the overlap rule skipped it."""
        with self._connection.write():
            task = self._task(task_id)
            row = PlannedRow(at, AT_ONCE, yields=task.spec.overlap is Overlap.SKIP)
            row = settled(self._connection, task, row)
            run_id = insert_planned(
                self._connection,
                task,
                row,
                epoch=None,
                at=at,
                trigger=trigger,
                assigned_to=assigned_to,
            )
            assert run_id is not None  # no tick, so no conflict
            if task.spec.overlap is Overlap.CANCEL_OTHER:
                make_way(self._connection, task_id, keep=run_id, at=at)
            self._note("run", run_id, at)
            return self.get_run(run_id)

    def get_run(self, run_id: int) -> Run:
        """One run."""
        rows = self._connection.rows(select("get_run"), {"run_id": run_id})
        if not rows:
            hint = Hint(f"there is no run {run_id}: ", Command("runs"))
            raise NotFoundError("Run not found", hint=hint)
        return sound("run", rows[0], run_from_row)

    def list_runs(self, wanted: RunFilter) -> list[Run]:
        """A page of runs; unreadable rows are replaced by further runs."""
        runs: list[Run] = []
        while len(runs) < wanted.limit:
            missing = wanted.limit - len(runs)
            rows = self._page(wanted._replace(limit=missing))
            runs += legible("run", rows, run_from_row)
            if len(rows) < missing:
                break
            wanted = wanted._replace(before_id=rows[-1][0])
        return runs

    def _page(self, wanted: RunFilter) -> list[Any]:
        columns = fragment("runs", "run_columns")
        if wanted.text is not None:
            return self._said(wanted, columns)
        condition, parameters = conditions(wanted)
        sql = select("list_runs").replace("{conditions}", condition)
        return self._connection.rows(sql, {**parameters, "limit": wanted.limit})

    def count_runs(self, wanted: RunFilter, *, most: int | None = None) -> int:
        """How many runs match on all pages, counted up to ``most``."""
        wanted = wanted._replace(before_id=None)
        if wanted.text is not None:
            return len(self._said(wanted._replace(limit=most or _ALL), "r.id"))
        condition, parameters = conditions(wanted)
        sql = load("runs")["count_runs"].replace("{conditions}", condition)
        return int(
            self._connection.value(sql, {**parameters, "most": -1 if most is None else most})
        )

    def count_waiting(self, node_id: str) -> int:
        """How many queued runs wait for one node."""
        return int(self._connection.value(load("runs")["count_waiting"], {"node_id": node_id}))

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
        """Take queued runs that may start now."""
        queue = Queue(self._connection, node_id, leading=term is not None, at=at)
        if not queue.has_startable():
            return []  # the usual case costs a read only
        with self._connection.write():
            if term is not None:
                require_term(self._connection, term)
            ids = queue.choose(limit=limit, per_node=per_node, own_limit=own_limit)
            epoch = None if term is None else term.epoch
            for run_id in ids:
                session = self._session(run_id, new_session)
                self._claim(run_id, session, node_id=node_id, epoch=epoch, at=at)
            claimed = [self._claimed(run_id, node_id=node_id, at=at) for run_id in ids]
            return [entry for entry in claimed if entry is not None]

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
        queue = Queue(self._connection, node_id, leading=leading, at=at)
        if not queue.has_startable():
            return False
        return bool(queue.choose(limit=limit, per_node=per_node, own_limit=own_limit))

    def turn_away(
        self, node_id: str, *, term: Term | None, block: UsageBlock, at: int
    ) -> TurnedAway:
        """Skip or defer the runs that could start now."""
        queue = Queue(self._connection, node_id, leading=term is not None, at=at)
        with self._connection.write():
            if term is not None:
                require_term(self._connection, term)
            ids = queue.all_startable()
            deferred = [self._turn_away(run_id, block, at=at) for run_id in ids]
        return TurnedAway(skipped=deferred.count(False), deferred=deferred.count(True))

    def _turn_away(self, run_id: int, block: UsageBlock, *, at: int) -> bool:
        """Whether the run was deferred."""
        sql = load("runs")
        asked = {"run_id": run_id, "rule": "defer" if block.defers else "skip"}
        rule, attempt = self._connection.rows(sql["usage_rule"], asked)[0]
        defers = bool(rule == "defer" or attempt > 1)
        until = f"; deferred until {to_rfc3339(block.until)}" if defers else ""
        self._connection.execute(
            sql["defer_for_usage" if defers else "skip_for_usage"],
            {
                "run_id": run_id,
                "text": block.text + until,
                "until": block.until,
                "look_at": block.look_at,
                "at": at,
            },
        )
        self._note("run", run_id, at)
        return defers

    def postpone_deferred(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Let deferred runs wait longer."""
        rule = {"since": since, "look_at": look_at, "text": text}
        return self._postpone_all("postpone_deferred", rule, node_id, term=term, at=at)

    def postpone_unreachable(
        self, node_id: str, *, term: Term | None, since: int, text: str, look_at: int, at: int
    ) -> int:
        """Let runs wait for a network that cannot be reached."""
        rule = {"since": since, "look_at": look_at, "text": text}
        return self._postpone_all("postpone_unreachable", rule, node_id, term=term, at=at)

    def _postpone_all(
        self, name: str, rule: dict[str, Any], node_id: str, *, term: Term | None, at: int
    ) -> int:
        queue = Queue(self._connection, node_id, leading=term is not None, at=at)
        with self._connection.write():
            if term is not None:
                require_term(self._connection, term)
            ids = queue.all_startable()
            return sum(self._postpone(name, run_id, rule, at=at) for run_id in ids)

    def _postpone(self, name: str, run_id: int, rule: dict[str, Any], *, at: int) -> bool:
        """Whether the run waits longer. Call it inside a transaction."""
        parameters = {**rule, "run_id": run_id, "at": at}
        postponed = self._connection.execute(load("runs")[name], parameters).rowcount == 1
        if postponed:
            self._note("run", run_id, at)
        return postponed

    def reconsider_deferred(self, *, task_id: int | None = None, at: int) -> int:
        """Let the runs that wait for usage be judged again."""
        sql, parameters = load("runs"), {"task_id": task_id, "at": at}
        if self._connection.value(sql["has_deferred"], parameters) is None:
            return 0  # the usual case costs a read only
        with self._connection.write():
            again = self._connection.rows(sql["reconsider_deferred"], parameters)
            for (run_id,) in again:
                self._note("run", run_id, at)
        return len(again)

    def next_start_at(self, node_id: str, *, leading: bool, after: int) -> int | None:
        """When the next queued run of this node may start."""
        start: int | None = self._connection.value(
            load("runs")["next_start_at"],
            {"node_id": node_id, "leading": int(leading), "after": after},
        )
        return start

    def finish_runs(self, finished: Sequence[Finish], *, at: int) -> list[bool]:
        """Move running runs to their terminal state."""
        with self._connection.write():
            return [self._finish(finish, at=at) for finish in finished]

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
        """Put a running run back into the queue."""
        sql = load("runs")
        parameters: dict[str, Any] = {
            "run_id": run_id,
            "claim": claim,
            "attempt": attempt,
            "not_before": not_before,
        }
        name = "requeue_unstarted"
        if spent is not None:
            name = "requeue_run"
            parameters.update(outcome_values(spent))
            parameters.update(resumes=int(resumes), anew=int(anew), retries=retries)
            parameters["unreachable_since"] = unreachable_since
            parameters["waits_for"] = Reason.USAGE_LIMIT if resumes else None
        with self._connection.write():
            won = self._connection.execute(sql[name], parameters).rowcount == 1
            if won:
                self._connection.execute(sql["drop_of_deleted"], {"run_id": run_id, "at": at})
                self._note("run", run_id, at)
        return won

    def request_cancel(self, run_id: int, *, at: int) -> Run:
        """Cancel a queued run; ask for the cancel of a running one."""
        sql = load("runs")
        with self._connection.write():
            parameters = {"run_id": run_id, "at": at}
            if (
                self._connection.execute(sql["cancel_queued_run"], parameters).rowcount == 0
                and self._connection.execute(sql["request_cancel"], parameters).rowcount == 0
            ):
                run = self.get_run(run_id)
                raise ConflictError(f"Run {run_id} has ended already ({run.state})")
            self._note("run", run_id, at)
            return self.get_run(run_id)

    def running_of(self, node_id: str) -> list[Run]:
        """The running runs that this node claimed."""
        rows = self._connection.rows(select("running_of"), {"node_id": node_id})
        return legible("run", rows, run_from_row)

    def running_elsewhere(self, node_id: str) -> list[Run]:
        """The running runs that other nodes claimed."""
        rows = self._connection.rows(select("running_elsewhere"), {"node_id": node_id})
        return legible("run", rows, run_from_row)

    def cancel_requests(self, node_id: str) -> list[int]:
        """Running runs of this node with a cancel request."""
        rows = self._connection.rows(load("runs")["cancel_requests"], {"node_id": node_id})
        return [row[0] for row in rows]

    def adopt_run(self, run: Run, *, node_id: str, epoch: int | None, at: int) -> bool:
        """Take over the watch on a run, unless its row changed."""
        parameters = {
            "run_id": run.id,
            "claim": run.claim,
            "from_node": run.claimed_by,
            "node_id": node_id,
            "epoch": epoch,
        }
        return self._swap("adopt_run", parameters, run_id=run.id, at=at)

    def assigned_nodes(self) -> list[str]:
        """The nodes to which queued runs are assigned."""
        rows = self._connection.rows(load("runs")["assigned_nodes"])
        return [node_id for (node_id,) in rows if is_node_id(node_id)]

    def release_assigned(self, node_id: str, *, at: int) -> int:
        """Leave a dead node's queued runs to the leader."""
        sql = load("runs")["release_assigned"]
        with self._connection.write():
            released = self._connection.rows(sql, {"node_id": node_id})
            for (run_id,) in released:
                self._note("run", run_id, at)
        return len(released)

    def _task(self, task_id: int) -> Task:
        rows = self._connection.rows(select_task(load("tasks")["get_task"]), {"task_id": task_id})
        task = task_from_row(rows[0]) if rows else None
        if task is None or task.deleted_at is not None:
            raise NotFoundError("Task not found", hint=f"there is no task {task_id}")
        return task

    def _session(self, run_id: int, new_session: Callable[[], str] | None) -> dict[str, Any]:
        """The session columns of a claim. Where the task names a session, the agent reports it."""
        if new_session is None:
            return {"begins": 0, "session_id": None}
        [(arguments,)] = self._connection.rows(load("runs")["extra_args_of"], {"run_id": run_id})
        try:
            named = names_a_session(texts_from(arguments))
        except (TypeError, ValueError):  # unreadable: the claim ends the run
            named = False
        return {"begins": 1, "session_id": None if named else new_session()}

    def _claim(
        self, run_id: int, session: dict[str, Any], *, node_id: str, epoch: int | None, at: int
    ) -> None:
        sql = load("runs")
        claim = {"run_id": run_id, "node_id": node_id, "epoch": epoch, "at": at}
        self._connection.execute(sql["claim_run"], claim | session)
        self._connection.execute(sql["mark_last_run"], {"run_id": run_id})
        self._note("run", run_id, at)

    def _claimed(self, run_id: int, *, node_id: str, at: int) -> Claimed | None:
        """The run just claimed with its task; an unreadable row ends only this run."""
        sql = select_task(load("tasks")["get_task_of_run"])
        try:
            rows = self._connection.rows(sql, {"run_id": run_id})
            task = sound("task", rows[0], task_from_row)
            self._require_whole_texts(task)
            try:
                return Claimed(self.get_run(run_id), task)
            except IllegibleError:
                if not self._set_right_row(run_id, node_id=node_id, lives=False, at=at):
                    raise
            return Claimed(self.get_run(run_id), task)
        except IllegibleError as error:
            self._fail_illegible(run_id, Reason.SPAWN, error.message, at=at)
            return None

    def _finish(self, finish: Finish, *, at: int) -> bool:
        parameters = outcome_values(finish.outcome)
        parameters.update(run_id=finish.run_id, claim=finish.claim, log_path=finish.log_path)
        parameters["unreachable"] = int(finish.outcome.unreachable)
        won = self._connection.execute(load("runs")["finish_run"], parameters).rowcount == 1
        if won:
            self._note("run", finish.run_id, at)
        if won and finish.rearm_at is not None:
            rearmed = {"run_id": finish.run_id, "rearm_at": finish.rearm_at}
            self._connection.execute(load("runs")["rearm_one_off"], rearmed)
        return won

    def _swap(self, name: str, parameters: dict[str, Any], *, run_id: int, at: int) -> bool:
        with self._connection.write():
            won = self._connection.execute(load("runs")[name], parameters).rowcount == 1
            if won:
                self._note("run", run_id, at)
        return won
