"""Whatever the OpenAPI description allows, and much that it does not: never a 500.

Cases are made by schemathesis from the service's own description, for every operation, and sent to
a running gateway.  The long run has more than 10,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from tests.flows.served import Served, served_from

SHORT, LONG = 3, 160
"""Cases of one operation, of each of two kinds: as described, and not."""
DEADLINE_S = 10.0
AWAY = (502, 503, 504)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path) -> Iterator[Served]:
    with served_from(_migrated_file, tmp_path_factory.mktemp("cases")) as found:
        yield found


@pytest.mark.parametrize(
    "examples", [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_nothing_that_is_sent_is_a_500(served: Served, examples: int) -> None:
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    with requests.Session() as session:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for operation in _operations(served.description):
                _send(served, session, operation, mode, examples, statuses, problems)
    print(f"{sum(statuses.values())} cases: {dict(sorted(statuses.items()))}")
    assert problems == []
    assert sum(statuses.values()) >= (10_000 if examples == LONG else 200)


def _operations(description: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(description, config=SchemathesisConfig())
    return [found.ok() for found in schema.get_all_operations()]


def _send(
    served: Served,
    session: requests.Session,
    operation: Any,
    mode: GenerationMode,
    examples: int,
    statuses: Counter[int],
    problems: list[str],
) -> None:
    """Sends cases of one operation; what should not be is noted, and the others go on."""
    documented = set(operation.definition.raw["responses"])

    def check(case: Any) -> None:
        try:
            response = case.call(
                base_url=served.url, session=session, headers=served.headers, timeout=DEADLINE_S
            )
        except requests.RequestException as error:
            problems.append(f"{error!r}: {case.as_curl_command()[:600]}")
            return
        status = response.status_code
        statuses[status] += 1
        told = f"{case.as_curl_command()[:600]}\n  {status} {response.text[:300]}"
        if status == 500:
            problems.append(told)
        elif status in AWAY:
            if str(status) not in documented:
                problems.append(f"not documented: {told}")
            if "retry-after" not in response.headers:
                problems.append(f"no Retry-After: {told}")

    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Exception as error:  # nothing can be wrong with an operation that takes nothing
        if mode is GenerationMode.NEGATIVE:
            return
        raise AssertionError(f"no cases for {operation.label}") from error
    # Of some operations nothing can be made that is not as described.
    with suppress(Unsatisfiable):
        _run(strategy, check, examples)


def _run(strategy: st.SearchStrategy[Any], check: Any, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def cases(case: Any) -> None:
        check(case)

    cases()
