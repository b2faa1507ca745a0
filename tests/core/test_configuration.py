"""LassConfig: its defaults, its JSON, and what it refuses."""

import json

import pytest
from helpers.forwards import KINDS
from helpers.tiny import ENCODER_CONFIGS

from lass_hf import LassConfig
from lass_hf.core.errors import LassError


def test_config_defaults_are_the_papers_margin_and_the_scaled_distance():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["bert"]())
    assert (config.margin, config.distance_scale) == (7.0, "sqrt_dim")


@pytest.mark.parametrize("distance_scale", ["cosine", "", "SQRT_DIM"])
def test_config_refuses_an_unknown_distance_scale(distance_scale):
    with pytest.raises(LassError, match="expected one of sqrt_dim, none"):
        LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), distance_scale=distance_scale)


@pytest.mark.parametrize("name", ["encoding", "own_weight", "neighbour_weight", "decision"])
def test_config_refuses_an_old_name_with_the_new_one(name):
    with pytest.raises(LassError, match=f"^{name} is now called .*config.json"):
        LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), **{name: None})


@pytest.mark.parametrize("kind", KINDS)
def test_config_survives_json(kind, tmp_path):
    config = LassConfig(encoder_config=ENCODER_CONFIGS[kind](), margin=4, distance_scale="none")
    config.save_pretrained(tmp_path)
    loaded = LassConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert type(loaded.encoder_config) is type(config.encoder_config)
    assert (loaded.margin, loaded.distance_scale) == (4.0, "none")


def test_config_json_holds_its_fields(tmp_path):
    LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), margin=4).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert content["model_type"] == "lass"
    assert content["encoder_config"]["model_type"] == "bert"
    assert (content["margin"], content["distance_scale"]) == (4.0, "sqrt_dim")


def test_config_accepts_the_encoder_config_as_a_dict():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["roberta"]().to_dict())
    assert type(config.encoder_config) is type(ENCODER_CONFIGS["roberta"]())


def test_text_config_is_the_encoders():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["bert"]())
    assert config.get_text_config() is config.encoder_config


@pytest.mark.parametrize(
    "choices",
    [
        {"margin": float("nan")},
        {"margin": float("inf")},
        {"architecture": "bi-encoder", "normalize": True, "scale": float("nan")},
        {"calibration": {"threshold": float("nan"), "slope": 1.0, "intercept": 0.0}},
    ],
)
def test_config_refuses_numbers_that_are_not_finite(choices):
    with pytest.raises(LassError, match=r"finite|scale=nan; expected a number above 0"):
        LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), **choices)
