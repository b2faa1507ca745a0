"""Training with a bi-encoder: the answers of a batch are the candidates of each of its queries.

A positive gives two queries, (head, relation, ?) and (tail, inverse relation, ?). Candidates are all heads and tails of
the batch, each entity once, so a query's own entity is among them; under several processes those of all processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.processing_lass import LassProcessor
from ..scoring.length_buckets import batch_cost, batches_by_length

SLOTS = (2, 0)  # of the two queries of a positive: its tail is asked for, then its head


class InBatchCollator:
    """Collates n true triplets, items of a `GraphSplit`, into queries and answers.

    The batch holds int64 tensors, R sequences of up to L tokens, shorter ones first:

        {"input_ids": (R, L), "attention_mask": (R, L), "segment_ids": (R, L),
         "labels": (n,),            # ones: how many positives there are
         "triplets": (n, 3),        # the positives; of entities with the same text the first
         "query_rows": (2n,),       # sequences of the queries for the tails, then of those for the heads
         "answers": (m,),           # the entities of the batch, ascending
         "answer_rows": (m,),       # their sequences
         "length_buckets": [(rows, shortest length, longest length), ...]}

    Args:
        processor: gives the sequences; its architecture is "bi-encoder".
        graph: whose texts are used; the processor's own by default.
    """

    def __init__(self, processor: LassProcessor, graph: KnowledgeGraph | None = None):
        if processor.architecture != "bi-encoder":
            raise LassError(
                'InBatchCollator needs a processor with architecture="bi-encoder"; KGDataCollator is for "cross-encoder"'
            )
        self.store = processor.token_store(graph)
        self._batch_cost = batch_cost("cuda" if torch.accelerator.is_available() else "cpu")

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        triplets = np.array([(item["head"], item["relation"], item["tail"]) for item in features], dtype=np.int64)
        triplets = self.store.of_texts(triplets)
        answers = np.unique(triplets[:, [0, 2]])
        queries = np.concatenate([self.store.queries(triplets, slot) for slot in SLOTS])
        distinct, row_of_query = np.unique(queries, axis=0, return_inverse=True)
        rows = np.concatenate([distinct, self.store.answers(answers)])
        lengths = self.store.lengths(rows)
        parts = batches_by_length(lengths, self._batch_cost)
        order = np.concatenate(parts)
        place = np.argsort(order)  # of each row in the batch
        arrays = {
            "triplets": triplets,
            "query_rows": place[row_of_query.reshape(-1)],
            "answers": answers,
            "answer_rows": place[len(distinct) :],
        }
        return {
            **self.store.assemble(rows[order]),
            "labels": torch.ones(len(triplets), dtype=torch.int64),
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
            "length_buckets": [(len(part), int(lengths[part[0]]), int(lengths[part[-1]])) for part in parts],
        }


def gather_answers(vectors: torch.Tensor, answers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The answers of all processes, each entity once: vectors, (M, k), through which gradients flow back, and (M,).

    Vectors of one entity from several processes are equal up to dropout; the first process's is taken.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return vectors, answers
    sizes = [torch.zeros(1, dtype=torch.int64, device=answers.device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(answers)], device=answers.device))
    largest = int(max(sizes))
    padding = largest - len(answers)  # collectives want equal shapes
    entities = torch.cat([answers, answers.new_full((padding,), -1)])
    everyone = [torch.empty_like(entities) for _ in sizes]
    dist.all_gather(everyone, entities)
    every_vector: torch.Tensor = _AllGather.apply(torch.cat([vectors, vectors.new_zeros(padding, vectors.shape[1])]))
    every_answer = torch.cat(everyone)
    found, first = np.unique(every_answer.cpu().numpy(), return_index=True)
    kept = torch.from_numpy(first[found >= 0]).to(vectors.device)
    return every_vector[kept], every_answer[kept]


class _AllGather(torch.autograd.Function):
    """The rows of all processes, one process's after the other's; each row gets the gradients of all of them.

    torch's own is deprecated, and what it names instead is private.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        ctx.start, ctx.count = dist.get_rank() * len(rows), len(rows)
        everyone = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, rows)
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.count]


def candidates_of(
    known: KnownTriplets, triplets: np.ndarray, answers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the candidates are to the 2n queries of positives, shape (n, 3), when `answers` ascend, shape (m,).

    All three are of texts: entities that read the same are one.
    Returns the position of each query's own answer, int64 (2n,); which candidates are other known answers, and so none
    to tell apart, bool (2n, m); and which are the query's own entity, bool (2n, m).
    """
    targets = np.concatenate([np.searchsorted(answers, triplets[:, slot]) for slot in SLOTS])
    asking = np.concatenate([triplets[:, 2 - slot] for slot in SLOTS])
    masked = np.zeros((len(targets), len(answers)), dtype=bool)
    for number, slot in enumerate(SLOTS):
        rows, values = known.values(slot, triplets)
        places = np.minimum(np.searchsorted(answers, values), len(answers) - 1)
        here = answers[places] == values
        masked[rows[here] + number * len(triplets), places[here]] = True
    queries = np.arange(len(targets))
    masked[queries, targets] = False
    own = np.zeros_like(masked)
    own[queries, np.searchsorted(answers, asking)] = True
    return targets, masked, own
