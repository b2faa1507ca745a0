"""Trains a method that learns from the graph alone, by PyKEEN (`pip install "lass-hf[compare]"`).

PyKEEN is imported when a training begins. It gets integers, writes nothing that stays, and prints nothing.
"""

import gc
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..core.errors import LassError, NonFiniteError, first_line
from .methods import EmbeddingMethod

FOLDERS = ("PYSTOW_HOME", "PYKEEN_HOME")  # Where PyKEEN keeps what it downloads.
INSTALL = 'pip install "lass-hf[compare]"'


def check_pykeen() -> str:
    """Imports PyKEEN, and returns its version.

    At its import PyKEEN makes folders for data sets in the home, which may be read-only. None are needed here: unless
    the user names a place for them, it is a temporary one.

    Raises:
        LassError: PyKEEN, or what it needs, is not installed.
    """
    try:
        with _own_folder():
            import pykeen  # first: an error then names it
            import pykeen.models
            import pykeen.training
            import pykeen.triples
            import pykeen.version
    except ImportError as error:
        why = "is not installed" if error.name == "pykeen" else f"cannot be imported ({first_line(error)})"
        raise LassError(f"PyKEEN {why}: {INSTALL}") from None
    return pykeen.version.VERSION


@contextmanager
def _own_folder() -> Iterator[None]:
    if any(name in os.environ for name in FOLDERS):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="lass-hf-") as folder:
        os.environ[FOLDERS[0]] = folder
        try:
            yield
        finally:
            del os.environ[FOLDERS[0]]


def train_embeddings(
    method: EmbeddingMethod,
    triplets: np.ndarray,
    num_entities: int,
    num_relations: int,
    *,
    seed: int = 42,
    device: torch.device | str = "cpu",
    minutes: float | None = None,
    on_epoch: Callable[[], Any] | None = None,
) -> Any:
    """Trains a method on triplets.

    Args:
        method: The method.
        triplets: Int of shape (n, 3).
        num_entities: The number of entities.
        num_relations: The number of relations.
        seed: Seed of the first vectors, the batches and the negatives.
        device: The device to train on.
        minutes: The time after which no new epoch begins; None for no limit.
        on_epoch: Called after each epoch.

    Returns:
        The trained model, a `pykeen.models.Model`.

    Raises:
        LassError: PyKEEN is not installed.
        NonFiniteError: The training diverged.
    """
    check_pykeen()
    from pykeen.models import model_resolver
    from pykeen.training import LCWATrainingLoop, SLCWATrainingLoop, TrainingCallback
    from pykeen.training.training_loop import NonFiniteLossError
    from pykeen.triples import CoreTriplesFactory

    started = time.monotonic()

    class AfterEpoch(TrainingCallback):
        def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
            if on_epoch is not None:
                on_epoch()
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                self.training_loop._should_stop = True  # as PyKEEN's own early stopper does

    asks_for_all = method.negatives == 0
    factory = CoreTriplesFactory(
        torch.as_tensor(triplets), num_entities, num_relations, create_inverse_triples=asks_for_all
    )
    # The queries or triplets of an epoch. Of a method that normalizes batches, PyKEEN drops the last, incomplete one.
    sides = (triplets[:, :2], triplets[:, 1:]) if asks_for_all else (triplets,)
    size = sum(len(np.unique(side, axis=0)) for side in sides)
    with _undisturbed(), tempfile.TemporaryDirectory(prefix="lass-hf-") as folder:
        model = model_resolver.make(
            method.model,
            dict(method.model_choices),
            triples_factory=factory,
            random_seed=seed,
            loss=method.loss,
            loss_kwargs=dict(method.loss_choices),
        ).to(device)
        choices: dict[str, Any] = {"model": model, "triples_factory": factory, "optimizer": "Adam"}
        choices |= {"optimizer_kwargs": {"lr": method.learning_rate}, "automatic_memory_optimization": False}
        loop: Any
        if asks_for_all:
            loop = LCWATrainingLoop(**choices)
        else:
            loop = SLCWATrainingLoop(**choices, negative_sampler_kwargs={"num_negs_per_pos": method.negatives})
        try:
            loop.train(
                factory,
                num_epochs=method.epochs,
                batch_size=min(method.batch_size, size),
                label_smoothing=method.label_smoothing,
                use_tqdm=False,
                callbacks=AfterEpoch,
                checkpoint_directory=folder,
                pin_memory=False,
            )
        except NonFiniteLossError:
            raise NonFiniteError(f"{method.title}: the training diverged, its loss is not finite") from None
    return model.eval()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Lets PyKEEN log errors only, seed nobody else's random numbers, and collect no garbage but its own.

    It collects after each epoch, which takes half a second where all the objects of other libraries are looked at.
    """
    logger = logging.getLogger("pykeen")
    level, states = logger.level, (random.getstate(), np.random.get_state())
    logger.setLevel(logging.ERROR)
    gc.freeze()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        gc.unfreeze()
        random.setstate(states[0])
        np.random.set_state(states[1])
        logger.setLevel(level)
