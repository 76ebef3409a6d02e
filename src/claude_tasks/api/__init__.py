"""The HTTP API: one more face of the operations.

The way of a request, outside in:

    uvicorn ─▶ request filter    whose host and origin, which token, how large a body
            ─▶ response cache    a list or a task asked for again, straight from encoded bytes
            ─▶ Starlette         routes: a name, an operation, a view; errors by one table
            ─▶ database threads  whole units of work, one after the other in each lane

Streams do not go through these threads: one broadcast looks at the change feed for all of them.
"""
