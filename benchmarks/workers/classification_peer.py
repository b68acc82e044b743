"""Fine-tunes and embeds with PyTorch, for `benchmarks/classification.py`: one job in, one line of JSON out.

Run: PYTHON_WITH_TORCH classification_peer.py JOB.json

The training is transformers' own recipe for sequence classification (AdamW, linear decay with warm-up, cross-entropy
on a linear head), written as a loop so that it needs neither `accelerate` nor `datasets`. The mean of the tokens is
pooled, as in the model's sentence-transformers folder and in tfchain, not the first token.
"""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer


def main() -> None:
    """Does the job that the file names."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    found = {"embed": embed, "train": train}[job["do"]](job)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({**found, "versions": versions}))


def embed(job: dict[str, Any]) -> dict[str, Any]:
    """Accuracy of scikit-learn's logistic regression on the vectors of a few texts."""
    from sklearn.linear_model import LogisticRegression

    model = SentenceTransformer(job["model"], device="cpu")
    few, test = (model.encode(job[name], show_progress_bar=False) for name in ("few_texts", "test_texts"))
    fitted = LogisticRegression(max_iter=1000).fit(few, job["few_labels"])
    return {"accuracy": float((fitted.predict(test) == job["test_labels"]).mean())}


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Accuracy after a training of the whole model."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    model = Classifier(job["model"], len(set(job["train_labels"])))
    texts, labels = job["train_texts"], torch.tensor(job["train_labels"])
    steps = math.ceil(len(texts) / job["batch_size"]) * job["epochs"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=job["learning_rate"], weight_decay=0.0)
    warmup = int(0.1 * steps)
    scheduler = transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps)
    begin, processor = time.perf_counter(), processor_seconds()
    model.train()
    for _ in range(job["epochs"]):
        order = torch.randperm(len(texts)).tolist()
        for start in range(0, len(order), job["batch_size"]):
            rows = order[start : start + job["batch_size"]]
            inputs = tokenize(tokenizer, [texts[row] for row in rows])
            loss = torch.nn.functional.cross_entropy(model(inputs), labels[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    seconds, spent = time.perf_counter() - begin, processor_seconds() - processor
    model.eval()
    found: list[int] = []
    with torch.no_grad():
        for start in range(0, len(job["test_texts"]), 64):
            logits = model(tokenize(tokenizer, job["test_texts"][start : start + 64]))
            found += logits.argmax(dim=1).tolist()
    right = sum(one == label for one, label in zip(found, job["test_labels"], strict=True))
    return {"accuracy": right / len(found), "seconds": seconds, "processor_seconds": spent}


class Classifier(torch.nn.Module):
    """An encoder, the mean of its tokens, and a linear head."""

    def __init__(self, model: str, num_labels: int) -> None:
        super().__init__()
        self.encoder = transformers.AutoModel.from_pretrained(model)
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(self.encoder.config.hidden_size, num_labels)

    def forward(self, inputs: Any) -> Any:
        """Logits, `(batch, labels)`."""
        hidden = self.encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        return self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


def tokenize(tokenizer: Any, texts: list[str]) -> Any:
    """A padded batch."""
    return tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")


def processor_seconds() -> float:
    """What this process has spent on all cores."""
    times = os.times()
    return times.user + times.system


if __name__ == "__main__":
    main()
