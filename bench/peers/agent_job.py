"""The job of every peer: run the agent as its documentation would have you do it."""

from __future__ import annotations

import subprocess


def run_agent(agent: str, prompt: str) -> str:
    """Start the agent, give it its prompt, take what it prints."""
    done = subprocess.run([agent], input=prompt.encode(), capture_output=True, check=True)
    return done.stdout.decode()
