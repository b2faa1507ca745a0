"""What is written is read back as it was: graphs, configurations, processors, results, and the choices of a training.

The round trips of dataset folders and of `datasets` are in `tests/graphs/test_dataset_folder.py`.
"""

from dataclasses import fields

import numpy as np
import yaml
from helpers.odd_graph import NAMES, named_graphs
from helpers.properties import for_all
from helpers.tiny import ENCODER_CONFIGS, assert_same_graph, wordpiece_tokenizer
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph, LassConfig, LassProcessor
from lass_hf.core.choices import ModelChoices, SequenceChoices, choice_names
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.training.recipes import TrainArguments, parse_training
from lass_hf.training.run_metadata import collect_run_metadata
from lass_hf.training.training_args import LassTrainingArguments
from lass_hf.utils.fingerprints import config_fingerprint
from lass_hf.utils.result_files import read_results, write_results

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-6, 1e6)
NOT_NEGATIVE = st.floats(0, 1e6)
DEFAULTS = {one.name: one.default for kind in (TrainArguments, LassTrainingArguments) for one in fields(kind)}


@st.composite
def model_choices(draw):
    """Choices of a model that fit together."""
    choices = {"margin": draw(FINITE), "distance_scale": draw(st.sampled_from(["sqrt_dim", "none"]))}
    if draw(st.booleans()):
        choices |= {"architecture": "bi-encoder", "self_match_weight": draw(POSITIVE)}
        choices |= {name: draw(NOT_NEGATIVE) for name in ("neighbor_weight", "frequency_weight")}
        if draw(st.booleans()):
            choices |= {"normalize": True, "scale": draw(POSITIVE), "learn_scale": draw(st.booleans())}
            choices["distance_scale"] = "sqrt_dim"
    return choices


def names_of(graph, split):
    """The triplets of a split by their ids, with their labels."""
    entities, relations = graph.entities.ids, graph.relations.ids
    labels = [None] * len(split) if split.labels is None else split.labels.tolist()
    rows = zip(split.triplets.tolist(), labels, strict=True)
    return [(entities[head], relations[relation], entities[tail], label) for (head, relation, tail), label in rows]


# Graphs


def test_graph_of_a_saved_folder_is_the_one_that_was_saved(request, tmp_path):
    @for_all(request, 20, graph=named_graphs())
    def check(graph):
        graph.save_pretrained(tmp_path)
        found = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
        splits = {name: (split.positives, None) for name, split in graph.splits.items()}  # The false ones are not kept.
        assert_same_graph(found, KnowledgeGraph(graph.entities, graph.relations, splits))
        names = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, None)
        assert_same_graph(names, KnowledgeGraph(graph.entities, graph.relations, {}))
        return len(graph.splits) + 4


def test_graph_of_text_files_is_the_one_that_was_written(request, tmp_path):
    files = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}

    @for_all(request, 20, graph=named_graphs())
    def check(graph):
        for file in tmp_path.iterdir():
            file.unlink()
        for name, split in graph.splits.items():
            lines = ["\t".join(str(cell) for cell in row if cell is not None) for row in names_of(graph, split)]
            (tmp_path / files[name]).write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="")
        for kind, names in (("entity", graph.entities), ("relation", graph.relations)):
            lines = [f"{key}\t{text}\n" for key, text in zip(names.ids, names.texts, strict=True)]
            (tmp_path / f"{kind}2text.txt").write_text("".join(lines), encoding="utf-8", newline="")
        found = KnowledgeGraph.from_directory(tmp_path)
        assert list(found.splits) == list(graph.splits)
        for name, split in graph.splits.items():
            assert names_of(found, found[name]) == names_of(graph, split)
        for kind in ("entities", "relations"):
            expected, names = getattr(graph, kind), getattr(found, kind)
            assert dict(zip(names.ids, names.texts, strict=True)) == dict(
                zip(expected.ids, expected.texts, strict=True)
            )
        return sum(map(len, graph.splits.values())) + 2


# Models and processors


def test_configuration_is_read_as_it_was_saved(request, tmp_path):
    calibration = st.none() | st.fixed_dictionaries(dict.fromkeys(("threshold", "slope", "intercept"), FINITE))

    @for_all(request, 20, choices=model_choices(), calibration=calibration)
    def check(choices, calibration):
        config = LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), calibration=calibration, **choices)
        config.save_pretrained(tmp_path)
        found = LassConfig.from_pretrained(tmp_path)
        for name in choice_names(ModelChoices):
            assert getattr(found, name) == getattr(config, name), name
        assert {name: getattr(found, name) for name in choices} == choices
        assert found.calibration == calibration
        assert config_fingerprint(found) == config_fingerprint(config)
        return len(choice_names(ModelChoices)) + 3


