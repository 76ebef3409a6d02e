"""Who schedules, what becomes due, who runs it, and what happens to those who die.

One node is one process start. Each node has a lifetime lock; those that may schedule also stand
for the lease:

    follower ──take (free · holder dead · stood still for ttl)──▶ leader
       ▲                                                           │
       └── renewal refused · trust ended · loop stuck · released ──┘

Two threads: the *lease keeper* takes and renews on a connection of its own, so that nothing the
scheduler does can delay a renewal; the *engine* runs passes of named steps:

    take due ticks ─▶ rescue what dead nodes left ─▶ claim ─▶ launch ─▶ collect ─▶ record

The lease only makes scheduling cheap. What makes it correct is the tick transaction: it checks the
epoch, inserts rows under the unique key ``(task_id, scheduled_for)`` and advances the cursor,
together or not at all. A leader that was paused and wakes up late fails that check and writes
nothing.

Trust ends before expiry: the keeper counts its term from *before* the request that renewed it,
minus a margin, on the monotonic clock.
"""
