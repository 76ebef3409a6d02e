"""The files of a run's folder: whatever stands in their place, it ends the run and no node."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.execution.contract import (
    EndedBy,
    ExitFacts,
    RunSpec,
    Said,
    StartedFacts,
    TaskSnapshot,
    UnreadableError,
    decode,
    encode,
)
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.run_folder import (
    Condition,
    FolderInUseError,
    RunFolder,
)
from claude_tasks.system.file_lock import try_lock

SNAPSHOT = TaskSnapshot(
    1, "n", "p", ".", "@daily", "UTC", None, None, 60, 0, None, is_one_off=False
)
RECORDS = [
    RunSpec(["claude", "-p"], "/", "/runs/1.1", "/logs/1.events.jsonl", 60, 0.5, SNAPSHOT),
    StartedFacts(4242, 1_790_000_000_000, 12.5, "7"),
    ExitFacts(EndedBy.EXIT, 1, 2, 0, transcript=Said("done", permission_denials=["Bash(rm)"])),
    ExitFacts(EndedBy.LOST),
]
WRONG_SHAPES = [
    b"",
    b"[1]",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b'{"ended_by": "zzz"}',
    b'{"ended_by": ["exit"]}',
    b'{"ended_by": {"exit": 1}}',
    b'{"ended_by": "exit", "exit_code": "0"}',
    b'{"ended_by": "exit", "exit_code": true}',
    b'{"ended_by": "exit", "exit_code": 1e400}',
    b'{"ended_by": "exit", "ended_at": -5}',
    b'{"ended_by": "exit", "ended_at": 9007199254740991}',
    b'{"ended_by": "exit", "transcript": [1]}',
    b'{"ended_by": "exit", "transcript": {"output": 1}}',
    b'{"ended_by": "exit", "transcript": {"output": "\\ud800"}}',
    b'{"ended_by": "exit", "transcript": {"permission_denials": "Bash"}}',
    b'{"ended_by": "exit", "transcript": {"cost_usd": NaN}}',
    b'{"version": 2, "ended_by": "exit", "exit_code": 0}',
    b'{"version": "1", "ended_by": "exit", "exit_code": 0}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b"9" * 10_000,
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_one_process_writes_another_reads(record: tuple[Any, ...]) -> None:
    assert decode(type(record), encode(record)) == record


@given(
    kind=st.sampled_from([RunSpec, StartedFacts, ExitFacts]),
    value=anything,
    under=st.none() | st.sampled_from([*RunSpec._fields, *ExitFacts._fields, "supervisor_pid"]),
)
def test_json_of_any_shape_is_a_record_or_unreadable(
    kind: Any, value: Any, under: str | None
) -> None:
    whole = encode(next(record for record in RECORDS if type(record) is kind))
    data = value if under is None else {**json.loads(whole), under: value}
    try:
        record = decode(kind, json.dumps(data).encode("utf-8", "surrogatepass"))
    except UnreadableError:
        return
    if isinstance(record, ExitFacts) and record.ended_by is not EndedBy.UNSTARTED:
        outcome = outcome_of(record, at=1, timeout_seconds=60, cancel_reason=None)
        assert outcome.state.is_terminal


@given(data=st.binary(max_size=40))
def test_bytes_of_any_kind_are_a_record_or_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode(ExitFacts, data)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.of(str(tmp_path), 7, 1)
    os.mkdir(made.path)
    return made


@pytest.mark.parametrize("content", WRONG_SHAPES, ids=lambda content: repr(content[:50]))
def test_an_end_of_the_wrong_shape_is_lost_and_kept_aside(
    folder: RunFolder, content: bytes
) -> None:
    with open(folder.exit, "wb") as file:
        file.write(content)
    assert folder.look() is Condition.ENDED
    assert folder.ended() is None, "that says nothing: the locks tell how it stands"
    kept = f"{folder.path}.exit.json.unreadable"
    with open(kept, "rb") as file:
        assert file.read() == content
    assert folder.look() is Condition.LOST
    facts = folder.ended()
    assert facts is not None
    assert facts.ended_by is EndedBy.LOST
    assert kept in (facts.error or "")
    assert folder.ended() == facts, "the next look says the same"


def test_an_end_of_the_wrong_shape_ends_no_run_whose_supervisor_lives(folder: RunFolder) -> None:
    with open(folder.exit, "wb") as file:
        file.write(b"[1]")
    lock = try_lock(folder.spec)
    assert lock is not None
    assert folder.look() is Condition.ENDED
    assert folder.ended() is None
    assert folder.look() is Condition.SUPERVISED
    os.close(lock)
    assert folder.look() is Condition.LOST


@pytest.mark.parametrize("make", ["pipe", "folder", "link to a device"])
def test_what_is_no_file_in_the_place_of_an_end_is_neither_waited_for_nor_believed(
    folder: RunFolder, make: str
) -> None:
    if make == "pipe":
        os.mkfifo(folder.exit)
    elif make == "folder":
        os.mkdir(folder.exit)
    else:
        os.symlink("/dev/zero", folder.exit)
    assert folder.look() is Condition.ENDED
    assert folder.ended() is None
    assert folder.look() is Condition.LOST
    facts = folder.ended()
    assert facts is not None
    assert facts.ended_by is EndedBy.LOST
    assert stat.S_ISREG(os.lstat(folder.exit).st_mode)


def test_a_folder_that_is_there_already_is_not_a_claim_of_ours(folder: RunFolder) -> None:
    """Another database's run of the same number may live there; what it holds is not touched."""
    os.mkfifo(folder.prompt)
    with pytest.raises(FolderInUseError):
        folder.create(RECORDS[0], "mine")  # type: ignore[arg-type]
    assert os.listdir(folder.path) == ["prompt.txt"]


