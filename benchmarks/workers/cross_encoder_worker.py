"""sentence-transformers' CrossEncoder, asked by JSON lines: a list of pairs in, their scores and seconds out."""

import json
import sys
import time

import torch
from sentence_transformers import CrossEncoder

torch.set_num_threads(int(sys.argv[2]))
model = CrossEncoder(sys.argv[1], device="cpu", local_files_only=True)
print("ready", flush=True)
for line in sys.stdin:
    pairs = json.loads(line)
    start, before = time.perf_counter(), time.process_time()
    scores = model.predict(pairs, batch_size=len(pairs), show_progress_bar=False)
    taken = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - before}
    print(json.dumps({**taken, "scores": scores.tolist()}), flush=True)
