"""Measures a completion by links that neither the model nor the list has seen: precision and recall of the list.

With a test split its links are hidden, and weights and chances are fitted on validation. With a validation split only,
each half of it (of its pairs of entities) is hidden once, while the other half does the fitting.

The graph that is completed does not have the hidden links. It has the links of the fit, which no list repeats. Facts
count, and not links: a link and its mirror image, in the same or in an inverse relation, are found once. A hidden link
whose mirror image the graph keeps counts as hidden, too, although no list repeats what the graph says: recall is less.

The chance that is measured is that of a suggestion to state a hidden fact, with those of the fit among the suggestions,
as facts that are not hidden. So it is a fit's chance times the number of hidden facts, over that of the fit. Where as
many are hidden as were fitted on, a sure suggestion has a chance of one half.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..evaluation.platt_scaling import reliability_curve
from ..quality.relation_traits import find_traits
from ..scoring.entity_frequencies import EntityFrequencies
from ..structure.facts import Facts
from .suggestions import Suggestions

DEPTHS = (50, 200, 1000)
METHODS = {"list": "the list", "score": "sorted by raw score", "frequency": "by frequency"}


@dataclass(frozen=True)
class Completion:
    """What one completion of a graph came to.

    Attributes:
        queries: The queries that were asked, int64 of shape (q, 3).
        slots: The slot that each of them asked for, 0 or 2, int of shape (q,).
        suggestions: All n suggestions that were made of the training triplets, of any standing, and also those that
            another split of the graph has.
        standings: Int of shape (n,): positions in the names of standings, against all splits of the graph.
        probabilities: Float64 of shape (n,); None without a calibration.
        listed: The list: int64 of shape (m,), positions in `suggestions` in the order of the list, without what any
            split of the graph has, and at most as long as the settings let it be.
    """

    queries: np.ndarray
    slots: np.ndarray
    suggestions: Suggestions
    standings: np.ndarray
    probabilities: np.ndarray | None
    listed: np.ndarray


@dataclass(frozen=True)
class Part:
    """A completion beside the links that were hidden from it.

    Attributes:
        hidden: The facts that the hidden links state, int64 of shape (h, 3), distinct: a link and its mirror image are
            one, see `RelationTraits.canonical`.
        listed: For each of `METHODS` the facts that the first links of its list state, int64 of shape (at most 1,000,
            3), which may repeat.
        is_hit: For each of `METHODS` which of them are hidden, and state no fact again: bool.
        standings: For "list" and "score" the standings of these links.
        chances: The chances of all suggestions to state a hidden fact, float64 of shape (n,); None if there are none.
        is_hidden: Which of all suggestions state a hidden fact, bool of shape (n,).
    """

    hidden: np.ndarray
    listed: dict[str, np.ndarray]
    is_hit: dict[str, np.ndarray]
    standings: dict[str, np.ndarray]
    chances: np.ndarray | None
    is_hidden: np.ndarray


def hide_links(graph: KnowledgeGraph, seed: int = 42) -> list[tuple[KnowledgeGraph, np.ndarray]]:
    """Makes the graphs that are completed, without the links that the lists are measured by.

    Args:
        graph: The graph.
        seed: Seed of the halves of a validation split.

    Returns:
        Graphs without a test split, each with the links hidden from it, int64 of shape (h, 3), distinct: one if there
        is a test split, or else one for each half of the validation split.

    Raises:
        GraphError: There is neither split, or nothing in it to hide.
    """
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items() if name != "test"}
    if "test" in graph:
        parts = [(splits, graph["test"].positives)]
    elif "validation" in graph:
        validation = graph["validation"]
        pairs = np.sort(validation.triplets[:, [0, 2]], axis=1)
        distinct, groups = np.unique(pairs, axis=0, return_inverse=True)
        half = (np.random.default_rng(seed).permutation(len(distinct)) % 2)[groups.reshape(-1)]
        parts = []
        for number in (0, 1):
            own, other = (validation.select(np.flatnonzero((half == number) == is_own)) for is_own in (True, False))
            parts.append((splits | {"validation": (other.triplets, other.labels)}, own.positives))
    else:
        raise GraphError(
            "the graph has no validation and no test split, so no links were held out of training to measure by: "
            "hold some out (lass-hf split), and train on the rest"
        )
    made = []
    for own_splits, positives in parts:
        rest = KnowledgeGraph(graph.entities, graph.relations, own_splits)
        hidden = KnownTriplets(positives, graph.num_entities, graph.num_relations).triplets()
        made.append((rest, hidden[~rest.known.contains(hidden)]))
    if not all(len(hidden) for _, hidden in made):
        where = "test" if "test" in graph else "validation"
        raise GraphError(
            f"the {where} split has too few links that train lacks: expected some to measure with"
            f"{'' if where == 'test' else ', between two pairs of entities or more'} (lass-hf split holds links out)"
        )
    return made


def evaluate_completion(
    graph: KnowledgeGraph,
    complete: Callable[[KnowledgeGraph], Completion],
    standing_names: Sequence[str],
    seed: int = 42,
) -> dict[str, Any]:
    """Completes a graph without its hidden links, and measures how many of them the list has.

    Args:
        graph: The graph, with a test or a validation split of links that the model was not trained on.
        complete: Completes a graph. Its weights and chances must be fitted on the validation split of the graph that it
            is given, which can be half of that of `graph` (`refit_evidence`).
        standing_names: The names of standings.
        seed: Seed of the halves of validation, and of the order of equal frequencies.

    Returns:
        Plain values:

        - `hidden`: "test" or "halves of validation"; `num_hidden`, the facts that their links state, see `Part`;
          `num_lists`; `seed`;
        - `methods`: for "list", "score" (all suggestions by the better one of their two log probabilities) and
          "frequency" (by how often an answer stands in the slot of the relation): for each of `DEPTHS` `listed`,
          `hits`, `precision` and `recall`, pooled over the lists; and the share of each standing as `standings`;
        - `by_relation`: rows of `relation` (id; of relations that state the same facts the first), `hidden`, and
          `listed` and `hits` of the list for each of `DEPTHS`;
        - `reliability` of the chances of all suggestions, and `reliability_of_first`, of the 1,000 highest ones of each
          completion: `ece`, `counts`, `claimed`, `observed`; None without a calibration.

    Raises:
        GraphError: The graph has neither split, or nothing in it to hide.
    """
    parts = [measure_part(rest, hidden, complete(rest), seed) for rest, hidden in hide_links(graph, seed)]
    methods: dict[str, Any] = {}
    for method in METHODS:
        methods[method] = {"depths": {str(depth): count_hits(parts, method, depth) for depth in DEPTHS}}
        if method in parts[0].standings:
            shares = np.bincount(
                np.concatenate([part.standings[method] for part in parts]), minlength=len(standing_names)
            )
            shares = (shares / max(1, shares.sum())).tolist()
            methods[method]["standings"] = dict(zip(standing_names, shares, strict=True))
    return {
        "hidden": "test" if "test" in graph else "halves of validation",
        "num_hidden": sum(len(part.hidden) for part in parts),
        "num_lists": len(parts),
        "seed": seed,
        "methods": methods,
        "by_relation": _count_by_relation(parts, graph.relations.ids),
        **_measure_chances(parts),
    }


def measure_part(rest: KnowledgeGraph, hidden: np.ndarray, completion: Completion, seed: int = 42) -> Part:
    """Compares a completion with the links that were hidden from it.

    Args:
        rest: The graph that was completed.
        hidden: The hidden links, int64 of shape (h, 3), distinct, none of them in `rest`.
        completion: The completion.
        seed: Seed of the order of equal frequencies.
    """
    canonical, sizes = find_traits(Facts.from_graph(rest)).canonical, (rest.num_entities, rest.num_relations)
    facts = KnownTriplets(canonical(hidden), *sizes)
    triplets, count = completion.suggestions.triplets, max(DEPTHS)
    by_score = np.argsort(-np.fmax(*completion.suggestions.log_probabilities.T), kind="stable")
    chosen = {"list": completion.listed[:count], "score": by_score[~rest.known.contains(triplets[by_score])][:count]}
    listed = {method: triplets[positions] for method, positions in chosen.items()}
    listed["frequency"] = list_by_frequency(completion.queries, completion.slots, rest, count, seed)
    chances = completion.probabilities
    if chances is not None:
        fitted_on = KnownTriplets(canonical(rest.index_splits("validation").triplets()), *sizes)
        chances = np.minimum(chances * (len(facts) / len(fitted_on)), 1)
    listed = {method: canonical(some) for method, some in listed.items()}
    return Part(
        facts.triplets(),
        listed,
        {method: facts.contains(some) & _is_first(some) for method, some in listed.items()},
        {method: completion.standings[positions] for method, positions in chosen.items()},
        chances,
        facts.contains(canonical(triplets)),
    )


def _is_first(triplets: np.ndarray) -> np.ndarray:
    """Returns which triplets no earlier one equals, bool of shape (n,)."""
    is_first = np.zeros(len(triplets), dtype=bool)
    is_first[np.unique(triplets, axis=0, return_index=True)[1]] = True
    return is_first


def list_by_frequency(
    queries: np.ndarray, slots: np.ndarray, graph: KnowledgeGraph, count: int, seed: int = 42
) -> np.ndarray:
    """Lists the links that queries make with the entities that stand most often in the slot that they ask for.

    Args:
        queries: Int of shape (q, 3).
        slots: 0 or 2 for each of them, int of shape (q,).
        graph: The graph, whose training triplets are counted, and whose links are left out.
        count: The length of the list, which is shorter only if there are no more answers.
        seed: Seed of the order of equal frequencies.

    Returns:
        Int64 of shape (m, 3), distinct.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(queries))
    queries, slots = queries[order].astype(np.int64), slots[order]
    frequencies = EntityFrequencies(graph.known_in_train.triplets(), graph.num_entities)
    asked = np.unique(np.stack([slots, queries[:, 1]], axis=1), axis=0)
    answers = [np.empty((0, 4), dtype=np.int64)]
    for slot, relation in asked.tolist():
        entities, counts = frequencies.of_relation(slot, relation)
        answers.append(
            np.stack([np.full(len(entities), slot), np.full(len(entities), relation), entities, counts], axis=1)
        )
    table = rng.permutation(np.concatenate(answers).astype(np.int64))
    listed = np.empty((0, 3), dtype=np.int64)
    for slot, relation, entity, _ in table[np.argsort(-table[:, 3], kind="stable")].tolist():
        made = queries[(slots == slot) & (queries[:, 1] == relation)]
        made[:, slot] = entity
        listed = np.concatenate([listed, made[~graph.known.contains(made)]])
        listed = listed[np.sort(np.unique(listed, axis=0, return_index=True)[1])]
        if len(listed) >= count:
            break
    return listed[:count]


