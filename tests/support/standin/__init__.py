"""Further cases of the simulated agent: loaded by the agent itself, so this imports nothing."""
