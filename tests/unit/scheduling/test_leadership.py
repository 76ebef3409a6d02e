"""The lease keeper: acquire, renew, steal after expiry, step down on any doubt."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import StorageBusyError
from claude_tasks.domain.node import Role
from claude_tasks.scheduling.beats import BeatKeeper, BeatWatch
from claude_tasks.scheduling.leadership import KeeperThread, Leadership, LeaseKeeper
from claude_tasks.scheduling.lifetime import LifetimeLock, NodeRegistry, Sign, probe
from claude_tasks.system.process_state import is_stopped
from claude_tasks.wiring.node import lease_times
from support.builders import node
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from claude_tasks.domain.ports import Store
    from claude_tasks.settings import Settings
    from support.clock import FakeClock

TTL, MARGIN = 15.0, 2.0


class Candidate:
    """One node's keeper with everything around it."""

    def __init__(
        self,
        name: str,
        store: Store,
        clock: FakeClock,
        settings: Settings,
        *,
        yields: bool = False,
        **fields: Any,
    ) -> None:
        self.name = name
        self.store = store
        self.clock = clock
        self.progressed_at = clock.monotonic()
        self.stuck = False
        self.notified = 0
        self.leadership = Leadership(clock)
        self.lock = LifetimeLock(settings.folder.nodes, name)
        self.lock.acquire()
        store.register_node(node(name, **fields))
        self.watch = BeatWatch()
        self.beats = BeatKeeper(
            store=store,
            node=node(name, **fields),
            clock=clock,
            progress=self.progress,
            watch=self.watch,
            keep_alive=self.lock.keep,
        )
        self.keeper = LeaseKeeper(
            store=store,
            registry=NodeRegistry(store, settings.folder.nodes),
            node=node(name, **fields),
            leadership=self.leadership,
            clock=clock,
            times=lease_times(settings),
            beats=self.beats,
            watch=self.watch,
            notify=self.count_notice,
            yields=yields,
        )

    def progress(self) -> float:
        if not self.stuck:
            self.progressed_at = self.clock.monotonic()
        return self.progressed_at

    def die(self) -> None:
        """What the kernel does on kill -9: the node stays in the registry, its lock is free."""
        self.lock.release(tidy=False)

    def count_notice(self) -> None:
        self.notified += 1

    @property
    def epoch(self) -> int | None:
        term = self.leadership.term()
        return None if term is None else term.epoch


@pytest.fixture
def candidate(
    open_another: Callable[[], Store], clock: FakeClock, settings: Settings
) -> Callable[[str], Candidate]:
    return lambda name: Candidate(name, open_another(), clock, settings)


@pytest.fixture
def make(
    open_another: Callable[[], Store], clock: FakeClock, settings: Settings
) -> Callable[..., Candidate]:
    """A candidate of any role, by `node`'s fields; with ``yields`` it is an ``auto`` one."""
    return lambda name, **fields: Candidate(name, open_another(), clock, settings, **fields)


def test_the_first_candidate_leads_and_the_second_follows(
    candidate: Callable[[str], Candidate],
) -> None:
    a, b = candidate("a"), candidate("b")
    assert a.keeper.step() == pytest.approx(5.0)
    assert b.keeper.step() == pytest.approx(0.05)
    assert (a.epoch, b.epoch) == (1, None)
    assert (a.notified, b.notified) == (1, 0)


