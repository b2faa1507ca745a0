"""The parts of a pipeline: its processor may be another one that fits the model, and nothing else is accepted."""

import pytest
from helpers.tiny import make_processor, one_line, wordpiece_tokenizer
from transformers import pipeline

from lass_hf import LassProcessor
from lass_hf.core.errors import ModelError

QUERY = {"head": "cat", "relation": "eats"}


@pytest.mark.parametrize("part", ["tokenizer", "feature_extractor", "image_processor", "video_processor"])
def test_a_part_that_only_the_processor_holds_is_refused(part, model_folder):
    for given in (model_folder, wordpiece_tokenizer()):
        with pytest.raises(ModelError) as error:
            pipeline("kg-completion", model=model_folder, **{part: given})
        one_line(error, f"{part}= was given to a kg-completion pipeline", "processor=LassProcessor(tokenizer)")


def test_another_processor_is_used_by_name_or_as_it_is(model_folder, graph):
    short = make_processor(graph, max_length=8)
    expected = pipeline("kg-completion", model=model_folder)(QUERY, top_k=3)
    assert pipeline("kg-completion", model=model_folder, processor=model_folder)(QUERY, top_k=3) == expected
    pipe = pipeline("kg-completion", model=model_folder, processor=short)
    assert pipe.predictor.processor is short
    assert pipe(QUERY, top_k=3) != expected


def test_a_processor_that_does_not_fit_the_model_is_refused(model_folder, graph):
    for processor in (make_processor(graph, architecture="bi-encoder"), make_processor(graph, max_length=65)):
        with pytest.raises(ModelError, match="the processor's"):
            pipeline("kg-completion", model=model_folder, processor=processor)
    large = wordpiece_tokenizer()
    large.add_tokens([f"word{number}" for number in range(400)])
    processor = LassProcessor(large)
    processor.graph = graph
    with pytest.raises(ModelError, match="embeddings"):
        pipeline("triplet-classification", model=model_folder, processor=processor)
