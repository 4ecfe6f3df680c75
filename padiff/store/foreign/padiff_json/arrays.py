"""The tensors of a section, each with the file that it lies in."""

import re

from padiff.errors import CorruptError, FormatError
from padiff.store.foreign.contents import Entry, record_of
from padiff.store.foreign.padiff_json.documents import Tensor
from padiff.store.foreign.padiff_json.files import Files
from padiff.tree import MAX_DEPTH, Phase, TensorRecord

__all__ = ["Arrays", "without_model"]

_SIZES = re.compile(r"\[([\d, ]*)\]")


class Arrays:
    """Makes the records of tensors, and keeps what each is read from, by its array's path."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.entries: dict[str, Entry] = {}

    def check_depth(self, depth: int) -> None:
        """FormatError for what is nested deeper than any model."""
        if depth > MAX_DEPTH:
            raise FormatError(
                f"expected at most {MAX_DEPTH} nested layers in {self._files.document}, found more"
            )

    def has(self, path: str) -> bool:
        """Whether there is a file at a path of the run."""
        return self._files.locate(path).is_file()

    def record(
        self,
        array: str,
        tensor: str | Tensor,
        phase: Phase | None,
        place: str,
        order: int,
        *,
        buffer: bool = False,
    ) -> TensorRecord:
        """A tensor by its path; CorruptError where no array of its shape lies there."""
        path, shape = (tensor, "") if isinstance(tensor, str) else (tensor.path, tensor.shape)
        entry = self._files.entry(path)
        sizes = _SIZES.search(shape)
        if sizes and tuple(map(int, re.findall(r"\d+", sizes[1]))) != entry.shape:
            raise CorruptError(
                f"expected {sizes[0]} elements along the axes of {self._files.locate(path)}, as "
                f"the JSON says, found {list(entry.shape)}: it was changed after it was written"
            )
        self.entries[array] = entry
        return record_of(entry, array, phase, place, order, buffer=buffer)


def without_model(route: str, model: str) -> str:
    """A route without the name of the model, which it begins with."""
    return "" if route == model else route.removeprefix(f"{model}.")
