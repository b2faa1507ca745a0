"""A model and a processor fit each other, or the error says why; lengths are those that an encoder can read."""

import json
import shutil

import pytest
import torch
from helpers.tiny import VOCABULARY_SIZE, make_graph, make_model, make_processor, one_line, wordpiece_tokenizer
from helpers.trainings import losses_of, make_trainer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, BertModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast, XLNetConfig

from lass_hf import LassForKGCompletion, LassPredictor, LassProcessor, evaluate_link_prediction
from lass_hf.analysis.attention import compute_attention
from lass_hf.core.configuration_lass import usable_positions
from lass_hf.core.errors import LassError, ModelError
from lass_hf.scoring.triplet_scorer import TripletScorer

# Kinds of encoders, and how many of 20 positions a sequence can use.
POSITIONS = {
    **dict.fromkeys(["bert", "deberta-v2", "gpt2"], 20),
    **dict.fromkeys(["roberta", "camembert", "data2vec-text", "ibert", "longformer", "mpnet"], 18),
    "markuplm": 19,  # The id of its padding token is 0.
}


@pytest.mark.parametrize("kind", POSITIONS)
def test_the_usable_positions_are_those_that_the_encoder_has(kind):
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 60}
    more = {"intermediate_size": 37} if kind != "gpt2" else {}
    config = AutoConfig.for_model(kind, **sizes, **more, max_position_embeddings=20)
    if kind == "longformer":
        config.attention_window = [4]
    usable = usable_positions(config)
    assert usable == POSITIONS[kind]
    encoder = AutoModel.from_config(config).eval()
    with torch.no_grad():
        encoder(input_ids=torch.full((1, usable), 7))
        with pytest.raises((IndexError, RuntimeError)):
            encoder(input_ids=torch.full((1, usable + 1), 7))


@pytest.mark.parametrize("value", [-1, 0])
def test_what_is_no_number_of_positions_is_no_limit(value):
    config = AutoConfig.for_model("bert")
    config.max_position_embeddings = value
    assert usable_positions(config) is None


def test_xlnet_says_minus_one_and_has_no_limit(tmp_path):
    XLNetConfig(vocab_size=VOCABULARY_SIZE, d_model=32, n_layer=1, n_head=2, d_inner=37).save_pretrained(tmp_path)
    tokenizer = wordpiece_tokenizer()
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(tmp_path)
    assert LassProcessor.from_encoder(tmp_path).max_length == 512
    assert LassProcessor.from_encoder(tmp_path, max_length=2000).max_length == 2000


@pytest.mark.parametrize("limit", [int(1e30), 0, -1, 2**40])
def test_what_is_no_length_of_a_tokenizer_is_no_limit(limit):
    tokenizer = wordpiece_tokenizer()
    tokenizer.model_max_length = limit
    assert LassProcessor(tokenizer).max_length == 512


@pytest.mark.parametrize("length", ["64", 64.5, True])
def test_a_length_that_is_no_number_is_an_error(length):
    with pytest.raises(LassError, match=f"max_length={length!r}; expected a number of tokens"):
        LassProcessor(wordpiece_tokenizer(), max_length=length)


# Where they meet


def larger_tokenizer(count=300):
    tokenizer = wordpiece_tokenizer()
    tokenizer.add_tokens([f"word{number}" for number in range(count)])
    return tokenizer


def unfit_processors():
    """Processors that do not fit the tiny model, each with what the error says."""
    many = LassProcessor(larger_tokenizer())
    largest = len(many.tokenizer) - 1
    return {
        "tokens": (many, [f"token ids up to {largest}", f"{VOCABULARY_SIZE} embeddings", "resize_token_embeddings"]),
        "positions": (make_processor(max_length=65), ["max_length is 65", "64 positions", "max_length=64"]),
        "architecture": (make_processor(architecture="bi-encoder"), ["'cross-encoder'", "'bi-encoder'"]),
    }


MEETINGS = {
    "trainer": lambda folder, model, processor: make_trainer(
        folder, processor.graph, processor, model, **({"loss": "softmax"} if processor.architecture[0] == "b" else {})
    ),
    "predictor": lambda folder, model, processor: LassPredictor(model, processor),
    "evaluation": lambda folder, model, processor: evaluate_link_prediction(model, processor, processor.graph),
    "attention": lambda folder, model, processor: compute_attention(model, processor, ("cat", "eats", "milk")),
    "scorer": lambda folder, model, processor: TripletScorer(model, processor.token_store()),
}


