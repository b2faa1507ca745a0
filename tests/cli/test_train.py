"""`lass-hf train`, its recipes, presets and flags; one line for each bad recipe."""

import shlex
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import yaml
from helpers.command_line import content_of, run
from helpers.kills import contents

import lass_hf
from lass_hf import (
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    LassTrainer,
)
from lass_hf.core.choices import PRESETS
from lass_hf.core.errors import LassError
from lass_hf.training.recipes import parse_training

# train


def test_train_writes_a_model_that_loads(training, tmp_path, capsys):
    assert run("train", *training) == 0
    predictor = LassPredictor.from_pretrained(str(tmp_path / "out"))
    assert predictor.score([("cat", "eats", "milk")]).shape == (1,)
    out = capsys.readouterr().out
    assert "train_loss" in out
    assert f"lass-hf evaluate --model {tmp_path / 'out'}" in out


@pytest.mark.parametrize(("every", "told"), [(1, "checkpoint-1 is kept"), (2, "no checkpoint was written yet")])
def test_an_interrupted_training_says_how_it_goes_on(every, told, training, tmp_path, monkeypatch, capsys):
    step = LassTrainer.training_step

    def interrupted(self, *arguments, **choices):
        if self.state.global_step == 1:
            raise KeyboardInterrupt
        return step(self, *arguments, **choices)

    flags = ["--save_strategy", "steps", "--save_steps", every]
    with monkeypatch.context() as patch:
        patch.setattr(LassTrainer, "training_step", interrupted)
        assert run("train", *training, *flags) == 130
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("lass-hf: interrupted; ")
    assert told in line
    if every == 1:
        assert line.endswith("--resume_from_checkpoint last")
        assert run("train", *training, *flags, "--resume_from_checkpoint", "last") == 0
        assert content_of(tmp_path / "out" / "training.json")["resumed"]


def test_the_next_command_is_one_that_a_shell_takes(training, tmp_path, capsys):
    folder = tmp_path / "my 'first' model"
    assert run("train", *[folder if part == tmp_path / "out" else part for part in training]) == 0
    command = capsys.readouterr().out.splitlines()[-1].split("next: ")[1]
    assert shlex.split(command)[:4] == ["lass-hf", "evaluate", "--model", str(folder)]


def test_the_next_command_reads_the_texts_of_the_training(training, graph_folder, tmp_path, capsys):
    folder = shutil.copytree(graph_folder, tmp_path / "graph")
    (folder / "entity2textlong.txt").write_bytes((folder / "entity2text.txt").read_bytes())
    changed = [folder if part == graph_folder else part for part in training]
    assert run("train", *changed, "--long_text", "true") == 0
    assert capsys.readouterr().out.endswith(f"--graph {folder} --long_text\n")


def test_a_model_of_a_raw_file_answers_in_the_form_of_the_file(training, graph_folder, tmp_path, capsys):
    raw = tmp_path / "pets.ttl"
    pytest.importorskip("pyoxigraph")
    raw.write_text("@prefix p: <http://example.org/p#> . p:cat p:eats p:mouse, p:food . p:dog p:eats p:food, p:cat .")
    model, answers = tmp_path / "out", tmp_path / "answers.nt"
    assert run("train", *[raw if part == graph_folder else part for part in training]) == 0
    question = f"lass-hf predict --model {model} --head=p:cat --relation=p:eats"
    assert question in capsys.readouterr().out
    assert run(*question.split()[1:], "--quiet", "--output", answers) == 0
    assert "#subject> <http://example.org/p#cat> ." in answers.read_text()
    assert run("train", *training) == 0
    assert not (model / "source.json").exists()


def test_train_changes_the_encoders_weights(training, tmp_path, encoder_folder):
    assert run("train", *training, "--learning_rate", 0.01) == 0
    trained = LassForKGCompletion.from_pretrained(tmp_path / "out").state_dict()
    before = LassForKGCompletion.from_encoder(encoder_folder).state_dict()
    assert not all(torch.equal(trained[name], before[name]) for name in before)


