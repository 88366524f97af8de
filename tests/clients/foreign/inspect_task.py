"""A task of Inspect's with one question."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def many() -> Task:
    return Task(
        dataset=[Sample("How many?", target="forty two")], solver=generate(), scorer=includes()
    )
