"""Where a published file is: at a path, in a folder of benchmark files, or on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coterie.errors import ConfigurationError
from evals.tasks.files import Row, read_member, read_rows
from evals.tasks.options import HubFile, TaskOptions


@dataclass(frozen=True, slots=True)
class Source:
    """One published file: its names where it may be at hand, and its place on the hub.

    A name ``archive.zip!member`` is a file in an archive encrypted with ``password``.
    """

    names: tuple[str, ...]
    hub: HubFile | None = None
    password: bytes = b""

    @property
    def places(self) -> tuple[str, ...]:
        """Relative to a folder: the names, and the hub's layout as its client downloads it."""
        if self.hub is None:
            return self.names
        return (*self.names, f"{self.hub.repo.partition('/')[2]}/{self.hub.path}")


def rows_of(source: Source, options: TaskOptions, *, main: bool = False) -> list[Row]:
    """The file's rows; ``main``: this is the file that ``options.path`` names, if that is a file.

    Raises :class:`ConfigurationError` where it is nowhere, with where it was looked for.
    """
    if main and options.path is not None and options.path.is_file():
        return _read(options.path, _member_in(source, options.path), source)
    for folder in _folders(options):
        for place in source.places:
            file, _, member = place.partition("!")
            if (folder / file).is_file():
                return _read(folder / file, member, source)
    if source.hub is not None and options.download is not None and options.path is None:
        return read_rows(options.download(source.hub), source.hub.path)
    raise _nowhere(source, options)


def _folders(options: TaskOptions) -> Iterator[Path]:
    if options.path is not None:
        yield options.path if options.path.is_dir() else options.path.parent
    elif options.folder is not None:
        yield options.folder


def _member_in(source: Source, path: Path) -> str:
    """The file to take from an archive; none where the path is no archive."""
    members = (n.partition("!")[2] for n in source.names if path.suffix == ".zip" and "!" in n)
    return next(members, "")


def _read(path: Path, member: str, source: Source) -> list[Row]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    if member:
        return read_rows(read_member(data, member, source.password, path.name), member)
    return read_rows(data, path.name)


def _nowhere(source: Source, options: TaskOptions) -> ConfigurationError:
    folders = [str(folder) for folder in _folders(options)]
    names = " or ".join(map(repr, source.places))
    looked = f"there is no {names} in {folders[0]!r}" if folders else f"no folder holds {names}"
    hub = f"put {source.hub.repo} of the Hugging Face hub there, or " if source.hub else ""
    return ConfigurationError(
        f"{looked}: {hub}set COTERIE_BENCHMARKS to the folder of its publisher's files "
        "(docs/tasks.md)"
    )