@pytest.mark.parametrize("reason", ["tokens", "positions", "architecture"])
@pytest.mark.parametrize("meeting", MEETINGS)
def test_a_model_and_a_processor_that_do_not_fit_are_refused_where_they_meet(reason, meeting, tmp_path):
    processor, parts = unfit_processors()[reason]
    processor.graph = make_graph()
    if reason == "tokens" and meeting in ("evaluation", "scorer"):  # They read only the texts of a graph.
        texts = processor.graph.entities.texts
        texts[0] = "word299 and word298"
    with pytest.raises(ModelError) as error:
        MEETINGS[meeting](tmp_path, make_model(), processor)
    if reason == "tokens" and meeting in ("evaluation", "scorer"):
        parts = [f"token ids up to {processor.token_store().largest_token}", *parts[1:]]
    one_line(error, *parts)


def test_a_model_that_fits_once_its_embeddings_are_resized(tmp_path):
    processor, graph = LassProcessor(larger_tokenizer()), make_graph()
    processor.graph = graph
    model = make_model()
    model.resize_token_embeddings(len(processor.tokenizer))
    assert len(LassPredictor(model, processor).predict(head={"text": "word299"}, relation="eats")) == 10


def test_another_model_is_no_lass_model(encoder_folder, processor):
    with pytest.raises(ModelError, match=r"a BertModel is no LASS model.*from_encoder"):
        TripletScorer(BertModel.from_pretrained(encoder_folder), processor.token_store())


def test_an_encoder_with_another_ones_tokenizer_is_one_line(encoder_folder, training, tmp_path, bad_input):
    folder = shutil.copytree(encoder_folder, tmp_path / "mixed")
    larger_tokenizer().save_pretrained(folder)
    assert f"{VOCABULARY_SIZE} embeddings" in bad_input("train", *training, "--encoder", folder, quiet=False)


def test_a_saved_processor_beyond_the_positions_is_one_line(model_copy, bad_input):
    file = model_copy / "processor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_length": 100}))
    line = bad_input("predict", "--model", model_copy, "--head", "cat", "--relation", "eats")
    assert "max_length is 100, but the encoder has 64 positions" in line


# The advice for a tokenizer without begin and separator


def bare_tokenizer():
    """A tokenizer of the GPT-2 kind without any special token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64)


def test_the_tokens_that_a_tokenizer_lacks_can_be_added(tmp_path, graph):
    torch.manual_seed(0)
    sizes = {"vocab_size": 256, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    GPT2Model(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).save_pretrained(tmp_path / "gpt")
    bare_tokenizer().save_pretrained(tmp_path / "gpt")
    with pytest.raises(ModelError, match=r'add_special_tokens\(.*"cls_token".*resize_token_embeddings') as error:
        LassProcessor.from_encoder(tmp_path / "gpt")
    one_line(error)

    tokenizer = bare_tokenizer()
    tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    processor = LassProcessor(tokenizer)
    model = LassForKGCompletion.from_encoder(tmp_path / "gpt")
    with pytest.raises(ModelError, match="up to 257, but the encoder has 256 embeddings"):
        make_trainer(tmp_path / "out", graph, processor, model)
    model.resize_token_embeddings(len(tokenizer))
    assert model.config.encoder_config.vocab_size == 258
    trainer = make_trainer(tmp_path / "out", graph, processor, model, max_steps=1)
    before = model.get_input_embeddings().weight.detach().clone()
    trainer.train()
    assert torch.isfinite(torch.tensor(losses_of(trainer))).all()
    changed = (model.get_input_embeddings().weight != before).any(dim=1)
    assert changed[256:].all()  # [CLS] and [SEP] stand in every sequence.
    trainer.save_model()

    expected = LassPredictor(model, processor, "float32").score([("cat", "eats", "milk")])
    loaded = LassPredictor.from_pretrained(str(tmp_path / "out"), dtype="float32")
    assert loaded.scorer.model.config.encoder_config.vocab_size == 258
    assert loaded.score([("cat", "eats", "milk")]).tolist() == expected.tolist()
    again = LassForKGCompletion.from_encoder(tmp_path / "out", architecture="bi-encoder")
    assert again.get_input_embeddings().weight.shape == (258, 32)


def test_token_ids_with_gaps_need_embeddings_up_to_the_largest():
    words = {"[CLS]": 0, "[SEP]": 1, "cat": 2, "eats": 3, "milk": VOCABULARY_SIZE}
    backend = Tokenizer(models.WordLevel(words, unk_token="cat"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="[CLS]", sep_token="[SEP]")
    with pytest.raises(ModelError, match=f"up to {VOCABULARY_SIZE}, but the encoder has {VOCABULARY_SIZE} embeddings"):
        LassProcessor(tokenizer, max_length=64).check_fit(make_model())
