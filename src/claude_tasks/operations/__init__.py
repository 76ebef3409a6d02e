"""Use cases: what a person, a script or a client can ask for.

Every face calls these; none has a rule of its own.
"""
