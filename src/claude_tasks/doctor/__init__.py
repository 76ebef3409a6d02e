"""Is this installation ready? Facts are read without changing anything, then judged.

    wiring ─▶ Look ─▶ checks/<check>.py: reader, judge ─▶ Finding ─▶ Report ─▶ text, JSON, API

Reading only reads: it makes no folder, migrates nothing, takes no lease, writes no byte. What needs
adapters comes in as values of the `Look`, from the wiring. A fact is read when the first check asks
for it, so that findings appear as they are made and a single check costs no more than itself. Only
`repairs` changes anything, and only after it was agreed to.
"""
