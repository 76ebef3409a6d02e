"""Builds the notifier, and decides which node sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.clock_step import AHEAD_MS
from claude_tasks.notify.heartbeat import Heartbeat
from claude_tasks.notify.notifier import Defaults, Notifier
from claude_tasks.notify.notifier_thread import NotifierThread
from claude_tasks.scheduling.lifetime import NodeRegistry
from claude_tasks.wiring.data import open_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import Clock
    from claude_tasks.scheduling.engine import Engine
    from claude_tasks.scheduling.leadership import Leadership
    from claude_tasks.settings import Settings

_HEALTHY_SECONDS = 5.0
"""The longest time since the engine's last pass: a leader that hangs must not send its
heartbeat."""


def build_notifier(
    settings: Settings, node: Node, *, leadership: Leadership, clock: Clock, engine: Engine
) -> NotifierThread:
    """The notifier, on its own thread. It sends while this node leads, or no node does."""
    store = open_data(settings, clock=clock, existing=True)
    registry = NodeRegistry(store, settings.folder.nodes)

    def leads() -> bool:
        return leadership.term() is not None

    def acts() -> bool:
        return leads() or nobody_leads(store.read_lease(), registry.is_dead, at=clock.now())

    def healthy() -> bool:
        return leads() and clock.monotonic() - engine.progressed_at() < _HEALTHY_SECONDS

    url, interval = settings.heartbeat_url, settings.heartbeat_interval
    notifier = Notifier(
        store=store,
        clock=clock,
        defaults=Defaults(
            notify_on=settings.notify_on,
            addresses=settings.addresses,
            webhook_secret=settings.webhook_secret,
            overdue_after_ms=round(settings.overdue_after * 1000),
        ),
        acts=acts,
        heartbeat=Heartbeat(url, interval=interval, healthy=healthy, clock=clock) if url else None,
        host=node.host,
        version=node.version,
    )
    return NotifierThread(notifier, close=store.close)


def nobody_leads(lease: Lease, is_dead: Callable[[str], bool], *, at: int) -> bool:
    """Whether the lease is free, or its holder dead or silent for twice its ttl.

    One renewed in the future was renewed before the clock was set back, and not since.

    Two nodes that send at once lose and repeat no message, so the wall clock may decide here.
    """
    if lease.holder is None or lease.renewed_at is None:
        return True
    silent = not -AHEAD_MS <= at - lease.renewed_at <= 2 * lease.ttl_ms
    return silent or is_dead(lease.holder)
