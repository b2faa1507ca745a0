"""The Trainer's `push_to_hub` and `hub_strategy`, for models that carry a graph: what is uploaded is `hub.py`'s choice.

The Trainer's own would send the whole output folder: the graph's triplets, the entity index, pickled arguments.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer
from transformers.trainer_utils import HubStrategy
from transformers.utils.hub import PushInProgress

from ..core.errors import first_line
from ..hub.card_files import CARD_DATA_FILE
from ..hub.upload import list_shared_files, upload, upload_checkpoint
from ..utils.hub_client import api, create_repository

if TYPE_CHECKING:
    from .training_args import LassTrainingArguments

logger = logging.getLogger(__name__)
LAST_CHECKPOINT = "last-checkpoint"
PREFIX = "_push-"  # of folders in the output folder, while they are uploaded


class HubTrainer(Trainer):
    """A Trainer that uploads what `lass_hf.push_to_hub` does, with as much of the graph as `hub_include_graph` says."""

    args: "LassTrainingArguments"
    hub_model_id: Any  # the repository's whole name, once it is made
    push_in_progress: Any  # a PushInProgress

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes the repository before the training begins: a token that does not fit is not found out at its end."""
        if self.is_world_process_zero():
            name = self.args.hub_model_id or Path(self.args.output_dir or "").absolute().name
            private = self.args.hub_private_repo if private is None else private
            self.hub_model_id = create_repository(name, private=private, token=token or self.args.hub_token)
            self.push_in_progress = None
            for left in Path(self.args.output_dir or "").glob(f"{PREFIX}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ):
        """Saves model, processor and card into the output folder, and uploads them; arguments as of any Trainer.

        Returns CommitInfo, or a Future when not `blocking`. Raises HubError when the hub refuses or the connection
        breaks off; what was saved stays, and another call completes the push.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        kwargs.setdefault("model_name", self.hub_model_id.rpartition("/")[2])
        self.create_model_card(**kwargs)
        self._finish_current_push()
        folder = Path(str(self.args.output_dir))
        choices = self._choices(str(commit_message))
        choices |= {name: value for name, value in (("token", token), ("revision", revision)) if value is not None}
        send: Any = partial(upload, repo_id=self.hub_model_id, include_graph=self.args.hub_include_graph, **choices)
        if blocking:
            return send(folder)
        job = api().run_as_future(_push, _copied(folder), [send])
        self.push_in_progress = PushInProgress([job])  # type: ignore[arg-type] # it takes a list
        return job

    def _choices(self, message: str) -> dict[str, Any]:
        return {"commit_message": message, "token": self.args.hub_token, "revision": self.args.hub_revision}

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Uploads a checkpoint's model in the background; as `hub_strategy` says, also all that a resume needs."""
        strategy = self.args.hub_strategy
        if not self.is_world_process_zero() or strategy == HubStrategy.END:
            return
        busy = self.push_in_progress is not None and not self.push_in_progress.is_done()
        if busy and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        repo, include = self.hub_model_id, self.args.hub_include_graph
        message = f"Training in progress, step {self.state.global_step}"
        uploads = [partial(upload, repo_id=repo, include_graph=include, **self._choices(message))]
        if strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            name = LAST_CHECKPOINT if strategy == HubStrategy.CHECKPOINT else Path(checkpoint_folder).name
            choices = {"path_in_repo": name, **self._choices(f"{message}, checkpoint")}
            uploads.append(partial(upload_checkpoint, repo_id=repo, include_graph=include, **choices))
        job = api().run_as_future(_push, _linked(Path(checkpoint_folder)), uploads)
        job.add_done_callback(_warn_of_failure)
        jobs = [*self.push_in_progress.jobs, job] if busy else [job]
        self.push_in_progress = PushInProgress(jobs)  # type: ignore[arg-type] # it takes a list


def _push(folder: tempfile.TemporaryDirectory, uploads: list[Callable[[str], Any]]) -> Any:
    with folder as name:
        return [upload_part(name) for upload_part in uploads][-1]


def _linked(checkpoint: Path) -> tempfile.TemporaryDirectory:
    """A checkpoint's files in a folder of their own: `save_total_limit` may remove the checkpoint during the upload."""
    folder = tempfile.TemporaryDirectory(dir=checkpoint.parent, prefix=PREFIX)
    try:
        shutil.copytree(checkpoint, folder.name, copy_function=os.link, dirs_exist_ok=True)
    except (OSError, shutil.Error):  # a file system without links
        shutil.copytree(checkpoint, folder.name, dirs_exist_ok=True)
    return folder


def _copied(output: Path) -> tempfile.TemporaryDirectory:
    """What is shared of a model's folder, in one of its own: the next save writes into the same files."""
    folder = tempfile.TemporaryDirectory(dir=output, prefix=PREFIX)
    for path in (*list_shared_files(output, "full"), output / CARD_DATA_FILE):
        shutil.copy2(path, folder.name)
    return folder


def _warn_of_failure(job: Future) -> None:
    """A push in the background that fails stops no training; the next one sends what it did not."""
    if not job.cancelled() and (error := job.exception()) is not None:
        logger.warning("a checkpoint was not pushed: %s", first_line(error))
