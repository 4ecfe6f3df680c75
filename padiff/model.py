"""What recording begins with: `create_model` and its options."""

from typing import Any, Never, TypedDict

from padiff.keywords import check_keywords
from padiff.proxy import ProxyModel
from padiff.recording.failing import OnError
from padiff.recording.memory import MEMORY_LIMIT, bytes_in
from padiff.recording.recording import Keeping
from padiff.recording.spool import Tensors
from padiff.store.chunks import CHUNK_BYTES
from padiff.store.storage import Compression, Format, Storage

__all__ = ["Options", "create_model"]


class Options(TypedDict, total=False):
    """The keywords of `create_model`, for who hands them on to it."""

    name: str | None
    inputs: bool
    format: Format | None
    compression: Compression | None
    chunk_bytes: int
    shard_bytes: int | None
    durable: bool
    on_error: OnError
    memory_limit: str | int
    background: bool
    tensors: Tensors


def create_model(
    model: Any,
    name: str | None = None,
    *,
    inputs: bool = False,
    format: Format | None = None,  # noqa: A002  # its name in the store's documentation
    compression: Compression | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    shard_bytes: int | None = None,
    durable: bool = True,
    on_error: OnError = "raise",
    memory_limit: str | int = MEMORY_LIMIT,
    background: bool = False,
    tensors: Tensors = "full",
    **unknown: Never,
) -> ProxyModel:
    """Wrap a torch or paddle model so that its runs are recorded and can be dumped.

    `name` is the model's name in dumps, its class name by default. `inputs` records what every
    layer was given, not the model alone. The model itself is not changed, and may be wrapped more
    than once; a ProxyModel stands for the model in it.

    `format` is `zarr` or `hdf5`, by default that of the suffix of where dumps go. `compression`
    names codecs of the format, chunks hold at most `chunk_bytes` (16 MiB), and with `shard_bytes`
    Zarr puts so much into one file. Dumps are on the disk itself before they are seen, unless
    `durable` is false, which is faster and loses to a power failure what the system has not written
    yet. With `on_error="warn"` a dump that fails is a PadiffWarning, and training goes on.

    Captured tensors take at most `memory_limit` of memory (a number of bytes, or such as `256MiB`;
    1 GiB by default); what does not fit is written to a hidden directory beside the dumps while the
    model runs, and moved into the dump. With `background` a dump copies what the model may change
    next, as far as memory goes, and is written while the model goes on: errors come with the next
    call, or with `flush`. With `tensors="statistics"` dumps hold figures and digests of each
    tensor, and no elements.

    Raises TypeError when `model` is of neither framework, or for another option, UsageError for
    options that no dump can be made with.
    """
    check_keywords("padiff.create_model", unknown, Options.__annotations__)
    storage = Storage(format, compression, chunk_bytes, shard_bytes, durable)
    model = model.model if isinstance(model, ProxyModel) else model
    keeping = Keeping(bytes_in(memory_limit), tensors, background)
    return ProxyModel(
        model, name, inputs=inputs, storage=storage, keeping=keeping, on_error=on_error
    )
