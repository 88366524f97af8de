"""The task instruction of a prompt, apart from its content."""

import pytest

from coterie.types import Message, Question
from orchestrator.instructions import LONGEST, instruction_of


@pytest.mark.parametrize(
    ("prompt", "instruction"),
    [
        ("Translate into French: the cat sleeps.", "Translate into French"),
        ("Task: find the verbs.\nText: dogs bark.", "find the verbs."),
        ("Some context.\n\n### Instruction:\nName the river.\n\nRhine", "Name the river."),
        ("Sum this up in one line.\n\nOnce upon a time...", "Sum this up in one line."),
        ("Convert this to metres. The rope is 3 km long.", "Convert this to metres."),
        ("What is 2 + 2?", ""),
        ("Add 12:30 and 1:15", ""),
        ("", ""),
    ],
)
def test_what_is_asked_for_is_found(prompt: str, instruction: str) -> None:
    assert instruction_of(Question.of(prompt)) == instruction


def test_a_system_message_is_the_instruction() -> None:
    asked = Question.of("Task: another.\n\nthe cat", system="You turn sentences into French.")
    assert instruction_of(asked) == "You turn sentences into French."
    blank = Question((Message("system", " "), Message("user", "Name the verb, please: barks")))
    assert instruction_of(blank) == "Name the verb, please"


def test_a_long_instruction_is_cut() -> None:
    assert len(instruction_of(Question.of("x", system="word " * 1000))) <= LONGEST
