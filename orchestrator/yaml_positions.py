"""Reads YAML and remembers which line every value came from; knows nothing of what it means.

Stricter than YAML itself: a key given twice in one mapping is an error, not a silent overwrite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from coterie.errors import ConfigurationError


class Document:
    """The content of one YAML file: its ``data``, and where each part of that stands.

    ``source`` is what stands in it, where it is no file of this machine.
    """

    def __init__(self, path: Path, source: str | None = None) -> None:
        self.path = path
        self.data: Any = self._parse(self._read() if source is None else source)

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigurationError(
                f"{self.path} cannot be read ({reason}); "
                "COTERIE_CONFIG names the file that declares the experts"
            ) from None

    def at(self, loc: Sequence[str | int]) -> str:
        """``file:line`` of the deepest part of ``loc`` that exists in the file."""
        node, line = self._root, 1
        for step in loc:
            found = _step(node, step)
            if found is None:
                break
            node, line = found
        return f"{self.path}:{line}"

    def _parse(self, source: str) -> Any:
        self._root: yaml.Node | None = None
        try:
            with _loader(source) as loader:
                self._root = loader.get_single_node()
                if self._root is None:
                    return None
                self._refuse_repeats(self._root, set())
                return loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"{self.path}:{mark.line + 1}" if mark else str(self.path)
            raise ConfigurationError(f"{where}: this is not YAML: {error.problem}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{self.path}: this is not YAML: {error}") from None

    def _refuse_repeats(self, node: yaml.Node, seen: set[int]) -> None:
        if id(node) in seen:  # an alias may point at a node that holds it
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeated_keys(node)
            for _, value in node.value:
                self._refuse_repeats(value, seen)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_repeats(item, seen)

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if str(key.value) in first:
                raise ConfigurationError(
                    f"{self.path}:{line}: the key {key.value!r} was given in line "
                    f"{first[str(key.value)]} already; keep one of them"
                )
            first[str(key.value)] = line


@contextmanager
def _loader(source: str) -> Iterator[yaml.SafeLoader]:
    """A loader of ``source`` that lets go of it at the end."""
    loader = yaml.SafeLoader(source)
    try:
        yield loader
    finally:
        loader.dispose()


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None