def test_a_tombstone_is_all_that_may_stand_in_a_new_claim_s_folder(folder: RunFolder) -> None:
    folder.close(ExitFacts(EndedBy.UNSTARTED, claimed_by="me"))
    folder.create(RECORDS[0], "mine")  # type: ignore[arg-type]
    assert os.listdir(folder.path) == ["exit.json"]
    folder.close(ExitFacts(EndedBy.EXIT, exit_code=0))
    with pytest.raises(FolderInUseError):
        folder.create(RECORDS[0], "mine")  # type: ignore[arg-type]


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_a_cancel_goes_to_no_process_but_a_supervisor(folder: RunFolder, pid: int) -> None:
    """A signal to -1 would go to every process of this user."""
    facts = json.loads(encode(StartedFacts(4242, 5)))
    with open(folder.started, "w") as file:
        json.dump({**facts, "supervisor_pid": pid}, file)
    assert folder.supervisor_pid() is None


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        (b"", Condition.UNSTARTED),
        (b'{"version": 1, "superv', Condition.UNSTARTED),
        (b"[1]", Condition.LOST),
        (b'{"version": 2, "supervisor_pid": 4242}', Condition.LOST),
    ],
)
def test_only_a_mark_of_start_that_was_cut_short_lets_a_run_start_again(
    folder: RunFolder, content: bytes, condition: Condition
) -> None:
    with open(folder.started, "wb") as file:
        file.write(content)
    assert folder.look() is condition


@pytest.mark.parametrize("left", ["nothing", "the folder", "events"])
def test_a_removed_folder_is_not_taken_for_a_claim_that_never_began(
    folder: RunFolder, left: str
) -> None:
    if left == "nothing":
        os.rmdir(folder.path)
    elif left == "events":
        (Path(folder.path) / "what-the-agent-left").touch()
    assert folder.look(has_begun=lambda: True) is Condition.REMOVED
    assert not os.path.exists(folder.exit)
    assert not os.path.exists(folder.spec), "a late supervisor finds nothing to start"
    assert folder.is_there() is (left == "events")

    assert folder.look(has_begun=lambda: False) is Condition.UNSTARTED


def test_an_end_that_comes_while_the_living_are_looked_at_is_not_overwritten(
    folder: RunFolder,
) -> None:
    """Its supervisor holds the lock of the file that was removed, so it is not kept out."""

    def has_ended_meanwhile() -> bool:
        folder.close(ExitFacts(EndedBy.EXIT, exit_code=0))
        return False

    assert folder.look(lives_on=has_ended_meanwhile) is Condition.ENDED
    ended = folder.ended()
    assert ended is not None
    assert ended.ended_by is EndedBy.EXIT


def test_a_whole_folder_tells_by_itself_that_its_claim_never_began(folder: RunFolder) -> None:
    os.rmdir(folder.path)
    folder.create(RECORDS[0], "prompt")  # type: ignore[arg-type]
    assert folder.look(has_begun=lambda: True) is Condition.UNSTARTED
