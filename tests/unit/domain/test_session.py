"""Which of a task's own words for the agent name the session it works in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.domain.agent_flags import flags_of, split_tools
from claude_tasks.domain.session import names_a_session, without_session


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("-c",), ()),
        (("-pc", "x"), ("-p", "x")),
        (("-r", "abc", "--x"), ("--x",)),
        (("-rabc", "--x"), ("--x",)),
        (("--resume", "--model", "m"), ("--model", "m")),
        (("--resume=abc", "word"), ("word",)),
        (("--model", "m", "--session-id", "-odd", "--x"), ("--model", "m", "--x")),
        (("--add-dir", "a", "b", "--continue"), ("--add-dir", "a", "b")),
    ],
)
def test_a_session_that_is_named_can_be_left_out(
    words: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    assert names_a_session(words)
    assert without_session(words) == kept


@pytest.mark.parametrize(
    "words",
    [
        ("--append-system-prompt", "-rush"),
        ("--append-system-prompt", "--continue"),
        ("--model", "-c"),
        ("-n", "-r"),
        ("--allowedTools", "-c", "x"),
        ("--settings=-c",),
        ("-d", "x"),
        ("-dcr",),
        ("--fork-session",),
        ("--resume-session-at", "m"),
        ("--", "-c"),
    ],
)
def test_the_value_of_a_flag_names_no_session(words: tuple[str, ...]) -> None:
    assert not names_a_session(words)
    assert without_session(words) == words


@given(st.lists(st.sampled_from(["-c", "-pc", "--resume", "--model", "--", "-n", "--tools", "x"])))
def test_every_word_belongs_to_one_flag_and_none_is_left_bare(words: list[str]) -> None:
    read = [word for each in flags_of(words) for word in each.words]
    assert "".join(read).replace("-", "") == "".join(words).replace("-", "")
    kept = without_session(words)
    assert not names_a_session(kept)
    assert without_session(kept) == kept


def test_rules_are_split_outside_of_brackets() -> None:
    assert split_tools("Bash(a, b c),Read  Edit(x),,") == ["Bash(a, b c)", "Read", "Edit(x)"]
