"""The store's contract: the lease, the registry of nodes and the change feed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import IllegibleError, StorageError
from claude_tasks.domain.lease import Term
from support.builders import ME, add_task, lead, node
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Store

TTL = 15_000


def test_the_lease_is_there_and_free_from_the_start(store: Store) -> None:
    lease = store.read_lease()
    assert (lease.name, lease.holder, lease.epoch) == ("scheduler", None, 0)


def test_acquire_records_owner_epoch_and_times(store: Store) -> None:
    term = store.take_lease(store.read_lease(), node("a", pid=7), ttl_ms=TTL, at=START)
    assert term == Term("a", 1)
    lease = store.read_lease()
    assert (lease.holder, lease.epoch, lease.renew_seq, lease.pid) == ("a", 1, 0, 7)
    assert (lease.acquired_at, lease.renewed_at, lease.expires_at) == (START, START, START + TTL)


def test_acquire_of_a_lease_that_moved_meanwhile_fails(open_another: Callable[[], Store]) -> None:
    one, other = open_another(), open_another()
    seen = other.read_lease()
    lead(one, at=START, node_id="a")
    assert other.take_lease(seen, node("b"), ttl_ms=TTL, at=START) is None
    assert other.read_lease().holder == "a"


def test_renew_prolongs_ones_own_term_only(store: Store) -> None:
    term = lead(store, at=START, node_id="a")
    assert store.renew_lease(term, ttl_ms=TTL, at=START + 5000, monotonic=6.5)
    lease = store.read_lease()
    assert (lease.renew_seq, lease.renewed_at, lease.expires_at) == (
        1,
        START + 5000,
        START + 20_000,
    )
    assert not store.renew_lease(Term("b", term.epoch), ttl_ms=TTL, at=START, monotonic=6.5)
    assert not store.renew_lease(Term("a", term.epoch - 1), ttl_ms=TTL, at=START, monotonic=6.5)


def test_steal_starts_a_new_epoch_and_ends_the_old_term(store: Store) -> None:
    old = lead(store, at=START, node_id="a")
    new = lead(store, at=START + TTL, node_id="b")
    assert new.epoch == old.epoch + 1
    assert not store.renew_lease(old, ttl_ms=TTL, at=START, monotonic=6.5)
    assert not store.release_lease(old, at=START)
    assert store.read_lease().holder == "b"


def test_a_renewal_between_look_and_steal_saves_the_holder(store: Store) -> None:
    term = lead(store, at=START, node_id="a")
    seen = store.read_lease()
    store.renew_lease(term, ttl_ms=TTL, at=START, monotonic=6.5)
    assert store.take_lease(seen, node("b"), ttl_ms=TTL, at=START) is None


def test_release_frees_the_lease_and_keeps_the_epoch(store: Store) -> None:
    term = lead(store, at=START, node_id="a")
    assert store.release_lease(term, at=START)
    lease = store.read_lease()
    assert (lease.holder, lease.epoch, lease.pid) == (None, term.epoch, None)
    assert lead(store, at=START, node_id="b").epoch == term.epoch + 1


def test_the_epoch_never_goes_back(store: Store) -> None:
    lead(store, at=START)
    connection = store._connection  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="never goes back"):
        connection.execute("UPDATE scheduler_leases SET epoch = 0")


def test_of_many_at_once_one_takes_the_lease(open_another: Callable[[], Store]) -> None:
    stores = [open_another() for _ in range(8)]
    seen = stores[0].read_lease()
    start = threading.Barrier(len(stores))
    terms: list[Term | None] = []

    def contend(store: Store, name: str) -> None:
        start.wait()
        terms.append(store.take_lease(seen, node(name), ttl_ms=TTL, at=START))

    threads = [
        threading.Thread(target=contend, args=(store, f"n{place}"))
        for place, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([term for term in terms if term is not None]) == 1


def test_nodes_come_and_go(store: Store) -> None:
    store.register_node(node("b", started_at=2))
    store.register_node(node("a", started_at=1, scheduler=False))
    assert [entry.id for entry in store.list_nodes()] == ["a", "b"]
    assert store.list_nodes()[0] == node("a", started_at=1, scheduler=False)
    store.remove_node("a")
    assert [entry.id for entry in store.list_nodes()] == ["b"]


def test_a_beat_says_when_it_was_moved_by_the_clock_that_nobody_sets(store: Store) -> None:
    """By which alone others tell whether the node hangs."""
    store.register_node(node("a", ttl_ms=TTL, beat_at=START, beat_monotonic=5.0))
    [seen] = store.list_nodes()
    ttl = TTL / 1000
    assert seen.silent_ms(monotonic=5.0 + ttl) is None
    assert seen.silent_ms(monotonic=6.0 + ttl) == TTL + 1000
    assert seen.silent_ms(monotonic=0.5) is None  # another boot's, which says nothing
    assert store.move_beat("a", at=START - 1, monotonic=6.5)
    term = lead(store, at=START, node_id="a")
    assert store.list_nodes()[0][-3:] == (1, START - 1, 6.5)
    assert store.renew_lease(term, ttl_ms=TTL, at=START + 9, monotonic=7.5)
    assert store.list_nodes()[0][-3:] == (2, START + 9, 7.5)
    assert node("b").silent_ms(monotonic=9.0) is None
    assert not store.move_beat("b", at=START, monotonic=8.5)


def test_others_see_that_something_changed(open_another: Callable[[], Store]) -> None:
    writer, reader = open_another(), open_another()
    reader.changed()
    assert not reader.changed()
    add_task(writer, at=START)
    assert reader.changed()
    assert not reader.changed()


def test_the_feed_tells_what_changed_in_order(open_another: Callable[[], Store]) -> None:
    writer, reader = open_another(), open_another()
    before = reader.last_change()
    task = add_task(writer, at=START)
    lead(writer, at=START + 1)
    changes = reader.changes_since(before)
    assert [(change.topic, change.ref) for change in changes] == [
        ("task", str(task.id)),
        ("lease", "1"),
    ]
    assert reader.last_change() == changes[-1].seq
    assert reader.changes_since(changes[-1].seq) == []


def test_the_feed_keeps_only_its_last_entries(store: Store) -> None:
    for _ in range(12):
        store.add_tasks([], actor=ME, at=START)
        connection = store._connection  # type: ignore[attr-defined]
        with connection.write():
            for _ in range(1000):
                store._note("task", 1, START)  # type: ignore[attr-defined]
    assert 10_000 <= len(store.changes_since(0, limit=20_000)) <= 11_000


COSMETIC = ["host = X'00'", "pid = 'me'", "role = X'07'", "renewed_at = 'now'", "ttl_ms = -1"]
GARBLED = [
    "holder = X'00ff'",
    "epoch = 'many'",
    "epoch = 9223372036854775807",
    "epoch = -1",
    "renew_seq = X'01'",
    "renew_seq = 9223372036854775807",
]


@pytest.fixture
def rewrite(open_another: Callable[[], Store]) -> Callable[[str], None]:
    """Writes into the lease's row as somebody would who knows nothing of it."""
    connection = open_another()._connection  # type: ignore[attr-defined]

    def write(assignment: str) -> None:
        connection.execute("DROP TRIGGER IF EXISTS scheduler_leases_epoch_never_goes_back")
        connection.execute(f"UPDATE scheduler_leases SET {assignment}")

    return write


