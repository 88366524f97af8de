"""What is kept of experts, questions and answers comes back as it was, from both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from coterie.db import Database
from coterie.errors import DuplicateExpert, UnknownExpert
from coterie.types import (
    Capability,
    Expert,
    ExpertKind,
    ExpertSource,
    FusionSpec,
    GradedAnswer,
    Limits,
    Reading,
    Sampling,
    SkillWeight,
    SmallModel,
    Usage,
)
from skills.answer_store import AnswerStore
from skills.expert_store import ExpertStore
from skills.questions import StoredQuestion

PLAIN = Expert("plain", ExpertKind.VLLM, "package:small")
FULL = Expert(
    name="full",
    kind=ExpertKind.OPENAI,
    model="big/model",
    endpoint="https://models.example:8443/api",
    base="plain",
    adapter="/adapters/x",
    description="Knows “everything”.",
    context_length=131072,
    total_params_b=235.5,
    active_params_b=22.0,
    prompt_price=0.1,
    completion_price=0.4,
    api_key_env="BIG_KEY",
    defaults=Sampling(0.6, 0.95, 512, ("</s>", "\n\n"), 7, {"logprobs": True, "a": [1, {"b": 2}]}),
    engine_args={"z": 1, "a": {"deep": [None, "x"]}},
    tags=("code", "maths"),
    examples=("Sort this list.", "What is 2 + 2?"),
    enabled=False,
    source=ExpertSource.MANAGED,
    fusion=FusionSpec(
        "plain",
        SmallModel("m", params_b=0.5, overrides={"num_experts_per_tok": 1}),
        (SmallModel(expert="plain", name="x"), SmallModel("m", adapter="/a", prompt="„Q“\nA:")),
        {"kind": "static", "alpha": [0.5, 1.0]},
    ),
    recruit=False,
    endpoints=("http://a.example:1", "http://b.example:2"),
    limits=Limits(8, 16, 2.5),
    capabilities=(Capability.TOOLS, Capability.IMAGES),
)


def answer(expert: str = "plain", item: str = "1", **changes: object) -> GradedAnswer:
    given = GradedAnswer(
        expert=expert,
        task="demo",
        item=item,
        skills=(SkillWeight("maths", 0.75, 0.5), SkillWeight("code", 0.25, 0.4)),
        output="The answer is (B).",
        extracted="B",
        correct=True,
        usage=Usage(12, 5),
        latency_s=0.25,
    )
    return replace(given, **changes)  # type: ignore[arg-type]


@pytest.fixture
def experts(database: Database) -> ExpertStore:
    return ExpertStore(database)


@pytest.fixture
async def answers(database: Database, experts: ExpertStore) -> AnswerStore:
    await experts.add(PLAIN)
    await experts.add(FULL)
    return AnswerStore(database)


class TestExperts:
    @pytest.mark.parametrize("expert", [PLAIN, FULL], ids=lambda e: e.name)
    async def test_an_expert_comes_back_as_it_was(
        self, experts: ExpertStore, expert: Expert
    ) -> None:
        await experts.add(expert)
        assert await experts.get(expert.name) == expert
        assert await experts.list() == (expert,)

    async def test_experts_are_listed_by_name(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        await experts.add(FULL)
        assert await experts.list() == (FULL, PLAIN)
        assert await experts.list(enabled_only=True) == (PLAIN,)

    async def test_a_name_is_taken_once(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        with pytest.raises(DuplicateExpert, match="'plain' is registered already; update"):
            await experts.add(replace(FULL, name="plain"))
        assert await experts.get("plain") == PLAIN

    async def test_replacing_changes_every_field(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        await experts.replace(replace(FULL, name="plain"))
        assert await experts.get("plain") == replace(FULL, name="plain")

    @pytest.mark.parametrize("method", ["get", "remove", "enable", "replace"])
    async def test_an_unknown_name_is_told_with_the_known_ones(
        self, experts: ExpertStore, method: str
    ) -> None:
        await experts.add(PLAIN)
        calls = {
            "get": lambda: experts.get("nobody"),
            "remove": lambda: experts.remove("nobody"),
            "enable": lambda: experts.set_enabled("nobody", True),
            "replace": lambda: experts.replace(replace(PLAIN, name="nobody")),
        }
        with pytest.raises(UnknownExpert, match="'nobody'; registered are 'plain'"):
            await calls[method]()

    async def test_an_administrator_disables_and_enables(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        await experts.set_enabled("plain", False)
        assert not (await experts.get("plain")).enabled
        assert await experts.list(enabled_only=True) == ()
        assert await experts.switched_off() == {"plain"}
        await experts.set_enabled("plain", True)
        assert await experts.get("plain") == PLAIN
        assert await experts.switched_off() == frozenset()

    async def test_what_its_owner_disabled_can_be_enabled(self, experts: ExpertStore) -> None:
        await experts.add(FULL)
        await experts.set_enabled("full", True)
        assert await experts.get("full") == replace(FULL, enabled=True)

    async def test_sync_puts_and_removes(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        await experts.add(replace(PLAIN, name="gone"))
        better = replace(PLAIN, description="better")
        await experts.sync([better, FULL], ["gone"])
        assert await experts.list() == (FULL, better)

    async def test_sync_leaves_a_veto(self, experts: ExpertStore) -> None:
        await experts.add(PLAIN)
        await experts.set_enabled("plain", False)
        await experts.sync([replace(PLAIN, description="better")], [])
        found = await experts.get("plain")
        assert (found.enabled, found.description) == (False, "better")

    async def test_services_that_start_at_once_sync_once(self, experts: ExpertStore) -> None:
        await asyncio.gather(*(experts.sync([PLAIN, FULL], []) for _ in range(5)))
        assert await experts.list() == (FULL, PLAIN)


class TestAnswers:
    async def test_an_answer_comes_back_as_it_was(self, answers: AnswerStore) -> None:
        given = [
            answer(item="1", reading=Reading.GUESSED),
            answer(item="2", extracted=None, correct=False, output="", skills=()),
        ]
        await answers.save_answers(given, run="r1")
        assert await answers.answers() == given

    async def test_saving_again_overwrites(self, answers: AnswerStore) -> None:
        await answers.save_answers([answer(), answer(item="2")])
        await answers.save_answers([answer(correct=False)], run="later")
        assert [a.correct for a in await answers.answers()] == [False, True]

    async def test_one_item_twice_in_a_batch_keeps_the_last(self, answers: AnswerStore) -> None:
        await answers.save_answers([answer(), answer(output="changed")])
        assert [a.output for a in await answers.answers()] == ["changed"]

    async def test_nothing_saves_nothing(self, answers: AnswerStore) -> None:
        await answers.save_answers([])
        assert await answers.answers() == []

    async def test_answers_are_narrowed_by_expert_and_task(self, answers: AnswerStore) -> None:
        other = answer("full", task="other")
        await answers.save_answers([answer(), answer("full"), other])
        assert await answers.answers(expert="plain") == [answer()]
        assert await answers.answers(task="other") == [other]
        assert await answers.answers(expert="full", task="demo") == [answer("full")]

    async def test_a_resumed_run_knows_what_was_answered(self, answers: AnswerStore) -> None:
        await answers.save_answers(
            [answer(item="1"), answer(item="2"), answer("full", item="3"), answer(task="x")]
        )
        assert await answers.answered_items("plain", "demo") == {"1", "2"}
        assert await answers.answered_items("full", "x") == set()

    async def test_a_long_run_is_saved_at_once(self, answers: AnswerStore) -> None:
        await answers.save_answers([answer(item=str(n)) for n in range(3000)])
        assert len(await answers.answered_items("plain", "demo")) == 3000

    async def test_an_answer_of_nobody_is_refused(self, answers: AnswerStore) -> None:
        with pytest.raises(UnknownExpert, match="'nobody'"):
            await answers.save_answers([answer(), answer("nobody")])
        assert await answers.answers() == []

    async def test_odd_output_is_kept(self, answers: AnswerStore) -> None:
        await answers.save_answers([answer(output="a\x00b\udfff", extracted="\x00")])
        [found] = await answers.answers()
        assert (found.output, found.extracted) == ("a\ufffdb?", "\ufffd")

    async def test_removing_an_expert_removes_its_answers(
        self, answers: AnswerStore, experts: ExpertStore
    ) -> None:
        await answers.save_answers([answer("plain"), answer("full")])
        await experts.remove("plain")
        assert await answers.answers() == [answer("full")]

    async def test_refreshing_an_expert_keeps_its_answers(
        self, answers: AnswerStore, experts: ExpertStore
    ) -> None:
        await answers.save_answers([answer()])
        await experts.sync([replace(PLAIN, description="better")], [])
        await experts.replace(replace(PLAIN, description="best"))
        assert await answers.answers() == [answer()]

    async def test_whether_anything_was_graded(self, answers: AnswerStore) -> None:
        assert not await answers.any()
        await answers.save_answers([answer()])
        assert await answers.any()


def question(item: str = "1", **changes: object) -> StoredQuestion:
    given = StoredQuestion(
        task="demo",
        item=item,
        text="Which? (A) this (B) that",
        category="choices",
        target="B",
        options=2,
        choices=("this", "that"),
        group="pairs",
        skills=(SkillWeight("maths", 0.75, 0.5), SkillWeight("code", 0.25, 0.4)),
        vector=np.array([0.6, -0.8], dtype=np.float32),
        encoder="mini",
        taxonomy="abc",
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def told(found: StoredQuestion) -> tuple[object, ...]:
    """Everything about a question, comparable."""
    vector = None if found.vector is None else found.vector.tolist()
    made = (found.skills, vector, found.encoder, found.taxonomy)
    return (found.task, found.item, found.text, *found.labels, *made)


class TestQuestions:
    @pytest.mark.parametrize(
        "given",
        [question(), StoredQuestion("demo", "2", "Why?")],
        ids=["full", "bare"],
    )
    async def test_a_question_comes_back_as_it_was(
        self, answers: AnswerStore, given: StoredQuestion
    ) -> None:
        await answers.save_questions([given, question("x", task="other")])
        [found] = await answers.questions("demo")
        assert told(found) == told(given)
        assert found.sha256 == given.sha256

    async def test_odd_text_has_the_same_hash_when_it_comes_back(
        self, answers: AnswerStore
    ) -> None:
        given = question(text="a\x00b\udfff")
        await answers.save_questions([given])
        [found] = await answers.questions("demo")
        assert found.sha256 == given.sha256

    async def test_what_others_made_is_stale(self, answers: AnswerStore) -> None:
        others = [
            question("2", encoder="maxi"),
            question("3", taxonomy="xyz"),
            question("4", encoder=None, taxonomy=None),
        ]
        await answers.save_questions([question("1"), *others])
        stale = await answers.stale_questions("mini", "abc")
        assert sorted(q.item for q in stale) == ["2", "3", "4"]

    async def test_the_evidence_is_every_question_and_answer_without_outputs(
        self, answers: AnswerStore
    ) -> None:
        given = [answer(), answer("full", item="9", reading=Reading.NAMED)]
        await answers.save_answers(given)
        await answers.save_questions([question()])
        questions, found = await answers.evidence()
        assert [q.item for q in questions] == ["1"]
        assert sorted(found, key=lambda a: a.item) == [replace(a, output="") for a in given]


class TestTaskNames:
    async def test_one_task_however_it_is_written(self, answers: AnswerStore) -> None:
        """A recording's "mmlu_pro", and the task "mmlu-pro"."""
        await answers.save_answers([answer(task="mmlu_pro"), answer("full", task="mmlu-pro")])
        await answers.save_questions([StoredQuestion("mmlu_pro", "1", "Which?")])
        for name in ("mmlu_pro", "mmlu-pro"):
            assert {a.expert for a in await answers.answers(task=name)} == {"plain", "full"}
            assert await answers.answered_items("plain", name) == {"1"}
            assert [q.text for q in await answers.questions(name)] == ["Which?"]
        questions, graded = await answers.evidence()
        assert {q.task for q in questions} == {a.task for a in graded} == {"mmlu-pro"}

    async def test_the_last_answer_counts_under_whichever_name(self, answers: AnswerStore) -> None:
        await answers.save_answers([answer(task="mmlu-pro", correct=True)])
        await answers.save_answers([answer(task="mmlu_pro", correct=False)])
        assert [a.correct for a in await answers.answers()] == [False]

    async def test_the_subsets_of_a_benchmark_share_their_questions(
        self, answers: AnswerStore
    ) -> None:
        await answers.save_answers(
            [answer(task="gpqa-diamond"), answer(task="gpqa-main", item="2")]
        )
        assert await answers.answered_items("plain", "gpqa-extended") == {"1", "2"}
        assert await answers.answered_items("plain", "gsm8k") == set()
