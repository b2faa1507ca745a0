"""What commands write to terminals and files: names shown but not obeyed, files first, nothing lost."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from helpers.command_line import content_of, run
from helpers.tiny import make_model, make_processor, write_graph

from lass_hf import KnowledgeGraph, LassTrainer
from lass_hf.cli import main
from lass_hf.core.errors import LassError
from lass_hf.utils.result_files import refuse_input_folder

HOSTILE = ["cat\x1b[2J\x1b]0;owned\x07", "two\nlines", "rtl\u202egnp", "c1\x9b31m", "chéese 日本"]


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    """A saved model whose entities have control characters in their ids and texts."""
    folder = tmp_path_factory.mktemp("hostile")
    triplets = [(HOSTILE[i - 1], "eats", name) for i, name in enumerate(HOSTILE)]
    texts = {name: f"text of {name}" for name in HOSTILE}
    graph = KnowledgeGraph.from_triplets(triplets, entity_text=texts, relation_text={"eats": "eats\x1b[31m"})
    make_model().save_pretrained(folder)
    make_processor(graph).save_pretrained(folder)
    return folder


def controls(text):
    return {character for character in text if not character.isprintable()} - {"\n"}


@pytest.mark.parametrize("question", [("--relation", "eats"), ("--tail", HOSTILE[1]), ("--relation", "ea")])
def test_names_in_predictions_and_errors_are_shown_and_not_obeyed(question, hostile_folder, tmp_path, capsys):
    file = tmp_path / "out.json"
    command = ["predict", "--model", hostile_folder, "--head", HOSTILE[0], *question, "--top_k", 9, "--quiet"]
    code = run(*command, "--include_known", "--json", file)
    captured = capsys.readouterr()
    assert not controls(captured.out + captured.err)
    if question[1] == "ea":
        assert code == 2
        assert len(captured.err.splitlines()) == 1
        return
    assert code == 0
    predictions = content_of(file)["predictions"]
    assert len(captured.out.splitlines()) == len(predictions)
    if question[0] == "--relation":
        assert {row["id"] for row in predictions} == set(HOSTILE)
        assert "cat\\x1b[2J\\x1b]0;owned\\x07" in captured.out
        assert "chéese 日本" in captured.out


def test_names_that_are_asked_for_are_shown_and_not_obeyed(hostile_folder, capsys):
    assert run("predict", "--model", hostile_folder, "--head", "\x1b[2J\n", "--relation", "eats", "--quiet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not controls(line)
    assert run("predict", "--model\x1b[2J", "m") == 2
    assert not controls(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        (("complete", "--model", "nowhere"), "--output", "completion.json"),
        (("audit", "--graph", "nowhere"), "--output", "audit.json"),
        (("audit", "--graph", "nowhere"), "--output", "decisions.jsonl"),
        (("compare", "--graph", "nowhere"), "--output", "comparison.json"),
        (("import", "nowhere"), "--output", "source.json"),
        (("add-evidence",), "--model", "evidence/fusion.json"),
        (("add-evidence",), "--model", "evidence/mine.json"),
        (("evaluate",), "--model", "training.json"),
        (("evaluate",), "--model", "model-00001-of-00002.safetensors"),
        (("evaluate",), "--model", "adapter_model.safetensors"),
        (("evaluate",), "--model", "recipe.yaml"),
        (("complete", "--graph", "nowhere"), "--output", "model/checkpoint-8/mine.json"),
        (("search", "nowhere"), "--output_dir", "report.html"),
        (("search", "nowhere"), "--output_dir", "trials.tsv"),
        (("import", "nowhere"), "--output", "train.tsv"),
        (("split", "nowhere"), "--output", "test.tsv"),
        (("split", "nowhere", "--inductive", "20%"), "--output", "seen/train.tsv"),
        (("rules", "--graph", "nowhere"), "--output", "rules.tsv"),
        (("compare", "--graph", "nowhere"), "--output", "rotate.json"),
        (("complete", "--graph", "nowhere"), "--output", "model/training.json"),
        (("analyze", "--model", "nowhere", "--graph", "nowhere"), "--output", "analysis.json"),
        (("analyze", "--model", "nowhere", "--graph", "nowhere"), "--output", "index.html"),
    ],
)
def test_results_never_replace_a_file_that_the_folder_of_a_command_has_for_itself(
    command, option, name, tmp_path, bad_input
):
    folder, file = tmp_path / "folder", tmp_path / "link" / name
    (tmp_path / "link").symlink_to(folder)
    line = bad_input(*command, option, folder, "--json", file)
    assert f"{file}: a file of {folder}" in line
    assert line.endswith(" itself, which would be overwritten; name another file")
    assert not folder.exists()


def test_results_never_replace_a_file_of_a_model(model_copy, training, tmp_path, bad_input):
    assert run("train", *training, "--evidence", "text,frequency", "--save_strategy", "epoch") == 0
    with_models = ("evaluate", "--model", model_copy, "--rerank", tmp_path / "out", "--graph", "nowhere")
    files = [file for folder in (model_copy, tmp_path / "out") for file in folder.rglob("*") if file.is_file()]
    assert {"model.safetensors", "README.md", "optimizer.pt", "fusion.json", "training_args.bin"} <= {
        file.name for file in files
    }
    for file in files:
        before = file.read_bytes()
        assert f"{file}: a file of" in bad_input(*with_models, "--json", file)
        assert file.read_bytes() == before
    for name in ("training.json", "model.safetensors", "evidence/mine.json"):
        file = tmp_path / "out" / name
        assert f"{file}: a file of" in bad_input("train", *training, "--json", file)
    assert "nowhere" in bad_input(*with_models, "--json", tmp_path / "out" / "link_prediction.json")


@pytest.mark.parametrize("name", ["train.tsv", "dev.tsv", "entity2text.txt"])
def test_results_never_become_a_file_of_the_graph(name, graph_folder, training, bad_input):
    file = graph_folder / name
    before = file.read_bytes() if file.exists() else None
    for command in (("info", "--graph", graph_folder), ("train", *training)):
        line = bad_input(*command, "--json", file)
        assert line.endswith(f"{file}: the graph's own source, which would be overwritten; name another file")
    assert (file.read_bytes() if file.exists() else None) == before


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("compare", "--methods", "rules"), "--output"),
        (("complete",), "--output"),
        (("audit",), "--output"),
        (("train",), "--output_dir"),
        (("search", "recipe"), "--output_dir"),
    ],
)
def test_no_command_writes_among_the_files_of_its_graph(command, option, encoder_folder, tmp_path, bad_input):
    recipe, folder = tmp_path / "recipe.yaml", write_graph(tmp_path / "data")
    recipe.write_text(f"encoder: {encoder_folder}\narchitecture: bi-encoder\nsearch: {{learning_rate: [1.0e-3]}}\n")
    command = [recipe if word == "recipe" else word for word in command]
    before = sorted(folder.iterdir())
    link = tmp_path / "link"
    link.symlink_to(folder)
    line = bad_input(*command, "--graph", folder, option, link)
    assert line.endswith(f"error: {folder}: the folder of the graph; choose another {option}")
    line = bad_input(*command, "--graph", folder / "train.tsv", option, link)
    assert line.endswith(f"error: {link}: the folder of the graph {folder / 'train.tsv'}; choose another {option}")
    assert sorted(folder.iterdir()) == before


def test_a_graph_in_the_current_folder_may_have_its_outputs_below(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.tsv").write_text("cat\teats\tmouse\ndog\teats\tfood\n")
    refuse_input_folder("runs/x", graph="pets.tsv", encoder="user/name", retriever=None)
    with pytest.raises(LassError, match=r"^\.: the folder of the graph pets\.tsv; choose another --output$"):
        refuse_input_folder(".", graph="pets.tsv")


def test_results_never_replace_a_graph_that_is_one_file_but_may_have_its_name(tmp_path, monkeypatch, bad_input):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "pets.tsv"
    file.write_text("cat\teats\tmouse\ndog\teats\tfood\n")
    line = bad_input("info", "--graph", file, "--json", file)
    assert line.endswith(f"{file}: the graph's own source, which would be overwritten; name another file")
    assert run("info", "--graph", "countries", "--json", "countries") == 0


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("analyze", "--model", "nowhere", "--graph", "nowhere", "--output", "out"), "--ranks"),
        (("complete", "--model", "nowhere", "--output", "out"), "--entities"),
        (("complete", "--model", "nowhere", "--output", "out", "--decisions", "other.tsv"), "--decisions"),
        (("audit", "--graph", "nowhere", "--evaluate"), "--errors"),
        (("add-evidence", "--model", "nowhere"), "--rules"),
        (("search",), None),
        (("train",), None),
        (("train", "--graph", "g", "--encoder", "e", "--preset", "paper", "--output_dir", "out"), "--decisions"),
    ],
)
def test_results_never_replace_a_file_that_the_command_reads(command, option, tmp_path, bad_input, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given").write_text("graph: nowhere\nencoder: nowhere\n")
    (tmp_path / "link").symlink_to("given")
    line = bad_input(*command, *([option] if option else []), "given", "--json", "link")
    assert line.endswith(f"link: --json and {option or 'the recipe'} are one file; name two")
    assert (tmp_path / "given").read_text() == "graph: nowhere\nencoder: nowhere\n"


def test_results_replace_those_of_before(graph_folder, tmp_path):
    for _ in range(2):
        assert run("info", "--graph", graph_folder, "--json", tmp_path / "info.json") == 0


@pytest.mark.parametrize("task", ["info", "predict", "judge", "evaluate", "classify", "analyze", "train"])
def test_the_results_are_written_before_anything_is_printed(
    task, model_folder, graph_folder, labeled_folder, with_model, training, tmp_path, monkeypatch
):
    """Standard output ends the program at the first character; a notice of the standard error may come before."""
    file = tmp_path / "out.json"
    command = {
        "info": ["info", "--graph", graph_folder],
        "judge": ["predict", "--model", model_folder, *with_model["predict"], "--tail", "milk"],
        "train": ["train", *training],
    }.get(task) or [task, "--model", model_folder, *with_model[task]]

    class Stop:
        def write(self, text):
            raise KeyboardInterrupt

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Stop())
    assert run(*command, "--quiet", "--json", file) == 130
    assert content_of(file)["format"]


# A program that reports, without the libraries of a command, whose import takes a second.
PROGRAM = """
import sys
from lass_hf.utils.console import print_predictions, report, run_program

