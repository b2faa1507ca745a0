"""`LassForKGCompletion`: any pre-trained encoder, a score head, Eq. 4. It uses no graph and no sampler."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME, ModelOutput, can_return_tuple

from .architectures import ARCHITECTURES, Architecture
from .choices import ModelChoices, choice_names, refuse_old_names
from .configuration_lass import LassConfig, load_encoder_config, with_dropout
from .encoders import check_model_source, check_weight_files, refuse_adapter, resolve_encoder, shared_name
from .errors import ModelError, library_errors
from .saved_files import DIGESTS, WEIGHT_FILES, check_saved_files, name_files, replacing, saved_config
from .score_heads import SCORE_HEADS, distance_factor, score_of_energy

PUSHING = ("repo_id", "commit_message", "private", "token", "create_pr", "revision")  # arguments of `push_to_hub`
SAFE = {"use_safetensors": True}  # whoever made a pickle can run code where it is read


@dataclass
class LassOutput(ModelOutput):
    """The outputs of a forward pass.

    Attributes:
        loss: Float32 scalar, Eq. 4 over the batch, if labels are given.
        scores: Float32 of shape (batch,), Eq. 1; higher is more plausible.
        head_embeddings: Float32 of shape (batch, k), the mean of the head's segment. For a bi-encoder, this and the
            next two are those of the tail's query and of the tail, if pairs are given. A head other than `segments`
            has none of the three.
        relation_embeddings: Float32 of shape (batch, k), the mean of the relation's segment.
        tail_embeddings: Float32 of shape (batch, k), the mean of the tail's segment.
        embeddings: Float32 of shape (rows, k), with a bi-encoder: u of a query, such as h + r, and t of an entity. Rows
            are longer where a query is more than one vector; see `ScoreHead.row_vectors`.
        factor: Float32 scalar, the factor of the energy in Eq. 1.
        hidden_states: Those of the encoder, if `output_hidden_states` is set.
        attentions: Those of the encoder, if `output_attentions` is set.
    """

    loss: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    head_embeddings: torch.Tensor | None = None
    relation_embeddings: torch.Tensor | None = None
    tail_embeddings: torch.Tensor | None = None
    embeddings: torch.Tensor | None = None
    factor: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class LassForKGCompletion(PreTrainedModel):
    """The LASS model (COLING 2022): an encoder, whose pooled outputs h, r and t give the score of Eq. 1.

    A cross-encoder makes h, r and t in one forward pass over the texts of a triplet. A bi-encoder
    (`config.architecture="bi-encoder"`) makes h and r in one forward pass and t in another, so that each entity is
    encoded once; a sequence is then a query or an entity.

    `config.score_head` puts another method in the place of Eq. 1.

    `from_encoder` makes a model from a pre-trained encoder, and `from_pretrained` loads a trained model.

    Args:
        config: The configuration.
        encoder: The encoder; None to make one with random weights from `config.encoder_config`.
    """

    config_class = LassConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # else the Trainer logs a mean loss multiplied by the accumulation steps
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    # The logarithm of 20 is that of 20.09 in bfloat16, and energies are float32.
    _keep_in_fp32_modules_strict = ["log_scale", "score_head"]

    def __init__(self, config: LassConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        if encoder is None:
            encoder = AutoModel.from_config(config.encoder_config, trust_remote_code=False)
        self.encoder = encoder
        self.config.encoder_config = self.encoder.config
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # Eq. 1 pools segments; an unused head breaks distributed training
        if config.normalize and config.learn_scale:
            self.log_scale = torch.nn.Parameter(torch.tensor(math.log(config.scale)))
        self.score_head = SCORE_HEADS[config.score_head](self.config)
        self.post_init()

    def _init_weights(self, module):
        """Does nothing: the encoder initializes itself, and doing it again would undo pre-trained weights."""

    @classmethod
    def from_encoder(
        cls,
        name_or_path: str,
        *,
        dropout: float | None = None,
        dtype: str | torch.dtype = "float32",
        **choices: Any,
    ) -> "LassForKGCompletion":
        """Makes an untrained LASS model from a pre-trained encoder.

        A checkpoint saved with a task head is fine: its head is dropped. The folder of a trained LASS model gives its
        encoder, to train another model from.

        Args:
            name_or_path: hub name or folder of the encoder.
            dropout: probability of all dropout layers of the encoder, in [0, 1); None leaves the checkpoint's own.
            dtype: precision of the weights: float32, whatever the checkpoint is stored in, because small updates of
                weights are lost in others. "auto" for the checkpoint's own.
            **choices: choices of `ModelChoices` (`architecture`, `margin`, `distance_scale`, ...); all others go to
                `AutoModel.from_pretrained` (`attn_implementation`, `revision`, ...).

        Raises:
            LassError: a choice has a value that is not allowed, or a name that it had in an earlier version.
            ModelError: there is no such encoder, or the checkpoint lacks weights of it, or has them in no safetensors
                file: nothing is unpickled. Or its class is code of its own, without which a trained model of it could
                not be loaded.
        """
        refuse_old_names(choices)
        own = {name: choices.pop(name) for name in choice_names(ModelChoices) if name in choices}
        source, dtype = resolve_encoder(name_or_path), choices.pop("torch_dtype", dtype)
        choices.setdefault("trust_remote_code", False)
        check_model_source(source, **choices)
        with library_errors(f"{name_or_path}: no encoder could be loaded"):
            if not isinstance(config := choices.pop("config", None), PreTrainedConfig):
                config, choices = load_encoder_config(source, choices)
            check_weight_files(source, getattr(config, "transformers_weights", None), **choices)
            if dropout is not None:
                config = with_dropout(config, dropout)
            encoder, info = AutoModel.from_pretrained(
                source, config=config, dtype=dtype, output_loading_info=True, **{**choices, **SAFE}
            )
        if isinstance(encoder, cls):
            encoder = encoder.encoder
        if type(encoder).__module__.startswith("transformers_modules."):
            raise ModelError(
                f"{name_or_path}: its encoder is code of its own ({type(encoder).__name__}), which is not saved with a "
                "trained model; import it from a package, and register it with AutoConfig.register and "
                "AutoModel.register"
            )
        _refuse_missing_weights(name_or_path, encoder, info)
        encoder.config._name_or_path = shared_name(name_or_path)
        config = LassConfig(
            encoder_config=encoder.config,
            attn_implementation=encoder.config._attn_implementation,  # type: ignore[call-arg] # else it is reset, in the encoder too
            **own,
        )
        return cls(config, encoder=encoder)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs) -> "LassForKGCompletion":
        """Loads a trained LASS model from a folder or the hub.

        Weights are read from safetensors files only: nothing is unpickled.

        Args:
            pretrained_model_name_or_path: the folder, or the name on the hub.
            *args: passed on to transformers' `from_pretrained`.
            **kwargs: passed on to transformers' `from_pretrained`: `revision`, `token`, `dtype`, ...

        Returns:
            The model, in evaluation mode.

        Raises:
            ModelError: the folder or repository holds no LASS model, one saved by an earlier version, one whose score
                function is not registered, or an adapter.
        """
        name, config = pretrained_model_name_or_path, kwargs.get("config")
        if not isinstance(config, LassConfig):
            check_model_source(name, **kwargs)
        refuse_adapter(name, **kwargs)
        if isinstance(config, LassConfig):
            digests = config.saved_files
        else:
            saved = saved_config(name, CONFIG_NAME, **kwargs)
            digests, model_type = saved.get(DIGESTS), saved.get("model_type")
            if model_type != cls.config_class.model_type:
                raise ModelError(
                    f"{name} is a {model_type or 'unknown'} model, not a trained LASS model; to train one on it use "
                    f"LassForKGCompletion.from_encoder({str(name)!r})"
                )
        if name is not None:
            check_saved_files(name, CONFIG_NAME, digests, **kwargs)
        with_info = kwargs.pop("output_loading_info", False)
        with library_errors(f"{name}: no model could be loaded"):
            check_weight_files(name, None, **kwargs)
            loaded: Any = super().from_pretrained(name, *args, output_loading_info=True, **{**kwargs, **SAFE})
        model, info = loaded
        _refuse_missing_weights(name, model, info)
        model.config.saved_files = None  # Training changes the weights.
        return loaded if with_info else model

    def save_pretrained(  # type: ignore[override]
        self, save_directory, is_main_process: bool = True, state_dict=None, push_to_hub: bool = False, **kwargs: Any
    ) -> None:
        """Saves the model with its code into a folder, whole or not at all: see `saved_files`.

        Args:
            save_directory: The folder.
            is_main_process: Whether this process writes.
            state_dict: The weights to save; None for the model's own.
            push_to_hub: Whether the model alone is uploaded too, as `push_to_hub` does.
            **kwargs: `max_shard_size`, `variant` and so on, as for any model, and arguments of `push_to_hub`.
        """
        pushing = {key: kwargs.pop(key) for key in PUSHING if key in kwargs}
        if kwargs.get("distributed_checkpoint") or not self.should_save_on_this_rank(is_main_process):
            super().save_pretrained(save_directory, is_main_process, state_dict, **kwargs)  # all write into the folder
        else:
            with replacing(save_directory) as folder:
                super().save_pretrained(folder, state_dict=state_dict, **kwargs)
                name_files(folder, CONFIG_NAME, WEIGHT_FILES)
        if push_to_hub and self.should_save_on_this_rank(is_main_process):
            self.push_to_hub(pushing.pop("repo_id", Path(save_directory).name), **pushing)

    def get_input_embeddings(self):
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value):
        self.encoder.set_input_embeddings(value)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the encoder's weights; a learned scale is float32 beside any of them."""
        return self.encoder.dtype

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.LongTensor | None = None,
        segment_ids: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        length_buckets: Sequence[tuple[int, int, int]] | None = None,
        pairs: torch.LongTensor | None = None,
        cache_gradients: bool = False,
        **kwargs: Any,
    ) -> LassOutput:
        """Scores sequences as `LassProcessor` makes them.

        Args:
            input_ids: Int64 of shape (batch, L).
            attention_mask: Int64 of shape (batch, L): 1 for a token, 0 for padding. None: no padding.
            segment_ids: Int64 of shape (batch, L), always needed: 0 special token or padding, 1 head, 2 relation, 3
                tail.
            labels: Int64 of shape (batch,): 1 positive, 0 negative. With them `loss` is Eq. 4.
            length_buckets: (rows, shortest length, longest length) of consecutive rows that are encoded together, each
                bucket cut to its own longest. They must cover all rows. Scores are those of the whole batch, without
                its padding being computed. With any `kwargs` all rows are encoded together.
            pairs: For a bi-encoder, int64 of shape (batch, directions, 2): which rows are query and entity. A score is
                the mean over the directions. Without pairs there are embeddings and no scores.
                (`TripletScorer` adds `config.self_match_weight`, which compares whole texts.)
            cache_gradients: Whether no activations of the length buckets are kept: the backward pass, which has the
                gradients of the vectors by then, encodes each bucket again (GradCache; Gao et al., RepL4NLP 2021).
                Memory is needed for one bucket at a time, and the gradients are the same.
            **kwargs: Passed to the encoder, such as `output_hidden_states` and `output_attentions`, which are by
                default as the configuration has them. With `return_dict=False` the result is a tuple.

        Returns:
            A `LassOutput`, or a tuple of those of its values that are not None.

        Raises:
            ModelError: There are no `segment_ids`; a cross-encoder is given pairs; labels come without pairs to a
                bi-encoder; or attentions are asked of an implementation of attention that does not give them.
        """
        if segment_ids is None:
            raise ModelError("segment_ids are missing: they say which tokens are head, relation and tail")
        for name in ("output_hidden_states", "output_attentions"):
            if getattr(self.config, name) or getattr(self.encoder.config, name):
                kwargs.setdefault(name, True)
        attention = self.encoder.config._attn_implementation
        if kwargs.get("output_attentions") and attention != "eager":
            raise ModelError(
                f"output_attentions=True, but the attention of this model is {attention!r}, which does not give them; "
                'call model.set_attn_implementation("eager") before'
            )
        if length_buckets is None or kwargs:
            pooled, encoded = self._encode(input_ids, attention_mask, segment_ids, **kwargs)
        else:
            encode = partial(checkpoint, self._encode, use_reentrant=False) if cache_gradients else self._encode
            parts, start, encoded = [], 0, ModelOutput()
            for rows, shortest, longest in length_buckets:
                part = (slice(start, start + rows), slice(longest))
                mask = None if attention_mask is None or shortest == longest else attention_mask[part]
                parts.append(encode(input_ids[part], mask, segment_ids[part])[0])
                start += rows
            pooled = torch.cat(parts)
        loss = None
        with torch.autocast(pooled.device.type, enabled=False):
            factor = self.distance_factor()
            outputs = self.architecture.outputs(self.score_head, pooled, segment_ids, pairs, factor)
            if labels is not None:
                if "scores" not in outputs:
                    raise ModelError("labels were given without pairs: a bi-encoder scores the pairs of its sequences")
                loss = negative_sampling_loss(outputs["scores"], labels)
        return LassOutput(
            loss=loss,
            **outputs,
            factor=factor,
            hidden_states=encoded.get("hidden_states"),
            attentions=encoded.get("attentions"),
        )

    @property
    def architecture(self) -> Architecture:
        """The architecture, which does what differs between a cross-encoder and a bi-encoder."""
        return ARCHITECTURES[self.config.architecture]

    @property
    def row_size(self) -> int:
        """The length of a bi-encoder's `embeddings`."""
        hidden = torch.ones(1, 3, self.score_head.size, device=self.device)
        with torch.no_grad():
            pooled = self.score_head.pool(hidden, torch.arange(1, 4, device=self.device)[None])
            return self.score_head.row_vectors(pooled, torch.ones(1, dtype=torch.bool, device=self.device)).shape[1]

    def score_of_energy(self, energy: torch.Tensor) -> torch.Tensor:
        """Returns the scores of energies, float32 of any shape (Eq. 1)."""
        return score_of_energy(energy, self.config.margin, self.distance_factor())

    def distance_factor(self) -> torch.Tensor:
        """Returns the factor of the energy in Eq. 1, a float32 scalar."""
        config = self.config
        if not config.normalize:
            factor = distance_factor(config.distance_scale, self.encoder.config.get_text_config().hidden_size)
        elif config.learn_scale:
            return self.log_scale.float().exp()
        else:
            factor = config.scale
        return torch.tensor(factor, dtype=torch.float32, device=self.device)

    def _encode(self, input_ids, attention_mask, segment_ids, **kwargs: Any) -> tuple[torch.Tensor, ModelOutput]:
        """Returns what the head needs of each sequence, float32 of shape (batch, ...), and the encoder's own output."""
        encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **kwargs)
        hidden = encoded.last_hidden_state
        with torch.autocast(hidden.device.type, enabled=False):  # sums of Eq. 1 and of the means are float32
            return self.score_head.pool(hidden, segment_ids), encoded