def test_results_say_how_the_model_was_trained(training, graph_folder, tmp_path):
    assert run("train", *training, "--seed", 5) == 0
    file = tmp_path / "evaluate.json"
    model = ["--model", tmp_path / "out", "--graph", graph_folder, "--quiet", "--json", file]
    assert run("evaluate", *model, "--seed", 1, "--limit", 2) == 0
    content = content_of(file)
    assert (content["seed"], content["training"]["seed"]) == (1, 5)
    assert content["training"]["choices"]["max_steps"] == 2
    assert content["training"]["metrics"]["train_runtime"] > 0
    assert content["seconds"] > 0
    (tmp_path / "out" / "training.json").unlink()
    assert run("evaluate", *model) == 0
    assert content_of(file)["training"] is None


def test_a_flag_without_a_value_means_true():
    training = parse_training(["--graph", "g", "--encoder", "e", "--output_dir", "o", "--bf16", "--disable_tqdm"])[1]
    assert (training.bf16, training.disable_tqdm) == (True, True)


@pytest.mark.parametrize("name", ["metric_for_best_model", "eval_delay", "eval_triplets"])
def test_an_option_of_evaluations_is_refused_without_any(name, training, bad_input):
    value = "mrr" if name == "metric_for_best_model" else 2
    line = bad_input("train", *training, f"--{name}", value)
    assert line.startswith(f"lass-hf: error: {name}")
    assert "changes nothing without evaluations" in line


def test_an_option_of_pushes_is_refused_without_one(training, bad_input):
    assert "hub_include_graph changes nothing without a push" in bad_input(
        "train", *training, "--hub_include_graph", "full"
    )


