"""Saved models in a process that has no lass_hf: their code comes from their folder, or from the hub."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.hub_server import Hub, connect, environment
from helpers.tiny import make_model, make_processor, wordpiece_tokenizer
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer
from transformers.dynamic_module_utils import get_imports, get_relative_import_files

import lass_hf
from lass_hf import LassForKGCompletion, LassProcessor, push_to_hub

# huggingface_hub itself sends files with an argument that its HTTP client calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MODULES = Path(lass_hf.__file__).parent / "core"
ENTRIES = ("configuration_lass", "modeling_lass", "processing_lass")
TRIPLETS = [["cat", "is a", "animal"], ["dog", "eats", "cheese, food made of milk"], ["mouse", "lives in", "garden"]]
# Arguments: triplets, a folder to save into, then names. What lass_hf needs and a model does not is missing, too.
PROCESS = """
import json, sys
for name in ("lass_hf", "pyarrow", "datasets", "evaluate", "sklearn", "accelerate"):
    sys.modules[name] = None
try:
    import lass_hf
    sys.exit("lass_hf is there")
except ModuleNotFoundError:
    pass
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer
triplets, scratch, *names = sys.argv[1:]
triplets, trust = json.loads(triplets), {"trust_remote_code": True}

def load(name):
    model = AutoModel.from_pretrained(name, **trust)
    processor = AutoProcessor.from_pretrained(name, **trust)
    with torch.no_grad():
        return model, processor, model(**processor(triplets)).scores.tolist()

def error_of(call, *arguments):
    try:
        call(*arguments)
    except ValueError as error:
        return str(error)

results = []
for number, name in enumerate(names):
    model, processor, scores = load(name)
    again = f"{scratch}/{number}"
    model.save_pretrained(again)
    processor.save_pretrained(again)
    graph, config = processor.graph, AutoConfig.from_pretrained(name, **trust)
    results.append({
        "scores": scores,
        "again": load(again)[2],
        "tokens": AutoTokenizer.from_pretrained(name, **trust)("cat").input_ids,
        "modules": [type(part).__module__ for part in (config, model, processor)],
        "graph": [graph.entities.texts, len(graph.known), graph.entities.find("cat, a small animal that purrs")],
        "errors": [
            error_of(graph.save_dataset, f"{scratch}/graph"),
            error_of(type(graph).from_directory, scratch),
            error_of(graph.entities.find, "catt"),
        ],
    })
