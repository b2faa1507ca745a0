"""The output folder of a training: its checkpoints are of one training.

What a training is goes into each of its checkpoints, as the state of a callback in `trainer_state.json`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import ADAPTER_CONFIG_NAME, CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.saved_files import DIGESTS as SAVED_FILES
from ..core.saved_files import saved_config
from ..hub.card_files import read_card_data
from ..utils.checked_files import read_json
from ..utils.distributed import processes
from ..utils.fingerprints import digest, graph_fingerprint, graph_texts_fingerprint, starting_weights_fingerprint
from ..utils.result_files import TRAINING_FILE, read_results, read_training
from .checkpoints import checkpoints_in, is_whole_state
from .run_metadata import COMMAND_LINE_ONLY

# What may change when a training is resumed: its length, the precision, which follows from the machine, and what saves
# memory, which an error about memory asks for.
CHANGEABLE = (
    *("max_steps", "num_train_epochs", "bf16", "fp16", "tf32"),
    *("activation_checkpointing", "gradient_checkpointing", "gradient_cache_tokens", "torch_empty_cache_steps"),
)
# Digests, which say nothing to a reader, and what is said of a training that has another one.
DIGESTS = {
    "graph_digest": "was on another graph",
    "texts_digest": "was on other texts of the graph",
    "triplets_digest": "was on other training triplets",
    "weights_digest": "began with other weights",
    "retriever_digest": "mined negatives with another retriever",
}


class TrainingIdentity(TrainerCallback, ExportableState):
    """What a training is: all that its weights depend on. The Trainer writes it into each checkpoint.

    It is made of the choices, the seed, and digests of graph, texts, training triplets, first weights and retriever.
    Collators, losses, optimizers and schedules of the user's own count by their names; an optimizer that the Trainer
    makes from a class of the user's own counts by its arguments, too.

    Args:
        values: The identity, as `identify` returns it.
        resumes: For each time that the training was resumed, the `step`, and what was `changed`, see `check_resumed`.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, resumes: Sequence[Mapping[str, Any]] = ()):
        self.values, self.resumes = dict(values or {}), list(resumes)

    def state(self) -> dict[str, Any]:
        return {"args": {"values": self.values, "resumes": self.resumes}, "attributes": {}}

    def begin(self, values: Mapping[str, Any], folder: str | Path, checkpoint: str | Path | None) -> str | None:
        """Takes over the identity of a training that begins, or goes on from a checkpoint.

        Args:
            values: The identity, as `identify` returns it.
            folder: The folder of the training's checkpoints.
            checkpoint: The checkpoint; None to begin.

        Returns:
            A sentence about what the training replaces in the folder; None if there is nothing.

        Raises:
            LassError: The checkpoint, or another one in the folder, is of another training.
        """
        values = dict(values)
        resumes: list[Mapping[str, Any]] = []
        if checkpoint is not None:
            step, before, resumes = _read_identity(checkpoint)
            if self.values or _is_own_model(checkpoint, before, values):  # The model is trained already.
                values["weights_digest"] = before.get("weights_digest")
            resumes = [*resumes, {"step": step, "changed": _check_resumed(checkpoint, before, values)}]
        replaced = _check_unused(folder, values, checkpoint is not None)
        self.values, self.resumes = values, resumes
        return replaced


def read_ended(trainer: Any) -> dict[str, Any] | None:
    """Returns the results of the training in a trainer's output folder, if that training went on from its last step.

    Args:
        trainer: A `LassTrainer` that has trained.

    Returns:
        The content of the results file; None if any step was made, or if the folder lacks the results or a whole model
        with the weights of that step, or of the best one.
    """
    folder, state = Path(trainer.args.output_dir), trainer.state
    if not trainer.resumes or trainer.resumes[-1]["step"] != state.global_step:
        return None
    checkpoint: Any = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
    if trainer.args.load_best_model_at_end and state.best_model_checkpoint is not None:
        checkpoint = state.best_model_checkpoint
    try:
        LassProcessor.from_pretrained(folder)
        is_there = read_training(folder) and read_card_data(folder) and read_card_data(folder, checkpoint)
        return read_results(folder / TRAINING_FILE) if is_there else None
    except LassError:  # What is damaged is saved anew.
        return None


