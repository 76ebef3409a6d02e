"""An agent reads what /proc shows of the processes above it: none of it holds a secret of ours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.run import State
from claude_tasks.settings import SECRET_SETTINGS, SETTINGS
from support.waiting import wait_until

if TYPE_CHECKING:
    from cli.program import Program

_AGENT = """#!/bin/sh
cat > /dev/null
process=$$ above=0
while [ $above -lt 3 ]; do
  cat /proc/$process/environ >> {seen}
  process=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$process/status)
  above=$((above + 1))
done
tr '\\0' '\\n' < /proc/$process/cmdline | tail -1 > {last}
echo '{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"x"}}'
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_agent_supervisor_and_spawner_have_no_secret_in_their_environment(program: Program) -> None:
    installation = program.installation
    folder = installation.folder
    seen, last = folder / "seen", folder / "last"
    installation.agent.write_text(_AGENT.format(seen=seen, last=last))
    secrets = {
        name: f"https://s3cret.example/{name}"
        if SETTINGS[name].address
        else f"s3cret-s3cret-{name}"
        for name in SECRET_SETTINGS
    }
    task = installation.add(notify_on="always", enabled=False)
    installation.start_leader(**{f"CLAUDE_TASKS_{k.upper()}": v for k, v in secrets.items()})
    installation.operations.runs.start(task.id)
    installation.wait_for_runs(1, State.COMPLETED)
    wait_until(last.exists)
    shown = seen.read_text()
    assert shown.count("CLAUDE_TASKS_DATA=") == 3  # agent, supervisor, spawner: it did read them
    assert last.read_text().strip() == "daemon"  # what is above them, and not looked at
    assert "s3cret" not in shown
