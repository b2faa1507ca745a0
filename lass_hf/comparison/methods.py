"""The methods that can be compared: their names, and how PyKEEN trains those that learn from the graph alone.

The hyperparameters start from those that PyKEEN publishes for each method, made smaller: they suit graphs of up to
some ten thousand entities, on a processor. They are the same for every graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import LassError
from ..scoring.precision import DTYPES

RULES, OURS = "rules", "ours"


@dataclass(frozen=True)
class EmbeddingMethod:
    """A method that PyKEEN trains: vectors of entities and relations, and a function that scores triplets by them.

    Attributes:
        title: The name in a table.
        source: Who published it.
        model: The class of PyKEEN.
        model_choices: Arguments of the class.
        loss: The loss of PyKEEN.
        loss_choices: Arguments of the loss.
        negatives: The number of corrupted triplets for each training triplet (PyKEEN's sLCWA). 0 takes every entity
            that is no known answer as a negative of a query (PyKEEN's LCWA), with an inverse of each relation, so that
            heads are asked for, too.
        label_smoothing: That of the loss over all entities.
        learning_rate: That of Adam.
        batch_size: Triplets, or queries, in a batch.
        epochs: Rounds of the training triplets.
        floats_per_score: Numbers that are in memory for a score, where those of all candidates are computed at once.
    """

    title: str
    source: str
    model: str
    model_choices: Mapping[str, Any]
    loss: str
    loss_choices: Mapping[str, Any] = field(default_factory=dict)
    negatives: int = 0
    label_smoothing: float = 0.0
    learning_rate: float = 0.001
    batch_size: int = 512
    epochs: int = 100
    floats_per_score: int = 1


EMBEDDINGS: dict[str, EmbeddingMethod] = {
    "transe": EmbeddingMethod(
        title="TransE",
        source="Bordes et al., 2013",
        model="TransE",
        model_choices={"embedding_dim": 64, "scoring_fct_norm": 1},
        loss="NSSALoss",
        loss_choices={"margin": 9.0, "adversarial_temperature": 1.0},
        negatives=16,
        learning_rate=0.005,
        epochs=100,
        floats_per_score=128,
    ),
    "transh": EmbeddingMethod(
        title="TransH",
        source="Wang et al., 2014",
        model="TransH",
        model_choices={"embedding_dim": 64, "scoring_fct_norm": 2},
        loss="MarginRankingLoss",
        loss_choices={"margin": 1.0},
        negatives=16,
        learning_rate=0.005,
        epochs=100,
        floats_per_score=128,
    ),
    "transr": EmbeddingMethod(
        title="TransR",
        source="Lin et al., 2015",
        model="TransR",
        model_choices={"embedding_dim": 32, "relation_dim": 32, "scoring_fct_norm": 1},
        loss="MarginRankingLoss",
        loss_choices={"margin": 1.0},
        negatives=4,
        learning_rate=0.005,
        epochs=60,
        floats_per_score=128,
    ),
    "transd": EmbeddingMethod(
        title="TransD",
        source="Ji et al., 2015",
        model="TransD",
        model_choices={"embedding_dim": 50, "relation_dim": 50},
        loss="MarginRankingLoss",
        loss_choices={"margin": 1.0},
        negatives=16,
        learning_rate=0.005,
        epochs=100,
        floats_per_score=200,
    ),
    "distmult": EmbeddingMethod(
        title="DistMult",
        source="Yang et al., 2015",
        model="DistMult",
        model_choices={
            "embedding_dim": 200,
            "entity_constrainer": None,
            "regularizer": None,
            "entity_representations_kwargs": {"dropout": 0.3},
            "relation_representations_kwargs": {"dropout": 0.3},
        },
        loss="BCEWithLogitsLoss",
        label_smoothing=0.1,
        learning_rate=0.01,
        batch_size=256,
        epochs=50,
    ),
    "complex": EmbeddingMethod(
        title="ComplEx",
        source="Trouillon et al., 2016",
        model="ComplEx",
        model_choices={
            "embedding_dim": 128,
            "entity_initializer": "xavier_normal",
            "relation_initializer": "xavier_normal",
            "regularizer": None,
        },
        loss="BCEWithLogitsLoss",
        label_smoothing=0.1,
        learning_rate=0.01,
        batch_size=256,
        epochs=25,
    ),
    "conve": EmbeddingMethod(
        title="ConvE",
        source="Dettmers et al., 2018",
        model="ConvE",
        model_choices={"embedding_dim": 200, "output_channels": 32},
        loss="BCEAfterSigmoidLoss",
        label_smoothing=0.1,
        learning_rate=0.003,
        batch_size=128,
        epochs=60,
    ),
    "convkb": EmbeddingMethod(
        title="ConvKB",
        source="Nguyen et al., 2018",
        model="ConvKB",
        model_choices={
            "embedding_dim": 50,
            "num_filters": 16,
            "entity_initializer": "xavier_uniform",
            "relation_initializer": "xavier_uniform",
        },
        loss="SoftplusLoss",
        negatives=4,
        learning_rate=0.01,
        epochs=60,
        floats_per_score=50 * 16,
    ),
    "rotate": EmbeddingMethod(
        title="RotatE",
        source="Sun et al., 2019",
        model="RotatE",
        model_choices={"embedding_dim": 64},
        loss="NSSALoss",
        loss_choices={"margin": 6.0, "adversarial_temperature": 1.0},
        negatives=16,
        learning_rate=0.005,
        epochs=200,
        floats_per_score=256,
    ),
    "ntn": EmbeddingMethod(
        title="NTN",
        source="Socher et al., 2013",
        model="NTN",
        model_choices={"embedding_dim": 32, "num_slices": 4, "entity_initializer": "xavier_uniform"},
        loss="BCEWithLogitsLoss",
        label_smoothing=0.1,
        learning_rate=0.01,
        batch_size=256,
        epochs=30,
        floats_per_score=16,
    ),
}
METHODS = (*EMBEDDINGS, RULES, OURS)


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of methods, each once, in the order that they are given.

    Args:
        names: Names, in small or large letters.

    Raises:
        LassError: A method is unknown.
    """
    wanted = tuple(dict.fromkeys(name.lower() for name in names))
    if unknown := [name for name in wanted if name not in METHODS]:
        raise LassError(f"method {unknown[0]!r}; expected some of {', '.join(METHODS)}")
    return wanted


def check_choices(methods: Sequence[str], has_model: bool, minutes: float | None, dtype: str) -> None:
    """Checks that the choices of a comparison fit its methods, before anything is loaded.

    Args:
        methods: Names, as `check_methods` returns them.
        has_model: Whether a text model is given.
        minutes: The time for all trainings; None for no limit.
        dtype: Precision of the text model.

    Raises:
        LassError: A choice is wrong, or would change nothing.
    """
    if OURS in methods and not has_model:
        raise LassError(f"the method {OURS} is a text model, and none is given: add --model")
    if OURS not in methods and has_model:
        raise LassError(f"a model is given, which is the method {OURS}, and the methods do not name it; add it to them")
    if dtype not in DTYPES:
        raise LassError(f"dtype={dtype!r}; expected one of {', '.join(DTYPES)}")
    if dtype != "auto" and not has_model:
        raise LassError(f"dtype={dtype!r} is the precision of a text model, and none is given; leave it out")
    if minutes is not None and not minutes > 0:
        raise LassError(f"minutes={minutes}; expected more than 0, or none for no limit")
    if minutes is not None and tuple(methods) == (OURS,):
        raise LassError(f"minutes={minutes:g} is for trainings, and the method {OURS} is trained already; leave it out")


def title_of(name: str) -> str:
    """Returns the name of a method in a table."""
    return EMBEDDINGS[name].title if name in EMBEDDINGS else name
