"""claude-tasks: the scheduler for coding agents."""

__version__ = "1.0.0"
