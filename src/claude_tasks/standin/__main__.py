"""``python -m claude_tasks.standin …`` and, faster, this file as a script: the simulated agent."""

import os
import sys

if not __package__:  # started as a script: make the package importable
    HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(os.path.dirname(HERE))

from claude_tasks.standin.agent import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
