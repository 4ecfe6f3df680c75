"""Which of the model's own inputs a tensor asks for a gradient on behalf of, if of nothing else."""

from collections.abc import Iterable

from padiff.frameworks.base import Framework, Origin, Tensor

__all__ = ["Origins"]

Places = frozenset[str]
_OTHER: Places = frozenset()  # a parameter, or whatever else is none of the model's inputs


class Origins:
    """The graph of one call of the model, as far as it has been looked at.

    `given` are the model's inputs that ask for a gradient, by place. Nodes are held meanwhile, so
    that none is taken for another: `release` lets go of them.
    """

    def __init__(self, framework: Framework, given: Iterable[tuple[str, Tensor]] = ()) -> None:
        self._framework = framework
        self._given: dict[tuple[int, int], Places] = {}
        self._known: dict[int, Places | None] = {}
        self._held: list[object] = []
        self._failed = False
        try:
            for place, tensor in given:
                origin = framework.origin(tensor)
                self._held.append(origin.node)
                key = origin.number, origin.output
                self._given[key] = self._given.get(key, _OTHER) | {place}
        except Exception:  # what was computed from this one could not be told from other things
            self._failed = True

    def of(self, tensor: Tensor) -> Places | None:
        """The places of the inputs that a tensor which asks for a gradient hangs on alone.

        None of them when it hangs on anything else that asks; None when that is not known.
        """
        if self._failed:
            return None
        if not self._given:
            return _OTHER
        entered: dict[int, list[Origin]] = {}
        try:
            places = self._walk(self._framework.origin(tensor), entered)
        except Exception:  # tensors and nodes may be the user's code: the model must run on
            places = None
        for number in entered:  # what is not known yet lies on the way to where the walk ended
            self._known.setdefault(number, places)
        return places

    def _walk(self, top: Origin, entered: dict[int, list[Origin]]) -> Places | None:
        """Depth first, without recursion: a graph may be deeper than Python's stack."""
        left = [top]
        while left:
            origin = left[-1]
            number = origin.number
            if self._is_known(origin):
                places = self._find(origin)
                if not places:
                    return places  # it settles all on the way to it
                left.pop()
            elif number not in entered:
                self._held.append(origin.node)
                entered[number] = self._framework.origins(origin.node)
                left += entered[number]
            else:
                found = (self._find(before) or _OTHER for before in entered[number])
                self._known[number] = _OTHER.union(*found)
        return self._find(top)

    def _is_known(self, origin: Origin) -> bool:
        return (origin.number, origin.output) in self._given or origin.number in self._known

    def _find(self, origin: Origin) -> Places | None:
        given = self._given.get((origin.number, origin.output))
        return self._known[origin.number] if given is None else given

    def release(self) -> None:
        """Keep nothing of the graph."""
        self._given.clear()
        self._known.clear()
        self._held.clear()
