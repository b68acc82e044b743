"""Writes the model's README.md from its measurements.

As a script it writes the card of a model again: .venv/bin/python tools/small_model/card.py saved_models/small-english
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = """\
---
language: en
license: apache-2.0
library_name: tfchain
pipeline_tag: sentence-similarity
base_model: sentence-transformers/all-MiniLM-L6-v2
---
# small-english

The English encoder that comes with tfchain: `NeuralSearchChain()` without arguments uses it. It is
[all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) (Apache 2.0), made smaller by
tfchain's recipes: {num_layers} narrower layers in place of 6. Its vectors have 384 dimensions and were trained to
match those of the large model (mean cosine {cosine:.3f} on training texts).

```text
{shrink}
{distill}
```

| nDCG@10, documents truncated to 256 tokens | all-MiniLM-L6-v2 | small-english | kept |
| --- | --- | --- | --- |
{rows}

It was trained on {count:,} English texts without relevance judgements: questions to a bank (BANKING77, CC BY 4.0),
entities (DBpedia, CC BY-SA), paragraphs of Wikipedia (SQuAD 1.1, CC BY-SA 4.0; without its questions), everyday
sentences (Tatoeba, CC BY 2.0 FR), emoji names (Noto Emoji), the documentation of Python, of installed packages and of a
Linux system, and mixtures of these with other words. SciFact is not among them. The SHA-256 of the texts is
`{sha256}`.
`tools/small_model/make.py` made the model. Documentation differs between systems, so another run trains on other texts
and reaches nearly the same figures.

Do not use it for languages other than English, for texts longer than 256 tokens in one piece (a chain cuts them into
passages), or if the last percent of ranking quality matters. The matrices in `model.int8.safetensors` are stored as
int8 with a scale per row; tfchain reads them as float32, and sentence-transformers cannot read them.
"""


def write_card(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes README.md into the model's folder.

    Args:
        folder: The model's folder.
        values: The content of `training.json`.
    """
    names = {"scifact": "SciFact, unseen", "squad_dev": "SQuAD 1.1 dev, paragraphs seen, questions unseen"}
    rows = [
        f"| {names[name]} | {scores['teacher']:.3f} | {scores['student']:.3f} | {scores['kept']:.1%} |"
        for name, scores in values["evaluation"].items()
    ]
    shrink, distill = (
        f"{recipe['recipe']}({', '.join(f'{key}={value!r}' for key, value in recipe.items() if key != 'recipe')})"
        for recipe in values["recipes"]
    )
    text = CARD.format(
        shrink=shrink,
        distill=distill,
        num_layers=values["recipes"][0]["layers"],
        cosine=values["cosine_to_teacher"],
        rows="\n".join(rows),
        count=values["texts"]["count"],
        sha256=values["texts"]["sha256"],
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_card(Path(sys.argv[1]), json.loads((Path(sys.argv[1]) / "training.json").read_text(encoding="utf-8")))
