"""The candidates of a bi-encoder's batch: gathers them from all processes and earlier batches, and masks false ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from ..core.known_triplets import KnownTriplets
from ..core.neighbor_names import NeighborNames
from .data_collators import QUERY_SLOTS


def gather_candidates(vectors: torch.Tensor, candidates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gathers the candidates of all processes, each entity once.

    Vectors of one entity from several processes are equal up to dropout; the first process's is taken.

    Args:
        vectors: Float32 of shape (m, k), the vectors of this process's candidates.
        candidates: Int64 of shape (m,), its candidates, ascending.

    Returns:
        The vectors of all candidates, (M, k), through which gradients flow back to every process, and the candidates,
        (M,).
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return vectors, candidates
    sizes = [torch.zeros(1, dtype=torch.int64, device=candidates.device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(candidates)], device=candidates.device))
    padding = int(max(sizes)) - len(candidates)  # collectives want equal shapes
    padded = torch.cat([candidates, candidates.new_full((padding,), -1)])
    gathered = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(gathered, padded)
    all_vectors: torch.Tensor = _AllGather.apply(torch.cat([vectors, vectors.new_zeros(padding, vectors.shape[1])]))
    all_candidates = torch.cat(gathered)
    distinct, first = np.unique(all_candidates.cpu().numpy(), return_index=True)
    kept = torch.from_numpy(first[distinct >= 0]).to(vectors.device)
    return all_vectors[kept], all_candidates[kept]


class _AllGather(torch.autograd.Function):
    """The rows of all processes, one process's after the other's; each row gets the gradients of all of them.

    torch's own function is deprecated, and what it names instead is private.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        ctx.start, ctx.count = dist.get_rank() * len(rows), len(rows)
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows)
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.count]


@dataclass(frozen=True)
class CandidateMasks:
    """What is known of q queries and their m candidates before they are compared.

    Attributes:
        targets: The position of each query's answer among the candidates, int64 (q,).
        false_negatives: Which candidates are not compared: other known answers to the query, bool (q, m).
        self_matches: Which candidate is the query's own entity, bool (q, m).
    """

    targets: torch.Tensor
    false_negatives: torch.Tensor
    self_matches: torch.Tensor

    def of(self, chosen: torch.Tensor) -> "CandidateMasks":
        """Returns what is known of the queries and some candidates, all answers among them.

        Args:
            chosen: Which candidates, bool (m,).
        """
        places = chosen.cumsum(0) - 1
        return CandidateMasks(places[self.targets], self.false_negatives[:, chosen], self.self_matches[:, chosen])


def candidate_masks(
    known: KnownTriplets, triplets: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compares the 2n queries of n positives with their candidates.

    Entities that read the same count as one: all three arguments hold the first entity of each text.

    Args:
        known: The true training triplets.
        triplets: The positives, int64 of shape (n, 3).
        candidates: The candidates, int64 of shape (m,), ascending.

    Returns:
        The position of each query's target, int64 (2n,); a mask of candidates that are other known answers to the
        query, and so false negatives, bool (2n, m); and a mask of the query's own entity, its self-match, bool (2n, m).
    """
    targets = np.concatenate([np.searchsorted(candidates, triplets[:, slot]) for slot in QUERY_SLOTS])
    query_entities = np.concatenate([triplets[:, 2 - slot] for slot in QUERY_SLOTS])
    false_negatives = np.zeros((len(targets), len(candidates)), dtype=bool)
    for number, slot in enumerate(QUERY_SLOTS):
        rows, values = known.values(slot, triplets)
        positions = np.minimum(np.searchsorted(candidates, values), len(candidates) - 1)
        present = candidates[positions] == values
        false_negatives[rows[present] + number * len(triplets), positions[present]] = True
    queries = np.arange(len(targets))
    false_negatives[queries, targets] = False
    self_matches = np.zeros_like(false_negatives)
    self_matches[queries, np.searchsorted(candidates, query_entities)] = True
    return targets, false_negatives, self_matches


def naming_mask(names: NeighborNames, triplets: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Finds the candidates whose text names the query's entity, or is named in the query.

    Args:
        names: The names of neighbors that texts are followed by.
        triplets: The positives, int64 of shape (n, 3).
        candidates: The candidates, int64 of shape (m,).

    Returns:
        Bool of shape (2n, m).
    """
    entities = np.concatenate([triplets[:, 2 - slot] for slot in QUERY_SLOTS])
    named = np.zeros((len(entities), len(candidates)), dtype=bool)
    for place in range(names.chosen.shape[1]):  # All places at once are an array as many times as large.
        named |= names.chosen[entities, place, None] == names.of_entities[candidates]
        named |= names.of_entities[entities, None] == names.chosen[candidates, place]
    return named


class NegativeQueue:
    """The newest vectors of the entities of earlier batches: each entity once, the oldest first.

    It is also known as a cross-batch memory (Wang et al., CVPR 2020), or as pre-batch negatives (SimKGC; Wang et al.,
    ACL 2022). The vectors are those of the encoder as it was then, and no gradient flows into them.

    Kept are deviations from the mean vector of a batch, to which the mean of the batch at hand is added. Otherwise what
    tells old vectors from new ones is where the mean has moved since then: a training learns to move it ever further,
    in place of telling entities apart.

    Attributes:
        deviations: Float32 of shape (n, k).
        entities: Int64 of shape (n,), the entities that they are of, all different.
    """

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self.entities)

    def clear(self) -> None:
        """Drops all vectors."""
        self.deviations, self.entities = torch.empty(0, 0), torch.empty(0, dtype=torch.int64)

    def extend(self, vectors: torch.Tensor, entities: torch.Tensor, size: int) -> None:
        """Adds the vectors of a batch, in place of older ones of the same entities.

        Args:
            vectors: Float32 of shape (m, k). They are detached.
            entities: Int64 of shape (m,), all different.
            size: How many vectors are kept, at least 1; the newest ones.
        """
        deviations = vectors.detach() - vectors.detach().mean(dim=0)
        if len(self):
            others = ~torch.isin(self.entities, entities)
            deviations = torch.cat([self.deviations[others], deviations])
            entities = torch.cat([self.entities[others], entities])
        self.deviations, self.entities = deviations[-size:].clone(), entities[-size:].clone()

    def candidates(
        self, vectors: torch.Tensor, entities: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the candidates of a batch and, of those entities that are not among them, the ones of the queue.

        Args:
            vectors: Float32 of shape (m, k), the candidates' vectors. They are detached.
            entities: Int64 of shape (m,), the candidates, all different.

        Returns:
            The vectors of all candidates, (M, k); the candidates, ascending, (M,); and which ones come from the queue,
            bool (M,).
        """
        vectors, queued = vectors.detach(), torch.zeros_like(entities, dtype=torch.bool)
        if len(self):
            others = ~torch.isin(self.entities, entities)
            vectors = torch.cat([vectors, self.deviations[others] + vectors.mean(dim=0)])
            entities = torch.cat([entities, self.entities[others]])
            queued = torch.cat([queued, torch.ones_like(entities[len(queued) :], dtype=torch.bool)])
        entities, order = entities.sort()
        return vectors[order], entities, queued[order]
