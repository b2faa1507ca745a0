"""`LassTrainer`: the Hugging Face Trainer with the loss of LASS, its negatives, and ranking as evaluation.

It overrides `compute_loss`, what makes that right under accumulation and several processes, `evaluation_loop`, and the
loading of checkpoints, which must be those of this model and graph.
"""

import math
import time
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accelerate import DistributedType
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer_utils import EvalLoopOutput

from ..core.configuration_lass import LassConfig
from ..core.errors import LOADING_ERRORS, LassError, NonFiniteError, first_line
from ..core.knowledge_graph import GraphSplit
from ..core.known_triplets import KnownTriplets
from ..core.losses import (
    LOSSES,
    in_batch_sigmoid_loss,
    mean_bce_loss,
    negative_sampling_loss,
    softmax_loss,
    softmax_loss_of_groups,
)
from ..core.processing_lass import LassProcessor
from ..core.score_functions import distance_score
from ..evaluation.calibration import CalibrationCallback
from ..evaluation.card_data import classification_card_data, ranking_card_data, scoring_card_data
from ..evaluation.link_prediction import rank_split
from ..evaluation.triplet_classification import classify
from ..scoring.candidate_scores import CHUNK_SIZE, candidate_scores
from ..scoring.triplet_scorer import TripletScorer
from ..utils.eager_attention import eager_attention
from ..utils.fingerprints import config_fingerprint, graph_fingerprint, texts_fingerprint
from .data_collators import KGDataCollator, groups_of
from .in_batch import SLOTS, InBatchCollator, candidates_of, gather_answers
from .neighborhood_sampler import NeighborhoodSampler
from .reporting import ReportingTrainer
from .shared_batches import SharedBatches
from .training_args import LassTrainingArguments

# No process holds the whole model, so all must call the encoder equally often.
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA)


