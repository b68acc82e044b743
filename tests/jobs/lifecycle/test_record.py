"""A record is read as it was written, through JSON."""

import json
from pathlib import Path

from tfchain.jobs.lifecycle.record import Record
from tfchain.jobs.lifecycle.step import Result


def test_a_record_survives_json() -> None:
    record = Record(
        step="train",
        cycle=3,
        status="done",
        key="k",
        own_key="o",
        started="2026-11-01T10:00:00+00:00",
        ended="2026-11-01T10:05:00+00:00",
        seconds=300.5,
        cost=0.25,
        attempts=2,
        inputs={"dataset": "/data/pairs.jsonl"},
        result=Result(paths={"chain": Path("/models/chain")}, values={"n": 1}, facts={"ndcg@10": 0.5}, fingerprint="f"),
        made_in=3,
    )
    plain = json.loads(json.dumps(record.to_json()))

    assert plain["result"]["paths"] == {"chain": "/models/chain"}
    assert Record.from_json(plain, Path("train.json")) == record
