"""How a run is carried out: argv, the supervisor process, the transcript, the run log.

    engine ──claim──▶ executor ──folder──▶ spawner ──fork──▶ supervisor ──exec──▶ agent
                         ▲                                       │
                         └────────── exit.json ◀─────────────────┘

Every claim of a run has a folder of its own. Its files are the whole protocol, and they outlive
every process:

* ``spec.json``, ``prompt.txt``: what to do; written by the executor.
* ``supervisor.lock``: held by the supervisor as long as it lives, taken before the fork.
* ``agent.lock``: inherited by the agent and its children; held as long as any of them lives.
* ``started.json``: on disk before the agent is started.
* ``exit.json``: how it ended; created once. Whoever holds ``supervisor.lock`` may write it, so a
  rescuer that declares a run lost and a supervisor that comes late can never both act.
"""
