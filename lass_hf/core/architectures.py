"""The two architectures: which sequences a triplet becomes, and how vectors of sequences become scores.

A cross-encoder reads a triplet as one sequence, as the paper does. A bi-encoder reads queries and entities apart, so
that entities can be encoded once and kept in an index. What is particular to one of them stands in its class; how a
batch of either is made and what its loss is stands in `training/objectives.py`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .choices import ARCHITECTURE_NAMES
from .configuration_lass import usable_positions
from .errors import ModelError
from .score_heads import ScoreHead, SegmentsHead
from .token_store import HEAD, TokenStore

INVERSE = "inverse of {}"  # text of the inverse (reciprocal) relation, by which a bi-encoder asks for heads
SEQUENCE_INPUTS = ["input_ids", "attention_mask", "segment_ids"]


class CrossEncoder:
    """One forward pass over the texts of a triplet."""

    encodes_entities = False  # Whether entities have vectors of their own, which an index can keep.
    # Pairs of a query and a candidate that are scored together. The number is fixed, so that ranks do not depend on
    # the number of processes.
    candidates_per_chunk = 2**12
    input_names = SEQUENCE_INPUTS

    def relation_texts(self, texts: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Returns the texts that relations are read as, and names for them in error messages."""
        return list(texts), list(names)

    def inputs(self, store: TokenStore, triplets: np.ndarray) -> dict[str, Tensor]:
        """Returns the model inputs of int triplets of shape (n, 3): one sequence a triplet."""
        return store.assemble(triplets)

    def outputs(
        self, head: ScoreHead, pooled: Tensor, segment_ids: Tensor, pairs: Tensor | None, factor: Tensor
    ) -> dict[str, Tensor]:
        """Returns scores and embeddings of a forward pass, by the names of `LassOutput`.

        Args:
            head: The score head.
            pooled: What its `pool` returns of each sequence, float32 of shape (rows, ...).
            segment_ids: The segment of each token, int64 of shape (rows, L).
            pairs: None; a cross-encoder has none.
            factor: Factor of the energy in Eq. 1, a scalar.

        Returns:
            `scores` of shape (rows,) and, with means of segments, the three embeddings of shape (rows, k).

        Raises:
            ModelError: There are pairs.
        """
        if pairs is not None:
            raise ModelError("pairs of queries and entities were given to a cross-encoder; its processor gives none")
        return {"scores": head.score(pooled, factor), **_embeddings(head, *[pooled] * 3)}


class BiEncoder:
    """One forward pass over the query (head, relation), another over the entity that answers it.

    A triplet is two queries: (head, relation) for its tail, and (tail, inverse relation) for its head.
    """

    encodes_entities = True
    candidates_per_chunk = 2**22
    input_names = [*SEQUENCE_INPUTS, "pairs"]

    def relation_texts(self, texts: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Returns the texts of the relations and, behind them, of their inverses, and names for error messages."""
        inverses = [INVERSE.format(text) for text in texts]
        return [*texts, *inverses], [*names, *(f"the inverse of {name}" for name in names)]

    def inputs(self, store: TokenStore, triplets: np.ndarray) -> dict[str, Tensor]:
        """Returns the model inputs of int triplets of shape (n, 3): four sequences a triplet, and `pairs`.

        `pairs` is int64 of shape (n, 2, 2): for the tail, then for the head, the rows of query and entity.
        """
        both = [
            part for slot in (2, 0) for part in (store.queries(triplets, slot), store.candidates(triplets[:, slot]))
        ]
        pairs = np.arange(len(triplets))[:, None] + len(triplets) * np.arange(4)
        return {**store.assemble(np.concatenate(both)), "pairs": torch.from_numpy(pairs.reshape(-1, 2, 2))}

    def outputs(
        self, head: ScoreHead, pooled: Tensor, segment_ids: Tensor, pairs: Tensor | None, factor: Tensor
    ) -> dict[str, Tensor]:
        """Returns the vectors of all sequences and, for `pairs`, scores and embeddings of triplets.

        Args:
            head: The score head.
            pooled: What its `pool` returns of each sequence, float32 of shape (rows, ...).
            segment_ids: The segment of each token, int64 of shape (rows, L); only a query has a head.
            pairs: Int64 of shape (batch, directions, 2): the rows of query and entity. None: no scores.
            factor: Factor of the energy in Eq. 1, a scalar.

        Returns:
            `embeddings`, see `ScoreHead.row_vectors`. With pairs also `scores` of shape (batch,), the mean over the
            directions, and, with means of segments, the embeddings of the tail's query and of the tail.
        """
        vectors = head.row_vectors(pooled, (segment_ids == HEAD).any(dim=1))
        if pairs is None:
            return {"embeddings": vectors}
        scores = head.compare(vectors[pairs[..., 0]], vectors[pairs[..., 1]][..., : head.size], factor)
        query, entity = (pooled[rows] for rows in pairs[:, 0].unbind(-1))
        return {"embeddings": vectors, "scores": scores.mean(-1), **_embeddings(head, query, query, entity)}


def _embeddings(head: ScoreHead, *pooled: Tensor) -> dict[str, Tensor]:
    """Returns the embeddings of head, relation and tail, of the sequences of each, float32 of shape (batch, 3, k)."""
    if not isinstance(head, SegmentsHead):
        return {}
    parts = ("head", "relation", "tail")
    return {f"{part}_embeddings": one[:, slot] for slot, (part, one) in enumerate(zip(parts, pooled, strict=True))}


Architecture = CrossEncoder | BiEncoder
ARCHITECTURES: dict[str, Architecture] = dict(zip(ARCHITECTURE_NAMES, (CrossEncoder(), BiEncoder()), strict=True))


def check_fit(model: Any, template: Any, largest_token: int) -> None:
    """Checks that a model can read the sequences of a processor, or of a token store.

    Args:
        model: The model.
        template: The `SequenceTemplate` of the sequences.
        largest_token: The largest token id that can occur in them.

    Raises:
        ModelError: They were made for the other architecture, are longer than the encoder has positions for, or have
            tokens that the encoder has no embeddings for. Or the model is no LASS model.
    """
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "lass":
        raise ModelError(f"a {type(model).__name__} is no LASS model: make one with LassForKGCompletion.from_encoder")
    if config.architecture != template.architecture:
        raise ModelError(
            f"the model's architecture is {config.architecture!r}, the processor's {template.architecture!r}: "
            "make both with the same architecture="
        )
    positions = usable_positions(config)
    if positions is not None and template.max_length > positions:
        raise ModelError(
            f"the processor's max_length is {template.max_length}, but the encoder has {positions} positions: make the "
            f"processor with max_length={positions}, or change that in a saved processor_config.json"
        )
    embeddings = getattr(model.get_input_embeddings(), "num_embeddings", None)
    if embeddings is not None and largest_token >= embeddings:
        raise ModelError(
            f"the tokenizer has token ids up to {largest_token}, but the encoder has {embeddings} embeddings: use the "
            "encoder's own tokenizer or, if tokens were added to it, call "
            "model.resize_token_embeddings(len(processor.tokenizer))"
        )
