"""The files of the Trainer: models and checkpoints that are whole, their cards, and their upload.

The upload is that of `lass_hf.push_to_hub`, with as much of the graph as `hub_include_graph` names. transformers' own
Trainer would upload the whole output folder: the graph's triplets, the entity index, pickled arguments.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import HubStrategy
from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME, CONFIG_NAME
from transformers.utils.hub import PushInProgress

from ..core.errors import LassError, first_line, library_errors
from ..core.processing_lass import LassProcessor
from ..core.saved_files import WEIGHT_FILES, name_files, replacing
from ..hub.card_files import CARD_DATA_FILE, CARD_FILE
from ..hub.upload import list_shared_files, upload, upload_checkpoint
from ..utils.hub_client import api, create_repository
from .callbacks import ModelCardCallback
from .checkpoints import begin_checkpoint, check_checkpoint, check_same_adapter, is_adapted, name_states, saving
from .training_args import LassTrainingArguments

logger = logging.getLogger(__name__)
METADATA = ("language", "license", "tags", "model_name", "finetuned_from", "tasks", "dataset_tags", "dataset")
LAST_CHECKPOINT = "last-checkpoint"
PREFIX = "_push-"  # of folders in the output folder, while they are uploaded


def make_repository(args: LassTrainingArguments, token: str | None = None, private: bool | None = None) -> str:
    """Makes the hub repository of a training, if there is none yet.

    Args:
        args: The training arguments.
        token: Token of the hub; None for `args.hub_token`.
        private: Whether a new repository is private; None for `args.hub_private_repo`.

    Returns:
        The repository's whole name.

    Raises:
        HubError: The hub refuses; better before the training than at its end.
    """
    name = args.hub_model_id or Path(args.output_dir or "").absolute().name
    for left in Path(args.output_dir or "").glob(f"{PREFIX}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    private = args.hub_private_repo if private is None else private
    return create_repository(name, private=private, token=token or args.hub_token)


def upload_output(
    args: LassTrainingArguments,
    repo_id: str,
    commit_message: str,
    token: str | None = None,
    revision: str | None = None,
    blocking: bool = True,
) -> Any:
    """Uploads the model in the output folder.

    Args:
        args: The training arguments.
        repo_id: The repository.
        commit_message: Message of the commit.
        token: Token of the hub; None for `args.hub_token`.
        revision: Branch; None for `args.hub_revision`.
        blocking: Whether to wait for the end of the upload.

    Returns:
        A `CommitInfo`, or a `Future` if not `blocking`.

    Raises:
        HubError: The hub refuses, or the connection breaks off.
    """
    choices = _commit(args, commit_message)
    choices |= {name: value for name, value in (("token", token), ("revision", revision)) if value is not None}
    send: Any = partial(upload, repo_id=repo_id, include_graph=args.hub_include_graph, **choices)
    folder = Path(str(args.output_dir))
    return send(folder) if blocking else api().run_as_future(_push, _copied(folder), [send])


def upload_checkpoint_in_background(
    args: LassTrainingArguments, repo_id: str, checkpoint: str, step: int, running: Any
) -> Any:
    """Uploads a checkpoint's model and, according to `hub_strategy`, all that a resume needs.

    Args:
        args: The training arguments.
        repo_id: The repository.
        checkpoint: The checkpoint's folder.
        step: Number of the training step, for the commit's message.
        running: The `PushInProgress` of uploads that have not ended, or None.

    Returns:
        The `PushInProgress` of all uploads that have not ended.
    """
    message = f"Training in progress, step {step}"
    include = args.hub_include_graph
    uploads = [partial(upload, repo_id=repo_id, include_graph=include, **_commit(args, message))]
    if args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
        name = LAST_CHECKPOINT if args.hub_strategy == HubStrategy.CHECKPOINT else Path(checkpoint).name
        choices = {"path_in_repo": name, **_commit(args, f"{message}, checkpoint")}
        uploads.append(partial(upload_checkpoint, repo_id=repo_id, include_graph=include, **choices))
    job = api().run_as_future(_push, _linked(Path(checkpoint)), uploads)
    job.add_done_callback(_warn_of_failure)
    jobs = [job] if running is None else [*running.jobs, job]
    return PushInProgress(jobs)  # type: ignore[arg-type] # it takes a list


def _commit(args: LassTrainingArguments, message: str) -> dict[str, Any]:
    return {"commit_message": message, "token": args.hub_token, "revision": args.hub_revision}


def _push(folder: tempfile.TemporaryDirectory, uploads: list[Callable[[str], Any]]) -> Any:
    with folder as name:
        return [upload_part(name) for upload_part in uploads][-1]


def _linked(checkpoint: Path) -> tempfile.TemporaryDirectory:
    """Returns a folder of links to a checkpoint's files: `save_total_limit` may remove the checkpoint meanwhile."""
    folder = tempfile.TemporaryDirectory(dir=checkpoint.parent, prefix=PREFIX)
    try:
        shutil.copytree(checkpoint, folder.name, copy_function=os.link, dirs_exist_ok=True)
    except (OSError, shutil.Error):  # a file system without links
        shutil.copytree(checkpoint, folder.name, dirs_exist_ok=True)
    return folder


