"""Telling people how runs end: what is said, when, and how it reaches a channel.

    run ends ─▶ policy: is it worth a word? ─▶ Notice ─▶ payload of one channel ─▶ Delivery
                                                 (Discord, Slack, JSON webhook, Apprise)

Payloads are pure functions of a notice. `sending.send` is the only thing that talks to the network,
and it never raises: a message that fails changes nothing about the run it is about. Who keeps
messages until they are delivered is not in here: `delivery.next_attempt_at` says when to try again.

The address of a channel is a secret (whoever has it can post): only `delivery.masked` shows it.
What an agent wrote is not trusted: it may format text, and may neither ping anybody nor outgrow a
channel's limits.
"""
