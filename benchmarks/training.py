"""Training steps: the published recipe, the HF Trainer with a padding collator, and lass-hf.

    python benchmarks/training.py --graph DIR [--steps N] [--json FILE]

The HF Trainer gets the same positives with the same negatives, assembled by the same array operations, in one batch
padded to its longest sequence. The published recipe makes its own batches of 16 sequences. All timed steps have the
encoder's dropout. The HF Trainer and lass-hf run under autocast if the hardware multiplies bfloat16 natively. The sides
run in interleaved rounds of one run. Then the losses of the first 20 steps (float32, no dropout) are compared.
"""

import copy
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import torch
from published import BATCH_SIZE, PublishedRecipe
from torch.nn.functional import cross_entropy
from transformers import PrinterCallback, Trainer

from lass_hf import KGDataCollator, KnowledgeGraph, LassForKGCompletion, LassProcessor, LassTrainer
from lass_hf import LassTrainingArguments as Arguments
from lass_hf.training.losses import mean_bce_loss

COMPARED_STEPS = 20


def make_trainer(arguments, is_lass: bool, model: LassForKGCompletion, processor: LassProcessor, **choices) -> Trainer:
    """Makes a `LassTrainer`, or an HF Trainer that gets the same batches without their length buckets."""
    training = Arguments(
        tempfile.mkdtemp(),
        per_device_train_batch_size=arguments.positives,
        learning_rate=1e-5,
        seed=arguments.seed,
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
        dataloader_drop_last=True,
        **choices,
    )
    graph = processor.graph
    assert graph is not None
    collate = KGDataCollator(processor, graph, seed=arguments.seed)
    if is_lass:
        trainer: Trainer = LassTrainer(
            model=model,
            args=training,
            data_collator=collate,
            train_dataset=graph["train"],
            processing_class=processor,
        )
    else:

        def collate_padded(items: Any) -> dict[str, torch.Tensor]:
            return {name: value for name, value in collate(items).items() if name != "length_buckets"}

        trainer = Trainer(model=model, args=training, data_collator=collate_padded, train_dataset=graph["train"])
    trainer.remove_callback(PrinterCallback)
    return trainer


def published_side(arguments, graph: KnowledgeGraph, steps: int) -> Callable[[], int]:
    """Returns a run of the published training: batches of 16, mean BCE plus 0 times the masked-LM loss, eps 1e-6."""
    recipe = PublishedRecipe(arguments.encoder, graph, common.device())
    recipe.model.train()
    optimizer = torch.optim.AdamW(recipe.model.parameters(), lr=1e-5, eps=1e-6)
    random = np.random.default_rng(arguments.seed)
    labels = torch.tensor([1.0] + [0.0] * (BATCH_SIZE - 1), device=common.device())

    def run() -> int:
        for _ in range(steps):
            triplets = np.repeat(random.choice(graph["train"].triplets, 1), BATCH_SIZE, axis=0)
            triplets[1:6, 0], triplets[6:11, 2] = (random.integers(0, graph.num_entities, 5) for _ in range(2))
            triplets[11:, 1] = random.integers(0, graph.num_relations, 5)
            scores, logits = recipe.forward(triplets)
            # The cost of the masked-LM loss does not depend on the targets.
            targets = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
            language_loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
            (mean_bce_loss(scores, labels) + 0.0 * language_loss).backward()
            optimizer.step()
            optimizer.zero_grad()
        return steps * BATCH_SIZE

    return run


def trainer_side(arguments, is_lass: bool, model: LassForKGCompletion, processor: LassProcessor) -> Callable[[], int]:
    """Returns a run of `--steps` training steps; it returns the number of sequences."""
    trainer = make_trainer(arguments, is_lass, copy.deepcopy(model), processor, max_steps=arguments.steps)
    split = trainer.train_dataset
    per_step = len(trainer.data_collator([split[row] for row in range(arguments.positives)])["labels"])  # type: ignore[index]

    def run() -> int:
        trainer.train()
        return arguments.steps * per_step

    return run


def compute_losses(arguments, is_lass: bool, model: LassForKGCompletion, processor: LassProcessor) -> list[float]:
    """Returns the losses of the first steps in float32 and without dropout."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    choices = {"max_steps": COMPARED_STEPS, "logging_steps": 1, "bf16": False}
    trainer = make_trainer(arguments, is_lass, model, processor, **choices)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--positives", type=int, default=16, help="positives per step, with 15 negatives each")
    parser.add_argument("--steps", type=int, default=8, help="training steps per round")
    arguments = parser.parse_args()
    graph, model = common.load(arguments)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph)
    sides = {
        "published recipe float32": published_side(arguments, graph, steps=2),
        "HF Trainer, padding": trainer_side(arguments, False, model, processor),
        "lass-hf": trainer_side(arguments, True, model, processor),
    }
    rates = common.run_interleaved(sides, arguments.rounds)
    rows = [
        {
            "side": name,
            "sequences/s": statistics.median(rate),
            "lass-hf is faster by": common.format_ratio(rates, "lass-hf", name),
        }
        for name, rate in rates.items()
    ]
    common.print_table(rows)
    hf_losses, lass_losses = (compute_losses(arguments, is_lass, model, processor) for is_lass in (False, True))
    difference = max(abs(left - right) / abs(left) for left, right in zip(hf_losses, lass_losses, strict=True))
    first, last = hf_losses[0], hf_losses[-1]
    print(f"losses of the first {COMPARED_STEPS} steps (float32, no dropout): {first:.4f} ... {last:.4f}")
    print(f"largest relative difference between HF Trainer and lass-hf: {difference:.1e}")
    common.finish(
        arguments,
        {
            "precision": "bfloat16 autocast" if common.native_bfloat16() else "float32",
            "sides": rows,
            "sequences_per_second": rates,
            "losses": {"HF Trainer, padding": hf_losses, "lass-hf": lass_losses},
            "largest_relative_loss_difference": difference,
        },
    )


if __name__ == "__main__":
    main()
