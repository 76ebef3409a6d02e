"""A herd on Huey with SQLite: ``python -m bench.peers.huey_herd AGENT PROMPT DUE COUNT``.

Queues one task per agent with the same eta, for a consumer that runs already, and waits for their
results. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

from bench.peers.huey_app import agent_task, huey

_PATIENCE_SECONDS = 60


def main() -> None:
    """Queue, then watch the result store fill."""
    agent, prompt, due, count = sys.argv[1:]
    eta = datetime.fromtimestamp(int(due), UTC)
    for _ in range(int(count)):
        agent_task.schedule((agent, prompt), eta=eta)
    deadline = int(due) + _PATIENCE_SECONDS
    while huey.result_count() < int(count) and time.time() < deadline:
        time.sleep(0.02)
    complete = huey.result_count() >= int(count)
    sys.stdout.write(json.dumps({"complete": complete, "seconds": time.time() - int(due)}))


if __name__ == "__main__":
    main()
