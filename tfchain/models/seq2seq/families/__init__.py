"""The families of checkpoints that translate, by `model_type` of their config.json."""

from tfchain.models.seq2seq.families.family import Seq2SeqFamily
from tfchain.models.seq2seq.families.m2m_100 import M2M_100
from tfchain.models.seq2seq.families.marian import MARIAN
from tfchain.models.seq2seq.families.t5 import MT5, T5

FAMILIES: dict[str, Seq2SeqFamily] = {"marian": MARIAN, "m2m_100": M2M_100, "t5": T5, "mt5": MT5}