def identify(model: LassForKGCompletion, split: GraphSplit, run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the identity of a training that is about to begin, as values that JSON can hold.

    Args:
        model: The model, with the weights that the training begins with.
        split: The triplets that are trained on.
        run: The run metadata, see `collect_run_metadata`.
    """
    labels = [] if split.labels is None else [split.labels]
    # What only the command line can tell is in the encoder's configuration, or in the texts.
    choices = {name: value for name, value in run["choices"].items() if name not in COMMAND_LINE_ONLY}
    mined = {}
    if retriever := choices.get("retriever"):
        files = json.dumps(saved_config(retriever, CONFIG_NAME).get(SAVED_FILES), sort_keys=True)
        mined["retriever_digest"] = digest([files.encode()])
    # What is in a folder goes by its last part: the folder may move, and checkpoints may be shared.
    choices |= {name: Path(choices[name]).name for name in ("encoder", "retriever") if choices.get(name)}
    if choices.get("decisions"):
        choices["decisions"] = [Path(file).name for file in choices["decisions"]]
    return json.loads(
        json.dumps(
            {
                **choices,
                **{name: run[name] for name in ("seed", "bf16")},
                "graph_digest": graph_fingerprint(split.graph),
                "texts_digest": graph_texts_fingerprint(split.graph),
                "triplets_digest": digest([split.triplets, *labels]),
                "weights_digest": starting_weights_fingerprint(model),
                **mined,
            }
        )
    )


def _is_own_model(checkpoint: str | Path, before: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Returns whether the model that is to go on from a checkpoint was loaded from that very checkpoint."""
    is_adapter = Path(checkpoint, ADAPTER_CONFIG_NAME).is_file()  # the weights around it are those of the beginning
    if is_adapter or {*_differences(before, identity)} - {*CHANGEABLE} != {"weights_digest"}:
        return False
    return starting_weights_fingerprint(LassForKGCompletion.from_pretrained(checkpoint)) == identity["weights_digest"]


def _check_resumed(
    checkpoint: str | Path, before: Mapping[str, Any], identity: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Returns what is changed of `CHANGEABLE`, by name: the value before, and the value now."""
    if not before:
        raise LassError(
            f"{checkpoint}: it does not say of which training it is; expected a checkpoint that this version of "
            "LassTrainer wrote"
        )
    changed = _differences(before, identity)
    if other := [name for name in changed if name not in CHANGEABLE]:
        raise LassError(
            f"{checkpoint}: its training {_told(other[0], changed[other[0]])}; resume with the same arguments, or "
            "begin another training in another --output_dir"
        )
    return changed


def _check_unused(folder: str | Path, identity: Mapping[str, Any], resumed: bool) -> str | None:
    """Refuses a folder with checkpoints of another training; returns a sentence about what else is replaced there."""
    kept = [checkpoint for checkpoint in checkpoints_in(folder) if is_whole_state(checkpoint)]
    for checkpoint in kept:
        _, before, _ = _read_identity(checkpoint)
        changed = _differences(before, identity) if before else {}
        names = [name for name in changed if not (resumed and name in CHANGEABLE)]
        if names or not before:
            told = _told(names[0], changed[names[0]]) if names else "is not known"
            raise LassError(
                f"{folder}: {checkpoint.name} is of another training, which {told}; choose another --output_dir, "
                "delete the checkpoints there, or resume that training"
            )
    if resumed:
        return None
    if kept:
        return (
            f"{folder} has checkpoints of this very training, up to {kept[0].name}; it begins anew and replaces them "
            "(--resume_from_checkpoint last goes on from there)"
        )
    if Path(folder, SAFE_WEIGHTS_NAME).is_file():
        return f"{folder} holds a trained model, which this training replaces when it ends"
    return None


def warn(sentence: str) -> None:
    """Prints a sentence to standard error, once of all processes."""
    if processes().is_main_process:
        print(f"lass-hf: {sentence}", file=sys.stderr)


def _read_identity(checkpoint: str | Path) -> tuple[int, dict[str, Any], list[Any]]:
    """Returns the step, the identity and the resumes that a checkpoint has; an identity of {} if it has none."""
    try:
        state = read_json(Path(checkpoint, TRAINER_STATE_NAME), "the state of a training")
        kept = state["stateful_callbacks"][TrainingIdentity.__name__]["args"]
        return int(state["global_step"]), dict(kept["values"]), list(kept["resumes"])
    except (ValueError, KeyError, TypeError):  # A LassError is a ValueError.
        return 0, {}, []


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns what differs, by name, digests last: the value before, and the value now."""
    names = sorted({**before, **now}, key=lambda name: name in DIGESTS)
    return {name: [before.get(name), now.get(name)] for name in names if before.get(name) != now.get(name)}


def _told(name: str, values: list[Any]) -> str:
    return DIGESTS.get(name) or f"has {name}={values[0]!r}, but {name}={values[1]!r} was given"
