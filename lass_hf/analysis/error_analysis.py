"""What a model gets wrong, as plain rows of numbers and names: the paper's Tables 3 and 5, worst-ranked queries.

It computes from scores, decisions and ranks that others made; it writes and draws nothing.
"""

from typing import Any

import numpy as np

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES, Vocabulary
from ..evaluation.triplet_classification import ClassificationResult
from ..scoring.candidate_scores import CandidateScores


def errors_by_relation(
    relations: np.ndarray, labels: np.ndarray, predictions: np.ndarray, names: Vocabulary
) -> list[dict[str, Any]]:
    """One row per relation that occurs, the highest error rate first; integer arrays of shape (n,).

    A row holds `id`, `text`, `triplets`, `accuracy`, `errors`, of these `called_true` (false triplets) and
    `called_false` (true ones), `error_rate`: errors in percent of the relation's triplets (Table 5), and
    `share_of_errors`: errors in percent of all relations' errors, 0 when there are none.
    """
    size = len(names)
    called_true, called_false = (
        np.bincount(relations[(predictions == wrong) & (labels != wrong)], minlength=size) for wrong in (1, 0)
    )
    triplets, errors = np.bincount(relations, minlength=size), called_true + called_false
    rates = 100 * errors / np.maximum(1, triplets)
    total = max(1, int(errors.sum()))
    order = np.lexsort((-triplets, -rates))
    return [
        {
            "id": names.ids[relation],
            "text": names.texts[relation],
            "triplets": int(triplets[relation]),
            "accuracy": float(1 - errors[relation] / triplets[relation]),
            "errors": int(errors[relation]),
            "called_true": int(called_true[relation]),
            "called_false": int(called_false[relation]),
            "error_rate": float(rates[relation]),
            "share_of_errors": float(100 * errors[relation] / total),
        }
        for relation in order[triplets[order] > 0].tolist()
    ]


def confident_answers(
    split: GraphSplit, result: ClassificationResult, probabilities: np.ndarray, top_k: int
) -> dict[str, list[dict[str, Any]]]:
    """The decisions that the model was surest of, `right` and `wrong`, as rows in the form of Table 3.

    `probabilities`: of "true", float64 of shape (n,); confidence is the probability of what was decided. Of each gold
    label the `top_k` surest, true ones first. A row holds `head`, `relation`, `tail` (texts), `ids`, `label`, `score`
    and `probability`.
    """
    decided = np.where(result.predictions == 1, probabilities, 1 - probabilities)
    # Probabilities of very sure decisions are equal in float64; their distances from the threshold are not.
    order = np.lexsort((-np.abs(result.scores.astype(np.float64) - result.threshold), -decided))
    right = (result.predictions == result.labels)[order]
    found = {}
    for name, wanted in (("right", right), ("wrong", ~right)):
        rows = [order[wanted & (result.labels[order] == label)][:top_k] for label in (1, 0)]
        found[name] = [
            {
                **named(split.graph, split.triplets[row]),
                "label": int(result.labels[row]),
                "score": float(result.scores[row]),
                "probability": float(probabilities[row]),
            }
            for row in np.concatenate(rows)
        ]
    return found


def worst_queries(
    scores_of: CandidateScores,
    graph: KnowledgeGraph,
    triplets: np.ndarray,
    ranks: np.ndarray,
    top_k: int,
    progress: Any = None,
) -> list[dict[str, Any]]:
    """The `top_k` worst-ranked queries, each with the best `top_k` candidates that outranked the true answer.

    `triplets`: int of shape (n, 3); `ranks`: realistic ranks of shape (2n,), head side, then tail side. Each query is
    scored anew over all candidates of the filtered setting. A row holds `head`, `relation`, `tail` (texts), `ids`,
    `asked` ("head" or "tail"), `rank` (as given), `candidates` (their number), `score` of the true answer, `outranked`
    (how many candidates scored at least as high) and `outranked_by`: rows of `id`, `text`, `score`. In bfloat16 the
    last bits of scores depend on what is scored together, so `outranked` and `rank` may differ by a few.
    `progress`: a `tqdm` bar, to advance by one triplet each.
    """
    queries = np.concatenate([triplets, triplets])
    slots = np.repeat([0, 2], len(triplets))
    by_rank = np.argsort(-np.asarray(ranks), kind="stable")
    distinct = np.unique(np.column_stack([queries, slots])[by_rank], axis=0, return_index=True)[1]
    rows = []
    for query in by_rank[np.sort(distinct)[:top_k]].tolist():
        slot, own = int(slots[query]), int(queries[query, slots[query]])
        known = graph.known.values(slot, queries[query][None])[1]
        candidates = np.union1d(np.setdiff1d(graph.candidates[slot], known), own)
        wanted = np.ones((1, len(candidates)), dtype=bool)
        scores = scores_of(queries[query][None], slot, candidates, wanted, progress)[0]
        truth = scores[candidates == own][0]
        above = np.flatnonzero((scores >= truth) & (candidates != own))
        best = above[np.argsort(-scores[above], kind="stable")][:top_k]
        rows.append(
            {
                **named(graph, queries[query]),
                "asked": SLOT_NAMES[slot],
                "rank": float(ranks[query]),
                "candidates": len(candidates),
                "score": float(truth),
                "outranked": len(above),
                "outranked_by": [
                    {
                        "id": graph.entities.ids[candidates[place]],
                        "text": graph.entities.texts[candidates[place]],
                        "score": float(scores[place]),
                    }
                    for place in best
                ],
            }
        )
    return rows


def named(graph: KnowledgeGraph, triplet: np.ndarray) -> dict[str, Any]:
    """`head`, `relation`, `tail` (texts) and `ids` of a triplet, int of shape (3,)."""
    head, relation, tail = triplet.tolist()
    entities, relations = graph.entities, graph.relations
    return {
        "head": entities.texts[head],
        "relation": relations.texts[relation],
        "tail": entities.texts[tail],
        "ids": [entities.ids[head], relations.ids[relation], entities.ids[tail]],
    }
