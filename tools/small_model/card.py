"""The model's README.md, from what was measured.

Run alone, it writes the card of a model again: .venv/bin/python tools/small_model/card.py saved_models/small-english
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

The English encoder that comes with tfchain: `NeuralSearchChain()` without arguments takes it. It is
[all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) (Apache 2.0), made smaller by
tfchain's recipes: {num_layers} layers in place of 6, and narrower ones. Its vectors have 384 dimensions and were taught
to be the large model's own (mean cosine {cosine:.3f} on texts of the training).

```text
{shrink}
{distill}
```

| nDCG@10, documents cut off at 256 tokens | all-MiniLM-L6-v2 | small-english | kept |
| --- | --- | --- | --- |
{rows}

It learned from {count:,} English texts without any judgement: questions to a bank (BANKING77, CC BY 4.0), entities
(DBpedia, CC BY-SA), paragraphs of Wikipedia (SQuAD 1.1, CC BY-SA 4.0; none of its questions), everyday sentences
(Tatoeba, CC BY 2.0 FR), names of pictures (Noto Emoji), the documentation of Python, of installed packages and of a
Linux system, and mixtures of these with other words. SciFact was not seen at all. The texts' SHA-256 is
`{sha256}`.
`tools/small_model/make.py` made it; documentation differs from system to system, so another run has other texts and
nearly the same figures.

What it is not for: other languages than English, texts longer than 256 tokens in one piece (a chain cuts them into
passages), and the last percent of ranking. The matrices in `model.int8.safetensors` are stored as int8 with a scale a
row, which tfchain reads as float32 and sentence-transformers does not read.
"""


def write_card(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes README.md into the model's folder.

    Args:
        folder: The model's.
        values: What `training.json` holds.
    """
    names = {"scifact": "SciFact, unseen", "squad_dev": "SQuAD 1.1 dev, its paragraphs seen, its questions not"}
    rows = [
        f"| {names[name]} | {one['teacher']:.3f} | {one['student']:.3f} | {one['kept']:.1%} |"
        for name, one in values["evaluation"].items()
    ]
    shrink, distill = (
        f"{one['recipe']}({', '.join(f'{key}={value!r}' for key, value in one.items() if key != 'recipe')})"
        for one in values["recipes"]
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
