"""A folder of mixed files to a searchable chain: PDF, HTML, Word, Markdown; in English and Chinese.

.venv/bin/python examples/mixed_folder.py FOLDER [QUESTION ...]
"""

import sys
from collections.abc import Sequence

from tfchain import NeuralSearchChain, prepare
from tfchain.models.step_callables import make_step_callables

STEPS = [
    "repair_text",  # broken encodings, ligatures, control characters
    "mask_secrets",  # keys and passwords do not belong into an index
    {"mask_personal_data": {"kinds": ["email", "phone"]}},
    "remove_near_duplicates",  # the same page as .html and .pdf, the report and its draft
    {"split_passages": {"max_tokens": 120, "method": "structure"}},
]


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        sys.exit(__doc__)
    folder, *questions = arguments
    chain = NeuralSearchChain()  # the small English model; NeuralSearchChain.from_pretrained(…) for yours

    # Each passage becomes a document of its own, which knows where it stands: its file, its headings, a PDF's page.
    prepared = prepare(folder, STEPS, callables=make_step_callables(chain.text_encoder))
    chain.add(prepared)
    print(prepared.report)

    for question in questions or ["What is this about?"]:
        print(question)
        for hit in chain.search(question, top_k=3).hits:
            place = [hit.metadata["document"], *hit.metadata.get("headings", [])]
            if "page" in hit.metadata:
                place.append(f"page {hit.metadata['page']}")
            print(f"  {hit.score:.3f}  {' > '.join(place)}: {' '.join(hit.text.split())[:80]}")


if __name__ == "__main__":
    main(sys.argv[1:])
