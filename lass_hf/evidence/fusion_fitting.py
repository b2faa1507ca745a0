"""Fits the weights of a fusion by likelihood: the answer of each query against all candidates, of which it samples."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import minimize

from .fusion import Fusion, num_groups

BEST_OF_FEATURE = 48  # candidates of a query that are kept for being the best by a feature
OTHERS = 128  # candidates that are drawn of the rest
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the prior, of which held-out likelihood chooses
BASE_STRENGTH = 1e-2  # of the prior on the weights of all queries
MAX_ITERATIONS = 200
TOLERANCE = 1e-6  # A fit ends when the loss falls by a smaller share: MRR then differs in the fourth digit.


@dataclass(frozen=True)
class FittingSample:
    """Features of the answers of queries and of some other candidates.

    Attributes:
        features: The names of the F features.
        kinds: The kind of each feature.
        values: Float32 of shape (q, n, F). The first of the n candidates is the answer.
        corrections: Float32 of shape (q, n): the log of the number of candidates that one stands for; -inf for none.
        groups: The groups of the queries, int64 of shape (q, levels).
        num_relations: The number of relations of the graph.
        again: For each of the last m queries the one that it repeats, int64 of shape (m,). They count in the fit alone.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]
    values: np.ndarray
    corrections: np.ndarray
    groups: np.ndarray
    num_relations: int
    again: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def num_queries(self) -> int:
        """The number of queries, those that come again left out."""
        return len(self.values) - len(self.again)


