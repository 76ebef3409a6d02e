"""Which nodes live, which one leads, which runs wait and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import IllegibleError, SpawnError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.run import Run, State
from claude_tasks.domain.signs import describe_hang
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.operations.clock_text import trouble
from claude_tasks.operations.preview import Preview, preview_expression

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.clock_step import ClockStep
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.notification import DeliveryCounts
    from claude_tasks.domain.ports import Clock, NodeLiveness, Store
    from claude_tasks.domain.signs import Signs, Stall
    from claude_tasks.domain.store_records import NextTick
    from claude_tasks.operations.clock_text import ClockTrouble
    from claude_tasks.operations.explanation import Explanation
    from claude_tasks.operations.usage import UsageOperations

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
        """Whether it lives and hangs."""
        return self.silent_ms is not None

    def how_it_hangs(self) -> str:
        """In words, with the command that helps."""
        text = describe_hang(self.node, self.silent_ms or 0, self.stall)
        if self.stall is None or self.stall.command is None:
            return Hint(text, "; what helps says: ", Command("doctor", "nodes"))
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
        """The lease; or None, and the error of its row, which the next leader repairs."""
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
        """Whether a working node may take the lease, and so starts runs of the common queue."""
        monotonic = self._clock.monotonic()
        return any(
            node.scheduler and node.silent_ms(monotonic=monotonic) is None
            for node in self.living_nodes()
        )

    def why(self, task_id: int) -> Explanation:
        """Why a task did or did not run: everything that decides it, in order.

        But for its folder, which may take a second: see `claude_tasks.operations.folders`.
        """
        from claude_tasks.operations.explanation import Explainer  # noqa: PLC0415 (rarely asked)

        return Explainer(self._store, self._usage, self._signs).explain(task_id, self.status())

    def _active(self, state: State) -> list[Run]:
        return self._store.list_runs(RunFilter(states=(state,), limit=_MOST_ACTIVE))
