"""The command line: one module a command, each returns a `Result`, one place prints it.

A command passes through: ``process`` (the real streams) → ``main.run`` → ``main.parse`` (flags,
apart from doing anything) → the command's module → ``render`` (text or JSON) → an exit code.

Light commands start in a few milliseconds. So ``commands`` is a static table, only the command that
was asked for is imported, and what is here avoids ``NamedTuple`` where plain classes do: each one
costs 0.3 ms of import.
"""