def choose_candidates(
    features: np.ndarray, is_free: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the candidates of queries that a fit looks at: the answer, the best by each feature, and some others.

    Args:
        features: Float32 of shape (F, q, c).
        is_free: Bool of shape (q, c): candidates that compete with the answer, the answer not among them.
        targets: The positions of the answers, int of shape (q,).
        rng: Random numbers.

    Returns:
        Positions of candidates, int64 of shape (q, n), the answer first; and their corrections, float32 of shape (q,
        n), see `FittingSample`.
    """
    num_queries, num_candidates = is_free.shape
    rows = np.arange(num_queries)[:, None]
    is_best = np.zeros_like(is_free)
    count = min(BEST_OF_FEATURE, num_candidates)
    for values in features:
        # numpy's argpartition takes ten times as long where many values are equal.
        best = torch.from_numpy(np.where(is_free, values, -np.inf)).topk(count, sorted=False).indices
        is_best[rows, best.numpy()] = True
    is_best &= is_free
    # A random number orders the rest; the best come before all of them, and what does not compete after all.
    order = rng.random(is_free.shape, dtype=np.float32)
    order[is_best] = -1
    order[~is_free] = 2
    num_free, num_best = is_free.sum(axis=1), is_best.sum(axis=1)
    num_others = np.minimum(num_free - num_best, OTHERS)
    size = int((num_best + num_others).max(initial=0))
    chosen = torch.from_numpy(order).topk(size, largest=False).indices.numpy()
    position = np.arange(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        stands_for = np.log((num_free - num_best) / num_others).astype(np.float32)[:, None]
    corrections = np.where(position < num_best[:, None], np.float32(0), stands_for)
    corrections = np.where(position < (num_best + num_others)[:, None], corrections, -np.inf)
    first = np.zeros((num_queries, 1), dtype=np.float32)
    return np.concatenate([targets[:, None], chosen], axis=1), np.concatenate([first, corrections], axis=1)


def fit_fusions(sample: FittingSample, subsets: Sequence[Collection[str]], seed: int = 42) -> list[Fusion]:
    """Fits a fusion for each of several subsets of the kinds of evidence.

    The strength of the prior is chosen once, for the largest subset.

    Args:
        sample: The queries.
        subsets: For each fusion the kinds that count.
        seed: Seed of the halves of the queries that choose the strength of the prior.

    Returns:
        The fusions.
    """
    is_first_half = np.random.default_rng(seed).permutation(sample.num_queries) % 2 == 0
    is_first_half = np.concatenate([is_first_half, is_first_half[sample.again]])
    largest = max(range(len(subsets)), key=lambda number: len(subsets[number]))
    chosen = _fit_subset(sample, subsets[largest], is_first_half, STRENGTHS)
    return [
        chosen if number == largest else _fit_subset(sample, kinds, is_first_half, (chosen.strength,))
        for number, kinds in enumerate(subsets)
    ]


def _fit_subset(
    sample: FittingSample, kinds: Collection[str], is_first_half: np.ndarray, strengths: Sequence[float]
) -> Fusion:
    """Fits the weights of some kinds; of `strengths`, ascending, held-out likelihood chooses one."""
    columns = [column for column, kind in enumerate(sample.kinds) if kind in kinds]
    values = np.ascontiguousarray(sample.values[:, :, columns])
    # Weights are fitted to features of the same spread, so that one prior fits all.
    present = np.isfinite(sample.corrections)
    spreads = np.array([values[:, :, column][present].std() for column in range(len(columns))])
    values /= np.where(spreads > 0, spreads, 1).astype(np.float32)
    likelihood = Likelihood(values, sample.corrections, sample.groups)
    prior = np.ones(num_groups(sample.num_relations))
    prior[0] = 0
    strength, start = strengths[-1], np.zeros((len(prior), len(columns)))
    held_out_mrr = None
    if is_first_half.any() and not is_first_half.all():
        parts = [(likelihood.of(half), likelihood.of(~half)) for half in (is_first_half, ~is_first_half)]
        fitted = [start for _ in parts]
        least = np.inf
        for tried in reversed(strengths):
            fitted = [one.fit(tried * prior, before) for (one, _), before in zip(parts, fitted, strict=True)]
            loss = sum(other(weights)[0] for (_, other), weights in zip(parts, fitted, strict=True))
            if loss > least:
                break
            least, strength, start = loss, tried, (fitted[0] + fitted[1]) / 2
            ranks = [other.ranks(weights) for (_, other), weights in zip(parts, fitted, strict=True)]
            is_given = np.arange(len(values)) < sample.num_queries
            is_given = np.concatenate([is_given[~is_first_half], is_given[is_first_half]])
            held_out_mrr = float((1 / np.concatenate(ranks)[is_given]).mean())
    weights = likelihood.fit(strength * prior, start)
    weights = weights / np.where(spreads > 0, spreads, 1)
    features, own_kinds = (tuple(given[column] for column in columns) for given in (sample.features, sample.kinds))
    weights = weights.astype(np.float32)
    shares = _shares(weights, sample, columns, own_kinds)
    return Fusion(features, own_kinds, weights, strength, sample.num_queries, held_out_mrr, shares)


def _shares(weights: np.ndarray, sample: FittingSample, columns: list[int], kinds: Sequence[str]) -> dict[str, float]:
    """Returns the share of each kind in the variance of scores within queries: its covariance with the score."""
    given = slice(sample.num_queries)
    present = np.isfinite(sample.corrections[given])
    parts = sample.values[given, :, columns] * weights[sample.groups[given]].sum(axis=1)[:, None]
    rows, _ = np.nonzero(present)
    parts = parts[present].astype(np.float64)
    counts = np.bincount(rows, minlength=len(present))
    parts -= (np.stack([np.bincount(rows, part, len(present)) for part in parts.T], 1) / counts[:, None])[rows]
    covariances = parts.T @ parts.sum(axis=1)
    total = covariances.sum() or 1.0
    own = {kind: [part for part, its in zip(covariances, kinds, strict=True) if its == kind] for kind in kinds}
    return {kind: float(sum(parts) / total) for kind, parts in own.items()}


@dataclass(frozen=True)
class Likelihood:
    """The negative log-likelihood of the answers of queries, as a function of the weights of groups.

    Attributes:
        values: As in `FittingSample`.
        corrections: As in `FittingSample`.
        groups: As in `FittingSample`.
    """

    values: np.ndarray
    corrections: np.ndarray
    groups: np.ndarray

    def of(self, chosen: np.ndarray) -> "Likelihood":
        """Returns the likelihood of chosen queries, bool of shape (q,)."""
        return Likelihood(self.values[chosen], self.corrections[chosen], self.groups[chosen])

    def __call__(self, weights_of_groups: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the sum of the negative log-likelihoods, and its gradient.

        Args:
            weights_of_groups: Float64 of shape (G, F).

        Returns:
            The sum, and float64 of shape (G, F).
        """
        weights = torch.from_numpy(weights_of_groups[self.groups].sum(axis=1).astype(np.float32))
        values = torch.from_numpy(self.values)
        scores = torch.bmm(values, weights[:, :, None]).squeeze(2).double() + torch.from_numpy(self.corrections)
        log_sums = torch.logsumexp(scores, 1)
        loss = float((log_sums - scores[:, 0]).sum())
        slopes = torch.exp(scores - log_sums[:, None]).float()
        slopes[:, 0] -= 1
        by_query = torch.bmm(slopes[:, None], values).squeeze(1).double().numpy()
        gradient = np.zeros_like(weights_of_groups)
        for level in self.groups.T:
            np.add.at(gradient, level, by_query)
        return loss, gradient

    def ranks(self, weights_of_groups: np.ndarray) -> np.ndarray:
        """Returns the realistic rank of each answer, float64 of shape (q,), in which a candidate counts as those that
        it stands for.

        Args:
            weights_of_groups: Float64 of shape (G, F).
        """
        weights = weights_of_groups[self.groups].sum(axis=1).astype(np.float32)
        scores = np.einsum("qnf,qf->qn", self.values, weights)
        answers, others = scores[:, :1], scores[:, 1:]
        ahead = (others > answers) + (others == answers) / 2
        return 1 + (np.exp(self.corrections[:, 1:]) * ahead).sum(axis=1)

    def fit(self, prior: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Returns the weights of groups with the least loss.

        Args:
            prior: The strength of the L2 prior on the weights of each group, float64 of shape (G,).
            start: Weights to begin with, float64 of shape (G, F).

        Returns:
            Float64 of shape (G, F).
        """
        strengths = np.maximum(prior, BASE_STRENGTH)[:, None]

        def penalized(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(start.shape)
            loss, gradient = self(weights)
            loss += float((strengths * weights**2).sum()) / 2
            return loss, (gradient + strengths * weights).reshape(-1)

        options = {"maxiter": MAX_ITERATIONS, "maxcor": 20, "ftol": TOLERANCE}
        found = minimize(penalized, start.reshape(-1), jac=True, method="L-BFGS-B", options=options)
        return found.x.reshape(start.shape)
