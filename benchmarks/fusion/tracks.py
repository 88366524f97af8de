"""A task of our own invention: what a robot is told becomes its track, ``>3 L ^crate z5``.

``>3`` is three steps forward, ``<3`` three back, ``L`` and ``R`` turns, ``U`` a turn around,
``^crate`` takes a thing, ``v`` puts it down, ``z5`` waits five seconds.  The notation is nowhere in
the question.  Now and then two actions are told in another order than they are to be done.
"""

from __future__ import annotations

from random import Random

from benchmarks.fusion.splits import NUMBERS, Split
from examples.demo_experts.sample import Sample

THINGS: dict[Split, tuple[str, ...]] = {
    "train": ("box", "crate", "lamp", "book", "cup", "ball", "bag", "key", "pipe", "tray", "stone",
              "brush", "rope", "wheel", "plate", "chair"),
    "val": ("bottle", "shovel", "coin", "basket"),
    "test": ("bucket", "hammer", "pillow", "candle", "barrel", "mirror"),
}  # fmt: skip
ASKED: dict[Split, tuple[str, ...]] = {
    "train": (
        "Write the robot's track: {told}",
        "Track for the robot, please.\n\n{told}",
        "{told}\n\nWhat is the track?",
        "Turn these orders into a track: {told}",
        'The robot is told: "{told}" Note the track.',
        "Orders: {told}\nTrack:",
    ),
    "val": ("Which track has the robot to follow here? {told}",),
    "test": (
        "Put down as a track what our robot should do. {told}",
        'What would the track look like for "{told}"',
        "{told} -> track",
    ),
}
ACTIONS: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        ">": ("go forward {n} steps", "move {n} steps ahead", "walk {n} steps forward"),
        "<": ("go back {n} steps", "move {n} steps backwards", "reverse {n} steps"),
        "L": ("turn left", "make a left turn", "turn to the left"),
        "R": ("turn right", "make a right turn", "turn to the right"),
        "U": ("turn around", "make a U-turn", "turn to face the other way"),
        "^": ("pick up the {thing}", "take the {thing}", "lift the {thing}"),
        "v": ("put it down", "drop what you carry", "set it on the floor"),
        "z": ("wait {n} seconds", "stand still for {n} seconds", "pause for {n} seconds"),
    },
    "val": {
        ">": ("keep going straight for {n} steps",),
        "<": ("back off by {n} steps",),
        "L": ("swing left",),
        "R": ("swing right",),
        "U": ("do a half turn",),
        "^": ("get the {thing}",),
        "v": ("lay it down",),
        "z": ("do nothing for {n} seconds",),
    },
    "test": {
        ">": ("advance by {n} paces", "proceed {n} paces straight on"),
        "<": ("retreat {n} paces", "step backward {n} times"),
        "L": ("rotate to your left", "head off left"),
        "R": ("rotate to your right", "head off right"),
        "U": ("spin round to look behind you", "face the opposite direction"),
        "^": ("grab the {thing}", "collect the {thing}"),
        "v": ("let go of it", "release your load"),
        "z": ("rest for {n} seconds", "hold your position for {n} seconds"),
    },
}
JOINED: dict[Split, tuple[str, ...]] = {
    "train": (", then {}", ". Then {}", ", and {}", ". After that, {}", ". Next, {}"),
    "val": (". When done, {}", "; {}"),
    "test": (". Once that is done, {}", ", followed by this: {}", ". Now {}"),
}
SWAPPED: dict[Split, tuple[str, ...]] = {
    "train": ("before you {second}, {first}", "{second}, but first {first}"),
    "val": ("{second} only after this: {first}",),
    "test": ("prior to this: {second}, you should {first}", "{second}, having done this: {first}"),
}
"""Two actions told in another order than they are done."""


def sample(rng: Random, split: Split) -> Sample:
    """Orders of three to five actions, phrased as ``split`` phrases them, and their track."""
    kinds = [
        rng.choice("><") if i % 2 else rng.choice("><LRU^vz") for i in range(rng.randint(3, 5))
    ]
    actions = [_action(rng, split, kind) for kind in kinds]
    track = " ".join(written for _, written in actions)
    clauses = [told for told, _ in actions]
    if rng.random() < 0.35:
        at = rng.randrange(len(clauses) - 1)
        first, second = clauses[at : at + 2]
        clauses[at : at + 2] = [rng.choice(SWAPPED[split]).format(first=first, second=second)]
    told = clauses[0] + "".join(rng.choice(JOINED[split]).format(c) for c in clauses[1:])
    return Sample(rng.choice(ASKED[split]).format(told=f"{told[:1].upper()}{told[1:]}."), track)


def _action(rng: Random, split: Split, kind: str) -> tuple[str, str]:
    """How it is told, and how it is written."""
    n, thing = rng.randint(2, 12), rng.choice(THINGS[split])
    told = rng.choice(ACTIONS[split][kind]).format(
        n=NUMBERS[n] if rng.random() < 0.6 else n, thing=thing
    )
    return told, kind + {"^": thing}.get(kind, str(n) if kind in "><z" else "")