def count_hits(parts: Sequence[Part], method: str, depth: int) -> dict[str, float]:
    """Counts the hidden links among the first ones of lists.

    Args:
        parts: The lists.
        method: Which list of them, of `METHODS`.
        depth: The number of links of each list that count, at most 1,000.

    Returns:
        `listed` and `hits`, of all lists; `precision`, the share of hits in what is listed; and `recall`, the share of
        the hidden links that are hits.
    """
    listed = sum(len(part.is_hit[method][:depth]) for part in parts)
    hits = int(sum(part.is_hit[method][:depth].sum() for part in parts))
    num_hidden = sum(len(part.hidden) for part in parts)
    return {"listed": listed, "hits": hits, "precision": hits / max(1, listed), "recall": hits / max(1, num_hidden)}


def _count_by_relation(parts: Sequence[Part], ids: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the rows of relations with hidden links, those with the most first."""

    def count(some: list[np.ndarray]) -> np.ndarray:
        return np.bincount(np.concatenate(some), minlength=len(ids))

    hidden = count([part.hidden[:, 1] for part in parts])
    counts = {}
    for depth in DEPTHS:
        relations = [part.listed["list"][:depth, 1] for part in parts]
        hits = [part.is_hit["list"][:depth] for part in parts]
        counts[depth] = count(relations), count([own[hit] for own, hit in zip(relations, hits, strict=True)])
    return [
        {
            "relation": ids[relation],
            "hidden": int(hidden[relation]),
            "listed": {str(depth): int(counts[depth][0][relation]) for depth in DEPTHS},
            "hits": {str(depth): int(counts[depth][1][relation]) for depth in DEPTHS},
        }
        for relation in np.argsort(-hidden, kind="stable")[: int((hidden > 0).sum())].tolist()
    ]


def _measure_chances(parts: Sequence[Part]) -> dict[str, Any]:
    """Returns `reliability` and `reliability_of_first`."""
    known = [(part.chances, part.is_hidden) for part in parts if part.chances is not None and len(part.chances)]
    if not known:
        return {"reliability": None, "reliability_of_first": None}
    firsts = [np.argsort(-chances, kind="stable")[: max(DEPTHS)] for chances, _ in known]
    first = [(chances[some], hidden[some]) for (chances, hidden), some in zip(known, firsts, strict=True)]
    return {
        name: reliability_curve(*(np.concatenate(arrays) for arrays in zip(*own, strict=True))).to_dict()
        for name, own in (("reliability", known), ("reliability_of_first", first))
    }


def describe_evaluation(results: Mapping[str, Any]) -> list[str]:
    """Returns the lines of the printed table.

    Args:
        results: What `evaluate_completion` returned.
    """
    lists = "" if results["num_lists"] == 1 else f", in {results['num_lists']} lists whose counts add up"
    lines = [f"{results['num_hidden']:,} hidden facts ({results['hidden']}{lists})"]
    head = "".join(f"{f'first {depth:,}':>24}" for depth in DEPTHS)
    lines += [
        f"{'':20}{head}",
        f"{'':20}{'hits  precision  recall':>24}" + f"{'hits  precision  recall':>24}" * (len(DEPTHS) - 1),
    ]
    for method, title in METHODS.items():
        cells = [results["methods"][method]["depths"][str(depth)] for depth in DEPTHS]
        lines.append(
            f"{title:20}" + "".join(f"{c['hits']:>6,}{c['precision']:>10.3f}{c['recall']:>8.3f}" for c in cells)
        )
    shares = results["methods"]["list"]["standings"]
    lines.append("the list is " + ", ".join(f"{share:.0%} {name}" for name, share in shares.items() if share))
    if results["reliability"] is None:
        lines.append("no probability, and so no calibration error")
    else:
        ece = [results[name]["ece"] for name in ("reliability", "reliability_of_first")]
        lines.append(f"ECE {ece[0]:.3f} of all suggestions, {ece[1]:.3f} of the {max(DEPTHS):,} highest probabilities")
    return lines
