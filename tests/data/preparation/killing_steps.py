"""Steps of the tests: some that state is kept for, and one that kills its process."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tfchain.data.steps.record import texts_of
from tfchain.data.steps.step import FilterStep, RecordStep, Step, TextStep


@dataclass(frozen=True)
class Shout(TextStep):
    name = "shout"

    def change(self, text: str, found: Counter[str]) -> str:
        return "" if text == "hush" else text.upper()


@dataclass(frozen=True)
class Twice(RecordStep):
    """Passes on each row, and those with an even number a second time."""

    name = "twice"

    def expand(self, record, log):
        yield record
        if int(record["id"]) % 2 == 0:
            again = {**record, "id": f"{record['id']}-2"}
            log.add(again, "even")
            yield again


@dataclass(frozen=True)
class DropRepeated(Step):
    """Drops a record whose texts stood before; it remembers them all."""

    name = "drop_repeated"
    per_record = False

    def new_state(self):
        return {}

    def process(self, records, log, state):
        kept = []
        for record in records:
            key = " ".join(texts_of(record).values())
            if key in state:
                log.drop(record, "repeated", detail=state[key])
            else:
                state[key] = str(len(state))
                kept.append(record)
        return kept

    def save_state(self, state, folder: Path):
        (folder / "texts").write_text("\n".join(state), encoding="utf-8")

    def load_state(self, folder: Path):
        return {text: str(n) for n, text in enumerate((folder / "texts").read_text(encoding="utf-8").splitlines())}


@dataclass(frozen=True)
class DieOnce(FilterStep):
    """Kills its process at a record, if a file is there, which it deletes; its settings say nothing of it."""

    name = "die_once"

    def reason(self, record):
        bomb = Path(os.environ.get("BOMB", "none"))
        if bomb.is_file() and bomb.read_text() == record["id"]:
            bomb.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return
