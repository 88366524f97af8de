"""Weekdays, days of a month, times of day and durations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from examples.demo_experts.sample import Sample, casual

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = {
    "January": 31,
    "February": 28,
    "March": 31,
    "April": 30,
    "May": 31,
    "June": 30,
    "July": 31,
    "August": 31,
    "September": 30,
    "October": 31,
    "November": 30,
    "December": 31,
}
_WEEKDAY_AFTER = (
    "What day is {n} days after {day}?",
    "What day of the week is {n} days after {day}?",
    "Today is {day}. What day will it be in {n} days?",
    "It is {day}. Which weekday is it {n} days from now?",
    "{n} days after {day} is which day?",
    "{day} plus {n} days?",
    "Count {n} days from {day}. Where do you end up?",
    "If today is {day}, what weekday comes {n} days later?",
    "My package ships on {day} and takes {n} days. On which weekday does it arrive?",
    "We start walking on a {day} and arrive after {n} days. Which day is it then?",
    "{name} borrowed a book on {day} and has to bring it back in {n} days. On what day?",
    "In {n} days, counted from {day}, what weekday is it?",
    "Move {n} days ahead of {day}. Name the day.",
)
_DATE_AFTER = (
    "What is the date {n} days after {date}?",
    "Today is {date}. What date is it in {n} days?",
    "Add {n} days to {date}.",
    "{date} plus {n} days?",
    "Which date comes {n} days after {date}?",
    "{n} days from {date} is which date?",
    "The trip starts on {date} and ends {n} days later. On what date does it end?",
    "If it is {date} now, what will the date be {n} days from now?",
    "{name} pays within {n} days of {date}. What is the last date for that?",
    "The order of {date} arrives after {n} days. On which day of the month?",
    "Move {n} days ahead of {date}. Name the date.",
)
_TIME_PLUS = (
    "What time is {n} minutes after {time}?",
    "It is {time}. What time will it be in {n} minutes?",
    "{time} plus {n} minutes?",
    "Add {n} minutes to {time}.",
    "{n} minutes from {time} it is what time?",
    "The train leaves at {time} and takes {n} minutes. When does it arrive?",
    "A show starts at {time} and lasts {n} minutes. When is it over?",
    "The cake goes in the oven for {n} minutes at {time}. When is it done?",
    "{name} has to wait {n} minutes and it is {time} now. When is the wait over?",
    "I take a nap of {n} minutes, beginning at {time}. When do I wake up?",
    "A clock reads {time}. What does it read {n} minutes later?",
    "We need {n} minutes for dinner and begin at {time}. At what time are we finished?",
)
_TO_12 = (
    "Convert {time} to 12-hour time.",
    "What is {time} in 12-hour format?",
    "Write {time} with AM or PM.",
    "{time} in am/pm?",
    "How do you say {time} on a 12-hour clock?",
    "Change {time} to AM/PM time.",
    "Say {time} with a.m. or p.m.",
    "My ticket says {time}. What is that in AM or PM?",
    "Give {time} in the 12-hour system.",
)
_TO_24 = (
    "Convert {time} to 24-hour time.",
    "What is {time} in 24-hour format?",
    "Write {time} in 24-hour format.",
    "{time} in 24h?",
    "How is {time} written on a 24-hour clock?",
    "Change {time} to the 24-hour system.",
    "My watch has 24 hours. What does it show at {time}?",
    "Say {time} as military time.",
    "Give {time} without AM or PM, in 24-hour style.",
)
_BETWEEN = (
    "How long is it from {start} to {end}?",
    "How much time is between {start} and {end}?",
    "What is the duration from {start} to {end}?",
    "I work from {start} to {end}. How long is that?",
    "The class starts at {start} and ends at {end}. How long is it?",
    "{start} to {end}, how long?",
    "{name} slept from {start} until {end}. For how long?",
    "The shop opens at {start} and closes at {end}. How many hours and minutes is that?",
    "A film begins at {start} and is over at {end}. What is its running time?",
    "Count the hours and minutes from {start} to {end}.",
    "It was {start} when it began to rain and {end} when it stopped. How long did it rain?",
)
_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Finn", "Grace", "Hugo", "Ivy", "Jack")


def clock(minutes: int) -> str:
    """Minutes since midnight on a 24-hour clock."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def clock_12(minutes: int) -> str:
    """Minutes since midnight on a 12-hour clock."""
    hour = minutes // 60
    return f"{hour % 12 or 12}:{minutes % 60:02d} {'AM' if hour < 12 else 'PM'}"


