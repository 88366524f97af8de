"""The Helm chart, rendered by Helm's own engine and held against Kubernetes' schemas and Coterie.

There is no cluster here: what only one could tell is not tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from cryptography.fernet import Fernet

from orchestrator.cli.commands import app as commands
from orchestrator.doctor.configuration import read_experts_file
from orchestrator.doctor.finding import Verdict
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/coterie"
NEEDED = "pip install 'coterie[charts]'"
OLDEST, NEWEST = "1.29.0", "1.37.0"
EXPERT = {"name": "math", "kind": "openai", "model": "m", "endpoint": "http://vllm:8000"}
LEAST: dict[str, Any] = {
    "secrets": {"environment": "coterie-environment", "keys": "coterie-keys"},
    "experts": [{**EXPERT, "api_key_env": "MATH_KEY"}],
}
MOST: dict[str, Any] = {
    **LEAST,
    "secrets": {**LEAST["secrets"], "experts": ["expert-keys"]},
    "imagePullSecrets": [{"name": "registry"}],
    "config": {"COTERIE_MAX_BODY_BYTES": 33554432, "COTERIE_CONFIDENCE": 0.75},
    "api": {"replicas": 3, "podAnnotations": {"a": "b"}, "nodeSelector": {"disk": "fast"}},
    "worker": {
        "replicas": 2,
        "gpus": 2,
        "image": {"repository": "coterie-vllm", "digest": "sha256:" + "0" * 64},
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "persistence": {"storageClass": "fast"},
    },
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": [{"host": "coterie.example.org"}],
        "tls": [{"secretName": "tls", "hosts": ["coterie.example.org"]}],
    },
    "networkPolicy": {
        "enabled": True,
        "from": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    },
    "serviceAccount": {"annotations": {"a": "b"}},
}
WITHOUT: dict[str, Any] = {
    **LEAST,
    "worker": {"replicas": 1, "gpus": 0, "persistence": {"enabled": False}},
    "migrations": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "serviceAccount": {"create": False},
}
EVERY = pytest.mark.parametrize("values", [LEAST, MOST, WITHOUT], ids=["least", "most", "without"])


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests, in no order."""
    helm = pytest.importorskip("helm_python", reason=f"needs Helm's engine: {NEEDED}")
    made = helm.Chart.load(CHART).render(values, name="prod", namespace="llm")
    texts = [text for name, text in made.items() if name.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def named(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{m['kind']}/{m['metadata']['name']}": m for m in rendered(values)}


def pods(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            yield manifest["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: dict[str, Any]) -> dict[str, str]:
    """What the container's process finds, with secrets made up."""
    secrets = {
        "DATABASE_URL": "postgresql://u:p@db/coterie",
        "REDIS_URL": "redis://queue:6379/0",
        "COTERIE_SEAL_KEY": Fernet.generate_key().decode(),
        "COTERIE_CONTENTS_KEY": "sixteen characters or more",
    }
    return {
        one["name"]: one["value"] if "value" in one else secrets.get(one["name"], "prod-worker-0")
        for one in container.get("env", [])
    }


@EVERY
def test_helm_has_nothing_to_find_fault_with(values: dict[str, Any]) -> None:
    helm = pytest.importorskip("helm_python", reason=f"needs Helm's engine: {NEEDED}")
    report = helm.lint(CHART, values, strict=True, kube_version=f"v{NEWEST}")
    assert report["errors"] == []
    assert {m["error"] for m in report["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@EVERY
def test_kubernetes_takes_every_manifest(values: dict[str, Any], version: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason=f"needs schemas: {NEEDED}")
    for manifest in rendered(values):
        schemas.validate(manifest, version, strict=True)


def test_a_manifest_that_is_wrong_is_found() -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason=f"needs schemas: {NEEDED}")
    api = named(LEAST)["Deployment/prod-coterie-api"]
    api["spec"]["replica"] = 2
    with pytest.raises(schemas.ValidationError, match="replica"):
        schemas.validate(api, NEWEST, strict=True)


def test_what_there_is() -> None:
    least = {"ConfigMap/prod-coterie-experts", "Deployment/prod-coterie-api"}
    least |= {"Job/prod-coterie-migrations", "PodDisruptionBudget/prod-coterie-api"}
    least |= {"Service/prod-coterie", "ServiceAccount/prod-coterie"}
    assert named(LEAST).keys() == least
    more = {"StatefulSet/prod-coterie-worker", "Service/prod-coterie-worker"}
    more |= {"PodDisruptionBudget/prod-coterie-worker", "Ingress/prod-coterie"}
    more |= {"NetworkPolicy/prod-coterie-api", "NetworkPolicy/prod-coterie-worker"}
    assert named(MOST).keys() == least | more


@EVERY
def test_nobody_is_root_or_writes_where_no_volume_is(values: dict[str, Any]) -> None:
    for pod in pods(rendered(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


@EVERY
def test_coterie_understands_what_it_is_started_with(values: dict[str, Any]) -> None:
    known: Any = typer.main.get_command(commands)
    for pod in pods(rendered(values)):
        # A Service's links would be COTERIE_… variables that no setting is.
        assert pod["enableServiceLinks"] is False
        [container] = pod["containers"]
        found = environment(container)
        settings = Settings.load(found)
        assert settings.database_url.startswith("postgresql://")
        command = known
        for word in container["args"]:
            command = command.commands[word]


def test_more_settings_reach_all_that_run() -> None:
    made = named(MOST)
    for name in ("Deployment/prod-coterie-api", "StatefulSet/prod-coterie-worker"):
        [container] = made[name]["spec"]["template"]["spec"]["containers"]
        settings = Settings.load(environment(container))
        assert (settings.max_body_bytes, settings.confidence) == (33554432, 0.75)


@EVERY
def test_experts_are_what_coterie_reads(values: dict[str, Any], tmp_path: Path) -> None:
    text = named(values)["ConfigMap/prod-coterie-experts"]["data"]["experts.yaml"]
    (tmp_path / "experts.yaml").write_text(text)
    settings = Settings.load({"COTERIE_CONFIG": str(tmp_path / "experts.yaml")})
    experts, [finding] = read_experts_file(settings)
    assert (finding.verdict, [e.name for e in experts]) == (Verdict.OK, ["math"])


def test_secrets_come_by_reference_and_keys_are_nobody_elses() -> None:
    api = named(MOST)["Deployment/prod-coterie-api"]["spec"]["template"]["spec"]
    [container] = api["containers"]
    for one in container["env"]:
        secret = one["name"].endswith(("_URL", "_KEY")) and one["name"] != "COTERIE_REQUIRE_KEY"
        assert ("value" not in one) == secret, one
    assert container["envFrom"] == [{"secretRef": {"name": "expert-keys"}}]
    command = api["initContainers"][0]["command"]
    assert command[:3] == ["install", "-m", "0600"]
    settings = Settings.load({"COTERIE_HOME": "/var/lib/coterie"})
    files = (settings.admin_key_file, settings.chat_key_file, settings.session_key_file)
    assert [f"/var/lib/coterie/{Path(c).name}" for c in command[3:-1]] == list(map(str, files))


def test_probes_ask_what_the_server_answers() -> None:
    answers = (ROOT / "orchestrator/api/health.py").read_text()
    [container] = named(LEAST)["Deployment/prod-coterie-api"]["spec"]["template"]["spec"][
        "containers"
    ]
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    paths = [container[probe]["httpGet"]["path"] for probe in probes]
    assert all(f'@router.get("{path}")' in answers for path in paths)
    assert paths[2] == "/health/readiness"
    assert {container[probe]["httpGet"]["port"] for probe in probes} == {"http"}
    assert environment(container)["COTERIE_PORT"] == str(container["ports"][0]["containerPort"])


def test_pods_have_time_to_end() -> None:
    defaults = Settings.load({})
    made = named(MOST)
    api = made["Deployment/prod-coterie-api"]["spec"]["template"]["spec"]
    pause = int(api["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert api["terminationGracePeriodSeconds"] > pause + defaults.shutdown_s
    worker = made["StatefulSet/prod-coterie-worker"]["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] > defaults.worker_grace_s


def test_workers_run_on_nodes_with_gpus() -> None:
    worker = named(MOST)["StatefulSet/prod-coterie-worker"]["spec"]
    pod = worker["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "32Gi", "nvidia.com/gpu": 2}
    assert pod["containers"][0]["image"] == "coterie-vllm@sha256:" + "0" * 64
    assert worker["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    without = named(WITHOUT)["StatefulSet/prod-coterie-worker"]["spec"]
    assert "volumeClaimTemplates" not in without
    [container] = without["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "32Gi"}


def test_the_database_is_upgraded_before_anything_starts() -> None:
    job = named(LEAST)["Job/prod-coterie-migrations"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["db", "upgrade"]
    # It comes before everything else of the chart, and so may need none of it.
    assert pod["serviceAccountName"] == "default"
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_selectors_find_their_pods_and_no_others() -> None:
    made = named(MOST)
    labels = {
        name: manifest["spec"]["template"]["metadata"]["labels"]
        for name, manifest in made.items()
        if "template" in manifest.get("spec", {})
    }

    def chosen(selector: dict[str, str]) -> list[str]:
        return sorted(n for n, own in labels.items() if selector.items() <= own.items())

    for part, owner in (("api", "Deployment"), ("worker", "StatefulSet")):
        pod = f"{owner}/prod-coterie-{part}"
        for kind in (owner, "PodDisruptionBudget"):
            selector = made[f"{kind}/prod-coterie-{part}"]["spec"]["selector"]["matchLabels"]
            assert chosen(selector) == [pod]
        policy = made[f"NetworkPolicy/prod-coterie-{part}"]["spec"]
        assert chosen(policy["podSelector"]["matchLabels"]) == [pod]
    service = made["Service/prod-coterie"]["spec"]
    assert chosen(service["selector"]) == ["Deployment/prod-coterie-api"]
    assert made["NetworkPolicy/prod-coterie-worker"]["spec"]["ingress"] == []


def test_other_experts_make_new_pods() -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = named(values)["Deployment/prod-coterie-api"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/experts"])

    other = {**LEAST, "experts": [{**EXPERT, "model": "other"}]}
    assert checksum(LEAST) == checksum(MOST) != checksum(other)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"secrets": {"keys": "k", "environment": ""}}, "environment"),
        ({"replicas": 3}, "replicas"),
        ({"api": {"replicas": 0}}, "replicas"),
        ({"config": {"COTERIE_SEAL_KEY": "in plain sight"}}, "COTERIE_SEAL_KEY"),
        ({"config": {"COTERIE_PORT": "9000"}}, "COTERIE_PORT"),
        ({"experts": [{"name": "x", "kind": "magic"}]}, "kind"),
        ({"worker": {"gpus": -1}}, "gpus"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    helm = pytest.importorskip("helm_python", reason=f"needs Helm's engine: {NEEDED}")
    chart = helm.Chart.load(CHART)
    chart.validate_schema(MOST)
    with pytest.raises(helm.HelmError, match=told):
        chart.validate_schema({**LEAST, **wrong})


def test_the_chart_is_of_this_version() -> None:
    from coterie import __version__

    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == __version__
