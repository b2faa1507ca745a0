"""A model with a LoRA adapter: trained, saved, resumed, merged and loaded, or refused before anything is lost."""

import os
import re
import shutil

import numpy as np
import pytest
import torch
from helpers.cards import fences, text_of
from helpers.tiny import make_graph, make_processor, one_line, write_graph
from helpers.trainings import assert_equal, parameters_of, trainer_of
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModel

from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    TripletScorer,
    evaluate_link_prediction,
)
from lass_hf.core.configuration_lass import LassConfig
from lass_hf.core.errors import LassError, ModelError
from lass_hf.hub.card_files import CARD_FILE, read_card_data
from lass_hf.hub.upload import list_shared_files
from lass_hf.training.checkpoints import find_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's own

CHOICES = {
    "cross-encoder": {"margin": 6.0},
    "bi-encoder": {"architecture": "bi-encoder", "normalize": True, "scale": 12.0},
}
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}
ARCHITECTURES = pytest.mark.parametrize("architecture", CHOICES)
QUERY = {"head": "cat", "relation": "eats"}


@pytest.fixture
def base_of(encoder_folder):
    """Makes the model that an adapter is put around, always the same one."""
    return lambda architecture: LassForKGCompletion.from_encoder(encoder_folder, **CHOICES[architecture])


@pytest.fixture
def adapted(base_of):
    """Makes a model with an untrained adapter."""

    def make(architecture="cross-encoder", seed=1, **choices):
        torch.manual_seed(seed)
        return get_peft_model(base_of(architecture), LoraConfig(**{**LORA, **choices}))

    return make


def adapter_trainer(folder, graph, model, architecture="cross-encoder", **choices):
    """A training of four steps with dropout, and a checkpoint in its middle."""
    steps = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    return trainer_of(folder, graph, architecture, model, **{**steps, **choices})


def scores_of(model, architecture, graph) -> np.ndarray:
    store = make_processor(graph, architecture=architecture).token_store(graph)
    return TripletScorer(model, store, dtype="float32").score(graph["test"].triplets)


@ARCHITECTURES
def test_adapter_is_trained_saved_loaded_and_merged(architecture, adapted, base_of, tmp_path):
    graph, model = make_graph(), adapted(architecture)
    before, untrained = parameters_of(model), scores_of(model, architecture, graph)
    trainer = adapter_trainer(tmp_path / "out", graph, model, architecture)
    trainer.train()
    trainer.save_model()
    changed = [name for name, value in parameters_of(model).items() if not torch.equal(value, before[name])]
    assert changed
    assert all(".lora_" in name for name in changed)

    expected = scores_of(model, architecture, graph)
    assert not np.array_equal(expected, untrained)
    loaded = PeftModel.from_pretrained(base_of(architecture), tmp_path / "out")
    assert np.array_equal(scores_of(loaded, architecture, graph), expected)
    assert trainer.evaluate()["eval_mrr"] > 0
    processor = LassProcessor.from_pretrained(tmp_path / "out")
    metrics = evaluate_link_prediction(loaded, processor, graph, dtype="float32", quiet=True).metrics
    predictions = LassPredictor(loaded, processor, dtype="float32").predict(**QUERY)

    merged = tmp_path / "merged"
    model.merge_and_unload().save_pretrained(merged)
    processor.save_pretrained(merged)
    whole = LassForKGCompletion.from_pretrained(merged)
    np.testing.assert_allclose(scores_of(whole, architecture, graph), expected, rtol=1e-5, atol=1e-5)
    found = evaluate_link_prediction(whole, processor, graph, dtype="float32", quiet=True).metrics
    assert found["mrr"] == pytest.approx(metrics["mrr"])
    best = LassPredictor.from_pretrained(merged, dtype="float32").predict(**QUERY)
    assert [prediction.id for prediction in best] == [prediction.id for prediction in predictions]


@ARCHITECTURES
def test_resumed_training_ends_with_the_adapter_of_an_uninterrupted_one(architecture, adapted, tmp_path):
    graph, straight = make_graph(), adapted(architecture)
    adapter_trainer(tmp_path / "out", graph, straight, architecture).train()
    assert find_checkpoint("last", tmp_path / "out") == str(tmp_path / "out" / "checkpoint-4")
    resumed = adapted(architecture, seed=2)  # Its random beginning is replaced.
    trainer = adapter_trainer(tmp_path / "resumed", graph, resumed, architecture)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    assert trainer._initial_global_step == 2
    assert_equal(parameters_of(resumed), parameters_of(straight))


def test_a_checkpoint_belongs_to_the_weights_that_its_adapter_is_around(adapted, tmp_path):
    graph = make_graph()
    adapter_trainer(tmp_path, graph, adapted()).train()
    other = adapted()
    with torch.no_grad():
        next(other.get_base_model().encoder.parameters()).add_(1)
    with pytest.raises(LassError, match="checkpoint-4: its training began with other weights; resume with the same"):
        adapter_trainer(tmp_path, graph, other).train(resume_from_checkpoint=True)


