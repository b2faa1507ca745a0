"""Attention of one layer over the tokens of one triplet, and between its segments (paper, section 3.5).

It runs one forward pass; it draws nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import LassError, first_line
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..utils.eager_attention import eager_attention

SEGMENTS = ("head", "relation", "tail", "special")  # the order of rows and columns in `between_segments`


@dataclass(frozen=True)
class TripletAttention:
    """Who attends to whom in one triplet's sequence of L tokens.

    `tokens`: L strings. `segments`: int64 of shape (L,), positions in SEGMENTS. `weights`: float32 of shape
    (heads, L, L); row i says how token i spreads its attention, and sums to 1. `layer` of `num_layers`, from 1.
    """

    tokens: list[str]
    segments: np.ndarray
    weights: np.ndarray
    layer: int
    num_layers: int

    def between_segments(self) -> np.ndarray:
        """The share of the attention of a segment (row) that goes to a segment (column), order SEGMENTS.

        The mean over heads and over the row segment's tokens; float64 of shape (4, 4), rows sum to 1.
        """
        member = (self.segments[:, None] == np.arange(len(SEGMENTS))).astype(np.float64)  # (L, 4)
        weights = self.weights.mean(axis=0, dtype=np.float64)
        return member.T @ weights @ member / member.sum(axis=0)[:, None]


def triplet_attention(
    model: LassForKGCompletion, processor: LassProcessor, texts: tuple[str, str, str], layer: int | None = None
) -> TripletAttention:
    """Attention weights of a layer (1 is the first; None: the last) for (head text, relation text, tail text).

    The encoder computes them with "eager" attention, and has its own again afterwards. Raises LassError for a layer
    that it does not have, and for an encoder that has no attention weights to show.
    """
    inputs = processor([texts]).to(model.device)
    segments = inputs.pop("segment_ids")[0].cpu().numpy()
    encoder, name = model.encoder, type(model.encoder).__name__
    was_training = model.training
    try:
        model.eval()
        with torch.no_grad(), eager_attention(encoder):  # the others never have the weights as a whole
            layers = encoder(**inputs, output_attentions=True, return_dict=True).get("attentions")
    except (ValueError, TypeError) as error:
        raise LassError(f"{name}: no attention weights can be had ({first_line(error)})") from error
    finally:
        model.train(was_training)
    length = len(segments)
    if not layers or any(weights is None or weights.shape[-2:] != (length, length) for weights in layers):
        raise LassError(f"{name}: this encoder gives no attention weights of every token for every token")
    number = len(layers) if layer is None else layer
    if not 1 <= number <= len(layers):
        raise LassError(f"layer {layer}; expected 1 to {len(layers)}, the layers of this {name}")
    return TripletAttention(
        tokens=_readable(processor, inputs["input_ids"][0].tolist()),
        segments=(segments - 1) % len(SEGMENTS),  # head, relation, tail are 1, 2, 3 there, and special tokens 0
        weights=layers[number - 1][0].float().cpu().numpy(),
        layer=number,
        num_layers=len(layers),
    )


def _readable(processor: LassProcessor, token_ids: list[int]) -> list[str]:
    """Tokens as a person reads them: without the markers of spaces, bytes decoded where they are whole characters."""
    raw = processor.tokenizer.convert_ids_to_tokens(token_ids)
    decoded = (processor.tokenizer.decode([token]).strip() for token in token_ids)
    return [token if not text or "\ufffd" in text else text for token, text in zip(raw, decoded, strict=True)]
