"""Builds a node: the actors of a long-running process, each thread with its own connection."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks import __version__
from claude_tasks.domain.lease import LeaseTimes
from claude_tasks.domain.node import Node, Role
from claude_tasks.domain.task_fields import OnUsageLimit
from claude_tasks.execution.execution import SupervisedExecution
from claude_tasks.execution.launching import LaunchRules
from claude_tasks.execution.process_table import has_process_table, refuse_without_process_table
from claude_tasks.execution.recorder import ENDS_LOG, EndRules
from claude_tasks.scheduling.beats import BeatKeeper, BeatWatch
from claude_tasks.scheduling.dispatcher import Dispatcher
from claude_tasks.scheduling.engine import Engine, EngineThread
from claude_tasks.scheduling.leadership import KeeperThread, Leadership, LeaseKeeper
from claude_tasks.scheduling.lifetime import LifetimeLock, NodeRegistry
from claude_tasks.scheduling.node import RunningNode
from claude_tasks.scheduling.rescuer import Rescuer
from claude_tasks.scheduling.ticker import Ticker
from claude_tasks.system.clock import SystemClock
from claude_tasks.wiring.data import PROMPT_BUSY_TIMEOUT, open_data
from claude_tasks.wiring.messages import build_notifier
from claude_tasks.wiring.usage import build_preflight, build_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Clock, Execution, Store
    from claude_tasks.execution.recorder import RecordingStore
    from claude_tasks.settings import Settings
    from claude_tasks.system.service_thread import ServiceThread
    from claude_tasks.usage.keeper import UsageThread

RUN_ENDS_LOG = ENDS_LOG
"""The logger that says how each run ended, for a face that says so itself."""

_NO_LIMIT = 1_000_000


class _Shared(NamedTuple):
    """What the actors of a node have in common."""

    settings: Settings
    node: Node
    clock: Clock
    leadership: Leadership
    watch: BeatWatch


def build_node(
    settings: Settings,
    *,
    role: Role,
    schedules: bool,
    yields: bool = False,
    api: tuple[str, bool] | None = None,
    clock: Clock | None = None,
) -> RunningNode:
    """A node of this process: with ``schedules`` it may take the lease.

    With ``yields`` it leaves a free lease to living daemons and servers. ``api`` is the address
    that it answers at, and whether it asks for no token there.

    The engine and the keeper work on connections of their own, each used by its thread alone.
    Errors: `ConfigurationError` where no process can be looked at.
    """
    refuse_without_process_table()
    clock = clock or SystemClock()
    node = new_node(settings, role, schedules=schedules, clock=clock, api=api)
    shared = _Shared(settings, node, clock, Leadership(clock), BeatWatch())
    store = open_data(settings, clock=clock)
    usage = None if settings.disable_usage_check else build_usage(settings, node.id, clock)
    engine, thread = _build_thread(shared, store, usage)
    sides = _side_threads(shared, usage, engine)
    lock = LifetimeLock(settings.folder.nodes, node.id)
    keeper = _build_keeper(shared, engine, thread, lock, yields=yields)
    front = open_data(settings, clock=clock, existing=True)
    return RunningNode(
        node=node,
        store=front,
        leave=partial(_leave, settings, node.id, clock),
        lock=lock,
        engine=thread,
        keeper=keeper,
        side_threads=sides,
        leadership=shared.leadership,
        close=front.close,
    )


def _build_thread(
    shared: _Shared, store: Store, usage: UsageThread | None
) -> tuple[Engine, EngineThread]:
    """The engine and its thread, which is woken by what the usage keeper learns."""
    ask_usage = None if usage is None else usage.want
    engine, execution = _build_engine(shared, store, ask_usage=ask_usage)
    thread = EngineThread(engine, execution, close=store.close)
    if usage is not None:
        usage.tell(thread.wake)
    return engine, thread


def _side_threads(
    shared: _Shared, usage: UsageThread | None, engine: Engine
) -> list[ServiceThread]:
    """The threads that may wait for the network. A command ends before a channel would answer."""
    sides: list[ServiceThread] = [] if usage is None else [usage]
    if shared.node.role is Role.CLI:
        return sides
    settings, node, clock, leadership, _ = shared
    notifier = build_notifier(settings, node, leadership=leadership, clock=clock, engine=engine)
    return [*sides, notifier]


def _leave(settings: Settings, node_id: str, clock: Clock) -> None:
    """Remove a node from the registry, without waiting long for another writer."""
    with closing(
        open_data(settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT, existing=True)
    ) as store:
        store.remove_node(node_id)


def new_node(
    settings: Settings,
    role: Role,
    *,
    schedules: bool,
    clock: Clock,
    api: tuple[str, bool] | None = None,
) -> Node:
    """This process as a node with a new id: host name and pid do not identify one."""
    at = clock.now()
    return Node(
        id=str(uuid.uuid4()),
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        scheduler=schedules,
        started_at=at,
        max_concurrent_runs=settings.max_concurrent_runs,
        listens=None if api is None else api[0],
        open=api is not None and api[1],
        ttl_ms=round(settings.lease_ttl * 1000),
        beat_at=at,
        beat_monotonic=clock.monotonic(),
    )


def _build_engine(
    shared: _Shared,
    store: Store,
    *,
    ask_usage: Callable[[], None] | None,
) -> tuple[Engine, Execution]:
    """The actors of the engine's thread, all on its one connection.

    A command line's own node starts only what it was asked to, without a limit. One that does not
    schedule rescues what it stumbles over: it may work where no leader lives.
    """
    settings, node, clock, leadership, watch = shared
    alone = node.role is Role.CLI
    execution = build_execution(settings, store, node.id)
    registry = NodeRegistry(store, settings.folder.nodes, watch)
    dispatcher = Dispatcher(
        store=store,
        execution=execution,
        node_id=node.id,
        max_concurrent_runs=_NO_LIMIT if alone else settings.max_concurrent_runs,
        per_node=alone,
        own_limit=settings.api_run_concurrency if node.role is Role.SERVE else None,
        preflight=None if ask_usage is None else build_preflight(settings, store, clock, ask_usage),
    )
    engine = Engine(
        clock=clock,
        ticker=Ticker(store, clock),
        dispatcher=dispatcher,
        rescuer=Rescuer(store=store, execution=execution, registry=registry, node_id=node.id),
        execution=execution,
        leadership=leadership,
        changes=store,
        rescues=not node.scheduler,
        require_same=store.require_same,
    )
    return engine, execution


def build_execution(settings: Settings, store: RecordingStore, node_id: str) -> SupervisedExecution:
    """The part that starts runs, watches them and records their ends."""
    return SupervisedExecution(
        store=store,
        folder=settings.folder,
        launches=LaunchRules(settings.claude_bin, settings.kill_grace, settings.linger),
        ends=EndRules(
            on_usage_limit=OnUsageLimit(settings.on_usage_limit),
            waits_for_reset=not settings.disable_usage_check,
            retry_backoff=settings.retry_backoff,
        ),
        node_id=node_id,
    )


def lease_times(settings: Settings) -> LeaseTimes:
    """What the settings say about the lease."""
    return LeaseTimes(settings.lease_ttl, settings.lease_renew, settings.lease_margin)


def _build_keeper(
    shared: _Shared, engine: Engine, thread: EngineThread, lock: LifetimeLock, *, yields: bool
) -> KeeperThread:
    """The keeper of the beat, and of the lease where the node may take it.

    Its connection does not wait long. Only a node that may lead looks at others' beats.
    """
    settings, node, clock, leadership, watch = shared
    store = open_data(settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT, existing=True)
    beats = BeatKeeper(
        store=store,
        node=node,
        clock=clock,
        progress=engine.progressed_at,
        watch=watch if node.scheduler else None,
        keep_alive=lock.keep,
    )
    if not node.scheduler:
        return KeeperThread(beats, None, close=store.close)
    keeper = LeaseKeeper(
        store=store,
        registry=NodeRegistry(store, settings.folder.nodes),
        node=node,
        leadership=leadership,
        clock=clock,
        times=lease_times(settings),
        beats=beats,
        watch=watch,
        notify=thread.wake,
        yields=yields,
    )
    keeper_thread = KeeperThread(beats, keeper, close=store.close)
    leadership.tell(keeper_thread.wake)
    return keeper_thread


def settle_leftovers(settings: Settings, *, clock: Clock | None = None) -> int:
    """Record the runs that ended while no node lived; how many. One pass, no threads.

    Running agents go on, unwatched until the next node starts. Where processes cannot be inspected
    nothing is settled: a node's start says why.
    """
    if not has_process_table():
        return 0
    clock = clock or SystemClock()
    node = new_node(settings, Role.CLI, schedules=False, clock=clock)
    store = open_data(settings, clock=clock)
    lock = LifetimeLock(settings.folder.nodes, node.id)
    lock.acquire()
    try:
        shared = _Shared(settings, node, clock, Leadership(clock), BeatWatch())
        engine, _ = _build_engine(shared, store, ask_usage=None)
        before = len(store.running_elsewhere(node.id))
        engine.run_pass()
        return before - len(store.running_of(node.id))
    finally:
        lock.release(tidy=True)
        store.close()
