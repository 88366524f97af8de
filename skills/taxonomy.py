"""The skills questions are broken into, unless the configuration names its own.

A skill is a description and a few example requests in plain words; inference compares a question
to them.  The list is meant to be broad rather than deep: what no skill covers falls, visibly, to
``general-knowledge`` and to the experts' overall rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coterie.errors import ConfigurationError
from coterie.types import OVERALL, Skill

GENERAL = "general-knowledge"
"""The skill of a question that resembles no other."""

DEFAULT_TAXONOMY: tuple[Skill, ...] = (
    Skill(
        GENERAL,
        "Common facts about the world: capitals, famous people, animals, everyday things.",
        ("Who wrote Hamlet?", "What colour is the sky?", "Name the largest ocean."),
    ),
    Skill(
        "arithmetic",
        "Calculating with numbers: adding, subtracting, multiplying and dividing.",
        ("57 + 68", "How much is nine times fourteen?", "Take 18 from 75."),
    ),
    Skill(
        "algebra",
        "Solving equations and inequalities, simplifying expressions with variables.",
        ("Solve 3x + 5 = 20 for x.", "Factor x^2 - 5x + 6."),
    ),
    Skill(
        "calculus",
        "Derivatives, integrals, limits and differential equations.",
        ("Differentiate sin(x) e^x.", "Evaluate the integral of 1/x from 1 to e."),
    ),
    Skill(
        "geometry",
        "Shapes, angles, areas and volumes.",
        ("What is the area of a circle of radius 4?", "Find the hypotenuse of the triangle."),
    ),
    Skill(
        "probability-statistics",
        "Chance, distributions, expected values, hypothesis tests, data analysis.",
        (
            "What is the probability of two heads in three tosses?",
            "Compute the standard deviation.",
        ),
    ),
    Skill(
        "unit-conversion",
        "Converting a quantity from one unit of measurement to another.",
        ("Express 4 kilograms in grams.", "How many inches are in 3 feet?", "90 min to hours"),
    ),
    Skill(
        "dates-times",
        "Reckoning with the calendar and the clock: weekdays, dates, durations, time of day.",
        (
            "What day of the week comes 10 days after a Monday?",
            "It is 14:50. What time is it in 35 minutes?",
            "How long is it from 9:15 to 11:00?",
        ),
    ),
    Skill(
        "sql",
        "Writing database queries in SQL for a table and its columns.",
        (
            "Table books(id, title, year). Write SQL to list titles after 1990.",
            "Query the database for the number of customers.",
        ),
    ),
    Skill(
        "programming",
        "Writing, explaining and debugging source code in a programming language.",
        ("Write a Python function that reverses a list.", "Why does this code raise an error?"),
    ),
    Skill(
        "information-extraction",
        "Pulling named fields out of a passage of text and returning them as JSON.",
        (
            "Extract the name, age and city from this text as JSON.",
            "Return a JSON object with the product and the price mentioned in the message.",
        ),
    ),
    Skill(
        "summarization",
        "Condensing a long text into its main points.",
        ("Summarise the following article in two sentences.",),
    ),
    Skill(
        "translation",
        "Turning text from one human language into another.",
        ("Translate 'good morning' into French.",),
    ),
    Skill(
        "writing",
        "Composing and editing prose: emails, stories, poems, essays.",
        ("Write a short poem about autumn.", "Draft a polite letter of complaint."),
    ),
    Skill(
        "logical-reasoning",
        "Deduction, puzzles, and arguments: what follows from what.",
        ("If all bloops are razzies and some razzies are lazzies, what follows?",),
    ),
    Skill(
        "physics",
        "Forces, motion, energy, electricity, optics, thermodynamics and quantum physics.",
        ("What is the acceleration of a 2 kg block pushed with 10 N?",),
    ),
    Skill(
        "chemistry",
        "Reactions, molecules, stoichiometry, acids and bases, the periodic table.",
        ("Balance the reaction of methane with oxygen.", "What is the pH of the solution?"),
    ),
    Skill(
        "biology",
        "Cells, genetics, evolution, anatomy of living things, ecology.",
        ("What is the function of the mitochondria?",),
    ),
    Skill(
        "medicine",
        "Diseases, diagnosis, treatment, drugs and clinical reasoning.",
        ("A patient presents with chest pain and fever. What is the most likely diagnosis?",),
    ),
    Skill(
        "psychology",
        "Behaviour, cognition, development and mental health.",
        ("Which theory explains how children acquire attachment?",),
    ),
    Skill(
        "law",
        "Statutes, contracts, torts, court cases and legal reasoning.",
        ("Is the contract enforceable if one party was a minor?",),
    ),
    Skill(
        "economics-business",
        "Markets, finance, accounting, management and marketing.",
        ("What happens to demand when the price of a substitute rises?",),
    ),
    Skill(
        "history",
        "Events, people and societies of the past.",
        ("What caused the fall of the Roman Empire?",),
    ),
    Skill(
        "philosophy",
        "Ethics, metaphysics, epistemology and the arguments of philosophers.",
        ("What does Kant's categorical imperative demand?",),
    ),
    Skill(
        "engineering",
        "Circuits, structures, machines, fluids, control and materials.",
        ("Find the equivalent resistance of the circuit.",),
    ),
    Skill(
        "computer-science",
        "Algorithms, complexity, operating systems, networks and machine learning.",
        ("What is the time complexity of merge sort?",),
    ),
)


def by_name(taxonomy: Sequence[Skill]) -> Mapping[str, Skill]:
    """The skills by name; a name used twice, or the reserved one, is refused."""
    found: dict[str, Skill] = {}
    for skill in taxonomy:
        if skill.name == OVERALL:
            raise ConfigurationError(f"skill name {OVERALL!r} is reserved for the overall rate")
        if skill.name in found:
            raise ConfigurationError(f"skill {skill.name!r} is defined twice: rename one of them")
        found[skill.name] = skill
    return found
