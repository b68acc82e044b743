"""Losses of search models: Keras losses over the embeddings of a batch of pairs.

`default_loss` picks one for a dataset's columns, `get_loss` makes one by its name; each loss's docstring says what
columns it takes and when to use which sibling.
"""

from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.contrastive import Contrastive, OnlineContrastive
from tfchain.training.losses.cosent import AnglE, CoSENT
from tfchain.training.losses.cosine_mse import CosineMSE
from tfchain.training.losses.default import LOSSES, WRAPPERS, default_loss, get_loss
from tfchain.training.losses.distillation import KLDivergence, MarginMSE
from tfchain.training.losses.embed_distill import EmbedDistill
from tfchain.training.losses.guided import GuidedInBatchSoftmax
from tfchain.training.losses.in_batch import InBatchSoftmax
from tfchain.training.losses.matryoshka import Matryoshka
from tfchain.training.losses.score_distill import ScoreDistill
from tfchain.training.losses.simcse import SimCSE
from tfchain.training.losses.spread_out import SpreadOut
from tfchain.training.losses.triplet import Triplet

__all__ = [
    "LOSSES",
    "WRAPPERS",
    "AnglE",
    "CoSENT",
    "Contrastive",
    "CosineMSE",
    "EmbedDistill",
    "GuidedInBatchSoftmax",
    "InBatchSoftmax",
    "KLDivergence",
    "MarginMSE",
    "Matryoshka",
    "OnlineContrastive",
    "PairLoss",
    "ScoreDistill",
    "SimCSE",
    "SpreadOut",
    "Triplet",
    "default_loss",
    "get_loss",
]
