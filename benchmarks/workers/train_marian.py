"""Trains transformers' MarianMTModel on batches that tfchain planned: `FOLDER OPTIONS`.

FOLDER has `start` (a Marian folder) and `rows.npz` (token ids, and the rows of each step); the trained model goes to
`theirs`. OPTIONS is a JSON object of `learning_rate`, `warmup_steps`, `label_smoothing`, `max_gradient_norm`, `seed`
and `save_seconds`. A killed run goes on from its last save. The last line of the output is a JSON object with
`seconds`.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import MarianMTModel
from transformers.trainer_pt_utils import LabelSmoother

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
torch.manual_seed(options["seed"])
rows = np.load(folder / "rows.npz")
sources = np.split(rows["sources"], np.cumsum(rows["lengths"][:, 0])[:-1])
targets = np.split(rows["targets"], np.cumsum(rows["lengths"][:, 1])[:-1])
steps = np.split(rows["steps"], np.cumsum(rows["step_sizes"])[:-1])
saved = folder / "theirs.pt"

model = MarianMTModel.from_pretrained(folder / "start")
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=options["learning_rate"], eps=1e-8, weight_decay=0.0)
smoother = LabelSmoother(epsilon=options["label_smoothing"])
warmup = options["warmup_steps"]
done, seconds, losses = 0, 0.0, []
if saved.is_file():
    state = torch.load(saved, weights_only=False)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    done, seconds, losses = state["done"], state["seconds"], state["losses"]


def pad(parts: list, value: int) -> torch.Tensor:
    """Rows of whole numbers as one tensor."""
    padded = np.full((len(parts), max(map(len, parts))), value, np.int64)
    for number, part in enumerate(parts):
        padded[number, : len(part)] = part
    return torch.from_numpy(padded)


def save() -> None:
    """Writes what a resumed run needs, in one step."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
    torch.save({**state, "done": done, "seconds": seconds, "losses": losses}, saved.with_suffix(".part"))
    os.replace(saved.with_suffix(".part"), saved)


start = last = time.perf_counter()
before = seconds
for step in range(done, len(steps)):
    batch = steps[step]
    token_ids = pad([sources[row] for row in batch], model.config.pad_token_id)
    labels = pad([targets[row] for row in batch], -100)
    mask = (torch.arange(token_ids.shape[1]) < torch.tensor([[len(sources[row])] for row in batch])).long()
    decoder_ids = torch.cat([torch.full((len(batch), 1), model.config.decoder_start_token_id), labels[:, :-1]], 1)
    decoder_ids = decoder_ids.masked_fill(decoder_ids == -100, model.config.pad_token_id)
    rising = (step + 1) / (warmup + 1)
    for group in optimizer.param_groups:
        group["lr"] = options["learning_rate"] * min(rising, rising**-0.5)
    output = model(input_ids=token_ids, attention_mask=mask, decoder_input_ids=decoder_ids)
    loss = smoother(output, labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), options["max_gradient_norm"])
    optimizer.step()
    optimizer.zero_grad()
    losses.append(float(loss.detach()))
    done = step + 1
    seconds = before + time.perf_counter() - start
    if time.perf_counter() - last > options["save_seconds"]:
        save()
        last = time.perf_counter()
save()
model.save_pretrained(folder / "theirs")
print(json.dumps({"seconds": seconds, "loss": float(np.mean(losses[-200:]))}))
