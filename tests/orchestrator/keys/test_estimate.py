"""What a request may cost at most."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coterie.types import Question, Sampling
from orchestrator.keys.budget import Spent
from orchestrator.keys.estimate import UNSAID, most_spent, prompt_tokens


def test_an_expert_asked_by_name_is_one_call(kit: Any) -> None:
    dear = kit.expert("a", prompt_price=1e6, completion_price=2e6)
    assert most_spent(10, Sampling(max_tokens=5), [dear], 1) == Spent(20.0, 15)


def test_the_dearest_are_asked_and_one_of_them_writes(kit: Any) -> None:
    experts = [
        kit.expert("a", prompt_price=1e6),
        kit.expert("b", prompt_price=3e6),
        kit.expert("c"),
    ]
    found = most_spent(10, Sampling(max_tokens=5), experts, 2)
    assert found == Spent(2 * 30.0 + (10 + 2 * 5) * 3.0, 2 * 15 + 10 + 2 * 5 + 5)
    assert most_spent(10, Sampling(max_tokens=5), [], 2) == Spent()


def test_an_answer_without_a_bound_is_taken_to_be_long(kit: Any) -> None:
    assert most_spent(10, Sampling(), [kit.expert("a")], 1).tokens == 10 + UNSAID
    assert most_spent(10, Sampling(), [kit.expert("a", context_length=100)], 1).tokens == 110


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 500))
def test_more_experts_never_cost_less(answers: int, experts: int, tokens: int) -> None:
    from coterie.types import Expert, ExpertKind
    from orchestrator.keys.estimate import most_spent as most

    pool = [
        Expert(f"e{i}", ExpertKind.OPENAI, "m", endpoint="http://x", completion_price=float(i))
        for i in range(experts)
    ]
    few = most(20, Sampling(max_tokens=tokens), pool, answers)
    many = most(20, Sampling(max_tokens=tokens), pool, answers + 1)
    assert few.usd <= many.usd
    assert few.tokens <= many.tokens


def test_tools_and_schemas_are_part_of_the_prompt() -> None:
    question = Question.of("How many?")
    plain = prompt_tokens(question, Sampling())
    tools = Sampling(extra={"tools": [{"function": {"name": "count_them_all"}}]})
    assert prompt_tokens(question, tools) > plain > 3
