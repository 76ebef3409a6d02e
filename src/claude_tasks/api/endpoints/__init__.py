"""Every endpoint of the API, a module for each thing they are about."""

from claude_tasks.api.endpoints import runs, scheduler, settings, streams, tasks

ENDPOINTS = (
    *settings.ENDPOINTS,
    *tasks.ENDPOINTS,
    *runs.ENDPOINTS,
    *scheduler.ENDPOINTS,
    *streams.ENDPOINTS,
)
