"""The table of methods, and how they are named."""

import pytest
from helpers.tiny import one_line

from lass_hf.comparison.methods import EMBEDDINGS, METHODS, check_methods, title_of
from lass_hf.core.errors import LassError


def test_names_are_taken_in_any_case_once_and_in_their_order():
    assert check_methods(["RotatE", "rules", "rotate", "ours", "TransE"]) == ("rotate", "rules", "ours", "transe")


def test_an_unknown_method_is_refused_with_all_that_there_are():
    with pytest.raises(LassError) as error:
        check_methods(["transe", "transg"])
    one_line(error, "method 'transg'", *METHODS)


def test_the_methods_of_the_paper_are_there():
    paper = ["transe", "transh", "transr", "transd", "distmult", "complex", "conve", "convkb", "rotate", "ntn"]
    assert list(METHODS) == [*paper, "rules", "ours"]
    assert [title_of(name).lower() for name in paper] == paper


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_hyperparameters_are_possible(name):
    method = EMBEDDINGS[name]
    assert min(method.epochs, method.batch_size, method.learning_rate, method.floats_per_score) > 0
    assert 0 <= method.label_smoothing < 1
    assert method.label_smoothing == 0 or method.negatives == 0  # only the loss over all entities smooths labels
