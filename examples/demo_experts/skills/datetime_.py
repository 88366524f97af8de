"""Weekdays, days of a month, times of day and durations."""

from __future__ import annotations

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
    "If today is {day}, what weekday comes {n} days later?",
    "My package ships on {day} and takes {n} days. On which weekday does it arrive?",
)
_DATE_AFTER = (
    "What is the date {n} days after {date}?",
    "Today is {date}. What date is it in {n} days?",
    "Add {n} days to {date}.",
    "{date} plus {n} days?",
    "Which date comes {n} days after {date}?",
    "The trip starts on {date} and ends {n} days later. On what date does it end?",
    "If it is {date} now, what will the date be {n} days from now?",
)
_TIME_PLUS = (
    "What time is {n} minutes after {time}?",
    "It is {time}. What time will it be in {n} minutes?",
    "{time} plus {n} minutes?",
    "Add {n} minutes to {time}.",
    "The train leaves at {time} and takes {n} minutes. When does it arrive?",
    "A show starts at {time} and lasts {n} minutes. When is it over?",
)
_TO_12 = (
    "Convert {time} to 12-hour time.",
    "What is {time} in 12-hour format?",
    "Write {time} with AM or PM.",
    "{time} in am/pm?",
    "How do you say {time} on a 12-hour clock?",
)
_TO_24 = (
    "Convert {time} to 24-hour time.",
    "What is {time} in 24-hour format?",
    "Write {time} in 24-hour format.",
    "{time} in 24h?",
    "How is {time} written on a 24-hour clock?",
)
_BETWEEN = (
    "How long is it from {start} to {end}?",
    "How much time is between {start} and {end}?",
    "What is the duration from {start} to {end}?",
    "I work from {start} to {end}. How long is that?",
    "The class starts at {start} and ends at {end}. How long is it?",
    "{start} to {end}, how long?",
)


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
    makers = (_weekday, _weekday, _date, _time_plus, _time_plus, _to_12, _to_24, _between, _between)
    return rng.choice(makers)(rng)


def _weekday(rng: Random) -> Sample:
    start, n = rng.randrange(7), rng.randint(2, 13)
    prompt = rng.choice(_WEEKDAY_AFTER).format(day=WEEKDAYS[start], n=n)
    end = WEEKDAYS[(start + n) % 7]
    reduced = f" = {WEEKDAYS[start]} + {n - 7} days" if n > 7 else ""
    answer = f"{WEEKDAYS[start]} + {n} days{reduced} = {end}"
    return Sample(casual(rng, prompt), answer)


def _date(rng: Random) -> Sample:
    month = rng.choice(tuple(MONTHS))
    day = rng.randint(1, MONTHS[month] - 2)
    n = rng.randint(2, min(20, MONTHS[month] - day))
    date = f"{month} {day}" if rng.random() < 0.7 else f"{day} {month}"
    prompt = rng.choice(_DATE_AFTER).format(date=date, n=n)
    return Sample(casual(rng, prompt), f"{month} {day} + {n} days = {month} {day + n}")


def _start_and_length(rng: Random, longest: int) -> tuple[int, int]:
    while True:
        start, length = 5 * rng.randint(60, 252), 5 * rng.randint(1, longest // 5)
        if start + length < 1440 and not held_out(start, length):
            return start, length


def _time_plus(rng: Random) -> Sample:
    start, length = _start_and_length(rng, 60)
    prompt = rng.choice(_TIME_PLUS).format(time=clock(start), n=length)
    answer = f"{clock(start)} + {length} minutes = {clock(start + length)}"
    return Sample(casual(rng, prompt), answer)


def _to_12(rng: Random) -> Sample:
    time = rng.randrange(1440)
    prompt = rng.choice(_TO_12).format(time=clock(time))
    return Sample(casual(rng, prompt), f"{clock(time)} = {clock_12(time)}")


def _to_24(rng: Random) -> Sample:
    time = rng.randrange(1440)
    prompt = rng.choice(_TO_24).format(time=clock_12(time))
    return Sample(casual(rng, prompt), f"{clock_12(time)} = {clock(time)}")


def _between(rng: Random) -> Sample:
    start, length = _start_and_length(rng, 240)
    prompt = rng.choice(_BETWEEN).format(start=clock(start), end=clock(start + length))
    # Whole hours first, then the rest: the step a person takes.
    whole = start + length - length % 60
    step = f"{clock(start)} to {clock(whole)} to {clock(start + length)}"
    answer = f"{step} = {spoken(length)}" if length % 60 and length > 60 else spoken(length)
    return Sample(casual(rng, prompt), answer)
