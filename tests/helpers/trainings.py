"""Short trainings of the tiny model on the 14 training triplets, and what they are compared by."""

import numpy as np
import torch

from helpers.tiny import make_model, make_processor
from lass_hf import KGDataCollator, LassTrainer, LassTrainingArguments

PLAIN = {
    "learning_rate": 0.05,
    "optim": "sgd",
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 4,
    "num_train_epochs": 1,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
}


def plain_arguments(folder, architecture="cross-encoder", **choices) -> LassTrainingArguments:
    """Arguments of a plain training, with two negatives where they are drawn."""
    drawn = {"num_negatives": 2} if architecture == "cross-encoder" else {}
    return LassTrainingArguments(output_dir=str(folder), **{**PLAIN, **drawn, **choices})


def make_trainer(
    folder,
    graph,
    processor,
    model=None,
    train_dataset=None,
    eval_dataset=None,
    data_collator=None,
    callbacks=None,
    **choices,
) -> LassTrainer:
    """A trainer in float32: plain gradient descent, each step's loss logged, nothing saved."""
    return LassTrainer(
        model=make_model() if model is None else model,
        args=plain_arguments(folder, getattr(processor, "architecture", "cross-encoder"), **choices),
        processing_class=processor,
        train_dataset=graph["train"] if train_dataset is None else train_dataset,
        eval_dataset=graph["validation"] if eval_dataset is None else eval_dataset,
        data_collator=data_collator,
        callbacks=callbacks,
    )


def trainer_of(folder, graph, architecture="cross-encoder", model=None, train_dataset=None, **choices) -> LassTrainer:
    """The same, with the model, the processor and the loss of an architecture."""
    processor = make_processor(graph, architecture=architecture)
    model = make_model(architecture=architecture) if model is None else model
    loss = {"loss": "softmax"} if architecture == "bi-encoder" else {}
    return make_trainer(folder, graph, processor, model, train_dataset, **{**loss, **choices})


class RecordingCollator(KGDataCollator):
    """Notes each batch with the epoch whose negatives it holds, in the order in which they are made."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def __call__(self, features):
        batch = super().__call__(features)
        self.batches.append((int(self._epoch), batch))
        return batch


def losses_of(trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def parameters_of(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def assert_close(found, expected, **tolerance):
    """Are two dictionaries of tensors close?"""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


def assert_equal(found, expected):
    assert_close(found, expected, rtol=0, atol=0)


def expected_loss(model, batch, loss) -> float:
    """Eq. 4 (or 3, or the mean of binary cross-entropies) of a batch in float64, positive by positive."""
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "groups")}
    with torch.no_grad():
        scores = model(**inputs).scores.double().numpy()
    labels = batch["labels"].numpy()
    if loss == "softmax":
        groups = [scores[batch["groups"].numpy() == group] for group in range(labels.sum())]
        return np.mean([np.logaddexp.reduce(group) for group in groups]) - scores[labels == 1].mean()
    terms = np.where(labels == 1, np.logaddexp(0, -scores), np.logaddexp(0, scores))
    if loss == "mean_bce":
        return terms.mean()
    return (3 * terms[labels == 1].sum() + terms[labels == 0].sum()) / (labels == 1).sum()