def test_a_leader_that_renews_is_never_robbed(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    for _ in range(20):
        clock.advance(5)
        a.keeper.step()
        b.keeper.step()
    assert (a.epoch, b.epoch) == (1, None)


def test_a_leader_that_slept_takes_its_own_lease_again_at_once(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    """Nobody else stood by: it need not watch its own lease stand still for a ttl."""
    a = candidate("a")
    a.keeper.step()
    clock.advance(60)
    a.keeper.step()
    assert a.epoch is None
    a.keeper.step()
    assert a.epoch == 2


def test_a_lease_that_stands_still_for_its_ttl_is_taken(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()  # sees the lease for the first time
    clock.advance(TTL - 0.01)
    b.keeper.step()
    assert b.epoch is None
    clock.advance(0.01)
    b.keeper.step()
    assert [a.epoch, b.epoch] == [None, 2]


def test_the_ttl_counts_from_when_the_follower_first_saw_the_lease(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a = candidate("a")
    a.keeper.step()
    clock.advance(100)  # the row says it expired long ago; no wall clock decides
    b = candidate("b")
    b.keeper.step()
    assert b.epoch is None
    clock.advance(TTL)
    b.keeper.step()
    assert b.epoch == 2


def test_trust_ends_before_the_lease_can_be_taken(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()
    clock.advance(TTL - MARGIN)
    assert a.epoch is None, "a node that could not renew must stop by itself"
    assert b.keeper.step()
    assert b.epoch is None


def test_trust_counts_from_before_the_renewal_was_asked_for(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a = candidate("a")
    a.keeper.step()
    clock.advance(5)
    renew = a.store.renew_lease

    def slow_renewal(*args: object, **kwargs: object) -> bool:
        clock.advance(4)  # the request takes its time
        return renew(*args, **kwargs)  # type: ignore[arg-type]

    a.store.renew_lease = slow_renewal  # type: ignore[method-assign]
    a.keeper.step()
    granted = a.leadership.granted()
    assert granted is not None
    assert granted[1] == pytest.approx(1005 + TTL - MARGIN)


def test_a_released_lease_is_taken_at_the_next_look(
    candidate: Callable[[str], Candidate],
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()
    a.keeper.resign()
    b.keeper.step()
    assert [a.epoch, b.epoch] == [None, 2]


def test_the_lease_of_a_dead_node_is_taken_at_the_next_look(
    candidate: Callable[[str], Candidate],
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()
    a.lock.release(tidy=False)  # what the kernel does on kill -9
    b.keeper.step()
    assert b.epoch == 2


def test_a_missing_lock_file_is_no_proof_of_death(
    candidate: Callable[[str], Candidate], settings: Settings
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    os.unlink(os.path.join(settings.folder.nodes, "a.lock"))
    b.keeper.step()
    assert b.epoch is None
    a.store.remove_node("a")  # but a holder that is not even registered left in good order
    b.keeper.step()
    assert b.epoch == 2


@pytest.mark.parametrize("removed", ["the file", "the folder"])
def test_a_lock_file_that_was_removed_is_made_again_with_the_beat(
    candidate: Callable[[str], Candidate], settings: Settings, clock: FakeClock, removed: str
) -> None:
    a = candidate("a")
    a.beats.step()
    os.unlink(os.path.join(settings.folder.nodes, "a.lock"))
    if removed == "the folder":
        os.rmdir(settings.folder.nodes)
    assert probe(settings.folder.nodes, "a") is Sign.NONE
    clock.advance(60)
    a.beats.step()
    assert probe(settings.folder.nodes, "a") is Sign.ALIVE
    a.lock.release(tidy=False)
    assert probe(settings.folder.nodes, "a") is Sign.DEAD


def test_a_row_of_a_node_that_goes_by_another_id_is_dead(store: Store, settings: Settings) -> None:
    registry, now = NodeRegistry(store, settings.folder.nodes), time.monotonic()
    for node_id, moved in (("its-own", now), ("another", now - 3600)):
        store.register_node(node(node_id, beat_monotonic=moved))
    store.register_node(node("hangs", pid=1, beat_monotonic=now - 3600))
    assert [registry.is_dead(it) for it in ("its-own", "another", "hangs")] == [False, True, False]
    registry.forget_the_dead()
    assert {each.id for each in store.list_nodes()} == {"its-own", "hangs"}


def test_a_node_that_makes_its_lock_again_is_never_seen_dead(tmp_path: Path) -> None:
    lock = LifetimeLock(str(tmp_path), "a")
    lock.acquire()
    seen: set[Sign] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(probe(str(tmp_path), "a"))

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    for _ in range(500):
        os.unlink(tmp_path / "a.lock")
        lock.keep()
        assert probe(str(tmp_path), "a") is Sign.ALIVE
    stop.set()
    for thread in looking:
        thread.join()
    assert Sign.DEAD not in seen
    lock.release(tidy=True)
    lock.keep()
    assert probe(str(tmp_path), "a") is Sign.NONE


def test_a_lock_that_cannot_be_made_again_stops_no_beat(
    candidate: Callable[[str], Candidate], settings: Settings, clock: FakeClock
) -> None:
    a = candidate("a")
    a.beats.step()
    os.unlink(os.path.join(settings.folder.nodes, "a.lock"))
    os.rmdir(settings.folder.nodes)
    os.symlink("/nowhere", settings.folder.nodes)
    before = {it.id: it.beat for it in a.store.list_nodes()}["a"]
    clock.advance(60)
    a.progressed_at = clock.monotonic()
    a.beats.step()
    assert {it.id: it.beat for it in a.store.list_nodes()}["a"] > before
    os.unlink(settings.folder.nodes)


def test_failing_renewals_end_the_leadership(
    candidate: Callable[[str], Candidate], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    a = candidate("a")
    a.keeper.step()

    def fail(*_: object, **__: object) -> bool:
        raise StorageBusyError("locked")

    a.store.renew_lease = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        for _ in range(13):
            clock.advance(1)
            assert a.keeper.step() <= 1.0, "a failed renewal is tried again soon"
    assert a.epoch is None
    assert "could not be renewed in time" in caplog.text


def test_a_leader_whose_loop_is_stuck_stops_renewing(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()
    a.stuck = True
    for _ in range(40):
        clock.advance(1)
        a.keeper.step()
        b.keeper.step()
    assert [a.epoch, b.epoch] == [None, 2]


def test_a_node_that_cannot_schedule_does_not_stand_for_the_lease(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a = candidate("a")
    a.stuck = True
    clock.advance(TTL)
    a.keeper.step()
    assert a.epoch is None
    a.stuck = False
    a.keeper.step()
    assert a.epoch == 1


def test_a_robbed_leader_notices_at_its_next_renewal(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.store.take_lease(b.store.read_lease(), node("b"), ttl_ms=15_000, at=clock.now())
    clock.advance(5)
    a.keeper.step()
    assert a.epoch is None
    a.keeper.step()
    assert a.epoch is None, "a follower waits like every other"


def test_a_wall_clock_that_jumps_changes_nothing(
    candidate: Callable[[str], Candidate], clock: FakeClock
) -> None:
    a, b = candidate("a"), candidate("b")
    a.keeper.step()
    b.keeper.step()
    for jump in (86_400_000, -2 * 86_400_000):
        clock.set_wall(clock.now() + jump)
        clock.advance(5)
        a.keeper.step()
        b.keeper.step()
    assert (a.epoch, b.epoch) == (1, None)


def test_an_unreadable_lease_is_looked_at_again(
    candidate: Callable[[str], Candidate], caplog: pytest.LogCaptureFixture
) -> None:
    a = candidate("a")
    read = a.store.read_lease

    def fail() -> object:
        raise StorageBusyError("locked")

    a.store.read_lease = fail  # type: ignore[method-assign,assignment]
    with caplog.at_level(logging.WARNING):
        assert a.keeper.step() > 0
    assert "cannot look at the lease" in caplog.text
    a.store.read_lease = read  # type: ignore[method-assign]
    a.keeper.step()
    assert a.epoch == 1


def test_the_thread_resigns_when_it_is_stopped(candidate: Callable[[str], Candidate]) -> None:
    a = candidate("a")
    closed: list[bool] = []
    thread = KeeperThread(a.beats, a.keeper, close=lambda: closed.append(True))
    thread.start()
    wait_until(lambda: a.epoch == 1)
    thread.stop()
    thread.stop()
    assert a.store.read_lease().holder is None
    assert closed == [True]


def test_a_thread_that_is_stopped_takes_no_step_more_before_it_resigns(
    candidate: Callable[[str], Candidate],
) -> None:
    a = candidate("a")
    thread = KeeperThread(a.beats, a.keeper, close=lambda: None)
    thread.start()
    wait_until(lambda: a.epoch == 1)
    steps: list[bool] = []

    def renew(*_: object, **__: object) -> bool:
        steps.append(True)
        return True

    a.store.renew_lease = renew  # type: ignore[method-assign]
    thread.stop()
    assert not steps
    assert a.store.read_lease().holder is None


def _tui(make: Callable[..., Candidate], name: str = "tui") -> Candidate:
    return make(name, role=Role.TUI, yields=True)


@pytest.mark.parametrize("role", [Role.DAEMON, Role.SERVE])
def test_one_that_yields_leaves_a_free_lease_to_a_living_daemon(
    make: Callable[..., Candidate], role: Role
) -> None:
    tui, daemon = _tui(make), make("daemon", role=role)
    for _ in range(3):
        tui.keeper.step()
    assert tui.epoch is None
    daemon.keeper.step()
    tui.keeper.step()
    assert (tui.epoch, daemon.epoch) == (None, 1)


def test_one_that_yields_leaves_a_released_lease_to_a_living_daemon(
    make: Callable[..., Candidate],
) -> None:
    first, second, tui = make("first"), make("second"), _tui(make)
    first.keeper.step()
    first.keeper.resign()
    first.lock.release(tidy=True)
    first.store.remove_node("first")
    tui.keeper.step()
    second.keeper.step()
    assert (tui.epoch, second.epoch) == (None, 2)


def test_one_that_yields_leaves_the_lease_of_a_dead_holder_to_a_living_daemon(
    make: Callable[..., Candidate],
) -> None:
    first, second, tui = make("first"), make("second"), _tui(make)
    first.keeper.step()
    first.die()
    tui.keeper.step()
    assert tui.epoch is None
    second.keeper.step()
    assert second.epoch == 2


def test_one_that_yields_takes_a_free_lease_at_once_where_it_is_alone(
    make: Callable[..., Candidate],
) -> None:
    tui = _tui(make)
    tui.keeper.step()
    assert tui.epoch == 1


def test_one_that_yields_takes_the_lease_of_the_last_daemon_at_once_when_it_dies(
    make: Callable[..., Candidate],
) -> None:
    daemon, tui = make("daemon"), _tui(make)
    daemon.keeper.step()
    tui.keeper.step()
    assert tui.epoch is None
    daemon.die()
    assert [entry.id for entry in tui.store.list_nodes()] == ["daemon", "tui"]
    tui.keeper.step()
    assert tui.epoch == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"role": Role.DAEMON, "scheduler": False},
        {"role": Role.SERVE, "scheduler": False},
        {"role": Role.TUI},
        {"role": Role.TUI, "yields": True},
        {"role": Role.CLI},
    ],
    ids=["daemon off", "serve off", "tui on", "tui auto", "command line"],
)
def test_one_that_yields_waits_for_nobody_but_daemons_and_servers_that_schedule(
    make: Callable[..., Candidate], fields: dict[str, Any]
) -> None:
    make("other", **fields)
    tui = _tui(make)
    tui.keeper.step()
    assert tui.epoch == 1


def test_one_that_yields_takes_a_free_lease_after_a_ttl_when_the_living_daemon_is_stuck(
    make: Callable[..., Candidate], clock: FakeClock
) -> None:
    make("stuck")
    tui = _tui(make)
    tui.keeper.step()
    clock.advance(TTL - 0.01)
    tui.keeper.step()
    assert tui.epoch is None
    clock.advance(0.01)
    tui.keeper.step()
    assert tui.epoch == 1


def test_a_node_of_a_short_ttl_that_hangs_is_seen_by_one_of_a_long_ttl(
    make: Callable[..., Candidate], clock: FakeClock
) -> None:
    observer = make("observer", ttl_ms=15_000)
    make("short", ttl_ms=600)
    for _ in range(20):
        clock.advance(observer.beats.step())
    assert observer.watch.is_hung("short")


def test_the_beat_of_a_database_that_nobody_can_use_does_not_end_its_keeper(
    make: Callable[..., Candidate], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = make("observer")

    def busy(*_: Any, **__: Any) -> None:
        raise StorageBusyError("locked")

    with subprocess.Popen(["/bin/sleep", "60"]) as holder:
        holder.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(holder.pid))
        monkeypatch.setattr(observer.store, "list_nodes", busy)
        monkeypatch.setattr(observer.store, "move_beat", busy)
        monkeypatch.setattr(observer.store, "writer", lambda: holder.pid)
        try:
            for _ in range(30):
                clock.advance(observer.beats.step())
            assert is_stopped(holder.pid), "a process of somebody else is left alone"
        finally:
            holder.kill()


def test_a_lease_whose_row_makes_no_sense_is_set_right_and_taken(
    candidate: Callable[[str], Candidate], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a = candidate("a")
    for epoch, statement in (
        (1, "UPDATE scheduler_leases SET pid = 'x'"),
        (3, "DELETE FROM scheduler_leases"),
    ):
        with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as file, file:
            file.execute(statement)
        a.keeper.step()
        assert a.epoch == epoch
        a.leadership.revoke()
    assert caplog.text.count("its row cannot be read") == 2
    assert "it was set right" in caplog.text


def test_one_that_yields_takes_a_held_lease_that_stands_still_for_a_ttl(
    make: Callable[..., Candidate], clock: FakeClock
) -> None:
    daemon, tui = make("daemon"), _tui(make)
    daemon.keeper.step()
    tui.keeper.step()
    clock.advance(TTL - 0.01)
    tui.keeper.step()
    assert tui.epoch is None
    clock.advance(0.01)
    tui.keeper.step()
    assert [daemon.epoch, tui.epoch] == [None, 2]


def test_one_that_yields_keeps_the_lease_it_has(
    make: Callable[..., Candidate], clock: FakeClock
) -> None:
    tui = _tui(make)
    tui.keeper.step()
    daemon = make("daemon")
    for _ in range(10):
        clock.advance(5)
        daemon.keeper.step()
        tui.keeper.step()
    assert (tui.epoch, daemon.epoch) == (1, None)
    tui.keeper.resign()
    tui.keeper.step()  # it yields again
    daemon.keeper.step()
    assert (tui.epoch, daemon.epoch) == (None, 2)
