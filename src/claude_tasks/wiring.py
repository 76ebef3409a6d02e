"""The only place that picks concrete adapters and puts them together."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from claude_tasks import __version__
from claude_tasks.clock import SystemClock
from claude_tasks.storage.sqlite.store import DEFAULT_BUSY_TIMEOUT, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.node import Node, Role
    from claude_tasks.domain.notification import Addresses
    from claude_tasks.domain.ports import Clock, Execution, Store
    from claude_tasks.domain.run import Run
    from claude_tasks.notify.notifier_thread import NotifierThread
    from claude_tasks.operations.facade import Operations
    from claude_tasks.scheduling.engine import Engine, EngineThread
    from claude_tasks.scheduling.leadership import KeeperThread, Standing
    from claude_tasks.scheduling.node import RunningNode
    from claude_tasks.scheduling.preflight import Preflight
    from claude_tasks.settings import Settings
    from claude_tasks.usage.keeper import UsageKeeper, UsageThread

_NO_LIMIT = 1_000_000
PROMPT_BUSY_TIMEOUT = 0.5
"""Seconds, for what had better fail than wait: the renewal of a lease while trust lasts, a node's
goodbye, the request of a client (503: try again)."""
_HEALTHY_SECONDS = 5.0
"""Since the engine's last pass: a leader that hangs must not say that it lives."""


def open_data(
    settings: Settings, *, clock: Clock | None = None, busy_timeout: float = DEFAULT_BUSY_TIMEOUT
) -> Store:
    """The store of the data folder, both created when missing."""
    settings.folder.create()
    at = (clock or SystemClock()).now()
    return open_store(settings.folder.database, at=at, busy_timeout=busy_timeout)


def build_node(
    settings: Settings,
    *,
    role: Role,
    schedules: bool,
    yields: bool = False,
    api: tuple[str, bool] | None = None,
    clock: Clock | None = None,
) -> RunningNode:
    """A node of this process: with ``schedules`` it stands for the lease.

    With ``yields`` it leaves a free lease to living daemons and servers. ``api`` is the address
    that it answers at, and whether it asks for no token there.

    The engine and the keeper work on connections of their own, each used by its thread alone.
    """
    # What follows is for processes that stay: a light command never gets here.
    from claude_tasks.domain.node import Role  # noqa: PLC0415
    from claude_tasks.scheduling.engine import EngineThread  # noqa: PLC0415
    from claude_tasks.scheduling.leadership import Standing  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import LifetimeLock  # noqa: PLC0415
    from claude_tasks.scheduling.node import RunningNode  # noqa: PLC0415

    clock = clock or SystemClock()
    node = new_node(settings, role, schedules=schedules, at=clock.now(), api=api)
    standing = Standing(clock)
    store = open_data(settings, clock=clock)
    usage = None if settings.disable_usage_check else _build_usage(settings, node.id, clock)
    engine, execution = _build_engine(
        settings, node, store, standing, clock, ask_usage=None if usage is None else usage.want
    )
    thread = EngineThread(engine, execution, close=store.close)
    if usage is not None:
        usage.tell(thread.wake)
    notifier = keeper = None
    if role is not Role.CLI:  # gone before a channel would answer
        notifier = _build_notifier(settings, node, standing=standing, clock=clock, engine=engine)
    if schedules:
        keeper = _build_keeper(
            settings,
            node,
            standing=standing,
            clock=clock,
            engine=engine,
            thread=thread,
            yields=yields,
        )
    front = open_data(settings, clock=clock)

    def leave() -> None:
        with closing(open_data(settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT)) as store:
            store.remove_node(node.id)

    return RunningNode(
        node=node,
        store=front,
        leave=leave,
        lock=LifetimeLock(settings.folder.nodes, node.id),
        engine=thread,
        keeper=keeper,
        side_threads=[side for side in (usage, notifier) if side is not None],
        standing=standing,
        close=front.close,
    )


def new_node(
    settings: Settings,
    role: Role,
    *,
    schedules: bool,
    at: int,
    api: tuple[str, bool] | None = None,
) -> Node:
    """This process as a node, under an id of its own: a host name or a pid identifies nobody."""
    import socket  # noqa: PLC0415 (see `build_node`)
    import uuid  # noqa: PLC0415

    from claude_tasks.domain.node import Node  # noqa: PLC0415

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
    )


