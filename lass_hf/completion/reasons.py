"""Why a suggestion is made, in plain sentences: rules, facts that are alike, neighbors in common, other answers.

What comes first is most telling: the rules that fire with the facts that they stand on, the fact of the same relation
that is most alike, a path over a neighbor that both have, and the answers that were close.
"""

import numpy as np

from ..evidence.bound_evidence import BoundEvidence, training_facts
from ..evidence.rule_reasons import firing_rules
from ..structure.facts import Facts
from ..structure.rule_mining_paths import walk_between
from ..structure.rule_words import fact_in_words, in_one_line, name_in_words, reason_in_words
from .suggestions import Answers

MOST = 5  # sentences of a suggestion
MOST_RULES = 2  # of them
RULES_LOOKED_AT = 8  # of a suggestion and a side; some of them stand on the same facts
MOST_FACTS = 10_000  # of a relation that are compared with a suggestion; of more, these many, evenly spread
LEAST_SIMILARITY = 0.5  # of both head and tail, from which a fact is alike
MOST_LINKS = 200  # of an entity that a path follows
CELLS_AT_ONCE = 1 << 22  # similarities in memory at once
OTHERS = 3  # other answers that are named
LEAST_CHANCE = 0.005  # of an answer that was close, which is shown in percent
LEAST_SHARE = 0.05  # of the cases of a rule that hold, from which it is worth a sentence
LEAST_OF_BEFORE = 0.25  # of the share of the rule before, from which another one is


def write_reasons(
    triplets: np.ndarray, evidence: BoundEvidence, answers: Answers | None = None, most: int = MOST
) -> list[list[str]]:
    """Returns the reasons for suggestions, the most telling first.

    Args:
        triplets: Int of shape (n, 3), none of which is a training triplet.
        evidence: The evidence that scored them.
        answers: The answers of the queries that were asked, which show what else was close; None for none.
        most: The most sentences of a suggestion.

    Returns:
        A list of sentences for each triplet.
    """
    triplets, facts = np.asarray(triplets, dtype=np.int64).reshape(-1, 3), training_facts(evidence.graph)
    reasons: list[list[str]] = [[] for _ in triplets]
    shown = _add_rules(reasons, triplets, evidence)
    _add_alike(reasons, triplets, evidence, facts)
    _add_paths(reasons, triplets, evidence, facts, shown)
    if answers is not None:
        _add_others(reasons, triplets, evidence, answers)
    return [own[:most] for own in reasons]


def _add_rules(reasons: list[list[str]], triplets: np.ndarray, evidence: BoundEvidence) -> list[set[frozenset[int]]]:
    """Adds the rules that fire for the tail, then those for the head; returns the entities that they are about."""
    scorer, graph = evidence.rule_scorer, evidence.graph
    shown: list[set[frozenset[int]]] = [set() for _ in triplets]
    if scorer is None:
        return shown
    rules, told = scorer.rules, np.zeros(len(triplets))  # the share of the rule before
    for slot in (2, 0):
        for row, firing in enumerate(firing_rules(evidence, triplets, slot, RULES_LOOKED_AT)):
            for position, path in firing:
                if len(reasons[row]) == MOST_RULES:
                    break
                if frozenset(path) in shown[row]:  # the same facts, read from the other end
                    continue
                cases = int(rules.body_counts[position])
                share = rules.supports[position] / cases if cases else float(rules.confidences[position])
                if share < max(LEAST_SHARE, LEAST_OF_BEFORE * told[row]):
                    continue
                told[row] = share
                shown[row].add(frozenset(path))
                words = reason_in_words(rules, position, path, graph.entities, graph.relations)
                how_often = f"in {100 * share:.0f} % of {cases:,} cases" if cases else f"with confidence {share:.2g}"
                reasons[row].append(f"{words}; where that is so, this follows {how_often}.")
    return shown


