"""How much of the agent's subscription is used: which sources are asked, in which order, how often.

    the agent's own CLI (`get_usage`: no token is touched) ─fails─▶ the OAuth usage endpoint

One process at a time asks, for all: the answer, or why there is none, is one record in the
database. After a failure it waits before it asks again: longer each time for trouble elsewhere, or
as a `retry-after` says; a second for trouble on this machine, so that a login counts at once. The
`rate_limit_event` of each run is recorded too.
"""
