"""Finds what a model gets wrong: errors by relation (Table 5), confident predictions (Table 3), worst-ranked queries.

The functions take results of evaluations, and return rows of numbers and names for pages, plots and JSON.
"""

from typing import Any

import numpy as np

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES, Vocabulary
from ..evaluation.triplet_classification import ClassificationResult
from ..scoring.candidate_scores import CandidateScorer


def count_errors_by_relation(
    relations: np.ndarray, labels: np.ndarray, predictions: np.ndarray, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """Counts the errors of a classification for each relation.

    Args:
        relations: the relation of each triplet, integers of shape (n,).
        labels: the gold labels, 1 or 0, of shape (n,).
        predictions: the predicted labels, 1 or 0, of shape (n,).
        vocabulary: the vocabulary of the relations.

    Returns:
        One row for each relation that occurs, the highest error rate first: `id`, `text`, `triplets`, `accuracy` (a
        share of 1), `errors`, `false_positives` and `false_negatives` (which add up to `errors`), `error_rate` (errors
        in percent of the relation's triplets, as in Table 5), and `share_of_errors` (in percent of the errors of all
        relations; 0 if there are none).
    """
    size = len(vocabulary)
    false_positives, false_negatives = (
        np.bincount(relations[(predictions == wrong) & (labels != wrong)], minlength=size) for wrong in (1, 0)
    )
    triplets, errors = np.bincount(relations, minlength=size), false_positives + false_negatives
    rates = 100 * errors / np.maximum(1, triplets)
    total = max(1, int(errors.sum()))
    order = np.lexsort((-triplets, -rates))
    return [
        {
            "id": vocabulary.ids[relation],
            "text": vocabulary.texts[relation],
            "triplets": int(triplets[relation]),
            "accuracy": float(1 - errors[relation] / triplets[relation]),
            "errors": int(errors[relation]),
            "false_positives": int(false_positives[relation]),
            "false_negatives": int(false_negatives[relation]),
            "error_rate": float(rates[relation]),
            "share_of_errors": float(100 * errors[relation] / total),
        }
        for relation in order[triplets[order] > 0].tolist()
    ]


def find_confident_predictions(
    split: GraphSplit, result: ClassificationResult, probabilities: np.ndarray, top_k: int
) -> dict[str, list[dict[str, Any]]]:
    """Finds the predictions of a classification in which the model was most confident (the form of Table 3).

    Args:
        split: the split of n triplets that was classified.
        result: the result of its classification.
        probabilities: the probability that each triplet is true, float64 of shape (n,). The confidence of a prediction
            is the probability of the predicted label.
        top_k: the number of rows for each gold label.

    Returns:
        `{"right": rows, "wrong": rows}`, triplets labeled true first, the most confident first. A row holds `head`,
        `relation` and `tail` (texts), `ids`, `label`, `score` and `probability`.
    """
    confidence = np.where(result.predictions == 1, probabilities, 1 - probabilities)
    # The distance from the threshold orders predictions whose probabilities are so near to 1 that they are equal.
    order = np.lexsort((-np.abs(result.scores.astype(np.float64) - result.threshold), -confidence))
    is_right = (result.predictions == result.labels)[order]
    confident = {}
    for name, mask in (("right", is_right), ("wrong", ~is_right)):
        positions = [order[mask & (result.labels[order] == label)][:top_k] for label in (1, 0)]
        confident[name] = [
            {
                **describe_triplet(split.graph, split.triplets[position]),
                "label": int(result.labels[position]),
                "score": float(result.scores[position]),
                "probability": float(probabilities[position]),
            }
            for position in np.concatenate(positions)
        ]
    return confident


def find_worst_queries(
    scores_of: CandidateScorer,
    graph: KnowledgeGraph,
    triplets: np.ndarray,
    ranks: np.ndarray,
    top_k: int,
    progress: Any = None,
) -> list[dict[str, Any]]:
    """Finds the worst-ranked queries, and the candidates that outranked the true entity of each.

    These queries are scored again, over all candidates of the filtered setting. In bfloat16 the last bits of a score
    depend on the other triplets of its batch, so `outranked` and `rank` of a row may differ by a few.

    Args:
        scores_of: returns the scores of candidates for queries.
        graph: the graph that the ranking was made with.
        triplets: the ranked triplets, integers of shape (n, 3).
        ranks: their realistic ranks, of shape (2n,): the head side, then the tail side.
        top_k: the number of queries, and of candidates for each.
        progress: a tqdm bar, which is advanced by one for each scored triplet; None: no bar.

    Returns:
        One row for each query, the worst rank first: `head`, `relation` and `tail` (texts), `ids`, `slot` ("head" or
        "tail": the side that was ranked), `rank` (as given), `candidates` (their number), `score` (of the true entity),
        `outranked` (the number of candidates that score at least as high), and `outranked_by` (the best of them: rows
        of `id`, `text` and `score`).
    """
    queries = np.concatenate([triplets, triplets])
    slots = np.repeat([0, 2], len(triplets))
    by_rank = np.argsort(-np.asarray(ranks), kind="stable")
    distinct = np.unique(np.column_stack([queries, slots])[by_rank], axis=0, return_index=True)[1]
    rows = []
    for query in by_rank[np.sort(distinct)[:top_k]].tolist():
        slot, true_entity = int(slots[query]), int(queries[query, slots[query]])
        known = graph.known.values(slot, queries[query][None])[1]
        candidates = np.union1d(np.setdiff1d(graph.candidates[slot], known), true_entity)
        mask = np.ones((1, len(candidates)), dtype=bool)
        scores = scores_of(queries[query][None], slot, candidates, mask, progress)[0]
        true_score = scores[candidates == true_entity][0]
        above = np.flatnonzero((scores >= true_score) & (candidates != true_entity))
        best = above[np.argsort(-scores[above], kind="stable")][:top_k]
        rows.append(
            {
                **describe_triplet(graph, queries[query]),
                "slot": SLOT_NAMES[slot],
                "rank": float(ranks[query]),
                "candidates": len(candidates),
                "score": float(true_score),
                "outranked": len(above),
                "outranked_by": [
                    {
                        "id": graph.entities.ids[candidates[position]],
                        "text": graph.entities.texts[candidates[position]],
                        "score": float(scores[position]),
                    }
                    for position in best
                ],
            }
        )
    return rows


def describe_triplet(graph: KnowledgeGraph, triplet: np.ndarray) -> dict[str, Any]:
    """Returns the texts and ids of a triplet.

    Args:
        graph: the graph.
        triplet: integers of shape (3,).

    Returns:
        `head`, `relation` and `tail` (texts), and `ids` (a list of three ids).
    """
    head, relation, tail = triplet.tolist()
    entities, relations = graph.entities, graph.relations
    return {
        "head": entities.texts[head],
        "relation": relations.texts[relation],
        "tail": entities.texts[tail],
        "ids": [entities.ids[head], relations.ids[relation], entities.ids[tail]],
    }
