"""Trains two towers in PyTorch on what benchmarks/image_search.py prepared, with the same weights, batches and steps.

Run by benchmarks/image_search.py: PYTHON image_search_worker.py FOLDER LOSS SEED EPOCHS BATCH RATE
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

MOST_SCALE = math.log(100)


def main() -> None:
    """Trains, and prints the ranks of the held-out pictures and the seconds as JSON."""
    folder, loss, seed, epochs, batch, rate = sys.argv[1:]
    torch.manual_seed(int(seed))
    torch.set_num_threads(torch.get_num_threads())
    kind = transformers.CLIPModel if loss == "softmax" else transformers.SiglipModel
    model = kind.from_pretrained(Path(folder) / f"{loss}-{seed}").train()
    with np.load(Path(folder) / f"{loss}-{seed}.npz") as arrays:
        rows = {name: torch.from_numpy(array) for name, array in arrays.items()}
    start = time.perf_counter()
    losses = train(model, rows, loss, int(seed), int(epochs), int(batch), float(rate))
    seconds = time.perf_counter() - start
    print(json.dumps({"ranks": rank(model.eval(), rows), "seconds": seconds, "loss": losses}))


def train(
    model: Any, rows: dict[str, torch.Tensor], loss: str, seed: int, epochs: int, batch: int, rate: float
) -> list[float]:
    """Runs all epochs; returns the mean loss of each."""
    count = len(rows["pixels"])
    steps = -(-count // batch)
    warmup = math.ceil(0.1 * steps * epochs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    done, means = 0, []
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(count)
        total = 0.0
        for first in range(0, count, batch):
            chosen = torch.from_numpy(order[first : first + batch])
            falling = 1 - (done - warmup) / max(1, steps * epochs - warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate * min((done + 1) / (warmup + 1), min(1.0, falling))
            logits = compare(model, rows, chosen)
            captions = rows["captions"][chosen]
            masked = (captions[:, None] == captions[None, :]) & ~torch.eye(len(chosen), dtype=torch.bool)
            value = softmax_loss(logits, masked) if loss == "softmax" else sigmoid_loss(logits, masked)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=MOST_SCALE)
            done, total = done + 1, total + float(value.detach())
        means.append(total / steps)
    return means


def to_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Normalises pictures as the prepared folder says it: from -1 to 1."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def compare(model: Any, rows: dict[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
    """Returns how alike each picture is to each text."""
    texts = {"input_ids": rows["token_ids"][chosen].long()}
    if hasattr(model, "text_projection"):
        texts["attention_mask"] = rows["padding_mask"][chosen].long()
    found: torch.Tensor = model(pixel_values=to_pixels(rows["pixels"][chosen]), **texts).logits_per_image
    return found


def softmax_loss(logits: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """The in-batch softmax, as tfchain computes it."""
    logits = logits.masked_fill(masked, -1e9)
    right = torch.diagonal(logits)
    return ((torch.logsumexp(logits, 1) - right).mean() + (torch.logsumexp(logits, 0) - right).mean()) / 2


def sigmoid_loss(logits: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """The sigmoid loss, as tfchain computes it."""
    signs = 2 * torch.eye(len(logits)) - 1
    return torch.nn.functional.softplus(-signs * logits).masked_fill(masked, 0.0).sum() / len(logits)


def rank(model: Any, rows: dict[str, torch.Tensor]) -> list[int]:
    """Returns the rank of each held-out caption's picture among all held-out pictures."""
    texts = {"input_ids": rows["test_token_ids"].long()}
    if hasattr(model, "text_projection"):
        texts["attention_mask"] = rows["test_padding_mask"].long()
    with torch.no_grad():
        images = model.get_image_features(to_pixels(rows["test_pixels"])).pooler_output
        vectors = model.get_text_features(**texts).pooler_output
    images = images / images.norm(dim=-1, keepdim=True)
    vectors = vectors / vectors.norm(dim=-1, keepdim=True)
    scores = vectors @ images.T
    own = torch.diagonal(scores)[:, None]
    ranks: list[int] = (1 + (scores > own).sum(dim=1)).tolist()
    return ranks


if __name__ == "__main__":
    main()