def test_a_model_is_not_saved_among_the_files_of_its_graph(graph_folder, encoder_folder, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--encoder", encoder_folder, "--output_dir", graph_folder)
    assert line == f"lass-hf: error: {graph_folder}: the folder of the graph; choose another --output_dir"


@pytest.mark.parametrize("what", ["encoder", "retriever"])
def test_a_model_never_replaces_what_it_is_trained_from(what, training, model_copy, tmp_path, bad_input):
    before = contents(model_copy)
    given = [*training[:4], f"--{what}", model_copy, "--output_dir", model_copy]
    line = bad_input("train", *given)
    assert line == f"lass-hf: error: {model_copy}: the folder of the {what}; choose another --output_dir"
    assert contents(model_copy) == before


def test_a_checkpoint_that_is_not_there_is_named(training, tmp_path, bad_input):
    line = bad_input("train", *training, "--resume_from_checkpoint", tmp_path / "nowhere")
    assert f"{tmp_path / 'nowhere'}: no such folder" in line


def test_train_writes_its_results_as_json(training, tmp_path):
    file = tmp_path / "results" / "train.json"
    assert run("train", *training, "--json", file) == 0
    content = content_of(file)
    assert np.isfinite(content["metrics"]["train_loss"])
    assert content["num_processes"] == 1
    assert content["versions"]["lass-hf"] == lass_hf.__version__
    assert content["arguments"]["max_steps"] == 2
    assert content["arguments"]["loss"] == "negative_sampling"
    assert not list(file.parent.glob("*.tmp"))


def test_recipe_gives_arguments_and_flags_override_them(training, tmp_path):
    recipe, file = tmp_path / "recipe.yaml", tmp_path / "train.json"
    values = {"margin": 3.5, "separators": False, "learning_rate": 1e-3, "loss": "mean_bce", "max_steps": 9}
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert run("train", recipe, *training, "--margin", 4.5, "--json", file) == 0
    used = content_of(file)["arguments"]
    assert (used["margin"], used["max_steps"]) == (4.5, 2)
    assert (used["separators"], used["learning_rate"], used["loss"]) == (False, 1e-3, "mean_bce")
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.margin == 4.5
    assert LassProcessor.from_pretrained(tmp_path / "out").separators is False


def test_recipe_alone_is_enough(tmp_path, graph_folder, encoder_folder):
    recipe = tmp_path / "recipe.yaml"
    values = {"graph": str(graph_folder), "encoder": encoder_folder, "output_dir": str(tmp_path / "out")}
    settings = {"max_steps": 1, "save_strategy": "no", "report_to": "none", "quiet": True}
    recipe.write_text(yaml.safe_dump({**values, **settings}), encoding="utf-8")
    assert run("train", recipe) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_preset_sets_every_choice_that_changes_scores_or_loss(preset, training, tmp_path):
    file = tmp_path / "train.json"
    plain = [*training[: training.index("--num_negatives")], *training[training.index("--num_negatives") + 2 :]]
    assert run("train", *plain, "--preset", preset, "--json", file) == 0
    used = content_of(file)["arguments"]
    assert {name: used[name] for name in PRESETS[preset]} == PRESETS[preset]
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.distance_scale == used["distance_scale"]
    assert LassProcessor.from_pretrained(tmp_path / "out").separators is used["separators"]


def test_training_resumes_from_a_checkpoint(training, tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    saving = ["--save_strategy", "steps", "--save_steps", 1]
    assert run("train", *training, *saving, "--output_dir", straight) == 0
    checkpoint = ["--resume_from_checkpoint", straight / "checkpoint-1"]
    assert run("train", *training, *checkpoint, "--output_dir", resumed) == 0
    first, second = (LassForKGCompletion.from_pretrained(folder).state_dict() for folder in (straight, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_evaluates_on_validation(training, tmp_path):
    file = tmp_path / "train.json"
    assert run("train", *training, "--eval_strategy", "steps", "--eval_steps", 1, "--json", file) == 0
    evaluations = [entry for entry in content_of(file)["log"] if "eval_mrr" in entry]
    assert [entry["step"] for entry in evaluations] == [1, 2]


def test_training_takes_the_package_s_own_graph(training, encoder_folder, tmp_path):
    assert run("train", *training, "--graph", "countries", "--max_steps", 1) == 0
    assert LassProcessor.from_pretrained(tmp_path / "out").graph.num_entities > 100


# Recipes, parsed only

REQUIRED = ["--graph", "g", "--encoder", "e", "--output_dir", "o"]


def parsed(tmp_path, recipe, *flags):
    """Both argument objects as one dictionary."""
    argv = [*REQUIRED, *flags]
    if recipe is not None:
        (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
        argv = [str(tmp_path / "recipe.yaml"), *argv]
    arguments, training = parse_training(argv)
    return {**vars(arguments), **vars(training)}


def test_defaults_are_the_papers_loss_and_negatives(tmp_path):
    used = parsed(tmp_path, None)
    assert (used["loss"], used["num_negatives"], used["corruption"]) == ("negative_sampling", 5, "each_slot")
    assert (used["margin"], used["separators"], used["replacement"]) == (7.0, True, False)


def test_recipe_s_own_value_wins_over_its_preset(tmp_path):
    used = parsed(tmp_path, "preset: published_code\nseparators: true\n")
    assert (used["separators"], used["loss"], used["replacement"]) == (True, "mean_bce", True)


def test_preset_flag_wins_over_the_recipe(tmp_path):
    used = parsed(tmp_path, "loss: mean_bce\nlearning_rate: 2e-5\n", "--preset", "paper")
    assert (used["loss"], used["learning_rate"], used["preset"]) == ("negative_sampling", 2e-5, "paper")


@pytest.mark.parametrize("recipe", [None, "preset: paper\n"])
def test_flag_wins_over_a_preset(recipe, tmp_path):
    flags = ["--distance_scale", "sqrt_dim", *([] if recipe else ["--preset", "paper"])]
    used = parsed(tmp_path, recipe, *flags)
    assert (used["preset"], used["distance_scale"]) == ("paper", "sqrt_dim")


def test_preset_may_be_joined_with_an_equals_sign(tmp_path):
    assert parsed(tmp_path, None, "--preset=published_code")["loss"] == "mean_bce"


def test_a_script_may_have_an_argument_by_an_old_name(tmp_path):
    @dataclass
    class Mine:
        temperature: float = 1.0

    *_, mine = parse_training([*REQUIRED, "--temperature", "0.5"], Mine)
    assert mine.temperature == 0.5
    with pytest.raises(LassError, match="--temperature was removed"):
        parse_training([*REQUIRED, "--temperature", "0.5"])


def test_preset_without_a_value_is_refused(training, bad_input):
    assert "--preset: expected one argument" in bad_input("train", *training, "--preset")


def test_abbreviated_preset_is_never_ignored(tmp_path):
    try:
        used = parsed(tmp_path, None, "--prese", "published_code")
    except (LassError, SystemExit):
        return
    assert used["loss"] == "mean_bce"


def test_yaml_number_without_point_is_a_number(tmp_path):
    assert parsed(tmp_path, "learning_rate: 1e-4\nmax_steps: 7\nbf16: false\n")["learning_rate"] == 1e-4


def test_recipe_can_turn_a_switch_off_and_a_flag_on_again(tmp_path):
    assert parsed(tmp_path, "separators: false\n")["separators"] is False
    assert parsed(tmp_path, "separators: false\n", "--separators", "true")["separators"] is True


# Bad recipes


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("learning_rat: 1\n", "unknown argument 'learning_rat'"),
        ("learning_rate: 1e-4\nbatch: 3\nepochs: 3\n", "unknown argument 'batch', 'epochs'"),
        ("learning_rate: [1\n", "no valid YAML"),
        ("- learning_rate\n", "`argument: value`"),
        ("", "`argument: value`"),
    ],
)
def test_bad_recipe_is_named(recipe, expected, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe, encoding="utf-8")
    line = bad_input("train", file, *training)
    assert str(file) in line
    assert expected in line


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("learning_rate: fast\n", "learning_rate"),
        ("learning_rate: [1, 2]\n", "learning_rate"),
        ("learning_rate:\n", "learning_rate"),
        ("retriever: ''\n", "retriever: '' in the recipe; expected one value"),
        ("decisions: ''\n", "decisions: '' in the recipe; expected one value"),
        ("separators: perhaps\n", "separators"),
        ("loss: hinge\n", "loss='hinge'"),
        ("preset: both\n", "preset 'both'"),
        ("preset: [paper]\n", "preset"),
        ("lr_scheduler_type: jumpy\n", "jumpy"),
        ("margin: {a: 1}\n", "margin"),
        ("max_length: long\n", "max_length"),
    ],
)
def test_bad_value_in_a_recipe(recipe, expected, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe, encoding="utf-8")
    assert expected in bad_input("train", file, *training)


@pytest.mark.parametrize("value", ["[bert]", "5", "{a: b}"])
def test_encoder_in_a_recipe_that_is_no_name(value, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"encoder: {value}\n", encoding="utf-8")
    place = training.index("--encoder")
    bad_input("train", file, *training[:place], *training[place + 2 :])


def test_recipe_that_does_not_exist(tmp_path, training, bad_input):
    assert str(tmp_path / "nothing.yaml") in bad_input("train", tmp_path / "nothing.yaml", *training)


def test_recipe_that_is_not_utf8(tmp_path, training, bad_input):
    (tmp_path / "recipe.yaml").write_bytes(b"loss: \xff\n")
    assert str(tmp_path / "recipe.yaml") in bad_input("train", tmp_path / "recipe.yaml", *training)


def test_recipe_behind_flags_is_refused(tmp_path, training, bad_input):
    (tmp_path / "recipe.yaml").write_text("margin: 5.0\n", encoding="utf-8")
    assert "recipe" in bad_input("train", *training, tmp_path / "recipe.yaml")