def test_processor_makes_the_same_sequences_when_it_is_read_again(request, tmp_path):
    architectures = st.sampled_from(["cross-encoder", "bi-encoder"])

    @for_all(
        request,
        6,
        graph=named_graphs(),
        architecture=architectures,
        separators=st.booleans(),
        max_length=st.none() | st.integers(40, 64),
    )
    def check(graph, architecture, **choices):
        processor = LassProcessor(wordpiece_tokenizer(), architecture=architecture, **choices)
        processor.graph = graph
        processor.save_pretrained(tmp_path)
        found = LassProcessor.from_pretrained(tmp_path)
        for name in ("architecture", *choice_names(SequenceChoices)):
            assert getattr(found, name) == getattr(processor, name)
        stores = found.token_store(), processor.token_store()
        assert stores[0].template == stores[1].template
        for array in ("tokens", "offsets"):
            assert np.array_equal(*(getattr(store, array) for store in stores))
        assert found.graph.entities.ids == graph.entities.ids
        return 7


# Results, recipes and what is recorded of a training


def test_results_are_read_as_they_were_written(request, tmp_path):
    numbers = st.dictionaries(NAMES, FINITE | st.integers(-(2**53), 2**53), max_size=5)
    plain = st.recursive(st.none() | st.booleans() | FINITE | NAMES, lambda inner: st.lists(inner, max_size=3))

    @for_all(request, 20, metrics=numbers, more=plain)
    def check(metrics, more):
        write_results(tmp_path / "results.json", metrics, task="training", more=more)
        found = read_results(tmp_path / "results.json")
        assert found["metrics"] == metrics
        assert found["more"] == more
        assert found["task"] == "training"
        return len(metrics) + 2


@st.composite
def training_choices(draw):
    """Some arguments of a training, as a recipe holds them."""
    values = {
        "margin": st.floats(-100, 100),
        "distance_scale": st.sampled_from(["sqrt_dim", "none"]),
        "separators": st.booleans(),
        "num_negatives": st.integers(1, 20),
        "corruption": st.sampled_from(["each_slot", "head_or_tail", "tail"]),
        "replacement": st.booleans(),
        "learning_rate": st.floats(1e-9, 1),
        "num_train_epochs": st.floats(0.1, 100),
        "per_device_train_batch_size": st.integers(1, 512),
        "seed": st.integers(0, 2**31),
        "weight_decay": st.floats(0, 1),
        "lr_scheduler_type": st.sampled_from(["linear", "cosine", "constant"]),
    }
    return {name: draw(values[name]) for name in draw(st.lists(st.sampled_from(sorted(values)), unique=True))}


def test_recipes_and_flags_give_the_arguments_that_are_recorded(request, tmp_path, graph):
    fixed = {"graph": "countries", "encoder": "bert-base-uncased", "report_to": "none"}
    elsewhere = {"seed", "per_device_train_batch_size"}  # Both stand beside the choices, the batch size per step.

    @for_all(request, 8, choices=training_choices())
    def check(choices):
        recipe = tmp_path / "mine.yaml"
        recipe.write_text(yaml.safe_dump({**fixed, **choices, "output_dir": str(tmp_path / "out")}), encoding="utf-8")
        flags = [f"--{name}={value}" for name, value in {**fixed, **choices}.items()]
        ways = [parse_training([str(recipe)]), parse_training([*flags, "--output_dir", str(tmp_path / "out")])]
        for arguments, training in ways:
            for name, value in choices.items():
                owner = arguments if hasattr(arguments, name) else training
                assert getattr(owner, name) == value, name
        recorded = [collect_run_metadata(*way, graph) for way in ways]
        assert recorded[0]["choices"] == recorded[1]["choices"]
        assert recorded[0]["changed"] == {}
        write_results(tmp_path / "training.json", {}, **recorded[0])
        found = read_results(tmp_path / "training.json")
        for name in choices.keys() - elsewhere:
            assert found["choices"].get(name, DEFAULTS[name]) == choices[name], name
        assert found["seed"] == choices.get("seed", 42)
        assert found["choices"]["positives_per_step"] == choices.get("per_device_train_batch_size", 8)
        return 4 * len(choices) + 4
