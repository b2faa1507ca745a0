"""`LassConfig`: the configuration of the wrapped encoder, and the choices that change scores and rankings."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .choices import ModelChoices, check
from .errors import LassError
from .old_names import refuse_old_names
from .score_functions import SCORE_FUNCTIONS

CALIBRATION = ("threshold", "slope", "intercept")


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
        self.check_ranking_weights()
        if self.calibration is not None and set(self.calibration) != set(CALIBRATION):
            raise LassError(f"calibration={self.calibration!r}; expected None, or {', '.join(CALIBRATION)}")

    def check_ranking_weights(self) -> None:
        """Raises LassError for a weight of neighbors that the score function cannot use."""
        if self.neighbor_weight and SCORE_FUNCTIONS[self.score_function].query is None:
            raise LassError(
                f"neighbor_weight={self.neighbor_weight} with score_function={self.score_function!r}, which makes no "
                "vector of a query that those of neighbors could be added to; leave it at 0"
            )

    @property
    def ranks_by_triplets(self) -> bool:
        """True if rankings depend on training triplets (neighbors or frequencies) besides the texts."""
        return any(self.ranking_weights.values())

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """Returns the encoder's configuration, where transformers looks for vocabulary and hidden sizes."""
        return self.encoder_config.get_text_config(decoder=decoder, encoder=encoder)  # type: ignore[union-attr]


LassConfig.register_for_auto_class()  # a saved model carries its code
if __package__ == "lass_hf.core":  # a copy of this code beside a saved model registers nothing
    AutoConfig.register("lass", LassConfig)
