"""Sums, differences and products of small whole numbers, with one worked step where it helps."""

from __future__ import annotations

from random import Random

from examples.demo_experts.sample import Sample, casual

_ADD = (
    "What is {a} + {b}?",
    "What is {a} plus {b}?",
    "{a} + {b} = ?",
    "{a}+{b}",
    "Calculate {a} + {b}.",
    "Add {a} and {b}.",
    "Compute the sum of {a} and {b}.",
    "How much is {a} plus {b}?",
    "Please add {b} to {a}.",
    "I have {a} apples and get {b} more. How many apples do I have?",
    "A bus carries {a} people and {b} more get on. How many are on the bus?",
    "{name} read {a} pages yesterday and {b} today. How many pages in all?",
    "There are {a} red balls and {b} blue balls in a box. How many balls are there?",
    "We sold {a} tickets in the morning and {b} in the afternoon. What is the total?",
    "One book costs ${a} and another ${b}. What do both cost together?",
    "{a} students sit in a room and {b} more come in. How many students are there now?",
    "{name} has {a} cards and finds {b} more. How many cards does {name} have?",
    "A team scored {a} points in one game and {b} in the next. How many in total?",
    "{a} guests arrived early and {b} came later. How many guests came?",
    "Our school has {a} girls and {b} boys. How many children is that?",
)
_SUBTRACT = (
    "What is {a} - {b}?",
    "What is {a} minus {b}?",
    "{a} - {b} = ?",
    "{a}-{b}",
    "Calculate {a} - {b}.",
    "Subtract {b} from {a}.",
    "Compute the difference of {a} and {b}.",
    "Take {b} away from {a}.",
    "How much is {a} minus {b}?",
    "I have {a} coins and give away {b}. How many coins are left?",
    "{name} had {a} stickers and lost {b}. How many remain?",
    "A shop has {a} shirts and sells {b}. How many shirts are left?",
    "There were {a} birds on a tree and {b} flew away. How many stayed?",
    "I pay ${b} out of ${a}. How much money do I still have?",
    "How much bigger is {a} than {b}?",
    "{a} students sit in a room and {b} go home. How many students are there now?",
    "A jar has {a} cookies and we eat {b}. How many cookies are left?",
    "{name} needs {a} points and has {b}. How many are missing?",
)
_MULTIPLY = (
    "What is {a} * {b}?",
    "What is {a} x {b}?",
    "What is {a} times {b}?",
    "{a} × {b} = ?",
    "{a}*{b}",
    "Calculate {a} x {b}.",
    "Multiply {a} by {b}.",
    "Compute the product of {a} and {b}.",
    "How much is {a} times {b}?",
    "There are {a} boxes with {b} pens each. How many pens are there?",
    "{name} buys {a} packs of {b} cards. How many cards is that?",
    "One ticket costs ${a}. What do {b} tickets cost?",
    "A garden has {a} rows of {b} plants. How many plants in all?",
    "I run {a} miles a day for {b} days. How many miles is that?",
    "A hall has {a} tables with {b} chairs at each. How many chairs are there?",
    "{a} children get {b} sweets each. How many sweets is that?",
)
_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Finn", "Grace", "Hugo", "Ivy", "Jack")


def held_out(a: int, b: int) -> bool:
    """Whether a pair of operands is kept for the benchmark and never trained on."""
    return (3 * a + 5 * b) % 7 == 2


def sample(rng: Random) -> Sample:
    """One problem on operands that are not held out."""
    kind = rng.choice("++--*")
    while True:
        a, b = _operands(rng, kind)
        if not held_out(a, b):
            break
    templates = {"+": _ADD, "-": _SUBTRACT, "*": _MULTIPLY}[kind]
    prompt = rng.choice(templates).format(a=a, b=b, name=rng.choice(_NAMES))
    return Sample(casual(rng, prompt), worked(a, b, kind))


def worked(a: int, b: int, kind: str) -> str:
    """The problem, a step in between where there is one, and the result."""
    result = {"+": a + b, "-": a - b, "*": a * b}[kind]
    return " = ".join([f"{a} {kind} {b}", *_step(a, b, kind), str(result)])


def _operands(rng: Random, kind: str) -> tuple[int, int]:
    if kind == "*":
        if rng.random() < 0.6:
            return rng.randint(2, 12), rng.randint(2, 12)
        return rng.randint(11, 49), rng.randint(2, 5)
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    return (max(a, b), min(a, b)) if kind == "-" else (a, b)


def _step(a: int, b: int, kind: str) -> list[str]:
    if kind == "*":
        tens, ones = a - a % 10, a % 10
        return [f"{tens * b} + {ones * b}"] if a > 12 and ones else []
    tens, ones = b - b % 10, b % 10
    if not tens or not ones:
        return []
    return [f"{a + tens if kind == '+' else a - tens} {kind} {ones}"]
