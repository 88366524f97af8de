"""Whether the parts of an engine's fusions are there and belong together, by their files alone.

Loads no model and needs no torch, so that whoever starts an engine can be told at once what else
stands somewhere in its log.
"""

from __future__ import annotations

from pathlib import Path

from aggregator.fusion.configuration import FusionConfiguration, SmallModel
from aggregator.fusion.vocabulary import Vocabulary, read, refuse_differences
from coterie.errors import ConfigurationError


def check_files(configuration: FusionConfiguration, large: str) -> Vocabulary:
    """The vocabulary that all parts share with ``large``, a folder or a name on the hub.

    Raises ConfigurationError where a part is missing or has another vocabulary.
    """
    check_folders(configuration)
    vocabulary = read(tokenizer_folder("the large model", large))
    owners = {configuration.small[name].model: name for name in configuration.used()}
    for model, name in owners.items():
        refuse_differences(vocabulary, read(tokenizer_folder(f"small model {name!r}", model)))
    return vocabulary


def check_folders(configuration: FusionConfiguration) -> None:
    """Refuses small models whose folders are not there, all named at once."""
    missing = [
        f"{name!r}: {folder}"
        for name in configuration.used()
        for folder in _folders(configuration.small[name])
        if not Path(folder).is_dir()
    ]
    if missing:
        raise ConfigurationError(
            f"small models without their folders: {'; '.join(missing)}; correct the paths, which"
            " the engine sees from its own working directory"
        )


def tokenizer_folder(owner: str, model: str) -> Path:
    """Where the tokenizer of a folder, or of a name on the hub, lies on this machine."""
    if Path(model).is_dir():
        return Path(model)
    from transformers.utils import cached_file

    try:
        return Path(str(cached_file(model, "tokenizer.json"))).parent
    except OSError as error:
        raise ConfigurationError(
            f"{owner}, {model!r}, has no tokenizer.json that could be had ({error}); vocabularies"
            " must be compared, so put it beside the weights"
        ) from None


def _folders(small: SmallModel) -> list[str]:
    """What of it must be on this machine: a model may be a name on the hub instead."""
    local = small.model.startswith(("/", ".", "~"))
    return ([small.model] if local else []) + ([small.adapter] if small.adapter else [])
