"""The choices of the method. Each is defined here once; everything else derives what it needs from the definition.

A choice is a dataclass field with a default, a help text, the values that it can have, the architecture that it is
for, and the kind of thing that it affects. `LassConfig` has the fields of `ModelChoices`, `LassProcessor` takes those
of `SequenceChoices`, and `LassTrainingArguments` has those of `TrainingChoices`. Options of `lass-hf train`, recipe
keys, fingerprints, model cards and run metadata follow from them. This module imports no library, so that help texts
are shown at once.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import LassError

ARCHITECTURE_NAMES = ("cross-encoder", "bi-encoder")
CORRUPTIONS = ("each_slot", "head_or_tail", "tail")


@dataclass(frozen=True)
class Loss:
    """What a loss is, apart from its function in `losses.py`.

    Attributes:
        summary: A few words for `--help`.
        architectures: The architectures that it fits.
        mean_over: The items whose mean it is: "positives" or "triplets".
    """

    summary: str
    architectures: tuple[str, ...] = ARCHITECTURE_NAMES
    mean_over: str = "positives"


LOSSES = {
    "negative_sampling": Loss("Eq. 4, a positive counts once per slot"),
    "mean_bce": Loss("published code; cross-encoder", ("cross-encoder",), "triplets"),
    "softmax": Loss("Eq. 3"),
}


def choice(
    default: Any,
    help: str,
    affects: str,
    *,
    allowed: Collection[str] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    architecture: str | None = None,
    needs: str | None = None,
    unless: str | None = None,
) -> Any:
    """Returns a dataclass field that `check` can validate.

    Args:
        default: the value of those who choose nothing.
        help: one or two sentences for `--help` and the site; the architecture is added to them.
        affects: "sequences", "vectors" of the encoder, "scores" made of the vectors' distances, "ranking" of all
            candidates, "loss", "negatives", "data" (which triplets and texts are trained on), or "memory".
        allowed: the values that it can have; None for any of its type.
        above: a bound that a number must exceed.
        at_least: a bound that a number must reach.
        architecture: the only architecture that it is for.
        needs: another choice, without which this one changes nothing.
        unless: another choice, with which this one changes nothing.
    """
    rules = {"affects": affects, "allowed": allowed, "above": above, "at_least": at_least}
    rules |= {"needs": needs, "unless": unless}
    text = f"{help} Only for the {architecture}." if architecture else help
    return field(default=default, metadata={"help": text, "architecture": architecture, **rules})


@dataclass(kw_only=True, repr=False)
class ModelChoices:
    """The choices, besides the weights, that scores and rankings depend on."""

    architecture: str = choice(
        "cross-encoder",
        "cross-encoder (one forward pass over the whole triplet), or bi-encoder (the query h [S] r gives u = h + r, "
        "the answer gives t; each entity is encoded once, and answers take milliseconds).",
        "vectors",
        allowed=ARCHITECTURE_NAMES,
    )
    margin: float | int = choice(7.0, "b of Eq. 1 (the paper: 7).", "scores")
    distance_scale: str = choice(
        "sqrt_dim",
        "sqrt_dim (the squared norm divided by sqrt(k), as in the published code), or none (Eq. 1 as printed).",
        "scores",
        allowed=("sqrt_dim", "none"),
        unless="normalize",
    )
    score_head: str = choice(
        "segments",
        "What makes scores of the encoder's outputs: segments (LASS: means of the segments, and a score function), "
        "kg-bert (KG-BERT: a classifier of [CLS]; cross-encoder), or star (StAR: a classifier of two [CLS], and their "
        "distance; bi-encoder).",
        "vectors",  # `LassConfig` checks the name, as that of the score function.
    )
    score_function: str = choice(
        "translation",
        "How h, r and t are compared: translation is ||h + r - t||^2 (Eq. 1). hyperplane (like TransH) and projection "
        "(like TransR) map h and t before; rotation (like RotatE) rotates h; bilinear (like DistMult) multiplies.",
        "scores",  # `LassConfig` checks the name, because users register functions of their own.
    )
    normalize: bool = choice(
        False,
        "Bring u and t to unit length: Eq. 1 is then b - scale * (1 - cos(u, t)).",
        "vectors",
        architecture="bi-encoder",
    )
    scale: float | int = choice(
        20.0,
        "Factor of the squared distance of vectors of unit length, 1 / the temperature of Eq. 3; its first value when "
        "it is learned.",
        "scores",
        above=0,
        needs="normalize",
    )
    learn_scale: bool = choice(True, "Learn the scale; otherwise it stays as it is.", "scores", needs="normalize")
    self_match_weight: float | int = choice(
        1.0,
        "Its log is added to the score of a triplet whose head and tail have the same text: a query's own entity is "
        "the nearest, and hardly ever the answer.",
        "scores",
        above=0,
        architecture="bi-encoder",
    )
    neighbor_weight: float | int = choice(
        0.0,
        "Weight of the mean vector of an entity's neighbors in the training graph, added to the entity's own vector "
        "where all candidates are ranked.",
        "ranking",
        at_least=0,
        architecture="bi-encoder",
    )
    frequency_weight: float | int = choice(
        0.0,
        "Weight of log(1 + n) in the score of an answer that n training triplets of the relation have in that slot, "
        "where all candidates are ranked.",
        "ranking",
        at_least=0,
        architecture="bi-encoder",
    )

    @property
    def ranking_weights(self) -> dict[str, float]:
        """The choices that change the ranking of all candidates, and no training: any model can be given others."""
        return {name: getattr(self, name) for name in choice_names(ModelChoices, affects="ranking")}


@dataclass(kw_only=True, repr=False)
class SequenceChoices:
    """The choices, besides the architecture, by which texts become sequences of tokens."""

    separators: bool = choice(
        True, "Separator tokens between the segments (the paper); the published code has none.", "sequences"
    )
    max_length: int | None = choice(
        None, "Longest sequence in tokens; by default the tokenizer's limit, or 512.", "sequences"
    )
    num_neighbors: int = choice(
        0,
        "Names of at most so many neighbors in the training graph follow a short text, of less than 20 words. While "
        "a model is trained, no sequence names an entity of its batch.",
        "sequences",
        at_least=0,
    )


@dataclass(kw_only=True, repr=False)
class TrainingChoices:
    """The choices of a training: the loss, and the negatives that it compares."""

    loss: str = choice(
        "negative_sampling",
        f"{', '.join(f'{name} ({loss.summary})' for name, loss in LOSSES.items())}. The cross-encoder compares a "
        "positive with its negatives, the bi-encoder with the batch.",
        "loss",
        allowed=LOSSES,
    )
    num_negatives: int = choice(
        5, "Corrupted triplets per positive and slot.", "negatives", at_least=1, architecture="cross-encoder"
    )
    corruption: str = choice(
        "each_slot",
        "each_slot (head, relation and tail), head_or_tail (one of the two by coin flip) or tail.",
        "negatives",
        allowed=CORRUPTIONS,
        architecture="cross-encoder",
    )
    replacement: bool = choice(
        False, "Draw negatives with replacement (published code).", "negatives", architecture="cross-encoder"
    )
    pseudo_typed: bool = choice(
        False,
        "Draw heads and tails from the entities that stand in that slot of that relation in training.",
        "negatives",
        architecture="cross-encoder",
    )
    neighborhood_size: int = choice(
        1,
        "Triplets of a batch that come from one neighborhood of the graph.",
        "negatives",
        at_least=1,
        architecture="bi-encoder",
    )
    queue_size: int = choice(
        0,
        "Entities of earlier batches that queries are compared with, too, by the vectors that they had then. The queue "
        "fills in the last third of the training.",
        "loss",
        at_least=0,
        architecture="bi-encoder",
    )
    gradient_cache_tokens: int = choice(
        0,
        "Encode a batch in parts of at most so many tokens, twice (GradCache), with the memory of one part; loss and "
        "gradients are those of the whole batch. 0: encode it once.",
        "memory",
        at_least=0,
        architecture="bi-encoder",
    )


def choice_names(kind: type, affects: str | None = None) -> tuple[str, ...]:
    """Returns the names of a dataclass's choices, in order; with `affects` only those that affect that."""
    rules = {one.name: one.metadata.get("affects") for one in fields(kind)}
    return tuple(name for name, what in rules.items() if what is not None and affects in (None, what))


