"""The card that a push uploads: it describes what was uploaded, and never replaces a card with more content."""

import pytest

from lass_hf import LassForKGCompletion, LassProcessor, push_to_hub
from lass_hf.core.knowledge_graph import VOCABULARY_FILE
from lass_hf.hub.card_files import model_card_data, write_card

NAME = "user/animals"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # See tests/hub/test_upload.py.


def test_hub_card_describes_how_much_of_the_graph_was_uploaded(hub, model, processor, graph, tmp_path):
    bare = LassProcessor(processor.tokenizer)
    push_to_hub((model, bare), NAME)
    assert VOCABULARY_FILE not in hub.files(NAME)
    assert b"comes without names" in hub.files(NAME)["README.md"]
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="vocabulary")
    write_card(tmp_path, {**model_card_data(model, processor), "training": None, "evaluations": []}, graph)
    push_to_hub(tmp_path, "user/names", include_graph="full")
    assert b"without the triplets" in hub.files("user/names")["README.md"]


def test_hub_keeps_the_card_of_a_model_that_comes_back(hub, model_copy):
    (model_copy / "README.md").write_text("---\nlibrary_name: transformers\n---\n# Animals\n")
    push_to_hub(model_copy, NAME)
    pulled = LassForKGCompletion.from_pretrained(NAME), LassProcessor.from_pretrained(NAME)
    push_to_hub(pulled, NAME)
    assert b"# Animals" in hub.files(NAME)["README.md"]
    push_to_hub(pulled, NAME, include_graph="none")  # The card may contain names of the graph that this push removes.
    assert b"No training of it is recorded" in hub.files(NAME)["README.md"]
