"""`LassConfig`: the wrapped encoder's own configuration, and the choices of Eq. 1 that change scores."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .architectures import ARCHITECTURES
from .errors import LassError
from .score_functions import DISTANCE_SCALES, SCORE_FUNCTIONS

CALIBRATION = ("threshold", "slope", "intercept")
RANKING_CHOICES = ("neighbor_weight", "frequency_weight")  # they train nothing, so any model can have others
# What scores and rankings depend on, beside the weights.
SCORE_CHOICES = (
    *(
        "architecture",
        "margin",
        "distance_scale",
        "score_function",
        "normalize",
        "scale",
        "learn_scale",
        "self_match_weight",
    ),
    *RANKING_CHOICES,
)


@strict
class LassConfig(PreTrainedConfig):
    """Configuration of `LassForKGCompletion`.

    Args:
        encoder_config: configuration of the wrapped encoder; its hidden size is the k of Eq. 1.
        margin: b of Eq. 1 (the paper: 7).
        distance_scale: "sqrt_dim" (default; squared norm / sqrt(k)) or "none" (Eq. 1 as printed).
        architecture: "cross-encoder" (default; one forward pass over the whole triplet) or "bi-encoder": the query `h [S] r` gives
            u = h + r, the answer `t` gives t, so that entities can be encoded once and indexed.
        normalize: with a bi-encoder, bring u and t to unit length: Eq. 1 is then b - scale * (1 - cos(u, t)).
        scale: what the squared distance of unit vectors is multiplied by (1 / the temperature of Eq. 3); where it
            begins when it is learned.
        learn_scale: learn it.
        self_match_weight: how much a query's own entity counts as an answer with a bi-encoder, above 0: log(self_match_weight)
            is added to the score of a triplet whose head and tail read the same, in training and in scoring. Its text
            makes it the nearest entity, and it is hardly ever the answer.
        neighbor_weight: with a bi-encoder, weight of the mean vector of an entity's neighbors in the training
            graph, which is added to the entity's own as an answer, and to a query about it, 0 or more. It counts where
            candidates are ranked, and not in training or for the score of one triplet.
        frequency_weight: with a bi-encoder, weight of log(1 + n) in the score of an answer that n training
            triplets of the relation have in the slot asked for, 0 or more: how often it is the answer, beside how well
            its text fits. It counts where candidates are ranked, and not in training or for the score of one triplet.
        calibration: `threshold`, `slope` and `intercept`, by which a score becomes a label and a probability; None until
            `fit_calibration` fits them. They change no score.
    """

    model_type = "lass"
    sub_configs_defaults = {"encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="bert")}

    encoder_config: dict | PreTrainedConfig | None = None
    margin: float | int = 7.0
    distance_scale: str = "sqrt_dim"
    score_function: str = "translation"
    architecture: str = "cross-encoder"
    normalize: bool = False
    scale: float | int = 20.0
    learn_scale: bool = True
    self_match_weight: float | int = 1.0
    neighbor_weight: float | int = 0.0
    frequency_weight: float | int = 0.0
    calibration: dict[str, float] | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.distance_scale not in DISTANCE_SCALES:
            raise LassError(f"distance_scale={self.distance_scale!r}; expected one of {', '.join(DISTANCE_SCALES)}")
        if self.score_function not in SCORE_FUNCTIONS:
            raise LassError(f"score_function={self.score_function!r}; expected one of {', '.join(SCORE_FUNCTIONS)}")
        if self.architecture not in ARCHITECTURES:
            raise LassError(f"architecture={self.architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
        if self.normalize and self.architecture == "cross-encoder":
            raise LassError(
                'normalize=True needs architecture="bi-encoder": a cross-encoder keeps its vectors as they are'
            )
        if not 0 < self.scale < float("inf"):
            raise LassError(f"scale={self.scale}; expected a number above 0")
        if not 0 < self.self_match_weight < float("inf"):
            raise LassError(f"self_match_weight={self.self_match_weight}; expected a number above 0")
        for name in RANKING_CHOICES:
            if not 0 <= getattr(self, name) < float("inf"):
                raise LassError(f"{name}={getattr(self, name)}; expected 0 or more")
        for name, without in (("self_match_weight", 1), *((name, 0) for name in RANKING_CHOICES)):
            if getattr(self, name) != without and self.architecture == "cross-encoder":
                raise LassError(f'{name}={getattr(self, name)} needs architecture="bi-encoder"')
        if self.calibration is not None and set(self.calibration) != set(CALIBRATION):
            raise LassError(f"calibration={self.calibration!r}; expected None, or {', '.join(CALIBRATION)}")

    @property
    def ranks_by_triplets(self) -> bool:
        """Whether training triplets say more in rankings than the texts: neighbors, or frequencies."""
        return any(getattr(self, name) for name in RANKING_CHOICES)

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """The encoder's configuration, where transformers looks for vocabulary and hidden sizes."""
        return self.encoder_config.get_text_config(decoder=decoder, encoder=encoder)  # type: ignore[union-attr]


LassConfig.register_for_auto_class()  # a saved model carries its code
if __package__ == "lass_hf.core":  # a copy of this code beside a saved model registers nothing
    AutoConfig.register("lass", LassConfig)
