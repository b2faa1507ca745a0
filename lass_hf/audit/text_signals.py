"""Signals of texts: how near the texts of head and tail are to each other, and to those of the other triplets.

All compare vectors of length 1 of an encoder as it is, without training, which knows no triplet of the graph, and leave
the triplet itself out of every mean and neighborhood.
"""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from ..core.encoders import OFFLINE_ENCODER
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import Progress, TripletScorer
from ..structure.facts import Facts
from ..utils.distributed import processes
from .signals import mean_of_others, number_groups, percentiles

ROWS = 1 << 14  # triplets whose vectors are in memory at once
MOST_SIBLINGS = 16  # other values of a query that a value is compared with
MOST_OF_RELATION = 2048  # sampled triplets of a relation that a triplet is compared with
NEAREST = 5  # of them, whose similarity is averaged


def encode_texts(
    graph: KnowledgeGraph, encoder: str = OFFLINE_ENCODER, progress: Progress | None = None, dtype: str = "auto"
) -> np.ndarray:
    """Encodes the texts of all entities with an untrained encoder.

    Args:
        graph: The graph.
        encoder: Name or folder of the encoder; its last hidden states are averaged.
        progress: A progress bar to advance by the number of entities, or None.
        dtype: Precision, as in `TripletScorer`.

    Returns:
        Float32 of shape (E, k), of length 1.

    Raises:
        ModelError: There is no such encoder.
    """
    processor = LassProcessor.from_encoder(encoder, graph, architecture="bi-encoder")
    scorer = TripletScorer(load_encoder(encoder), processor.token_store(graph), dtype)
    vectors = scorer.encode_entities(np.arange(graph.num_entities), progress).float().cpu().numpy()
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def load_encoder(encoder: str) -> LassForKGCompletion:
    """Loads an untrained encoder as a model, onto this process's device; raises ModelError if there is none."""
    return LassForKGCompletion.from_encoder(encoder, architecture="bi-encoder").to(processes().device)


def text_signals(facts: Facts, vectors: np.ndarray, adjacency: csr_array, seed: int = 42) -> dict[str, np.ndarray]:
    """Judges the triplets of facts by texts.

    Args:
        facts: The facts.
        vectors: Float32 of shape (E, k), of length 1.
        adjacency: The neighbors, as `simple_adjacency` returns them.
        seed: Seed of the sample of each relation's triplets.

    Returns:
        Float32 of shape (n,) for each signal; NaN where there is nothing to compare with.
    """
    heads, relations, tails = facts.triplets.T
    cosine = _dots(vectors, heads, tails)
    signals = {
        "text_of_pair": cosine,
        **_against_neighbors(heads, tails, vectors, adjacency, cosine),
        **_against_relation(facts, vectors),
        "text_analogs": _nearest_of_relation(facts, vectors, seed),
    }
    for side, entity, other in (("tail", tails, heads), ("head", heads, tails)):
        groups = number_groups(other, relations)
        signals[f"{side}_like_siblings"], signals[f"{side}_nearest_sibling"] = _against_siblings(
            vectors, entity, groups
        )
    within = percentiles(cosine, relations)
    signals["other_texts_of_head"] = mean_of_others(within, heads)
    signals["other_texts_of_tail"] = mean_of_others(within, tails)
    return signals


