"""A task of our own invention: a guest's message becomes a docket, ``T6/D5/19h30/BERG/dg``.

The house's rules are nowhere in the question: T is a table and how many guests, H a room and how
many nights, B bikes and how many; then the weekday's number from Monday on, the time, the guest's
surname, and what is wished for (``--``: nothing).  What is meant has to be understood from prose.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from benchmarks.fusion.splits import NUMBERS, Split, spoken
from examples.demo_experts.sample import Sample

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

FIRST: dict[Split, tuple[str, ...]] = {
    "train": ("Anna", "Ben", "Clara", "David", "Emma", "Finn", "Grace", "Hugo", "Ivy", "Karim",
              "Lena", "Milo", "Nadia", "Otto", "Paula", "Rosa"),
    "val": ("Bruno", "Celia", "Dario", "Edith", "Farid", "Greta"),
    "test": ("Marta", "Oscar", "Priya", "Samuel", "Yuki", "Leon", "Fatima", "Victor"),
}  # fmt: skip
LAST: dict[Split, tuple[str, ...]] = {
    "train": ("Lopez", "Smith", "Weber", "Rossi", "Novak", "Tanaka", "Okafor", "Dubois", "Olsen",
              "Khan", "Keller", "Ferrari", "Nguyen", "Baker", "Lindgren", "Sato", "Mendes", "Bauer",
              "Kowalski", "Adams", "Hansen", "Romero", "Singh", "Carter"),
    "val": ("Vargas", "Hoffman", "Larsen", "Bianchi", "Osei", "Mercer"),
    "test": ("Berg", "Costa", "Fischer", "Haddad", "Ivanov", "Moreau", "Petrov", "Silva", "Wong"),
}  # fmt: skip
ASKED: dict[Split, tuple[str, ...]] = {
    "train": (
        "Write the docket for this message: {message}",
        "Docket, please.\n\n{message}",
        "{message}\n\nWhat is the docket?",
        "Turn the following into a docket: {message}",
        'A guest writes: "{message}" Note it as a docket.',
        "Message: {message}\nDocket:",
    ),
    "val": ("Somebody left us these lines: {message} Which docket is that?",),
    "test": (
        "Make a docket out of what this guest says.\n{message}",
        'How do we put this on a docket? "{message}"',
        "{message} -> docket",
    ),
}
OPENINGS: dict[Split, tuple[str, ...]] = {
    "train": (
        "Hi, this is {name}. {body}",
        "{body} Thanks, {name}",
        "My name is {name}. {body}",
        "Hello! {body} Best regards, {name}",
        "{name} here. {body}",
        "Good morning, {name} speaking. {body}",
    ),
    "val": ("{body} Please put it under {name}.", "You are talking to {name}. {body}"),
    "test": (
        "{body} Yours, {name}.",
        "It's {name} again. {body}",
        "{body} You can book it as {name}.",
    ),
}
WANTED: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        "T": (
            "I would like a table for {n} on {day} at {time}.",
            "Can we have a table on {day}, {time}? There are {n} of us.",
            "Could you reserve a table for {day} at {time}, {n} people?",
            "We want to eat at your place on {day}; we are {n} and come at {time}.",
        ),
        "H": (
            "I need a room for {n} nights from {day}, arriving at {time}.",
            "Can I get a room on {day}? I stay {n} nights and check in at {time}.",
            "Please keep a room for me, {n} nights. I get in on {day} at {time}.",
            "We arrive on {day} at {time} and want to sleep at yours for {n} nights.",
        ),
        "B": (
            "I want to hire {n} bikes on {day} at {time}.",
            "Do you have {n} bikes for us on {day}? We pick them up at {time}.",
            "Please get {n} bicycles ready for {day}, {time}.",
            "We would like to rent bikes, {n} of them, on {day} from {time}.",
        ),
    },
    "val": {
        "T": ("A dinner spot on {day} would be great: {n} guests, {time}.",),
        "H": ("Is a bedroom free from {day}? It is for {n} nights and I show up at {time}.",),
        "B": ("On {day} our group needs {n} bikes to ride, starting at {time}.",),
    },
    "test": {
        "T": (
            "{n} of us feel like dining with you this {day}, around {time}.",
            "At {time} on {day}, may I come by for a meal with my friends? We are a party of {n}.",
        ),
        "H": (
            "I'm looking for a place to sleep: {n} nights from {day} on, I'll be there by {time}.",
            "My train gets in {day} at {time}; for the {n} nights after that I want a bed.",
        ),
        "B": (
            "The {day} trip is on! Set aside {n} bikes and we collect them at {time}.",
            "We'd love to go cycling {day}. {n} bikes should do, and {time} suits us.",
        ),
    },
}
WISHES: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        "--": ("", "", "That is all.", "Looking forward to it!"),
        "dg": ("We bring our dog.", "A dog comes along.", "Are dogs allowed? Ours comes too."),
        "qt": ("A quiet corner, please.", "It should be quiet.", "We like it calm and quiet."),
        "wn": ("By the window, please.", "With a nice view if you can.", "We love a good view."),
        "wc": (
            "One of us uses a wheelchair.",
            "It must be accessible by wheelchair.",
            "We cannot take stairs.",
        ),
        "ch": (
            "We have a baby with us.",
            "There is a small child too.",
            "Our toddler comes along.",
        ),
        "iv": ("I need an invoice.", "Please send the bill to my company.", "My firm pays."),
    },
    "val": {
        "--": ("See you then!",),
        "dg": ("Our poodle will be with us.",),
        "qt": ("Please, no noise.",),
        "wn": ("I want to see the lake from there.",),
        "wc": ("My father cannot walk and sits in his chair on wheels.",),
        "ch": ("Our daughter is one year old.",),
        "iv": ("It goes on my employer's account.",),
    },
    "test": {
        "--": ("Nothing special needed.", "We can hardly wait!"),
        "dg": ("Our terrier is part of the family.", "My puppy goes wherever I go."),
        "qt": ("Somewhere silent would be best.", "Last time it was far too loud."),
        "wn": ("We hope to look out over the harbor.", "Let us see the sunset from there."),
        "wc": ("My mother is in a wheelchair.", "Steps are impossible for me."),
        "ch": ("Our son is two years old.", "We travel with an infant."),
        "iv": ("The office covers the cost; we need paperwork.", "It is on company expenses."),
    },
}


@dataclass(frozen=True, slots=True)
class Docket:
    """What a guest wants; ``minutes`` after midnight."""

    kind: str
    n: int
    day: int
    minutes: int
    name: tuple[str, str]
    wish: str

    def __str__(self) -> str:
        time = f"{self.minutes // 60:02d}h{self.minutes % 60:02d}"
        surname = self.name[1].upper()
        return f"{self.kind}{self.n}/D{self.day + 1}/{time}/{surname}/{self.wish}"


def sample(rng: Random, split: Split) -> Sample:
    """A question phrased as ``split`` phrases them, and its docket."""
    docket = Docket(
        rng.choice("THB"),
        rng.randint(2, 12),
        rng.randrange(7),
        15 * rng.randint(28, 88),
        (rng.choice(FIRST[split]), rng.choice(LAST[split])),
        rng.choice(tuple(WISHES[split])),
    )
    return Sample(_asked(rng, split, docket), str(docket))


def _asked(rng: Random, split: Split, docket: Docket) -> str:
    wanted = rng.choice(WANTED[split][docket.kind]).format(
        n=NUMBERS[docket.n] if rng.random() < 0.6 else docket.n,
        day=DAYS[docket.day],
        time=spoken(rng, docket.minutes),
    )
    body = f"{wanted[:1].upper()}{wanted[1:]} {rng.choice(WISHES[split][docket.wish])}".strip()
    message = rng.choice(OPENINGS[split]).format(body=body, name=" ".join(docket.name))
    return rng.choice(ASKED[split]).format(message=message)