def spoken(minutes: int) -> str:
    """A duration in hours and minutes, leaving out what is zero."""
    hours, rest = divmod(minutes, 60)
    parts = [(hours, "hour"), (rest, "minute")]
    return " ".join(f"{n} {unit}{'s' * (n != 1)}" for n, unit in parts if n)


def held_out(start: int, length: int) -> bool:
    """Whether a start and a length, both in minutes, are kept for the benchmark."""
    return (start // 5 + 3 * (length // 5)) % 7 == 2


def sample(rng: Random) -> Sample:
    """One question about dates or times."""
    makers = (_weekday, _date, _time_plus, _to_12, _to_24, _between)
    return rng.choices(makers, weights=(3, 2, 3, 2, 2, 3))[0](rng)


def _asked(rng: Random, templates: Sequence[str], answer: str, **values: object) -> Sample:
    prompt = rng.choice(templates).format(name=rng.choice(_NAMES), **values)
    return Sample(casual(rng, prompt), answer)


def _weekday(rng: Random) -> Sample:
    start, n = rng.randrange(7), rng.randint(2, 13)
    answer = weekday_steps(start, n)
    return _asked(rng, _WEEKDAY_AFTER, answer, day=WEEKDAYS[start], n=n)


def weekday_steps(start: int, n: int) -> str:
    """Whole weeks taken off, then the days counted one by one: a small model cannot leap."""
    shown, left = f"{WEEKDAYS[start]} + {n} days", n % 7
    reduced = f" = {WEEKDAYS[start]} + {left} days" if n >= 7 else ""
    days = ", ".join(f"{i} {WEEKDAYS[(start + i) % 7]}" for i in range(1, left + 1))
    return f"{shown}{reduced}: {days or WEEKDAYS[start]}"


def _date(rng: Random) -> Sample:
    month = rng.choice(tuple(MONTHS))
    day = rng.randint(1, MONTHS[month] - 2)
    n = rng.randint(2, min(20, MONTHS[month] - day))
    date = f"{month} {day}" if rng.random() < 0.7 else f"{day} {month}"
    tens, ones = n - n % 10, n % 10
    step = f" = {day + tens} + {ones}" if tens and ones else ""
    answer = f"{month} {day} + {n} days: {day} + {n}{step} = {day + n}, so {month} {day + n}"
    return _asked(rng, _DATE_AFTER, answer, date=date, n=n)


def _start_and_length(rng: Random, longest: int) -> tuple[int, int]:
    while True:
        start, length = 5 * rng.randint(60, 252), 5 * rng.randint(1, longest // 5)
        if start + length < 1440 and not held_out(start, length):
            return start, length


def _time_plus(rng: Random) -> Sample:
    start, length = _start_and_length(rng, 60)
    hour, minutes = divmod(start, 60)
    minutes += length
    carried = f" = {hour:02d}:{minutes}" if minutes >= 60 else ""
    answer = f"{clock(start)} + {length} minutes{carried} = {clock(start + length)}"
    return _asked(rng, _TIME_PLUS, answer, time=clock(start), n=length)


def _to_12(rng: Random) -> Sample:
    time = rng.randrange(1440)
    step = f": {time // 60} - 12 = {time // 60 - 12}, so" if time >= 780 else " ="
    return _asked(rng, _TO_12, f"{clock(time)}{step} {clock_12(time)}", time=clock(time))


def _to_24(rng: Random) -> Sample:
    time = rng.randrange(1440)
    step = f": {time // 60 - 12} + 12 = {time // 60}, so" if time >= 780 else " ="
    return _asked(rng, _TO_24, f"{clock_12(time)}{step} {clock(time)}", time=clock_12(time))


def _between(rng: Random) -> Sample:
    start, length = _start_and_length(rng, 240)
    end = start + length
    # An hour borrowed before subtracting: 13:05 is 12:65.
    borrowed = f" = {end // 60 - 1:02d}:{end % 60 + 60} - {clock(start)}"
    step = borrowed if end % 60 < start % 60 else ""
    gap = f"{length // 60}:{length % 60:02d}"
    answer = f"{clock(end)} - {clock(start)}{step} = {gap} = {spoken(length)}"
    return _asked(rng, _BETWEEN, answer, start=clock(start), end=clock(end))
