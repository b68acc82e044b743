"""The tokenizer of a folder of images and texts; SigLIP's is made from its sentencepiece model."""

import string
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.images.sentencepiece_file import read_sentencepiece_file
from tfchain.models.tokenizers.hugging_face import load_tokenizer, load_transformers
from tfchain.models.weights.json_file import read_json

SENTENCEPIECE = "spiece.model"
SLOW = "SiglipTokenizer"  # in Python, with a sentencepiece model


def load_image_text_tokenizer(path: Path) -> Any:
    """Reads a folder's tokenizer, as one that a graph can express.

    Args:
        path: The folder.

    Raises:
        ModelFolderError: if it has no tokenizer that tfchain reads.
    """
    settings = read_json(path / "tokenizer_config.json", needed=False)
    if (path / SENTENCEPIECE).is_file() and settings.get("tokenizer_class", SLOW) == SLOW:
        return make_siglip_tokenizer(path / SENTENCEPIECE, settings)
    return load_tokenizer(path)


def make_siglip_tokenizer(file: Path, settings: dict[str, Any]) -> Any:
    """Makes SigLIP's tokenizer with the ids of transformers' `SiglipTokenizer`.

    That one lower-cases, drops ASCII punctuation, joins white space, and then runs sentencepiece, in Python. This one
    does the same steps in the `tokenizers` package.

    Args:
        file: The sentencepiece model.
        settings: The content of tokenizer_config.json.

    Raises:
        ModelFolderError: if the file is damaged, or is no Unigram model.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    model = read_sentencepiece_file(file)
    if model.algorithm != "unigram":
        raise ModelFolderError(f"{file} must hold a Unigram model, as SigLIP's does. Received: {model.algorithm}.")
    steps: list[Any] = [normalizers.Replace("▁", " ")]
    steps += [normalizers.Lowercase()] if settings.get("do_lower_case", True) else []
    steps += [
        normalizers.Replace(Regex("[" + "".join(f"\\{mark}" for mark in string.punctuation) + "]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex(r"\A "), "▁ "),  # a space at the start is a piece of its own there
    ]
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    made = Tokenizer(models.Unigram(list(model.pieces), unk_id=model.unknown_id, byte_fallback=False))
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    eos, pad, unknown = (
        str(_content(settings.get(f"{name}_token", default)))
        for name, default in (("eos", "</s>"), ("pad", "</s>"), ("unk", "<unk>"))
    )
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {eos}", special_tokens=[(eos, made.token_to_id(eos))]
    )
    made.add_special_tokens(
        [AddedToken(token, lstrip=True, rstrip=True, normalized=False) for token in dict.fromkeys((eos, pad, unknown))]
    )
    return load_transformers().PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=eos,
        pad_token=pad,
        unk_token=unknown,
        padding_side="right",
        model_max_length=int(settings.get("model_max_length", 64)),
    )


def _content(token: Any) -> Any:
    return token["content"] if isinstance(token, dict) else token
