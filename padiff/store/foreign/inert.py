"""Names of what is data and does nothing: what a pickle may hold beside its tensors.

A call of one is never made. It stands for something that is no tensor, and what it would hold is
not looked at, but for what holds other values as dicts and lists do.
"""

__all__ = ["INERT", "LISTS", "MAPPINGS"]

_PYTHON = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
    *("range", "set", "slice", "str", "tuple", "Ellipsis", "NotImplemented"),
    *("long", "unicode", "xrange"),  # as Python 2 has them
)
_PATHS = ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
_BUILT_IN = ("builtins", "__builtin__")  # of which the second is Python 2's
_NUMPY = (
    *("bool", "bool_", "float16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
_RANDOM = (
    *(f"_pickle.__{kind}_ctor" for kind in ("generator", "bit_generator", "randomstate")),
    *(f"bit_generator.{kind}SeedSequence" for kind in ("", "__pyx_unpickle_")),
    *("_mt19937.MT19937", "_pcg64.PCG64", "_pcg64.PCG64DXSM", "_philox.Philox", "_sfc64.SFC64"),
)
_TORCH = (
    *("_C.Generator", "complex32", "qint8", "qint32", "quint8", "quint2x4", "quint4x2"),
    *(f"per_{unit}_{kind}" for unit in ("tensor", "channel") for kind in ("affine", "symmetric")),
    "per_channel_affine_float_qparams",
)

MAPPINGS = frozenset(("collections.OrderedDict", "collections.defaultdict"))
"""What holds values by their keys."""

LISTS = frozenset(
    ("collections.deque", *(f"{top}.{kind}" for top in _BUILT_IN for kind in ("set", "frozenset")))
)
"""What holds values one after the other."""

INERT = frozenset(
    (
        *MAPPINGS,
        *LISTS,
        *(f"{top}.{name}" for top in _BUILT_IN for name in _PYTHON),
        *("argparse.Namespace", "types.SimpleNamespace", "collections.Counter"),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(
            "decimal.Decimal",
            "fractions.Fraction",
            "random.Random",
            "time.struct_time",
            "uuid.UUID",
        ),
        *(f"{top}.{name}" for top in ("pathlib", "pathlib._local") for name in _PATHS),
        *(f"numpy.{name}" for name in _NUMPY),
        *(f"numpy.random.{name}" for name in _RANDOM),
        *(f"torch.{name}" for name in _TORCH),
        "paddle.dtype",
    )
)
"""All of these names, those above too."""
