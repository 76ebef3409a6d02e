"""What existing clients of API v1 make of our answers: zones, one-offs, permission modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.installation import Installation

DAILY = {"name": "daily", "prompt": "hello", "cron_expr": "0 9 * * *", "enabled": True}


def _served(installation: Installation, **environment: str) -> Iterator[Server]:
    started = Server(installation, **environment)
    yield started
    started.close()


@pytest.fixture
def tokyo(installation: Installation) -> Iterator[Server]:
    """A server on a machine in Tokyo; nothing there changes its clocks."""
    yield from _served(installation, TZ="Asia/Tokyo")


# The server's zone


def test_a_task_without_a_zone_fires_by_the_server_s_clocks(tokyo: Server) -> None:
    answer = tokyo.client.post("/tasks", json=DAILY)
    assert answer.status_code == 201
    task = answer.json()
    assert task["timezone"] == "Asia/Tokyo"
    assert task["next_run_at"].endswith("T00:00:00Z"), "9 in Tokyo"
    preview = tokyo.client.post("/schedules/preview", json={"cron_expr": "0 9 * * *"}).json()
    assert preview["timezone"] == "Asia/Tokyo"
    assert preview["next_runs"][0]["at"] == task["next_run_at"]
    named = tokyo.client.post("/tasks", json={**DAILY, "timezone": "UTC"}).json()
    assert named["timezone"] == "UTC"
    assert named["next_run_at"].endswith("T09:00:00Z")


def test_a_put_without_a_zone_leaves_it(tokyo: Server) -> None:
    task = tokyo.add(timezone="America/Lima")
    after = tokyo.client.put(f"/tasks/{task['id']}", json={**DAILY, "name": "new"}).json()
    assert (after["name"], after["timezone"]) == ("new", "America/Lima")


def test_a_server_whose_zone_is_none_takes_utc_and_says_so(installation: Installation) -> None:
    for server in _served(installation, TZ="Mars/Olympus"):
        assert server.add()["timezone"] == "UTC"
        assert server.log.count("TZ=Mars/Olympus is no IANA time zone") == 1
