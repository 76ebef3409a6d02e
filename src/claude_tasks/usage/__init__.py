"""How much of the agent's subscription is used: who is asked, in which order, and how often.

    the agent's own CLI (`get_usage`: no token is touched) ─fails─▶ the OAuth usage endpoint

Whoever asks does so for all processes: the answer, or why there is none, is one record in the
database. One asks at a time. A failure is not repeated before its time: trouble elsewhere backs
off and a `retry-after` counts; trouble on this machine is looked at every second, so that a login
counts at once. Every run's own `rate_limit_event` comes free and is recorded too.
"""