print(json.dumps(results))
"""


def saved(folder, graph, architecture="cross-encoder", **choices):
    model = make_model(architecture=architecture, **choices)
    with torch.no_grad():
        for weight in model.score_head.parameters():
            weight.normal_()
    model.save_pretrained(folder)
    make_processor(graph, architecture=architecture).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory, graph):
    """The results of a process without lass_hf, for the folders of both architectures and a hub repository."""
    home = tmp_path_factory.mktemp("remote")
    names = [
        saved(home / "cross-encoder", graph),
        saved(home / "bi-encoder.v2", graph, architecture="bi-encoder"),
        "user/animals-1.0",
        saved(home / "kg-bert", graph, score_head="kg-bert"),
        saved(home / "rotation", graph, architecture="bi-encoder", score_function="rotation"),
        saved(home / "star", graph, architecture="bi-encoder", score_head="star"),
    ]
    with Hub() as hub, pytest.MonkeyPatch.context() as patch:
        connect(hub, home / "pushing", patch)
        push_to_hub(names[0], names[2])
        made = subprocess.run(
            [sys.executable, "-I", "-c", PROCESS, json.dumps(TRIPLETS), str(home / "again"), *names],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=home,
            env=environment(hub, home / "pulling"),
        )
    assert not made.returncode, made.stderr
    here = []
    for name in (names[0], names[1], names[0], *names[3:]):
        batch = LassProcessor.from_pretrained(name)([tuple(triplet) for triplet in TRIPLETS])
        with torch.no_grad():
            here.append(LassForKGCompletion.from_pretrained(name)(**batch).scores.tolist())
    return list(zip(json.loads(made.stdout), here, strict=True)), home


CASES = pytest.mark.parametrize(
    "case", range(6), ids=["cross-encoder", "bi-encoder", "hub", "kg-bert", "rotation", "star"]
)


@CASES
def test_remote_code_gives_the_same_scores(case, results):
    there, here = results[0][case]
    assert there["scores"] == here
    assert len(set(here)) == len(TRIPLETS)


@CASES
def test_remote_code_saves_a_folder_that_has_its_code_too(case, results):
    there, here = results[0][case]
    assert there["again"] == here
    written = {path.name for path in (results[1] / "again" / str(case)).glob("*.py")}
    assert written == {path.name for path in (results[1] / "cross-encoder").glob("*.py")}


@CASES
def test_remote_code_is_that_of_the_folder(case, results):
    modules = results[0][case][0]["modules"]
    assert [module.rpartition(".")[2] for module in modules] == list(ENTRIES)
    assert all(module.startswith("transformers_modules.") for module in modules)


@CASES
def test_remote_code_has_the_graph_that_was_saved(case, results, graph):
    texts, known, cat = results[0][case][0]["graph"]
    assert texts == graph.entities.texts
    assert known == (0 if case == 2 else 20)  # a push leaves the triplets out
    assert graph.entities.ids[cat] == "cat"
    assert results[0][case][0]["tokens"] == wordpiece_tokenizer()("cat").input_ids


@CASES
def test_remote_code_says_what_it_cannot_do(case, results):
    written, read, unknown = results[0][case][0]["errors"]
    assert written == read
    assert "install the package lass-hf" in written
    assert "did you mean 'cat'" in unknown


# What is copied


@pytest.mark.parametrize("module", ENTRIES)
def test_remote_code_asks_for_what_a_model_needs_and_no_more(module):
    """transformers refuses code whose imports are not installed, wherever in the file they stand."""
    file = MODULES / f"{module}.py"
    files = [file, *map(Path, get_relative_import_files(file))]
    wanted = {name for path in files for name in get_imports(path)} - sys.stdlib_module_names
    assert wanted <= {"torch", "numpy", "transformers", "safetensors", "huggingface_hub"}
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in set(files)) < 3700


def test_remote_code_of_a_folder_is_that_of_the_package(model_folder):
    entries = [MODULES / f"{module}.py" for module in ENTRIES]
    wanted = {Path(path) for entry in entries for path in [entry, *get_relative_import_files(entry)]}
    copied = {path.name: path.read_bytes() for path in Path(model_folder).glob("*.py")}
    assert copied == {path.name: path.read_bytes() for path in wanted}


# With lass_hf


@pytest.fixture
def strange_folder(model_copy):
    """A model whose code must not run where lass_hf is installed."""
    for path in model_copy.glob("*.py"):
        path.write_text("raise SystemExit('code of the folder')\n")
    return str(model_copy)


@pytest.mark.parametrize("trust", [{}, {"trust_remote_code": False}, {"trust_remote_code": True}])
def test_remote_code_is_not_run_where_lass_hf_is_installed(trust, strange_folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail(f"asked: {prompt}"))
    assert type(AutoConfig.from_pretrained(strange_folder, **trust)) is lass_hf.LassConfig
    assert type(AutoModel.from_pretrained(strange_folder, **trust)) is LassForKGCompletion
    assert type(AutoProcessor.from_pretrained(strange_folder, **trust)) is LassProcessor
    assert (
        AutoTokenizer.from_pretrained(strange_folder, **trust)("cat").input_ids
        == wordpiece_tokenizer()("cat").input_ids
    )
    assert type(LassForKGCompletion.from_encoder(strange_folder, **trust)) is LassForKGCompletion
