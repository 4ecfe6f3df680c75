"""What zarr-python loads before it opens a group, and by which it knows `padiff.zarr_types`.

It collects entry points of the group `zarr.data_type`, and up to 3.1.6 never loads them. Those for
buffers it does: ours names its own buffer, which it registers once more under the name it has.
"""

from contextlib import suppress

from zarr.core.buffer.cpu import Buffer

with suppress(Exception):  # a zarr without data types (3.0), or with others, must go on working
    import padiff.zarr_types  # noqa: F401  # registers them

__all__ = ["Buffer"]
