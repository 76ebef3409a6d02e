"""A stream that keeps nobody waiting, on real pipes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

import pytest

from claude_tasks.cli.outlet import LIMIT, Outlet
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "x" * 99 + "\n"


class Pipe:
    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream: TextIO = os.fdopen(writing, "w", encoding="utf-8")
        self.outlets: list[Outlet] = []

    def outlet(self, *, limit: int = LIMIT) -> Outlet:
        self.outlets.append(Outlet(self.stream, limit=limit))
        return self.outlets[-1]

    def read(self) -> str:
        return os.read(self.reading, 1 << 20).decode()

    def read_until(self, wanted: str) -> str:
        seen = ""
        while wanted not in seen:
            seen += self.read()
        return seen

    def close_reader(self) -> None:
        os.close(self.reading)
        self.reading = -1

    def close(self) -> None:
        if self.reading >= 0:
            self.close_reader()
        for outlet in self.outlets:
            assert outlet.drain(10), "its thread must not write to who gets the descriptor next"
        self.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_text_arrives_in_order_and_whole_lines_at_a_time(pipe: Pipe) -> None:
    outlet = pipe.outlet()
    for part in ("one\ntw", "o\n", "thr"):
        outlet.write(part)
    assert pipe.read_until("two\n") == "one\ntwo\n"
    assert outlet.drain(10), "what was begun is written at the end"
    assert pipe.read() == "thr"


def test_a_reader_who_does_not_read_keeps_nobody_waiting(pipe: Pipe) -> None:
    outlet = pipe.outlet(limit=10_000)
    fill(outlet)
    for _ in range(10_000):
        outlet.write(LINE)
    assert not outlet.drain(0.01), "a stuck reader is not waited for"


def test_what_does_not_fit_is_counted_and_said_in_its_place(pipe: Pipe) -> None:
    outlet = pipe.outlet(limit=10_000)
    fill(outlet)
    for number in range(5000):
        outlet.write(f"{number:099}\n")
    seen = pipe.read_until("dropped\n")
    assert outlet.drain(10)
    outlet.write("again\n")
    seen += pipe.read_until("again\n")
    lines = seen.splitlines()[1:]
    gaps = {place: line for place, line in enumerate(lines) if "dropped" in line}
    assert len(gaps) == 1, "one long gap, not many"
    [(place, gap)] = gaps.items()
    dropped = int(re.fullmatch(r"(\d+) lines dropped", gap)[1])  # type: ignore[index]
    kept = list(map(int, lines[:place] + lines[place + 1 : -1]))
    assert kept == list(range(100)), "the oldest were kept"
    assert dropped == 4900


def test_what_fits_again_comes_after_the_gap(pipe: Pipe) -> None:
    outlet = pipe.outlet(limit=1000)
    fill(outlet)
    outlet.write("a" * 990 + "\n")
    outlet.write("b" * 990 + "\n")
    assert pipe.read_until("dropped\n").endswith("a\n1 line dropped\n")
    outlet.write("c\n")
    assert pipe.read_until("c\n") == "c\n"


def test_a_text_longer_than_the_limit_goes_out_where_nothing_waits(pipe: Pipe) -> None:
    outlet = pipe.outlet(limit=10)
    outlet.write(LINE)
    assert pipe.read_until("\n") == LINE


def test_a_reader_who_left_harms_nobody(pipe: Pipe) -> None:
    outlet = pipe.outlet()
    pipe.close_reader()
    outlet.write("one\n")
    outlet.write("two\n")
    assert outlet.drain(10)


def test_what_the_system_refused_is_said_when_it_takes_more(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: half a line got through, then nothing, then there is room."""
    outlet = pipe.outlet()
    write, answers = os.write, [2, None, None]

    def full(descriptor: int, data: bytes) -> int:
        if not answers:
            return write(descriptor, data)
        room = answers.pop(0)
        if room is None:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:room])

    monkeypatch.setattr(os, "write", full)
    outlet.write("one\n")
    outlet.write("two\n")
    outlet.write("three\n")
    assert pipe.read_until("three\n") == "on\n2 lines dropped\nthree\n"


def test_a_descriptor_that_others_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    outlet = pipe.outlet()
    os.set_blocking(pipe.stream.fileno(), False)
    for _ in range(5000):
        outlet.write(LINE)
    seen = 0
    while seen < 5000 * len(LINE):
        seen += len(pipe.read())
    assert outlet.drain(10)


def test_it_says_as_much_as_its_encoding_can(pipe: Pipe) -> None:
    pipe.stream.reconfigure(encoding="ascii")  # type: ignore[attr-defined]
    outlet = pipe.outlet()
    outlet.write("größer\n")
    assert pipe.read_until("\n") == "gr??er\n"


def fill(outlet: Outlet) -> None:
    """Have its thread stand in a write that does not end, with nothing waiting."""
    outlet.write("." * (1 << 17) + "\n")
    wait_until(lambda: not outlet._waiting, what="the thread has taken it")
