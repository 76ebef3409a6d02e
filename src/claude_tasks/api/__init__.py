"""The HTTP API: one more face of the operations.

The way of a request, outside in:

    uvicorn ─▶ guard      whose host and origin, which token, how large a body
            ─▶ answers    a list or a task asked for again, straight from encoded bytes
            ─▶ Litestar   routes: a name, an operation, a view; errors by one table
            ─▶ desk       database threads: whole units of work, one after the other in each lane

Streams do not go through the desk: a watcher looks at the change feed for all of them.
"""
