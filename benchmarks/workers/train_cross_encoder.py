"""Trains a CrossEncoder of sentence-transformers on rows of a query, documents and labels: `MODEL ROWS OUT OPTIONS`.

ROWS is a file of JSON lines, OPTIONS a JSON object of `batch_size`, `epochs`, `learning_rate`, `warmup`, `seed`.
"""

import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments, losses
from sentence_transformers.cross_encoder.losses.lambda_loss import NDCGLoss2PPScheme

model_path, rows_path, out, options = *sys.argv[1:4], json.loads(sys.argv[4])
rows = [json.loads(line) for line in Path(rows_path).read_text(encoding="utf-8").splitlines()]
model = CrossEncoder(model_path, device="cpu", local_files_only=True)
arguments = CrossEncoderTrainingArguments(
    output_dir=f"{out}-steps",
    per_device_train_batch_size=options["batch_size"],
    num_train_epochs=options["epochs"],
    learning_rate=options["learning_rate"],
    warmup_steps=options["warmup"],
    weight_decay=0.0,
    max_grad_norm=1.0,
    lr_scheduler_type="linear",
    seed=options["seed"],
    save_strategy="no",
    report_to="none",
    logging_strategy="no",
    use_cpu=True,
    disable_tqdm=True,
)
dataset = Dataset.from_dict({name: [row[name] for row in rows] for name in ("query", "documents", "labels")})
loss = losses.LambdaLoss(model, weighting_scheme=NDCGLoss2PPScheme(), mini_batch_size=-1)
start = time.perf_counter()
CrossEncoderTrainer(model=model, args=arguments, train_dataset=dataset, loss=loss).train()
seconds = time.perf_counter() - start
model.save_pretrained(out, create_model_card=False)
print(json.dumps({"seconds": seconds}))
