"""Trains structural vectors: cross entropy over all or sampled entities, with relation prediction and regularization.

The method is that of ComplEx-N3-RP: reciprocal relations and the nuclear 3-norm (Lacroix, Usunier and Obozinski 2018),
and relation prediction as an auxiliary loss (Chen et al. 2021), with Adagrad. Queries that share their entity and
relation are one row of logits, which makes an epoch several times shorter than one over triplets.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from ..core.errors import LassError, NonFiniteError
from ..utils.environment import multiplies_bfloat16
from .facts import Facts
from .structural_scores import STRUCTURAL_SCORES, StructuralScore
from .structural_vectors import StructuralVectors
from .vector_losses import QueryGroups, dura, grouped_cross_entropy, n3

REGULARIZERS = {"n3": 0.15, "dura": 0.05}  # and the weight that each has by default
INITIAL_SCALE = 1e-3
ALL_CANDIDATES = 5_000  # entities up to which a query is compared with all of them
# Called after each step with the share of the training that is done and the mean loss of the step's triplets.
OnProgress = Callable[[float, float], None]


@dataclass(frozen=True)
class VectorChoices:
    """How structural vectors are trained. `for_facts` chooses what is None, by the size of the graph.

    Attributes:
        score_function: One of `STRUCTURAL_SCORES`.
        dim: The number k of real numbers of a vector; even for complex vectors.
        num_epochs: How often each query is trained on.
        num_candidates: How many entities are sampled for a step, to which the step's own entities are added; 0 for all.
        regularizer: "n3", or "dura" (Zhang et al. 2020).
        regularization: Its weight.
        relation_weight: The weight of relation prediction.
        learning_rate: Of Adagrad at the start; it falls to 0 in a straight line.
        batch_size: Queries of a step.
        minutes: The most that training takes; the learning rate then falls with time, where time ends before the
            epochs do.
    """

    score_function: str = "complex"
    dim: int | None = None
    num_epochs: int | None = None
    num_candidates: int | None = None
    regularizer: str = "n3"
    regularization: float | None = None
    relation_weight: float | None = None
    learning_rate: float = 0.1
    batch_size: int | None = None
    minutes: float | None = None

    def __post_init__(self):
        if self.score_function not in STRUCTURAL_SCORES:
            names = ", ".join(STRUCTURAL_SCORES)
            raise LassError(f"score_function={self.score_function!r}; expected one of {names}")
        if self.regularizer not in REGULARIZERS:
            raise LassError(f"regularizer={self.regularizer!r}; expected one of {', '.join(REGULARIZERS)}")
        least = {"dim": 1, "num_epochs": 1, "num_candidates": 0, "batch_size": 1, "regularization": 0}
        for name, minimum in {**least, "relation_weight": 0}.items():
            value = getattr(self, name)
            if value is not None and not minimum <= value < float("inf"):
                raise LassError(f"{name}={value}; expected at least {minimum}")
        for name in ("learning_rate", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise LassError(f"{name}={value}; expected a number above 0")
        if self.dim and self.dim % 2 and STRUCTURAL_SCORES[self.score_function].is_complex:
            raise LassError(
                f"dim={self.dim}; expected an even number for {self.score_function}, whose vectors are complex"
            )

    def for_facts(self, facts: Facts) -> "VectorChoices":
        """Returns these choices with a value for each that is None, by the numbers of entities and triplets.

        Validation triplets chose the values: those of UMLS for small graphs, below 50,000 triplets, where relation
        prediction and strong regularization pay; those of FB15k-237 and WN18RR up to 2 million triplets and 200,000
        entities. Larger graphs get shorter vectors and fewer epochs, which bounds memory and time.
        """
        num_entities, num_triplets = len(_numbering(facts.triplets[:, ::2])[0]), len(facts.triplets)
        is_large = num_entities > 200_000 or num_triplets > 2_000_000
        is_small = num_triplets < 50_000
        chosen: dict[str, Any] = {
            "regularization": REGULARIZERS[self.regularizer] * (2 if is_small else 1),
            "dim": 128 if is_large else 400,
            "num_epochs": 5 if is_large else 30 if is_small else 20,
            "num_candidates": 0 if num_entities <= ALL_CANDIDATES else 2_000,
            "relation_weight": 4.0 if is_small else 0.0,
            "batch_size": min(500, max(10, num_triplets // 50)),
        }
        return replace(self, **{name: value for name, value in chosen.items() if getattr(self, name) is None})


def train_structural_vectors(
    facts: Facts,
    choices: VectorChoices | None = None,
    *,
    seed: int = 42,
    device: torch.device | str | None = None,
    on_progress: OnProgress | None = None,
) -> StructuralVectors:
    """Trains structural vectors on facts.

    Args:
        facts: The facts.
        choices: How to train. By default complex vectors, with choices for the size of the graph.
        seed: The seed of all that is drawn. Equal seeds and numbers of threads give equal vectors, unless time ends
            the training.
        device: The device; by default the accelerator, or the CPU without one.
        on_progress: Called after each step.

    Returns:
        Vectors of the entities and directed relations that occur in the facts, and 0 for the others.

    Raises:
        LassError: There are no facts.
        NonFiniteError: Training diverged.
    """
    if not len(facts.triplets):
        raise LassError("there are no training triplets; structural vectors need some")
    choices = (choices or VectorChoices()).for_facts(facts)
    device = torch.device(device or torch.accelerator.current_accelerator(check_available=True) or "cpu")
    # Vectors are trained of what occurs alone; a vocabulary can have many names more.
    used_entities, ends = _numbering(facts.triplets[:, ::2])
    used_relations, relations = _numbering(facts.triplets[:, 1])
    heads, tails = ends.T
    groups = QueryGroups.from_triplets(np.stack([heads, relations, tails], axis=1), len(used_relations))
    trainer = _Trainer(groups.to(device), len(used_entities), 2 * len(used_relations), choices, seed, device)
    trainer.train(on_progress)
    directed = np.append(used_relations, used_relations + facts.num_relations)
    entities = _scatter(trainer.entities, used_entities, facts.num_entities)
    vectors = _scatter(trainer.score.constrain(trainer.relations), directed, 2 * facts.num_relations)
    if not (np.isfinite(entities).all() and np.isfinite(vectors).all()):
        raise NonFiniteError(f"training of structural vectors diverged; lower learning_rate={choices.learning_rate}")
    has_vector = np.zeros(facts.num_entities, dtype=bool)
    has_vector[used_entities] = True
    return StructuralVectors(choices.score_function, entities, vectors, has_vector)


def _numbering(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct numbers, ascending, and the position of each number among them, without sorting."""
    occurs = np.zeros(numbers.max(initial=-1) + 1, dtype=bool)
    occurs[numbers] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]


