"""Installing the real CLI, as far as that can be shown without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("install_claude.py")
FAKE_CLAUDE = '#!/bin/sh\necho "2.1.330 (Claude Code)"\n'
FAKE_NPM = """#!/bin/sh
echo "$@" >> "$NPM_CALLS"
while [ "$1" != --prefix ]; do shift; done
for name in a-foreign-libc linux-x64; do
  folder="$2/node_modules/@anthropic-ai/claude-code-$name"
  mkdir -p "$folder"
  cp "$FAKE_CLAUDE" "$folder/claude"
done
printf 'not for this machine' > "$2/node_modules/@anthropic-ai/claude-code-a-foreign-libc/claude"
"""


def install(tmp_path: Path, *, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": path} | more
    return subprocess.run(
        [sys.executable, PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_without_npm_it_says_so_and_exits_3(tmp_path: Path) -> None:
    answer = install(tmp_path, path=str(tmp_path / "empty"))
    assert (answer.returncode, answer.stdout) == (3, "")
    assert "npm is not installed" in answer.stderr


def test_a_failing_npm_is_reported_and_leaves_nothing_behind_as_installed(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "npm", "#!/bin/sh\necho no such package >&2\nexit 1\n")
    answer = install(tmp_path, path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "no such package" in answer.stderr
    assert not (tmp_path / "cache" / "claude-tasks-e2e" / "claude-code-2.1.330").exists()


def test_it_finds_the_executable_that_runs_here_and_installs_only_once(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "npm", FAKE_NPM)
    calls = tmp_path / "calls"
    fake = executable(tmp_path / "fake-claude", FAKE_CLAUDE)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    answers = [
        install(tmp_path, path=path, NPM_CALLS=str(calls), FAKE_CLAUDE=str(fake)) for _ in range(2)
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers
    assert answers[0].stdout == answers[1].stdout
    assert answers[0].stdout.endswith("/claude-code-linux-x64/claude\n")
    assert os.access(answers[0].stdout.strip(), os.X_OK)
    (call,) = calls.read_text().splitlines()
    assert call.endswith("@anthropic-ai/claude-code@2.1.330")
