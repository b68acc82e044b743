"""Trains a model for question answering of transformers in plain PyTorch: `MODEL ROWS OUT OPTIONS`.

ROWS is a file of JSON lines with `question`, `context`, and `start` and `end` of the answer in characters, None for no
answer. OPTIONS is a JSON object of `batch_size`, `epochs`, `learning_rate`, `warmup`, `seed`, `max_length`. The steps
are those of transformers' Trainer with its defaults: AdamW without weight decay, a linear schedule, gradients cut at 1.
OUT gets the model, and every hundred steps what the same command goes on from.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, get_linear_schedule_with_warmup

STEPS_BETWEEN = 100
model_path, rows_path, out, options = *map(Path, sys.argv[1:4]), json.loads(sys.argv[4])
rows = [json.loads(line) for line in rows_path.read_text(encoding="utf-8").splitlines()]
tokenizer = AutoTokenizer.from_pretrained(str(model_path))
model = AutoModelForQuestionAnswering.from_pretrained(str(model_path)).train()


def make_batch(picked: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Returns the inputs of rows, with the first and the last token of the answer; the first token for none."""
    encoded = tokenizer(
        [row["question"] for row in picked],
        [row["context"] for row in picked],
        truncation="only_second",
        max_length=options["max_length"],
        padding=True,
        return_offsets_mapping=True,
        return_tensors="pt",
    )
    starts, ends = [], []
    for number, row in enumerate(picked):
        sequence = encoded.sequence_ids(number)
        touched = [
            place
            for place, (first, last) in enumerate(encoded["offset_mapping"][number].tolist())
            if row["start"] is not None and sequence[place] == 1 and first < row["end"] and last > row["start"]
        ]
        starts.append(touched[0] if touched else 0)
        ends.append(touched[-1] if touched else 0)
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoded}
    return inputs | {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


batch, epochs = options["batch_size"], options["epochs"]
steps_an_epoch = -(-len(rows) // batch)
total = steps_an_epoch * epochs
optimizer = torch.optim.AdamW(model.parameters(), lr=options["learning_rate"], weight_decay=0.0)
schedule = get_linear_schedule_with_warmup(optimizer, int(options["warmup"] * total), total)
orders = [
    torch.randperm(len(rows), generator=torch.Generator().manual_seed(options["seed"] + epoch)).tolist()
    for epoch in range(epochs)
]
checkpoint, done, seconds = out.with_suffix(".checkpoint.pt"), 0, 0.0
torch.manual_seed(options["seed"])
if checkpoint.is_file():
    kept = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    schedule.load_state_dict(kept["schedule"])
    done, seconds = kept["done"], kept["seconds"]
begin = time.perf_counter() - seconds
for step in range(done, total):
    place = step % steps_an_epoch * batch
    picked = [rows[number] for number in orders[step // steps_an_epoch][place : place + batch]]
    loss = model(**make_batch(picked)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    if (step + 1) % STEPS_BETWEEN == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        partial = checkpoint.with_suffix(".partial")
        torch.save({**state, "done": step + 1, "seconds": time.perf_counter() - begin}, partial)
        partial.replace(checkpoint)
        print(f"step {step + 1} of {total}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
seconds = time.perf_counter() - begin
model.save_pretrained(out)
tokenizer.save_pretrained(out)
print(json.dumps({"seconds": seconds, "steps": total}))
