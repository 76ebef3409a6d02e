"""Commands of this program, and prose with them in it."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
import shlex
from pathlib import Path

import pytest

import claude_tasks
from claude_tasks.api.errors import as_json
from claude_tasks.cli.catalog import COMMANDS
from claude_tasks.domain.hint import Command, Hint, Placeholder, called, joined, quoted

_SRC = Path(claude_tasks.__file__).parent
_USAGE_NAMES = ("EXAMPLES", "EXAMPLES_OF", "DESCRIPTION", "DESCRIPTIONS")
_USAGE_FILES = ("cli/overview.py", "cli/completion_scripts.py")
"""What shows how the program is used, to be read or copied as it stands."""
_COMMAND = re.compile(rf"claude-tasks (-|({'|'.join(COMMANDS)})\b)")


def test_command_quotes_its_words_for_a_shell() -> None:
    command = Command("edit", 3, "--dir", "a b", "--", "$HOME", "it's", "", "é")
    assert shlex.split(command) == ["claude-tasks", *command.words]
    assert Command("edit", 3, "--dir", "FOLDER") == "claude-tasks edit 3 --dir FOLDER"


def test_placeholders_stand_as_they_are_and_words_of_others_are_quoted() -> None:
    command = Command("edit", 3, "--at", Placeholder("<TIME>"))
    assert command == "claude-tasks edit 3 --at <TIME>"
    assert Command("add", "NAME", Placeholder('"PROMPT"')) == 'claude-tasks add NAME "PROMPT"'
    assert Command("edit", 3, "--deny-tool", "<X>") == "claude-tasks edit 3 --deny-tool '<X>'"


def test_copies_are_the_same() -> None:
    hint = Hint("see ", Command("edit", 3, "--at", Placeholder("<TIME>")))
    for made in (copy.deepcopy(hint), pickle.loads(pickle.dumps(hint))):
        assert made == hint
        assert called(made, "./ct") == "see ./ct edit 3 --at <TIME>"


@pytest.mark.parametrize("word", ["", "a", "/x/y.z-_+:@%,=", "a b", "it's", "é", "~", "*", "\n"])
def test_quoted_is_what_shlex_says(word: str) -> None:
    assert quoted(word) == shlex.quote(word)


def test_only_the_commands_of_a_hint_are_called_otherwise() -> None:
    inner = Hint("claude-tasks: ", Command("list"))
    hint = Hint(inner, " or ", Command("why", 3), "")
    assert hint == "claude-tasks: claude-tasks list or claude-tasks why 3"
    assert called(hint, "./ct") == "claude-tasks: ./ct list or ./ct why 3"
    assert called(Command("list"), "py -m x") == "py -m x list"
    assert called("claude-tasks list", "./ct") == "claude-tasks list"


def test_joined_texts_keep_their_commands() -> None:
    hint = joined("; ", ["a", Command("list"), Hint("b ", Command("runs"))])
    assert called(hint, "x") == "a; x list; b x runs"
    assert joined("; ", []) == ""


def test_encoders_take_it_as_text() -> None:
    value = {"hint": Hint("see ", Command("list")), "fix": Command("list")}
    plain = {"hint": "see claude-tasks list", "fix": "claude-tasks list"}
    assert json.loads(json.dumps(value)) == json.loads(as_json(value)) == plain
    with pytest.raises(TypeError):
        as_json(object())


def test_no_prose_names_a_command_but_as_one() -> None:
    """A command within a plain text would be shown as it cannot be typed."""
    found = [
        f"{path.relative_to(_SRC)}: {text}"
        for path in sorted(_SRC.rglob("*.py"))
        if path.relative_to(_SRC).as_posix() not in _USAGE_FILES
        for text in _texts(ast.parse(path.read_text("utf-8")))
        if _COMMAND.search(text)
    ]
    assert found == []


def _texts(tree: ast.AST) -> list[str]:
    """All literals but docstrings and usage."""
    if isinstance(tree, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id in _USAGE_NAMES for target in tree.targets
    ):
        return []
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return []
    if isinstance(tree, ast.Constant):
        return [tree.value] if isinstance(tree.value, str) else []
    return [text for child in ast.iter_child_nodes(tree) for text in _texts(child)]
