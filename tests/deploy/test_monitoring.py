"""Boards and alerts ask for metrics that there are, by labels these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from orchestrator.observability.catalogue import CATALOGUE, Kind

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/coterie.json").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds."""
OF_ANY_PROCESS = {
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
}
VALUES = {
    "status": {"2xx", "3xx", "4xx", "499", "5xx", "other"},
    "reason": {"rate", "budget", "busy", "unavailable", "stopping", "key"},
    "result": {"ok", "failed", "rejected", "timeout", "protocol", "busy", "unavailable"},
    "state": {"waiting", "claimed", "working", "draining"},
    "endpoint": {"/v1/chat/completions"},
    "job": {"coterie"},
}


def exposed() -> dict[str, set[str]]:
    """The labels of every series there may be."""
    found = {name: set(labels) for name, labels in OF_ANY_PROCESS.items()}
    for metric in CATALOGUE:
        if metric.kind is Kind.HISTOGRAM:
            found[f"{metric.name}_bucket"] = {*metric.labels, "le"}
            found[f"{metric.name}_sum"] = found[f"{metric.name}_count"] = set(metric.labels)
        else:
            found[metric.exposed] = set(metric.labels)
    return found


SERIES = exposed()


def filled(query: str) -> str:
    """``query`` with Grafana's variables filled in."""
    return query.replace("$__rate_interval", "5m").replace("$instance", "a:8000")


def queries() -> Iterator[tuple[str, str, str]]:
    """Where each stands, itself, and what is said of its labels."""
    for rule in RULES:
        told = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], " ".join(re.findall(r"\$labels\.(\w+)", told))
    for panel in PANELS:
        for target in panel["targets"]:
            told = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            yield panel["title"], filled(target["expr"]), " ".join(told)


def parts_of(query: str) -> list[Any]:
    found: list[Any] = []
    promql.walk(promql.parse(query), found.append)
    return found


@pytest.mark.parametrize(("where", "query", "told"), list(queries()))
def test_a_query_asks_for_what_there_is(where: str, query: str, told: str) -> None:
    kinds = parts_of(query)
    selectors = [part for part in kinds if isinstance(part, promql.VectorSelector)]
    assert selectors, where
    known = set(SCRAPED)
    for selector in selectors:
        assert selector.name in SERIES, f"{where}: there is no {selector.name}"
        labels = SERIES[selector.name] | SCRAPED
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels, f"{where}: {selector.name} has no {matcher.name}"
            if matcher.name != "instance":
                assert set(matcher.value.split("|")) <= VALUES[matcher.name], where
    kept = [
        set(part.modifier.labels)
        for part in kinds
        if isinstance(part, promql.AggregateExpr) and part.modifier
    ]
    for labels in kept:
        assert labels <= known, f"{where}: by {labels - known}, which is no label of it"
    left = kept[0] if kept else known
    if any(isinstance(part, promql.AggregateExpr) for part in kinds) and not kept:
        left = set()
    assert set(told.split()) <= left, f"{where} tells labels that it has summed over"


def test_counters_are_asked_for_as_rates() -> None:
    counters = {metric.exposed for metric in CATALOGUE if metric.kind is Kind.COUNTER}
    for where, query, _ in queries():
        bare = {p.name for p in parts_of(query) if isinstance(p, promql.VectorSelector)}
        ranged = {
            p.vector_selector.name for p in parts_of(query) if isinstance(p, promql.MatrixSelector)
        }
        assert (bare & counters) <= ranged, where


def test_an_alert_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))


def test_every_metric_of_the_service_is_on_the_board() -> None:
    text = json.dumps(PANELS)
    missing = [metric.name for metric in CATALOGUE if metric.name not in text]
    assert missing == []


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        rows = range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in rows}
        assert max(columns) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_board_finds_its_source() -> None:
    folder = DEPLOY / "grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/coterie.yml").read_text())["providers"]
    used = {panel["datasource"]["uid"] for panel in PANELS}
    used |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert used == {source["uid"]}
    mounted = [v.split(":")[:2] for v in COMPOSE["services"]["grafana"]["volumes"]]
    assert ["./deploy/grafana/dashboards", provider["options"]["path"]] in mounted
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_reads_what_is_mounted_and_scrapes_what_listens() -> None:
    service = COMPOSE["services"]["prometheus"]
    mounted = {v.split(":")[1] for v in service["volumes"]}
    assert set(PROMETHEUS["rule_files"]) <= mounted
    assert "--config.file=/etc/prometheus/prometheus.yml" in service["entrypoint"][-1]
    assert "/etc/prometheus/prometheus.yml" in mounted
    [job] = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["api:8000"]}]
    assert job["authorization"]["credentials_file"] in service["entrypoint"][-1]
    key = "COTERIE_METRICS_KEY"
    assert service["environment"][key] == COMPOSE["services"]["api"]["environment"][key]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    for command in (
        ["check", "rules", str(DEPLOY / "prometheus/alerts.yml")],
        ["check", "config", "--syntax-only", str(DEPLOY / "prometheus/prometheus.yml")],
    ):
        subprocess.run(["promtool", *command], check=True, capture_output=True)
