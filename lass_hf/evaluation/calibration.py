"""True or false, and how probably: the threshold and the Platt scaling that a model's configuration carries.

They are fitted on a labeled validation split. A training drops those of the weights that it changes, and fits new
ones when it ends.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import GraphError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from ..utils.saved_config import keep_in_config
from .metrics import best_threshold
from .platt_scaling import PlattScaling, fit_platt


@dataclass(frozen=True)
class Calibration:
    """One threshold for all relations, and Platt scaling.

    The two are fitted to different ends (accuracy, likelihood), so a label may differ from "probability above 0.5" for
    scores close to the threshold. Probabilities hold for triplets of which as many are true as in validation.

    Attributes:
        threshold: a score above it means true.
        platt: the scaling that gives the probability of being true.
    """

    threshold: float
    platt: PlattScaling

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray) -> "Calibration":
        """Fits both to scores and labels (1 / 0) of a validation split, of shape (n,)."""
        exact = scores.astype(np.float64)  # float32 would round the threshold
        return cls(best_threshold(exact, labels), fit_platt(exact, labels))

    @classmethod
    def of(cls, model: LassForKGCompletion) -> "Calibration | None":
        """Returns the calibration in a model's configuration; None where none was fitted."""
        values = model.config.calibration
        return None if values is None else cls(values["threshold"], PlattScaling(values["slope"], values["intercept"]))

    def to_dict(self) -> dict[str, float]:
        """Returns the values that `LassConfig.calibration` holds."""
        return {"threshold": self.threshold, **asdict(self.platt)}

    def __call__(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns labels (bool) and probabilities of being true (float64) of scores; all three of shape (n,)."""
        exact = np.asarray(scores, dtype=np.float64)
        return exact > self.threshold, self.platt(exact)


def fit_calibration(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    dtype: str = "auto",
    quiet: bool = False,
) -> Calibration:
    """Fits threshold and Platt scaling on the graph's validation split, and keeps them in `model.config`.

    `model.save_pretrained` saves them; predictors and pipelines made from then on give labels and probabilities.
    `LassTrainer.train` and `lass-hf classify` do this by themselves. Several processes share the triplets, and must all
    call it.

    Args:
        model: the model; its configuration is changed.
        processor: its processor.
        graph: a graph whose validation split has labels.
        dtype: precision of scoring, as in `evaluate_link_prediction`.
        quiet: show no progress bar.

    Returns:
        The calibration.

    Raises:
        GraphError: the validation split has no true or no false triplets.
    """
    validation = labeled_split(graph, "validation")
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    assert validation.labels is not None
    quiet = quiet or not processes().is_main_process
    with tqdm(total=len(validation), desc="fitting a threshold", unit=" triplets", disable=quiet) as bar:
        scores = scorer.score(validation.triplets, progress=bar, shared=True)
    calibration = Calibration.fit(scores, validation.labels)
    model.config.calibration = calibration.to_dict()
    return calibration


def keep_calibration(folder: str | Path, calibration: Calibration) -> None:
    """Writes a calibration into the configuration of the model in a folder, unless that cannot be written."""
    keep_in_config(folder, calibration=calibration.to_dict())


def labeled_split(graph: KnowledgeGraph, name: str) -> GraphSplit:
    """Returns a split that has true and false triplets.

    Raises:
        GraphError: the graph has no such split, or it lacks true or false triplets.
    """
    split = graph[name]
    labels = np.ones(1) if split.labels is None else split.labels
    if missing := [word for label, word in ((1, "true"), (0, "false")) if label not in labels]:
        raise GraphError(
            f"the {name} split has no {missing[0]} triplet: classification needs a 4th column with 1 and -1 (or 0)"
        )
    return split
