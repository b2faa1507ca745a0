"""Texts to model inputs: the tokenizer, the sequence template, and the graph whose texts are tokenized once.

It builds `TokenStore`s and saves the graph beside the model; it draws no negatives and runs no model.
"""

import copy
import inspect
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoProcessor, AutoTokenizer, PreTrainedTokenizerBase
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin
from transformers.utils import PROCESSOR_NAME, cached_file

from .architectures import ARCHITECTURES, check_fit
from .choices import SequenceChoices, choice_names, refuse_old_names
from .configuration_lass import LassConfig, usable_positions
from .encoders import check_model_source, places_of, resolve_encoder
from .errors import LassError, ModelError, library_errors
from .knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE, KnowledgeGraph
from .neighbor_names import choose_names
from .saved_files import DIGESTS, check_saved_files, check_saved_together, name_files, replacing, saved_config
from .token_store import SequenceTemplate, TokenStore
from .vocabulary import is_unicode, shown, triplet_rows

logger = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 512
TEXTS_AT_ONCE = 2**16  # that are tokenized together: the tokenizer keeps 2 kB of each until the last is done
INCLUDE_GRAPH = ("full", "vocabulary", "none")
PROCESSOR_CHOICES = (*choice_names(SequenceChoices), "architecture")


class LassProcessor(ProcessorMixin):
    """Tokenizer and sequence template of a LASS model, with the graph that it was trained on.

    Args:
        tokenizer: any tokenizer with [CLS] or BOS, and [SEP] or EOS.
        separators: True for `[B] h [S] r [S] t [S]` (the paper), False for `[B] h r t [S]` (the published code).
        max_length: longest sequence in tokens; by default the tokenizer's limit, or 512.
        architecture: "cross-encoder" makes one sequence of a triplet; "bi-encoder" makes the queries
            `[B] h [S] r [S]` and `[B] t [S] r' [S]` and the answers `[B] t [S]` and `[B] h [S]`, where r' is the
            inverse (reciprocal) relation, with the text "inverse of r".
        num_neighbors: a text of less than 20 words is followed by the names of at most so many neighbors of the
            entity, in the true training triplets of the graph whose texts are read. See `token_store`.

    Raises:
        ModelError: the tokenizer lacks a special token that a sequence needs.
        LassError: a choice has a value that it cannot have, or `max_length` is too small for a triplet.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        separators: bool = True,
        max_length: int | None = None,
        architecture: str = "cross-encoder",
        num_neighbors: int = 0,
    ):
        super().__init__(tokenizer)
        if architecture not in list(ARCHITECTURES):  # A saved configuration can hold what has no hash.
            raise LassError(f"architecture={architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
        if not isinstance(separators, bool):
            raise LassError(f"separators={separators!r}; expected True or False")
        if max_length is not None and (type(max_length) is not int or max_length >= 2**31):
            raise LassError(f"max_length={max_length!r}; expected a number of tokens, or None")
        if type(num_neighbors) is not int or not 0 <= num_neighbors < 2**15:
            raise LassError(f"num_neighbors={num_neighbors!r}; expected a number of neighbors, 0 for none")
        self.separators = separators
        self.num_neighbors = num_neighbors
        self.architecture = architecture
        tokenizer.truncation_side = "right"  # a cut text keeps its beginning, whatever the checkpoint is for
        if max_length is None:  # a tokenizer without a limit has a huge one, none, or one that is no length
            limit = tokenizer.model_max_length or 0
            max_length = int(limit) if 0 < limit <= 1_000_000 else DEFAULT_MAX_LENGTH
        if type(max_length) is not int:
            raise LassError(f"max_length={max_length!r}; expected a number of tokens")
        self.max_length = max_length
        begin, separator = (
            second if first is None else first
            for first, second in (
                (tokenizer.cls_token_id, tokenizer.bos_token_id),
                (tokenizer.sep_token_id, tokenizer.eos_token_id),
            )
        )
        if begin is None or separator is None:
            raise ModelError(
                f"{type(tokenizer).__name__}: a sequence needs a begin token ([CLS] or BOS) and a separator ([SEP] or "
                f"EOS); this tokenizer has {tokenizer.special_tokens_map or 'none'}. Use an encoder of the BERT or "
                'RoBERTa kind, or add the tokens: tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": '
                '"[SEP]"}), LassProcessor(tokenizer), and model.resize_token_embeddings(len(tokenizer))'
            )
        padding = separator if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.template = SequenceTemplate(begin, separator, padding, separators, self.max_length, architecture)
        if self.max_length < (shortest := self.template.num_special(3) + 3):
            raise LassError(f"max_length is {self.max_length}; a sequence needs {shortest} tokens")
        # Byte-level tokenizers (RoBERTa, ModernBERT) know a word by the space before it; WordPiece drops the space.
        with library_errors(f"{type(tokenizer).__name__}: this tokenizer tokenizes no text"):
            words = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " a")]
        self._leading = " " if words[0] != words[1] else ""
        self.graph: KnowledgeGraph | None = None
        self._store: tuple[KnowledgeGraph, int, TokenStore] | None = None

    @classmethod
    def from_encoder(cls, name_or_path: str, graph: KnowledgeGraph | None = None, **choices: Any) -> "LassProcessor":
        """Makes the processor for a pre-trained encoder.

        Args:
            name_or_path: hub name or folder of the encoder, or of a tokenizer alone.
            graph: whose texts are tokenized, and which is saved with the processor; None for texts only.
            **choices: `separators`, `max_length`, `architecture` and `num_neighbors` as in `LassProcessor`; all others
                go to `AutoTokenizer.from_pretrained` (`revision`, `token`, ...).

        Raises:
            ModelError: there is no tokenizer of that name.
            LassError: `max_length` exceeds the encoder's positions, or a choice has a name of an earlier version.
        """
        refuse_old_names(choices)
        own = {name: choices.pop(name) for name in PROCESSOR_CHOICES if name in choices}
        choices.setdefault("trust_remote_code", False)
        check_model_source(resolve_encoder(name_or_path), **choices)
        with library_errors(f"{name_or_path}: no tokenizer could be loaded"):
            tokenizer = AutoTokenizer.from_pretrained(resolve_encoder(name_or_path), **choices)
        try:
            positions = usable_positions(AutoConfig.from_pretrained(resolve_encoder(name_or_path), **choices))
        except Exception:  # The folder holds a tokenizer only; of a damaged configuration the encoder's loading tells.
            positions = None
        processor = cls(tokenizer, **own)
        if positions is not None and processor.max_length > positions:
            if own.get("max_length") is not None:
                raise LassError(f"max_length={own['max_length']}, but {name_or_path} has {positions} positions")
            processor = cls(tokenizer, **{**own, "max_length": positions})
        processor.graph = graph
        return processor

    @property
    def model_input_names(self) -> list[str]:
        return ARCHITECTURES[self.architecture].input_names

    def check_fit(self, model: Any) -> None:
        """Checks that a model can read the sequences of this processor.

        Args:
            model: A `LassForKGCompletion`.

        Raises:
            ModelError: It has the other architecture, fewer positions than `max_length`, or fewer embeddings than the
                tokenizer has tokens.
        """
        check_fit(model, self.template, max(self.tokenizer.get_vocab().values()))

    def tokenize(self, texts: Sequence[str], names: Sequence[str]) -> list[list[int]]:
        """Tokenizes texts, without special tokens.

        Args:
            texts: The texts.
            names: A name for each text, for error messages.

        Returns:
            The token ids of each text.

        Raises:
            LassError: A text has no tokens.
        """
        if not len(texts):
            return []
        for name, text in zip(names, texts, strict=True):
            if not is_unicode(text):
                raise LassError(f"{name!r}: its text {shown(text)} is not valid Unicode; change the text")
        given = [self._leading + text.strip() for text in texts]
        with library_errors(f"{type(self.tokenizer).__name__}: this tokenizer does not tokenize the texts"):
            encoded = self.tokenizer(
                given,
                add_special_tokens=False,
                split_special_tokens=True,  # "[SEP]" in a description is text
                truncation=True,
                max_length=self.max_length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
        for name, text, tokens in zip(names, texts, encoded, strict=True):
            if not tokens or not text.strip():
                raise LassError(
                    f"{name}: its text {text!r} has no token in the vocabulary of this tokenizer; change the text"
                )
        return encoded

    def token_store(self, graph: KnowledgeGraph | None = None) -> TokenStore:
        """Returns the texts of a graph as token ids, which are made once for each graph and tokenizer, and kept.

        With `num_neighbors`, a short text is followed by names of neighbors ("; name; name"). A neighbor's name is its
        text up to the first ", ". Which neighbors are read depends on the training triplets and the vocabulary alone.
        A cross-encoder's sequence never names the entity at its other end. A bi-encoder reads queries and entities
        apart: they never name each other while it is trained, but those of a training triplet can do so when scored.

        Args:
            graph: The graph; None for the processor's own.

        Raises:
            LassError: There is no graph, or one of its texts has no tokens.
        """
        graph = graph or self.graph
        if graph is None:
            raise LassError("this processor has no graph: pass graph=..., or set processor.graph")
        size = len(self.tokenizer)  # which grows when tokens are added
        if self._store is None or self._store[0] is not graph or self._store[1] != size:
            relations = self._relation_tokens(graph.relations.texts, graph.relations.ids)
            texts, ids = graph.entities.texts, graph.entities.ids
            store = TokenStore.from_chunks(self.template, relations, self._in_chunks(texts, ids))
            if self.num_neighbors and len(graph.known_in_train):
                names, *numbers = choose_names(texts, graph.known_in_train.triplets(), self.num_neighbors)
                names = [f"; {name}" for name in names]
                store = store.with_neighbors(self._in_chunks(names, names), *numbers)
            elif self.num_neighbors:
                logger.warning("the graph has no training triplets, so texts are read without names of neighbors")
            self._store = (graph, size, store)
        return self._store[2]

    def _in_chunks(self, texts: Sequence[str], names: Sequence[str]) -> Iterator[list[list[int]]]:
        """Tokenizes texts in chunks, so that only one chunk is in memory as lists."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = slice(start, start + TEXTS_AT_ONCE)
            yield self.tokenize(texts[chunk], names[chunk])

    def _relation_tokens(self, texts: Sequence[str], names: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of relations, and for a bi-encoder those of their inverses behind them."""
        return self.tokenize(*ARCHITECTURES[self.architecture].relation_texts(texts, names))

    def __call__(self, triplets: Sequence[tuple[str, str, str]]) -> BatchFeature:
        """Makes the sequences of triplets, padded to the longest, L tokens.

        Args:
            triplets: n triplets of texts, (head text, relation text, tail text), in any form that `triplet_rows` reads.

        Returns:
            Int64 tensors of shape (n, L): `input_ids`, `attention_mask`, and `segment_ids` (0 special token or padding,
            1 head, 2 relation, 3 tail). A bi-encoder has 4n sequences, and also `pairs`, int64 of shape (n, 2, 2): the
            sequences of query and entity, for the tail and for the head.

        Raises:
            LassError: An item is not three texts, or a text has no tokens.
        """
        rows = triplet_rows(triplets)
        for number, row in enumerate(rows):
            if not all(isinstance(text, str) for text in row):
                raise LassError(f"item {number} is {shown(row)}; expected (head text, relation text, tail text)")
        heads, relations, tails = ([row[slot] for row in rows] for slot in range(3))
        entities = [*heads, *tails]
        store = TokenStore.from_chunks(
            self.template, self._relation_tokens(relations, relations), [self.tokenize(entities, entities)]
        )
        positions = np.arange(len(rows))
        sequences = np.stack([positions, positions, positions + len(rows)], axis=1)
        return BatchFeature(ARCHITECTURES[self.architecture].inputs(store, sequences))

    def to_dict(self) -> dict[str, Any]:
        """Returns what `processor_config.json` holds; the graph has its own files."""
        output = {name: getattr(self, name) for name in PROCESSOR_CHOICES} | {"processor_class": type(self).__name__}
        if hasattr(self, "auto_map"):
            output["auto_map"] = self.auto_map
        return output

    @classmethod
    def from_args_and_dict(cls, args, processor_dict: dict[str, Any], **kwargs):
        """Makes a processor from its saved configuration; raises LassError for keys of an earlier version."""
        refuse_old_names(
            {**processor_dict, **kwargs},
            remedy="in a saved processor_config.json edit these keys, and the processor loads",
        )
        return super().from_args_and_dict(args, processor_dict, **kwargs)

    def save_pretrained(self, save_directory, push_to_hub: bool = False, include_graph: str | None = None, **kwargs):
        """Saves the tokenizer, the template, their code and as much of the graph as `include_graph` names.

        `include_graph`: "full" for vocabulary with texts and true triplets, "vocabulary" without triplets, or "none".
        By default "full" in the folder, and "vocabulary" in what `push_to_hub=True` sends. `kwargs`: those of
        `push_to_hub`. Raises LassError for any other, and for an unknown `include_graph`.
        """
        known = inspect.signature(super().push_to_hub).parameters
        if unknown := sorted(kwargs.keys() - known.keys()):
            raise LassError(f"{unknown[0]}: no argument of save_pretrained; expected include_graph, {', '.join(known)}")
        saved, sent = ("full", "vocabulary") if include_graph is None else (include_graph, include_graph)
        if saved not in INCLUDE_GRAPH:
            raise LassError(f"include_graph={include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
        with replacing(save_directory) as folder:
            if self.graph is not None and saved != "none":
                self.graph.save_pretrained(folder, include_triplets=saved == "full")
            super().save_pretrained(folder)
            name_files(folder, PROCESSOR_NAME, (VOCABULARY_FILE, TRIPLETS_FILE))
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", Path(save_directory).name), include_graph=sent, **kwargs)
        return [str(Path(save_directory, PROCESSOR_NAME))]

    def push_to_hub(self, repo_id: str, *, include_graph: str = "vocabulary", **kwargs: Any):
        """Uploads the processor alone, as any processor's; `lass_hf.push_to_hub` uploads it with its model and card.

        `include_graph`: as in `save_pretrained`; the triplets stay here unless it is "full".
        """
        if include_graph not in INCLUDE_GRAPH:
            raise LassError(f"include_graph={include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
        shared = copy.copy(self)
        if include_graph == "none":
            shared.graph = None
        elif include_graph == "vocabulary" and self.graph is not None:
            shared.graph = KnowledgeGraph(self.graph.entities, self.graph.relations, {})
        return super(LassProcessor, shared).push_to_hub(repo_id, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs) -> "LassProcessor":  # type: ignore[override]
        """Loads a saved processor and, where one was saved, its graph.

        Raises:
            ModelError: the folder or repository holds no LASS processor, or one saved by an earlier version.
        """
        for name in ("dtype", "device_map", "attn_implementation"):  # A pipeline passes the model's arguments on.
            kwargs.pop(name, None)
        kwargs.setdefault("trust_remote_code", False)
        check_model_source(pretrained_model_name_or_path, **kwargs)
        hub = places_of(kwargs)
        config = saved_config(pretrained_model_name_or_path, PROCESSOR_NAME, **hub)
        check_saved_files(pretrained_model_name_or_path, PROCESSOR_NAME, config.get(DIGESTS), **hub)
        check_saved_together(pretrained_model_name_or_path, config, **hub)
        with library_errors(f"{pretrained_model_name_or_path}: no LASS processor could be loaded"):
            processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
            vocabulary, triplets = (
                cached_file(pretrained_model_name_or_path, name, _raise_exceptions_for_missing_entries=False, **hub)
                for name in (VOCABULARY_FILE, TRIPLETS_FILE)
            )
            if vocabulary is not None:
                processor.graph = KnowledgeGraph.from_files(vocabulary, triplets)
        return processor


LassProcessor.register_for_auto_class()  # a saved processor carries its code
if __package__ == "lass_hf.core":  # a copy of this code beside a saved model registers nothing
    AutoProcessor.register(LassConfig, LassProcessor)