def _dots(vectors: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the inner products of pairs of rows, float32 of shape (n,)."""
    result = np.empty(len(ones), np.float32)
    for start in range(0, len(ones), ROWS):
        part = slice(start, start + ROWS)
        result[part] = np.einsum("nk,nk->n", vectors[ones[part]], vectors[others[part]])
    return result


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the cosines of pairs of rows, float32; NaN where one is 0."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.where(lengths > 1e-6, np.einsum("nk,nk->n", one, other) / np.maximum(lengths, 1e-6), np.nan)


def _against_neighbors(
    heads: np.ndarray, tails: np.ndarray, vectors: np.ndarray, adjacency: csr_array, cosine: np.ndarray
) -> dict[str, np.ndarray]:
    """Compares the tail with the head's other neighbors, the head with the tail's, and these with each other."""
    sums = adjacency @ vectors
    tail_fits, head_fits, around = np.full((3, len(heads)), np.nan, np.float32)
    for start in range(0, len(heads), ROWS):
        part = slice(start, start + ROWS)
        head, tail = vectors[heads[part]], vectors[tails[part]]
        is_pair = (heads[part] != tails[part])[:, None]  # A loop is no neighbor.
        of_head, of_tail = sums[heads[part]] - is_pair * tail, sums[tails[part]] - is_pair * head
        tail_fits[part], head_fits[part] = _cosines(of_head, tail), _cosines(of_tail, head)
        around[part] = _cosines(of_head, of_tail)
    return {"tail_like_neighbors": tail_fits, "head_like_neighbors": head_fits, "neighbors_alike": around}


def _against_relation(facts: Facts, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Compares head, tail and their difference with the means of the other triplets of the relation."""
    triplets = facts.triplets
    values = np.full((3, len(triplets)), np.nan, np.float32)
    order = np.argsort(triplets[:, 1], kind="stable")
    bounds = np.searchsorted(triplets[order, 1], np.arange(facts.num_relations + 1)).tolist()
    for start, end in pairwise(bounds):
        parts = [order[place : min(place + ROWS, end)] for place in range(start, end, ROWS)]
        sums = np.zeros((2, vectors.shape[1]))
        for rows in parts:
            sums += [vectors[triplets[rows, slot]].sum(axis=0, dtype=np.float64) for slot in (0, 2)]
        for rows in parts if end - start > 1 else []:
            own = np.stack([vectors[triplets[rows, 0]], vectors[triplets[rows, 2]]])
            others = (sums[:, None] - own) / (end - start - 1)
            values[0, rows], values[1, rows] = _cosines(own[0], others[0]), _cosines(own[1], others[1])
            values[2, rows] = _cosines(own[1] - own[0], others[1] - others[0])
    return dict(zip(("head_like_heads", "tail_like_tails", "difference_like_others"), values, strict=True))


def _against_siblings(vectors: np.ndarray, entities: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compares each entity with others of its group, which are values of the same query: mean and largest cosine."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)[groups[order]]
    starts = np.searchsorted(groups[order], groups[order])
    within = np.arange(len(order)) - starts
    total, largest = np.zeros(len(order), np.float32), np.full(len(order), np.nan, np.float32)
    for step in range(1, MOST_SIBLINGS + 1):
        rows = np.flatnonzero(sizes > step)
        others = order[starts[rows] + (within[rows] + step) % sizes[rows]]
        cosine = _dots(vectors, entities[order[rows]], entities[others])
        total[rows] += cosine
        largest[rows] = np.fmax(largest[rows], cosine)
    result = np.empty((2, len(order)), np.float32)
    counts = np.minimum(sizes - 1, MOST_SIBLINGS)
    result[:, order] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan), largest
    return result[0], result[1]


def _nearest_of_relation(facts: Facts, vectors: np.ndarray, seed: int) -> np.ndarray:
    """Returns how alike, in head and in tail, the nearest other triplets of the relation are: float32 of shape (n,)."""
    triplets = facts.triplets
    values = np.full(len(triplets), np.nan, np.float32)
    rng = np.random.default_rng(seed)
    order = np.lexsort([rng.random(len(triplets)), triplets[:, 1]])
    bounds = np.searchsorted(triplets[order, 1], np.arange(facts.num_relations + 1)).tolist()
    for start, end in pairwise(bounds):
        chosen = order[start : min(end, start + MOST_OF_RELATION)]
        heads, tails = vectors[triplets[chosen, 0]], vectors[triplets[chosen, 2]]
        nearest = min(NEAREST, end - start - 1)
        for place in range(start, end, MOST_OF_RELATION) if nearest else []:
            rows = order[place : min(place + MOST_OF_RELATION, end)]
            alike = np.minimum(vectors[triplets[rows, 0]] @ heads.T, vectors[triplets[rows, 2]] @ tails.T)
            if place == start:
                np.fill_diagonal(alike, -1)
            values[rows] = np.partition(alike, -nearest, axis=1)[:, -nearest:].mean(axis=1)
    return values
