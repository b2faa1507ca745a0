"""`LassConfig`: the configuration of the wrapped encoder, and the choices that change scores and rankings.

The functions load and read the configuration of an encoder.
"""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .choices import ModelChoices, check, refuse_old_names
from .encoders import PLACES
from .errors import LassError, ModelError
from .score_functions import SCORE_FUNCTIONS
from .score_heads import SCORE_HEADS

CALIBRATION = ("threshold", "slope", "intercept")
# What a saved configuration does not decide: these can name code of the hub, which would be fetched and run.
CHOSEN_BY_LOADER = ("attn_implementation", "experts_implementation")
# The kinds, besides all that are called roberta, which count positions from behind the padding token's id.
COUNT_FROM_PADDING = (
    *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    "xmod",
)


@strict
class LassConfig(PreTrainedConfig, ModelChoices):
    """Configuration of `LassForKGCompletion`.

    Its other arguments are the choices of `ModelChoices`: `architecture`, `margin`, `distance_scale` and so on.

    Args:
        encoder_config: configuration of the wrapped encoder; its hidden size is the k of Eq. 1.
        calibration: `threshold`, `slope` and `intercept`, by which a score becomes a label and a probability; None
            until `fit_calibration` fits them. They change no score.
        saved_files: digests of the files that the model was saved with, while it is loaded.

    Raises:
        LassError: a choice has a value that is not allowed, or a name that it had in an earlier version.
    """

    model_type = "lass"
    sub_configs_defaults = {"encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="bert")}

    encoder_config: dict | PreTrainedConfig | None = None
    calibration: dict[str, float] | None = None
    saved_files: dict[str, str | None] | None = None

    def __post_init__(self, **kwargs):
        refuse_old_names(
            kwargs, remedy="in a saved config.json edit these keys, and the model loads: its weights are the same"
        )
        super().__post_init__(**kwargs)
        if self.score_function not in SCORE_FUNCTIONS:
            raise LassError(
                f"score_function={self.score_function!r}; expected one of {', '.join(SCORE_FUNCTIONS)}, or one of your "
                f"own that is registered first: @register_score_function({self.score_function!r})"
            )
        check(self)
        self._check_head()
        self.check_ranking_weights()
        fitted = self.calibration
        if fitted is not None and (set(fitted) != set(CALIBRATION) or not all(map(math.isfinite, fitted.values()))):
            raise LassError(f"calibration={fitted!r}; expected None, or {', '.join(CALIBRATION)}, finite numbers")

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """Makes a configuration from a saved one, without what is chosen by whoever loads a model."""
        chosen = (*CHOSEN_BY_LOADER, "transformers_weights")  # the latter can name a file that is unpickled
        saved = {name: value for name, value in config_dict.items() if name.lstrip("_") not in chosen}
        configs = [config for config in (saved, saved.get("encoder_config")) if isinstance(config, dict)]
        if any(config.get("output_attentions") for config in configs):
            kwargs.setdefault("attn_implementation", "eager")  # no other one gives attentions
        return super().from_dict(saved, **kwargs)

    def check_ranking_weights(self) -> None:
        """Raises LassError for a weight of neighbors that the score function, or the head, cannot use."""
        if self.neighbor_weight and not self.has_query_vector:
            raise LassError(
                f"neighbor_weight={self.neighbor_weight} with {self.compared_by}, which makes no vector of a query "
                "that those of neighbors could be added to; leave it at 0"
            )

    def _check_head(self) -> None:
        """Raises LassError for a head that does not exist, or does not use the architecture or another choice."""
        if self.score_head not in SCORE_HEADS:
            raise LassError(
                f"score_head={self.score_head!r}; expected one of {', '.join(SCORE_HEADS)}, or one of your own that is "
                f"registered first: @register_score_head({self.score_head!r})"
            )
        head = SCORE_HEADS[self.score_head]
        if self.architecture not in head.architectures:
            raise LassError(
                f"score_head={self.score_head!r} with architecture={self.architecture!r}; expected "
                f'architecture="{head.architectures[0]}"'
            )
        for name in head.unused:
            if (value := getattr(self, name)) != ModelChoices.__dataclass_fields__[name].default:
                raise LassError(f"{name}={value!r} with score_head={self.score_head!r} changes nothing; leave it out")

    @property
    def has_query_vector(self) -> bool:
        """True if a bi-encoder's score of a query and an answer is Eq. 1 for the distance of two vectors."""
        return self.score_head == "segments" and SCORE_FUNCTIONS[self.score_function].has_query_vector

    @property
    def compared_by(self) -> str:
        """What compares vectors, for messages: the score function, or another head."""
        name = "score_function" if self.score_head == "segments" else "score_head"
        return f"{name}={getattr(self, name)!r}"

    @property
    def ranks_by_triplets(self) -> bool:
        """True if rankings depend on training triplets (neighbors or frequencies) besides the texts."""
        return any(self.ranking_weights.values())

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """Returns the encoder's configuration, where transformers looks for vocabulary and hidden sizes."""
        return self.encoder_config.get_text_config(decoder=decoder, encoder=encoder)  # type: ignore[union-attr]


def load_encoder_config(source: str, kwargs: dict[str, Any]) -> tuple[PreTrainedConfig, dict[str, Any]]:
    """Loads the configuration of an encoder.

    Args:
        source: The encoder's name on the hub, or its folder.
        kwargs: Arguments of `AutoModel.from_pretrained`.

    Returns:
        The configuration, and those of the arguments that are still needed to load the model.
    """
    config, rest = AutoConfig.from_pretrained(source, return_unused_kwargs=True, **kwargs)
    eager = "eager" if config.output_attentions else None  # no other one gives attentions
    config._attn_implementation = kwargs.get("attn_implementation", eager)
    config._experts_implementation = kwargs.get("experts_implementation")
    return config, rest | {name: kwargs[name] for name in (*PLACES, "trust_remote_code") if name in kwargs}


def with_dropout(config: PreTrainedConfig, dropout: float) -> PreTrainedConfig:
    """Sets every dropout probability of a configuration, by whatever names it has them.

    Args:
        config: The configuration of an encoder, or a `LassConfig`.
        dropout: The probability.

    Returns:
        The same configuration.

    Raises:
        ModelError: The probability is out of range, or would change nothing.
    """
    if not 0 <= dropout < 1:
        raise ModelError(f"dropout={dropout}; expected 0 or more, and less than 1")
    encoder = config.encoder_config if isinstance(config, LassConfig) else config
    assert isinstance(encoder, PreTrainedConfig)
    values = {name: value for name, value in encoder.to_dict().items() if "dropout" in name or name.endswith("pdrop")}
    names = [name for name, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if dropout and not names:
        raise ModelError(f"dropout={dropout}, but a {encoder.model_type} encoder has no dropout to set; leave it out")
    for name in names:
        setattr(encoder, name, float(dropout))
    return config


def usable_positions(config: PreTrainedConfig) -> int | None:
    """Returns the length of the longest sequence that an encoder has positions for.

    Args:
        config: The encoder's configuration.

    Returns:
        The number of tokens, or None where the configuration has no limit.
    """
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None) or 0
    if "roberta" in text.model_type or text.model_type in COUNT_FROM_PADDING:
        positions -= (text.pad_token_id or 0) + 1
    return positions if positions > 0 else None  # XLNet, which has no limit, says -1


LassConfig.register_for_auto_class()  # a saved model carries its code
if __package__ == "lass_hf.core":  # a copy of this code beside a saved model registers nothing
    AutoConfig.register("lass", LassConfig)
