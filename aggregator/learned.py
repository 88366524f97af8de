"""The learned vote: how much an expert's word counts, fitted on graded answers.

A conditional logit (:mod:`aggregator.choice_model`) over the answers given and "none of these".
The score of answer a is the sum over the experts e that gave it of

    s·x_e + t_e·y_e        and, in ``learned-options`` alone,        + (g + h share) log π(a)

with x_e, whose weights s all experts share: the log-odds of e's expected success on this question,
how its answer was read, how unusually long or short its completion was; and y_e, whose weights t_e
are the expert's own: a constant, the reading, the length, and what the question is about.  π(a) is
what the options' wording says (:mod:`aggregator.forms`), and share that of the panel that was
asked.  "None of these" scores n·(1, log(1 + number of voters), log-odds of the best voter).  All
weights are fitted jointly, so that experts whose errors go together share the credit for agreeing.

Fitted on the profiling split: on everyone's answers and on random parts of the panel, so that one
fit serves whoever is asked.  An expert that was not there has the mean of the others' own weights.

Who may vote, what prose is (no vote on a choice, an answer of its own on an open question) and who
leads is as in :mod:`aggregator.vote`, except that one expert alone, too, is believed as far as was
learned.  Agreement is the probability of the leading answer, "none of these" counted.  Pure, and
kept as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aggregator.alternatives import Alternatives, Weights
from aggregator.base import Case
from aggregator.choice_model import Matrix, fit, probabilities
from aggregator.forms import Forms, fit_forms, held_out_forms, of_answers
from aggregator.manner import (
    N_MANNER,
    Lengths,
    manner_features,
    none_features,
    shared_features,
)
from aggregator.training import Training
from aggregator.vote import answer_of, answers_given, undecided, verdict
from coterie.types import Ballot, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What was fitted: the weights of ``experts``, and their usual ``lengths``."""

    experts: tuple[str, ...]
    lengths: tuple[Lengths, ...]
    weights: Weights
    forms: Forms | None = None


class LearnedVote:
    """Weighs ballots as the profiling questions taught."""

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self._model = model
        self._column = {expert: i for i, expert in enumerate(model.experts)}
        self._anyone: Matrix = model.weights.own.mean(axis=0)

    def judge(self, case: Case) -> Verdict:
        """The most probable answer's best expert; no leader where there is nothing to compare."""
        read_alone = len(case.ballots) == 1 and case.votes
        if not read_alone and (early := undecided(case)) is not None:
            return early
        given = answers_given(case)
        answers = sorted(given)
        scores = np.append(self._scores(case, answers), self._none(case, given))
        belief = probabilities(scores, np.array([0]))[:-1].tolist()
        return verdict(case, given, dict(zip(answers, belief, strict=True)), "learned belief")

    def _scores(self, case: Case, answers: Sequence[str]) -> Matrix:
        place = {answer: i for i, answer in enumerate(answers)}
        scores = self._wording(case, answers)
        for ballot in case.ballots:
            if (answer := answer_of(ballot, case)) is not None:
                scores[place[answer]] += self._weight(ballot, case)
        return scores

    def _weight(self, ballot: Ballot, case: Case) -> float:
        """What the ballot adds to the score of its answer."""
        model, context = self._model, case.context
        column = self._column.get(ballot.expert)
        unusual = model.lengths[column].unusual(ballot.tokens) if column is not None else 0.0
        own = model.weights.own[column] if column is not None else self._anyone
        chance, length = np.array(case.chances.get(ballot.expert, 0.5)), np.array(unusual)
        reading = np.array(int(ballot.reading))
        x, y = shared_features(chance, reading, length), manner_features(reading, length)
        about = own[N_MANNER:]
        said = 0.0 if context is None or len(context) != len(about) else float(context @ about)
        return float(x @ model.weights.shared + y @ own[:N_MANNER]) + said

    def _none(self, case: Case, given: Mapping[str, Sequence[str]]) -> float:
        chances = [case.chances.get(expert, 0.5) for who in given.values() for expert in who]
        return float(none_features(len(chances), max(chances)) @ self._model.weights.none)

    def _wording(self, case: Case, answers: Sequence[str]) -> Matrix:
        """(a) what the wording of the options adds to the answers that name one."""
        model = self._model
        if model.forms is None or len(case.choices) < 2:
            return np.zeros(len(answers))
        prior = of_answers(model.forms.log_prior(case.text, case.choices), answers)
        share = len(case.ballots) / max(1, len(model.experts))
        by_one, by_share = model.weights.form
        return np.asarray(prior * (by_one + by_share * share))

    # --- keeping --------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The vote as text, for a snapshot."""
        model, weights = self._model, self._model.weights
        return json.dumps(
            {
                "name": self.name,
                "experts": model.experts,
                "lengths": [[x.mean, x.sd] for x in model.lengths],
                "shared": weights.shared.tolist(),
                "own": weights.own.tolist(),
                "none": weights.none.tolist(),
                "form": weights.form.tolist(),
                "forms": model.forms.as_dict() if model.forms else None,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> LearnedVote:
        """The vote that :meth:`to_json` wrote."""
        d = json.loads(text)
        model = Model(
            tuple(d["experts"]),
            tuple(Lengths(*pair) for pair in d["lengths"]),
            Weights(*(np.array(d[part]) for part in ("shared", "none", "form", "own"))),
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
        """The vote fitted on ``training``; seconds for thousands of questions.

        Where nothing can be learned, a vote counts by its log-odds alone.
        """
        training = training.by_name()  # random parts of the panel are drawn by column
        lengths = tuple(map(Lengths.of, training.tokens.T))
        forms = fit_forms(training) if self._options else None
        wording = held_out_forms(training, seed=self._seed) if forms else None
        alternatives = Alternatives(training, lengths, wording)
        cases = alternatives.cases(self._seed)
        by_log_odds = np.eye(alternatives.size)[0]
        weights = fit(cases, alternatives.penalties()) if cases else by_log_odds
        return LearnedVote(
            self.name, Model(training.experts, lengths, alternatives.parted(weights), forms)
        )
