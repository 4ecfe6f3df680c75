"""padiff: find the first layer where two neural networks stop giving the same numbers.

Record a run with `create_model`, compare two stores with `compare`, `check_report` and its
siblings, or the command `padiff-check`, and look into one with `open_dump`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padiff.version import __version__

if TYPE_CHECKING:
    from padiff.assign import assign_weight
    from padiff.check import (
        check_dataloader,
        check_grads,
        check_params,
        check_report,
        check_weights,
    )
    from padiff.comparing.comparison import Comparison
    from padiff.comparing.diff_tree import diff_tree
    from padiff.comparing.engine import compare
    from padiff.comparing.structure import TreeDifference
    from padiff.converting.conversion import Conversion
    from padiff.converting.convert import convert
    from padiff.diff import auto_diff
    from padiff.dump_root import get_dump_root_path, set_dump_root_path
    from padiff.errors import PadiffError, PadiffWarning
    from padiff.inspecting.inspect import inspect
    from padiff.inspecting.inspection import Inspection
    from padiff.loop import LoopRecording, record
    from padiff.model import create_model
    from padiff.naming.suggest import suggest_map
    from padiff.naming.table import NamedPair, table_text
    from padiff.proxy import ProxyModel
    from padiff.store.reader import open_dump
    from padiff.store.verification import Verification
    from padiff.store.verify import verify
    from padiff.weights.special import add_special_init

__all__ = [
    "Comparison",
    "Conversion",
    "Inspection",
    "LoopRecording",
    "NamedPair",
    "PadiffError",
    "PadiffWarning",
    "ProxyModel",
    "TreeDifference",
    "Verification",
    "__version__",
    "add_special_init",
    "assign_weight",
    "auto_diff",
    "check_dataloader",
    "check_grads",
    "check_params",
    "check_report",
    "check_weights",
    "compare",
    "convert",
    "create_model",
    "diff_tree",
    "get_dump_root_path",
    "inspect",
    "open_dump",
    "record",
    "set_dump_root_path",
    "suggest_map",
    "table_text",
    "verify",
]

# Loaded when first asked for: the command line's --help needs none of them, and whoever only
# compares does not pay for recording.
_HOME = {
    "Comparison": "padiff.comparing.comparison",
    "Conversion": "padiff.converting.conversion",
    "Inspection": "padiff.inspecting.inspection",
    "LoopRecording": "padiff.loop",
    "NamedPair": "padiff.naming.table",
    "PadiffError": "padiff.errors",
    "PadiffWarning": "padiff.errors",
    "ProxyModel": "padiff.proxy",
    "TreeDifference": "padiff.comparing.structure",
    "Verification": "padiff.store.verification",
    "add_special_init": "padiff.weights.special",
    "assign_weight": "padiff.assign",
    "auto_diff": "padiff.diff",
    "check_dataloader": "padiff.check",
    "check_grads": "padiff.check",
    "check_params": "padiff.check",
    "check_report": "padiff.check",
    "check_weights": "padiff.check",
    "compare": "padiff.comparing.engine",
    "convert": "padiff.converting.convert",
    "create_model": "padiff.model",
    "diff_tree": "padiff.comparing.diff_tree",
    "get_dump_root_path": "padiff.dump_root",
    "inspect": "padiff.inspecting.inspect",
    "open_dump": "padiff.store.reader",
    "record": "padiff.loop",
    "set_dump_root_path": "padiff.dump_root",
    "suggest_map": "padiff.naming.suggest",
    "table_text": "padiff.naming.table",
    "verify": "padiff.store.verify",
}

# What padiff/showing.py asks for, and nobody else.
_SHOWING = {"html_of": "padiff.notebook", "plot": "padiff.plotting"}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name) or _SHOWING.get(name)
    if home is None:
        raise AttributeError(f"module 'padiff' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
