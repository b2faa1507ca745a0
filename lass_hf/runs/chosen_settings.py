"""Chooses the settings of a training from the graph, its texts, the encoder and the machine, and says why.

What does not depend on them is what served best on WN18RR, FB15k-237 and UMLS: a bi-encoder with the softmax loss over
vectors of unit length. Time is estimated from the tokens of sample batches, so the same machine chooses the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from ..core.choices import ModelChoices
from ..core.configuration_lass import load_encoder_config
from ..core.encoders import OFFLINE_ENCODER, resolve_encoder
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..core.score_functions import SCORE_FUNCTIONS
from ..core.score_heads import SCORE_HEADS
from ..training.data_collators import InBatchCollator, KGDataCollator
from ..training.recipes import TrainArguments
from ..training.training_args import WITHOUT_WARMUP, LassTrainingArguments
from ..utils.environment import multiplies_bfloat16

DEFAULT_MINUTES = 12.0
DEFAULT_ENCODER = OFFLINE_ENCODER  # 22.7 M parameters, trained to tell sentences apart
FIXED_OF_ALL: dict[str, Any] = {  # of retrievers and rerankers
    "loss": "softmax",
    "num_neighbors": 5,
    "dropout": 0.0,
    "warmup_steps": 0.05,
    "weight_decay": 0.01,
    "logging_steps": 20,
    "save_steps": 200,
    "save_total_limit": 1,
}
FIXED: dict[str, Any] = {
    "architecture": "bi-encoder",
    "normalize": True,
    "self_match_weight": 0.02,
    "neighbor_weight": 0.3,
    **FIXED_OF_ALL,
}
REASONS = {
    "architecture": "all answers to a query are ranked in milliseconds",
    "self_match_weight": "the nearest entity, and hardly ever the answer",
    "num_neighbors": "short texts are followed by names of neighbors",
    "warmup_steps": "as a share of all steps",
}
LEARNING_RATES = {True: 3e-4, False: 1e-4}  # of a bi-encoder, and of a cross-encoder
ITS_DIM = 384  # the hidden size of all-MiniLM-L6-v2, which the rates are for; wider encoders learn in smaller steps
SHOWN = ("architecture", "max_length", "per_device_train_batch_size", "num_train_epochs")
STEPS = 600  # that fine-tune a small encoder well on graphs of 5,000 to 300,000 triplets
MOST_EPOCHS = 15.0
SHORTEST, LONGEST = 24, (128, 64)  # tokens, the bounds of `max_length`; the latter where time is short
LONG_TEXTS = 0.05  # the share of sequences that may be cut
BATCH_SIZES = (16, 256)
SEQUENCES_PER_POSITIVE = 16  # of a cross-encoder: itself, and 5 negatives for each slot
TRIPLETS_PER_BATCH_SIZE = 40  # small graphs have small batches, so that an epoch has this many steps
MOST_NEIGHBORHOOD = 16
NO_NAMES = "a batch has most entities of this graph, and names none of its own"
DRAWS_PER_ENTITY = 0.7  # so many random draws for each entity of a graph hit half of them
SAMPLE_BATCHES = 8
# Floating point operations that a training reaches in a second, in all and for each thread: measured with MiniLM.
FLOPS_OF_GPU = 4e13
FLOPS_OF_THREAD = {True: 1.4e11, False: 5e10}  # with bfloat16 in hardware, and without
FLOPS_PER_WEIGHT = 6  # a multiplication and an addition, forward once and backward twice


@dataclass(frozen=True)
class ChosenSettings:
    """Settings of a training, and what they are chosen from.

    Attributes:
        values: The arguments of the training, as a recipe has them.
        reasons: Why an argument has its value; not every one has a reason.
        tokens_per_epoch: The tokens that one epoch encodes.
        tokens_per_second: The tokens that this machine trains on in a second, estimated.
    """

    values: dict[str, Any]
    reasons: dict[str, str]
    tokens_per_epoch: float
    tokens_per_second: float

    def minutes(self, num_epochs: float) -> float:
        """Returns the minutes that some epochs take on this machine, estimated."""
        return num_epochs * self.tokens_per_epoch / self.tokens_per_second / 60

    def as_recipe(self, head: str, given: Mapping[str, Any]) -> str:
        """Returns the settings as a recipe: YAML with the reasons as comments.

        Args:
            head: The comment of the first line.
            given: The arguments that a person chose, in place of some of the settings and besides them.
        """
        import yaml

        lines = [f"# {head}"]
        why = {**self.reasons, **dict.fromkeys(given, "given")}
        for name, value in {**self.values, **given}.items():
            line = yaml.safe_dump({name: value}, allow_unicode=True).rstrip("\n")
            lines.append(f"{line}  # {why[name]}" if name in why else line)
        return "\n".join(lines) + "\n"

    def describe(self, given: Mapping[str, Any]) -> list[str]:
        """Returns the lines that say what is trained, why, and how long it takes.

        Args:
            given: As in `as_recipe`.
        """
        values = {**self.values, **given}
        minutes = max(1, round(self.minutes(values["num_train_epochs"])))
        # As `train_and_record` decides; whether the graph has any structure is known later.
        has_evidence = given.get("evidence", "auto" if "neighbor_weight" in values else "text") != "text"
        what = f"about {minutes} min of training" + (", then rules and vectors" if has_evidence else "")
        about = "" if "max_steps" in given else f": {what}"
        why = {**self.reasons, **dict.fromkeys(given, "given")}
        shown = [f"  {name} {values[name]}: {why[name]}" for name in SHOWN]
        return [f"the settings are chosen for this graph and this machine{about}", *shown]


def fixed_settings(score_function: str = "translation", score_head: str = "segments") -> dict[str, Any]:
    """Returns the settings that depend on no graph, without those that a score function or a head cannot use.

    Args:
        score_function: The name of the score function.
        score_head: The name of the score head.
    """
    head, function = SCORE_HEADS.get(score_head), SCORE_FUNCTIONS.get(score_function)
    if head is None or function is None:
        return dict(FIXED)  # The configuration of the model refuses them.
    fixed, rules = dict(FIXED), {one.name: one.metadata for one in fields(ModelChoices)}
    if fixed["architecture"] not in head.architectures:
        fixed["architecture"] = head.architectures[0]
    refused = {*head.unused, *(() if score_head == "segments" and function.has_query_vector else ("neighbor_weight",))}
    of_other = {name for name, rule in rules.items() if rule["architecture"] not in (None, fixed["architecture"])}
    return {name: value for name, value in fixed.items() if name not in refused | of_other}


def fit_schedule(settings: Mapping[str, Any], schedule: str | None) -> dict[str, Any]:
    """Returns settings, without warmup steps if the schedule of the learning rate has none.

    Args:
        settings: The settings.
        schedule: The `lr_scheduler_type` that a person chose; None for the default.
    """
    return {name: value for name, value in settings.items() if name != "warmup_steps" or schedule not in WITHOUT_WARMUP}


def choose_settings(
    graph: KnowledgeGraph, arguments: TrainArguments, training: LassTrainingArguments, given: Mapping[str, Any]
) -> ChosenSettings:
    """Chooses the settings of a training.

    Args:
        graph: The graph, with the training triplets.
        arguments: Encoder, score function, head and minutes, with `fixed_settings` where nothing is given.
        training: The training arguments, in the same way.
        given: The arguments that a person chose. They stay, and the others are chosen to fit.

    Returns:
        The settings.

    Raises:
        GraphError: The graph has no training split.
        ModelError: There is no such encoder.
    """
    split, minutes = graph["train"].sample(arguments.fraction, training.seed), arguments.minutes or DEFAULT_MINUTES
    fixed = fixed_settings(arguments.score_function, arguments.score_head)
    fixed = fit_schedule(fixed, training.lr_scheduler_type)
    is_bi_encoder = fixed["architecture"] == "bi-encoder"
    batch_size = 2 ** round(np.log2(np.clip(len(split) / TRIPLETS_PER_BATCH_SIZE, *BATCH_SIZES)))
    batch_size = given.get(
        "per_device_train_batch_size", batch_size // (1 if is_bi_encoder else SEQUENCES_PER_POSITIVE)
    )
    positives_per_step = batch_size * training.gradient_accumulation_steps
    fixed["num_neighbors"] = given.get("num_neighbors", choose_num_neighbors(split, batch_size))
    arguments = replace(arguments, **{name: fixed[name] for name in ("architecture", "num_neighbors")})
    processor = LassProcessor.from_encoder(arguments.encoder, graph, **arguments.processor_choices())
    sampling = {} if is_bi_encoder else training.sampling()
    collator = (InBatchCollator if is_bi_encoder else KGDataCollator)(processor, graph, **sampling)
    rng = np.random.default_rng(0)
    batches = [rng.choice(len(split), min(batch_size, len(split)), replace=False) for _ in range(SAMPLE_BATCHES)]
    lengths = torch.cat([collator(split.select(rows))["attention_mask"].sum(dim=1) for rows in batches]).numpy()
    num_entities = len(np.unique(split.triplets[:, [0, 2]]))
    degree = 2 * len(split) / num_entities
    # In a small graph triplets of a batch meet anyway, and a cross-encoder does not compare them.
    is_large = is_bi_encoder and num_entities > 10 * batch_size
    width, speed = estimate_speed(arguments.encoder)

    of_steps = float(np.clip(STEPS * positives_per_step / len(split), 1, MOST_EPOCHS))
    for longest in LONGEST:
        max_length = given.get("max_length") or choose_max_length(lengths, min(longest, processor.max_length))
        tokens_per_epoch = np.minimum(lengths, max_length).sum() * len(split) / sum(map(len, batches))
        of_time = minutes * 60 * speed / tokens_per_epoch
        if not (is_short := of_time < of_steps):
            break
    values = {
        "encoder": arguments.encoder,
        **fixed,
        "max_length": max_length,
        "learning_rate": scale_learning_rate(LEARNING_RATES[is_bi_encoder], width),
        "num_train_epochs": float(f"{max(min(of_steps, of_time), positives_per_step / len(split)):.2g}"),
        "neighborhood_size": 2 ** round(np.log2(np.clip(degree, 1, MOST_NEIGHBORHOOD))) if is_large else 1,
        "per_device_train_batch_size": batch_size,
    }
    reasons = {
        **REASONS,
        "architecture": REASONS["architecture"] if is_bi_encoder else f"that of score_head {arguments.score_head}",
        "num_neighbors": REASONS["num_neighbors"] if fixed["num_neighbors"] else NO_NAMES,
        "max_length": f"tokens; {(lengths > max_length).mean():.0%} of the sequences are longer, and are cut",
        "learning_rate": f"for vectors of {width} dimensions",
        "num_train_epochs": f"all that {minutes:g} minutes allow; {of_steps:.2g} would be better"
        if is_short
        else f"the most, fewer than {STEPS} steps"
        if of_steps == MOST_EPOCHS
        else f"about {STEPS} steps, but 1 to {MOST_EPOCHS:g} epochs",
        "neighborhood_size": f"triplets of a batch that lie together; an entity has {degree:.1f} on average",
        "per_device_train_batch_size": f"positives; there are {count_in_words(split)}",
    }
    return ChosenSettings(values, reasons, tokens_per_epoch, speed)


def choose_num_neighbors(split: GraphSplit, batch_size: float) -> int:
    """Returns how many neighbors are named behind a short text: none where batches have most entities of the graph.

    A training names no entity of a batch's positives. Where that leaves few names, the model would read texts
    afterwards that are unlike those of its training.

    Args:
        split: The training triplets.
        batch_size: The positives of a batch.
    """
    num_entities = len(np.unique(split.triplets[:, [0, 2]]))
    return FIXED_OF_ALL["num_neighbors"] if 2 * batch_size < DRAWS_PER_ENTITY * num_entities else 0


def count_in_words(split: GraphSplit) -> str:
    """Returns how many training triplets there are, the false ones apart."""
    true = len(split.positives)
    false = len(split) - true
    return f"{true:,} true and {false:,} false training triplets" if false else f"{true:,} training triplets"


def estimate_speed(encoder: str) -> tuple[int, float]:
    """Returns the width of an encoder, and the tokens that this machine trains it on in a second, estimated.

    Args:
        encoder: The name or the folder of the encoder.
    """
    config = load_encoder_config(resolve_encoder(encoder), {})[0].get_text_config()
    width, layers = getattr(config, "hidden_size", 768), getattr(config, "num_hidden_layers", 12)
    # 12: four matrices of attention, eight of the rest
    return width, _flops() / (FLOPS_PER_WEIGHT * 12 * layers * width**2)


def choose_max_length(lengths: np.ndarray, longest: int) -> int:
    """Returns the length that few sequences exceed, in tokens.

    Args:
        lengths: The lengths of a sample of sequences, int of shape (n,).
        longest: The most that is allowed.
    """
    wanted = -(-int(np.quantile(lengths, 1 - LONG_TEXTS, method="higher")) // 8) * 8
    return min(max(wanted, SHORTEST), longest)


def scale_learning_rate(rate: float, width: int) -> float:
    """Returns the learning rate of an encoder of some width, where `rate` is that of all-MiniLM-L6-v2."""
    return float(f"{rate * (ITS_DIM / width) ** 2:.2g}")


def _flops() -> float:
    if torch.accelerator.is_available():
        return FLOPS_OF_GPU
    return FLOPS_OF_THREAD[multiplies_bfloat16("cpu")] * torch.get_num_threads()