def _scatter(rows: Tensor, places: np.ndarray, count: int) -> np.ndarray:
    """Returns float32 of shape (count, k) that has rows at some places, and 0 elsewhere."""
    matrix = np.zeros((count, rows.shape[1]), dtype=np.float32)
    matrix[places] = rows.cpu().numpy()
    return matrix


class _Trainer:
    """The parameters, their squared gradients, and the steps of one training."""

    def __init__(
        self,
        groups: QueryGroups,
        num_entities: int,
        num_relations: int,
        choices: VectorChoices,
        seed: int,
        device: torch.device,
    ):
        assert choices.dim is not None
        assert choices.batch_size is not None
        assert choices.num_candidates is not None
        self.groups, self.choices, self.device = groups, choices, device
        self.score: StructuralScore = STRUCTURAL_SCORES[choices.score_function]
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = torch.bfloat16 if multiplies_bfloat16(device.type) else torch.float32
        self.entities, self.relations = (
            torch.randn(count, choices.dim, generator=self.generator).mul_(INITIAL_SCALE).to(device)
            for count in (num_entities, num_relations)
        )
        self.squares = [torch.zeros_like(self.entities), torch.zeros_like(self.relations)]
        # How often an entity is a query's or an answer; each brings it into a step that has the query.
        occurrences = torch.bincount(torch.cat([groups.queries[:, 0], groups.answers]), minlength=num_entities)
        missed = occurrences * np.log1p(-min(choices.batch_size / len(groups), 1 - 1e-9))
        missed += choices.num_candidates * np.log1p(-1 / max(num_entities, 2))
        self.log_chances = torch.log(-torch.expm1(missed.double())).float()

    def train(self, on_progress: OnProgress | None) -> None:
        """Runs all epochs, or as many steps as there is time for."""
        num_epochs, batch_size, step, started = self.choices.num_epochs, self.choices.batch_size, 0, time.monotonic()
        assert num_epochs is not None
        assert batch_size is not None
        total = num_epochs * -(-len(self.groups) // batch_size)
        for _ in range(num_epochs):
            order = torch.randperm(len(self.groups), generator=self.generator).to(self.device)
            for positions in order.split(batch_size):
                done = step / total
                if self.choices.minutes is not None:
                    done = max(done, (time.monotonic() - started) / (60 * self.choices.minutes))
                if done >= 1:
                    return
                loss = self.step(positions, self.choices.learning_rate * (1 - done))
                step += 1
                if on_progress is not None:
                    on_progress(max(done, step / total), float(loss))

    def step(self, positions: Tensor, learning_rate: float) -> Tensor:
        """Trains on the queries at some positions; returns the mean loss of their triplets."""
        heads, relations, rows, answers = self.groups.select(positions)
        ids: Tensor | slice = slice(None)
        log_chances = None
        if self.choices.num_candidates:
            sampled = torch.randint(len(self.entities), (self.choices.num_candidates,), generator=self.generator)
            ids, places = torch.unique(torch.cat([heads, answers, sampled.to(self.device)]), return_inverse=True)
            heads, answers, _ = places.split([len(heads), len(answers), len(sampled)])
            log_chances = self.log_chances[ids]
        entities = self.entities[ids].detach().requires_grad_()
        free_relations = self.relations.detach().requires_grad_()
        loss = self.loss(entities, free_relations, heads, relations, rows, answers, log_chances)
        loss.backward()
        _update(self.entities, self.squares[0], ids, entities, learning_rate)
        _update(self.relations, self.squares[1], slice(None), free_relations, learning_rate)
        return loss.detach()

    def loss(
        self,
        entities: Tensor,
        free_relations: Tensor,
        heads: Tensor,
        relations: Tensor,
        rows: Tensor,
        answers: Tensor,
        log_chances: Tensor | None,
    ) -> Tensor:
        """Returns the mean loss of triplets, each given by a query (its row of heads and relations) and an answer."""
        score, choices = self.score, self.choices
        all_relations = score.constrain(free_relations)
        used, places = torch.unique(torch.cat([heads, answers]), return_inverse=True)
        used_entities = entities[used]
        heads, tails = places.split([len(heads), len(answers)])
        # Rows are chosen by `embedding` where some are chosen twice: threads add the gradients of `vectors[rows]` in an
        # order of chance, and equal seeds would give other vectors.
        head_vectors, relation_vectors = embedding(heads, used_entities), embedding(relations, all_relations)
        queries = score.combine(head_vectors, relation_vectors)
        loss = grouped_cross_entropy(queries, score.as_candidate(entities), rows, answers, log_chances, self.dtype)
        if choices.relation_weight:
            pairs = score.pair(embedding(rows, head_vectors), embedding(tails, used_entities))
            each = torch.arange(len(rows), device=rows.device)
            candidates = score.as_candidate(all_relations)
            relation_loss = grouped_cross_entropy(pairs, candidates, each, relations[rows], dtype=self.dtype)
            loss = loss + choices.relation_weight * relation_loss
        if choices.regularization:
            counts = torch.bincount(rows, minlength=len(heads))
            uses = torch.bincount(tails, minlength=len(used))
            if choices.regularizer == "n3":
                parts = [(head_vectors, counts), (relation_vectors, counts), (used_entities, uses)]
                sizes = sum(n3(score.moduli(vectors), number) for vectors, number in parts)
            else:
                parts = [(head_vectors, counts), (queries, counts), (used_entities, uses)]
                sizes = sum(dura(vectors, number) for vectors, number in parts)
            loss = loss + choices.regularization * sizes
        return loss / len(rows)


def _update(table: Tensor, squares: Tensor, ids: Tensor | slice, leaf: Tensor, learning_rate: float) -> None:
    """Changes rows of a table, of which a leaf holds copy and gradient, as Adagrad does."""
    gradient = leaf.grad
    assert gradient is not None
    sums = squares[ids].addcmul_(gradient, gradient)  # A slice is a view, and changes in place.
    rows = table[ids].addcdiv_(gradient, sums.sqrt().add_(1e-10), value=-learning_rate)
    if isinstance(ids, Tensor):
        squares[ids], table[ids] = sums, rows
