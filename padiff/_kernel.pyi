from typing import Any

from numpy.typing import NDArray

def describe(
    data: NDArray[Any], dtype: str, /
) -> tuple[int, float, float, float, float, float, int, int]:
    """The figures of contiguous elements, in double precision.

    `dtype` is a name of the table of dtypes, float8 and complex excepted. Returns, over the finite
    elements, their count, min, max, sum, sum of absolute values and sum of squares; then how many
    others are NaN, and how many infinite. Raises TypeError for another dtype.
    """

def read_part(file: int, start: int, steps: tuple[int, ...], target: NDArray[Any], /) -> bool:
    """Fill `target` from a file in which a step along each axis takes `steps` bytes, from `start`.

    False where the file ends before. Raises OSError where it cannot be read.
    """

def compare(
    base: NDArray[Any],
    base_dtype: str,
    raw: NDArray[Any],
    raw_dtype: str,
    atol: float,
    rtol: float,
    errors: NDArray[Any] | None,
    /,
) -> tuple[int, int, int, int, float, float, float, float, float, float, float, float, float, int]:
    """The figures of two arrays of one shape and any strides.

    Types as for `describe`. Returns the fields of `PairStatistics` in their order, and last the
    place in C order of the worst element: of the first that is not finite on one side alone, else
    of the first of the greatest error; -1 where all are equal. `errors` are float64 and take the
    place of `abs(raw - base)`, beside arrays in C order; elements to be left out are then NaN in
    them, and in base or raw. Raises ValueError when these do not go together.
    """

def end_when_cut_short(line: str, /) -> None:
    """Have the process end with 2, and say `line`, where a part of a file that is mapped is gone.

    Raises ValueError for a line of 512 bytes or more.
    """
