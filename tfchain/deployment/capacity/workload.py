"""What a version is asked while it is measured: its own warm-up texts, or texts of the user's."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.signatures import (
    EMBED,
    EMBED_DOCUMENT,
    EMBED_IDS,
    EMBED_QUERY,
    EMBED_QUERY_IDS,
    SERVING_DEFAULT,
    TOKENIZE,
    TOKENIZE_DOCUMENT,
    TOKENIZE_QUERY,
)

WARM_UP = "assets.extra/tf_serving_warmup_requests"
MOST_RECORDS = 1000
# Asked only if there are no records for a signature of the task's own; the last ones last.
GENERAL = (
    *(EMBED_QUERY, EMBED, EMBED_DOCUMENT, EMBED_QUERY_IDS, EMBED_IDS),
    *(TOKENIZE_QUERY, TOKENIZE, TOKENIZE_DOCUMENT),
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Workload:
    """The questions of a measurement.

    Args:
        signature: The signature that is asked.
        rows: One question each: input name → text, number or list; at least one.
    """

    signature: str
    rows: tuple[Row, ...]

    @property
    def texts(self) -> list[str]:
        """All texts in the questions."""
        return [value for row in self.rows for value in row.values() if isinstance(value, str)]

    def with_signature(self, signature: str) -> "Workload":
        """Returns the same questions for another signature."""
        return replace(self, signature=signature)

    def make_bodies(self, batch_size: int, *, count: int = 32, seed: int = 0) -> list[bytes]:
        """Makes bodies of REST requests.

        Args:
            batch_size: The questions in each.
            count: How many bodies. Default: 32.
            seed: Of the order of the questions. Default: 0.
        """
        order = list(range(len(self.rows)))
        random.Random(seed).shuffle(order)
        bodies = []
        for number in range(max(count, len(order) // batch_size)):
            places = range(number * batch_size, (number + 1) * batch_size)
            rows = [self.rows[order[place % len(order)]] for place in places]
            body = {"signature_name": self.signature, "instances": [dict(row) for row in rows]}
            bodies.append(json.dumps(body).encode())
        return bodies


def make_workload(texts: Sequence[str | Row], *, signature: str = SERVING_DEFAULT) -> Workload:
    """Makes a workload of the user's texts.

    Args:
        texts: Texts for a signature with an input `text`; or dicts with a value for each input, such as
            `{"text": …, "text_pair": …}`.
        signature: The signature to ask. Default: `serving_default`.

    Raises:
        InputError: if there are no texts, or one is neither a text nor a dict.
    """
    rows: list[Row] = []
    for number, text in enumerate([texts] if isinstance(texts, str) else texts):
        if not isinstance(text, str | Mapping) or not text:
            raise InputError(
                f"Each text must be a text, or a dict with the inputs' values. Received: {text!r:.80} at position "
                f"{number}. Leave it out, or convert it."
            )
        rows.append({"text": text} if isinstance(text, str) else dict(text))
    if not rows:
        raise InputError("`texts` must have at least one text. Received: none. Leave it out for the version's own.")
    return Workload(signature, tuple(rows))


def read_workload(version_path: Path, *, signature: str | None = None) -> Workload:
    """Reads the questions of a version's warm-up records.

    Args:
        version_path: The version's folder.
        signature: The signature to ask. Default: `serving_default` if it has records; else the task's own, else
            embeddings.

    Raises:
        InputError: if there are no Predict records for the signature, or the file is damaged.
    """
    found: dict[str, list[Row]] = {}
    for request in _read_requests(version_path / WARM_UP):
        rows = found.setdefault(request.model_spec.signature_name or SERVING_DEFAULT, [])
        rows += [row for row in _to_rows(request) if any(value not in ("", []) for value in row.values())]
    found = {name: _keep_one_shape(rows) for name, rows in found.items() if rows}
    name = signature or min(found, key=_rank, default=SERVING_DEFAULT)
    if name not in found:
        raise InputError(
            f"{version_path} has no warm-up records for the signature {name!r}. Received records for: "
            f"{', '.join(map(repr, found)) or 'none'}. Pass texts to ask it."
        )
    return Workload(name, tuple(found[name]))


def widen_workload(workload: Workload, documents: Sequence[str], *, words: int = 10, most: int = 64) -> Workload:
    """Adds the beginnings of documents to questions of a single text.

    Args:
        workload: The questions.
        documents: Texts of the version's documents.
        words: How many words of each. Default: 10, about as long as a question.
        most: The most questions. Default: 64.
    """
    check_whole_number("words", words)
    names = {name for row in workload.rows for name in row}
    if len(names) != 1:
        return workload
    (name,) = names
    texts = dict.fromkeys([*workload.texts, *(" ".join(text.split()[:words]) for text in documents if text.strip())])
    return replace(workload, rows=tuple({name: text} for text in list(texts)[:most]))


def _read_requests(path: Path) -> list[Any]:
    """Reads the Predict requests of a file of warm-up records, without TensorFlow; none without a file."""
    from tfchain.deployment.server.status import StatusError
    from tfchain.deployment.server.warmup import read_records
    from tfchain.runtime.tf_protos import load_serving_protos

    if not path.is_file():
        return []
    load_serving_protos()
    try:
        records = [record for _, record in zip(range(MOST_RECORDS), read_records(path), strict=False)]
    except (StatusError, OSError) as error:
        raise InputError(f"The warm-up records cannot be read: {error}. Export the version again.") from error
    return [record.predict_log.request for record in records if record.WhichOneof("log_type") == "predict_log"]


def _to_rows(request: Any) -> list[Row]:
    """Splits a request along its batch; no rows if an input has none, or is not UTF-8."""
    from tfchain.deployment.server.grpc.requests import decode_input
    from tfchain.deployment.server.status import StatusError

    try:
        arrays = {name: decode_input(name, value) for name, value in request.inputs.items()}
    except StatusError:
        return []
    lengths = {array.shape[0] if array.ndim else -1 for array in arrays.values()}
    if len(lengths) != 1 or -1 in lengths:
        return []
    rows: list[Row] = []
    for number in range(lengths.pop()):
        try:
            rows.append({name: _to_plain(array[number]) for name, array in arrays.items()})
        except UnicodeDecodeError:
            continue
    return rows


def _rank(signature: str) -> int:
    """Returns 0 for the signature that is asked first."""
    if signature == SERVING_DEFAULT:
        return 0
    return 2 + GENERAL.index(signature) if signature in GENERAL else 1


def _to_plain(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value.tolist()


def _keep_one_shape(rows: Sequence[Row]) -> list[Row]:
    """Keeps the rows whose lists are as long as those of most rows: only these can be in one request."""

    def shape(row: Row) -> tuple[tuple[str, int], ...]:
        return tuple((name, len(value)) for name, value in row.items() if isinstance(value, list))

    ((most, _),) = Counter(map(shape, rows)).most_common(1)
    return [row for row in rows if shape(row) == most]