def check(choices: Any, architecture: str | None = None) -> None:
    """Validates the choices of a dataclass instance by their definitions.

    Args:
        choices: an instance of a dataclass with choices.
        architecture: of the model that they are for; by default the instance's own, if it has one.

    Raises:
        LassError: a value is not allowed, or would change nothing. The message has its name and value, and what was
            expected.
    """
    rules = [(one.name, getattr(choices, one.name), one.default, one.metadata) for one in fields(choices)]
    rules = [rule for rule in rules if rule[3].get("affects")]
    for name, value, default, rule in rules:
        if value is default:
            continue
        if rule["allowed"] and value not in rule["allowed"]:
            raise LassError(f"{name}={value!r}; expected one of {', '.join(rule['allowed'])}")
        if rule["above"] is not None and not rule["above"] < value < float("inf"):
            raise LassError(f"{name}={value}; expected a number above {rule['above']}")
        if rule["at_least"] is not None and not rule["at_least"] <= value < float("inf"):
            raise LassError(f"{name}={value}; expected {rule['at_least']} or more")
        if isinstance(value, float) and not math.isfinite(value):
            raise LassError(f"{name}={value}; expected a finite number")
    architecture = architecture or getattr(choices, "architecture", None)
    for name, value, default, rule in rules:
        if value == default:
            continue
        if architecture and rule["architecture"] not in (None, architecture):
            needed = f'{name}={value!r} needs architecture="{rule["architecture"]}"'
            raise LassError(f"{needed}; with a {architecture} it changes nothing")
        if rule["needs"] and not getattr(choices, rule["needs"]):
            raise LassError(f"{name}={value!r} needs {rule['needs']}, without which it changes nothing")
        if rule["unless"] and getattr(choices, rule["unless"]):
            raise LassError(f"{name}={value!r} with {rule['unless']} changes nothing; leave one of them out")


