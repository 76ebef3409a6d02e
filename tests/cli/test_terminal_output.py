"""An agent that tries to steer the terminal of whoever looks at its run."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from support.terminal import TerminalSession

if TYPE_CHECKING:
    from cli.program import Program

_OURS = re.compile(r"\x1b\[(?:0|1|2|31|32|33)m")
_CLIPBOARD = "]52;c;ZXZpbA=="
_AGENT = r"""#!/bin/sh
cat > /dev/null
say='\u001b]52;c;ZXZpbA==\u0007\u009b2Jdone'
echo '{"type":"system","subtype":"init","session_id":"s","model":"'"$say"'"}'
echo '{"type":"assistant","message":{"content":[{"type":"text","text":"'"$say"'"}]}}'
printf 'no JSON \033]52;c;ZXZpbA==\007\n'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"session_id":"'"$say"'","result":"'"$say"'","total_cost_usd":0.1}'
"""  # noqa: E501 (the last line is one event)


def _shown(program: Program, *argv: str) -> str:
    words = [sys.executable, "-m", "claude_tasks", *argv]
    environment = {**program.environment, "TERM": "xterm-256color"}
    with TerminalSession(words, environment, str(program.installation.folder)) as session:
        return session.all()


def test_no_command_passes_an_agents_control_sequences_on_to_a_terminal(program: Program) -> None:
    program.installation.agent.write_text(_AGENT)
    program.installation.add(name="hostile")
    for argv in (
        ("run", "hostile", "--wait"), ("logs", "hostile"), ("logs", "hostile", "-f"),
        ("logs", "hostile", "--events"), ("logs", "hostile", "--json"), ("show", "hostile"),
        ("runs",), ("list",),
    ):  # fmt: skip
        shown = _OURS.sub("", _shown(program, *argv))
        assert "\x1b" not in shown, argv
        assert "\x07" not in shown, argv
        assert "\x9b" not in shown, argv
    assert _CLIPBOARD in _shown(program, "logs", "hostile", "-f")  # shown, and no more than that


def test_a_pipe_gets_what_the_agent_said(program: Program) -> None:
    program.installation.agent.write_text(_AGENT)
    program.installation.add(name="hostile")
    said = program("run", "hostile", "--wait").stdout
    assert said == f"\x1b{_CLIPBOARD}\x07\x9b2Jdone\n"
    assert f"no JSON \x1b{_CLIPBOARD}\x07\n" in program("logs", "hostile", "--events").stdout
