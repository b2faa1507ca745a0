"""Eager attention for a while: its weights can be read, and short sequences train faster with it on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel


@contextmanager
def eager_attention(encoder: PreTrainedModel) -> Iterator[None]:
    """Switches an encoder to step by step ("eager") attention inside the `with` block, and back after it."""
    before = encoder.config._attn_implementation
    if before != "eager":
        encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        if encoder.config._attn_implementation != before:
            encoder.set_attn_implementation(before)
