"""Benchmark questions of arithmetic and unit conversion."""

from __future__ import annotations

from random import Random

from evals.tasks.demo_draft import Draft, pair_held_out, tenths_held_out

ARITHMETIC = {
    "+": (
        "Work out {a} + {b} for me.",
        "If you put {a} and {b} together, what number do you get?",
        "A farmer owns {a} cows and buys another {b}. How many cows does he own now?",
        "Find the value of {a} plus {b}.",
        "{a} kids are in the pool and {b} others jump in. How many kids are in the pool?",
    ),
    "-": (
        "Work out {a} - {b} for me.",
        "What do you get when you take {b} from {a}?",
        "Out of {a} eggs, {b} broke. How many eggs are fine?",
        "Find the value of {a} minus {b}.",
        "A tank holds {a} liters and {b} leak out. How many liters does it still hold?",
    ),
    "*": (
        "Work out {a} x {b} for me.",
        "What do you get when you multiply {a} and {b}?",
        "A theater has {a} rows with {b} seats in every row. How many seats does it have?",
        "Find the value of {a} times {b}.",
        "Each of {a} teams has {b} players. How many players are there altogether?",
    ),
}

UNITS = (
    (("kilometer", "kilometers", "km"), ("meter", "meters", "m"), 1000),
    (("meter", "meters", "m"), ("centimeter", "centimeters", "cm"), 100),
    (("centimeter", "centimeters", "cm"), ("millimeter", "millimeters", "mm"), 10),
    (("kilogram", "kilograms", "kg"), ("gram", "grams", "g"), 1000),
    (("liter", "liters", "L"), ("milliliter", "milliliters", "mL"), 1000),
    (("hour", "hours", "h"), ("minute", "minutes", "min"), 60),
    (("minute", "minutes", "min"), ("second", "seconds", "s"), 60),
    (("week", "weeks", "wk"), ("day", "days", "d"), 7),
    (("foot", "feet", "ft"), ("inch", "inches", "in"), 12),
    (("yard", "yards", "yd"), ("foot", "feet", "ft"), 3),
    (("gallon", "gallons", "gal"), ("quart", "quarts", "qt"), 4),
    (("pound", "pounds", "lb"), ("ounce", "ounces", "oz"), 16),
)
CONVERSION = (
    "What do {n} {src} come to in {dst}?",
    "{n} {src} is the same as how many {dst}?",
    "Could you tell me how many {dst} make up {n} {src}?",
    "Rewrite {n} {sym} in {dst}.",
    "The label reads {n} {src}. How much is that in {dst}?",
    "Work out {n} {src} in {dst} for me.",
)
_MOST = {60: 10, 7: 12, 12: 12, 3: 24, 4: 20, 16: 8}


def arithmetic(rng: Random, index: int) -> Draft:
    """A sum, difference or product of operands kept out of training."""
    kind = "+-*"[index % 3]
    while True:
        a, b = rng.randint(11, 99), rng.randint(11, 99)
        if kind == "*":
            a, b = rng.randint(3, 30), rng.randint(3, 5)
            if a <= 12:
                b = rng.randint(3, 12)
        elif kind == "-":
            a, b = max(a, b), min(a, b)
        if pair_held_out(a, b):
            break
    text = rng.choice(ARITHMETIC[kind]).format(a=a, b=b)
    return Draft(text, number({"+": a + b, "-": a - b, "*": a * b}[kind]))


def conversion(rng: Random, index: int) -> Draft:
    """An exact conversion; decimal amounts were kept out of training."""
    large, small, factor = UNITS[index % len(UNITS)]
    tenths = _amount(rng, factor)
    pair = (large, small) if rng.random() < 0.6 else (small, large)
    given, wanted = tenths, tenths * factor
    if pair[0] is small:
        given, wanted = wanted, given
    text = rng.choice(CONVERSION).format(
        n=f"{given / 10:g}" if given % 10 else given // 10,
        src=pair[0][given != 10],
        dst=pair[1][1],
        sym=pair[0][2],
    )
    return Draft(text, number(wanted / 10, pair[1]))


def number(value: float, units: tuple[str, ...] = ()) -> dict[str, str | float | list[str]]:
    """The target of a question whose answer is a number, of ``units`` where it has one."""
    return {"kind": "number", "value": value, "units": list(units)}


def _amount(rng: Random, factor: int) -> int:
    """How many of the large unit, in tenths."""
    if factor not in (10, 100, 1000):
        return 10 * rng.randint(2, _MOST[factor])
    while True:
        tenths = rng.randint(1, 60) * 10 if rng.random() < 0.5 else rng.randint(11, 99)
        if tenths_held_out(tenths):
            return tenths
