"""Two to four named fields out of a sentence, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from examples.demo_experts.sample import Sample

Value: TypeAlias = "str | int"
Record: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Domain:
    """A kind of record and the sentences that tell one."""

    draw: Callable[[Random], Record]
    sentences: tuple[str, ...]


_FIRST = ("Anna", "Ben", "Clara", "David", "Emma", "Finn", "Grace", "Hugo", "Ivy", "Jack", "Karim")
_LAST = ("Lopez", "Smith", "Weber", "Rossi", "Novak", "Tanaka", "Okafor", "Dubois", "Olsen", "Khan")
_CITIES = ("Paris", "Berlin", "Oslo", "Madrid", "Lima", "Cairo", "Boston", "Tokyo", "Delhi", "Rome")
_JOBS = ("teacher", "nurse", "plumber", "lawyer", "chef", "engineer", "baker", "pilot", "farmer")
_THINGS = ("lamps", "chairs", "pens", "shirts", "mugs", "books", "tents", "bikes", "phones", "hats")
_EVENTS = ("Jazz Night", "Tech Meetup", "Book Fair", "Spring Gala", "Chess Cup", "Food Festival")
_PLACES = ("City Hall", "Grand Hotel", "Green Park", "North Arena", "Old Mill", "Town Library")
_MONTHS = ("January", "March", "April", "May", "July", "August", "October", "December")
_COMPANIES = ("Acme", "Globex", "Initech", "Umbra", "Vertex", "Bluebird", "Norda", "Solaris")
_DOMAINS = ("example.com", "mail.org", "post.net", "corp.io")
_COLORS = ("blue", "black", "brown", "orange", "pink", "gray", "purple", "beige", "golden")
_PETS = ("cat", "dog", "parrot", "pony", "rabbit", "goat", "turtle", "hamster")
_SUBJECTS = ("Spanish", "Pottery", "Algebra", "Guitar", "Biology", "Cooking", "Drawing", "Yoga")
_ONSETS = ("b", "br", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
_CODAS = ("", "n", "r", "l", "s", "k", "nd", "th", "x")


def _made_up(rng: Random) -> str:
    """A word that means nothing: it can only be copied."""
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 3))]
    return "".join([*parts, rng.choice(_CODAS)]).capitalize()


def _one_of(rng: Random, known: Sequence[str]) -> str:
    return rng.choice(known) if rng.random() < 0.5 else _made_up(rng)


def _name(rng: Random) -> str:
    first = _one_of(rng, _FIRST)
    return f"{first} {_one_of(rng, _LAST)}" if rng.random() < 0.7 else first


def _person(rng: Random) -> Record:
    return {
        "name": _name(rng),
        "age": rng.randint(18, 90),
        "city": _one_of(rng, _CITIES),
        "job": rng.choice(_JOBS),
    }


def _things(rng: Random) -> str:
    return rng.choice(_THINGS) if rng.random() < 0.5 else f"{_made_up(rng).lower()}s"


def _order(rng: Random) -> Record:
    return {
        "customer": _name(rng),
        "quantity": rng.randint(2, 60),
        "product": _things(rng),
        "price": rng.randint(3, 400),
    }


def _titled(rng: Random, known: Sequence[str]) -> str:
    """A title of two words, now and then with a made-up first word."""
    title = rng.choice(known)
    return title if rng.random() < 0.5 else f"{_made_up(rng)} {title.split()[-1]}"


def _event(rng: Random) -> Record:
    return {
        "event": _titled(rng, _EVENTS),
        "place": _titled(rng, _PLACES),
        "date": f"{rng.choice(_MONTHS)} {rng.randint(1, 30)}",
        "time": f"{rng.randint(7, 22)}:{rng.choice(('00', '15', '30', '45'))}",
    }


def _flight(rng: Random) -> Record:
    origin, destination = rng.sample(_CITIES, 2)
    number = f"{rng.choice('ABKLQU')}{rng.choice('ABFRSX')}{rng.randint(100, 999)}"
    gate = f"{rng.choice('ABCD')}{rng.randint(1, 40)}"
    return {"flight": number, "from": origin, "to": destination, "gate": gate}


def _contact(rng: Random) -> Record:
    name, company = _name(rng), _one_of(rng, _COMPANIES)
    email = f"{name.split()[-1].lower()}{rng.randint(1, 99)}@{rng.choice(_DOMAINS)}"
    phone = f"555-{rng.randint(1000, 9999)}"
    return {"name": name, "company": company, "email": email, "phone": phone}


def _pet(rng: Random) -> Record:
    return {
        "pet": _made_up(rng),
        "species": rng.choice(_PETS),
        "color": rng.choice(_COLORS),
        "weight": rng.randint(2, 90),
    }


def _offer(rng: Random) -> Record:
    return {
        "brand": _made_up(rng),
        "color": rng.choice(_COLORS),
        "stock": rng.randint(2, 90),
        "price": rng.randint(3, 900),
    }


def _course(rng: Random) -> Record:
    return {
        "course": rng.choice(_SUBJECTS),
        "teacher": _name(rng),
        "weeks": rng.randint(2, 30),
        "fee": rng.randint(20, 600),
    }


def _stay(rng: Random) -> Record:
    return {
        "guest": _name(rng),
        "hotel": _made_up(rng),
        "nights": rng.randint(2, 21),
        "cost": rng.randint(60, 990),
    }


DOMAINS = (
    Domain(
        _person,
        (
            "{name} is {age} years old, lives in {city} and works as a {job}.",
            "{name}, {age}, is a {job} from {city}.",
            "In {city} I met {name}, a {age}-year-old {job}.",
            "Hi, I'm {name}. I am a {job} in {city} and I just turned {age}.",
            "The {job} {name} ({age}) moved to {city}.",
            "{city} has a new {job}: {name}, who is {age}.",
            "{name} left {city} at {age} and became a {job}.",
            "Name: {name}; age {age}; city {city}; job {job}.",
        ),
    ),
    Domain(
        _order,
        (
            "{customer} ordered {quantity} {product} for ${price}.",
            "{customer} bought {quantity} {product} and paid {price} dollars.",
            "Please send {quantity} {product} to {customer}; the price is ${price}.",
            "We sold {quantity} {product} to {customer} at {price} dollars.",
            "Order from {customer}: {quantity} x {product}, ${price}.",
            "A total of ${price} was charged to {customer} for {quantity} {product}.",
            "{customer} owes us {price} dollars because of {quantity} {product}.",
            "For {price} dollars {customer} gets {quantity} {product}.",
            "{quantity} {product} were delivered; {customer} transferred ${price}.",
        ),
    ),
    Domain(
        _event,
        (
            "{event} takes place at {place} on {date} at {time}.",
            "Join us for {event} on {date}, {time}, {place}.",
            "On {date} the {event} starts at {time} in {place}.",
            "{place} hosts {event} on {date} from {time}.",
            "Don't miss {event}! {date}, {time}, at {place}.",
        ),
    ),
    Domain(
        _flight,
        (
            "Flight {flight} from {from} to {to} boards at gate {gate}.",
            "{flight} leaves {from} for {to} from gate {gate}.",
            "Passengers to {to}: flight {flight} from {from}, gate {gate}.",
            "Gate {gate}: {flight}, {from} to {to}.",
            "We fly from {from} to {to} with {flight}, gate {gate}.",
        ),
    ),
    Domain(
        _contact,
        (
            "Contact {name} at {company}: {email}, {phone}.",
            "{name} works for {company}; write to {email} or call {phone}.",
            "My name is {name} from {company}, phone {phone}, mail {email}.",
            "For {company}, ask {name} ({email}, tel. {phone}).",
            "{company} can be reached through {name}: {phone} / {email}.",
        ),
    ),
    Domain(
        _pet,
        (
            "{pet} is a {color} {species} that weighs {weight} pounds.",
            "Our {species} {pet} is {color}; it weighs {weight} kilos.",
            "The {color} {species} weighs {weight} pounds and listens to the name {pet}.",
            "Lost: {pet} ({species}, {color}, {weight} kilos).",
        ),
    ),
    Domain(
        _offer,
        (
            "The {brand} in {color} costs ${price}; {stock} are left.",
            "A {color} {brand} sells for {price} dollars and we have {stock} of them.",
            "{stock} pieces of the {brand} ({color}) are in store, ${price} each.",
            "Now only ${price}: the {color} {brand}. Just {stock} in stock!",
            "{brand}, {color}, {price} dollars, {stock} available.",
        ),
    ),
    Domain(
        _course,
        (
            "{teacher} teaches {course} for {weeks} weeks; the fee is ${fee}.",
            "{course} with {teacher}: {weeks} weeks, {fee} dollars.",
            "For ${fee} you can learn {course} from {teacher} in {weeks} weeks.",
            "The {course} course takes {weeks} weeks, costs {fee} dollars; {teacher} leads it.",
        ),
    ),
    Domain(
        _stay,
        (
            "{guest} stayed {nights} nights at the {hotel} and paid ${cost}.",
            "The {hotel} expects {guest} for {nights} nights, {cost} dollars in all.",
            "Bill of the {hotel}: {cost} dollars, {nights} nights, {guest}.",
            "{nights} nights in the {hotel} cost {guest} ${cost}.",
        ),
    ),
)

_INSTRUCTIONS = (
    "Extract {fields} as JSON: {text}",
    "Extract {fields} as JSON.\n{text}",
    'Get the {fields} from this text as JSON: "{text}"',
    "{text}\nReturn {fields} as JSON.",
    "{text} Give me {fields} in JSON.",
    "Text: {text}\nFields: {fields}\nJSON:",
    "Return a JSON object with keys {fields}.\n\n{text}",
    "Turn this into JSON with {fields}: {text}",
    "Pull out {fields} as json please: {text}",
    "Which {fields} does the text name? Reply in JSON. {text}",
    "{text}\n\nAs JSON, with {fields} only:",
    "Write {fields} of the following as JSON: {text}",
    "JSON please ({fields}). {text}",
)


def sample(rng: Random) -> Sample:
    """One sentence, the fields wanted, and the object that holds them in that order."""
    domain = rng.choice(DOMAINS)
    record = domain.draw(rng)
    text = rng.choice(domain.sentences).format(**record)
    wanted = rng.sample(sorted(record), rng.randint(2, 4))
    prompt = rng.choice(_INSTRUCTIONS).format(fields=_listed(rng, wanted), text=text)
    return Sample(prompt, json.dumps({field: record[field] for field in wanted}))


def _listed(rng: Random, fields: list[str]) -> str:
    if rng.random() < 0.4:
        return ", ".join(fields)
    return f"{', '.join(fields[:-1])} and {fields[-1]}"