def work():
    report(sys.argv[1], {"entities": 10, "chéese": "日本\\x1b"}, padding="x" * 100_000)
    print_predictions([{"id": "chéese", "text": "日本\\x1b", "score": 1.0, "known": False}] * 3000)

sys.exit(run_program("program", work))
"""


def in_shell(rest, *arguments, **environment):
    """Runs a command in bash, with redirections behind it; gives its exit code and what reached the shell's output."""
    words = " ".join(f'"${{{number}}}"' for number in range(len(arguments)))
    command = ["bash", "-c", f"{words} {rest}; exit ${{PIPESTATUS[0]}}", *map(str, arguments)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("| head -1", 0), ("> /dev/full", 2), (">&-", 0), (">&- 2>&-", 0), ("2>&1 >/dev/null | true", 0)],
)
def test_the_file_is_whole_whatever_becomes_of_the_output(redirection, code, tmp_path):
    file = tmp_path / "out.json"
    found, _, errors = in_shell(redirection, sys.executable, "-c", PROGRAM, file, PYTHONIOENCODING="utf-8")
    assert found == code
    assert errors.count(b"\n") == (code == 2)
    assert content_of(file)["metrics"]["entities"] == 10


def test_a_command_whose_output_nobody_reads_ends_well(graph_folder, tmp_path):
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "lass_hf.cli", "info", "--graph", graph_folder, "--json", file]
    assert in_shell("| true", *command) == (0, b"", b"")
    assert content_of(file)["metrics"]["entities"] == 10


