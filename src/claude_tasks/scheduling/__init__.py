"""Which node schedules, which ticks are due, which node runs them, and what happens when one dies.

A node is one process, from its start to its end. Each node holds a lifetime lock; the nodes that
may schedule also try to take the lease:

    follower ──take (free · holder dead · stood still for ttl)──▶ leader
       ▲                                                           │
       └── renewal refused · trust ended · loop stuck · released ──┘

Two threads: the *lease keeper* takes and renews the lease on its own connection, so that the engine
never delays a renewal; the *engine* runs passes of named steps:

    take due ticks ─▶ rescue runs of dead nodes ─▶ claim ─▶ launch ─▶ collect ─▶ record

The lease keeps two nodes from doing the same work. Correctness rests on the tick transaction: it
checks the epoch, inserts rows under the unique key ``(task_id, scheduled_for)`` and advances the
cursor, all or nothing. A leader that was paused and wakes up late fails the check and writes
nothing.

Trust ends before expiry: the keeper counts its term from *before* the request that renewed it,
minus a margin, on the monotonic clock.
"""
