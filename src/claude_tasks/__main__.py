"""The program's entry. ``version`` is answered before anything is imported."""

import sys

_VERSION_WORDS = (["version"], ["--version"], ["-V"])


def main() -> int:
    """Run the command that ``sys.argv`` asks for; its exit code."""
    if sys.argv[1:] in _VERSION_WORDS:
        from claude_tasks import __version__  # noqa: PLC0415 (nothing is imported before it)

        print(f"claude-tasks {__version__}")
        return 0
    from claude_tasks.cli.process import run_process  # noqa: PLC0415 (likewise)

    return run_process(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