def test_a_terminal_of_another_encoding_gets_escapes(tmp_path):
    file = tmp_path / "out.json"
    code, shown, errors = in_shell("", sys.executable, "-c", PROGRAM, file, PYTHONIOENCODING="cp1252")
    assert (code, errors) == (0, b"")
    assert shown.splitlines()[-1].split() == [b"3000", b"1.000", b"ch\xe9ese", b"\\u65e5\\u672c\\x1b"]
    assert content_of(file)["metrics"]["chéese"] == "日本\x1b"


# --json into what is no plain file


def test_results_go_into_a_device_and_a_link(graph_folder, tmp_path):
    (tmp_path / "target").write_text("before", encoding="utf-8")
    (tmp_path / "link").symlink_to("target")
    for place in (os.devnull, tmp_path / "link"):
        assert run("info", "--graph", graph_folder, "--json", place) == 0
    assert not os.path.isfile(os.devnull)
    assert (tmp_path / "link").is_symlink()
    assert content_of(tmp_path / "target")["metrics"]["entities"] == 10


def test_a_dash_is_no_file_and_the_line_names_the_one_to_give(graph_folder, bad_input, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "/dev/stdout" in bad_input("info", "--graph", graph_folder, "--json", "-")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300, "a/b" * 2000])
def test_a_file_that_no_system_can_have_is_told_before_the_work(name, tmp_path, bad_input):
    assert "cannot be written" in bad_input("info", "--graph", "nowhere", "--json", tmp_path / name)