def _build_engine(
    settings: Settings,
    node: Node,
    store: Store,
    standing: Standing,
    clock: Clock,
    *,
    ask_usage: Callable[[], None] | None,
) -> tuple[Engine, Execution]:
    """The actors of the engine's thread, all on its one connection.

    A command line's own node starts only what it was asked to, without a limit. One that does not
    schedule rescues what it stumbles over: it may work where no leader lives.
    """
    from claude_tasks.domain.node import Role  # noqa: PLC0415 (see `build_node`)
    from claude_tasks.execution.execution import SupervisedExecution  # noqa: PLC0415
    from claude_tasks.scheduling.dispatcher import Dispatcher  # noqa: PLC0415
    from claude_tasks.scheduling.engine import Engine  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import Register  # noqa: PLC0415
    from claude_tasks.scheduling.rescuer import Rescuer  # noqa: PLC0415
    from claude_tasks.scheduling.ticker import Ticker  # noqa: PLC0415

    alone = node.role is Role.CLI
    execution = SupervisedExecution(store=store, settings=settings)
    register = Register(store, settings.folder.nodes)
    dispatcher = Dispatcher(
        store=store,
        execution=execution,
        node_id=node.id,
        max_concurrent_runs=_NO_LIMIT if alone else settings.max_concurrent_runs,
        per_node=alone,
        own_limit=settings.api_run_concurrency if node.role is Role.SERVE else None,
        preflight=None
        if ask_usage is None
        else _build_preflight(settings, store, clock, ask_usage),
    )
    engine = Engine(
        clock=clock,
        ticker=Ticker(store, clock),
        dispatcher=dispatcher,
        rescuer=Rescuer(store=store, execution=execution, register=register, node_id=node.id),
        execution=execution,
        standing=standing,
        changes=store,
        rescues=not node.scheduler,
    )
    return engine, execution


def _build_notifier(
    settings: Settings, node: Node, *, standing: Standing, clock: Clock, engine: Engine
) -> NotifierThread:
    """Who sends messages while this node leads, on a thread and a connection of its own.

    Or while nobody leads, where the node is not to.
    """
    from claude_tasks.notify.heartbeat import Heartbeat  # noqa: PLC0415 (see `build_node`)
    from claude_tasks.notify.notifier import Defaults, Notifier  # noqa: PLC0415
    from claude_tasks.notify.notifier_thread import NotifierThread  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import Register  # noqa: PLC0415

    store = open_data(settings, clock=clock)
    register = Register(store, settings.folder.nodes)

    def leads() -> bool:
        return standing.term() is not None

    def acts() -> bool:
        if node.scheduler:
            return leads()
        holder = store.read_lease().holder
        return holder is None or register.is_dead(holder)

    def healthy() -> bool:
        return leads() and clock.monotonic() - engine.progressed_at() < _HEALTHY_SECONDS

    url, interval = settings.heartbeat_url, settings.heartbeat_interval
    notifier = Notifier(
        store=store,
        clock=clock,
        defaults=Defaults(
            notify_on=settings.notify_on,
            addresses=general_addresses(settings),
            webhook_secret=settings.webhook_secret,
            overdue_after_ms=round(settings.overdue_after * 1000),
        ),
        acts=acts,
        heartbeat=Heartbeat(url, interval=interval, healthy=healthy, clock=clock) if url else None,
        host=node.host,
        version=node.version,
    )
    return NotifierThread(notifier, close=store.close)


def general_addresses(settings: Settings) -> Addresses:
    """Where messages about tasks go that say nothing of it."""
    from claude_tasks.domain.notification import Addresses  # noqa: PLC0415 (see `build_node`)

    return Addresses(
        settings.discord_webhook,
        settings.slack_webhook,
        settings.webhook_url,
        settings.apprise_url,
    )


def _build_preflight(
    settings: Settings, store: Store, clock: Clock, ask: Callable[[], None]
) -> Preflight:
    from claude_tasks.operations.settings import SettingsOperations  # noqa: PLC0415
    from claude_tasks.scheduling.preflight import Preflight  # noqa: PLC0415

    return Preflight(
        store=store,
        threshold=SettingsOperations(store, clock).usage_threshold,
        ask=ask,
        defers=settings.on_usage_limit == "defer",
        billed_by=_billed_by,
    )


def _billed_by() -> str | None:
    """What pays for the agents of this process instead of a subscription, as it stands now."""
    from claude_tasks.execution.agent_environment import agent_environment  # noqa: PLC0415
    from claude_tasks.usage.credentials import other_billing  # noqa: PLC0415 (see `build_node`)

    return other_billing(agent_environment(os.environ))


def _build_usage(settings: Settings, node_id: str, clock: Clock) -> UsageThread:
    """Who asks about usage, on a thread and a connection of its own."""
    from claude_tasks.usage.keeper import UsageThread  # noqa: PLC0415 (see `build_node`)

    store = open_data(settings, clock=clock)
    return UsageThread(_usage_keeper(settings, store, node_id, clock), close=store.close)


