"""Benchmark questions of dates and times."""

from __future__ import annotations

from random import Random

from evals.tasks.demo_draft import Draft, times_held_out

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
)

WEEKDAY = (
    "Starting on {day} and counting {n} days forward, which weekday do you reach?",
    "Someone leaves on {day} and comes back {n} days later. What weekday is that?",
    "Which weekday follows {day} by {n} days?",
)
DATE = (
    "Counting {n} days on from {date}, which date do you reach?",
    "A bill written on {date} is due {n} days later. On which date is it due?",
    "What will the calendar say {n} days past {date}?",
)
PLUS = (
    "My bus departs at {time} and needs {n} minutes. At what time do I get there?",
    "I set a timer for {n} minutes at {time}. At what time does it ring?",
    "What will the clock show {n} minutes past {time}?",
)
TO_12 = (
    "On a clock with AM and PM, what does {time} read?",
    "Rewrite {time} using AM or PM.",
)
TO_24 = (
    "Rewrite {time} as 24-hour time.",
    "What does {time} look like on a 24-hour display?",
)
BETWEEN = (
    "A meeting runs from {start} until {end}. What is its length?",
    "How many hours and minutes pass between {start} and {end}?",
    "We were open between {start} and {end}. How long were we open?",
)


def clock(minutes: int) -> str:
    """Minutes since midnight on a 24-hour clock."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def clock_12(minutes: int) -> str:
    """Minutes since midnight on a 12-hour clock."""
    half = "AM" if minutes < 720 else "PM"
    return f"{minutes // 60 % 12 or 12}:{minutes % 60:02d} {half}"


def datetime(rng: Random, index: int) -> Draft:
    """A question about a weekday, a date, a time of day or a duration, in turns."""
    makers = (_weekday, _plus, _date, _to_12, _between, _to_24)
    return makers[index % len(makers)](rng)


def date_after(rng: Random) -> tuple[str, int, int]:
    """A month, a day in it, and how many days later is still within it."""
    month, days = rng.choice(MONTHS)
    day = rng.randint(2, days - 3)
    return month, day, rng.randint(2, min(14, days - day))


def start_and_length(rng: Random, longest: int) -> tuple[int, int]:
    """A time of day and a length kept out of training, both in minutes, ending the same day."""
    while True:
        start, length = 5 * rng.randint(72, 240), 5 * rng.randint(2, longest // 5)
        if times_held_out(start, length) and start + length < 1440:
            return start, length


def _weekday(rng: Random) -> Draft:
    start, n = rng.randrange(7), rng.randint(2, 12)
    text = rng.choice(WEEKDAY).format(day=WEEKDAYS[start], n=n)
    return Draft(text, {"kind": "weekday", "value": WEEKDAYS[(start + n) % 7]})


def _date(rng: Random) -> Draft:
    month, day, n = date_after(rng)
    text = rng.choice(DATE).format(date=f"{month} {day}", n=n)
    return Draft(text, {"kind": "date", "value": f"{month} {day + n}"})


def _plus(rng: Random) -> Draft:
    start, length = start_and_length(rng, 55)
    text = rng.choice(PLUS).format(time=clock(start), n=length)
    return Draft(text, {"kind": "time", "value": clock(start + length), "form": "any"})


def _to_12(rng: Random) -> Draft:
    time = rng.randint(360, 1439)
    text = rng.choice(TO_12).format(time=clock(time))
    return Draft(text, {"kind": "time", "value": clock(time), "form": "12"})


def _to_24(rng: Random) -> Draft:
    time = rng.randint(720, 1439)
    text = rng.choice(TO_24).format(time=clock_12(time))
    return Draft(text, {"kind": "time", "value": clock(time), "form": "24"})


def _between(rng: Random) -> Draft:
    start, length = start_and_length(rng, 200)
    text = rng.choice(BETWEEN).format(start=clock(start), end=clock(start + length))
    return Draft(text, {"kind": "duration", "value": length})
