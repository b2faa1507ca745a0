"""Samples the queries and candidates that the weights of a fusion are fitted on, and computes their features."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.triplet_scorer import TripletScorer
from ..structure.facts import Facts
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..utils.distributed import processes
from .evidence_set import EvidenceSet, collect_evidence
from .fusion import NUM_BINS, QueryGroups, first_groups, is_without_facts
from .fusion_fitting import FittingSample, choose_candidates

FIT_TRIPLETS = 3000  # validation triplets that weights are fitted on, two queries each
COSTLY_PAIRS = 50_000  # of a cross-encoder's fit, if a query has 200 candidates; the most it can have are 513
QUERIES_AGAIN = 0.1  # of all: the share that a fit sees again as if their entities had no facts
SCORES_AT_ONCE = 2**22  # features of one kind that are in memory together, of all candidates of some queries


def sample_for_fitting(
    graph: KnowledgeGraph,
    scorer: TripletScorer | None,
    kinds: Collection[str],
    rules: RuleSet | None,
    vectors: StructuralVectors | None,
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
) -> FittingSample:
    """Computes the features of a seeded sample of validation queries, for the answer and some other candidates each.

    Args:
        graph: The graph, with a validation split.
        scorer: The scorer of the text model, or None.
        kinds: The kinds of evidence.
        rules: The rules, or None.
        vectors: The structural vectors, or None.
        seed: Seed of the sample.
        quiet: Whether no progress bar is shown.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.

    Returns:
        The sample, some queries of which come again as those of entities that are new.
    """
    facts = Facts.from_graph(graph)
    evidence = collect_evidence(kinds, graph, facts, scorer, rules, vectors, index_folder, quiet)
    groups = QueryGroups(facts, graph.num_entities)
    rng = np.random.default_rng(seed)
    triplets = np.unique(graph["validation"].positives, axis=0)
    limit = FIT_TRIPLETS
    if evidence.is_costly:
        limit = min(limit, max(1, COSTLY_PAIRS // (2 * min(200, len(graph.candidates[0])))))
    triplets = triplets[np.sort(rng.permutation(len(triplets))[:limit])]
    size = max(1, SCORES_AT_ONCE // len(graph.candidates[0]))
    parts = []
    disable = quiet or not processes().is_main_process
    with tqdm(total=2 * len(triplets), desc="sampling candidates", unit=" queries", disable=disable) as bar:
        for slot in (0, 2):
            for start in range(0, len(triplets), size):
                part = triplets[start : start + size]
                parts.append((*_sample_queries(evidence, graph, part, slot, rng), groups(part, slot)))
                bar.update(len(part))
    width = max(values.shape[1] for values, _, _ in parts)
    padded = [
        (
            np.pad(values, ((0, 0), (0, width - values.shape[1]), (0, 0))),
            np.pad(corrections, ((0, 0), (0, width - corrections.shape[1])), constant_values=-np.inf),
            own,
        )
        for values, corrections, own in parts
    ]
    values, corrections, own = (np.concatenate(arrays) for arrays in zip(*padded, strict=True))
    sample = FittingSample(evidence.features, evidence.kinds, values, corrections, own, graph.num_relations)
    return ask_again_as_new(sample, seed)


def _sample_queries(
    evidence: EvidenceSet, graph: KnowledgeGraph, triplets: np.ndarray, slot: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns values and corrections of the queries of some triplets, see `FittingSample`."""
    candidates = graph.candidates[slot]
    is_free = np.ones((len(triplets), len(candidates)), dtype=bool)
    rows, values = graph.known.values(slot, triplets)
    is_free[rows, np.searchsorted(candidates, values)] = False
    features = evidence(triplets, slot, candidates, is_free, costly=False)
    targets = np.searchsorted(candidates, triplets[:, slot])
    columns, corrections = choose_candidates(features, is_free, targets, rng)
    queries = np.arange(len(triplets))[:, None]
    if evidence.is_costly:
        mask = np.zeros_like(is_free)
        mask[np.broadcast_to(queries, columns.shape)[np.isfinite(corrections)], columns[np.isfinite(corrections)]] = (
            True
        )
        features = evidence(triplets, slot, candidates, mask)
    chosen = features[:, queries, columns].transpose(1, 2, 0)
    chosen[~np.isfinite(corrections)] = 0
    return np.ascontiguousarray(chosen), corrections


def ask_again_as_new(sample: FittingSample, seed: int) -> FittingSample:
    """Leaves to queries without facts their words alone, and adds seeded queries again, as if theirs had no facts.

    A validation split has hardly any query about an entity without facts, such as a new one, and what frequencies and
    neighbors of candidates are worth beside rules and vectors is not what they are worth without: a model of WN18RR
    without a fifth of the entities ranked such queries with an MRR of .28 by words alone, and of .26 by all that is
    left.

    Args:
        sample: The sample.
        seed: Seed of the choice.

    Returns:
        The sample with more queries at its end; without evidence of the text, the same one.
    """
    if "text" not in sample.kinds:
        return sample
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(sample.values))[: round(QUERIES_AGAIN * len(sample.values))])
    first, again = first_groups(sample.num_relations), sample.groups[rows].copy()
    sides = again[:, 1] - first[1]
    again[:, 3:] = first[3:] + NUM_BINS * sides[:, None]  # no known answer, no fact
    groups = np.concatenate([sample.groups, again])
    values = np.concatenate([sample.values, sample.values[rows]])
    is_word = np.array(sample.kinds) == "text"
    values[is_without_facts(groups, sample.num_relations)] *= is_word
    corrections = np.concatenate([sample.corrections, sample.corrections[rows]])
    return replace(sample, values=values, corrections=corrections, groups=groups, again=rows)
