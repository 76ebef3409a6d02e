"""The rule that would have let exactly what was denied pass, and nothing else."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.domain.permission import (
    Permitted,
    answer_to,
    denied_text,
    kinds_of,
    permitted,
    remedy_for,
)
from support.builders import add_task
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store


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
        # What the agent decides itself, whatever its rules are.
        ("Bash(! npm test)", []),
        ("Bash(for f in a b; do npm test $f; done)", []),
        ("Bash(if true; then npm test; fi)", []),
        ("Bash(while true; do npm test; done)", []),
        ("Bash(npm test; echo $?)", []),
        ('Bash(npm test "$1" ${A})', []),
        ("Bash(FOO=1; make $FOO)", []),
        ("Bash(FOO=1 make $FOO)", []),
        ("Bash(export A=1; make $A)", []),
        ("Bash(FOO=1 make)", ["Bash(FOO=1 make)"]),
        ("Bash(make $HOME/x)", ["Bash(make $HOME/x)"]),
        ("Bash(cd sub && make)", ["Bash(cd sub)", "Bash(make)"]),
        ("Bash(cd sub && touch a)", []),
        ("Bash(cd sub && git push)", []),
        ("Bash(cd .. && make)", []),
        ("Bash(cd && make)", []),
        ("Bash(cd - && make)", []),
        ("Bash(touch /tmp/x)", []),
        ("Bash(time touch ../x)", []),
        ("Bash(timeout 5 touch /tmp/x)", []),
        ("Bash(sudo -u me touch x)", []),
        ("Bash(FOO=1 touch ~/x)", []),
        ("Bash(cp -r a b)", []),
        ("Bash(touch $HOME/x)", []),
        ("Bash(sed -i s/a/b/ f)", ["Bash(sed -i s/a/b/ f)"]),
        ("Bash(sed -i s/a/b/ /etc/f)", []),
        ("Bash(touch .git/x)", []),
        ("Bash(touch .bashrc)", []),
        ("Write(/srv/.git/config)", []),
        ("Edit(/srv/.claude/settings.json)", []),
        ("Write(/home/x/.BashRC)", []),
        ("Write(/srv/.npmrc)", []),
        ("Read(/srv/.git/config)", ["Read(//srv/.git/config)"]),
        ("a tool", []),
    ],
)
def test_the_rule_is_exact_or_there_is_none(denial: str, rules: list[str]) -> None:
    remedy = remedy_for(denial)
    assert (list(remedy.rules) if remedy else []) == rules
    assert remedy is None or remedy.folders == ()


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        ("touch /srv/made", []),
        ("cd /srv && touch made", []),
        ("touch /srv/sub/../made", None),
        ("touch /data/made", []),
        ("touch /other/made /other/more", ["/other"]),
        ("touch ../made", None),
        ("timeout 5 touch /other/made", ["/other"]),
        ("cd /other/sub && make", ["/other/sub"]),
        ("time touch -- /other/made", ["/other"]),
        ("cp a /other/made | tee /more/log", ["/other", "/more"]),
        ("cp -r a /other/made", None),
        ("mkdir -p /other/a/b", None),
        ("grep /usr f", None),
        ("ls /etc/hosts", None),
        ("cd /other && touch made", None),
        ("python3 x.py /other/made", []),
    ],
)
def test_paths_outside_of_the_folders_take_a_folder_or_have_no_remedy(
    command: str, folders: list[str] | None
) -> None:
    task = Permitted(7, folder="/srv", extra_args=("--add-dir", "/data"))
    remedy = remedy_for(f"Bash({command})", task.within)
    assert (None if remedy is None else list(remedy.folders)) == folders


def test_the_command_survives_a_shell_and_keeps_what_is_there() -> None:
    denials = ["Bash(npm test -- --foo='a b')", "Bash(a > b)", "Bash(touch '/my files/x')"]
    task = Permitted(7, ("Read",), folder="/srv", extra_args=("--ide",))
    answer = answer_to(task, denials)
    assert answer.command is not None
    assert shlex.split(answer.command) == [
        "claude-tasks", "edit", "7",
        "--allow-tool", "Read",
        "--allow-tool", "Bash(npm test -- --foo='a b')",
        "--allow-tool", "Bash(touch '/my files/x')",
        "--", "--ide", "--add-dir", "/my files",
    ]  # fmt: skip
    assert answer.beyond == ("Bash(a > b)",)


def test_a_rule_that_is_there_by_now_needs_no_command_and_promises_nothing() -> None:
    task = Permitted(7, ("Bash(npm test)",))
    assert answer_to(task, ["Bash(npm test)"]).command is None
    assert "names the rule for it by now" in denied_text(task, ["Bash(npm test)"])
    assert "allows it" not in denied_text(task, ["Bash(npm test)"])


@pytest.mark.parametrize(
    ("disallowed", "denial", "lifts"),
    [
        (("Bash",), "Bash(npm test)", "--clear deny-tool"),
        (("Bash(npm:*)", "WebFetch"), "Bash(npm test)", "--deny-tool WebFetch"),
        (("Bash(npm publish *)",), "Bash(cd x && FOO=1 npm publish)", "--clear deny-tool"),
        (("Bash(* --force *)",), "Bash(git push --force x)", "--clear deny-tool"),
        (("Bash(npm publish *)",), "Bash(npm start)", None),
        (("Bash(npm)",), "Bash(npm start)", None),
        (("Edit(//etc/**)",), "Write(/srv/x)", None),
        (("WebFetch(domain:y.com)",), "WebFetch(https://x.com/)", None),
        (("Edit(//srv/**)",), "Write(/srv/x)", "--clear deny-tool"),
        (("WebFetch(domain:x.com)",), "WebFetch(https://x.com/)", "--clear deny-tool"),
        (("mcp__server",), "mcp__server__tool", "--clear deny-tool"),
        (("Bash(rm:*)",), "Bash(npm test)", None),
        (("Read",), "Write(/srv/x)", None),
    ],
)
def test_what_the_task_itself_disallows_is_not_to_be_allowed(
    disallowed: tuple[str, ...], denial: str, lifts: str | None
) -> None:
    task = Permitted(7, ("Bash(npm test)",), disallowed, folder="/srv")
    text = denied_text(task, [denial])
    assert ("--allow-tool" in text) is (lifts is None and denial != "Bash(npm test)")
    assert ("the task itself disallows it" in text) is (lifts is not None)
    assert lifts is None or text.endswith(f"to lift that: claude-tasks edit 7 {lifts}")


def test_what_a_tasks_own_words_disallow_is_said_too() -> None:
    task = Permitted(7, extra_args=("--disallowedTools", "Bash(npm *),Read"))
    text = denied_text(task, ["Bash(npm test)"])
    assert text.endswith("by Bash(npm *): see its extra arguments, claude-tasks show 7")


def test_a_relative_folder_is_an_unknown_one(store: Store) -> None:
    assert permitted(add_task(store, at=START, working_dir=".")).folder == ""
    assert permitted(add_task(store, at=START, working_dir="/srv", name="b")).folder == "/srv"


@pytest.mark.parametrize(
    ("denial", "kinds"),
    [
        ("Bash(npm test)", {"Bash npm"}),
        ("Bash(cd /x && rm -rf y; npm test | tee z)", {"Bash rm", "Bash npm", "Bash tee"}),
        ("Bash(FOO='a b' npm test)", {"Bash npm"}),
        ("Bash(for f in a b; do npm test $f; done)", {"Bash npm"}),
        ('Bash(! (cd x; npm test) && echo "a; b")', {"Bash npm", "Bash echo"}),
        ("Bash(make 2>&1 &> log)", {"Bash make"}),
        ("Bash(cat <<'EOF' > x\nrm all\nEOF)", {"Bash cat"}),
        ("Bash(cd /x)", {"Bash"}),
        ("Write(/a)", {"Write"}),
        ("X", {"X"}),
        ("Bash()", {"Bash"}),
    ],
)
def test_denials_are_alike_by_tool_and_programs(denial: str, kinds: set[str]) -> None:
    assert kinds_of(denial) == kinds


@given(st.text(max_size=60) | st.text("Bash()'\"\\|&;$`*\n <>a", max_size=30))
def test_no_denial_makes_it_fail_nor_gets_a_wildcard(text: str) -> None:
    for denial in (text, f"Bash({text})", f"Write(/{text})", f"WebFetch({text})"):
        denied_text(Permitted(1, disallowed=("Bash(x *)",), folder="/srv"), [denial])
        assert kinds_of(denial)
        remedy = remedy_for(denial)
        rules = remedy.rules if remedy else ()
        assert not any("*" in rule.replace(r"\*", "") for rule in rules)
