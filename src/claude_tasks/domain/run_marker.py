"""How a process knows that it belongs to a run: a variable of its environment."""

MARKER = "CLAUDE_TASKS_RUN"
"""Set by the supervisor to the folder of the claim: ``…/runs/<run>.<claim>``."""


def run_of(marker: str) -> str:
    """The run's id, as text."""
    return marker.rpartition("/")[2].partition(".")[0]
