"""Several processes give the losses, weights and ranks of one, finish what one left behind, and end together."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers import launched
from helpers.tiny import FALSE, TEST, TRAIN, VALIDATION, make_model, make_processor, write_graph
from torch.utils.data import BatchSampler, SequentialSampler

from lass_hf import KnowledgeGraph
from lass_hf.cli.commands import main
from lass_hf.scoring.chunk_progress import DIGEST_SIZE, ChunkProgress, _with_digest
from lass_hf.training.in_batch_candidates import gather_candidates
from lass_hf.training.samplers import SharedBatches
from lass_hf.utils.console import first_to_fail

ROOT = Path(__file__).parents[2]
EXACT = (
    *("vectors", "cross-encoder", "bi-encoder", "one triplet", "two entities", "relations"),
    *("evidence", "classification", "reranking", "mined", "completion"),
)


def launch(*arguments, processes=2) -> subprocess.CompletedProcess:
    """Runs Python with one thread in each of `processes` processes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", processes, "--master_port", port]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"  # this checkout, not an installed one
    environment["PYTHONWARNINGS"] = "error::FutureWarning,error::DeprecationWarning"
    with tempfile.TemporaryDirectory() as scratch:  # torchrun makes a folder for its logs, and leaves it.
        return subprocess.run(
            [str(part) for part in (sys.executable, *(launcher if processes > 1 else []), *arguments)],
            env={**environment, "TMPDIR": scratch},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def errors_of(process) -> list[str]:
    return [line for line in process.stderr.splitlines() if line.startswith("lass-hf: error: ")]


# One process and two, side by side


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, encoder_folder):
    """A graph of six chunks of ranking, one with labels, a plain one, an encoder, and a model of each architecture."""
    folder = tmp_path_factory.mktemp("inputs")
    draw = np.random.default_rng(0).integers
    train = [(f"e{number}", "eats", f"e{(number + 1) % 500}") for number in range(500)]
    test = [(f"e{head}", "eats", f"e{tail}") for head, tail in zip(range(24), draw(100, 500, 24), strict=True)]
    write_graph(folder / "ring", train, [], test, entity_text=None)
    rows = [[(*row, "1") for row in split] + [(*row, "-1") for row in FALSE] for split in (VALIDATION, TEST)]
    write_graph(folder / "labeled", TRAIN, *rows)
    write_graph(folder / "plain")
    shutil.copytree(encoder_folder, folder / "encoder")
    for architecture in ("cross-encoder", "bi-encoder"):
        make_model(architecture=architecture, normalize=architecture == "bi-encoder").save_pretrained(
            folder / architecture
        )
        graph = KnowledgeGraph.from_directory(folder / "labeled")
        make_processor(graph, architecture=architecture).save_pretrained(folder / architecture)
    launched.trained(*launched.TRAININGS["cross-encoder"], folder, save_strategy="steps", save_steps=2)
    return folder


def stop_after_two_chunks(arguments, monkeypatch) -> Path:
    """Evaluates in this process and stops half-way; returns the file of its progress."""
    record, done = ChunkProgress.record, []

    def record_and_stop(self, chunk, ranks):
        record(self, chunk, ranks)
        done.append(chunk)
        if len(done) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr(ChunkProgress, "record", record_and_stop)
        assert main(arguments) == 130
    return Path(f"{arguments[-1]}.progress", "process-0.jsonl")


def raise_last(file: Path) -> int:
    """Adds 1000 to the ranks of the last finished chunk, and a line that is cut off; returns the number of ranks."""
    *lines, last = file.read_bytes().splitlines(keepends=True)
    chunk = json.loads(last[DIGEST_SIZE:])
    chunk["values"] = [[rank + 1000 for rank in ranks] for ranks in chunk["values"]]
    changed = _with_digest(json.dumps(chunk).encode() + b"\n", first=lines[0][DIGEST_SIZE:])
    file.write_bytes(b"".join([*lines, changed, changed[:50]]))
    return len(chunk["values"][0])


