"""The domain: tasks, schedules, ticks, runs, the lease. Pure: no I/O, no clock.

Records are ``NamedTuple``: immutable, typed, and free to import. (``dataclasses`` costs 7 ms and
``msgspec`` 25 ms of import time, which the budget of a light command such as ``list`` cannot pay.)

Instants are ``int`` milliseconds since the epoch, UTC, named ``…_at`` or ``at``. Datetimes appear
only inside schedules and where a person reads or types a time.
"""
