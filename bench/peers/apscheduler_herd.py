"""A herd on APScheduler 3: ``python -m bench.peers.apscheduler_herd AGENT PROMPT DUE COUNT DB``.

A cron job each, all due at one second; threads enough for all; no job refused for being late. The
jobs live in SQLite where SQLAlchemy is installed, else in memory. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from bench.peers.agent_job import run_agent

_PATIENCE_SECONDS = 60


def main() -> None:
    """Run the herd, wait until all jobs have ended."""
    agent, prompt, due, count, database = sys.argv[1:]
    store, name = _job_store(database)
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(int(count))},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )
    done = _counter(scheduler, int(count))
    at = datetime.fromtimestamp(int(due), UTC)
    for number in range(int(count)):
        trigger = CronTrigger(second=at.second, minute=at.minute, hour=at.hour, timezone=UTC)
        scheduler.add_job(run_agent, trigger, args=(agent, prompt), id=str(number))
    scheduler.start()
    complete = done.wait(_PATIENCE_SECONDS + int(due) - time.time())
    ended = time.time()
    scheduler.shutdown(wait=False)
    sys.stdout.write(json.dumps({"store": name, "complete": complete, "seconds": ended - int(due)}))


def _job_store(database: str) -> tuple[Any, str]:
    try:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: PLC0415
    except ImportError:
        return MemoryJobStore(), "memory"
    return SQLAlchemyJobStore(url=f"sqlite:///{database}"), "SQLite"


def _counter(scheduler: BackgroundScheduler, count: int) -> threading.Event:
    done = threading.Event()
    seen: list[object] = []

    def note(event: object) -> None:
        seen.append(event)
        if len(seen) == count:
            done.set()

    scheduler.add_listener(note, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    return done


if __name__ == "__main__":
    main()
