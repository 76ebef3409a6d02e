"""Every command: its module in `commands`, and one line about it. Imports nothing."""

COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("add", "schedule a new task"),
    "list": ("list_tasks", "the tasks, when each runs next and how it last went"),
    "show": ("show", "all about one task, with its last runs"),
    "edit": ("edit", "change what is named, leave the rest"),
    "rm": ("lifecycle", "delete a task; its runs stay"),
    "restore": ("lifecycle", "bring a deleted task back"),
    "enable": ("lifecycle", "let a task fire again, from now on"),
    "disable": ("lifecycle", "stop a task from firing"),
    "run": ("run_now", "run a task now"),
    "cancel": ("cancel", "end a run, with everything it started"),
    "runs": ("runs", "what ran, newest first"),
    "logs": ("logs", "one run's record and output; -f follows it live"),
    "next": ("next_ticks", "when a task or a cron expression fires"),
    "why": ("why", "why a task did or did not run"),
    "status": ("status", "who schedules, what waits, what runs"),
    "usage": ("usage", "how much of the subscription is used, and what it keeps from running"),
    "doctor": ("doctor", "is it ready, and if not, which command mends it?"),
    "daemon": ("daemon", "schedule and execute, until stopped"),
    "serve": ("serve", "a daemon that also answers over HTTP"),
    "tui": ("tui", "the terminal UI; also what claude-tasks alone opens"),
    "notify": ("notify", "where messages go, what became of them; notify test sends one"),
    "token": ("token", "make a token for the HTTP API"),
    "import": ("import_tasks", "add tasks from a JSON file, all or none"),
    "export": ("export_tasks", "write all tasks as JSON"),
    "demo": ("demo", "see it work: three runs in a throw-away folder"),
    "completion": ("completion", "shell completion for bash, zsh or fish"),
    "help": ("help", "this page, or a command's own"),
    "version": ("version", "print the version"),
}

GROUPS: dict[str, tuple[str, ...]] = {
    "Tasks": ("add", "list", "show", "edit", "rm", "restore", "enable", "disable"),
    "Runs": ("run", "cancel", "runs", "logs"),
    "When and why": ("next", "why", "status", "usage", "notify", "doctor"),
    "Service": (
        "daemon",
        "serve",
        "tui",
        "token",
        "import",
        "export",
        "demo",
        "completion",
        "help",
        "version",
    ),
}

PLAIN: dict[str, dict[str, object]] = {
    "list": {"all": False, "tag": None},
    "status": {},
    "doctor": {"checks": [], "strict": False, "fix": False, "yes": False},
}
"""What argparse would make of no flags at all, for the commands asked most often."""

STAYING = frozenset({"cancel", "daemon", "demo", "logs", "run", "serve", "tui"})
"""Commands that may live for long, and so want a garbage collector."""