@pytest.fixture(scope="module")
def one(inputs, tmp_path_factory):
    """The results of one process, this one."""
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(inputs, folder / "inputs")
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(launched.BiEncoder, "candidates_per_chunk", 20)  # and back to what it was
        found = launched.everything(folder / "inputs", folder / "0")
    return json.loads(json.dumps(found)) | {"folder": folder}


@pytest.fixture(scope="module")
def two(inputs, tmp_path_factory):
    """The results and the output of two processes, whose evaluation continues an interrupted one."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(inputs, folder / "inputs")
    arguments = [
        "evaluate",
        "--model",
        inputs / "cross-encoder",
        "--graph",
        inputs / "ring",
        "--dtype",
        "float32",
        "--quiet",
    ]
    with pytest.MonkeyPatch.context() as patches:
        progress = stop_after_two_chunks(
            [str(word) for word in (*arguments, "--json", folder / "inputs" / "evaluate.json")], patches
        )
    moved = raise_last(progress)
    process = launch(launched.__file__, folder / "inputs", folder)
    assert process.returncode == 0, process.stderr[-3000:]
    ranks = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    return {"ranks": ranks, "folder": folder, "stderr": process.stderr, "moved": moved, "process": process}


@pytest.mark.slow
@pytest.mark.parametrize("name", launched.TRAININGS)
def test_two_processes_train_and_evaluate_like_one(name, one, two):
    """At the same batch, also in the last step of an epoch, which has 2 triplets, or 1."""
    expected = one["trainings"][name]
    assert len(expected["losses"]) == (2 if name == "cross-encoder, a triplet" else 8)
    for number, found in enumerate(two["ranks"]):
        assert found["processes"] == [number, 2]
        own = found["trainings"][name]
        assert own["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert own["before"]["mrr"] == expected["before"]["mrr"]
        assert own["before"] == pytest.approx(expected["before"], rel=1e-6)
        for value, other in zip(own["parameters"], expected["parameters"], strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_resume_the_training_of_one(one, two):
    """In the middle of the second epoch, whose order and negatives are not those of the first."""
    expected = one["trainings"]["cross-encoder"]
    for found in (one, *two["ranks"]):
        for value, other in zip(found["resumed"]["parameters"], expected["parameters"], strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-6)
        assert found["resumed"]["losses"] == pytest.approx(expected["losses"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_classify_during_a_training_like_one(one, two):
    expected = one["labeled"]
    assert set(expected["before"]) == {"loss", "accuracy", "roc_auc"}
    for found in two["ranks"]:
        assert found["labeled"]["before"] == expected["before"]
        assert found["labeled"]["calibration"] == pytest.approx(expected["calibration"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("what", EXACT)
def test_two_processes_evaluate_exactly_like_one(what, one, two):
    assert one["evaluated"][what]
    for found in two["ranks"]:
        assert found["evaluated"][what] == one["evaluated"][what]


@pytest.mark.slow
def test_launched_processes_send_each_other_ranks_and_no_scores(one, two):
    """Three int64 per query: ranks, and the number of candidates. Scores would be 500 float32 per query."""
    assert one["evaluated"]["bytes sent"] == []
    for found in two["ranks"]:
        assert found["evaluated"]["bytes sent"] == 4 * [["all_reduce", 3 * 24 * 8]]


@pytest.mark.slow
def test_launched_processes_gather_candidates_of_unequal_shards(two):
    """For an entity that both have, the first process's vector is taken, and gets the gradients of both."""
    for number, found in enumerate(two["ranks"]):
        for shards, (answers, vectors, gradient) in zip(launched.SHARDS, found["gathered"], strict=True):
            assert answers == sorted({*shards[0], *shards[1]})
            assert vectors == [[entity, entity**2] for entity in answers]
            taken = [entity for entity in shards[number] if number == 0 or entity not in shards[0]]
            assert gradient == [[2.0, 2.0] if entity in taken else [0.0, 0.0] for entity in shards[number]]


