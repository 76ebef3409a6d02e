"""The simulated agent as a script: nothing but the standard library and its own files."""

import os
import sys

_TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[0] = os.path.join(os.path.dirname(_TESTS), "src")
sys.path.insert(1, _TESTS)

from claude_tasks.standin import agent  # noqa: E402 (found only now)


def cases() -> "agent.Cases":
    """All there are; loaded when one is asked for, so that ``--version`` is as quick as ever."""
    from claude_tasks.standin.cases import CASES
    from support.standin import cases as more
    from support.standin import misbehaviour

    return CASES | more.CASES | misbehaviour.CASES


if __name__ == "__main__":
    agent.known_cases = cases
    sys.exit(agent.main(sys.argv[1:]))
