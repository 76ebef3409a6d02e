"""The rule that would have let exactly what was denied pass, and nothing else."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.domain.permission import allow_command, denied_text, kind_of, rules_for


@pytest.mark.parametrize(
    ("denial", "rules"),
    [
        ("Bash(npm test)", ["Bash(npm test)"]),
        ("Bash(npm test -- --foo='a b')", ["Bash(npm test -- --foo='a b')"]),
        ("Bash(touch a && touch b | tee c)", ["Bash(touch a)", "Bash(touch b)", "Bash(tee c)"]),
        ("Bash(touch a\ntouch b)", ["Bash(touch a)", "Bash(touch b)"]),
        ('Bash(echo "it\'s; ok" | tee x)', ['Bash(echo "it\'s; ok")', "Bash(tee x)"]),
        ("Write(/tmp/x [1].txt)", [r"Edit(//tmp/x \[1\].txt)"]),
        ("NotebookEdit(/tmp/n.ipynb)", ["Edit(//tmp/n.ipynb)"]),
        ("Read(/etc/passwd)", ["Read(//etc/passwd)"]),
        ("WebFetch(https://example.com/x?y)", ["WebFetch(domain:example.com)"]),
        ("WebSearch(something)", ["WebSearch"]),
        ("mcp__server__do-it", ["mcp__server__do-it"]),
        # What takes more than a rule, or one that would let more pass.
        ("Bash(rm *.log)", []),
        ("Bash(npm run build:*)", []),
        ("Bash(cat x > y)", []),
        ("Bash(echo $(touch a))", []),
        ("Bash(echo `touch a`)", []),
        ("Bash((touch a))", []),
        ("Bash(sleep 9 &)", []),
        ("Bash(python3 -c ')')", []),
        ("Bash(echo 'a)", []),
        ("Bash(a very long comm…)", []),
        ("Write(relative.txt)", []),
        ("Write(/tmp/what?.txt)", []),
        ("… and 3 more", []),
        ("a tool", []),
    ],
)
def test_the_rule_is_exact_or_there_is_none(denial: str, rules: list[str]) -> None:
    assert list(rules_for(denial)) == rules


def test_the_command_survives_a_shell_and_keeps_what_is_allowed() -> None:
    command, beyond = allow_command(7, ("Read",), ["Bash(npm test -- --foo='a b')", "Bash(a > b)"])
    assert command is not None
    assert shlex.split(command) == [
        "claude-tasks", "edit", "7",
        "--allow-tool", "Read",
        "--allow-tool", "Bash(npm test -- --foo='a b')",
    ]  # fmt: skip
    assert beyond == ["Bash(a > b)"]


def test_what_is_allowed_by_now_needs_no_command() -> None:
    assert allow_command(7, ("Bash(npm test)",), ["Bash(npm test)"]) == (None, [])
    assert "allows it by now" in denied_text(7, ("Bash(npm test)",), ["Bash(npm test)"])


@pytest.mark.parametrize(
    ("denial", "kind"),
    [("Bash(npm test)", "Bash npm"), ("Write(/a)", "Write"), ("X", "X"), ("Bash()", "Bash")],
)
def test_denials_are_alike_by_tool_and_program(denial: str, kind: str) -> None:
    assert kind_of(denial) == kind


@given(st.text(max_size=60) | st.text("Bash()'\"\\|&;$`*\n <>a", max_size=30))
def test_no_denial_makes_it_fail_nor_gets_a_wildcard(text: str) -> None:
    for denial in (text, f"Bash({text})", f"Write(/{text})", f"WebFetch({text})"):
        denied_text(1, (), [denial])
        kind_of(denial)
        assert not any("*" in rule.replace(r"\*", "") for rule in rules_for(denial))
