"""How a run is carried out: argv, the supervisor process, the transcript, the run log.

    engine ──claim──▶ executor ──folder──▶ spawner ──fork──▶ supervisor ──exec──▶ agent
                         ▲                                       │
                         └────────── exit.json ◀─────────────────┘

Every claim of a run has a folder of its own. Its files are the whole protocol, and they outlive
every process:

* ``spec.json``: what to do; written by the executor. The supervisor holds its lock as long as it
  lives; the spawner takes it before the fork.
* ``prompt.txt``: the agent's standard input. The agent and its children inherit its lock, which is
  held as long as any of them lives.
* ``started.json``: on disk before the agent is started.
* ``exit.json``: how it ended; created once. Only the process that holds the lock of ``spec.json``
  may write it, so a rescuer that declares a run lost and a supervisor that starts late never both
  act.
"""
