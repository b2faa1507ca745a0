"""Forward and backward pass of a training batch, with "sdpa" (flash) attention and with "eager" attention.

    python benchmarks/attention.py --graph DIR [--architecture bi-encoder] [--dropout 0] [--json FILE]

Both sides compute the same batch with the same weights, in interleaved rounds of one run. They use bfloat16 autocast
if the hardware multiplies bfloat16 natively. `LassTrainer` trains with "eager" on a CPU.
"""

import statistics
import tempfile

import common
import torch

from lass_hf import LassForKGCompletion, LassProcessor, LassTrainer, LassTrainingArguments
from lass_hf.training.samplers import NeighborhoodSampler


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=("cross-encoder", "bi-encoder"), default="cross-encoder")
    parser.add_argument(
        "--positives", type=int, default=16, help="positives per batch; the cross-encoder adds 15 negatives to each"
    )
    parser.add_argument(
        "--neighborhood_size", type=int, default=1, help="size of a neighborhood in a batch of the bi-encoder"
    )
    parser.add_argument("--max_length", type=int, default=128, help="longest sequence in tokens")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=3, help="training steps per round")
    arguments = parser.parse_args()
    graph, _ = common.load(arguments)
    architecture = arguments.architecture
    processor = LassProcessor.from_encoder(
        arguments.encoder, graph=graph, architecture=architecture, max_length=arguments.max_length
    )
    model = LassForKGCompletion.from_encoder(
        arguments.encoder, architecture=architecture, normalize=architecture == "bi-encoder", dropout=arguments.dropout
    )
    trainer = LassTrainer(
        model=model.to(common.device()),  # type: ignore[arg-type]
        args=LassTrainingArguments(tempfile.mkdtemp(), loss="softmax", report_to=[]),
        processing_class=processor,
        train_dataset=graph["train"],
    )
    order = NeighborhoodSampler(graph["train"].triplets, arguments.neighborhood_size, arguments.seed)
    rows = [row for row, _ in zip(order, range(arguments.positives), strict=False)]
    batch = trainer.data_collator([graph["train"][row] for row in rows])
    batch = {name: part.to(model.device) if torch.is_tensor(part) else part for name, part in batch.items()}
    tokens = sum(count * longest for count, _, longest in batch["length_buckets"])

    def make_side(attention: str):
        def run() -> int:
            model.encoder.set_attn_implementation(attention)
            model.train()
            for _ in range(arguments.steps):
                with torch.autocast(model.device.type, torch.bfloat16, enabled=bool(trainer.args.bf16)):
                    loss = trainer.compute_loss(model, batch)
                loss.backward()
                model.zero_grad()
            return arguments.steps * tokens

        return run

    sides = {name: make_side(name) for name in ("sdpa", "eager")}
    for run in sides.values():
        run()  # The first run warms up.
    rates = common.run_interleaved(sides, arguments.rounds)
    table = [
        {
            "attention": name,
            "tokens/s": statistics.median(rate),
            "eager gains": common.format_ratio(rates, "eager", name),
        }
        for name, rate in rates.items()
    ]
    common.print_table(table)
    precision = "bfloat16 autocast" if trainer.args.bf16 else "float32"
    common.finish(arguments, {"precision": precision, "tokens": tokens, "sides": table, "tokens_per_second": rates})


if __name__ == "__main__":
    main()
