"""Which requests an engine takes: asked in the process that serves HTTP, before the engine is.

vLLM gives that process neither its configuration nor the processor's object, only the class.  So
what it was started with is read where it stands: from the engine's own start if it is in the same
process, else from the command line.  Where neither is to be had nothing is fused, with the reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.request import ask_of, check_ask
from coterie.errors import ConfigurationError, RequestError

_FLAG = "--additional-config"

_known: list[FusionConfiguration] = []


def remember(configuration: FusionConfiguration) -> None:
    """The engine of this process has this ``configuration``.

    An offline ``vllm.LLM``, whose engine is another process, needs it to be called beforehand.
    """
    _known[:] = [configuration]


def check_params(sampling_params: Any) -> None:
    """Raises ValueError, as vLLM wishes, with the reason why a request cannot be taken."""
    try:
        ask = ask_of(sampling_params.extra_args)
        if ask is not None:
            check_ask(ask, _configuration(), answers=sampling_params.n)
    except (RequestError, ConfigurationError) as error:
        raise ValueError(str(error)) from None


def _configuration() -> FusionConfiguration:
    if not _known:
        _known.append(of_command_line(sys.argv))
    return _known[0]


def of_command_line(argv: Sequence[str]) -> FusionConfiguration:
    """The configuration in ``--additional-config JSON`` among the arguments of ``vllm serve``.

    Raises ConfigurationError where there is none.
    """
    flags = [argument.partition("=")[0].replace("_", "-") for argument in argv]
    if _FLAG not in flags:
        raise ConfigurationError(
            f"this server cannot say which fusions it has: start it with {_FLAG} and the whole"
            " JSON on the command line"
        )
    at = len(flags) - 1 - flags[::-1].index(_FLAG)
    _, equals, value = argv[at].partition("=")
    try:
        given = json.loads(value if equals else argv[at + 1])
    except (ValueError, IndexError) as error:
        raise ConfigurationError(f"{_FLAG} is not JSON ({error})") from None
    return FusionConfiguration.of_additional_config(given)