def _add_alike(reasons: list[list[str]], triplets: np.ndarray, evidence: BoundEvidence, facts: Facts) -> None:
    """Adds the fact of the same relation of which head and tail are alike, and the less alike of the two is most so."""
    names, relations = evidence.graph.entities, evidence.graph.relations
    for relation in np.unique(triplets[:, 1]).tolist():
        rows = np.flatnonzero(triplets[:, 1] == relation)
        own = facts.triplets[facts.triplets[:, 1] == relation]
        own = own[np.linspace(0, len(own) - 1, min(len(own), MOST_FACTS)).astype(np.int64)]
        if not len(own):
            continue
        ends = np.concatenate([triplets[rows], own])[:, [0, 2]]
        entities, places = np.unique(ends, return_inverse=True)
        asked, given = np.split(places.reshape(-1, 2), [len(rows)])
        vectors = _directions(evidence.entity_vectors(entities), np.unique(given))
        if vectors is None:
            return
        step = max(1, CELLS_AT_ONCE // len(own))
        for start in range(0, len(rows), step):
            part = asked[start : start + step]
            both = [vectors[part[:, side]] @ vectors[given[:, side]].T for side in (0, 1)]
            best = np.minimum(*both).argmax(axis=1)
            for number, (row, fact) in enumerate(zip(rows[start : start + step].tolist(), best.tolist(), strict=True)):
                alike = [float(one[number, fact]) for one in both]
                if min(alike) < LEAST_SIMILARITY:
                    continue
                parts = [
                    f"{name_in_words(names, int(one))} is like {name_in_words(names, int(other))} ({similarity:.2f})"
                    for one, other, similarity in zip(triplets[row, [0, 2]], own[fact, [0, 2]], alike, strict=True)
                    if one != other
                ]
                words = fact_in_words(own[fact], names, relations)
                reasons[row].append(f"It is a fact that {words}, and {' and '.join(parts)}.")


def _directions(vectors: list[np.ndarray], given: np.ndarray) -> np.ndarray | None:
    """Returns vectors whose inner products are the mean cosines of several kinds of vectors; None without any.

    They are centered by the mean of the entities of facts, at the positions `given`.
    """
    parts = []
    for own in vectors:
        centered = own - own[given].mean(axis=0) * own.any(axis=1, keepdims=True)
        parts.append(centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-12))
    return np.concatenate(parts, axis=1) / np.sqrt(len(parts)) if parts else None


def _add_paths(
    reasons: list[list[str]],
    triplets: np.ndarray,
    evidence: BoundEvidence,
    facts: Facts,
    shown: list[set[frozenset[int]]],
) -> None:
    """Adds a path over the neighbor in common that has the fewest links, but one that a rule has told."""
    names, relations = evidence.graph.entities, evidence.graph.relations
    degrees = np.diff(facts.links.starts)
    is_cut = degrees[triplets[:, [0, 2]]].min(axis=1) > MOST_LINKS  # so that the walk counts some neighbors only
    for paths in walk_between(facts, triplets, 2, MOST_LINKS):
        between = paths.between[:, 0]
        order = np.lexsort([between, degrees[between], paths.owners])
        # A loop makes head and tail neighbors of themselves.
        order = order[(triplets[paths.owners[order]][:, [0, 2]] != between[order, None]).all(axis=1)]
        first = _is_first(paths.owners[order], between[order])
        counts = np.bincount(paths.owners[order][first], minlength=len(triplets))
        told: set[int] = set()
        for one in order.tolist():
            row, middle = int(paths.owners[one]), int(between[one])
            head, _, tail = triplets[row].tolist()
            if row in told or frozenset((head, middle, tail)) in shown[row]:
                continue
            told.add(row)
            steps = [(head, paths.bodies[one, 0], middle), (middle, paths.bodies[one, 1], tail)]
            words = " and ".join(fact_in_words(step, names, relations) for step in steps)
            number = f"at least {counts[row]:,}" if is_cut[row] else f"{counts[row]:,}"
            count = f"They share {number} neighbors, such as" if counts[row] > 1 else "They share"
            reasons[row].append(f"{count} {name_in_words(names, middle)}: {words}.")


def _is_first(owners: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Returns which rows are the first of their owner and neighbor, which stand together."""
    return (np.diff(owners, prepend=-1) != 0) | (np.diff(between, prepend=-1) != 0)


def _add_others(reasons: list[list[str]], triplets: np.ndarray, evidence: BoundEvidence, answers: Answers) -> None:
    """Adds the best other answers to the query that the suggestion answers best."""
    graph, size = evidence.graph, np.int64(evidence.graph.num_entities)
    keys = (answers.slots * np.int64(graph.num_relations) + answers.triplets[:, 1]) * size
    keys += np.where(answers.slots == 2, answers.triplets[:, 0], answers.triplets[:, 2])
    order = np.lexsort([answers.ranks, keys])
    keys = keys[order]
    for row, (head, relation, tail) in enumerate(triplets.tolist()):
        best: tuple[int, int, np.ndarray] | None = None
        for slot, known, candidate in ((2, head, tail), (0, tail, head)):
            key = (slot * graph.num_relations + relation) * size + known
            own = order[np.searchsorted(keys, key) : np.searchsorted(keys, key, side="right")]
            itself = own[answers.triplets[own, slot] == candidate]
            if len(itself) and (best is None or answers.ranks[itself[0]] < best[0]):
                is_close = answers.log_probabilities[own] >= np.log(LEAST_CHANCE)
                others = own[is_close & (answers.triplets[own, slot] != candidate)]
                best = int(answers.ranks[itself[0]]), slot, others[:OTHERS]
        if best is not None and len(best[2]):
            _, slot, own = best
            others = ", ".join(
                f"{name_in_words(graph.entities, int(answers.triplets[one, slot]))} "
                f"({100 * np.exp(answers.log_probabilities[one]):.0f} %)"
                for one in own.tolist()
            )
            words = in_one_line(graph.relations.texts[relation])
            known = name_in_words(graph.entities, head if slot == 2 else tail)
            query = f"{known} {words} …" if slot == 2 else f"… {words} {known}"
            reasons[row].append(f'Other answers to "{query}": {others}.')