@pytest.mark.slow
def test_launched_commands_print_once_what_one_process_prints(one, two):
    first, second = (found["commands"] for found in two["ranks"])
    own, other = one["folder"], two["folder"]
    for name, (code, printed) in one["commands"].items():
        assert code == (2 if name == "missing" else 0), name
        assert [first[name][0], second[name]] == [code, [code, ""]], name
        if name not in ("evaluate", "missing"):
            assert printed.strip()
            assert first[name][1] == printed.replace(str(own), str(other)), name
    for name, keys in (
        ("bi-encoder", ("metrics", "ranks")),
        ("classify", ("metrics", "scores", "threshold")),
        ("predict", ("predictions",)),
        ("analysis/analysis", ("metrics", "confident", "platt", "reliability")),
    ):
        expected, found = (
            json.loads((folder / "0" / f"{name}.json").read_text(encoding="utf-8")) for folder in (own, other)
        )
        assert [expected["num_processes"], found["num_processes"]] == [1, 2]
        assert [found[key] for key in keys] == [expected[key] for key in keys], name
    assert [path.name for path in (other / "1").rglob("*.json")] == []
    assert len(list((other / "inputs").rglob("entity_index/float32/*.safetensors"))) == 1
    assert not list((other / "inputs").rglob("*.tmp"))


@pytest.mark.slow
def test_launched_processes_say_once_what_is_wrong(two):
    assert len(errors_of(two["process"])) == 1
    assert "nowhere" in errors_of(two["process"])[0]


@pytest.mark.slow
def test_one_of_the_launched_processes_may_ask_alone(one, two):
    assert len(one["alone"]) > 3
    assert [found["alone"] for found in two["ranks"]] == [one["alone"], []]


@pytest.mark.slow
def test_two_processes_finish_what_a_killed_one_left(one, two):
    expected, found = (
        json.loads((folder / "inputs" / "evaluate.json").read_text(encoding="utf-8"))
        for folder in (one["folder"], two["folder"])
    )
    moved = np.array(found["ranks"]) - expected["ranks"]
    assert set(moved) == {0, 1000}
    assert (moved == 1000).sum() == two["moved"]
    assert not Path(two["folder"], "inputs", "evaluate.json.progress").exists()


