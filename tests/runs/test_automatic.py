"""A training without settings: they are chosen, told and kept, for `lass-hf train` and `lass-hf complete`."""

import pytest
import torch
import yaml
from helpers.command_line import content_of, run

from lass_hf import LassForKGCompletion
from lass_hf.runs import automatic


@pytest.fixture
def default_encoder(monkeypatch, encoder_folder):
    monkeypatch.setattr(automatic, "DEFAULT_ENCODER", encoder_folder)


def test_train_with_a_graph_alone_keeps_a_recipe_that_trains_the_same(graph_folder, default_encoder, tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    flags = ["--report_to", "none", "--max_steps", 3]
    assert run("train", "--graph", graph_folder, "--output_dir", one, *flags) == 0
    shown = capsys.readouterr().err
    assert "the settings are chosen for this graph and this machine" in shown
    assert "per_device_train_batch_size 16: positives; there are 14 training triplets" in shown
    recipe = yaml.safe_load((one / "recipe.yaml").read_text())
    assert (recipe["architecture"], recipe["loss"], recipe["max_steps"]) == ("bi-encoder", "softmax", 3)
    assert run("train", one / "recipe.yaml", "--graph", graph_folder, "--output_dir", other, "--quiet") == 0
    weights = [LassForKGCompletion.from_pretrained(folder).state_dict() for folder in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not (other / "recipe.yaml").exists()


def test_flags_win_over_what_is_chosen(graph_folder, default_encoder, tmp_path):
    out, file = tmp_path / "out", tmp_path / "train.json"
    flags = [
        "--num-neighbors=0",
        "--learning_rate",
        "1e-3",
        "--max_steps",
        1,
        "--report_to",
        "none",
        "--quiet",
        "--hub_token",
        "hf_x",
    ]
    assert run("train", "--graph", graph_folder, "--output_dir", out, "--json", file, *flags) == 0
    used = content_of(file)["arguments"]
    assert (used["num_neighbors"], used["learning_rate"], used["normalize"]) == (0, 1e-3, True)
    lines = (out / "recipe.yaml").read_text().splitlines()
    assert {"num_neighbors: 0  # given", "learning_rate: 0.001  # given", "normalize: true"} <= set(lines)
    assert not any(line.startswith(("hub_token:", "graph:", "output_dir:", "json:", "quiet:")) for line in lines)


def test_a_recipe_of_an_earlier_model_does_not_stay(training, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.yaml").write_text("margin: 3\n")
    assert run("train", *training) == 0
    assert not (tmp_path / "out" / "recipe.yaml").exists()


@pytest.mark.parametrize("named", ["--architecture=cross-encoder", "--preset=paper"])
def test_minutes_are_for_settings_that_are_chosen(named, graph_folder, encoder_folder, tmp_path, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--encoder", encoder_folder, "--minutes", 3, named)
    assert "--minutes 3 is for settings that are chosen" in line


def test_choices_of_the_other_architecture_are_refused(graph_folder, default_encoder, tmp_path, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--output_dir", tmp_path / "out", "--num_negatives", 3)
    assert 'num_negatives=3 needs architecture="cross-encoder"' in line


def test_complete_trains_a_model_once(graph_folder, default_encoder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    command = ["complete", "--graph", graph_folder, "--output", out, "--minutes", 1e-6, "--quiet"]
    assert run(*command) == 0
    first = (out / "suggestions.tsv").read_bytes()
    assert yaml.safe_load((out / "model" / "recipe.yaml").read_text())["architecture"] == "bi-encoder"
    monkeypatch.setattr(automatic, "run_plan", lambda plan: pytest.fail("it trains again"))
    for file in ("suggestions.tsv", "implied.tsv", "completion.json"):
        (out / file).unlink()
    assert run(*command) == 0
    assert (out / "suggestions.tsv").read_bytes() == first
