"""Golden stores: what a test's models did once, recorded to hold them to it afterwards."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Unpack

from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.errors import PadiffError, UsageError
from padiff.keywords import check_keywords
from padiff.proxy import ProxyModel
from padiff.recording.recording import Keeping
from padiff.recording.spool import Tensors
from padiff.render.findings import verdict
from padiff.render.terminal import render
from padiff.store.files import Writing
from padiff.store.flush import flush_directory, flush_file
from padiff.store.format import safe_name
from padiff.store.leftovers import begin_alone
from padiff.store.storage import Compression, Storage
from padiff.testing import Options, assert_aligned

__all__ = ["SUFFIX", "Done", "Golden", "Place", "Update", "put_in_place", "unknown_stores"]

_UPDATE = "--padiff-update"
SUFFIX = ".zarr.zip"  # one file, whose bytes a version control system compresses by itself


@dataclass(frozen=True, slots=True)
class Place:
    """Where the golden stores of one test lie: all in a directory, beginning with its name."""

    directory: Path
    test: str

    def store(self, name: str | None) -> Path:
        """The store of the model of that name, or of the one without a name."""
        return self.directory / f"{_file_name(self.test, name)}{SUFFIX}"

    def stores(self) -> Iterator[Path]:
        """All that are there."""
        stem = _file_name(self.test)
        for path in _stores_in(self.directory):
            if path.name == f"{stem}{SUFFIX}" or path.name.startswith(f"{stem}."):
                yield path


def _file_name(*words: str | None) -> str:
    """Names as one that every file system takes; brackets, as around parameters, are left."""
    names = [safe_name(word) for word in words if word is not None]
    return ".".join(names).replace("=5B", "[").replace("=5D", "]")


def _stores_in(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{SUFFIX}"))


def unknown_stores(directory: Path, tests: Sequence[str]) -> list[Path]:
    """The golden stores of a test module that belong to none of its tests."""
    known = {path for test in tests for path in Place(directory, test).stores()}
    return [path for path in _stores_in(directory) if path not in known]


Done = Literal["written", "replaced", "kept"]


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a golden store that was to be brought up to date, and why."""

    store: Path
    done: Done
    reason: str = ""


@dataclass(slots=True)
class _Subject:
    """A model, its golden store, and whether what it did until then was compared."""

    proxy: ProxyModel
    store: Path
    fresh: Path
    checked: bool = False

    @property
    def is_checked(self) -> bool:
        return self.checked and not self.proxy._recording.roots

    def finish(self) -> None:
        """Have all that was recorded in the fresh store."""
        __tracebackhide__ = True
        if self.proxy._recording.roots:
            self.proxy.try_dump()
        elif not self.fresh.exists():
            raise UsageError(
                f"expected a call of what padiff_golden.model returned for {self.proxy.name}, got "
                "none, and nothing to compare: call that in the model's place"
            )


