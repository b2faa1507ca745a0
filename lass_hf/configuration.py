"""`LassConfig`: the wrapped encoder's own configuration, and the choices of Eq. 1 that change scores."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .errors import LassError
from .score_functions import DISTANCE_SCALES


@strict
class LassConfig(PreTrainedConfig):
    """Configuration of `LassForKGCompletion`.

    Args:
        encoder_config: configuration of the wrapped encoder; its hidden size is the k of Eq. 1.
        margin: b of Eq. 1 (the paper: 7).
        distance_scale: "sqrt_dim" (default; squared norm / sqrt(k)) or "none" (Eq. 1 as printed).
    """

    model_type = "lass"
    sub_configs_defaults = {"encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="bert")}

    encoder_config: dict | PreTrainedConfig | None = None
    margin: float | int = 7.0
    distance_scale: str = "sqrt_dim"

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.distance_scale not in DISTANCE_SCALES:
            raise LassError(f"distance_scale={self.distance_scale!r}; expected one of {', '.join(DISTANCE_SCALES)}")

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """The encoder's configuration, where transformers looks for vocabulary and hidden sizes."""
        return self.encoder_config.get_text_config(decoder=decoder, encoder=encoder)  # type: ignore[union-attr]
