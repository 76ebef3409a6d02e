"""``python -m bench [--only NAME] [--quick]``: measure the budgets, print and keep the table."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bench import (
    api,
    arithmetic,
    change_feed,
    failover,
    herd,
    history,
    many_tasks,
    overhead,
    startup,
    terminal_ui,
)
from bench.report import MISSED, as_markdown, as_table

_MEASUREMENTS = {
    "herd": herd.measure,
    "failover": failover.measure,
    "many-tasks": many_tasks.measure,
    "overhead": overhead.measure,
    "startup": startup.measure,
    "terminal-ui": terminal_ui.measure,
    "change-feed": change_feed.measure,
    "history": history.measure,
    "api": api.measure,
    "arithmetic": arithmetic.measure,
}
_RESULT = Path(__file__).with_name("results") / "latest.md"


def main() -> int:
    """Measure what was asked for. A missed budget is shown, not an error: machines differ."""
    arguments = _parse()
    names = arguments.only or list(_MEASUREMENTS)
    sections = []
    begun, load = time.monotonic(), os.getloadavg()[0]
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        section = _MEASUREMENTS[name](quick=arguments.quick)
        sections.append(section)
        print(as_table(section), flush=True)
    missed = [line.what for section in sections for line in section.lines if line.verdict == MISSED]
    print(f"{time.monotonic() - begun:.0f} s; budgets missed: {', '.join(missed) or 'none'}")
    if not arguments.only:  # a part is no result to keep
        _RESULT.parent.mkdir(exist_ok=True)
        mode = "quick" if arguments.quick else "full"
        _RESULT.write_text(as_markdown(sections, mode=mode, load=load), encoding="utf-8")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=_MEASUREMENTS, metavar="NAME",
        help=f"one measurement, repeatable: {', '.join(_MEASUREMENTS)}; writes no file",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
