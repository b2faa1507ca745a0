"""Recipes that can be searched."""

import pytest
from helpers.tiny import make_model, make_processor

RECIPE = """
encoder: {encoder}
architecture: bi-encoder
normalize: true
loss: softmax
learning_rate: 1.0e-3
warmup_steps: 2
max_steps: 8
per_device_train_batch_size: 4
eval_strategy: steps
eval_steps: 2
save_steps: 4
output_dir: runs/of_the_recipe
bf16: false
"""
RANGES = """search:
  learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
  self_match_weight: [0.1, 0.5]
  num_neighbors: [0, 2]
"""


@pytest.fixture
def recipe(encoder_folder, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(RECIPE.format(encoder=encoder_folder) + RANGES)
    return file


@pytest.fixture
def of_reranker(encoder_folder, graph, tmp_path):
    """A recipe with mined negatives, and no ranges."""
    retriever, file = tmp_path / "retriever", tmp_path / "reranker.yaml"
    make_model(architecture="bi-encoder").save_pretrained(retriever)
    make_processor(graph, architecture="bi-encoder").save_pretrained(retriever)
    file.write_text(
        f"encoder: {encoder_folder}\narchitecture: cross-encoder\nloss: softmax\nnum_negatives: 12\n"
        f"retriever: {retriever}\nnum_mined: 8\nmining_depth: 4\nmax_length: 24\nmax_steps: 2\nbf16: false\n"
    )
    return file