def test_checkpoint_without_its_adapter_is_not_whole(adapted, tmp_path):
    adapter_trainer(tmp_path, make_graph(), adapted()).train()
    (tmp_path / "checkpoint-4" / "adapter_model.safetensors").unlink()
    assert find_checkpoint("last", tmp_path) == str(tmp_path / "checkpoint-2")


def test_the_configuration_of_an_adapter_names_no_file_of_the_processor(adapted, tmp_path):
    """An upload leaves some of them out, and a model that is saved over the adapter would remove them all."""
    graph, model = make_graph(), adapted()
    trainer = adapter_trainer(tmp_path, graph, model)
    trainer.train()
    (tmp_path / "checkpoint-4" / "training_args.bin").unlink()  # is not uploaded
    assert find_checkpoint("last", tmp_path) == str(tmp_path / "checkpoint-4")
    trainer.save_model()
    model.merge_and_unload().save_pretrained(tmp_path)
    assert not (tmp_path / "adapter_model.safetensors").exists()
    assert {"tokenizer.json", "vocabulary.json", "known_triplets.safetensors"} <= {*os.listdir(tmp_path)}


def test_best_adapter_is_loaded_at_the_end(adapted, tmp_path):
    graph, model = make_graph(), adapted()
    choices = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "learning_rate": 5.0}
    trainer = adapter_trainer(tmp_path, graph, model, metric_for_best_model="eval_loss", **choices)
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    best = load_file(tmp_path / f"checkpoint-{2 + 2 * int(np.argmin(losses))}" / "adapter_model.safetensors")
    found = parameters_of(model)
    assert_equal({name: found[name.replace(".weight", ".default.weight")] for name in best}, best)


def test_gradients_reach_the_adapter_through_checkpointing(adapted, tmp_path):
    trained = []
    for checkpointing in (False, True):
        model = adapted()
        choices = {"activation_checkpointing": checkpointing, "save_strategy": "no"}
        adapter_trainer(tmp_path, make_graph(), model, **choices).train()
        trained.append(parameters_of(model))
    assert any(value.any() for name, value in trained[1].items() if ".lora_B." in name)
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, rtol=1e-5, atol=1e-7)


def test_folder_has_the_configuration_with_its_calibration(adapted, labeled_graph, tmp_path):
    trainer = adapter_trainer(tmp_path, labeled_graph, adapted(), save_strategy="no")
    trainer.train()
    trainer.save_model()
    config = LassConfig.from_pretrained(tmp_path)
    assert config.calibration == trainer.model.config.calibration is not None
    assert config.margin == 6.0


def test_card_says_how_to_load_the_adapter(adapted, encoder_folder, tmp_path, monkeypatch):
    graph = KnowledgeGraph.from_directory(write_graph(tmp_path / "my_graph"))
    trainer = adapter_trainer(tmp_path / "out", graph, adapted(), save_strategy="no")
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
    trainer.save_model()  # PEFT would write its own card over ours
    assert read_card_data(tmp_path / "out")["adapter"] == {"type": "LORA", "base": None}
    card = text_of(tmp_path / "out")
    assert "More Information Needed" not in card
    assert "link prediction: validation split" in card.lower()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(encoder_folder, tmp_path / re.search(r"from_encoder\('([^']+)'", card)[1])
    space = {}
    for code in fences(card, "python"):
        exec(code, space)
    expected = LassPredictor(trainer.model, trainer.processing_class).predict(**QUERY)
    assert [row.id for row in space["predictor"].predict(**QUERY)] == [row.id for row in expected]

    mine = text_of(tmp_path / "out") + "\nMy own words.\n"
    (tmp_path / "out" / CARD_FILE).write_text(mine)
    trainer.save_model()
    assert text_of(tmp_path / "out") == mine
    shared = {path.name for path in list_shared_files(tmp_path / "out", "full")}
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", CARD_FILE} <= shared


# What is refused


@ARCHITECTURES
def test_folder_of_an_adapter_is_no_whole_model(architecture, adapted, tmp_path, bad_input):
    trainer = adapter_trainer(tmp_path, make_graph(), adapted(architecture), architecture, save_strategy="no")
    trainer.save_model()
    for load in (LassForKGCompletion.from_pretrained, LassPredictor.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ModelError) as error:
            load(tmp_path)
        one_line(error, str(tmp_path), "adapter", "merge_and_unload")
    assert "merge_and_unload" in bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")


def test_adapter_beside_merged_weights_is_not_applied_twice(adapted, tmp_path):
    model = adapted()
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    assert LassForKGCompletion.from_pretrained(tmp_path / "merged")
    for file in (tmp_path / "adapter").glob("adapter_*"):
        shutil.copy(file, tmp_path / "merged")
    with pytest.raises(ModelError) as error:
        LassForKGCompletion.from_pretrained(tmp_path / "merged")
    one_line(error, "another folder")


