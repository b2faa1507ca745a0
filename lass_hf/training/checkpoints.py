"""Checkpoints: finds the one to resume from, and checks that it belongs to the model and the graph.

Of a model with an adapter (`peft.get_peft_model`), a checkpoint holds the adapter and no other weights.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_SAFE_WEIGHTS_NAME,
    CONFIG_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_NAME,
)

from ..core.configuration_lass import LassConfig
from ..core.errors import LassError, ModelError, first_line, library_errors
from ..core.processing_lass import LassProcessor
from ..core.saved_files import DIGESTS, digests_of, find_other_file, saved_config
from ..utils.atomic_files import write_whole
from ..utils.checked_files import read_json
from ..utils.fingerprints import config_fingerprint, graph_fingerprint, texts_fingerprint

STATES_FILE = "checkpoint_files.json"  # the digests of the states of optimizer, schedule and random numbers
# Settings of an adapter that PEFT itself sets or changes when it saves one.
ABOUT_ADAPTER = ("auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision")


def checkpoints_in(output_dir: str | Path) -> list[Path]:
    """Returns the folders of checkpoints in an output folder, whole or not, that with the most steps first."""
    steps = [folder.name.rpartition("-")[2] for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")]
    newest_first = sorted(map(int, filter(str.isdecimal, steps)), reverse=True)
    return [Path(output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}") for step in newest_first]


def find_checkpoint(name: str | bool, output_dir: str | Path) -> str | None:
    """Finds the checkpoint to resume from.

    A checkpoint is whole when its last file is: a kill while it is written leaves one that is not.

    Args:
        name: Folder of a checkpoint, or "last" for the newest whole one in the output folder, if any. True: there must
            be one.
        output_dir: The output folder.

    Returns:
        The checkpoint's folder; None if the last one is asked for and there is none.

    Raises:
        LassError: The folder holds no whole checkpoint.
    """
    if name is True or name == "last":
        found = next((str(folder) for folder in checkpoints_in(output_dir) if not _lacks(folder)), None)
        if found is None and name is True:
            raise LassError(f"{output_dir}: it has no whole checkpoint to resume from")
        return found
    if not Path(name := str(name)).is_dir():
        raise LassError(f'{name}: no such folder; expected that of a checkpoint, or "last" for the newest one')
    if missing := _lacks(Path(name)):
        raise LassError(
            f"{name}: its {missing} is missing, incomplete or changed; expected the folder of a whole checkpoint, or "
            '"last" for the newest one in the output folder'
        )
    return name


def begin_checkpoint(output_dir: str | Path, step: int) -> None:
    """Makes sure that a checkpoint of the same step, of an earlier training, is whole no more when it is replaced."""
    Path(output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}", TRAINER_STATE_NAME).unlink(missing_ok=True)


def name_states(checkpoint: Path) -> None:
    """Writes the digests of the states of optimizer, schedule and random numbers into a checkpoint."""
    files = [file.name for pattern in ("*.pt", "*.pth") for file in checkpoint.glob(pattern)]
    write_whole(checkpoint / STATES_FILE, json.dumps({DIGESTS: digests_of(checkpoint, files)}, indent=1) + "\n")


def _lacks(checkpoint: Path) -> str | None:
    """Returns a file that is missing, cut off or of another save; the Trainer writes its state last."""
    weights = ADAPTER_SAFE_WEIGHTS_NAME if (checkpoint / ADAPTER_CONFIG_NAME).is_file() else SAFE_WEIGHTS_NAME
    for name in (CONFIG_NAME, weights, OPTIMIZER_NAME, SCHEDULER_NAME, STATES_FILE):
        if not (checkpoint / name).is_file():
            return name
    if not is_whole_state(checkpoint):
        return TRAINER_STATE_NAME
    for name in (CONFIG_NAME, PROCESSOR_NAME, STATES_FILE):
        try:
            other = find_other_file(str(checkpoint), name, saved_config(str(checkpoint), name).get(DIGESTS))
        except ModelError:
            return name
        if other is not None:
            return other
    return None


def is_whole_state(checkpoint: Path) -> bool:
    """Returns whether a checkpoint has the state of the Trainer, which is written last."""
    try:
        return "global_step" in read_json(checkpoint / TRAINER_STATE_NAME, "the state of a training")
    except LassError:
        return False


def check_checkpoint(folder: Path, config: LassConfig, processor: LassProcessor) -> None:
    """Checks that a checkpoint is one of this model and graph; a training cannot go on from another one.

    Args:
        folder: The checkpoint's folder.
        config: The configuration of the model that is trained.
        processor: Its processor, with the graph that is trained on.

    Raises:
        LassError: The checkpoint is of another model, graph, texts or sequence template.
    """
    if config_fingerprint(LassConfig.from_pretrained(folder)) != config_fingerprint(config):
        raise LassError(
            f"{folder}: its config.json is that of another model; resume with the arguments of its training"
        )
    saved, graph = LassProcessor.from_pretrained(folder), processor.graph
    if saved.graph is None or graph is None or graph_fingerprint(saved.graph) != graph_fingerprint(graph):
        raise LassError(f"{folder}: its training was on another graph; resume with the same graph")
    stores = saved.token_store(), processor.token_store(graph)
    if len(set(map(texts_fingerprint, stores))) > 1:
        raise LassError(
            f"{folder}: its training had other texts, separators, max_length or num_neighbors; resume with the same "
            "arguments"
        )


def is_adapted(model: Any) -> bool:
    """Returns True for a model with an adapter around it (a `peft.PeftModel`), whose folders hold the adapter."""
    return hasattr(model, "get_base_model")


def check_adapter(model: Any) -> None:
    """Checks that a saved folder will hold all that is trained of a model, with an adapter or without one.

    Args:
        model: A `LassForKGCompletion`, or a `peft.PeftModel` around one.

    Raises:
        LassError: The adapter is inside the model instead of around it, or its folder would lack weights.
    """
    base = model.get_base_model() if is_adapted(model) else model
    for part in (base, base.encoder):
        if not isinstance(part, PreTrainedModel) or part._hf_peft_config_loaded:
            raise LassError(
                f"an adapter inside {type(part).__name__}, whose saved weights would not load: merge it "
                "(merge_and_unload), and put a new one around the whole model: peft.get_peft_model(model, ...)"
            )
    if not is_adapted(model):
        return
    from peft import get_peft_model_state_dict

    if list(model.peft_config) != ["default"]:
        raise LassError(f"adapters {', '.join(model.peft_config)}; expected a single one, by the name 'default'")
    config, modules = model.active_peft_config, [name for name, _ in base.named_modules()]
    if config.task_type is not None:
        raise LassError(f"an adapter with task_type={config.task_type!r}; leave it out: LASS is none of PEFT's tasks")
    for name in config.modules_to_save or ():
        if not any(module.endswith(name) for module in modules):
            raise LassError(
                f"modules_to_save has {name!r}, which is no module of the model; PEFT ignores it (log_scale, a single "
                "parameter, stays as it is: choose it by scale=...)"
            )
    own = [name for name, value in model.named_parameters() if "score_head." in name and value.requires_grad]
    if any(True for _ in base.score_head.parameters()) and not own:
        raise LassError(
            f"{base.config.compared_by} has weights, which would stay as they begin: name them in the adapter's "
            "modules_to_save=['score_head']"
        )
    saved = {tensor.data_ptr() for tensor in get_peft_model_state_dict(model).values()}
    trained = {name: value.data_ptr() for name, value in model.named_parameters() if value.requires_grad}
    if lost := [name for name, pointer in trained.items() if pointer not in saved]:
        raise LassError(
            f"{lost[0]} would be trained, but is no part of the adapter, which is all that PEFT saves: set "
            "requires_grad=False for it, or name its module in modules_to_save"
        )


def check_same_adapter(folder: Path, model: Any) -> None:
    """Checks that a checkpoint holds an adapter like the model's, or a whole model if there is none around this one.

    Raises:
        LassError: It does not.
    """
    kinds = ("a whole model", "an adapter")
    found = (folder / ADAPTER_CONFIG_NAME).is_file()
    if found != is_adapted(model):
        raise LassError(f"{folder}: its training is that of {kinds[found]}; this is one of {kinds[not found]}")
    if not found:
        return
    from peft import PeftConfig

    with library_errors(f"{folder}: its {ADAPTER_CONFIG_NAME} cannot be loaded", kind=LassError):
        saved = PeftConfig.from_pretrained(str(folder)).to_dict()
    own = model.active_peft_config.to_dict()
    names = [name for name in {**saved, **own} if name not in ABOUT_ADAPTER]
    if different := [name for name in names if saved.get(name) != own.get(name)]:
        name = different[0]
        raise LassError(
            f"{folder}: its adapter has {name}={saved.get(name)!r}, but {name}={own.get(name)!r} was given; resume "
            "with the same adapter"
        )


@contextmanager
def saving(folder: str | Path | None) -> Iterator[None]:
    """Turns the errors of a full disk into a LassError: safetensors and torch raise their own kinds."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if type(error) is RuntimeError and "inline_container" not in str(error):  # torch's file writer
            raise
        raise LassError(
            f"{folder}: cannot be saved ({first_line(error)}); free space there, and continue from the last whole "
            "checkpoint with --resume_from_checkpoint last"
        ) from error
