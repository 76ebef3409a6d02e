"""Leadership trouble is said once, now and then again, and when it is over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from claude_tasks.scheduling.complaint import REPEAT_SECONDS, Complaint

if TYPE_CHECKING:
    import pytest


def test_the_same_trouble_is_not_said_at_every_look(caplog: pytest.LogCaptureFixture) -> None:
    complaint = Complaint(logging.getLogger("test"))
    with caplog.at_level(logging.INFO):
        for second in range(30):
            complaint.state("the disk is full", monotonic=float(second))
        assert caplog.messages == ["the disk is full"]
        complaint.state("the disk is full", monotonic=REPEAT_SECONDS)
        complaint.state("it is locked", monotonic=REPEAT_SECONDS + 1)
        assert caplog.messages[1:] == ["the disk is full", "it is locked"]
        complaint.settle()
        complaint.settle()
        assert caplog.messages[3:] == ["over: it is locked"]
        complaint.state("it is locked", monotonic=REPEAT_SECONDS + 2)
        assert len(caplog.messages) == 5
