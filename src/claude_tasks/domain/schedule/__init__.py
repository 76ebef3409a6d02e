"""When a task fires: cron, ``@every``, once. Local time exists only in here.

``parse_schedule`` turns what a person wrote into a ``Schedule``; everything else asks that. The
cron library is loaded by the first cron expression, not by importing this package.
"""

from claude_tasks.domain.schedule.parsing import parse_schedule
from claude_tasks.domain.schedule.preview import Missed, dst_note, missed_between, upcoming
from claude_tasks.domain.schedule.protocol import Schedule

__all__ = [
    "Missed",
    "Schedule",
    "dst_note",
    "missed_between",
    "parse_schedule",
    "upcoming",
]