def test_checkpoint_of_another_adapter_is_refused(adapted, base_of, tmp_path):
    graph = make_graph()
    adapter_trainer(tmp_path / "adapter", graph, adapted()).train()
    adapter_trainer(tmp_path / "whole", graph, base_of("cross-encoder")).train()
    cases = [
        (adapted(lora_alpha=16), "adapter", "lora_alpha=8"),
        (adapted(target_modules=["key", "value"]), "adapter", "target_modules="),
        (adapted(), "whole", "a whole model"),
        (base_of("cross-encoder"), "adapter", "an adapter"),
    ]
    for model, folder, named in cases:
        trainer = adapter_trainer(tmp_path / "new", graph, model)
        with pytest.raises(LassError) as error:
            trainer.train(resume_from_checkpoint=str(tmp_path / folder / "checkpoint-2"))
        one_line(error, named, str(tmp_path / folder))


def test_adapter_that_a_folder_would_not_hold_whole_is_refused(adapted, base_of, tmp_path):
    def inside_encoder():
        model = base_of("cross-encoder")
        model.encoder = get_peft_model(model.encoder, LoraConfig(**LORA))
        return model

    def injected():
        model = base_of("cross-encoder")
        model.add_adapter(LoraConfig(**LORA))
        return model

    def learned_scale():
        model = adapted("bi-encoder")
        model.log_scale.requires_grad_(True)
        return model

    def several():
        model = adapted()
        model.add_adapter("second", LoraConfig(**LORA))
        return model

    refused = [
        ("cross-encoder", inside_encoder(), "put a new one around the whole model"),
        ("cross-encoder", injected(), "put a new one around the whole model"),
        ("bi-encoder", learned_scale(), "log_scale would be trained"),
        ("bi-encoder", adapted("bi-encoder", modules_to_save=["log_scale"]), "scale="),
        ("cross-encoder", adapted(task_type="FEATURE_EXTRACTION"), "task_type='FEATURE_EXTRACTION'"),
        ("cross-encoder", several(), "second"),
    ]
    for architecture, model, named in refused:
        with pytest.raises(LassError) as error:
            adapter_trainer(tmp_path, make_graph(), model, architecture)
        one_line(error, named)


def test_biases_and_modules_beside_the_adapter_are_saved_with_it(adapted, base_of, tmp_path):
    for number, choices in enumerate(({"bias": "all"}, {"modules_to_save": ["LayerNorm"]})):
        model, graph = adapted(**choices), make_graph()
        adapter_trainer(tmp_path / str(number), graph, model).train()
        loaded = PeftModel.from_pretrained(base_of("cross-encoder"), tmp_path / str(number) / "checkpoint-4")
        expected = scores_of(model, "cross-encoder", graph)
        assert np.array_equal(scores_of(loaded, "cross-encoder", graph), expected)


def test_training_that_would_change_no_weight_is_refused(adapted, base_of, tmp_path):
    adapted().save_pretrained(tmp_path)
    for model in (PeftModel.from_pretrained(base_of("cross-encoder"), tmp_path), adapted().merge_and_unload()):
        trainer = adapter_trainer(tmp_path, make_graph(), model, save_strategy="no")
        with pytest.raises(LassError) as error:
            trainer.train()
        one_line(error, "is_trainable=True", "requires_grad_(True)")
    trainer.model.requires_grad_(True)
    before = parameters_of(trainer.model)
    trainer.train()
    assert sum(not torch.equal(value, before[name]) for name, value in parameters_of(trainer.model).items()) > 20


@pytest.mark.parametrize(
    "choices",
    [{"score_head": "kg-bert"}, {"architecture": "bi-encoder", "score_function": "hyperplane"}],
    ids=["head", "function"],
)
def test_weights_of_a_head_or_a_function_are_trained_beside_the_adapter(choices, encoder_folder, tmp_path):
    architecture, graph = choices.get("architecture", "cross-encoder"), make_graph()

    def adapted(**lora):
        model = LassForKGCompletion.from_encoder(encoder_folder, **choices)
        return get_peft_model(model, LoraConfig(**LORA, **lora))

    with pytest.raises(LassError) as error:
        adapter_trainer(tmp_path, graph, adapted(), architecture)
    one_line(error, "modules_to_save=['score_head']")
    model = adapted(modules_to_save=["score_head"])
    untrained = scores_of(model, architecture, graph)
    trainer = adapter_trainer(tmp_path / "out", graph, model, architecture)
    trainer.train()
    expected = scores_of(model, architecture, graph)
    assert not np.array_equal(expected, untrained)
    base = LassForKGCompletion.from_encoder(encoder_folder, **choices)
    loaded = PeftModel.from_pretrained(base, tmp_path / "out" / "checkpoint-4")
    np.testing.assert_array_equal(scores_of(loaded, architecture, graph), expected)
    merged = model.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    again = LassForKGCompletion.from_pretrained(tmp_path / "merged")
    np.testing.assert_allclose(scores_of(again, architecture, graph), expected, rtol=1e-3, atol=1e-4)
