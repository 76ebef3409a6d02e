"""Completion scripts for three shells, made from the commands' own parsers.

Names of tasks and files come from others. A script asks for them, compares them and quotes them;
none of them is ever part of what the shell evaluates, nor put on its line unquoted.
"""

from __future__ import annotations

from claude_tasks.cli.catalog import COMMANDS
from claude_tasks.cli.main import load_command
from claude_tasks.cli.task_flags import CHOICES, FIELD_OF
from claude_tasks.domain.run import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TAKES_TASK = ("show", "edit", "rm", "enable", "disable", "run", "runs", "logs", "next", "why")
_VALUES: dict[str, tuple[str, ...]] = {
    **CHOICES,
    "--state": tuple(State),
    "--scheduler": ("true", "false"),
    "--log-format": ("text", "json"),
    "--log-level": ("debug", "info", "warning", "error"),
    "--agent": ("simulated", "claude"),
    "--clear": tuple(FIELD_OF),
}
_FILES = ("--data", "--dir", "--prompt-file", "--output")


def bash() -> str:
    """For bash 3.2 and later."""
    flags = "\n".join(f"    {name}) flags='{_words(name)}' ;;" for name in COMMANDS)
    values = "\n".join(
        f"    {flag}) values='{' '.join(words)}' ;;" for flag, words in _VALUES.items()
    )
    return _BASH.format(
        commands=" ".join(COMMANDS),
        flags=flags,
        values=values,
        files="|".join(_FILES),
        tasks="|".join(_TAKES_TASK),
    )


def zsh() -> str:
    """For zsh, through its own bash emulation for the words and its menu for the commands."""
    described = (f"{name}:{summary}" for name, (_, summary) in COMMANDS.items())
    commands = "\n".join("    '" + text.replace("'", "'\\''") + "'" for text in described)
    flags = "\n".join(f"    {name}) flags=({_words(name)}) ;;" for name in COMMANDS)
    values = "\n".join(
        f"    {flag}) compadd -- {' '.join(words)}; return ;;" for flag, words in _VALUES.items()
    )
    return _ZSH.format(
        commands=commands,
        flags=flags,
        values=values,
        files="|".join(_FILES),
        tasks="|".join(_TAKES_TASK),
    )


def fish() -> str:
    """For fish."""
    lines = ["complete -c claude-tasks -f"]
    for name, (_, summary) in COMMANDS.items():
        lines.append(
            f"complete -c claude-tasks -n __fish_use_subcommand -a {name} -d {_quoted(summary)}"
        )
    for name in COMMANDS:
        lines += [_fish_flag(name, flag, text) for flag, text in _flags(name).items()]
    seen = f"__fish_seen_subcommand_from {' '.join(_TAKES_TASK)}"
    # Fish does not quote a leading tilde, which would become a user's home.
    ask = '(claude-tasks completion --task-names 2>/dev/null | string match -v -- "~*")'
    lines.append(f"complete -c claude-tasks -n '{seen}' -a '{ask}'")
    ask = "(claude-tasks completion --run-ids 2>/dev/null)"
    lines.append(f"complete -c claude-tasks -n '__fish_seen_subcommand_from cancel' -a '{ask}'")
    return "\n".join(lines) + "\n"


SCRIPTS: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _flags(command: str) -> dict[str, str | None]:
    if command == "help":
        return {}
    parser, _ = load_command(command)
    return parser.flags()


def _words(command: str) -> str:
    return " ".join(_flags(command))


