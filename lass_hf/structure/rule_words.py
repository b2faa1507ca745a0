"""Rules and reasons in words, which a curator can read without knowing ids or the notation of logic."""

from collections.abc import Sequence
from functools import lru_cache

from ..core.vocabulary import Vocabulary
from .rules import RuleSet

PATHS = (["X"], ["X", "Y"], ["X", "Z", "Y"], ["X", "Z", "W", "Y"])  # the variables of bodies, by their length
ANYTHING = "anything"  # what any entity of a body's atom is called
MOST_LETTERS = 100  # of a name


def rule_in_words(rules: RuleSet, position: int, entities: Vocabulary, relations: Vocabulary) -> str:
    """Writes a rule in words: "X is on the continent Y if X has a border with Z and Z is on the continent Y".

    Args:
        rules: The rules.
        position: The position of the rule among them.
        entities: The entities of the graph. A constant is called as `Vocabulary.name_of` says.
        relations: The relations of the graph.
    """
    constant = int(rules.head_constants[position])
    if constant < 0:
        names, end = PATHS[len(atoms_of(rules, position))], "Y"
    else:
        body_constant = int(rules.body_constants[position])
        names = ["X", ANYTHING if body_constant < 0 else name_in_words(entities, body_constant)]
        end = name_in_words(entities, constant)
    head = _atom("X", int(rules.heads[position]), end, relations)
    return f"{head} if {_body(rules, position, names, relations)}"


def reason_in_words(
    rules: RuleSet, position: int, path: Sequence[int], entities: Vocabulary, relations: Vocabulary
) -> str:
    """Writes why a rule speaks for a triplet: "France has a border with Spain and Spain is on the continent Europe".

    Args:
        rules: The rules.
        position: The position of the rule among them.
        path: The entities that fulfil the body, one more than it has atoms: of a path rule those from the head of the
            triplet to its tail, of a rule with constants those that stand for x and for d.
        entities: The entities of the graph. An entity is called as `Vocabulary.name_of` says.
        relations: The relations of the graph.
    """
    return _body(rules, position, [name_in_words(entities, int(entity)) for entity in path], relations)


def atoms_of(rules: RuleSet, position: int) -> list[int]:
    """Returns the directed relations of the body of a rule."""
    return [atom for atom in rules.bodies[position].tolist() if atom >= 0]


def _body(rules: RuleSet, position: int, names: Sequence[str], relations: Vocabulary) -> str:
    """Writes the atoms of a body, between whose names it is a path."""
    steps = zip(names[:-1], atoms_of(rules, position), names[1:], strict=True)
    return " and ".join(_atom(one, relation, other, relations) for one, relation, other in steps)


def _atom(one: str, relation: int, other: str, relations: Vocabulary) -> str:
    """Writes an atom of a directed relation; of an inverse one the names change places."""
    if relation >= len(relations):
        one, relation, other = other, relation - len(relations), one
    return f"{one} {in_one_line(relations.texts[relation])} {other}"


def fact_in_words(triplet: Sequence[int], entities: Vocabulary, relations: Vocabulary) -> str:
    """Writes a triplet in words: "France has a border with Spain".

    Args:
        triplet: Head, relation and tail; the relation may be a directed one.
        entities: The entities of the graph. An entity is called as `Vocabulary.name_of` says.
        relations: The relations of the graph.
    """
    head, relation, tail = map(int, triplet)
    return _atom(name_in_words(entities, head), relation, name_in_words(entities, tail), relations)


def name_in_words(entities: Vocabulary, entity: int) -> str:
    """Returns what an entity is called, in one line."""
    return in_one_line(entities.name_of(entity))


@lru_cache(2**14)  # the same few names are in most rules
def in_one_line(text: str) -> str:
    """Returns a text as one line of at most `MOST_LETTERS`."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 1]}…"
