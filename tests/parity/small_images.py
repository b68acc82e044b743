"""Small random models of images and texts and their vectors in PyTorch: `python -m tests.parity.small_images`.

Run it in the environment of `make test-torch`, which has no torchvision: pictures then pass transformers' processors
on Pillow. For each model it writes a folder and, beside it, `<name>.npz`; and the pictures, in `pictures/`.
"""

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from tests.parity import small_tokenizers
from tests.parity.piece_training import train_with_rules
from tests.parity.small_models import fill_with_noise, write_json
from tests.parity.texts import SMALL_MODEL_TEXTS

FIXTURES = Path(__file__).parent / "image_fixtures"
PICTURES = FIXTURES / "pictures"
TEXTS = [
    *SMALL_MODEL_TEXTS,
    "",
    "a photo of a cat",
    "  two  cats,\tand a dog!  ",
    "你好，我是一个智能助手。",
    "ＡＢ １２",
    "don't " * 60,
]
LENGTH = 24
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
# Characters that SigLIP's sentencepiece model replaces; its own table has thousands.
REPLACED = {"Ａ": "A", "Ｂ": "B", "１": "1", "２": "2", "\u3000": " ", "\u00a0": " "}


@dataclass(frozen=True)
class SmallImages:
    """One fixture.

    Args:
        model_class: The class of transformers.
        text: Arguments of its configuration of texts.
        image: Arguments of its configuration of images.
        make_tokenizer: Called with the maximum length and the folder, to which it writes the tokenizer's files.
        processor: The class of the processor, and its arguments.
    """

    model_class: str
    text: Mapping[str, Any]
    image: Mapping[str, Any]
    make_tokenizer: Callable[[int, Path], Any]
    processor: tuple[str, Mapping[str, Any]]


def make_clip(length: int, folder: Path) -> Any:
    tokenizer = small_tokenizers.clip_tokenizer(length)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_siglip(length: int, folder: Path) -> Any:
    """As google/siglip-base-patch16-224 has it: a sentencepiece model, and a tokenizer in Python."""
    texts = [text.lower() for text in small_tokenizers.corpus() for text in text.splitlines()]
    made = train_with_rules(
        texts,
        dict(sorted(REPLACED.items())),
        vocab_size=300,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    (folder / "spiece.model").write_bytes(made)
    tokenizer = transformers.SiglipTokenizer(str(folder / "spiece.model"), model_max_length=length)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_siglip2(length: int, folder: Path) -> Any:
    """As google/siglip2-base-patch16-224 has it: Gemma's kind, with lower-casing."""
    pieces = dict.fromkeys(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))])
    characters = sorted({character for text in small_tokenizers.corpus() for character in text.lower()} - {"▁", " "})
    pieces |= dict.fromkeys(["▁", *characters[:120]])
    merges = [("t", "h"), ("th", "e"), ("▁", "a"), ("i", "n"), ("o", "n"), ("▁", "the"), ("a", "t"), ("c", "at")]
    pieces |= dict.fromkeys(map("".join, merges))
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = transformers.Siglip2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=length)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_bert(length: int, folder: Path) -> Any:
    tokenizer = small_tokenizers.bert_tokenizer(length)
    tokenizer.save_pretrained(folder)
    return tokenizer


CLIP_TEXT = TOWER | {"max_position_embeddings": LENGTH}
SIGLIP_TEXT = CLIP_TEXT | {"projection_size": 16}
CLIP_IMAGE = TOWER | {"image_size": 16, "patch_size": 8}
CLIP_PICTURES = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
SMALL_IMAGES: Mapping[str, SmallImages] = {
    "clip": SmallImages("CLIPModel", CLIP_TEXT, CLIP_IMAGE, make_clip, ("CLIPImageProcessorPil", CLIP_PICTURES)),
    "clip_first": SmallImages(  # with the `eos_token_id` of OpenAI's first folders, gelu, and a smaller crop
        "CLIPModel", CLIP_TEXT | {"eos_token_id": 2, "hidden_act": "gelu"}, CLIP_IMAGE | {"hidden_act": "gelu"},
        make_clip, ("CLIPImageProcessorPil", CLIP_PICTURES | {"size": {"shortest_edge": 20}, "resample": 2}),
    ),
    "siglip": SmallImages(
        "SiglipModel", SIGLIP_TEXT, TOWER | {"image_size": 16, "patch_size": 6}, make_siglip,
        ("SiglipImageProcessorPil", {"size": {"height": 16, "width": 16}}),
    ),
    "siglip2": SmallImages(
        "SiglipModel", SIGLIP_TEXT, TOWER | {"image_size": 16, "patch_size": 8}, make_siglip2,
        ("SiglipImageProcessorPil", {"size": {"height": 16, "width": 16}, "resample": 2}),
    ),
    "chinese_clip": SmallImages(
        "ChineseCLIPModel", TOWER | {"max_position_embeddings": LENGTH}, CLIP_IMAGE, make_bert,
        ("ChineseCLIPImageProcessorPil", {"size": {"height": 16, "width": 16}, "do_center_crop": False}),
    ),
}  # fmt: skip


