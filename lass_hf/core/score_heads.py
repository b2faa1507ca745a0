"""Score heads: how the encoder's outputs become scores, and the place where another one is added.

`segments` is LASS: means of the segments, which a score function compares. `kg-bert` and `star` are two published
methods that read the same texts. To add one, write a `ScoreHead` and register it:

    @register_score_head("dot")
    class DotHead(ScoreHead):
        architectures = ("bi-encoder",)

        def compare(self, queries, entities, factor):
            return factor * (queries * entities).sum(-1)

`LassConfig(score_head="dot", architecture="bi-encoder")` then uses it in training, scoring, ranking and prediction.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .choices import ARCHITECTURE_NAMES
from .errors import LassError
from .score_functions import SCORE_FUNCTIONS, compare_in_parts, squared_distances


class ScoreHead(nn.Module):
    """Turns the outputs of the encoder into scores. A subclass has `score`, `compare`, or both.

    Its weights are saved with the model. They begin alike in all trainings, so draw none at random: a checkpoint of
    another start is refused. In distributed training only `pool`, `score` and `row_vectors` may use them, because they
    are called in the forward pass.

    Args:
        config: The `LassConfig` of the model.

    Attributes:
        architectures: The architectures that it fits.
        unused: The choices of `LassConfig` that it does not use, which are refused with it.
        size: k, the encoder's hidden size.
    """

    architectures: ClassVar[tuple[str, ...]] = ARCHITECTURE_NAMES
    unused: ClassVar[tuple[str, ...]] = ("score_function", "margin", "distance_scale", "normalize")

    def __init__(self, config: Any):
        super().__init__()
        self.config, self.size = config, config.get_text_config().hidden_size

    def pool(self, hidden: Tensor, segment_ids: Tensor) -> Tensor:
        """Returns what the head needs of each sequence: here the output for its first token, [CLS].

        Args:
            hidden: The outputs of the encoder's last layer, of shape (rows, L, k).
            segment_ids: Int64 of shape (rows, L): 0 special token or padding, 1 head, 2 relation, 3 tail.

        Returns:
            Float32 of shape (rows, ...).
        """
        return hidden[:, 0].float()

    def score(self, pooled: Tensor, factor: Tensor) -> Tensor:
        """Returns the scores of a cross-encoder's sequences, each a triplet.

        Args:
            pooled: What `pool` returns.
            factor: The factor of the energy in Eq. 1, a scalar.

        Returns:
            Float32 of shape (rows,).
        """
        raise NotImplementedError

    def row_vectors(self, pooled: Tensor, is_query: Tensor) -> Tensor:
        """Returns one vector for each sequence of a bi-encoder, which is a query or an entity.

        Args:
            pooled: What `pool` returns.
            is_query: Bool of shape (rows,), the rows of queries.

        Returns:
            Float32 of shape (rows, d), d at least k. The first k numbers of an entity stand for it as a candidate.
        """
        return pooled

    def compare(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        """Returns a bi-encoder's scores of queries with one entity each.

        Args:
            queries: Row vectors of queries, float32 of shape (..., d).
            entities: Vectors of entities, float32 of shape (..., k), that broadcast with them.
            factor: The factor of the energy in Eq. 1, a scalar.

        Returns:
            Float32 of shape (...).
        """
        raise NotImplementedError

    def compare_all(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        """Returns a bi-encoder's scores of every query with every entity: float32 of shape (q, m).

        Args:
            queries: Row vectors of queries, float32 of shape (q, d).
            entities: Vectors of entities, float32 of shape (m, k).
            factor: The factor of the energy in Eq. 1, a scalar.
        """
        return compare_in_parts(lambda part, _: self.compare(part, entities, factor), queries, entities)


SCORE_HEADS: dict[str, type[ScoreHead]] = {}


def register_score_head(name: str) -> Callable[[type[ScoreHead]], type[ScoreHead]]:
    """Makes a head available to `LassConfig(score_head=name)`; use it as a decorator.

    Args:
        name: Name of the head.

    Returns:
        A decorator that registers the class and returns it unchanged.

    Raises:
        LassError: Another head has the name. (The same one may be registered again, as a notebook does.)
    """

    def register(head: type[ScoreHead]) -> type[ScoreHead]:
        before = SCORE_HEADS.get(name)
        if before is not None and (before.__module__, before.__qualname__) != (head.__module__, head.__qualname__):
            raise LassError(f"a score head {name!r} is registered already; choose another name")
        SCORE_HEADS[name] = head
        return head

    return register


@register_score_head("segments")
class SegmentsHead(ScoreHead):
    """LASS (Shen et al., COLING 2022): h, r and t are the means of their segments, and a score function compares them.

    Attributes:
        function: The score function.
        relation_parameters: The module with its weights, see `ScoreFunction.parameters`.
    """

    unused = ()

    def __init__(self, config: Any):
        super().__init__(config)
        self.function = SCORE_FUNCTIONS[config.score_function]
        self.relation_parameters = self.function.parameters(self.size)

    def pool(self, hidden: Tensor, segment_ids: Tensor) -> Tensor:
        mask = (segment_ids[:, None] == torch.arange(1, 4, device=hidden.device)[:, None]).float()  # (rows, 3, L)
        count = mask.sum(-1, keepdim=True)
        if self.config.architecture == "bi-encoder":
            count = count.clamp(min=1)  # a sequence is a query without a tail, or an entity alone
        return mask @ hidden.float() / count

    def score(self, pooled: Tensor, factor: Tensor) -> Tensor:
        head, relation, tail = pooled.unbind(1)
        energy = self.function.compute_energy(head, self.relation_parameters(relation), tail)
        return score_of_energy(energy, self.config.margin, factor)

    def row_vectors(self, pooled: Tensor, is_query: Tensor) -> Tensor:
        head, relation, tail = pooled.unbind(1)
        # Ones stand in for the relation that an entity does not have.
        relation = torch.where(is_query[:, None], relation, torch.ones_like(relation))
        parameters = self.relation_parameters(relation)
        return self.function.row_vectors(head, parameters, tail, is_query, self.config.normalize)

    def compare(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        return score_of_energy(self.function.compare(queries, entities), self.config.margin, factor)

    def compare_all(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        return score_of_energy(self.function.compare_all(queries, entities), self.config.margin, factor)


@register_score_head("kg-bert")
class KGBertHead(ScoreHead):
    """KG-BERT (Yao et al., 2019, Eq. 1): the output for [CLS], a linear layer, a logit.

    The paper has two classes, whose softmax is the sigmoid of the difference of their logits: the score here. It is 0
    for all triplets before the training.
    """

    architectures = ("cross-encoder",)

    def __init__(self, config: Any):
        super().__init__(config)
        self.classifier = nn.Parameter(torch.zeros(self.size))
        self.bias = nn.Parameter(torch.zeros(1))

    def score(self, pooled: Tensor, factor: Tensor) -> Tensor:
        return (pooled * self.classifier).sum(-1) + self.bias  # a row at a time, so equal rows have equal scores


@register_score_head("star")
class StarHead(ScoreHead):
    """StAR (Wang et al., WWW 2021): a classifier of [u; u * v; u - v; v], and the distance of u and v.

    u is the output for [CLS] of a query, v that of an answer. The classifier is one linear layer, as in the published
    code, whose logit is 0 before the training. The score is the sum of the logit and of LASS's Eq. 1 for ||u - v||^2,
    and one loss trains it. The paper has the distance without the square, and adds a loss for each of the two.
    """

    architectures = ("bi-encoder",)
    unused = ("score_function", "normalize")

    def __init__(self, config: Any):
        super().__init__(config)
        self.classifier = nn.Parameter(torch.zeros(4, self.size))
        self.bias = nn.Parameter(torch.zeros(1))

    def row_vectors(self, pooled: Tensor, is_query: Tensor) -> Tensor:
        """Returns (v, ...) of entities, and of queries u, g and c: the logit of u and any v is <g, v> + c."""
        first, product, difference, last = self.classifier
        constant = pooled @ (first + difference)[:, None] + self.bias
        return torch.cat([pooled, pooled * product + last - difference, constant], dim=-1)

    def compare(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        query, of_entity, constant = queries.split([self.size, self.size, 1], dim=-1)
        logit = (of_entity * entities).sum(-1) + constant.squeeze(-1)
        return logit + score_of_energy((query - entities).square().sum(-1), self.config.margin, factor)

    def compare_all(self, queries: Tensor, entities: Tensor, factor: Tensor) -> Tensor:
        query, of_entity, constant = queries.split([self.size, self.size, 1], dim=-1)
        logits = of_entity @ entities.T + constant
        return logits + score_of_energy(squared_distances(query, entities), self.config.margin, factor)


def distance_factor(distance_scale: str, dim: int) -> float:
    """Returns the factor of the energy in Eq. 1.

    Args:
        distance_scale: "none" for Eq. 1 as printed. "sqrt_dim" divides the energy by sqrt(k), as the published code
            does, so that an untrained encoder scores near the margin whatever its width.
        dim: k, the length of the vectors.

    Returns:
        1 or 1 / sqrt(k).
    """
    return dim**-0.5 if distance_scale == "sqrt_dim" else 1.0


def score_of_energy(energy: Tensor, margin: float, factor: Tensor | float) -> Tensor:
    """Returns b - 1/2 * factor * energy (Eq. 1); higher is more plausible.

    Args:
        energy: Float32 of any shape.
        margin: b.
        factor: Factor of the energy, see `distance_factor`.

    Returns:
        Float32 of the same shape.
    """
    return margin - 0.5 * factor * energy
