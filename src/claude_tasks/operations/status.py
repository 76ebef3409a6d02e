"""Who is there, who leads, what waits and what runs; and why a task did or did not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import IllegibleError, SpawnError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.run import Run, State
from claude_tasks.domain.signs import UNRECORDED_MS, describe_hang
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.tick import schedule_of
from claude_tasks.operations.clock_text import is_felt, own, step_text, trouble
from claude_tasks.operations.preview import Preview, preview_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.clock_step import ClockStep
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.notification import DeliveryCounts
    from claude_tasks.domain.ports import Clock, NodeLiveness, Store
    from claude_tasks.domain.signs import ClaimSigns, Signs, Stall
    from claude_tasks.domain.store_records import NextTick
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.clock_text import ClockTrouble
    from claude_tasks.operations.usage import UsageOperations

_LAST_TICKS = 5
_MOST_ACTIVE = 200


class NodeStatus(NamedTuple):
    """A registered node, whether it lives, whether it holds the lease.

    One that lives and hangs has been ``silent_ms`` without a beat; ``stall`` is what keeps it.
    """

    node: Node
    alive: bool
    leads: bool
    silent_ms: int | None = None
    stall: Stall | None = None

    @property
    def hung(self) -> bool:
        """It lives, and does nothing."""
        return self.silent_ms is not None

    def how_it_hangs(self) -> str:
        """In words, with the command that helps."""
        text = describe_hang(self.node, self.silent_ms or 0, self.stall)
        if self.stall is None or self.stall.command is None:
            return f"{text}; what helps says: claude-tasks doctor nodes"
        return f"{text}; {self.stall.command}"


class Status(NamedTuple):
    """One look at everything. ``at`` is when.

    ``lease`` is None where its row cannot be read, as ``lease_problem`` says then.
    ``max_concurrent_runs`` is the leader's where one lives. ``agent`` is where the binary stands,
    or ``agent_problem`` says why there is none. ``deliveries`` counts messages, of the last day.
    ``usage_obstacle`` says what usage keeps from running. ``clock_step`` is the last step back of
    the clock that was settled, ``clock_troubles`` what such a clock left that is not.
    """

    at: int
    nodes: list[NodeStatus]
    lease: Lease | None
    queued: list[Run]
    running: list[Run]
    next_tick_at: int | None
    max_concurrent_runs: int
    agent: str | None
    agent_problem: str | None
    deliveries: DeliveryCounts
    usage_obstacle: str | None
    lease_problem: str | None = None
    clock_step: ClockStep | None = None
    clock_troubles: tuple[ClockTrouble, ...] = ()

    @property
    def leading(self) -> NodeStatus | None:
        """The living node that holds the lease; it may hang."""
        return next((entry for entry in self.nodes if entry.leads and entry.alive), None)

    @property
    def leader(self) -> Node | None:
        """The same, the node alone."""
        return None if self.leading is None else self.leading.node

    @property
    def stands_by(self) -> bool:
        """Whether a node lives that takes the lease as soon as it may."""
        return any(each.alive and each.node.scheduler and not each.hung for each in self.nodes)

    @property
    def is_led(self) -> bool:
        """Whether a node leads that does not hang."""
        return self.leading is not None and not self.leading.hung


class Circumstance(NamedTuple):
    """One line of an explanation: ``stands_in_the_way`` marks what keeps a task from running."""

    topic: str
    text: str
    stands_in_the_way: bool = False


class Explanation(NamedTuple):
    """Why a task did or did not run."""

    task: Task
    findings: list[Circumstance]
    last_runs: list[Run]


class StatusOperations:
    """Looks, and changes nothing."""

    def __init__(
        self,
        store: Store,
        registry: NodeLiveness,
        clock: Clock,
        *,
        max_concurrent_runs: int,
        find_agent: Callable[[], str],
        usage: UsageOperations,
        signs: Signs,
    ) -> None:
        """``registry`` knows which nodes live; ``find_agent`` raises `SpawnError` without one.

        ``signs`` looks at this machine.
        """
        self._store = store
        self._registry = registry
        self._clock = clock
        self._limit = max_concurrent_runs
        self._find_agent = find_agent
        self._usage = usage
        self._signs = signs

    def status(self) -> Status:
        """Everything at one look."""
        (lease, lease_problem), at = self._lease(), self._clock.now()
        holder, monotonic = lease and lease.holder, self._clock.monotonic()
        nodes = [self._node(node, holder, monotonic) for node in self._store.list_nodes()]
        limits = [entry.node.max_concurrent_runs for entry in nodes if entry.leads and entry.alive]
        agent, problem = self.agent()
        led = any(entry.leads and entry.alive for entry in nodes)
        return Status(
            at=at,
            nodes=nodes,
            lease=lease,
            lease_problem=lease_problem,
            queued=self._active(State.QUEUED),
            running=self._active(State.RUNNING),
            next_tick_at=self._store.next_tick_at(),
            max_concurrent_runs=limits[0] if limits else self._limit,
            agent=agent,
            agent_problem=problem,
            usage_obstacle=self._usage.obstacle(),
            deliveries=self._store.count_deliveries(since=at - DAY_MS),
            clock_step=self._store.last_clock_step(),
            clock_troubles=tuple(
                trouble(left, led=led, at=at) for left in self._store.left_by_clock(at=at)
            ),
        )

    def _lease(self) -> tuple[Lease | None, str | None]:
        """The lease; or None, and what is wrong with its row, which the next leader sets right."""
        try:
            return self._store.read_lease(), None
        except IllegibleError as error:
            return None, error.message

    def _node(self, node: Node, holder: str | None, monotonic: float) -> NodeStatus:
        alive = not self._registry.is_dead(node.id)
        silent = node.silent_ms(monotonic=monotonic) if alive else None
        stall = None if silent is None else self._signs.stall(node)
        return NodeStatus(node, alive, node.id == holder, silent, stall)

    def leader(self) -> Node | None:
        """The living node that holds the lease."""
        lease, _ = self._lease()
        holder = lease and lease.holder
        nodes = self._store.list_nodes() if holder is not None else []
        held = [node for node in nodes if node.id == holder]
        return held[0] if held and not self._registry.is_dead(held[0].id) else None

    def next_ticks(self, *, limit: int) -> list[NextTick]:
        """The next ticks of all tasks, earliest first."""
        return self._store.next_ticks(limit=limit)

    def preview(self, cron_expr: str, *, timezone: str, count: int) -> Preview:
        """What an expression means from now on. Errors: `InvalidInputError`."""
        return preview_expression(cron_expr, timezone=timezone, at=self._clock.now(), count=count)

    def has_leftovers(self) -> bool:
        """Whether a run reads as running although the node that watched it is dead."""
        watchers = {run.claimed_by for run in self._active(State.RUNNING)}
        return any(self._registry.is_dead(node_id) for node_id in watchers if node_id)

    def agent(self) -> tuple[str | None, str | None]:
        """Where the agent's binary stands; or None, and what the problem is."""
        try:
            return self._find_agent(), None
        except SpawnError as error:
            return None, f"{error.message}; {error.hint}"

    def living_nodes(self) -> list[Node]:
        """The nodes that can execute something now."""
        return [node for node in self._store.list_nodes() if not self._registry.is_dead(node.id)]

    def scheduler_lives(self) -> bool:
        """Whether a node is at work that stands for the lease, and so takes the common queue."""
        monotonic = self._clock.monotonic()
        return any(
            node.scheduler and node.silent_ms(monotonic=monotonic) is None
            for node in self.living_nodes()
        )

    def why(self, task_id: int) -> Explanation:
        """Why a task did or did not run: everything that decides it, in order.

        But for its folder, which may take a second: see `claude_tasks.operations.folders`.
        """
        task = self._store.get_task(task_id, include_deleted=True)
        status = self.status()
        findings: list[Circumstance | None] = [
            self._schedule(task),
            self._switch(task, status),
            self._next(task, status),
            *self._clock_findings(task, status),
            self._leader(status),
            self._agent_finding(status),
            self._usage_finding(status),
            *self._queue(task, status),
        ]
        last = self._store.list_runs(RunFilter(task_id=task_id, limit=_LAST_TICKS))
        findings.append(_denied(task, last))
        return Explanation(task, [finding for finding in findings if finding], last)

    def _active(self, state: State) -> list[Run]:
        return self._store.list_runs(RunFilter(states=(state,), limit=_MOST_ACTIVE))

    @staticmethod
    def _schedule(task: Task) -> Circumstance:
        return Circumstance("schedule", schedule_of(task).describe())

    @staticmethod
    def _switch(task: Task, status: Status) -> Circumstance:
        if task.deleted_at is not None:
            text = f"deleted; claude-tasks restore {task.id} brings it back"
            return Circumstance("enabled", text, stands_in_the_way=True)
        if task.spec.enabled:
            return Circumstance("enabled", "yes")
        if task.is_one_off and task.cursor_at >= (task.spec.scheduled_at or 0):
            text = "no: a one-off whose time has passed"
            if task.spec.scheduled_at is not None and task.spec.scheduled_at > status.at:
                skipped = own(status.clock_troubles, task) is not None
                text = (
                    f"no: a one-off that was {'skipped' if skipped else 'taken'} ahead of its time"
                )
            return Circumstance("enabled", text, stands_in_the_way=True)
        text = f"no; claude-tasks enable {task.id} switches it on"
        return Circumstance("enabled", text, stands_in_the_way=True)

    @staticmethod
    def _next(task: Task, status: Status) -> Circumstance:
        tick = task.next_run_at
        if tick is None:
            return Circumstance("next tick", "none", stands_in_the_way=True)
        from claude_tasks.domain.instant import human_duration  # noqa: PLC0415
        from claude_tasks.domain.schedule.zones import in_zone  # noqa: PLC0415

        when = in_zone(tick, task.spec.timezone)
        if tick > status.at:
            return Circumstance("next tick", f"{when}, in {human_duration(tick - status.at)}")
        text = f"{when}: due for {human_duration(status.at - tick)}, waiting for a leader"
        return Circumstance("next tick", text, stands_in_the_way=not status.is_led)

    @staticmethod
    def _clock_findings(task: Task, status: Status) -> list[Circumstance]:
        """What a clock that was ahead did to the task, and what it still means."""
        found = own(status.clock_troubles, task)
        if found is not None:
            return [Circumstance("clock", f"it {found.text}: {found.fix}", stands_in_the_way=True)]
        step = status.clock_step
        if step is None or not is_felt(step, at=status.at):
            return []
        return [Circumstance("clock", step_text(step))]

    @staticmethod
    def _leader(status: Status) -> Circumstance:
        leading = status.leading
        if leading is not None and leading.hung:
            return Circumstance("leader", leading.how_it_hangs(), stands_in_the_way=True)
        leader, lease = status.leader, status.lease
        if leader is None or lease is None:
            text = f"nobody schedules{_in_brackets(status.lease_problem)}"
            if not status.stands_by:
                text = f"{text}; start one with: claude-tasks daemon"
            return Circumstance("leader", text, stands_in_the_way=True)
        text = f"{leader.role} pid {leader.pid} on {leader.host}, epoch {lease.epoch}"
        return Circumstance("leader", text)

    @staticmethod
    def _agent_finding(status: Status) -> Circumstance:
        problem = status.agent_problem
        if problem is None:
            return Circumstance("agent", status.agent or "")
        if status.leader is not None:  # it has an environment of its own
            return Circumstance(
                "agent", f"not found from here, the leader may know better: {problem}"
            )
        return Circumstance("agent", problem, stands_in_the_way=True)

    @staticmethod
    def _usage_finding(status: Status) -> Circumstance | None:
        if status.usage_obstacle is None:
            return None
        return Circumstance("usage", status.usage_obstacle, stands_in_the_way=True)

    def _queue(self, task: Task, status: Status) -> list[Circumstance]:
        running = [run for run in status.running if run.task_id == task.id]
        queued = [run for run in status.queued if run.task_id == task.id]
        findings = []
        if running:
            ids = ", ".join(str(run.id) for run in running)
            findings.append(
                Circumstance("running", f"run {ids}; overlap rule: {task.spec.overlap}")
            )
            findings += self._standing_still(running, status)
        if queued:
            ids = ", ".join(str(run.id) for run in queued)
            full = len(status.running) >= status.max_concurrent_runs
            word = "word about usage" if self._usage.is_stale() else None
            why = _waits_for(queued[-1], status, full=full, running=bool(running), word=word)
            findings.append(
                Circumstance("queue", f"run {ids} waits for {why}", stands_in_the_way=full)
            )
        used = f"{len(status.running)} of {status.max_concurrent_runs} runs at once"
        own = task.spec.max_concurrency
        per_task = f", {own} of this task" if own else ""
        findings.append(Circumstance("limits", used + per_task))
        return findings

    def _standing_still(self, running: list[Run], status: Status) -> list[Circumstance]:
        """Runs of it that are over, or should be; and those whose node hangs."""
        hung = {entry.node.id: entry for entry in status.nodes if entry.hung and not entry.leads}
        texts = [_of_signs(run, self._signs.of_claim(run, at=status.at)) for run in running]
        texts += [
            f"run {run.id} is with {hung[run.claimed_by].how_it_hangs()}"
            for run in running
            if run.claimed_by in hung
        ]
        return [Circumstance("running", text, stands_in_the_way=True) for text in texts if text]


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""


