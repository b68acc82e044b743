"""PairLoss: what every loss of a search model declares about itself, and what it is called with."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.training.losses.label_checks import LabelKind, check_columns, check_labels


class PairLoss(keras.losses.Loss):
    """A loss over the embeddings of a batch of pairs; the base class of all losses here.

    A row is a query (or anchor), a positive, and hard negatives; for some losses the second text is a positive or a
    negative, and a label says which. Losses that compare rows with each other must see the whole global batch: the
    trainer gathers it from all replicas first. Each loss computes in float32, also under mixed precision.

    A loss of your own inherits from this, sets the class attributes, and is registered:
    `@keras.saving.register_keras_serializable("package")`. One with arguments calls `super().__init__(name)`, and gives
    them in `get_config`.

    Args:
        name: What logs and errors call it. Default: the class's name, in lower case.

    Attributes:
        min_columns: The fewest columns of text that it takes, the query included.
        max_columns: The most, or None for no limit.
        needs_copies: Whether each text appears twice, under its own dropout each time.
        labels: `none`; `binary` (one a row: 1 or 0); `score` (one number a row); `margin` (a row has a margin for each
            negative, or a score for each document); `scores` (a row has a teacher's score for each document); `own`
            (numbers that the loss checks itself, in `check`).
        needs_guide: Whether it needs the embeddings of a guide model too.
        guide_columns: For how many columns it needs them, from the first on, or None for all; for others they may be 0.
        contrasts_rows: Whether a row's negatives are the other rows' documents, so that a batch without any teaches
            nothing.

    Call with `y_true`, a dict of the following entries as far as the loss needs them, each float32:
        `labels`: `(batch, k)`.
        `masked`: `(batch, documents)`, 1 where a document is a false negative of the query and is left out of the
            softmax; a query's own positive never is. `documents` is `batch * (columns - 1)`; the document of row j and
            column c (the positive is column 1) is at `(c - 1) * batch + j`.
        `guide`: `(batch, columns, guide_dim)`.
    and `y_pred`, the embeddings `(batch, columns, dim)` as the encoder returns them. `call` returns a value for each
    row `(batch,)`, or a scalar if the loss does not split into rows; calling the loss returns the mean.
    """

    min_columns: int = 2
    max_columns: int | None = None
    needs_copies: bool = False
    labels: LabelKind = "none"
    needs_guide: bool = False
    guide_columns: int | None = None
    contrasts_rows: bool = False

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name or type(self).__name__.lower(), reduction="sum_over_batch_size", dtype="float32")

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        """Checks before training whether a dataset suits this loss.

        Args:
            num_columns: Columns of text, the query included.
            labels: `(rows, k)` or `(rows,)`, or None if the dataset has none.

        Raises:
            InputError: if there are too few or too many columns, or labels are missing, too many, NaN or out of range.
        """
        check_columns(self.name, self.min_columns, self.max_columns, num_columns)
        check_labels(self.name, self.labels, num_columns, labels)

    def check_vectors(self, dim: int, guide_dim: int | None) -> None:
        """Checks before training whether vectors of a width suit this loss.

        Args:
            dim: The width of the model's vectors.
            guide_dim: The width of the guide's vectors, None without a guide.

        Raises:
            InputError: if the loss needs a guide and has none, or a width does not fit.
        """
        if self.needs_guide and guide_dim is None:
            raise InputError(f"The loss `{self.name}` needs a guide model. Give it to `fit` as `guide=`.")

    def wrap(self, loss: "PairLoss") -> None:
        """Takes over what another loss, which this one computes inside, needs of rows and vectors."""
        self.min_columns = loss.min_columns
        self.max_columns = loss.max_columns
        self.needs_copies = loss.needs_copies
        self.labels = loss.labels
        self.needs_guide = loss.needs_guide
        self.guide_columns = loss.guide_columns
        self.contrasts_rows = loss.contrasts_rows

    def take(self, y_true: Mapping[str, Any], key: str) -> Any:
        """An entry of `y_true` in float32.

        Args:
            y_true: What the loss was called with.
            key: The entry's name.

        Raises:
            InputError: if the entry is missing.
        """
        if key not in y_true:
            raise InputError(
                f"The loss `{self.name}` needs `{key}` in `y_true`. Received: {', '.join(sorted(y_true)) or 'nothing'}."
            )
        return ops.cast(y_true[key], "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, to make the same loss again."""
        return {}
