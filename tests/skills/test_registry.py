"""What the configuration file declares and what the API manages live side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.db import Database
from coterie.errors import DuplicateExpert, RegistryError, UnknownExpert
from coterie.types import Expert, ExpertKind, ExpertSource, FusionSpec, SmallModel
from skills.expert_store import ExpertStore
from skills.experts import Registry, plan_seed

BASE = Expert("base", ExpertKind.VLLM, "package:small")
LORA = Expert("lora", ExpertKind.LORA, "lora", base="base", adapter="/adapters/lora")
SERVER = Expert("server", ExpertKind.OPENAI, "gpt", endpoint="http://h")
DECLARED = [BASE, LORA, SERVER]


@pytest.fixture
def registry(sqlite_database: Database) -> Registry:
    return Registry(ExpertStore(sqlite_database))


def managed(expert: Expert) -> Expert:
    return replace(expert, source=ExpertSource.MANAGED)


class TestSeed:
    async def test_what_is_declared_is_put_in(self, registry: Registry) -> None:
        plan = await registry.seed(DECLARED)
        assert plan.added == ("base", "lora", "server")
        assert await registry.list() == tuple(DECLARED)

    async def test_the_same_file_again_changes_nothing(self, registry: Registry) -> None:
        await registry.seed(DECLARED)
        plan = await registry.seed(DECLARED)
        assert (plan.put, plan.removed) == ((), ())

    async def test_the_file_wins(self, registry: Registry) -> None:
        await registry.seed(DECLARED)
        better = replace(SERVER, description="better", prompt_price=2.0)
        plan = await registry.seed([BASE, LORA, better])
        assert (plan.added, plan.refreshed) == ((), ("server",))
        assert await registry.get("server") == better

    async def test_what_is_gone_from_the_file_is_removed(self, registry: Registry) -> None:
        await registry.seed(DECLARED)
        plan = await registry.seed([SERVER])
        assert plan.removed == ("base", "lora")
        assert await registry.list() == (SERVER,)

    async def test_what_an_administrator_disabled_stays_disabled(self, registry: Registry) -> None:
        await registry.seed(DECLARED)
        await registry.disable("server")
        await registry.seed([BASE, LORA, replace(SERVER, description="better")])
        found = await registry.get("server")
        assert (found.enabled, found.description) == (False, "better")
        assert await registry.enable("server") == replace(SERVER, description="better")

    async def test_what_the_file_disables_is_disabled_and_back(self, registry: Registry) -> None:
        await registry.seed([SERVER])
        await registry.seed([replace(SERVER, enabled=False)])
        assert await registry.enabled() == ()
        await registry.seed([SERVER])
        assert await registry.enabled() == (SERVER,)

    async def test_what_is_managed_is_left_alone(self, registry: Registry) -> None:
        await registry.add(SERVER)
        await registry.seed([BASE])
        assert await registry.list() == (BASE, managed(SERVER))

    async def test_a_managed_name_cannot_be_declared(self, registry: Registry) -> None:
        await registry.add(SERVER)
        with pytest.raises(DuplicateExpert, match=r"'server'.*rename.*coterie experts remove"):
            await registry.seed([BASE, SERVER])
        assert await registry.list() == (managed(SERVER),)

    async def test_a_base_that_a_managed_adapter_needs_cannot_go(self, registry: Registry) -> None:
        await registry.seed([BASE])
        await registry.add(LORA)
        with pytest.raises(RegistryError, match=r"'base' cannot be dropped.*'lora' runs"):
            await registry.seed([])
        assert len(await registry.list()) == 2

    async def test_a_fusion_that_cannot_be_stops_the_start(self, registry: Registry) -> None:
        spec = FusionSpec("server", SmallModel(expert="gone"), (SmallModel(expert="lora"),))
        fused = Expert("fused", ExpertKind.FUSION, "", fusion=spec)
        told = r"'fused' is refused: .*'server' is of kind 'openai'.*no expert 'gone'"
        with pytest.raises(RegistryError, match=told):
            await registry.seed([*DECLARED, fused])
        good = replace(fused, fusion=replace(spec, large="base", base=SmallModel(expert="base")))
        await registry.seed([*DECLARED, good])
        assert await registry.get("fused") == good

    async def test_a_base_and_its_adapter_may_swap_names(self, registry: Registry) -> None:
        await registry.seed([BASE, LORA])
        swapped = [replace(BASE, name="lora"), replace(LORA, name="base", base="lora")]
        await registry.seed(swapped)
        assert await registry.list() == (swapped[1], swapped[0])

    async def test_one_bad_entry_keeps_everything_as_it_was(self, registry: Registry) -> None:
        await registry.seed([BASE])
        with pytest.raises(RegistryError, match="'server' is refused"):
            await registry.seed([LORA, BASE, replace(SERVER, prompt_price=-1)])
        assert await registry.list() == (BASE,)

    async def test_a_name_declared_twice_is_refused(self, registry: Registry) -> None:
        with pytest.raises(DuplicateExpert, match="'base' more than once"):
            await registry.seed([BASE, BASE])


@given(st.lists(st.sampled_from("abcd"), unique=True), st.lists(st.sampled_from("abcd")))
def test_a_plan_leads_to_what_is_declared(names: list[str], before: list[str]) -> None:
    declared = [replace(SERVER, name=n, model=n) for n in names]
    existing = [replace(SERVER, name=n, model=n, description="old") for n in set(before)]
    plan = plan_seed(existing, declared)
    after = {e.name: e for e in existing if e.name not in plan.removed}
    after |= {e.name: e for e in plan.put}
    assert after == {e.name: e for e in declared}
    assert plan_seed(list(after.values()), declared).put == ()


class TestManage:
    async def test_what_is_added_is_managed(self, registry: Registry) -> None:
        kept = await registry.add(replace(SERVER, endpoint="http://h/v1/"))
        assert kept == managed(SERVER) == await registry.get("server")

    async def test_a_name_is_taken_once(self, registry: Registry) -> None:
        await registry.add(SERVER)
        with pytest.raises(DuplicateExpert, match="'server'"):
            await registry.add(SERVER)

    async def test_a_bad_entry_is_not_added(self, registry: Registry) -> None:
        await registry.add(SERVER)
        with pytest.raises(RegistryError, match="'base' is not registered; known are 'server'"):
            await registry.add(LORA)
        assert await registry.list() == (managed(SERVER),)

    async def test_an_update_changes_the_entry(self, registry: Registry) -> None:
        await registry.add(SERVER)
        await registry.update(replace(SERVER, description="better"))
        assert (await registry.get("server")).description == "better"

    async def test_an_update_can_enable_and_disable(self, registry: Registry) -> None:
        await registry.add(SERVER)
        await registry.disable("server")
        await registry.update(SERVER)
        assert await registry.enabled() == (managed(SERVER),)
        await registry.update(replace(SERVER, enabled=False))
        assert await registry.enabled() == ()

    async def test_an_update_of_a_base_must_suit_its_adapters(self, registry: Registry) -> None:
        await registry.add(BASE)
        await registry.add(LORA)
        with pytest.raises(RegistryError, match="'base' cannot be disabled: 'lora' runs"):
            await registry.update(replace(BASE, enabled=False))
        with pytest.raises(RegistryError, match=r"'lora' is refused.*loads adapters itself"):
            await registry.update(replace(SERVER, name="base"))

    async def test_what_the_file_declares_is_changed_there(self, registry: Registry) -> None:
        await registry.seed([SERVER])
        with pytest.raises(RegistryError, match=r"cannot be changed here.*edit the file"):
            await registry.update(replace(SERVER, description="better"))
        with pytest.raises(RegistryError, match=r"cannot be removed here.*edit the file"):
            await registry.remove("server")

    async def test_a_base_goes_after_its_adapters(self, registry: Registry) -> None:
        await registry.add(BASE)
        await registry.add(LORA)
        for call in (registry.remove, registry.disable):
            with pytest.raises(RegistryError, match="'lora' runs on its engine"):
                await call("base")
        await registry.disable("lora")
        await registry.disable("base")
        with pytest.raises(RegistryError, match="enable the base"):
            await registry.enable("lora")
        await registry.remove("lora")
        await registry.remove("base")
        assert await registry.list() == ()

    @pytest.mark.parametrize("method", ["get", "remove", "enable", "disable"])
    async def test_an_unknown_name_is_told(self, registry: Registry, method: str) -> None:
        with pytest.raises(UnknownExpert, match="'nobody'; registered are none"):
            await getattr(registry, method)("nobody")


class TestPut:
    async def test_experts_that_need_one_another_come_together(self, registry: Registry) -> None:
        await registry.put([LORA, BASE])
        assert await registry.list() == (managed(BASE), managed(LORA))

    async def test_what_is_there_is_overwritten_a_veto_included(self, registry: Registry) -> None:
        await registry.add(SERVER)
        await registry.disable("server")
        await registry.put([replace(SERVER, description="better")])
        found = await registry.get("server")
        assert (found.description, found.enabled) == ("better", True)

    async def test_all_or_nothing(self, registry: Registry) -> None:
        await registry.seed([SERVER])
        with pytest.raises(RegistryError, match="configuration file"):
            await registry.put([BASE, replace(SERVER, description="better")])
        with pytest.raises(RegistryError, match="not registered"):
            await registry.put([SERVER.__class__("b", ExpertKind.VLLM, "m"), LORA])
        assert await registry.list() == (SERVER,)

    async def test_none_is_disabled_that_others_need(self, registry: Registry) -> None:
        await registry.put([BASE, LORA])
        with pytest.raises(RegistryError):
            await registry.put([replace(BASE, enabled=False)])