def _copied(output: Path) -> tempfile.TemporaryDirectory:
    """Returns a folder with copies of what is shared of a model's folder: the next save replaces its files."""
    folder = tempfile.TemporaryDirectory(dir=output, prefix=PREFIX)
    for path in (*list_shared_files(output, "full"), output / CARD_DATA_FILE):
        copy = Path(folder.name, path.relative_to(output))
        copy.parent.mkdir(exist_ok=True)  # the evidence has a folder of its own
        shutil.copy2(path, copy)
    return folder


def _warn_of_failure(job: Future) -> None:
    """Warns of a push in the background that failed. It stops no training; the next one uploads what it did not."""
    if not job.cancelled() and (error := job.exception()) is not None:
        logger.warning("a checkpoint was not pushed: %s", first_line(error))


class FilesTrainer(Trainer):
    """transformers' Trainer with folders that are whole or as they were, cards, and an upload of what was chosen."""

    args: LassTrainingArguments
    processing_class: LassProcessor
    card: ModelCardCallback
    hub_model_id: Any  # the repository's whole name, once it is made
    push_in_progress: Any

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves model, processor and card into a folder, by default the output folder.

        Raises:
            LassError: The disk is full, or the folder cannot be written.
        """
        with saving(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model, trial):
        with saving(self.args.output_dir):
            if self.args.should_save:
                begin_checkpoint(self._get_output_dir(trial), self.state.global_step)
            super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # The Trainer's state, with which a checkpoint is whole, comes last.
        if self.args.should_save:
            name_states(Path(output_dir))

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = output_dir or str(self.args.output_dir)
        if not self.args.should_save:
            super()._save(folder, state_dict)
            return
        with replacing(folder) as beside:
            super()._save(str(beside), state_dict)
            if is_adapted(self.model):  # PEFT saves no configuration, and a card of its own.
                (beside / CARD_FILE).unlink(missing_ok=True)
                self.model.config.save_pretrained(beside)  # type: ignore[union-attr, operator]
                name_files(beside, CONFIG_NAME, WEIGHT_FILES, (ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME))
        self.card.write(folder, self)

    def create_model_card(self, **metadata: Any) -> None:  # type: ignore[override]
        """Writes the model card of the output folder again, with metadata for the hub, which stays in later cards.

        Args:
            **metadata: language, license, tags, model_name, finetuned_from, tasks, dataset_tags (names on the hub) or
                dataset (the graph's name).

        Raises:
            LassError: There is metadata of another name.
        """
        if unknown := [name for name in metadata if name not in METADATA]:
            raise LassError(f"{unknown[0]}={metadata[unknown[0]]!r} for a model card; expected {', '.join(METADATA)}")
        if self.is_world_process_zero():
            self.card.write(str(self.args.output_dir), self, metadata)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """Loads the weights of a checkpoint of this model and graph."""
        folder = Path(resume_from_checkpoint)
        check_checkpoint(folder, self.model.config, self.processing_class)
        check_same_adapter(folder, self.model)
        with library_errors(f"{folder}: its weights cannot be loaded", kind=LassError):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint):
        with library_errors(f"{checkpoint}: its optimizer cannot be loaded", kind=LassError):
            super()._load_optimizer_and_scheduler(checkpoint)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes the hub repository before the training begins, so that a wrong token is found before its end."""
        if self.is_world_process_zero():
            self.hub_model_id, self.push_in_progress = make_repository(self.args, token, private), None

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **metadata: Any,
    ):
        """Saves model, processor and card into the output folder, and uploads them.

        Args:
            commit_message: Message of the commit.
            blocking: Whether to wait for the end of the upload.
            token: Token of the hub; None for `args.hub_token`.
            revision: Branch; None for `args.hub_revision`.
            private: Whether a new repository is private.
            **metadata: See `create_model_card`.

        Returns:
            A `CommitInfo`, or a `Future` if not `blocking`.

        Raises:
            HubError: The hub refuses, or the connection breaks off. What was saved stays, and another call completes
                the push.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        metadata.setdefault("model_name", self.hub_model_id.rpartition("/")[2])
        self.create_model_card(**metadata)
        self._finish_current_push()
        pushed = upload_output(self.args, self.hub_model_id, str(commit_message), token, revision, blocking)
        if not blocking:
            self.push_in_progress = PushInProgress([pushed])  # type: ignore[arg-type] # it takes a list
        return pushed

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Uploads a checkpoint in the background, according to `hub_strategy`."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        running = None if self.push_in_progress is None or self.push_in_progress.is_done() else self.push_in_progress
        if running is not None and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self.push_in_progress = upload_checkpoint_in_background(
            self.args, self.hub_model_id, checkpoint_folder, self.state.global_step, running
        )
