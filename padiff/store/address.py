"""What a user types for a location, as text: a path, or a URL."""

import os
from pathlib import Path
from urllib.parse import unquote

from padiff.errors import UsageError

__all__ = ["Location", "below", "down_to", "is_elsewhere", "is_url", "local_path", "tidy"]

Location = str | Path

_LOCAL = "file://"


def is_url(location: Location) -> bool:
    """Whether a location is a URL: not to be joined as a path is."""
    return isinstance(location, str) and "://" in location


def is_elsewhere(location: Location) -> bool:
    """Whether a location is a URL of any but the local file system."""
    return is_url(location) and not str(location).startswith(_LOCAL)


def below(location: Location, name: str) -> Location:
    """The location one name further down, a URL for a URL."""
    if is_url(location):
        return f"{str(location).rstrip('/')}/{name}"
    return Path(location) / name


def tidy(url: str) -> str:
    """A URL without empty names, by which an object store would know other objects."""
    scheme, _, path = url.partition("://")
    host, *names = path.split("/")  # an empty host is one
    if not path.strip("/"):
        raise UsageError(f"expected a bucket or a name behind ://, got {url}")
    return f"{scheme}://{'/'.join([host, *filter(None, names)])}"


def down_to(url: str) -> list[str]:
    """The URLs that lead down to one, itself the last."""
    scheme, _, path = url.partition("://")
    names = path.split("/")
    return [f"{scheme}://{'/'.join(names[:n])}" for n in range(1, len(names) + 1)]


def local_path(location: Location) -> Path:
    """The absolute path that a location names; UsageError where it cannot name one."""
    if not isinstance(location, str | Path):
        raise UsageError(f"expected the path of a padiff store, got {location!r:.40}")
    text = str(location)
    if text.startswith(_LOCAL):
        host, _, path = text.removeprefix(_LOCAL).partition("/")
        if host not in ("", "localhost"):
            raise UsageError(f"expected file:// and a path from / on, got {text}")
        text = unquote(f"/{path}")
    if not text or "\0" in text:
        raise UsageError(f"expected the path of a padiff store, got {text!r}")
    if text.startswith("~"):  # as a shell has it, which leaves it alone in quotes
        text = os.path.expanduser(text)  # noqa: PTH111
    return Path(os.path.abspath(text))  # noqa: PTH100  # pathlib keeps the `..` of a path
