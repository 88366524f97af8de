"""Benchmark questions that want JSON, and questions that mix two skills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from coterie.types import JSON
from evals.tasks.demo_draft import Draft
from evals.tasks.demo_numbers import number
from evals.tasks.demo_times import clock, date_after, start_and_length

_FIRST = ("Marta", "Oscar", "Priya", "Samuel", "Yuki", "Leon", "Fatima", "Victor", "Nora", "Pablo")
_LAST = ("Berg", "Costa", "Fischer", "Haddad", "Ivanov", "Moreau", "Petrov", "Silva", "Wong")
_TOWNS = ("Vienna", "Lisbon", "Dublin", "Seoul", "Athens", "Geneva", "Toronto", "Prague")
_WORK = ("dentist", "painter", "carpenter", "librarian", "barber", "tailor", "gardener")
_GOODS = ("candles", "pillows", "bottles", "clocks", "plates", "scarves", "keyboards", "baskets")
_SHOWS = ("Winter Ball", "Poetry Slam", "Film Week", "Robot Expo", "Wine Fest", "Coding Camp")
_HALLS = ("Blue Hall", "Harbor House", "Royal Theater", "Sun Plaza", "West Garden", "Lake Pavilion")
_MONTHS = ("February", "June", "September", "November", "April", "August")
_CARS = ("Falcon", "Comet", "Orion", "Zephyr", "Nomad")
_COLORS = ("silver", "yellow", "red", "green", "white")

INSTRUCTIONS = (
    "From the text below, give {fields} as a JSON object.\n\n{text}",
    "{text} -> JSON with the keys {fields}",
    "Read this: {text}\nNow output JSON holding {fields}.",
    "Make a JSON record ({fields}) from: {text}",
)
SENTENCES = {
    "person": (
        "At {age}, {name} still works as a {job} in {city}.",
        "Our new {job} is called {name}; home town {city}, age {age}.",
        "{city} is where {name}, aged {age}, found work as a {job}.",
    ),
    "order": (
        "{quantity} {product} went to {customer}, who was billed ${price}.",
        "Invoice to {customer} over {price} dollars, covering {quantity} {product}.",
        "Our buyer {customer} took {quantity} {product}, total ${price}.",
    ),
    "event": (
        "Tickets for {event} are out: {place}, {date}, doors open at {time}.",
        "{event} returns to {place} this {date}; it begins at {time}.",
        "Meet at {place} for {event}, {date}, {time} sharp.",
    ),
    "rental": (
        "A {color} {model} is rented for {days} days at ${price}.",
        "For ${price} you get the {model} in {color} for {days} days.",
        "The {model} ({color}) was booked for {days} days; cost: {price} dollars.",
    ),
}

CONVERT_AND_ADD = (
    "How many minutes do {n} hours and {m} minutes make together?",
    "I walked {n} kilometers and then another {m} meters. How many meters did I walk?",
    "A plank of {n} feet gets {m} inches longer. How many inches long is it now?",
)
MULTIPLY_AND_CONVERT = (
    "Each of {a} ropes is {n} meters long. What is their length together in centimeters?",
    "{a} bags weigh {n} kilograms each. How many grams do they weigh in all?",
)
DATE_AS_JSON = (
    "Which date is {n} days after {month} {day}? Reply as JSON with the keys month and day."
)
END_AS_JSON = (
    "A film starts at {time} and lasts {n} minutes. Give its end as JSON with the key end."
)
TOTAL_AS_JSON = "{name} buys {a} {product} at ${b} each. Give JSON with the keys product and total."


def extraction(rng: Random, index: int) -> Draft:
    """Two to four fields of a sentence."""
    kind = tuple(SENTENCES)[index % len(SENTENCES)]
    record = _RECORDS[kind](rng)
    text = rng.choice(SENTENCES[kind]).format(**record)
    wanted = rng.sample(sorted(record), rng.randint(2, 4))
    prompt = rng.choice(INSTRUCTIONS).format(fields=", ".join(wanted), text=text)
    return Draft(prompt, fields({key: record[key] for key in wanted}))


def mixed(rng: Random, index: int) -> Draft:
    """A question that needs two skills, graded on its final answer alone."""
    makers = (_convert_and_add, _date_as_json, _multiply_and_convert, _end_as_json, _total_as_json)
    return makers[index % len(makers)](rng)


def fields(values: Mapping[str, JSON]) -> dict[str, JSON]:
    """The target of a question whose answer is a JSON object."""
    return {"kind": "json", "value": values}


def _name(rng: Random) -> str:
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def _person(rng: Random) -> dict[str, JSON]:
    age, city = rng.randint(19, 88), rng.choice(_TOWNS)
    return {"name": _name(rng), "age": age, "city": city, "job": rng.choice(_WORK)}


def _order(rng: Random) -> dict[str, JSON]:
    quantity, price = rng.randint(2, 70), rng.randint(3, 450)
    product = rng.choice(_GOODS)
    return {"customer": _name(rng), "quantity": quantity, "product": product, "price": price}


def _event(rng: Random) -> dict[str, JSON]:
    date = f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}"
    time = f"{rng.randint(8, 22)}:{rng.choice(('10', '20', '40', '50'))}"
    return {"event": rng.choice(_SHOWS), "place": rng.choice(_HALLS), "date": date, "time": time}


def _rental(rng: Random) -> dict[str, JSON]:
    days, price = rng.randint(2, 21), rng.randint(40, 600)
    model, color = rng.choice(_CARS), rng.choice(_COLORS)
    return {"model": model, "color": color, "days": days, "price": price}


_RECORDS: Mapping[str, Callable[[Random], dict[str, JSON]]] = {
    "person": _person,
    "order": _order,
    "event": _event,
    "rental": _rental,
}


def _convert_and_add(rng: Random) -> Draft:
    which = rng.randrange(3)
    most, factor, small = ((6, 60, "minutes"), (9, 1000, "meters"), (8, 12, "inches"))[which]
    n, m = rng.randint(2, most), rng.randint(2, 9) * (100 if factor == 1000 else 1)
    return Draft(CONVERT_AND_ADD[which].format(n=n, m=m), number(n * factor + m, (small,)))


def _multiply_and_convert(rng: Random) -> Draft:
    which, a, n = rng.randrange(2), rng.randint(2, 9), rng.randint(2, 9)
    factor, unit = ((100, "centimeters"), (1000, "grams"))[which]
    return Draft(MULTIPLY_AND_CONVERT[which].format(a=a, n=n), number(a * n * factor, (unit,)))


def _date_as_json(rng: Random) -> Draft:
    month, day, n = date_after(rng)
    text = DATE_AS_JSON.format(n=n, month=month, day=day)
    return Draft(text, fields({"month": month, "day": day + n}))


def _end_as_json(rng: Random) -> Draft:
    start, length = start_and_length(rng, 55)
    text = END_AS_JSON.format(time=clock(start), n=length)
    return Draft(text, fields({"end": clock(start + length)}))


def _total_as_json(rng: Random) -> Draft:
    a, b, product = rng.randint(3, 12), rng.randint(3, 12), rng.choice(_GOODS)
    text = TOTAL_AS_JSON.format(name=rng.choice(_FIRST), a=a, b=b, product=product)
    return Draft(text, fields({"product": product, "total": a * b}))
