"""Answers are read out of replies, and only where a reply gives one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.types import Reading
from evals.extract import answer_part, read_choice, read_number, read_text

COLOURS = ("red", "green", "blue", "grey", "white", "black", "pink", "brown", "teal")

STATED = {
    "So it is grass. The answer is (B).": "B",
    "the answer is **B**": "B",
    "The correct answer is: (C)": "C",
    "answer is\n\n(F)": "F",
    "The answer is A because red is warm.": "A",
    "The answer is $\\boxed{\\text{(H)}}$.": "H",
    "Final: \\boxed{D}": "D",
    "The answer should be option (E), nothing else fits.": "E",
    "At first the answer is (A). But no: the answer is (C).": "C",
    "<think>The answer is (A).</think>The answer is (B).": "B",
    "The answer is (A).\n\nQuestion: which is next?\nAnswer: the answer is (B).": "A",
    "The answer is (A).\n\nNow, let us collect all the answers:\nThe answer is (D).": "A",
}
NAMED = {
    "**Answer:** D": "D",
    '{"reasoning": "leaves", "answer": "B"}': "B",
    "B": "B",
    "(B)": "B",
    "**B. green**": "B",
    "Leaves have chlorophyll.\n\nB": "B",
    "Option C is correct.": "C",
    "The best choice is (D), grey.": "D",
}
GUESSED = {
    "The answer is green.": "B",
    "green": "B",
    "The answer is (A) or (B).": "A",
    "None fits well; the closest is (B).": "B",
}
NOTHING = (
    "",
    "I think A is a nice letter.",
    "A long time ago I saw it.",
    "The answer is Any of them.",
    "The answer is A bond of two atoms.",
    "The answer is I have no idea.",
    "The answer is C6H12O6.",
    "The answer is D-glucose.",
    "The answer is (J).",
    "<think>The answer is (B).",
    "B is for bees, and C is for cats.",
)


@pytest.mark.parametrize(
    ("reply", "letter", "reading"),
    [
        *((reply, letter, Reading.STATED) for reply, letter in STATED.items()),
        *((reply, letter, Reading.NAMED) for reply, letter in NAMED.items()),
        *((reply, letter, Reading.GUESSED) for reply, letter in GUESSED.items()),
    ],
)
def test_a_letter_is_read_with_how_it_was_said(reply: str, letter: str, reading: Reading) -> None:
    assert read_choice(reply, COLOURS) == (letter, reading)


@pytest.mark.parametrize("reply", NOTHING)
def test_a_capital_in_prose_is_no_answer(reply: str) -> None:
    assert read_choice(reply, COLOURS) == (None, Reading.NOTHING)


@pytest.mark.parametrize(
    ("reply", "number", "reading"),
    [
        ("3 + 15 = 18\n#### 18", "18", Reading.STATED),
        ("The answer is $1,200.00.", "1200", Reading.STATED),
        ("So \\boxed{\\frac{3}{4}}", "0.75", Reading.STATED),
        ("\\boxed{18 \\text{ apples}}", "18", Reading.STATED),
        ("The answer is 5 + 3 = 8.", "8", Reading.STATED),
        ("Answer: -12 degrees", "-12", Reading.NAMED),
        ('{"answer": "1/3"}', "1/3", Reading.NAMED),
        ("042", "42", Reading.NAMED),
        ("There are 3 boxes.\nThey hold 3 * 4 = 12 apples, for 2 days.", "12", Reading.GUESSED),
        ("There are 7 of them, in all.", "7", Reading.GUESSED),
        ("I cannot say.", None, Reading.NOTHING),
        ("The answer is 1/0", None, Reading.NOTHING),
    ],
)
def test_a_number_is_read_in_one_form(reply: str, number: str | None, reading: Reading) -> None:
    assert read_number(reply) == (number, reading)


@pytest.mark.parametrize(
    ("reply", "words", "reading"),
    [
        ("It flows there. The answer is the Long River.", "long river", Reading.STATED),
        ("**Answer:** Long  River", "long river", Reading.NAMED),
        ("Long River.", "long river", Reading.NAMED),
        ("It is a river.\nIt is long.\nNobody knows its name.", None, Reading.NOTHING),
    ],
)
def test_a_few_words_are_read_plainly(reply: str, words: str | None, reading: Reading) -> None:
    assert read_text(reply) == (words, reading)


def test_the_trace_of_reasoning_is_cut() -> None:
    assert answer_part("<think>a</think>b") == "b"
    assert answer_part("a, without its opening</think>b") == "b"
    assert answer_part("<think>it never ends") == ""


@given(st.text() | st.text(alphabet="answer is(ABI)\\boxed{}*#=0123456789,./- \n:Q"))
def test_whatever_is_said_can_be_read(reply: str) -> None:
    for read in (read_choice(reply, COLOURS), read_number(reply), read_text(reply)):
        assert (read[0] is None) == (read[1] is Reading.NOTHING)


@given(st.text(), st.sampled_from("ABCDEFGHI"))
def test_an_answer_stated_last_is_read(before: str, letter: str) -> None:
    before = before.replace("\n", " ")
    assert read_choice(f"{before} The answer is ({letter}).", COLOURS)[0] == letter


@pytest.mark.parametrize(
    "piece",
    [
        "answer is ",
        "answer " * 3,
        "answer is (((",
        "\\boxed{",
        "{",
        "1,",
        "1",
        "####",
        "-",
        "the answer is \\text{\\text{",
        "option A ",
        "\nQuestion",
        "\nNow, ",
        "</think>",
        "(A)",
        "$ $",
        "\n\n",
        "A. ",
    ],
)
def test_long_hostile_replies_take_no_long_time(piece: str) -> None:
    reply = piece * (400_000 // len(piece))
    started = time.thread_time()  # its own work: other tests share the machine
    read_choice(reply, COLOURS), read_number(reply), read_text(reply)
    assert time.thread_time() - started < 4.0  # under 1.5 where slow; quadratic: minutes
