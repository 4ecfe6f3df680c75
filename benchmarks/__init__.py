"""How fast padiff is, beside what else does the job and beside the physical limit."""

__all__: list[str] = []
