"""The work that the tests of several processes compare: they run it in one process, and torchrun in two.

torchrun --nproc_per_node 2 tests/helpers/launched.py INPUTS OUTPUT      # writes OUTPUT/0.json and OUTPUT/1.json
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from helpers.evidence import some_evidence
from helpers.rule_sets import make_rules
from helpers.scripts import run_example
from helpers.tiny import make_graph, make_model, make_processor
from helpers.trainings import losses_of, trainer_of
from lass_hf import (
    KnowledgeGraph,
    LassPredictor,
    evaluate_link_prediction,
    evaluate_relation_prediction,
    evaluate_triplet_classification,
)
from lass_hf.cli.commands import main
from lass_hf.completion.completing import complete_graph
from lass_hf.completion.completion_files import IMPLIED, SUGGESTIONS
from lass_hf.core.architectures import BiEncoder
from lass_hf.evaluation.reranking import evaluate_reranking
from lass_hf.evidence.evidence import KINDS
from lass_hf.scoring.index_building import build_entity_index
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.training.hard_negatives import mine_hard_negatives
from lass_hf.training.in_batch_candidates import gather_candidates
from lass_hf.utils.distributed import processes
from lass_hf.utils.result_files import REPORT_FILE

QUIETLY = {"dtype": "float32", "quiet": True}
COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "broadcast", "reduce", "gather")
SHARDS = (([3, 5, 9], []), ([], [4]), ([2, 3, 7], [3, 4, 7, 8]))  # entities of each process
MEASURED = ("loss", "mrr", "mr", "accuracy", "roc_auc")
# Architecture, loss, training triplets, accumulated batches of a step under two processes, and size of the queue.
TRAININGS = {
    "cross-encoder": ("cross-encoder", "negative_sampling", 14, 1, 0),
    "cross-encoder, accumulated": ("cross-encoder", "mean_bce", 13, 2, 0),
    "cross-encoder, softmax": ("cross-encoder", "softmax", 13, 1, 0),
    "cross-encoder, a triplet": ("cross-encoder", "negative_sampling", 1, 1, 0),
    "bi-encoder": ("bi-encoder", "softmax", 14, 1, 0),
    "bi-encoder, sigmoid": ("bi-encoder", "negative_sampling", 13, 1, 0),
    "bi-encoder, queue": ("bi-encoder", "softmax", 14, 1, 6),
}
BI_ENCODER = {"normalize": True, "self_match_weight": 0.1, "neighbor_weight": 0.3, "frequency_weight": 0.5}


def trained(
    architecture: str,
    loss: str,
    count: int,
    accumulated: int,
    queue_size: int,
    output: Path,
    graph=None,
    resume=None,
    **more,
) -> dict:
    """Two epochs of batches of 4, the last one of an epoch smaller, and the evaluation of an untrained model."""
    graph, num_processes = graph or make_graph(), processes().num_processes
    accumulated = accumulated if num_processes > 1 else 1
    made = trainer_of(
        output / "training",
        graph,
        architecture,
        make_model(architecture=architecture, **BI_ENCODER) if architecture == "bi-encoder" else make_model(),
        graph["train"].select(np.arange(count)),
        loss=loss,
        learning_rate=0.05 if architecture == "cross-encoder" else 0.005,
        per_device_train_batch_size=4 // (num_processes * accumulated),
        gradient_accumulation_steps=accumulated,
        num_train_epochs=2,
        queue_size=queue_size,
        gradient_cache_tokens=30 if queue_size and num_processes > 1 else 0,  # one process encodes a batch at once
        **more,
    )
    before = made.evaluate()
    made.train(resume_from_checkpoint=resume)
    return {
        "losses": losses_of(made),
        "before": {name: before[f"eval_{name}"] for name in MEASURED if f"eval_{name}" in before},
        "calibration": made.model.config.calibration,
        "parameters": [value.tolist() for value in made.accelerator.unwrap_model(made.model).parameters()],
    }


def evaluated(inputs: Path) -> dict:
    """Everything that is to be equal to the last bit."""
    ring, labeled = (KnowledgeGraph.from_directory(inputs / name) for name in ("ring", "labeled"))
    cross_encoder, bi_encoder = make_model(), make_model(architecture="bi-encoder", **BI_ENCODER)
    of_cross_encoder, of_bi_encoder = (
        make_processor(ring, architecture=architecture) for architecture in ("cross-encoder", "bi-encoder")
    )
    scorer = TripletScorer(bi_encoder, of_bi_encoder.token_store(ring), "float32")
    index = build_entity_index(scorer, inputs / "index")
    found = {"vectors": index.vectors(np.arange(ring.num_entities)).tolist()}
    with counted() as sent:
        found["cross-encoder"] = evaluate_link_prediction(
            cross_encoder, of_cross_encoder, ring, **QUIETLY
        ).ranks.tolist()
        found["bi-encoder"] = evaluate_link_prediction(
            bi_encoder, of_bi_encoder, ring, index_folder=inputs / "index", **QUIETLY
        ).ranks.tolist()
    found["bytes sent"] = sent
    two_steps = make_rules((0, (0, 0, -1), -1, -1, 1, 2, 0.5, 0))
    evidence = some_evidence(ring, bi_encoder, of_bi_encoder, KINDS, two_steps)
    found["evidence"] = evaluate_link_prediction(
        bi_encoder, of_bi_encoder, ring, index_folder=inputs / "index", evidence=evidence, **QUIETLY
    ).ranks.tolist()
    of_labeled = make_processor(labeled, architecture="bi-encoder")
    complete_graph(
        labeled,
        bi_encoder,
        of_labeled,
        inputs / "completed",
        evidence=some_evidence(labeled, bi_encoder, of_labeled, KINDS),
        **QUIETLY,
    )
    found["completion"] = [
        (inputs / "completed" / name).read_text(encoding="utf-8") for name in (SUGGESTIONS, IMPLIED, REPORT_FILE)
    ]
    found["one triplet"] = evaluate_link_prediction(
        cross_encoder, of_cross_encoder, ring, limit=1, **QUIETLY
    ).ranks.tolist()
    two = KnowledgeGraph.from_triplets([("cat", "eats", "dog")], test=[("dog", "eats", "cat")])
    found["two entities"] = evaluate_link_prediction(cross_encoder, make_processor(two), two, **QUIETLY).ranks.tolist()
    graph = make_graph()
    found["relations"] = evaluate_relation_prediction(
        cross_encoder, make_processor(graph), graph, **QUIETLY
    ).ranks.tolist()
    classified = evaluate_triplet_classification(cross_encoder, make_processor(labeled), labeled, **QUIETLY)
    found["classification"] = [classified.scores.tolist(), classified.validation_scores.tolist(), classified.metrics]
    both = evaluate_reranking(
        bi_encoder,
        make_processor(graph, architecture="bi-encoder"),
        cross_encoder,
        make_processor(graph),
        graph,
        top_k=5,
        **QUIETLY,
    )
    found["reranking"] = [
        both.retrieval.ranks.tolist(),
        both.reranked.ranks.tolist(),
        both.retriever_weight,
        both.tokens,
    ]
    mined = mine_hard_negatives(scorer, ring["train"], depth=3, index_folder=inputs / "index", quiet=True)
    found["mined"] = {slot: entities.tolist() for slot, entities in mined.entities.items()}
    return found


@contextlib.contextmanager
def counted():
    """Gives a list of [name, bytes] of the collectives that are called inside of the block."""
    sent, before = [], {name: getattr(dist, name) for name in COLLECTIVES}

    def counting(name):
        def call(*arguments, **options):
            tensors = [value for value in arguments if isinstance(value, torch.Tensor)]
            sent.append([name, sum(tensor.numel() * tensor.element_size() for tensor in tensors)])
            return before[name](*arguments, **options)

        return call

    try:
        for name in COLLECTIVES:
            setattr(dist, name, counting(name))
        yield sent
    finally:
        for name in COLLECTIVES:
            setattr(dist, name, before[name])


def gathered() -> list:
    """Answers of processes that hold unequally many, one of them none, and the gradient that each gets back."""
    found = []
    for shards in SHARDS:
        entities = shards[processes().process_index]
        answers = torch.tensor(entities, dtype=torch.int64)
        own = torch.stack([answers, answers**2], dim=1).float().requires_grad_()
        vectors, every = gather_candidates(own, answers)
        vectors.sum().backward()
        found.append([every.tolist(), vectors.tolist(), own.grad.tolist()])
    return found


def commands(inputs: Path, output: Path) -> dict:
    """Exit code and what is printed of each command; --json files are in the folder `output`."""
    ring, labeled = ["--graph", inputs / "ring"], ["--graph", inputs / "labeled"]
    cross_encoder, bi_encoder = ["--model", inputs / "cross-encoder"], ["--model", inputs / "bi-encoder"]
    exact = ["--dtype", "float32", "--quiet"]
    question = ["--head", "cat", "--relation", "eats", *exact]
    every = {
        "evaluate": [
            "evaluate",
            *cross_encoder,
            *ring,
            *exact,
            "--json",
            inputs / "evaluate.json",
        ],  # goes on with a progress
        "evaluate bi-encoder": ["evaluate", *bi_encoder, *labeled, *exact, "--json", output / "bi-encoder.json"],
        "classify": ["classify", *cross_encoder, *labeled, *exact, "--json", output / "classify.json"],
        "predict": ["predict", *cross_encoder, *question, "--json", output / "predict.json"],
        "predict bi-encoder": ["predict", *bi_encoder, *question],
        "analyze": ["analyze", *cross_encoder, *labeled, *exact, "--output", output / "analysis"],
        "missing": ["evaluate", *cross_encoder, "--graph", inputs / "nowhere"],
    }
    found = {}
    for name, argv in every.items():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            found[name] = [main([str(word) for word in argv]), printed.getvalue()]
    return found


def example(inputs: Path) -> str:
    """Returns the output of an example script; its files are in `inputs / "example"`, one folder for all processes."""
    given = ["--graph", inputs / "plain", "--encoder", inputs / "encoder", "--output_dir", inputs / "example"]
    batch = ["--per_device_train_batch_size", 4 // processes().num_processes, "--num_train_epochs", 1, "--dropout", 0]
    rest = ["--logging_steps", 1, "--report_to", "none", "--save_strategy", "no", "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert run_example("link_prediction", *given, *batch, *rest) == 0
    return printed.getvalue()


def alone(inputs: Path) -> list:
    """Calls a predictor in one process only."""
    graph = KnowledgeGraph.from_directory(inputs / "labeled")
    predictor = LassPredictor(
        make_model(architecture="bi-encoder"), make_processor(graph, architecture="bi-encoder"), "float32"
    )
    return predictor.predict("cat", "eats") if processes().is_main_process else []


def everything(inputs: Path, output: Path) -> dict:
    BiEncoder.candidates_per_chunk = (
        20  # so that each process has some chunks; those of the cross-encoder are small enough
    )
    output.mkdir()
    return {
        "processes": [processes().process_index, processes().num_processes],
        "trainings": {name: trained(*choices, output) for name, choices in TRAININGS.items()},
        "resumed": trained(*TRAININGS["cross-encoder"], output, resume=str(inputs / "training" / "checkpoint-6")),
        "labeled": trained(*TRAININGS["cross-encoder"], output, KnowledgeGraph.from_directory(inputs / "labeled")),
        "evaluated": evaluated(inputs),
        "gathered": gathered() if processes().num_processes > 1 else [],
        "alone": alone(inputs),
        "commands": commands(inputs, output),
        "example": example(inputs),
    }


if __name__ == "__main__":
    given, written = Path(sys.argv[1]), Path(sys.argv[2])
    written.mkdir(exist_ok=True)
    place = written / str(processes().process_index)
    content = json.dumps(everything(given, place))
    Path(f"{place}.json").write_text(content, encoding="utf-8")
