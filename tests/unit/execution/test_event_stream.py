"""The event file: bounded, and the result event whole wherever it stands."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from claude_tasks.execution import event_stream
from claude_tasks.execution.contract import EventsOwner
from claude_tasks.execution.event_stream import EventStreamFile
from claude_tasks.execution.transcript import Transcript

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test reaches with a few hundred bytes."""
    monkeypatch.setattr(event_stream, "HEAD_BYTES", 1000)
    monkeypatch.setattr(event_stream, "TAIL_BYTES", 300)
    monkeypatch.setattr(event_stream._Spool, "_IN_MEMORY", 50)


def written(folder: Path, stream: bytes, *, chunk: int) -> bytes:
    (folder / "data").mkdir(exist_ok=True)
    path = folder / "data" / "logs" / "1" / "1.events.jsonl"
    transcript = Transcript(now=lambda: 0)
    file = EventStreamFile(
        str(path), result_span=lambda: transcript.result_span, owner=EventsOwner(1, 7, 1)
    )
    for start in range(0, len(stream), chunk):
        transcript.feed(stream[start : start + chunk])
        file.write(stream[start : start + chunk])
    transcript.close()
    file.close()
    assert file.failure is None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    return path.read_bytes()


def line(kind: str, size: int) -> bytes:
    return json.dumps({"type": kind, "x": "y" * size}).encode() + b"\n"


SMALL = line("user", 60)
RESULT = line("result", 700)


@pytest.mark.parametrize("chunk", [1, 37, 256, 5000])
@pytest.mark.parametrize(
    "stream",
    [
        SMALL * 2 + RESULT,
        SMALL * 12 + RESULT,
        SMALL * 40 + RESULT,
        SMALL * 40 + RESULT[:-1],
        SMALL * 40 + RESULT + SMALL * 2,
        SMALL * 40 + RESULT + SMALL * 40,
        SMALL * 40 + line("result", 500) + SMALL * 40 + RESULT + SMALL * 40,
        SMALL * 40 + line("user", 5000) + RESULT,
        line("user", 900)[:-1] + b"\n" + RESULT,
        line("user", 1500) + RESULT + line("user", 1500),
    ],
    ids=range(10),
)
def test_the_last_result_is_whole_wherever_it_stands(
    tmp_path: Path, stream: bytes, chunk: int
) -> None:
    content = written(tmp_path, stream, chunk=chunk)
    assert content.count(RESULT[:-1]) == 1
    assert len(content) < 1000 + 300 + len(RESULT) + 200


@pytest.mark.parametrize("chunk", [1, 37, 256, 5000])
def test_what_is_missing_is_counted(tmp_path: Path, chunk: int) -> None:
    stream = SMALL * 40 + RESULT + SMALL * 40
    content = written(tmp_path, stream, chunk=chunk)
    [gap] = [text for text in content.split(b"\n") if b"claude_tasks" in text]
    kept = len(content) - len(gap) - 2
    assert json.loads(gap)["dropped_bytes"] == len(stream) - kept


def test_what_is_small_is_kept_as_it_is(tmp_path: Path) -> None:
    assert written(tmp_path, SMALL * 3, chunk=10) == SMALL * 3


def test_no_file_of_its_own_is_left_beside(tmp_path: Path) -> None:
    written(tmp_path, SMALL * 40 + RESULT, chunk=64)
    names = {path.name for path in (tmp_path / "data" / "logs" / "1").iterdir()}
    assert names == {"1.events.jsonl", "1.events.run"}
