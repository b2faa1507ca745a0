"""Several processes give the losses, weights and ranks of one, and finish what one of them left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_model, wordpiece_tokenizer, write_graph

from lass_hf import KnowledgeGraph, LassProcessor
from lass_hf.cli import main

pytestmark = pytest.mark.slow

FOLDER = str(Path(__file__).parent)


def launch(*arguments, processes=1) -> subprocess.CompletedProcess:
    """Runs Python with one thread in each of `processes` processes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", processes, "--master_port", port]
    command = [sys.executable, *(launcher if processes > 1 else []), *arguments]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


# Training

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from accelerate import PartialState
from conftest import make_graph, make_model, wordpiece_tokenizer
from lass_hf import LassProcessor, LassTrainer, LassTrainingArguments, trainer as training

state = PartialState(cpu=True)
training.UNIT_SIZE.update(joint=20, separate=20)  # so that each process has some units
graph = make_graph()
results = {"num_processes": state.num_processes}
for encoding, loss in (
    ("joint", "negative_sampling"), ("joint", "mean_bce"), ("separate", "softmax"), ("separate", "negative_sampling")
):
    processor = LassProcessor(wordpiece_tokenizer(), encoding=encoding)
    model = make_model(encoding=encoding, normalize=encoding == "separate")
    arguments = LassTrainingArguments(
        output_dir=sys.argv[2] + ".out", learning_rate=0.05 if encoding == "joint" else 0.005, optim="sgd",
        lr_scheduler_type="constant",
        per_device_train_batch_size=4 // state.num_processes, max_steps=3, max_grad_norm=0.0, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True, bf16=False, num_negatives=2, loss=loss)
    trainer = LassTrainer(model=model, args=arguments, processing_class=processor, train_dataset=graph["train"],
                          eval_dataset=graph["validation"])
    before = trainer.evaluate()
    trainer.train()
    trained = trainer.accelerator.unwrap_model(trainer.model)
    results[f"{encoding} {loss}"] = {
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "mrr": before["eval_mrr"],
        "eval_loss": before["eval_loss"],
        "parameters": [parameter.tolist() for parameter in trained.parameters()],
    }
with open(f"{sys.argv[2]}.{state.process_index}.json", "w") as file:
    json.dump(results, file)
if state.num_processes > 1:
    torch.distributed.destroy_process_group()
"""


def test_two_processes_train_and_evaluate_like_one(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    for name, processes in (("one", 1), ("two", 2)):
        process = launch(script, FOLDER, tmp_path / name, processes=processes)
        assert process.returncode == 0, process.stderr[-3000:]
    one, first, second = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("one.0.json", "two.0.json", "two.1.json")
    )
    assert (one["num_processes"], first["num_processes"], second["num_processes"]) == (1, 2, 2)
    assert len(one) == 5
    for loss in set(one) - {"num_processes"}:
        assert len(one[loss]["losses"]) == 3
        assert first[loss]["losses"] == pytest.approx(one[loss]["losses"], rel=1e-5)
        for found in (first, second):
            assert found[loss]["mrr"] == one[loss]["mrr"]
            assert found[loss]["eval_loss"] == pytest.approx(one[loss]["eval_loss"], rel=1e-6)
            for value, expected in zip(found[loss]["parameters"], one[loss]["parameters"], strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


# Ranking, in the command line

# Evaluates, and kills itself after two units.
KILLED = """
import itertools, os, signal, sys
from lass_hf.cli import main
from lass_hf.ranking_progress import RankingProgress

record, count = RankingProgress.record, itertools.count(1)

def record_and_kill(self, *arguments):
    record(self, *arguments)
    if next(count) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

RankingProgress.record = record_and_kill
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def evaluate(model_folder, tmp_path_factory):
    """Arguments of an evaluation of three units of head queries and as many of tail queries."""
    draw = np.random.default_rng(0).integers
    train = [(f"e{number}", "eats", f"e{(number + 1) % 500}") for number in range(500)]
    test = [(f"e{head}", "eats", f"e{tail}") for head, tail in zip(range(24), draw(100, 500, 24), strict=True)]
    folder = write_graph(tmp_path_factory.mktemp("ring"), train, [], test, entity_text=None)
    return ["evaluate", "--model", model_folder, "--graph", str(folder), "--json"]


@pytest.fixture(scope="module")
def by_one(evaluate, tmp_path_factory):
    """What one process writes."""
    file = tmp_path_factory.mktemp("one") / "one.json"
    assert main([*evaluate, str(file), "--quiet"]) == 0
    return json.loads(file.read_text(encoding="utf-8"))


def test_two_processes_encode_and_rank_exactly_like_one_with_separate_encoding(evaluate, tmp_path):
    graph = KnowledgeGraph.from_directory(evaluate[4])
    found = {}
    for processes in (1, 2):
        folder, file = tmp_path / f"model{processes}", tmp_path / f"{processes}.json"
        make_model(encoding="separate", normalize=True).save_pretrained(folder)
        processor = LassProcessor(wordpiece_tokenizer(), encoding="separate")
        processor.graph = graph
        processor.save_pretrained(folder)
        arguments = ["evaluate", "--model", folder, "--graph", evaluate[4], "--dtype", "float32", "--json", file]
        process = launch("-m", "lass_hf.cli", *arguments, processes=processes)
        assert process.returncode == 0, process.stderr[-3000:]
        found[processes] = json.loads(file.read_text(encoding="utf-8"))
        assert len(list(folder.rglob("entity_index/float32/*.safetensors"))) == 1
    assert found[2]["num_processes"] == 2
    assert found[1]["ranks"] == found[2]["ranks"]
    assert found[1]["metrics"] == found[2]["metrics"]


def test_two_processes_rank_exactly_like_one(evaluate, by_one, tmp_path):
    file = tmp_path / "two.json"
    process = launch("-m", "lass_hf.cli", *evaluate, file, processes=2)
    assert process.returncode == 0, process.stderr[-3000:]
    assert "continuing" not in process.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (by_one["num_processes"], found["num_processes"]) == (1, 2)
    assert {**found, "seconds": 0} == {**by_one, "num_processes": 2, "seconds": 0}
    assert len(found["ranks"]) == 48
    assert [path.name for path in tmp_path.iterdir()] == ["two.json"]


def test_two_processes_finish_what_a_killed_one_left(evaluate, by_one, tmp_path):
    file = tmp_path / "ranks.json"
    assert launch("-c", KILLED, *evaluate, file).returncode == -signal.SIGKILL
    progress = Path(f"{file}.progress") / "process-0.jsonl"
    *lines, last = progress.read_text(encoding="utf-8").splitlines()
    unit = json.loads(last)
    assert len(lines) == 2
    unit["ranks"] = [[rank + 1000 for rank in ranks] for ranks in unit["ranks"]]  # to see it again
    progress.write_text("\n".join([*lines, json.dumps(unit), '{"slot": 2, "un']), encoding="utf-8")
    process = launch("-m", "lass_hf.cli", *evaluate, file, processes=2)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stderr.count("continuing: ") == 1
    ranks = json.loads(file.read_text(encoding="utf-8"))["ranks"]
    moved = np.array(ranks) - by_one["ranks"]
    assert set(moved) == {0, 1000}
    assert (moved == 1000).sum() == len(unit["ranks"][0])
    assert [path.name for path in tmp_path.iterdir()] == ["ranks.json"]


def test_example_script_records_one_experiment_whatever_the_number_of_processes(tmp_path, graph_folder, encoder_folder):
    """Each process reads the finished model; the batch of the record is that of a step over both."""
    script = Path(__file__).parent.parent / "examples" / "run_link_prediction.py"
    records = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        flags = ["--graph", graph_folder, "--encoder", encoder_folder, "--output_dir", folder, "--max_steps", 2]
        batch = ["--per_device_train_batch_size", 4 // processes, "--report_to", "none", "--save_strategy", "no"]
        done = launch(script, *flags, *batch, "--dropout", 0, "--logging_steps", 1, "--quiet", processes=processes)
        assert done.returncode == 0, done.stderr
        records.append(json.loads((folder / "link_prediction.json").read_text(encoding="utf-8")))
    one, two = records
    assert [one["training"]["num_processes"], two["training"]["num_processes"]] == [1, 2]
    assert one["choices"] == two["choices"]
    assert one["choices"]["positives_per_step"] == 4
    assert two["training"]["command"].startswith("torchrun --nproc_per_node 2 ")
    assert one["training"]["metrics"]["train_loss"] == pytest.approx(two["training"]["metrics"]["train_loss"], rel=1e-5)