@dataclass(slots=True, repr=False)
class Golden:
    """The models of one test beside their golden stores; pytest's fixture `padiff_golden`.

    With `update` golden stores are made, or replaced where they do not agree; without, a model that
    has none is a failure. `fresh` is a directory for what is recorded now, which is left there when
    a check fails. Paths below `home`, the directory that the user is in, are shown from there.
    `updates` and `texts` tell what was done and found so far.
    """

    place: Place
    fresh: Path
    update: bool
    home: Path
    updates: dict[Path, Update] = field(init=False, default_factory=dict)
    texts: list[str] = field(init=False, default_factory=list)
    _subjects: dict[str | None, _Subject] = field(init=False, default_factory=dict)
    _failed: bool = field(init=False, default=False)

    def model(
        self,
        model: Any,
        name: str | None = None,
        *,
        inputs: bool = False,
        tensors: Tensors = "full",
        compression: Compression | None = None,
    ) -> ProxyModel:
        """Wrap a model, to be called in its place and compared with its golden store.

        A test that has several gives each a name, which its golden store has too. The options are
        those of `create_model`. Dumps without a place are steps of the recording: in a loop call
        `try_dump()` after each backward. What was recorded since the last is a step as well.

        Raises UsageError for a name that another model of the test has, and what `create_model`
        does.
        """
        __tracebackhide__ = True
        if name in self._subjects:
            raise UsageError(
                "expected each model of a test to have a name of its own, got "
                f"{'two without one' if name is None else f'{name} twice'}: give a name to each, "
                "as in padiff_golden.model(net, 'teacher')"
            )
        store = self.place.store(name)
        proxy = ProxyModel(
            model.model if isinstance(model, ProxyModel) else model,
            name,
            inputs=inputs,
            storage=Storage(compression=compression, durable=False),
            keeping=Keeping(tensors=tensors),
            home=self.fresh / store.name,
        )
        self._subjects[name] = _Subject(proxy, store, self.fresh / store.name)
        return proxy

    def check(self, *models: ProxyModel, **options: Unpack[Options]) -> tuple[Comparison, ...]:
        """Compare what these models did, by default all of the test, with their golden stores.

        The options are those of `padiff.compare`. Several checks of one recording may each take
        others. At the end of a test that has passed, what it did not check is checked with the
        defaults. Returns the comparison of each model.

        Raises AssertionError where one is not aligned or has no golden store, UsageError where
        there is nothing to compare, and what `padiff.compare` raises.
        """
        __tracebackhide__ = True
        check_keywords("padiff_golden.check", options, Options.__annotations__)
        chosen = self._chosen(models)
        failures, comparisons = [], []
        for subject in chosen:
            subject.finish()
            subject.checked = True
            try:
                if self.update:
                    self._bring_up_to_date(subject, options)
                comparisons.append(self._compare(subject, options))
            except AssertionError as error:
                failures.append(str(error))
            except PadiffError as error:
                self._failed = True
                raise error.with_traceback(None) from None
        if failures:
            self._failed = True
            raise AssertionError("\n\n".join(failures))
        self.texts += map(render, comparisons)
        return tuple(comparisons)

    def finish(self) -> None:
        """Check what was not checked yet, as `check` does."""
        __tracebackhide__ = True
        left = [subject.proxy for subject in self._subjects.values() if not subject.is_checked]
        if left or not self._subjects:
            self.check(*left)

    def close(self) -> None:
        """Remove what was recorded, unless it is of use to see why a check has failed."""
        if not self._failed:
            shutil.rmtree(self.fresh, ignore_errors=True)

    def unused(self) -> list[Path]:
        """Golden stores that bear the test's name, and are of none of its models."""
        used = {subject.store for subject in self._subjects.values()}
        return [path for path in self.place.stores() if path not in used]

    def shown(self, path: Path) -> str:
        """A path as the user would type it."""
        at_home = Path.cwd() == self.home and path.is_relative_to(self.home)
        return str(path.relative_to(self.home) if at_home else path)

    def __repr__(self) -> str:
        return f"<Golden of {self.place.test} in {self.shown(self.place.directory)}>"

    def _chosen(self, models: Sequence[ProxyModel]) -> list[_Subject]:
        __tracebackhide__ = True
        subjects = list(self._subjects.values())
        chosen = [subject for subject in subjects if not models or subject.proxy in models]
        if not chosen or len(chosen) < len(set(models)):
            raise UsageError(
                "expected models to check that padiff_golden.model returned, got "
                f"{', '.join(map(repr, models)) or 'none'}: wrap the model of the test by it"
            )
        return chosen

    def _compare(self, subject: _Subject, options: Options) -> Comparison:
        store, fresh = self.shown(subject.store), self.shown(subject.fresh)
        if not subject.store.exists():
            raise AssertionError(
                f"expected a golden store at {store}, found none: pytest {_UPDATE} records it, "
                "to be kept under version control"
            )
        try:
            return assert_aligned(store, fresh, **options)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\nIf the change is meant, pytest {_UPDATE} replaces the golden store.\n"
                "If nothing was changed, something is random: seed it in the test."
            ) from None
        except UsageError:
            raise
        except PadiffError as error:
            error.add_note(f"pytest {_UPDATE} replaces a golden store that cannot be read.")
            raise

    def _bring_up_to_date(self, subject: _Subject, options: Options) -> None:
        """Put what was recorded in the place of a golden store that is missing or another."""
        store, fresh = subject.store, subject.fresh
        compare(fresh, fresh, **options)  # options that make no sense are to change nothing
        done: Done = "replaced" if store.exists() else "written"
        reason = self._reason_to_replace(subject, options) if done == "replaced" else ""
        if done == "written" or reason:
            put_in_place(fresh, store)
        else:
            done = "kept"
        if store not in self.updates or self.updates[store].done == "kept":
            self.updates[store] = Update(store, done, reason)

    def _reason_to_replace(self, subject: _Subject, options: Options) -> str:
        """Why a golden store cannot stay as it is; empty where it can.

        What agrees within the tolerance stays, so that rounding neither changes files nor adds up.
        """
        try:
            comparison = compare(subject.store, subject.fresh, **options)
        except PadiffError as error:
            return str(error)
        if not comparison.aligned:
            self.texts.append(render(comparison))
            return verdict(comparison)
        lone = sum(item.kind != "unrecorded" for item in comparison.unmatched)
        return f"all that both have agrees, {lone} without a partner" if lone else ""


def put_in_place(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever sees half of it, and no power failure leaves that."""
    with Writing(target, source.stat().st_size):
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = begin_alone(target.parent, target.name, what=str(target))
        try:
            copy = workplace.path / target.name
            shutil.copyfile(source, copy)
            flush_file(copy)
            copy.replace(target)
            flush_directory(target.parent)
        finally:
            workplace.remove()