class LassTrainer(ReportingTrainer):
    """Trains a `LassForKGCompletion` on a graph's split.

    The loss is a mean over the positives of the global, accumulated batch, whatever the number of processes, also in
    the last batch of an epoch; only one with fewer triplets than processes counts some of them twice.

    `train_dataset` and `eval_dataset` are splits of a `KnowledgeGraph`; `processing_class` is a `LassProcessor`. The
    collator is made from `args` unless one is given. With a bi-encoder the candidates of the loss are those of the
    batch, of all processes and of one accumulation step. There, and with the softmax loss, false triplets are not
    trained on.

    `evaluate()` gives `eval_loss` and, for a split without labels, the filtered ranking metrics of
    `evaluate_link_prediction` (`eval_mrr`, ...; of `args.eval_triplets` seeded triplets when set), for one with false
    triplets `eval_accuracy` and its relatives, at the best threshold of that very split, and the mean binary
    cross-entropy as `eval_loss`.
    """

    args: LassTrainingArguments
    data_collator: KGDataCollator | InBatchCollator
    processing_class: LassProcessor

    def __init__(self, model=None, args=None, data_collator=None, train_dataset=None, eval_dataset=None, **kwargs):
        args = args or LassTrainingArguments()
        processor = kwargs.get("processing_class")
        if not isinstance(processor, LassProcessor):
            raise LassError(
                "LassTrainer needs processing_class=LassProcessor.from_encoder(...): it makes the sequences, and is "
                "saved with the model"
            )
        for split in (train_dataset, *(eval_dataset.values() if isinstance(eval_dataset, dict) else [eval_dataset])):
            if split is not None and not isinstance(split, GraphSplit):
                raise LassError(
                    "LassTrainer trains on splits of a KnowledgeGraph, such as graph['train']; got "
                    f"{type(split).__name__}"
                )
        split = train_dataset if train_dataset is not None else eval_dataset
        if isinstance(split, GraphSplit):
            processor.graph = split.graph  # the graph that is trained on is the one to save
            self.graph = split.graph
        separate = processor.architecture == "bi-encoder"
        if args.loss not in LOSSES[processor.architecture]:
            raise LassError(
                f"loss={args.loss!r} with {processor.architecture} architecture; expected one of "
                f"{', '.join(LOSSES[processor.architecture])}"
            )
        if separate or args.loss == "softmax":
            train_dataset = _true_triplets(train_dataset)
        data_collator = _collator(data_collator, processor, args)
        super().__init__(model, args, data_collator, train_dataset, eval_dataset, **kwargs)
        self.loss_is_scaled_for_ga = True  # compute_loss divides by the whole accumulated batch
        if self.model.config.architecture != processor.architecture:
            raise LassError(
                f"the model's architecture is {self.model.config.architecture!r}, the processor's {processor.architecture!r}: make "
                "both with the same architecture="
            )
        if self.args.neighborhood_size > 1 and not separate:
            raise LassError(
                f"neighborhood_size={self.args.neighborhood_size} with a cross-encoder, where triplets share nothing; "
                "leave it at 1"
            )
        if separate and self.args.n_gpu > 1:
            raise LassError(
                f"the bi-encoder on {self.args.n_gpu} GPUs of one process: start one process for each of them, with "
                "torchrun or accelerate launch"
            )
        self.add_callback(CalibrationCallback)
        if isinstance(data_collator, KGDataCollator):
            self.add_callback(_EpochCallback(data_collator))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """Refuses the checkpoint of another model or graph, which would go on to something that is neither."""
        folder = Path(resume_from_checkpoint)
        config = LassConfig.from_pretrained(folder)
        if config_fingerprint(config) != config_fingerprint(self.model.config):
            raise LassError(f"{folder}: the checkpoint of another model (its config.json differs)")
        saved, graph = LassProcessor.from_pretrained(folder), self.processing_class.graph
        if saved.graph is None or graph is None or graph_fingerprint(saved.graph) != graph_fingerprint(graph):
            raise LassError(f"{folder}: the checkpoint of a training on another graph")
        stores = saved.token_store(), self.processing_class.token_store(graph)
        if len(set(map(texts_fingerprint, stores))) > 1:
            raise LassError(f"{folder}: the checkpoint of a training on other texts, separators or max_length")
        try:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        except LOADING_ERRORS as error:
            raise LassError(f"{folder}: its weights cannot be loaded ({first_line(error)})") from error

    def _load_optimizer_and_scheduler(self, checkpoint):
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
        except (OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
            raise LassError(f"{checkpoint}: its optimizer cannot be loaded ({first_line(error)})") from error

    def _get_train_sampler(self, train_dataset=None):
        """In blocks of neighbors when `args.neighborhood_size` asks for them."""
        split = self.train_dataset if train_dataset is None else train_dataset
        if self.args.neighborhood_size == 1 or split is None:
            return super()._get_train_sampler(train_dataset)
        return NeighborhoodSampler(split.triplets, self.args.neighborhood_size, self.args.seed)

    def get_train_dataloader(self) -> DataLoader:
        """Also shares the last triplets of an epoch, for which accelerate would repeat its first ones."""
        dataloader = super().get_train_dataloader()
        shard = dataloader.batch_sampler
        if isinstance(shard, BatchSamplerShard) and not shard.split_batches:
            shard.batch_sampler = SharedBatches(shard.batch_sampler, shard.num_processes)
            shard.even_batches = False  # they are even
            shard.sampler = (
                shard.batch_sampler.sampler
            )  # where a resumed epoch, whose batches are wrapped, looks for it
        return dataloader

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Also counts what the loss is a mean over: positives (mean_bce: triplets) of the global, accumulated batch."""
        self.throughput.begin_step()
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        labels = torch.cat([batch["labels"] for batch in batches])
        counts = torch.stack([(labels == 1).sum(), torch.tensor(labels.numel())])
        counts = self.accelerator.gather(counts[None].to(device)).sum(0)
        self.throughput.add(counts)
        return batches, counts[1 if self.args.loss == "mean_bce" else 0].clamp(min=1)

    def training_step(self, *args, **kwargs):
        """As the Trainer's; on a CPU with eager attention, whose backward pass over short sequences is faster."""
        encoder = self.accelerator.unwrap_model(self.model).encoder
        quick = self.args.device.type == "cpu" and encoder.config._attn_implementation == "sdpa"
        with eager_attention(encoder) if quick else nullcontext():
            return super().training_step(*args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss that `args.loss` names, in float32; raises NonFiniteError for NaN."""
        inputs = dict(inputs)
        labels, groups = inputs.pop("labels"), inputs.pop("groups", None)
        batch = [inputs.pop(name, None) for name in ("triplets", "query_rows", "answers", "answer_rows")]
        sharded = self.accelerator.distributed_type in SHARDED
        if (
            sharded or self.args.n_gpu > 1 or self.args.torch_compile
        ):  # DataParallel cuts batches, compile wants one shape
            inputs.pop("length_buckets", None)
        outputs = model(**inputs)
        if outputs.embeddings is None:
            loss = self._loss(outputs.scores, labels, groups, num_items_in_batch)
        else:
            triplets, query_rows, answers, answer_rows = batch
            vectors, answers = gather_answers(outputs.embeddings[answer_rows], answers)
            queries = outputs.embeddings[query_rows]
            loss = self._in_batch_loss(queries, vectors, triplets, answers, outputs.factor, num_items_in_batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(
                f"the loss became {loss.item()} at step {self.state.global_step}: lower the learning rate "
                f"({self.args.learning_rate}), or train in float32 (--bf16 false); checkpoints in "
                f"{self.args.output_dir} are as they were"
            )
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes
        return (loss, outputs) if return_outputs else loss

    def _loss(
        self, scores: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor | None, count=None
    ) -> torch.Tensor:
        if self.args.loss == "mean_bce":
            return mean_bce_loss(scores, labels, count)
        if self.args.loss == "softmax":
            assert groups is not None
            weights = self.args.additive_margin, self.args.temperature
            return softmax_loss_of_groups(scores, labels, groups, *weights, count)
        assert isinstance(self.data_collator, KGDataCollator)
        return negative_sampling_loss(scores, labels, self.data_collator.sampler.num_slots, count)

    @cached_property
    def _known_texts(self) -> KnownTriplets:
        """The true training triplets, of entities with the same text the first."""
        graph = self.graph
        triplets = graph["train"].positives if "train" in graph else np.empty((0, 3), dtype=np.int64)
        return KnownTriplets(self._of_texts(triplets), graph.num_entities, graph.num_relations)

    def _of_texts(self, triplets: np.ndarray) -> np.ndarray:
        return self.processing_class.token_store(self.graph).of_texts(triplets)

    def _in_batch_loss(self, queries, vectors, triplets, answers, factor, count=None) -> torch.Tensor:
        """The loss of 2n queries, (2n, k), for n positives, (n, 3), among answers, (m,), with their vectors, (m, k)."""
        targets, *kinds = candidates_of(self._known_texts, *(numbers.cpu().numpy() for numbers in (triplets, answers)))
        target, masked, own = (torch.from_numpy(array).to(queries.device) for array in (targets, *kinds))
        with torch.autocast(queries.device.type, enabled=False):
            squared = queries.square().sum(1, keepdim=True) + vectors.square().sum(1) - 2 * queries @ vectors.T
            config: LassConfig = self.model.config  # type: ignore[assignment,union-attr]
            scores = distance_score(squared, config.margin, factor) + math.log(config.self_match_weight) * own
            number = None if count is None else len(SLOTS) * count
            if self.args.loss == "negative_sampling":
                return in_batch_sigmoid_loss(scores, target, masked, number)
            return softmax_loss(scores, target, masked, self.args.additive_margin, self.args.temperature, number)

    def _evaluated_in_batch_loss(self, scorer: TripletScorer, triplets: np.ndarray) -> torch.Tensor:
        """The loss of batches as large as those of a training, in the order of the triplets."""
        losses, size = [], self.args.per_device_train_batch_size * self.args.world_size
        for start in range(0, len(triplets), size):
            part = self._of_texts(triplets[start : start + size])
            queries = torch.cat([scorer.encode_queries(part, slot) for slot in SLOTS])
            answers = np.unique(part[:, [0, 2]])
            vectors, factor = scorer.encode_entities(answers), scorer.model.distance_factor()
            loss = self._in_batch_loss(queries, vectors, torch.from_numpy(part), torch.from_numpy(answers), factor)
            losses.append(len(part) * loss.detach())
        return torch.stack(losses).sum() / len(triplets)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Loss and metrics of a split through the scoring engine; the data loader only says which split."""
        split: GraphSplit = dataloader.dataset  # type: ignore[assignment]
        if split.graph is not self.graph:
            raise LassError(
                "LassTrainer evaluates on splits of the graph that it trains on; for another graph use "
                "evaluate_link_prediction"
            )
        model = self.accelerator.unwrap_model(self.model)
        scorer = TripletScorer(model, self.processing_class.token_store(split.graph))
        quiet = bool(self.args.disable_tqdm)
        size = num_scored = len(split)
        about = scoring_card_data((self.about or {}).get("graph"), "auto", model)
        started = time.perf_counter()
        if split.labels is not None and not split.labels.all():
            predictions = scorer.score(split.triplets, shared=True)
            seconds = time.perf_counter() - started
            loss = mean_bce_loss(torch.from_numpy(predictions), torch.from_numpy(split.labels))
            metrics = dict(classify(predictions, split, predictions, split).metrics)
            self.remember(classification_card_data(metrics, split, split.name, about))
        else:
            limit, seed = self.args.eval_triplets, self.args.seed
            chunk_size = CHUNK_SIZE[model.config.architecture]
            result = rank_split(
                candidate_scores(scorer, split, None, quiet), split, (0, 2), limit, seed, quiet, chunk_size
            )
            seconds = time.perf_counter() - started
            if isinstance(self.data_collator, KGDataCollator):
                triplets, labels = self.data_collator.with_negatives(result.triplets, unmined=True)
                arrays = scorer.score(triplets, shared=True), labels, groups_of(labels)
                loss = self._loss(*map(torch.from_numpy, arrays))
            else:
                loss = self._evaluated_in_batch_loss(scorer, result.triplets)
            predictions, metrics, size, num_scored = (
                result.ranks,
                result.metrics,
                len(result.triplets),
                result.num_scored,
            )
            self.remember(ranking_card_data(result, split, about))
        metrics["triplets_per_second"] = round(num_scored / seconds, 3)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in {"loss": loss.item(), **metrics}.items()}
        return EvalLoopOutput(np.asarray(predictions), split.labels, metrics, size)


def _true_triplets(split: GraphSplit | None) -> GraphSplit | None:
    if split is None or split.labels is None:
        return split
    if not split.labels.any():
        raise LassError("the training split has false triplets only, and this loss compares true ones with others")
    return split.select(np.flatnonzero(split.labels == 1))


def _collator(given, processor: LassProcessor, args: LassTrainingArguments):
    """The given collator, or that of the architecture, told what the loss needs."""
    if processor.architecture == "bi-encoder":
        return given or InBatchCollator(processor)
    collator = given or KGDataCollator(processor, **args.sampling())
    if isinstance(collator, KGDataCollator):
        collator.groups = args.loss == "softmax"
    return collator


class _EpochCallback(TrainerCallback):
    """Tells the collator the epoch, whose negatives it draws; after a resume too."""

    def __init__(self, collator: KGDataCollator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.set_epoch(int(state.epoch or 0))
