"""The search for partners: by values where they tell, by names and order where they do not."""

from padiff.naming.equal import add_aliases, add_copies, add_equal, add_in_layers
from padiff.naming.found import Found
from padiff.naming.parts import add_parts
from padiff.naming.similar import Similar
from padiff.naming.table import NamedPair

__all__ = ["search"]


def search(found: Found) -> list[NamedPair]:
    """All rows of a table, the surest pairs found first: what has a partner is not asked again."""
    copies = add_equal(found)
    add_parts(found)
    similar = Similar(found)
    add_copies(found, copies, similar.paired)
    add_in_layers(found)
    similar.add_pairs()
    add_aliases(found)
    return found.rows()