def _fish_flag(command: str, flag: str, text: str | None) -> str:
    kind = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
    words = _VALUES.get(flag)
    if flag == "--tz":
        words = ("(claude-tasks completion --zones 2>/dev/null)",)
    value = f" -x -a '{' '.join(words)}'" if words else " -r -F" if flag in _FILES else ""
    about = f" -d {_quoted(text)}" if text else ""
    return (
        f"complete -c claude-tasks -n '__fish_seen_subcommand_from {command}' {kind}{value}{about}"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_BASH = """\
# bash completion for claude-tasks
_claude_tasks_offer() {{
  # Offers the lines of $2 that begin with the word $1 as it was typed, quoted as that is. Never
  # compgen -W: it evaluates what it is given.
  local typed="$1" quote="" line quoted
  case "$typed" in
  [\\"\\']*) quote="${{typed:0:1}}" typed="${{typed:1}}" ;;
  esac
  [[ "$quote" == "'" ]] || typed="${{typed//\\\\/}}"
  while IFS= read -r line; do
    [[ -n "$line" && "${{line:0:${{#typed}}}}" == "$typed" ]] || continue
    case "$quote" in
    "'") [[ "$line" != *"'"* ]] || continue ;;
    '"') [[ "$line" != *[\\"\\$\\`\\\\\\!]* ]] || continue ;;
    *)
      printf -v quoted '%q' "$line"
      [[ "$quoted" != "~"* ]] || quoted="\\\\$quoted"
      line="$quoted" ;;
    esac
    COMPREPLY+=("$line")
  done <<< "$2"
}}
_claude_tasks() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="" flags="" values="" i
  local commands='{commands}'
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
    --data) ((i++)) ;;
    -*) ;;
    *) command="${{COMP_WORDS[i]}}"; break ;;
    esac
  done
  COMPREPLY=()
  case "$before" in
{values}
    --tz) _claude_tasks_offer "$word" "$(claude-tasks completion --zones 2>/dev/null)"; return ;;
    {files}) _claude_tasks_files "$word"; return ;;
  esac
  if [[ -n "$values" ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$word"))
    return
  fi
  case "$command" in
    '') COMPREPLY=($(compgen -W "$commands --data --json --help --version" -- "$word")); return ;;
{flags}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    return
  fi
  case "$command" in
    {tasks})
      _claude_tasks_offer "$word" "$(claude-tasks completion --task-names 2>/dev/null)" ;;
    cancel) _claude_tasks_offer "$word" "$(claude-tasks completion --run-ids 2>/dev/null)" ;;
    help) COMPREPLY=($(compgen -W "$commands" -- "$word")) ;;
    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
    import) _claude_tasks_files "$word" ;;
  esac
}}
_claude_tasks_files() {{
  # Bash's own completion of files quotes them; where it cannot be asked for (3.2), we do.
  compopt -o default 2>/dev/null || _claude_tasks_offer "$1" "$(compgen -f -- "$1")"
}}
complete -F _claude_tasks claude-tasks
"""

_ZSH = """\
#compdef claude-tasks
_claude_tasks() {{
  local command before=${{words[CURRENT-1]}} word i
  local -a commands flags names
  commands=(
{commands}
  )
  for ((i = 2; i < CURRENT; i++)); do
    case ${{words[i]}} in
    --data) ((i++)) ;;
    -*) ;;
    *) command=${{words[i]}}; break ;;
    esac
  done
  case $before in
{values}
    --tz) compadd -- ${{(f)"$(claude-tasks completion --zones 2>/dev/null)"}}; return ;;
    {files}) _files; return ;;
  esac
  if [[ -z $command ]]; then
    _describe command commands
    compadd -- --data --json --help --version
    return
  fi
  case $command in
{flags}
  esac
  if [[ ${{words[CURRENT]}} == -* ]]; then
    compadd -- $flags
    return
  fi
  case $command in
    {tasks})
      names=(${{(f)"$(claude-tasks completion --task-names 2>/dev/null)"}})
      compadd -- $names ;;
    cancel) compadd -- ${{(f)"$(claude-tasks completion --run-ids 2>/dev/null)"}} ;;
    help) _describe command commands ;;
    completion) compadd -- bash zsh fish ;;
    import) _files ;;
  esac
}}
_claude_tasks "$@"
"""
