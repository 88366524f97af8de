"""The learned vote: how much an expert's word counts, fitted on graded answers.

A conditional logit over the answers given, and "none of these".  The score of answer a is

    f(a) + sum over the experts e that gave it of  s·x_e + t_e·y_e

with x_e, whose weights s all experts share: the log-odds of e's expected success on this question,
how its answer was read, how unusually long or short its completion was; and y_e, whose weights t_e
are the expert's own: a constant, the reading, the length, and what the question is about.  Experts
whose errors go together share the credit for agreeing, since the weights are fitted jointly.
f(a) is what the options' own wording says (:mod:`aggregator.forms`), in ``learned-options`` alone.

Fitted on the profiling split: on everyone's answers and on random parts of the panel, so that one
fit serves whoever is asked.  Agreement is the probability of the leading answer, "none of these"
counted; ties cannot be told from data and go to the first answer.  Pure, and kept as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.base import Case
from aggregator.choice_model import Cases, Matrix, fit, probabilities
from aggregator.forms import Forms, fit_forms, held_out_forms
from aggregator.training import Training
from aggregator.vote import undecided
from coterie.types import Ballot, Reading, Verdict

SHARED, LOG_ODDS = 1.0, 0.1
CONSTANT, MANNER, ABOUT = 1.0, 10.0, 15.0
FORM, FORM_BY_SHARE = 0.1, 5.0
NONE = 0.1
"""Penalties of the weights, chosen by cross-validated log-loss on a profile split."""

PARTS = 4
"""Random parts of the panel that every question is fitted on, besides the whole and the best."""

LONGEST = 3.0
SURE = 0.995


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean and spread of the logarithm of an expert's usual length, in tokens."""

    mean: float
    sd: float

    def unusual(self, tokens: float | None) -> float:
        """How many spreads this length is from the usual one; 0 where it is not known."""
        if tokens is None or np.isnan(tokens):
            return 0.0
        z = (float(np.log1p(tokens)) - self.mean) / self.sd
        return min(max(z, -LONGEST), LONGEST)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The fitted weights.

    ``shared``: (s); ``own``: (e, y) by expert, and ``anyone``: (y), their mean, for one that was
    not there; ``none``: (3) of "none of these"; ``form``: (2) of the options' wording.
    """

    experts: tuple[str, ...]
    lengths: tuple[Lengths, ...]
    shared: Matrix
    own: Matrix
    none: Matrix
    form: Matrix
    forms: Forms | None = None

    @property
    def anyone(self) -> Matrix:
        return np.asarray(self.own.mean(axis=0))


class LearnedVote:
    """Weighs ballots as the profiling questions taught."""

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self._model = model
        self._column = {expert: i for i, expert in enumerate(model.experts)}

    def judge(self, case: Case) -> Verdict:
        """The most probable answer's best expert; no leader where there is nothing to compare."""
        votes = case.votes
        if not votes:
            return undecided(case) or Verdict(None, 0.0, votes, "no answer can be compared")
        answers = sorted(votes)
        scores = self._scores(case, answers)
        p = probabilities(np.append(scores, self._none(case)), np.array([0]))[:-1]
        best = int(p.argmax())
        who = votes[answers[best]]
        leader = min(who, key=lambda e: (-case.chances.get(e, 0.5), e))
        reason = f"{len(who)} of {len(case.ballots)} votes, learned belief {p[best]:.2f}"
        return Verdict(leader, float(p[best]), votes, reason)

    def _scores(self, case: Case, answers: Sequence[str]) -> Matrix:
        place = {answer: i for i, answer in enumerate(answers)}
        scores = self._wording(case, answers)
        for ballot in case.ballots:
            if ballot.answer is not None:
                scores[place[ballot.answer]] += self._weight(ballot, case)
        return scores

    def _weight(self, ballot: Ballot, case: Case) -> float:
        model, context = self._model, case.context
        column = self._column.get(ballot.expert)
        z = model.lengths[column].unusual(ballot.tokens) if column is not None else 0.0
        chance = case.chances.get(ballot.expert, 0.5)
        x, manner = _manner(np.array(chance), np.array(int(ballot.reading)), np.array(z))
        own = model.own[column] if column is not None else model.anyone
        about = own[len(manner) :]
        said = 0.0 if context is None or len(context) != len(about) else float(context @ about)
        return float(x @ model.shared + manner @ own[: len(manner)]) + said

    def _none(self, case: Case) -> float:
        return float(_none_row(case.ballots, case.chances) @ self._model.none)

    def _wording(self, case: Case, answers: Sequence[str]) -> Matrix:
        model = self._model
        if model.forms is None or len(case.choices) < 2:
            return np.zeros(len(answers))
        prior = model.forms.log_prior(case.text, case.choices)
        share = len(case.ballots) / max(1, len(model.experts))
        at = [prior[i] if (i := option_of(a)) < len(prior) else prior.min() for a in answers]
        return np.asarray(np.array(at) * (model.form[0] + model.form[1] * share))

    # --- keeping --------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The vote as text, for a snapshot."""
        m = self._model
        return json.dumps(
            {
                "name": self.name,
                "experts": m.experts,
                "lengths": [[x.mean, x.sd] for x in m.lengths],
                "shared": m.shared.tolist(),
                "own": m.own.tolist(),
                "none": m.none.tolist(),
                "form": m.form.tolist(),
                "forms": m.forms.as_dict() if m.forms else None,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> LearnedVote:
        """The vote that :meth:`to_json` wrote."""
        d = json.loads(text)
        model = Model(
            tuple(d["experts"]),
            tuple(Lengths(*pair) for pair in d["lengths"]),
            np.array(d["shared"]),
            np.array(d["own"]),
            np.array(d["none"]),
            np.array(d["form"]),
            Forms.of_dict(d["forms"]) if d["forms"] else None,
        )
        return cls(d["name"], model)


class Learned:
    """Fits :class:`LearnedVote`; ``options`` lets the options' wording count."""

    def __init__(self, name: str = "learned", *, options: bool = False, seed: int = 0) -> None:
        self.name = name
        self._options = options
        self._seed = seed

    def fit(self, training: Training) -> LearnedVote:
        """The vote fitted on ``training``; seconds for thousands of questions."""
        lengths = tuple(_usual(column) for column in training.tokens.T)
        wording = held_out_forms(training, seed=self._seed) if self._options else None
        builder = _Builder(training, lengths, wording)
        weights = builder.fitted(self._seed)
        shared, own, none, form = builder.parted(weights)
        forms = fit_forms(training) if wording is not None else None
        return LearnedVote(
            self.name, Model(training.experts, lengths, shared, own, none, form, forms)
        )


def option_of(answer: str) -> int:
    """The place of the option a letter names; far beyond any where it names none."""
    return ord(answer) - ord("A") if len(answer) == 1 and "A" <= answer <= "Z" else 10_000


# --- features -----------------------------------------------------------------------------------


def _manner(chance: Matrix, reading: NDArray[np.integer], z: Matrix) -> tuple[Matrix, Matrix]:
    """What is said of a vote: (..., s) with shared weights and (..., 4) with an expert's own."""
    p = np.clip(chance, 1 - SURE, SURE)
    doubtful = (reading >= Reading.NAMED).astype(float)
    named = (reading == Reading.NAMED).astype(float)
    shared = np.stack([np.log(p / (1 - p)), doubtful, named, z, z * z], axis=-1)
    return shared, np.stack([np.ones_like(z), doubtful, z, z * z], axis=-1)


S, Y = 5, 4
"""How many features :func:`_manner` gives of each kind."""


def _none_row(ballots: Sequence[Ballot], chances: Mapping[str, float]) -> Matrix:
    voters = [chances.get(b.expert, 0.5) for b in ballots if b.answer is not None]
    return _none_features(len(voters), max(voters, default=0.5))


def _none_features(voters: int, best: float) -> Matrix:
    p = min(max(best, 1 - SURE), SURE)
    return np.array([1.0, np.log1p(voters), np.log(p / (1 - p))])


def _usual(tokens: NDArray[np.float32]) -> Lengths:
    known = np.log1p(tokens[~np.isnan(tokens)].astype(np.float64))
    if len(known) < 2:
        return Lengths(0.0, 1.0)
    return Lengths(float(known.mean()), max(float(known.std()), 1e-3))


class _Builder:
    """Turns graded answers into alternatives described by features."""

    def __init__(
        self, training: Training, lengths: Sequence[Lengths], wording: list[Matrix] | None
    ) -> None:
        self._t = training
        self._wording = wording
        z = np.zeros(training.tokens.shape)
        for e, usual in enumerate(lengths):
            z[:, e] = [usual.unusual(t) for t in training.tokens[:, e]]
        self._shared, manner = _manner(training.chances, training.readings, z)
        n, e = training.answers.shape
        about = np.broadcast_to(training.context[:, None, :], (n, e, training.context.shape[1]))
        self._own = np.concatenate([manner, about], axis=2)

        self._width = self._own.shape[2]
        self._size = S + 5 + e * self._width

    def penalties(self) -> Matrix:
        """(p) in the order of :meth:`_row`: shared, none, form, each expert's own."""
        own = [CONSTANT] + [MANNER] * (Y - 1) + [ABOUT] * (self._width - Y)
        first = [LOG_ODDS] + [SHARED] * (S - 1) + [NONE] * 3 + [FORM, FORM_BY_SHARE]
        return np.array(first + own * len(self._t.experts))

    def fitted(self, seed: int) -> Matrix:
        """(p) the weights; where nothing can be learned, a vote counts by its log-odds alone."""
        cases = self._cases(seed)
        if cases is None:
            return np.asarray(np.eye(self._size)[0])
        return fit(cases, self.penalties())

    def parted(self, weights: Matrix) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """The weights as shared, own, none and form."""
        shared, none, form, own = np.split(weights, [S, S + 3, S + 5])
        return shared, own.reshape(len(self._t.experts), self._width), none, form

    def _cases(self, seed: int) -> Cases | None:
        """Every question, for each part of the panel that is tried on it."""
        rows: list[NDArray[np.float32]] = []
        starts, right = [], []
        count = 0
        parts = list(_parts(self._t, seed))
        for asked in parts:
            for q in range(len(self._t)):
                block, which = self._alternatives(q, asked[q])
                if len(block) > 1:
                    rows.append(block)
                    starts.append(count)
                    right.append(count + which)
                    count += len(block)
        if not rows:
            return None
        weights = np.full(len(starts), 1 / len(parts))
        return Cases(np.concatenate(rows), np.array(starts), np.array(right), weights)

    def _alternatives(self, q: int, asked: NDArray[np.bool_]) -> tuple[NDArray[np.float32], int]:
        """The answers given to question ``q`` by those asked, then "none"; and which is right."""
        t = self._t
        voters = np.flatnonzero(asked & (t.answers[q] != ""))
        answers = sorted({str(a) for a in t.answers[q, voters]})
        place = {answer: i for i, answer in enumerate(answers)}
        block = np.zeros((len(answers) + 1, self._size), np.float32)
        own = block[:, S + 5 :].reshape(len(block), len(t.experts), self._width)
        for e in voters:
            at = place[str(t.answers[q, e])]
            block[at, :S] += self._shared[q, e]
            own[at, e] = self._own[q, e]
        if len(voters):
            best = float(np.max(t.chances[q, voters]))
            block[-1, S : S + 3] = _none_features(len(voters), best)
        if self._wording is not None and len(self._wording[q]):
            self._word(block, q, answers, asked.sum() / len(asked))
        target = t.targets[q]
        return block, place.get(target, len(answers))

    def _word(
        self, block: NDArray[np.float32], q: int, answers: Sequence[str], share: float
    ) -> None:
        assert self._wording is not None
        prior = self._wording[q]
        for i, answer in enumerate(answers):
            option = option_of(answer)
            value = prior[option] if option < len(prior) else prior.min()
            block[i, S + 3 : S + 5] = value, value * share


def _parts(training: Training, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Who is asked, (q, e): everyone, the best three and five, and random parts of the panel."""
    n, e = training.answers.shape
    best_first = np.argsort(np.argsort(-training.chances, axis=1), axis=1)
    yield np.ones((n, e), dtype=bool)
    for k in (3, 5):
        if k < e:
            yield best_first < k
    rng = np.random.default_rng(seed)
    sizes = [k for k in (1, 2, 3, 3, 4, 5, 5, e // 2) if 0 < k < e] or [e]
    for _ in range(PARTS):
        k = rng.choice(sizes, n)
        drawn = rng.random((n, e)) + 0.15 * np.log(training.chances / (1 - training.chances))
        yield np.argsort(np.argsort(-drawn, axis=1), axis=1) < k[:, None]
