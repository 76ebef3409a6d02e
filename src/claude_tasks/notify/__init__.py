"""Messages about the ends of runs: which are sent, what they say, how they reach a channel.

    run ends ─▶ policy: send a message? ─▶ Notice ─▶ payload of one channel ─▶ Delivery
                                                 (Discord, Slack, JSON webhook, Apprise)

Payloads are pure functions of a notice. Channels return a `Delivery` and never raise: a message
that fails does not change its run. The store keeps messages until they are delivered;
`delivery.next_attempt_at` says when to try again.

The address of a channel is a secret (with it anyone can post): it is shown only as
`delivery.masked`. An agent's text is not trusted: it may format, but neither mention people nor
exceed a channel's limits.
"""
