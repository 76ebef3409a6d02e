"""One attempt through Apprise, as a program: a JSON object in, one word out.

The word is ``delivered``, ``refused``, ``unknown`` (an address that Apprise does not know), or the
name of an exception. Nothing else is printed: Apprise's messages may contain the address.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
from typing import Any


def attempt(asked: dict[str, Any]) -> str:
    """Make the attempt; the word for its result."""
    logging.getLogger("apprise").disabled = True
    try:
        # Optional, and slow to load: it brings a hundred services.
        sender = importlib.import_module("apprise").Apprise()
        if not sender.add(asked["target"]):
            return "unknown"
        for service in sender:
            service.socket_connect_timeout = service.socket_read_timeout = asked["seconds"]
        delivered = sender.notify(
            title=asked["title"],
            body=asked["body"],
            body_format="text",
            notify_type=asked["type"],
        )
    except Exception as error:  # noqa: BLE001 (third-party plugins)
        return type(error).__name__
    return "delivered" if delivered else "refused"


def main() -> None:
    """Print the word, and exit without waiting for threads that Apprise may have left."""
    asked = json.load(sys.stdin)
    signal.alarm(asked["lifetime"])  # ends this process even if its parent is dead
    print(attempt(asked), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