# A preset has every choice of a variant that changes scores or loss; learning rate, epochs and batch size are in
# recipes. `published_code` is the link prediction form of that code; its classification form has one negative and
# corruption="head_or_tail".
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "score_head": "segments",
        "score_function": "translation",
        "margin": 7.0,
        "distance_scale": "none",
        "separators": True,
        "loss": "negative_sampling",
        "num_negatives": 5,
        "corruption": "each_slot",
        "replacement": False,
    },
    "published_code": {
        "score_head": "segments",
        "score_function": "translation",
        "margin": 7.0,
        "distance_scale": "sqrt_dim",
        "separators": False,
        "loss": "mean_bce",
        "num_negatives": 5,
        "corruption": "each_slot",
        "replacement": True,
    },
}

RENAMED = "is now called {}"
REMOVED = "was removed: leave it out"

# Earlier names, the choice that each belongs to today, and what became of it. {} stands for the choice, as an option of
# a command line with its dashes.
OLD_NAMES = {
    "encoding": ("architecture", RENAMED + ', "joint" is now "cross-encoder", and "separate" is now "bi-encoder"'),
    "own_weight": ("self_match_weight", RENAMED),
    "neighbour_weight": ("neighbor_weight", RENAMED),
    "neighbourhood_size": ("neighborhood_size", RENAMED),
    "blend": ("retriever_weight", RENAMED),
    "decision": ("calibration", RENAMED),
    "temperature": (
        "scale",
        "was removed, and {} takes its place: it is 1 / temperature, for vectors of unit length",
    ),
    "additive_margin": ("loss", REMOVED),
    "inverse": ("loss", REMOVED),
}


def new_name(old: str) -> str | None:
    """Returns the choice that an old name belongs to today; None for any other name."""
    return OLD_NAMES[old][0] if old in OLD_NAMES else None


def refuse_old_names(names: Iterable[str], where: str = "", dashes: str = "", remedy: str = "") -> None:
    """Refuses options, keys and fields by names that they had before.

    Args:
        names: the names that were given.
        where: what they were given in, such as a file.
        dashes: "--" for options of a command line.
        remedy: what to do.

    Raises:
        LassError: some of the names are old ones. The message has what each is called now.
    """
    given = set(names)
    found = [f"{dashes}{old} {fate.format(dashes + new)}" for old, (new, fate) in OLD_NAMES.items() if old in given]
    if found:
        raise LassError((f"{where}: " if where else "") + "; ".join(found) + (f"; {remedy}" if remedy else ""))