def _of_signs(run: Run, signs: ClaimSigns) -> str | None:
    """What is wrong with a running run, and what helps; None while nothing is."""
    from claude_tasks.domain.instant import human_duration  # noqa: PLC0415 (rarely asked)

    if signs.ended_ms is not None and signs.ended_ms > UNRECORDED_MS:
        ago = human_duration(signs.ended_ms // 1000 * 1000)
        return f"run {run.id} ended {ago} ago, but is not recorded: claude-tasks doctor runs nodes"
    if signs.silent_ms is None:
        return None
    past = human_duration(signs.silent_ms // 1000 * 1000)
    text = f"run {run.id} should have ended {past} ago, process {signs.pid}"
    if signs.stall is None:
        return f"{text} is left of it: kill -9 {signs.pid}"
    return f"{text} {signs.stall.why}" + (f"; {signs.stall.command}" if signs.stall.command else "")


def _denied(task: Task, last: Sequence[Run]) -> Circumstance | None:
    """What was denied to the last run that did anything, and what would let exactly it pass."""
    from claude_tasks.domain.permission import (  # noqa: PLC0415 (rarely asked)
        denied_text,
        permitted,
    )

    worked = [run for run in last if run.state in (State.COMPLETED, State.FAILED)]
    if not worked or not worked[0].permission_denials:
        return None
    text = denied_text(permitted(task), worked[0].permission_denials)
    return Circumstance("denied", f"run {worked[0].id}: {text}")


def _waits_for(run: Run, status: Status, *, full: bool, running: bool, word: str | None) -> str:
    """What the oldest queued run of a task is waiting for."""
    from claude_tasks.domain.instant import to_rfc3339  # noqa: PLC0415 (rarely asked)

    if run.not_before > status.at and (run.deferred_until or run.unreachable_since) is not None:
        return str(run.error)
    if run.not_before > status.at:
        what = "its next attempt" if run.attempt > 1 else "its start (jitter)"
        return f"{what} at {to_rfc3339(run.not_before)}"
    if full:
        return "a free place: the limit of concurrent runs is reached"
    if running:
        return "the run before it to end"
    if word is not None and status.nodes:
        return word
    return "a node to execute it" if not status.nodes else "the next look of its node"