def make_pictures(folder: Path) -> None:
    """Writes a picture of each kind: formats, channels, transparency, proportions, a turn by EXIF."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:60, 0:90]
    smooth = np.stack([rows * 4, columns * 2, 255 - rows * 2 - columns], -1) + random.integers(0, 25, (60, 90, 3))
    picture = Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))
    alpha = np.clip((rows - 30) ** 2 + (columns - 45) ** 2, 0, 255).astype(np.uint8)
    clear = picture.copy()
    clear.putalpha(Image.fromarray(alpha))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "photo.jpg", quality=90)
    picture.save(folder / "turned.jpg", quality=90, exif=exif)
    picture.convert("L").save(folder / "gray.jpg", quality=90)
    picture.save(folder / "plain.png")
    clear.save(folder / "clear.png")
    clear.convert("LA").save(folder / "gray_clear.png")
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(folder / "palette.png")
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(folder / "palette_clear.png", transparency=3)
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(folder / "palette.gif")
    picture.save(folder / "plain.bmp")
    picture.save(folder / "lossy.webp", quality=90)
    clear.save(folder / "clear.webp", lossless=True)
    picture.resize((5, 40)).save(folder / "narrow.png")
    picture.resize((3, 2)).save(folder / "tiny.png")
    (folder / "bomb.png").write_bytes(make_bomb())


def make_bomb() -> bytes:
    """A PNG of a few hundred bytes whose header has 50,000 × 50,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(bytes(50_001)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")


def save_small_images(name: str, folder: Path) -> None:
    """Writes the model of that name; its weights depend on names alone."""
    small = SMALL_IMAGES[name]
    folder.mkdir(parents=True)
    tokenizer = small.make_tokenizer(LENGTH, folder)
    model_class = getattr(transformers, small.model_class)
    text = {**small.text, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if tokenizer.eos_token_id is not None:
        text.setdefault("eos_token_id", tokenizer.eos_token_id)
    options = {} if small.model_class == "SiglipModel" else {"projection_dim": 12}
    model = model_class(model_class.config_class(text_config=text, vision_config=dict(small.image), **options))
    fill_with_noise(model, f"images {name}")
    model.save_pretrained(folder)
    make_processor(name).save_pretrained(folder)
    values = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    kind = values["image_processor_type"].removesuffix("Pil").removesuffix("Fast")  # as published folders have it
    write_json(folder / "preprocessor_config.json", values | {"image_processor_type": kind})


def make_processor(name: str) -> Any:
    """The processor of pictures."""
    kind, options = SMALL_IMAGES[name].processor
    return getattr(transformers, kind)(**options)


def expected_arrays(name: str, folder: Path) -> dict[str, np.ndarray]:
    """Token ids, pixels and vectors by transformers."""
    small = SMALL_IMAGES[name]
    model = getattr(transformers, small.model_class).from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = "max_length" if small.model_class == "SiglipModel" else True
    ids = tokenizer(
        TEXTS, padding=padding, truncation=True, max_length=LENGTH, return_tensors="pt", padding_side="right"
    )
    if small.model_class == "SiglipModel":  # the model attends to padding: processors give it no mask
        ids = {"input_ids": ids["input_ids"]}
    files = sorted(file for file in PICTURES.iterdir() if file.stem != "bomb")
    # `load_image` turns a picture as EXIF says, and drops transparency, which processors put on white.
    opened = [
        transformers.image_utils.load_image(str(file)) if file.stem == "turned" else Image.open(file) for file in files
    ]
    pixels = make_processor(name)(opened, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        texts = model.get_text_features(**ids).pooler_output
        images = model.get_image_features(pixels).pooler_output
        logits = model(**ids, pixel_values=pixels).logits_per_image
    return {
        "texts": np.array(TEXTS),
        "files": np.array([file.name for file in files]),
        "token_ids": ids["input_ids"].numpy(),
        "pixels": pixels.numpy().transpose(0, 2, 3, 1),
        "text_vectors": texts.numpy(),
        "image_vectors": images.numpy(),
        "logits": logits.numpy(),
    }


if __name__ == "__main__":
    shutil.rmtree(FIXTURES, ignore_errors=True)
    make_pictures(PICTURES)
    for each in SMALL_IMAGES:
        save_small_images(each, FIXTURES / each)
        np.savez_compressed(FIXTURES / f"{each}.npz", **expected_arrays(each, FIXTURES / each))
