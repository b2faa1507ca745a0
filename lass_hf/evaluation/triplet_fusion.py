"""Triplet classification by all evidence: the text's score, and what rules, vectors and counts say of a triplet.

The fit reads the labels of validation. It judges validation out of fold, so that thresholds fitted there do not
flatter.
"""

from collections.abc import Collection

import numpy as np

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.boosted_fit import NUM_FOLDS, fit_out_of_fold
from ..evidence.bound_evidence import training_facts
from ..evidence.building import build_evidence, check_kinds
from ..evidence.choosing import EvidenceChoice, choose_evidence, find_own_evidence, split_kinds, warn_of_other_facts
from ..evidence.evidence import KINDS
from ..evidence.fused_evidence import FusedEvidence
from ..scoring.entity_frequencies import EntityFrequencies
from ..structure.answer_ranks import AnswerRanks, rank_by_vectors
from ..structure.rule_scores import RuleScorer

GRAPH_KINDS = ("frequency", "rules", "vectors")  # of evidence that says something about a triplet beside its text


def choose_graph_evidence(
    choice: EvidenceChoice,
    graph: KnowledgeGraph,
    model: LassForKGCompletion,
    processor: LassProcessor,
    seed: int = 42,
    quiet: bool = True,
) -> FusedEvidence | None:
    """Returns the evidence that counts beside the text when triplets are classified.

    Args:
        choice: "auto" for that in the model's folder, if there is any; "text" for the text alone; some of
            `GRAPH_KINDS`, with commas between them or as a collection, which are found in the graph if the model has no
            evidence; or evidence.
        graph: The graph.
        model: The text model.
        processor: Its processor.
        seed: Seed of what is found.
        quiet: Whether no progress bars are shown.

    Returns:
        The evidence, in the numbers of the graph; None for the text alone.

    Raises:
        LassError: A kind is unknown, says nothing about triplets, or is not among those that the model has; the
            evidence is that of another model; or the choice is none of all that.
        GraphError: The graph has no training triplets.
    """
    if isinstance(choice, FusedEvidence) and not set(choice.kinds) & set(GRAPH_KINDS):
        _check_says_something(choice.kinds)
    if isinstance(choice, FusedEvidence) or choice == "auto":
        evidence = choose_evidence(choice, graph, model, processor, quiet=quiet)
    else:
        names = split_kinds(choice)
        _check_says_something(names)
        kinds = [kind for kind in check_kinds(names) if kind != "text"]
        if not kinds:
            return None
        if find_own_evidence(model) is None:
            evidence = build_evidence(graph, kinds=kinds, seed=seed, quiet=quiet)
        else:
            evidence = choose_evidence(kinds, graph, model, processor, seed=seed, quiet=quiet)
    if evidence is None or not set(evidence.kinds) & set(GRAPH_KINDS):
        return None
    warn_of_other_facts(evidence, graph)
    return evidence.renumber(graph)


def _check_says_something(kinds: Collection[str]) -> None:
    """Raises LassError if a kind of evidence beside the text says nothing about triplets."""
    if silent := set(kinds) & set(KINDS) - {"text", *GRAPH_KINDS}:
        expected = ", ".join(("text", *GRAPH_KINDS))
        raise LassError(f"evidence {min(silent)!r} says nothing about a triplet; expected some of {expected}")


def describe_triplets(evidence: FusedEvidence, graph: KnowledgeGraph, triplets: np.ndarray) -> np.ndarray:
    """Returns what the graph says of triplets.

    Args:
        evidence: The evidence, in the numbers of the graph.
        graph: The graph.
        triplets: Int64 of shape (n, 3).

    Returns:
        Float32 of shape (n, F), NaN for what is not known: the relation; for "frequency" how many facts the entities
        have, alone, in this slot of the relation, and beside the other entity; the evidence of "rules"; and for each
        slot the log probability by "vectors", the log of its rank, and the log probability of the best other answer.
    """
    facts = training_facts(graph)
    known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
    columns = [triplets[:, 1]]
    if "frequency" in evidence.kinds:
        degrees = np.bincount(facts.triplets[:, [0, 2]].reshape(-1), minlength=facts.num_entities)
        frequencies = EntityFrequencies(facts.triplets, facts.num_entities)
        for slot in (0, 2):
            counts = degrees[triplets[:, slot]], frequencies.lookup(slot, triplets), known.count(slot, triplets)
            columns += [np.log1p(count) for count in counts]
    if "rules" in evidence.kinds and evidence.rules is not None:
        columns.append(RuleScorer(evidence.rules, facts).triplet_scores(triplets))
    if "vectors" in evidence.kinds and evidence.vectors is not None:
        for slot in (0, 1, 2):
            ranks = AnswerRanks.unknown(len(triplets))
            found, rows = rank_by_vectors(evidence.vectors, triplets, slot, known)
            ranks.put(rows, found)
            columns += [ranks.log_probabilities, np.log(ranks.ranks), ranks.best_log_probabilities]
    return np.stack(columns, axis=1).astype(np.float32)


def check_labels(triplets: np.ndarray, labels: np.ndarray) -> None:
    """Raises GraphError if validation has too few distinct triplets, true or false ones, for a fit.

    Args:
        triplets: The triplets of validation, int64 of shape (m, 3).
        labels: Their labels, 1 (true) or 0 (false), of shape (m,).
    """
    counts = np.bincount(labels[np.unique(_first_copies(triplets))], minlength=2)
    if counts.min() < NUM_FOLDS:
        raise GraphError(
            f"the validation split has {counts[1]:,} true and {counts[0]:,} false distinct triplets, and a fit of all "
            f'evidence needs {NUM_FOLDS} of each: label more, or classify with evidence "text"'
        )


def fit_to_labels(features: np.ndarray, triplets: np.ndarray, labels: np.ndarray, seed: int = 42) -> np.ndarray:
    """Fits features to the labels of validation, and judges all triplets.

    Args:
        features: Float32 of shape (m + n, F), NaN where nothing is known; of the m triplets of validation first.
        triplets: The triplets of validation, int64 of shape (m, 3).
        labels: Their labels, 1 (true) or 0 (false), of shape (m,). Of a triplet that is there twice the first counts.
        seed: Seed of the folds.

    Returns:
        The log odds of being true, float64 of shape (m + n,): those of validation by fits on its other folds.

    Raises:
        GraphError: Validation has too few true or false triplets for a fit.
    """
    check_labels(triplets, labels)
    first = _first_copies(triplets)  # a copy in another fold would speak for the triplet
    is_fitted, is_wrong = np.zeros((2, len(features)), dtype=bool)
    is_fitted[first] = True
    is_wrong[: len(labels)] = labels == 0
    log_odds = -fit_out_of_fold(features, is_wrong, is_fitted, seed)
    return np.append(log_odds[first], log_odds[len(labels) :])


def _first_copies(triplets: np.ndarray) -> np.ndarray:
    """Returns for each triplet the position of the first one that equals it: int64 of shape (m,)."""
    _, first, copy_of = np.unique(triplets, axis=0, return_index=True, return_inverse=True)
    return first[copy_of]
