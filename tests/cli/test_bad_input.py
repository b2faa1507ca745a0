"""One line for each bad graph, model, question, file and flag."""

import json
import shutil

import pytest
import torch
from helpers.command_line import SUBCOMMANDS, run
from helpers.tiny import ENTITY_TEXT, make_model, wordpiece_tokenizer, write_graph

# Bad graphs


@pytest.fixture
def broken(tmp_path):
    """Gives the graph as a folder, with one file of other content."""

    def write(file, content):
        folder = write_graph(tmp_path / "graph")
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


@pytest.mark.parametrize("content", ["cat\tis_a\tanimal\ncat\tis_a\n", "cat\tis_a\tanimal\na\tb\tc\td\te\n"])
@pytest.mark.parametrize("command", ["info", "train", "evaluate"])
def test_wrong_number_of_columns_names_file_and_line(command, content, broken, bad_input, training, model_folder):
    folder = broken("train.tsv", content)
    arguments = {"info": [], "train": training[2:], "evaluate": ["--model", model_folder]}[command]
    line = bad_input(command, "--graph", folder, *arguments)
    assert f"{folder / 'train.tsv'}, line 2" in line
    assert "expected 3" in line


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("test.tsv", b"cat\tis_a\tanimal\ncat\tis_a\t\xff\n", "line 2: not UTF-8"),
        ("entity2text.txt", b"cat\tca\xe9t\n", "line 1: not UTF-8"),
        ("train.tsv", b"", "the file is empty"),
        ("train.tsv", b"\n\n", "the file is empty"),
        ("dev.tsv", b"", "the file is empty"),
        ("train.tsv", b"one column\n", "line 1: 1 tab-separated column"),
        ("train.tsv", b"cat\t\tanimal\n", "line 1: an empty field"),
        ("test.tsv", b"cat\tis_a\tanimal\t1\ncat\tis_a\tdog\ttrue\n", "line 2: label 'true'; expected 1"),
        ("entity2text.txt", b"cat\tone\ncat\ttwo\n", "line 2: a second, different text for 'cat'"),
        ("relation2text.txt", b"eats\n", "line 1: 1 tab-separated column"),
    ],
)
def test_bad_graph_file_names_file_and_line(file, content, expected, broken, bad_input):
    folder = broken(file, content)
    line = bad_input("info", "--graph", folder)
    assert str(folder / file) in line
    assert expected in line


def test_missing_graph_folder(tmp_path, bad_input):
    assert str(tmp_path / "nothing") in bad_input("info", "--graph", tmp_path / "nothing")


def test_graph_that_is_a_file_of_no_known_format(tmp_path, bad_input):
    (tmp_path / "graph.docx").write_text("cat eats mouse")
    assert f"{tmp_path / 'graph.docx'}: of no known format" in bad_input("info", "--graph", tmp_path / "graph.docx")


def test_long_texts_of_a_file_of_another_format(graph_folder, bad_input):
    line = bad_input("info", "--graph", graph_folder / "train.tsv", "--long_text")
    assert "train.tsv: long_text is for graph folders" in line


def test_graph_folder_without_triplets(tmp_path, bad_input):
    line = bad_input("info", "--graph", tmp_path)
    assert f"{tmp_path}: no file that can be read in this folder" in line
    (tmp_path / "entity2text.txt").write_text("a\tone\n")
    assert "no train.tsv" in bad_input("info", "--graph", tmp_path)


def test_unknown_graph_name_lists_the_known_ones(bad_input):
    line = bad_input("info", "--graph", "country")
    assert "country:" in line
    assert "countries" in line


def test_benchmark_that_does_not_ship_says_what_to_do(bad_input):
    assert "download" in bad_input("info", "--graph", "wn18rr")


def test_graph_without_training_split_cannot_be_trained_on(tmp_path, bad_input, training):
    folder = write_graph(tmp_path / "graph", train=[])
    assert "no split 'train'" in bad_input("train", *training, "--graph", folder)


@pytest.mark.parametrize("command", ["evaluate", "classify"])
def test_unknown_split_lists_the_known_ones(command, model_folder, labeled_folder, bad_input):
    line = bad_input(command, "--model", model_folder, "--graph", labeled_folder, "--split", "holdout")
    assert "no split 'holdout'" in line
    assert "train, validation, test" in line


def test_long_texts_that_are_missing(graph_folder, bad_input):
    assert "entity2textlong.txt" in bad_input("info", "--graph", graph_folder, "--long_text")


