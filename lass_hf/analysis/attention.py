"""Computes the attention of one layer between the tokens of a triplet, and between its segments (paper, section 3.5).

`plots.py` and `html_pages.py` draw it.
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
    """The attention weights of one layer for the sequence of one triplet, with L tokens.

    Attributes:
        tokens: L strings, as people read them.
        segments: int64 of shape (L,), the positions of the tokens' segments in SEGMENTS.
        weights: float32 of shape (heads, L, L); `weights[:, i, j]` is the attention that token i pays to token j, so
            that each row sums to 1.
        layer: the number of the layer; 1 is the first.
        num_layers: the number of layers of the encoder.
    """

    tokens: list[str]
    segments: np.ndarray
    weights: np.ndarray
    layer: int
    num_layers: int

    def between_segments(self) -> np.ndarray:
        """Returns how each segment spreads its attention over the segments.

        Returns:
            float64 of shape (4, 4), in the order of SEGMENTS: the share of the row segment's attention that goes to the
            column segment, as the mean over the heads and over the row segment's tokens. Each row sums to 1.
        """
        member = (self.segments[:, None] == np.arange(len(SEGMENTS))).astype(np.float64)  # (L, 4)
        weights = self.weights.mean(axis=0, dtype=np.float64)
        return member.T @ weights @ member / member.sum(axis=0)[:, None]


def compute_attention(
    model: LassForKGCompletion, processor: LassProcessor, texts: tuple[str, str, str], layer: int | None = None
) -> TripletAttention:
    """Computes the attention weights of one layer for one triplet.

    The encoder computes them with "eager" attention, and its own implementation is restored afterwards.

    Args:
        model: a cross-encoder.
        processor: its processor.
        texts: the texts of head, relation and tail.
        layer: the number of the layer; 1 is the first, None the last.

    Returns:
        The attention of that layer.

    Raises:
        LassError: the encoder has no such layer, or returns no attention weights; or the processor does not fit the
            model.
    """
    processor.check_fit(model)
    inputs = processor([texts]).to(model.device)
    segments = inputs.pop("segment_ids")[0].cpu().numpy()
    encoder, name = model.encoder, type(model.encoder).__name__
    was_training = model.training
    try:
        model.eval()
        with torch.no_grad(), eager_attention(encoder):  # The other implementations never hold all weights.
            layers = encoder(**inputs, output_attentions=True, return_dict=True).get("attentions")
    except (ValueError, TypeError) as error:
        raise LassError(f"{name}: no attention weights can be computed ({first_line(error)})") from error
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
        segments=(segments - 1) % len(SEGMENTS),  # The processor numbers head, relation, tail 1, 2, 3.
        weights=layers[number - 1][0].float().cpu().numpy(),
        layer=number,
        num_layers=len(layers),
    )


def _readable(processor: LassProcessor, token_ids: list[int]) -> list[str]:
    """Returns the tokens without markers of spaces, and with bytes decoded if they are complete characters."""
    raw = processor.tokenizer.convert_ids_to_tokens(token_ids)
    decoded = (processor.tokenizer.decode([token]).strip() for token in token_ids)
    return [token if not text or "\ufffd" in text else text for token, text in zip(raw, decoded, strict=True)]
