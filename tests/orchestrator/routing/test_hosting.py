"""How much memory experts take."""

import math

from coterie.types import Expert, ExpertKind
from orchestrator.routing.hosting import hosting_of


def expert(name: str, kind: ExpertKind = ExpertKind.VLLM, **fields: object) -> Expert:
    return Expert(name, kind, name, **fields)  # type: ignore[arg-type]


def test_weights_take_two_bytes_a_parameter() -> None:
    found = hosting_of([expert("b", total_params_b=7.0), expert("a", total_params_b=3.0)])
    assert found.memory_gb == (6.0, 14.0)
    assert found.engine == (1, 0)


def test_adapters_share_the_memory_of_their_base() -> None:
    lora = ExpertKind.LORA
    found = hosting_of(
        [expert("base", total_params_b=8.0), expert("x", lora, base="base"), expert("z")]
    )
    assert found.engine == (0, 0, 1)
    assert found.memory_gb == (16.0, math.inf)


def test_all_parameters_count_however_few_are_active() -> None:
    moe = expert("moe", total_params_b=47.0, active_params_b=13.0)
    assert hosting_of([moe]).memory_gb == (94.0,)
