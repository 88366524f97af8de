"""Reading the short answer out of a completion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.extract import canonical_answer, choices_of, options_of

CHOICE = "Which is a mammal?\nA. trout\nB. bat\nC. frog"


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("42", "42"),
        ("42.", "42"),
        ("42.0", "42"),
        ("12 + 30 = 42", "42"),
        ("1,234", "1234"),
        ("The answer is 42.", "42"),
        ("Let me see. 40 and 2 more.\nAnswer: 42", "42"),
        ("<think>maybe 41?</think>42", "42"),
        (r"So we get \boxed{42}", "42"),
        ("Paris.", "paris"),
        ("paris", "paris"),
        ("Thursday", "thursday"),
        ("14:35", "14:35"),
        ("3.5 kilometres", "3.5"),
    ],
)
def test_equal_answers_have_one_form(completion: str, answer: str) -> None:
    assert canonical_answer("What is it?", completion) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B. bat", "B"),
        ("The answer is (B).", "B"),
        ("A bat is a mammal, so I would say\nAnswer: B", "B"),
        ("I think frogs are not.", None),
        ("Z", None),
    ],
)
def test_a_choice_is_a_letter_that_was_offered(completion: str, answer: str | None) -> None:
    assert canonical_answer(CHOICE, completion) == answer


def test_json_ignores_key_order_and_white_space() -> None:
    one = canonical_answer("?", '{"a": 1, "b": "x"}')
    two = canonical_answer("?", '```json\n{"b":"x",  "a":1}\n```')
    assert one == two == '{"a": 1, "b": "x"}'


def test_sql_ignores_case_and_white_space() -> None:
    one = canonical_answer("?", "SELECT name FROM users WHERE age > 3;")
    two = canonical_answer("?", "select name\nfrom users\nwhere age > 3")
    assert one == two


def test_prose_has_no_short_form() -> None:
    prose = "Autumn leaves are falling down, " * 5
    assert canonical_answer("Write a poem.", prose) is None


def test_options_must_start_at_a() -> None:
    assert options_of(CHOICE) == ("A", "B", "C")
    assert options_of("B. only this") == ()
    assert options_of("no options") == ()


@given(st.text(), st.text())
def test_no_text_breaks_it(question: str, completion: str) -> None:
    found = canonical_answer(question, completion)
    assert found is None or found


def test_a_choice_has_the_texts_of_its_options() -> None:
    assert choices_of(CHOICE) == ("trout", "bat", "frog")
    assert choices_of("Which?\n(A) one two\n(B) three\n(A) again") == ("one two", "three")
    assert choices_of("A. alone") == ()