def negative_sampling_loss(
    scores: torch.Tensor,
    labels: torch.Tensor,
    num_slots: int = 3,
    num_positives: torch.Tensor | float | None = None,
) -> torch.Tensor:
    """Returns the negative-sampled sigmoid loss (Eq. 4), in which a positive counts once for each corrupted slot.

    Per positive it is `num_slots * softplus(-f(positive)) + sum softplus(f(negative))`. Also known as negative sampling
    or binary logistic loss; unlike a mean over all triplets it does not depend on how many negatives there are.

    Args:
        scores: Float32 of shape (n,).
        labels: 1 positive or 0 negative, shape (n,).
        num_slots: Number of slots that are corrupted (the paper: 3).
        num_positives: What the sum is divided by; None for the batch's own number of positives.

    Returns:
        A scalar.
    """
    positive = labels.to(scores.dtype)
    if num_positives is None:
        num_positives = positive.sum().clamp(min=1)
    total = num_slots * (positive * softplus(-scores)).sum() + ((1 - positive) * softplus(scores)).sum()
    return total / num_positives


def _refuse_missing_weights(name: str, model: PreTrainedModel, info: dict[str, Any]) -> None:
    """Refuses a checkpoint that lacks weights: they would be random, and transformers only reports them."""
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))  # The pooler is not used.
    if missing:
        raise ModelError(
            f"{name}: the checkpoint lacks {len(missing)} weights of {type(model).__name__}, {missing[0]} among them; "
            "is it the checkpoint of another architecture?"
        )


LassForKGCompletion.register_for_auto_class()  # a saved model carries its code
if __package__ == "lass_hf.core":  # a copy of this code beside a saved model registers nothing
    AutoModel.register(LassConfig, LassForKGCompletion)
