"""Types of single fields, as the schemas share them."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

LARGEST_ID = 2**63 - 1

Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Id: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
V1Status: TypeAlias = Literal["pending", "running", "completed", "failed"]
