"""The store's contract: settings that people change while the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Store


def test_a_setting_never_put_is_unknown(store: Store) -> None:
    assert store.get_setting("usage_threshold") is None


def test_a_setting_is_what_was_put_last(open_another: Callable[[], Store]) -> None:
    store, other = open_another(), open_another()
    store.put_setting("usage_threshold", "80", at=START)
    store.put_setting("usage_threshold", "92.5", at=START + 1)
    store.put_setting("other", "", at=START + 2)
    assert other.get_setting("usage_threshold") == "92.5"
    assert other.get_setting("other") == ""


def test_a_changed_setting_is_noticed_elsewhere(open_another: Callable[[], Store]) -> None:
    store, other = open_another(), open_another()
    before = other.last_change()
    other.changed()
    store.put_setting("usage_threshold", "80", at=START)
    assert other.changed()
    [change] = other.changes_since(before)
    assert (change.topic, change.ref, change.at) == ("settings", "usage_threshold", START)