@pytest.mark.slow
def test_example_script_records_one_experiment_whatever_the_number_of_processes(one, two):
    """Each process reads the finished model; the recorded batch is that of a step over both."""
    first, second = (
        json.loads((found["folder"] / "inputs" / "example" / "link_prediction.json").read_text(encoding="utf-8"))
        for found in (one, two)
    )
    assert [found["example"].count("results in ") for found in two["ranks"]] == [1, 0]
    assert [first["num_processes"], second["num_processes"]] == [1, 2]
    assert [first["training"]["num_processes"], second["training"]["num_processes"]] == [1, 2]
    choices = [{**content["training"]["choices"], "encoder": ""} for content in (first, second)]
    assert choices[0] == choices[1]  # but for the encoder, which each has in a folder of its own
    assert choices[0]["positives_per_step"] == 4
    assert second["training"]["command"].startswith("torchrun --nproc_per_node 2 ")
    losses = [content["training"]["metrics"]["train_loss"] for content in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert set(first) == set(second)
    assert first["training"]["graph_fingerprint"] == second["training"]["graph_fingerprint"]
    for name in ("metrics", "ranks", "by_relation", "by_category", "unseen", "protocol"):
        assert first[name] == second[name], name


# What ends one process

# Trains; the loss of one of the processes is not finite in the second step.
DIVERGING = """
import sys, torch
from lass_hf.cli.commands import main
from lass_hf.training.objectives import CrossEncoderObjective

loss_of, steps = CrossEncoderObjective.loss, []

def diverging(self, *given):
    steps.append(given)
    factor = float("nan") if self.args.process_index == 1 and len(steps) == 2 else 1.0
    return factor * loss_of(self, *given)

CrossEncoderObjective.loss = diverging
sys.exit(main(sys.argv[1:]))
"""

# Evaluates; one of the processes is killed after its second chunk.
KILLED = """
import os, signal, sys
from lass_hf.cli.commands import main
from lass_hf.utils.distributed import processes
from lass_hf.scoring.chunk_progress import ChunkProgress

record, done = ChunkProgress.record, []

def record_and_die(self, *arguments):
    record(self, *arguments)
    done.append(arguments)
    if processes().process_index == 1 and len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

ChunkProgress.record = record_and_die
sys.exit(main(sys.argv[1:]))
"""


def as_file(folder: Path, code: str) -> Path:
    file = folder / "script.py"
    file.write_text(code, encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_diverging_process_ends_the_launched_others_with_one_line(tmp_path, graph_folder, encoder_folder):
    flags = [
        "--graph",
        graph_folder,
        "--architecture",
        "cross-encoder",
        "--encoder",
        encoder_folder,
        "--output_dir",
        tmp_path / "out",
        "--max_steps",
        3,
    ]
    batch = ["--per_device_train_batch_size", 2, "--report_to", "none", "--save_strategy", "no", "--quiet"]
    process = launch(as_file(tmp_path, DIVERGING), "train", *flags, *batch)
    assert process.returncode != 0
    (error,) = errors_of(process)
    assert "the loss became nan at step 1" in error
    assert "lass_hf/" not in process.stderr  # no traceback through this package
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.slow
def test_a_killed_process_ends_the_launched_others_and_its_work_is_kept(tmp_path, inputs, one):
    file = tmp_path / "ranks.json"
    arguments = [
        "evaluate",
        "--model",
        inputs / "cross-encoder",
        "--graph",
        inputs / "ring",
        "--dtype",
        "float32",
        "--quiet",
    ]
    arguments = [str(word) for word in (*arguments, "--json", file)]
    process = launch(as_file(tmp_path, KILLED), *arguments)
    assert process.returncode != 0
    assert f"exitcode  : {-signal.SIGKILL}" in process.stderr
    assert len(errors_of(process)) <= 1  # the other one has lost it, or the launcher was faster
    assert "lass_hf/" not in process.stderr
    assert not file.exists()
    moved = raise_last(Path(f"{file}.progress", "process-1.jsonl"))
    assert main(arguments) == 0
    expected = json.loads(Path(one["folder"], "inputs", "evaluate.json").read_text(encoding="utf-8"))
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (np.array(found["ranks"]) - expected["ranks"] == 1000).sum() == moved
    assert not Path(f"{file}.progress").exists()


# Without a launch


def test_shared_batches_make_the_steps_of_one_process():
    """In each step all processes have together what one has in a larger batch, none has nothing, all are even."""
    for size in range(1, 40):
        for processes in (1, 2, 3, 4):
            for batch in (1, 2, 3, 5):
                for drop_last in (False, True):
                    sampler = SequentialSampler(range(size))
                    shared = SharedBatches(BatchSampler(sampler, batch, drop_last), processes)
                    parts = list(shared)
                    assert len(parts) == len(shared)
                    assert all(parts)
                    steps = [parts[start : start + processes] for start in range(0, len(parts), processes)]
                    expected = list(BatchSampler(sampler, batch * processes, drop_last))
                    assert [sorted({number for part in step for number in part}) for step in steps] == expected
                    for step, whole in zip(steps, expected, strict=True):
                        sizes = [len(part) for part in step]
                        assert sum(sizes) == max(len(whole), processes)
                        assert max(sizes) - min(sizes) <= 1


def test_one_process_gathers_what_it_has():
    vectors, answers = object(), object()
    assert gather_candidates(vectors, answers) == (vectors, answers)


def test_first_to_fail_speaks_where_there_is_no_launcher(monkeypatch):
    assert first_to_fail()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert first_to_fail()


def test_launch_imports_no_package_that_the_trainer_does_without():
    """After `from transformers import Trainer`, `import lass_hf` loads no other package."""
    names = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys; from transformers import Trainer; had = {names}; import lass_hf; print(*{names} - had)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["lass_hf"]
