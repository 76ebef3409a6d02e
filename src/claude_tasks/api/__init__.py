"""The HTTP API: makes the operations available over HTTP.

The layers that a request passes:

    uvicorn ─▶ request filter    whose host and origin, which token, how large a body
            ─▶ response cache    a list or a task asked for again, straight from encoded bytes
            ─▶ Starlette         routes: a name, an operation, a view; errors by one table
            ─▶ database threads  whole units of work, one after the other in each lane

Streams do not use these threads: one broadcast reads the change feed for all of them.
"""
