"""Reading tensors and layers that may do anything: what goes wrong is a reason, not an error."""

import numpy as np

from padiff.dtypes import dtype_of
from padiff.frameworks.base import Framework, HostTensor, Layer, Tensor

__all__ = ["describe", "host_tensor"]


def host_tensor(framework: Framework, tensor: Tensor) -> HostTensor | str:
    """The elements of a tensor or NumPy array, or the reason why they cannot be stored."""
    try:
        if isinstance(tensor, np.ndarray):
            host = HostTensor(tensor, "cpu", live=True)
        else:
            host = framework.to_host(tensor)
        dtype_of(host.values.dtype)
    except Exception as error:  # whatever the tensor's class raises, the model must run on
        # its first line: frameworks append whole tracebacks
        return str(error).strip().partition("\n")[0][:400] or type(error).__name__
    return host


def describe(layer: Layer) -> str:
    """The layer's class and settings, without what lies inside it."""
    name = type(layer).__name__
    try:
        return f"{name}({layer.extra_repr()})"
    except Exception:  # the user's code, and no more than a text
        return name
