"""Is this installation ready? A face: facts are gathered without a trace, then judged.

    gathering ──▶ Facts ──▶ one pure evaluator a check ──▶ Finding ──▶ Report ──▶ text, JSON, API

Gathering only reads: it makes no folder, migrates nothing, takes no lease, writes no byte. What
needs adapters comes in as functions (`gathering.Sources`, filled in by the wiring). A fact is
gathered when the first check asks for it, so that findings appear as they are made and a single
check costs no more than itself. Only `repairs` changes anything, and only after it was agreed to.
"""
