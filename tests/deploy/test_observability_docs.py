"""docs/observability.md tells of every metric, attribute and alert, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from orchestrator.observability import attributes
from orchestrator.observability.catalogue import CATALOGUE, Metric

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/observability.md").read_text()


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    return f"| `{metric.exposed}` | {metric.kind} | {labels} | {metric.help} |"


def test_the_table_of_metrics_is_the_catalogue() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `coterie_")]
    assert rows == [row(metric) for metric in CATALOGUE]


def test_every_attribute_of_a_span_is_told() -> None:
    ours = {v for n, v in vars(attributes).items() if n.isupper() and isinstance(v, str)}
    names = {name for name in ours if "." in name}
    told = set(re.findall(r"`((?:coterie|gen_ai|http|url|error)\.[\w.]+)`", TEXT))
    assert told - {"coterie.access"} == names  # that is a logger


def test_every_alert_is_told() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert set(re.findall(r"`(Coterie\w+)`", TEXT)) == alerts