# Interrupts, and memory


def test_an_interrupt_before_the_program_runs_ends_it_quietly(monkeypatch, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr("lass_hf.cli.commands.main", interrupted)
    assert main([]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_an_interrupt_while_a_library_is_imported_ends_the_program_quietly(library, graph_folder, tmp_path):
    (tmp_path / library).mkdir()
    code = "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job may ignore it
    code += "os.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n"
    (tmp_path / library / "__init__.py").write_text(code, encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "lass_hf.cli", "evaluate", "--model", "m", "--graph", str(graph_folder)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr == ""


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\nmore lines"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    MemoryError("Unable to allocate 3.20 GiB for an array"),
    MemoryError(),
    RuntimeError("No executable batch size found, reached zero."),
]


@pytest.mark.parametrize("error", MEMORY)
def test_out_of_memory_in_training_is_one_line_with_what_to_lower(error, training, bad_input, monkeypatch):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(LassTrainer, "compute_loss", full)
    line = bad_input("train", *training)
    for part in ("out of memory in training", "per_device_train_batch_size (4", "max_length (64)", "more lines"):
        assert (part in line) == (part != "more lines")


def test_a_batch_size_that_finds_itself_still_does(training, monkeypatch):
    sizes = []
    original = LassTrainer.compute_loss

    def small(self, model, inputs, **more):
        sizes.append(int((inputs["labels"] == 1).sum()))
        if sizes[-1] > 2:
            raise MEMORY[0]
        return original(self, model, inputs, **more)

    monkeypatch.setattr(LassTrainer, "compute_loss", small)
    assert run("train", *training, "--auto_find_batch_size", "true") == 0
    assert sizes[0] == 4
    assert sizes[-1] <= 2


def test_out_of_memory_anywhere_else_is_one_line_too(model_folder, with_model, bad_input, monkeypatch):
    def full(*_, **__):
        raise MEMORY[0]

    monkeypatch.setattr("lass_hf.prediction.predictor.LassPredictor.__init__", full)
    line = bad_input("predict", "--model", model_folder, *with_model["predict"])
    assert "out of memory (CUDA out of memory" in line
