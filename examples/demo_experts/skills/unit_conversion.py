"""Exact conversions between everyday units, with numbers that come out clean."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random

from examples.demo_experts.sample import Sample, casual


@dataclass(frozen=True, slots=True)
class Conversion:
    """One ``large`` is ``factor`` of ``small``; units are (singular, plural, symbol)."""

    large: tuple[str, str, str]
    small: tuple[str, str, str]
    factor: int

    @property
    def decimal(self) -> bool:
        """Whether converting only moves the decimal point."""
        return self.factor in (10, 100, 1000)


CONVERSIONS = (
    Conversion(("kilometer", "kilometers", "km"), ("meter", "meters", "m"), 1000),
    Conversion(("meter", "meters", "m"), ("centimeter", "centimeters", "cm"), 100),
    Conversion(("centimeter", "centimeters", "cm"), ("millimeter", "millimeters", "mm"), 10),
    Conversion(("kilogram", "kilograms", "kg"), ("gram", "grams", "g"), 1000),
    Conversion(("liter", "liters", "L"), ("milliliter", "milliliters", "mL"), 1000),
    Conversion(("ton", "tons", "t"), ("kilogram", "kilograms", "kg"), 1000),
    Conversion(("hour", "hours", "h"), ("minute", "minutes", "min"), 60),
    Conversion(("minute", "minutes", "min"), ("second", "seconds", "s"), 60),
    Conversion(("week", "weeks", "wk"), ("day", "days", "d"), 7),
    Conversion(("foot", "feet", "ft"), ("inch", "inches", "in"), 12),
    Conversion(("yard", "yards", "yd"), ("foot", "feet", "ft"), 3),
    Conversion(("gallon", "gallons", "gal"), ("quart", "quarts", "qt"), 4),
    Conversion(("pound", "pounds", "lb"), ("ounce", "ounces", "oz"), 16),
)

_TEMPLATES = (
    "Convert {n} {src} to {dst}.",
    "Convert {n} {sym} to {dsym}.",
    "{n} {src} in {dst}",
    "{n} {sym} in {dsym}?",
    "{n} {sym} to {dst}",
    "How many {dst} are {n} {src}?",
    "How many {dst} are there in {n} {src}?",
    "How many {dst} is {n} {sym}?",
    "What is {n} {src} in {dst}?",
    "{n} {src} equals how many {dst}?",
    "Please change {n} {src} into {dst}.",
    "Express {n} {sym} in {dst}.",
    "I need {n} {src} as {dst}, please.",
    "My recipe says {n} {src}, what is that in {dst}?",
    "A rope, a bag or a walk of {n} {src}: how many {dst}?",
    "Give me the number of {dst} in {n} {src}.",
    "Turn {n} {src} into {dst}.",
    "Tell me {n} {sym} in {dst}.",
    "{n} {src} make how many {dst}?",
    "Something measures {n} {src}. How many {dst} is it?",
    "We have {n} {sym}. Give that in {dst}.",
    "Calculate how many {dst} there are in {n} {sym}.",
)
_MAX_SMALL_FACTOR = {60: 12, 7: 15, 12: 15, 3: 30, 4: 25, 16: 10}


def held_out(tenths: int) -> bool:
    """Whether a number, in tenths, is kept for the benchmark's decimal conversions."""
    return tenths % 7 == 3


def sample(rng: Random) -> Sample:
    """One conversion, from large to small or back."""
    conversion = rng.choice(CONVERSIONS)
    amount = _amount(rng, conversion)
    down = rng.random() < 0.6
    pair = (conversion.large, conversion.small)
    source, target = pair if down else pair[::-1]
    result = amount * conversion.factor
    number, answer = (amount, result) if down else (result, amount)
    prompt = rng.choice(_TEMPLATES).format(
        n=shown(number),
        src=source[number != 1],
        dst=target[1],
        sym=source[2],
        dsym=target[2],
    )
    return Sample(casual(rng, prompt), solved(conversion, number, answer, down=down))


def solved(conversion: Conversion, number: Fraction, answer: Fraction, *, down: bool) -> str:
    """The rule first, then the sum: a small model that states the factor gets the number right."""
    one, many = conversion.large[0], conversion.small[1]
    target = conversion.small if down else conversion.large
    sign = "*" if down else "/"
    return (
        f"1 {one} = {conversion.factor} {many}, so {shown(number)} {sign} {conversion.factor} "
        f"= {shown(answer)} {target[answer != 1]}"
    )


def shown(number: Fraction) -> str:
    """A number as people write it: no point where it is whole."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):g}"


def _amount(rng: Random, conversion: Conversion) -> Fraction:
    """How many of the large unit."""
    if not conversion.decimal:
        return Fraction(rng.randint(1, _MAX_SMALL_FACTOR[conversion.factor]))
    while True:
        tenths = rng.randint(1, 60) * 10 if rng.random() < 0.6 else rng.randint(1, 99)
        if not held_out(tenths):
            return Fraction(tenths, 10)
