"""What is kept of experts, answers and profiles comes back as it was, from both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from coterie.db import Database
from coterie.errors import DuplicateExpert, UnknownExpert
from coterie.types import (
    Estimate,
    Expert,
    ExpertKind,
    ExpertSource,
    GradedAnswer,
    Profile,
    Sampling,
    SkillWeight,
    Usage,
)
from skills.store import ExpertStore, ProfileStore

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
    enabled=False,
    source=ExpertSource.MANAGED,
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
async def profiles(database: Database, experts: ExpertStore) -> ProfileStore:
    await experts.add(PLAIN)
    await experts.add(FULL)
    return ProfileStore(database)


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
    async def test_an_answer_comes_back_as_it_was(self, profiles: ProfileStore) -> None:
        given = [
            answer(item="1"),
            answer(item="2", extracted=None, correct=False, output="", skills=()),
        ]
        await profiles.save_answers(given, run="r1")
        assert await profiles.answers() == given

    async def test_saving_again_overwrites(self, profiles: ProfileStore) -> None:
        await profiles.save_answers([answer(), answer(item="2")])
        await profiles.save_answers([answer(correct=False)], run="later")
        assert [a.correct for a in await profiles.answers()] == [False, True]

    async def test_one_item_twice_in_a_batch_keeps_the_last(self, profiles: ProfileStore) -> None:
        await profiles.save_answers([answer(), answer(output="changed")])
        assert [a.output for a in await profiles.answers()] == ["changed"]

    async def test_nothing_saves_nothing(self, profiles: ProfileStore) -> None:
        await profiles.save_answers([])
        assert await profiles.answers() == []

    async def test_answers_are_narrowed_by_expert_and_task(self, profiles: ProfileStore) -> None:
        other = answer("full", task="other")
        await profiles.save_answers([answer(), answer("full"), other])
        assert await profiles.answers(expert="plain") == [answer()]
        assert await profiles.answers(task="other") == [other]
        assert await profiles.answers(expert="full", task="demo") == [answer("full")]

    async def test_a_resumed_run_knows_what_was_answered(self, profiles: ProfileStore) -> None:
        await profiles.save_answers(
            [answer(item="1"), answer(item="2"), answer("full", item="3"), answer(task="x")]
        )
        assert await profiles.answered_items("plain", "demo") == {"1", "2"}
        assert await profiles.answered_items("full", "x") == set()

    async def test_a_long_run_is_saved_at_once(self, profiles: ProfileStore) -> None:
        await profiles.save_answers([answer(item=str(n)) for n in range(3000)])
        assert len(await profiles.answered_items("plain", "demo")) == 3000

    async def test_an_answer_of_nobody_is_refused(self, profiles: ProfileStore) -> None:
        with pytest.raises(UnknownExpert, match="'nobody'"):
            await profiles.save_answers([answer(), answer("nobody")])
        assert await profiles.answers() == []

    async def test_odd_output_is_kept(self, profiles: ProfileStore) -> None:
        await profiles.save_answers([answer(output="a\x00b\udfff", extracted="\x00")])
        [found] = await profiles.answers()
        assert (found.output, found.extracted) == ("a\ufffdb?", "\ufffd")


class TestProfiles:
    ADAM = Profile("plain", Estimate(0.5, 0.1, 20.0), {"maths": Estimate(0.75, 0.2, 4.5)})
    EVE = Profile("full", Estimate(0.25, 0.05, 80.0))

    async def test_profiles_come_back_as_they_were(self, profiles: ProfileStore) -> None:
        await profiles.save_profiles([self.ADAM, self.EVE])
        assert await profiles.profiles() == [self.EVE, self.ADAM]

    async def test_a_new_profile_replaces_the_old_one(self, profiles: ProfileStore) -> None:
        await profiles.save_profiles([self.ADAM, self.EVE])
        now = Profile("plain", Estimate(0.6, 0.1, 30.0), {"code": Estimate(0.1, 0.1, 1.0)})
        await profiles.save_profiles([now])
        assert await profiles.profiles() == [self.EVE, now]

    async def test_a_profile_of_nobody_is_refused(self, profiles: ProfileStore) -> None:
        await profiles.save_profiles([self.ADAM])
        with pytest.raises(UnknownExpert, match="'nobody'"):
            await profiles.save_profiles([replace(self.EVE, expert="nobody")])
        assert await profiles.profiles() == [self.ADAM]

    async def test_removing_an_expert_removes_what_is_known_of_it(
        self, profiles: ProfileStore, experts: ExpertStore
    ) -> None:
        await profiles.save_profiles([self.ADAM, self.EVE])
        await profiles.save_answers([answer("plain"), answer("full")])
        await experts.remove("plain")
        assert await profiles.profiles() == [self.EVE]
        assert await profiles.answers() == [answer("full")]

    async def test_refreshing_an_expert_keeps_what_is_known_of_it(
        self, profiles: ProfileStore, experts: ExpertStore
    ) -> None:
        await profiles.save_profiles([self.ADAM])
        await experts.sync([replace(PLAIN, description="better")], [])
        await experts.replace(replace(PLAIN, description="best"))
        assert await profiles.profiles() == [self.ADAM]