def _usage_keeper(settings: Settings, store: Store, node_id: str, clock: Clock) -> UsageKeeper:
    """In their order: the agent itself, which needs no token of ours, then the service."""
    from claude_tasks.execution.agent_binary import find_agent_binary  # noqa: PLC0415
    from claude_tasks.execution.agent_environment import agent_environment  # noqa: PLC0415
    from claude_tasks.usage.cli_source import CliSource  # noqa: PLC0415
    from claude_tasks.usage.keeper import UsageKeeper  # noqa: PLC0415
    from claude_tasks.usage.oauth_source import OAuthSource  # noqa: PLC0415

    environment = agent_environment(os.environ)
    seconds = settings.usage_timeout
    return UsageKeeper(
        store=store,
        sources=(
            CliSource(
                lambda: find_agent_binary(settings.claude_bin),
                environment,
                folder=settings.data,
                seconds=seconds,
            ),
            OAuthSource(settings.usage_url, environment, seconds=seconds),
        ),
        clock=clock,
        node_id=node_id,
    )


def refresh_usage(settings: Settings, *, clock: Clock | None = None) -> None:
    """Have the sources asked now, where nothing fresh is known. Takes as long as they do."""
    import time  # noqa: PLC0415 (see `build_node`)
    import uuid  # noqa: PLC0415

    from claude_tasks.usage.keeper import ask_now  # noqa: PLC0415

    clock = clock or SystemClock()
    with closing(open_data(settings, clock=clock)) as store:
        keeper = _usage_keeper(settings, store, str(uuid.uuid4()), clock)
        ask_now(keeper, sleep=time.sleep)


def _build_keeper(
    settings: Settings,
    node: Node,
    *,
    standing: Standing,
    clock: Clock,
    engine: Engine,
    thread: EngineThread,
    yields: bool,
) -> KeeperThread:
    """The lease keeper, on a connection that does not wait long."""
    from claude_tasks.scheduling.leadership import KeeperThread, LeaseKeeper  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import Register  # noqa: PLC0415

    store = open_data(settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT)
    keeper = LeaseKeeper(
        store=store,
        register=Register(store, settings.folder.nodes),
        node=node,
        standing=standing,
        clock=clock,
        settings=settings,
        progress=engine.progressed_at,
        notify=thread.wake,
        yields=yields,
    )
    return KeeperThread(keeper, close=store.close)


def open_operations(
    settings: Settings,
    *,
    clock: Clock | None = None,
    busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
) -> Operations:
    """The use cases on the data folder's store. Light: no thread, no process."""
    from claude_tasks.operations.facade import Operations  # noqa: PLC0415 (not for a node)
    from claude_tasks.operations.notifications import NotificationOperations  # noqa: PLC0415
    from claude_tasks.operations.runs import RunOperations  # noqa: PLC0415
    from claude_tasks.operations.settings import SettingsOperations  # noqa: PLC0415
    from claude_tasks.operations.status import StatusOperations  # noqa: PLC0415
    from claude_tasks.operations.tasks import TaskOperations  # noqa: PLC0415
    from claude_tasks.operations.usage import UsageOperations  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import Register  # noqa: PLC0415 (the same)

    def ask_to_end(run: Run) -> bool:
        from claude_tasks.execution.run_folder import RunFolder  # noqa: PLC0415 (for cancel alone)

        return RunFolder.of(settings.folder.runs, run.id, run.claim).ask_to_end()

    def find_agent() -> str:
        from claude_tasks.execution.agent_binary import find_agent_binary  # noqa: PLC0415 (rare)

        return find_agent_binary(settings.claude_bin)

    clock = clock or SystemClock()
    store = open_data(settings, clock=clock, busy_timeout=busy_timeout)
    changeable = SettingsOperations(store, clock)
    usage = UsageOperations(
        store,
        clock,
        changeable,
        check_disabled=settings.disable_usage_check,
        billed_by=_billed_by,
    )
    return Operations(
        tasks=TaskOperations(store, clock),
        runs=RunOperations(store, clock, ask_to_end=ask_to_end),
        status=StatusOperations(
            store,
            Register(store, settings.folder.nodes),
            clock,
            max_concurrent_runs=settings.max_concurrent_runs,
            find_agent=find_agent,
            usage=usage,
        ),
        settings=changeable,
        usage=usage,
        notifications=NotificationOperations(store, clock),
        facts=store,
        changes=store,
        close=store.close,
    )


def settle_leftovers(settings: Settings, *, clock: Clock | None = None) -> int:
    """Record the runs that ended while no node lived; how many. One pass, no threads.

    What still runs goes on, watched by nobody until the next node.
    """
    from claude_tasks.domain.node import Role  # noqa: PLC0415 (see `build_node`)
    from claude_tasks.scheduling.leadership import Standing  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import LifetimeLock  # noqa: PLC0415

    clock = clock or SystemClock()
    node = new_node(settings, Role.CLI, schedules=False, at=clock.now())
    store = open_data(settings, clock=clock)
    lock = LifetimeLock(settings.folder.nodes, node.id)
    lock.acquire()
    try:
        engine, _ = _build_engine(settings, node, store, Standing(clock), clock, ask_usage=None)
        before = len(store.running_elsewhere(node.id))
        engine.run_pass()
        return before - len(store.running_of(node.id))
    finally:
        lock.release(tidy=True)
        store.close()
