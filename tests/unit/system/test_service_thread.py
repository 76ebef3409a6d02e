"""The life cycle that every service with a thread shares."""

from __future__ import annotations

import logging
import threading

import pytest

from claude_tasks.domain.errors import StorageError
from claude_tasks.system.service_thread import ServiceThread
from support.waiting import wait_until


class Service(ServiceThread):
    """Notes what becomes of it."""

    def __init__(self, *, fails: BaseException | None = None, ends: bool = True) -> None:
        super().__init__("service")
        self.fails = fails
        self.ends = ends
        self.noted: list[str] = []
        self.released = threading.Event()

    def prepare(self) -> None:
        self.noted.append("prepare")

    def confirm(self) -> None:
        self.noted.append("confirm")

    def run(self) -> None:
        if self.fails is not None:
            raise self.fails
        (self.stopping if self.ends else self.released).wait()
        self.noted.append("ran")

    def interrupt(self) -> None:
        self.noted.append("interrupt")

    def finish(self) -> None:
        self.noted.append("finish")


def test_stop_returns_when_all_is_over() -> None:
    service = Service()
    service.start()
    service.stop()
    assert service.noted == ["prepare", "confirm", "interrupt", "ran", "finish"]
    assert service.failure is None


def test_both_may_be_repeated() -> None:
    service = Service()
    service.start()
    service.start()
    service.stop()
    service.stop()
    assert service.noted.count("prepare") == service.noted.count("ran") == 1
    assert service.noted.count("finish") == 1


def test_one_that_was_never_started_can_be_stopped() -> None:
    service = Service()
    service.stop()
    assert service.noted == ["interrupt"]


def test_what_cannot_be_prepared_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Service) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Service, "prepare", fails)
    service = Service()
    with pytest.raises(OSError, match="Too many open files"):
        service.start()
    service.stop()
    assert "ran" not in service.noted


@pytest.mark.parametrize("error", [RuntimeError("a bug"), StorageError("the disk is gone")])
def test_a_failure_is_logged_and_kept(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(fails=error)
    with caplog.at_level(logging.CRITICAL):
        service.start()
        wait_until(lambda: "finish" in service.noted)
    assert service.failure is error
    [record] = caplog.records
    assert record.getMessage() == f"the service failed: {error}"
    assert (record.exc_info is None) == isinstance(error, StorageError), (
        "what was foreseen needs none"
    )
    service.stop()


def test_one_that_does_not_end_is_waited_for_no_longer_than_it_may_take() -> None:
    service = Service(ends=False)
    service.patience = 0.05
    service.start()
    service.stop()
    assert "ran" not in service.noted
    service.released.set()
    wait_until(lambda: "finish" in service.noted)
