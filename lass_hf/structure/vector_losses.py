"""The loss of structural vectors: cross entropy of queries grouped with all their answers, and regularization."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class QueryGroups:
    """The distinct queries of facts in both directions, each with all its answers.

    Attributes:
        queries: Int64 of shape (n, 2): entity and directed relation, ascending.
        offsets: Int64 of shape (n + 1,): where the answers of each query start.
        answers: Int64 of shape (2 * facts,): the entities that answer, those of a query together.
    """

    queries: Tensor
    offsets: Tensor
    answers: Tensor

    @classmethod
    def from_triplets(cls, triplets: np.ndarray, num_relations: int) -> "QueryGroups":
        """Groups distinct triplets, int64 of shape (m, 3)."""
        heads, relations, tails = triplets.T
        entities, answers = np.concatenate([heads, tails]), np.concatenate([tails, heads])
        directed = np.concatenate([relations, relations + num_relations])
        order = np.lexsort((answers, directed, entities))
        queries, answers = np.stack([entities, directed], axis=1)[order], answers[order]
        starts = np.flatnonzero(np.append(True, (np.diff(queries, axis=0) != 0).any(axis=1))[: len(queries)])
        offsets = np.append(starts, len(queries))
        return cls(torch.from_numpy(queries[starts]), torch.from_numpy(offsets), torch.from_numpy(answers))

    def __len__(self) -> int:
        """Returns the number of queries."""
        return len(self.queries)

    def to(self, device: torch.device) -> "QueryGroups":
        """Returns the groups on a device."""
        return QueryGroups(self.queries.to(device), self.offsets.to(device), self.answers.to(device))

    def select(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns entities (q,), directed relations (q,), the query of each answer (m,) and the answers (m,)."""
        counts = self.offsets[positions + 1] - self.offsets[positions]
        rows = torch.repeat_interleave(counts)
        ends = counts.cumsum(0)
        places = torch.arange(len(rows), device=rows.device) + (self.offsets[positions] - ends + counts)[rows]
        entities, relations = self.queries[positions].T
        return entities, relations, rows, self.answers[places]


class _GroupedCrossEntropy(torch.autograd.Function):
    """See `grouped_cross_entropy`. The gradients are computed with the loss, so that no logits are kept."""

    @staticmethod
    def forward(ctx, queries, candidates, rows, answers, log_chances, dtype):
        low_queries, low_candidates = queries.to(dtype), candidates.to(dtype)
        logits = low_queries @ low_candidates.T
        if log_chances is not None:
            corrected = logits[rows, answers]
            logits -= log_chances.to(dtype)
            logits[rows, answers] = corrected
        counts = torch.bincount(rows, minlength=len(queries))[:, None].to(queries.dtype)
        # The gradient of a query's logits is `count` times the probabilities less 1 / count at its answers.
        slopes = torch.softmax(logits, dim=1)
        chosen = slopes[rows, answers].to(queries.dtype)
        slopes[rows, answers] = (chosen - 1 / counts[rows, 0]).to(dtype)
        ctx.gradients = (
            (slopes @ low_candidates).to(queries.dtype) * counts,
            (slopes.T @ (queries * counts).to(dtype)).to(queries.dtype),
        )
        return -chosen.clamp_min(torch.finfo(torch.float32).tiny).log().sum()

    @staticmethod
    def backward(ctx, gradient):
        of_queries, of_candidates = ctx.gradients
        return of_queries * gradient, of_candidates * gradient, None, None, None, None


def grouped_cross_entropy(
    queries: Tensor,
    candidates: Tensor,
    rows: Tensor,
    answers: Tensor,
    log_chances: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Returns the sum over all answers of the cross entropy between the answer and the candidates of its query.

    A query with n answers needs one row of logits: its loss is n times their logsumexp, less the sum of the answers'
    logits. Where candidates were sampled, each stands for 1 / chance entities (importance sampling), but the answers of
    a query, which are always there, stand for themselves alone in its row.

    Args:
        queries: Float32 of shape (q, k).
        candidates: Float32 of shape (c, k).
        rows: Int64 of shape (m,): the query of each answer.
        answers: Int64 of shape (m,): the candidates that answer; no pair of row and answer is there twice.
        log_chances: Float32 of shape (c,): the log of the chance with which each candidate was sampled; None for 1.
        dtype: The precision of matrix products and logits.

    Returns:
        Float32 of shape ().
    """
    return _GroupedCrossEntropy.apply(queries, candidates, rows, answers, log_chances, dtype)


def n3(moduli: Tensor, counts: Tensor) -> Tensor:
    """Returns a third of the cubed 3-norm of each row of moduli, summed with counts of the rows."""
    return (moduli.pow(3).sum(dim=1) * counts).sum() / 3


def dura(vectors: Tensor, counts: Tensor) -> Tensor:
    """Returns the squared length of each vector, summed with counts of the vectors."""
    return (vectors.square().sum(dim=1) * counts).sum()