def test_classification_without_labels(model_folder, graph_folder, bad_input):
    line = bad_input("classify", "--model", model_folder, "--graph", graph_folder)
    assert "no false triplet" in line
    assert "4th column" in line


# Bad models


@pytest.mark.parametrize("command", ["evaluate", "classify", "analyze", "predict"])
def test_bare_encoder_as_model_names_from_encoder(command, with_model, encoder_folder, bad_input):
    line = bad_input(command, "--model", encoder_folder, *with_model[command])
    assert encoder_folder in line
    assert "from_encoder" in line


@pytest.mark.parametrize("command", ["evaluate", "classify", "analyze", "predict"])
def test_model_that_does_not_exist(command, with_model, tmp_path, bad_input):
    assert str(tmp_path / "nothing") in bad_input(command, "--model", tmp_path / "nothing", *with_model[command])


def test_hub_model_without_hub(graph_folder, bad_input):
    line = bad_input("evaluate", "--model", "lass-hf/no-such-model", "--graph", graph_folder)
    assert "lass-hf/no-such-model" in line


def test_empty_folder_as_model(tmp_path, graph_folder, bad_input):
    assert str(tmp_path) in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_with_damaged_weights(tmp_path, processor, graph_folder, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    assert str(tmp_path) in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_with_damaged_vocabulary(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (tmp_path / "vocabulary.json").write_text("{", encoding="utf-8")
    line = bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")
    assert str(tmp_path) in line


def test_model_with_damaged_triplets(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (tmp_path / "known_triplets.safetensors").write_bytes(b"nothing")
    line = bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")
    assert str(tmp_path) in line


def test_model_whose_weights_are_nan(tmp_path, processor, graph_folder, bad_input):
    model = make_model()
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert "NaN or infinite" in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_saved_without_graph_cannot_predict(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="none")
    assert "no graph" in bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")


@pytest.mark.parametrize("encoder", ["no/such-encoder", "./no-such-folder"])
def test_encoder_that_does_not_exist(encoder, training, bad_input):
    assert encoder in bad_input("train", *training, "--encoder", encoder)


def test_encoder_folder_without_weights(tmp_path, training, bad_input):
    wordpiece_tokenizer().save_pretrained(encoder := tmp_path / "encoder")
    assert str(encoder) in bad_input("train", *training, "--encoder", encoder)


def test_a_trained_models_encoder_starts_another_model(model_folder, training):
    bi_encoder = ("--architecture", "bi-encoder", "--loss", "softmax", "--num_negatives", 5)
    assert run("train", *training, "--encoder", model_folder, *bi_encoder) == 0


# Bad questions


def test_unknown_name_in_predict_gives_the_closest_matches(model_folder, bad_input):
    line = bad_input("predict", "--model", model_folder, "--head", "mousse", "--relation", "eats")
    assert "'mousse'" in line
    assert "did you mean 'mouse'" in line


def test_unknown_relation_in_predict_gives_the_closest_matches(model_folder, bad_input):
    line = bad_input("predict", "--model", model_folder, "--head", "cat", "--relation", "live in")
    assert "'lives in'" in line or "'lives_in'" in line


@pytest.mark.parametrize("question", [[], ["--head", "cat"]])
def test_predict_of_less_than_two_slots_says_what_two_and_three_do(question, model_folder, bad_input):
    line = bad_input("predict", "--model", model_folder, *question)
    assert "exactly two of --head, --relation and --tail" in line
    assert "all three" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--scale", 3), "scale=3.0 needs normalize, without which it changes nothing"),
        (("--learn_scale", "false"), "learn_scale=False needs normalize"),
        (
            ("--architecture", "bi-encoder", "--normalize", "true", "--distance_scale", "none"),
            "distance_scale='none' with normalize changes nothing; leave one of them out",
        ),
        (("--num_mined", 2), "num_mined=2 needs retriever"),
        (("--mining_depth", 2), "mining_depth=2 needs retriever"),
        (("--self_match_weight", 0.5), 'self_match_weight=0.5 needs architecture="bi-encoder"'),
        (("--architecture", "bi-encoder"), 'num_negatives=2 needs architecture="cross-encoder"'),
        (("--retriever", "nowhere", "--num_mined", 9), "num_mined=9; expected 1 to num_negatives, 2"),
        (("--retriever", "nowhere", "--num_negatives", 0), "num_negatives=0"),
        (("--retriever", "nowhere", "--architecture", "bi-encoder"), "retriever='nowhere' needs architecture="),
    ],
)
def test_choices_that_would_change_nothing(flags, message, training, bad_input, graph_folder):
    assert message in bad_input("train", "--graph", graph_folder, *training[2:], *flags)


def test_name_and_text_of_a_slot_exclude_each_other(model_folder, bad_input):
    question = ["--head", "cat", "--head_text", "a cat", "--relation", "eats"]
    assert "--head_text" in bad_input("predict", "--model", model_folder, *question)


# Files that cannot be written


def test_output_dir_below_a_file(tmp_path, training, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert str(tmp_path / "file") in bad_input("train", *training, "--output_dir", tmp_path / "file" / "out")


def test_output_dir_that_is_a_file(tmp_path, training, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert str(tmp_path / "file") in bad_input("train", *training, "--output_dir", tmp_path / "file")


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_json_into_a_folder(command, with_model, model_folder, graph_folder, training, tmp_path, bad_input):
    arguments = {
        "train": training,
        "info": ["--graph", graph_folder],
        **{name: ["--model", model_folder, *more] for name, more in with_model.items()},
    }
    assert str(tmp_path) in bad_input(command, *arguments[command], "--json", tmp_path)


def test_json_below_a_file(tmp_path, graph_folder, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    line = bad_input("info", "--graph", graph_folder, "--json", tmp_path / "file" / "info.json")
    assert str(tmp_path / "file") in line


# Bad flags


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--learning_rate", "fast"], "--learning_rate"),
        (["--margin", "wide"], "--margin"),
        (["--separators", "perhaps"], "--separators"),
        (["--max_steps", "2.5"], "--max_steps"),
        (["--loss", "hinge"], "loss='hinge'"),
        (["--corruption", "all"], "corruption='all'"),
        (["--distance_scale", "cosine"], "distance_scale='cosine'"),
        (["--preset", "both"], "both"),
        (["--num_negatives", "0"], "num_negatives=0"),
        (["--max_length", "5"], "max_length"),
        (["--max_length", "-5"], "max_length"),
        (["--eval_strategy", "often"], "often"),
        (["--lr_scheduler_type", "jumpy"], "jumpy"),
        (["--per_device_train_batch_size", "0"], "batch"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps"),
        (["--eval_triplets", "0"], "eval_triplets"),
        (["--no_such_flag", "1"], "--no_such_flag"),
        (["--resume_from_checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_bad_value_of_a_training_flag(flags, expected, training, bad_input):
    assert expected in bad_input("train", *training, *flags)


def test_evaluation_without_validation_split_is_one_line(tmp_path, training, bad_input):
    folder = write_graph(tmp_path / "graph", validation=[])
    options = ["--graph", folder, "--eval_strategy", "epoch", "--validation", 0]
    assert "eval" in bad_input("train", *training, *options)


def test_training_that_diverges_is_one_line(training, bad_input):
    flags = ["--learning_rate", "1e30", "--max_grad_norm", "0", "--optim", "sgd", "--bf16", "false"]
    assert "lower the learning rate" in bad_input("train", *training, *flags)


def test_max_length_beyond_the_encoders_positions_is_one_line(tmp_path, training, bad_input):
    folder = write_graph(tmp_path / "graph", entity_text={**ENTITY_TEXT, "animal": "animal " * 100})
    assert "max_length" in bad_input("train", *training, "--graph", folder, "--max_length", 400)


@pytest.mark.parametrize(
    ("command", "flags", "expected"),
    [
        ("evaluate", ["--limit", "0"], "--limit"),
        ("evaluate", ["--limit", "many"], "--limit"),
        ("evaluate", ["--dtype", "float64"], "float64"),
        ("evaluate", ["--seed", "x"], "--seed"),
        ("classify", ["--dtype", "half"], "half"),
        ("predict", ["--top_k", "0"], "--top_k"),
        ("predict", ["--top_k", "-3"], "--top_k"),
        ("predict", ["--no_such_flag"], "--no_such_flag"),
    ],
)
def test_bad_value_of_a_flag(command, flags, expected, with_model, model_folder, bad_input):
    assert expected in bad_input(command, "--model", model_folder, *with_model[command], *flags)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("evaluate", "--model", "m", "--graph", ""), "--graph"),
        (("evaluate", "--graph=", "--evidence", "rules"), "--graph"),
        (("predict", "--model", "m", "--head", "cat", "--relation", "eats", "--tail_text", ""), "--tail_text"),
        (("predict", "--model", "m", "--head", "cat", "--relation", "eats", "--rerank", ""), "--rerank"),
        (("info", "--graph", "countries", "--json", ""), "--json"),
        (("review", "folder", "--export", ""), "--export"),
        (("complete", "--model", "m", "--output", "o", "--decisions", "d.tsv", ""), "--decisions"),
        (("split", "", "--output", "o"), "SOURCE"),
        (("train", "", "--graph", "countries"), "recipe"),
        (("train", "--graph", "countries", "--retriever", ""), "--retriever"),
        (("train", "--graph", "countries", "--output_dir", ""), "--output_dir"),
        (("train", "--graph", "countries", "--decisions", ""), "--decisions"),
        (("train", "--graph", "countries", "--encoder", "", "--preset", "paper"), "--encoder"),
    ],
)
def test_an_empty_value_is_not_taken_for_none_given(words, name, bad_input):
    line = bad_input(*words)
    assert line.endswith(f" {name} is empty, as from a variable that is not set; expected a value")


@pytest.mark.parametrize("command", ["evaluate", "classify", "predict", "info", "train"])
def test_missing_argument_is_named(command, bad_input):
    expected = {"predict": "--model", "info": "--graph", "train": "--graph"}.get(command, "--model")
    assert expected in bad_input(command)


def test_unknown_subcommand(bad_input):
    assert "evalute" in bad_input("evalute", quiet=False)


def test_no_subcommand(bad_input):
    assert "COMMAND" in bad_input(quiet=False)


def test_missing_and_empty_model_folders_have_different_errors(tmp_path, bad_input):
    question = ("--head", "cat", "--relation", "eats")
    assert "no such folder" in bad_input("predict", "--model", tmp_path / "nowhere", *question)
    assert "no config.json" in bad_input("predict", "--model", tmp_path, *question)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--own_weight", "0.1"), "--own_weight is now called --self_match_weight"),
        (("train", "--own-weight=0.1"), "--own_weight is now called --self_match_weight"),
        (
            ("train", "--encoding", "separate"),
            '--encoding is now called --architecture, "joint" is now "cross-encoder"',
        ),
        (("train", "--architecture", "separate"), "architecture='separate'; expected one of cross-encoder, bi-encoder"),
        (("train", "--temperature", "0.5"), "--temperature was removed, and --scale takes its place"),
        (("train", "--inverse", "{} of"), "--inverse was removed: leave it out"),
        (("evaluate", "--neighbour_weight", "0.3"), "--neighbour_weight is now called --neighbor_weight"),
        (("predict", "--blend=0.5"), "--blend is now called --retriever_weight"),
    ],
)
def test_an_old_name_of_an_option_is_refused_with_the_new_one(words, message, bad_input):
    required = ("--graph", "nowhere", "--encoder", "nowhere") if words[0] == "train" else ("--model", "nowhere")
    assert message in bad_input(words[0], *required, *words[1:], quiet=False)


def test_an_old_name_of_a_recipe_key_is_refused_with_the_new_one(training, tmp_path, bad_input):
    recipe = tmp_path / "old.yaml"
    recipe.write_text("neighbourhood_size: 4\nadditive_margin: 0.0\n", encoding="utf-8")
    line = bad_input("train", recipe, *training)
    assert f"{recipe}: neighbourhood_size is now called neighborhood_size; additive_margin was removed" in line


def test_a_model_saved_under_old_names_is_refused_with_the_new_ones(model_folder, tmp_path, bad_input):
    folder = shutil.copytree(model_folder, tmp_path / "old")
    question = ("--head", "cat", "--relation", "eats")
    for name, old in (
        ("config.json", {"encoding": "joint", "own_weight": 1.0, "decision": None}),
        ("processor_config.json", {"encoding": "joint", "inverse": "inverse of {}"}),
    ):
        new = json.loads((folder / name).read_text(encoding="utf-8"))
        saved = {key: value for key, value in new.items() if key not in ("architecture", "self_match_weight")}
        (folder / name).write_text(json.dumps({**saved, **old}), encoding="utf-8")
        line = bad_input("predict", "--model", folder, *question)
        assert str(folder) in line
        assert "encoding is now called architecture" in line
        assert f"in a saved {name} edit these keys" in line
        assert all(f"{key} " in line for key in old)
        (folder / name).write_text(json.dumps(new), encoding="utf-8")  # as the line says
    assert run("predict", "--model", folder, *question) == 0


def test_unknown_training_flag_is_named(training, bad_input):
    assert "unknown argument --lerning_rate" in bad_input("train", *training, "--lerning_rate", "3")
