"""Corpora with planted near-duplicates: copies of texts with 1 to 20 % of their words edited."""

import gzip
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

HAN = "\u3400-\u4dbf\u4e00-\u9fff"
PART = re.compile(rf"[{HAN}]|[^\W{HAN}]+|\W+")  # a word, a Chinese character, or what stands between


class Planted(NamedTuple):
    """A text, and of a planted copy the share of words edited; 0 for an original."""

    id: str
    text: str
    rate: float = 0.0


def read_texts(data: Path, name: str, limit: int) -> list[str]:
    """The first texts of a corpus."""
    lines = (data / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(text for line in lines if (text := json.loads(line)["text"].strip())))[:limit]


def read_tatoeba(data: Path) -> list[tuple[str, str]]:
    """Tatoeba's sentences, each once, with their language."""
    found: dict[tuple[str, str], None] = {}
    for split in ("train", "test"):
        with gzip.open(data / "tatoeba_en_zh" / f"{split}.tsv.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                english, chinese = line.rstrip("\n").split("\t")[:2]
                found[("en", english)] = found[("zh", chinese)] = None
    return list(found)


def plant(texts: list[str], copies: int, seed: int) -> list[Planted]:
    """Originals, with copies of some of them somewhere behind: as many of each rate, 1 % to 20 %."""
    generator = random.Random(seed)
    pool = [word for text in generator.sample(texts, 200) for word in PART.findall(text) if is_word(word)]
    records = [Planted(f"o{number}", text) for number, text in enumerate(texts)]
    edited = []
    for number, place in enumerate(generator.sample(range(len(texts)), copies)):
        rate = (number % 20 + 1) / 100
        edited.append(Planted(f"c{place}", edit(texts[place], rate, pool, generator), rate))
    generator.shuffle(edited)
    return records + edited


def edit(text: str, rate: float, pool: list[str], generator: random.Random) -> str:
    """A text with a share of its words deleted, replaced, preceded by another, or exchanged with the next."""
    parts = PART.findall(text)
    places = [place for place, part in enumerate(parts) if is_word(part)]
    space = " " if " " in text.strip() and not re.search(rf"[{HAN}]{{4}}", text) else ""
    for place in generator.sample(places, max(1, round(rate * len(places)))):
        kind = generator.randrange(4)
        if kind == 0:
            parts[place] = ""
        elif kind == 1:
            parts[place] = generator.choice(pool)
        elif kind == 2:
            parts[place] = f"{generator.choice(pool)}{space}{parts[place]}"
        else:
            following = places[min(places.index(place) + 1, len(places) - 1)]
            parts[place], parts[following] = parts[following], parts[place]
    return "".join(parts)


def is_word(part: str) -> bool:
    """Whether a part is a word or a character."""
    return part[0].isalnum()


def score(records: list[Planted], dropped: set[str]) -> dict[str, float]:
    """Precision, recall, and recall of the copies with more than 15 % edited.

    A copy is found if it is dropped or, as tools choose which of a group they keep, its original is in its place.
    """
    copies = {one.id[1:]: one.rate for one in records if one.rate}
    found = {place for place in copies if dropped & {f"o{place}", f"c{place}"}}
    much = {place for place, rate in copies.items() if rate > 0.15}
    return {
        "precision": len(found) / max(1, len(dropped)),
        "recall": len(found) / len(copies),
        "recall_16_to_20": len(found & much) / len(much),
    }
