"""The Huey application of the herd; its database is named by the environment."""

from __future__ import annotations

import os

from huey import SqliteHuey

from bench.peers.agent_job import run_agent

DATABASE = "BENCH_HUEY_DATABASE"

huey = SqliteHuey(filename=os.environ[DATABASE])
agent_task = huey.task()(run_agent)
