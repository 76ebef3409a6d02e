"""One module a command (or a few that are one thing).

Each has ``DESCRIPTION`` and ``EXAMPLES`` for ``--help``, ``configure(parser)`` for its flags, and
``run(context, arguments)``, which returns a `Result`. The rules are in operations.
"""