@pytest.mark.parametrize("assignment", [*GARBLED, *COSMETIC])
def test_a_lease_whose_row_makes_no_sense_is_set_right_and_taken(
    store: Store, rewrite: Callable[[str], None], assignment: str
) -> None:
    old = lead(store, at=START, node_id="a")
    rewrite(assignment)
    with pytest.raises(IllegibleError):
        store.read_lease()
    mended = store.mend_lease(at=START)
    assert store.read_lease() == mended
    goes_on = assignment in COSMETIC
    assert (mended.holder, mended.epoch > old.epoch) == (("a", False) if goes_on else (None, True))
    assert store.renew_lease(old, ttl_ms=TTL, at=START, monotonic=6.5) is goes_on
    assert lead(store, at=START, node_id="b").epoch > old.epoch


@pytest.mark.parametrize("epoch", [2**62 - 3, 2**62 - 2, 2**62 - 1, 2**62, 2**61])
def test_an_epoch_far_ahead_ends_no_term_for_ever(
    store: Store, rewrite: Callable[[str], None], epoch: int
) -> None:
    lead(store, at=START, node_id="a")
    rewrite(f"epoch = {epoch}")
    for _ in range(5):
        store.mend_lease(at=START)
        term = lead(store, at=START, node_id="a")
        renewed = store.renew_lease(term, ttl_ms=TTL, at=START, monotonic=6.5)
    assert renewed
    assert store.read_lease().epoch == term.epoch
    assert lead(store, at=START, node_id="b").epoch == term.epoch + 1


@pytest.mark.parametrize("assignment", ["host = X'00'", "pid = 'me'", "ttl_ms = X'00'"])
def test_a_renewal_sets_right_what_is_there_for_people(
    store: Store, rewrite: Callable[[str], None], assignment: str
) -> None:
    term = lead(store, at=START, node_id="a")
    rewrite(assignment)
    assert store.renew_lease(term, ttl_ms=TTL, at=START, monotonic=6.5)
    assert store.read_lease().holder == "a"


def test_a_renewal_that_cannot_be_counted_ends_the_term(
    store: Store, rewrite: Callable[[str], None]
) -> None:
    term = lead(store, at=START, node_id="a")
    rewrite("renew_seq = 9223372036854775807")
    assert not store.renew_lease(term, ttl_ms=TTL, at=START, monotonic=6.5)
    assert store.read_lease().holder is None


def test_a_missing_lease_is_written_again_above_every_known_epoch(
    store: Store, open_another: Callable[[], Store]
) -> None:
    for _ in range(3):
        term = lead(store, at=START, node_id="a")
    open_another()._connection.execute("DELETE FROM scheduler_leases")  # type: ignore[attr-defined]
    assert store.mend_lease(at=START).epoch > term.epoch
    assert not store.renew_lease(term, ttl_ms=TTL, at=START, monotonic=6.5)


def test_a_lease_that_makes_sense_is_left_as_it_is(store: Store) -> None:
    lead(store, at=START, node_id="a")
    assert store.mend_lease(at=START + 1) == store.read_lease()
    assert store.read_lease().renew_seq == 0
