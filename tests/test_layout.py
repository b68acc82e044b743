"""Every module with logic has a test file: of its name, or one in its room that imports it, or the one named here."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tfchain"

# Modules that are tested through another one's tests: the parts of a thing that users know by one name.
TESTED_BY = {
    "__init__": "test_import.py",
    "models/recommendation/recommendation_folder": "models/recommendation/test_recommendation_model.py",
    "models/recommendation/start_weights": "models/recommendation/test_recommendation_model.py",
    "models/recommendation/tower_weights": "models/recommendation/test_recommendation_model.py",
    "models/recommendation/vocabulary": "models/recommendation/test_recommendation_model.py",
    "tasks/recommendation/evaluation": "tasks/recommendation/test_task.py",
    "tasks/recommendation/graph": "chains/test_recommendation.py",
    "tasks/recommendation/titles": "chains/test_recommendation.py",
    "tasks/recommendation/version_judge": "tasks/recommendation/test_task.py",
    "training/recommendation/trainer": "training/recommendation/test_fit.py",
    "chains/arguments": "tasks/search/test_task.py",
    "chains/document_ranker": "chains/test_reranking.py",
    "chains/documents": "chains/test_search.py",
    "chains/monitored_version": "cli/test_monitor_drift.py",
    "chains/model_holder": "chains/test_search.py",
    "chains/training": "chains/test_base.py",
    "chains/tuning": "optimization/tuning/test_tune.py",
    "cli/approve": "cli/test_lifecycle.py",
    "cli/compress": "cli/test_tasks.py",
    "cli/evaluate": "cli/test_commands.py",
    "cli/export": "cli/test_commands.py",
    "cli/forget": "cli/test_commands.py",
    "cli/monitor_dashboard": "cli/test_monitor.py",
    "cli/monitor_pairs": "cli/test_monitor.py",
    "cli/monitor_report": "cli/test_monitor.py",
    "cli/predict": "cli/test_tasks.py",
    "cli/promote": "cli/test_releases.py",
    "cli/monitor_canary": "cli/test_monitor_drift.py",
    "cli/monitor_reference": "cli/test_monitor_drift.py",
    "cli/search": "cli/test_commands.py",
    "data/cleaning/mask_step": "data/cleaning/test_mask_secrets.py",
    "data/documents/file_folder": "data/documents/test_file_reader.py",
    "data/documents/items": "data/documents/test_reading.py",
    "data/extraction/worker": "data/extraction/test_extractor.py",
    "data/interactions/interactions": "data/interactions/test_reading.py",
    "data/files/datasets": "data/documents/test_file_reader.py",
    "data/files/kinds": "data/files/test_archives.py",
    "data/beam/apply_steps": "data/beam/test_prepare.py",
    "data/beam/corpus_steps": "data/beam/test_prepare.py",
    "data/beam/drop_rows": "data/beam/test_prepare.py",
    "data/beam/embeddings": "jobs/test_beam_index.py",
    "data/beam/output_folder": "data/beam/test_prepare.py",
    "data/beam/pipeline": "data/beam/test_prepare.py",
    "data/beam/run_steps": "data/beam/test_prepare.py",
    "data/beam/source_parts": "data/beam/test_prepare.py",
    "data/documents/prepared_set": "data/preparation/test_prepare.py",
    "data/documents/headings": "data/documents/test_passages.py",
    "data/documents/html_structure": "data/documents/test_structure.py",
    "data/documents/sections": "data/documents/test_passages.py",
    "data/files/records": "data/documents/test_reading.py",
    "data/files/tfrecords": "data/documents/test_file_reader.py",
    "data/files/values": "data/documents/test_metadata.py",
    "data/pairs/msmarco_triples": "data/documents/test_msmarco.py",
    "data/pairs/columns": "data/pairs/test_reading.py",
    "data/pairs/rows": "data/pairs/test_reading.py",
    "data/pairs/sources": "data/pairs/test_reading.py",
    "data/preparation/card": "data/preparation/test_prepare.py",
    "data/preparation/encoded_block": "data/preparation/test_prepare.py",
    "data/preparation/record_source": "data/preparation/test_prepare.py",
    "data/preparation/report": "data/preparation/test_prepare.py",
    "data/preparation/set_writer": "data/preparation/test_prepare.py",
    "data/preparation/shard_formats": "data/preparation/test_prepare.py",
    "data/preparation/shard_writer": "data/preparation/test_prepare.py",
    "data/preparation/work_folder": "data/preparation/test_prepare.py",
    "data/shards/files": "data/shards/test_pair_shards.py",
    "data/shards/service": "training/batches/test_shard_batches.py",
    "data/streams/batch_plan": "data/streams/test_token_batches.py",
    "data/streams/graph_batches": "data/streams/test_token_batches.py",
    "tasks/image_search/encoding": "chains/test_image_search.py",
    "tasks/image_search/graph": "chains/test_image_search.py",
    "tasks/image_search/live_pictures": "chains/test_image_search.py",
    "tasks/image_search/task": "chains/test_image_search.py",
    "data/streams/texts": "data/streams/test_token_batches.py",
    "data/streams/token_cache": "data/streams/test_token_batches.py",
    "deployment/capacity/limits": "deployment/capacity/test_plan.py",
    "deployment/capacity/memory": "deployment/capacity/test_plan.py",
    "deployment/client/transport": "deployment/client/test_client.py",
    "deployment/client/transport_grpc": "deployment/client/test_client.py",
    "deployment/client/transport_rest": "deployment/client/test_client.py",
    "core/judgement": "deployment/releases/test_gate.py",
    "cli/release": "cli/test_releases.py",
    "deployment/releases/registry_store": "deployment/releases/test_registry.py",
    "deployment/releases/signature": "deployment/releases/test_registry.py",
    "deployment/releases/manifest": "deployment/releases/test_registry.py",
    "tasks/question_answering/answer_graph": "chains/test_question_answering.py",
    "tasks/question_answering/answers": "chains/test_question_answering.py",
    "tasks/question_answering/asking": "chains/test_question_answering.py",
    "tasks/question_answering/evaluation": "chains/test_question_answering.py",
    "tasks/question_answering/graph": "chains/test_question_answering.py",
    "tasks/question_answering/proofs": "chains/test_question_answering.py",
    "tasks/question_answering/reader_graph": "chains/test_question_answering.py",
    "tasks/question_answering/reader_state": "chains/test_question_answering.py",
    "tasks/question_answering/reading": "chains/test_question_answering.py",
    "deployment/releases/report_page": "deployment/releases/test_report.py",
    "deployment/releases/version_answers": "deployment/releases/test_gate.py",
    "deployment/server/grpc/inference": "conformance/test_multi_inference.py",
    "deployment/server/grpc/reflection": "conformance/test_health.py",
    "deployment/server/grpc/server": "conformance/test_grpc.py",
    "deployment/server/grpc/refusal": "deployment/server/grpc/test_admission.py",
    "deployment/server/http/inference": "conformance/test_classify.py",
    "deployment/server/http/serving_schema": "conformance/test_openapi.py",
    "deployment/server/json/proto": "conformance/test_rest_answers.py",
    "deployment/server/method_names": "conformance/test_classify_errors.py",
    "deployment/server/servables/session": "conformance/test_loading.py",
    "deployment/server/servables/signature_def": "conformance/test_any_signature.py",
    "deployment/server/servables/xla": "conformance/test_loading.py",
    "deployment/server/observing/versions": "chains/test_server_monitors.py",
    "deployment/server/text_proto": "conformance/test_tls.py",
    "deployment/server/text/search_schema": "conformance/test_openapi.py",
    "deployment/server/text/text_schema": "conformance/test_openapi.py",
    "deployment/version_strings": "chains/test_forget.py",
    "data/streams/window_stores": "data/streams/test_token_batches.py",
    "deployment/server/tls": "conformance/test_tls.py",
    "deployment/targets/graph_ops": "deployment/targets/test_served_version.py",
    "deployment/server/workers/group_calls": "deployment/server/workers/test_supervisor.py",
    "deployment/server/workers/process": "deployment/server/workers/test_supervisor.py",
    "deployment/server/workers/shared_state": "deployment/server/workers/test_supervisor.py",
    "deployment/server/workers/worker": "conformance/test_workers.py",
    "jobs/job": "jobs/test_kubernetes.py",
    "jobs/lifecycle/section_limits": "jobs/lifecycle/test_config.py",
    "jobs/lifecycle/sections": "jobs/lifecycle/test_config.py",
    "jobs/lifecycle/steps/compression": "examples/test_lifecycle_example.py",
    "jobs/lifecycle/steps/drift": "examples/test_lifecycle_example.py",
    "jobs/lifecycle/steps/query_log": "examples/test_lifecycle_example.py",
    "jobs/lifecycle/targets/airflow": "jobs/lifecycle/targets/test_targets.py",
    "jobs/lifecycle/targets/argo": "jobs/lifecycle/targets/test_targets.py",
    "jobs/lifecycle/targets/cron": "jobs/lifecycle/targets/test_targets.py",
    "jobs/lifecycle/targets/kubeflow": "jobs/lifecycle/targets/test_targets.py",
    "jobs/lifecycle/targets/vertex": "jobs/lifecycle/targets/test_targets.py",
    "jobs/recipe_values": "jobs/lifecycle/test_config.py",
    "jobs/tuning_workers": "cli/test_tune.py",
    "models/tokenizers/framed_tokenizer": "models/tokenizers/test_sentencepiece.py",
    "tasks/translation/task": "chains/test_translation.py",
    "tasks/translation/translating": "chains/test_translation.py",
    "training/seq2seq/trainer": "training/seq2seq/test_fit.py",
    "tasks/search/index_purge": "chains/test_forget.py",
    "monitoring/log/log_writer": "monitoring/log/test_query_log.py",
    "monitoring/dashboards/grafana": "monitoring/dashboards/test_files.py",
    "monitoring/report/server_section": "cli/test_monitor.py",
    "monitoring/report/drift_section": "monitoring/report/test_page.py",
    "models/auto": "chains/test_search.py",
    "models/encoders/walk": "models/encoders/blocks/test_block.py",
    "models/engines/litert_signature": "runtime/test_litert.py",
    "models/engines/native_engine": "models/engines/test_native_encoder.py",
    "models/engines/native_obstacles": "models/engines/test_native_encoder.py",
    "models/text_encoder_checks": "models/test_text_encoder.py",
    "models/text_encoder_folder": "models/test_stored_text_encoder.py",
    "models/tokenizers/framing": "models/test_truncation.py",
    "models/tokenizers/wordpiece_normalizer": "models/tokenizers/test_wordpiece_parity.py",
    "models/weights/architectures/bert": "models/weights/architectures/test_families.py",
    "models/weights/architectures/distilbert": "models/weights/architectures/test_families.py",
    "models/weights/architectures/family": "models/weights/architectures/test_families.py",
    "models/encoders/blocks/disentangled": "parity/test_small_models.py",
    "models/encoders/blocks/positioned": "parity/test_small_models.py",
    "models/encoders/blocks/relative": "parity/test_small_models.py",
    "models/tokenizers/static_vocabulary": "optimization/test_static_encoder.py",
    "models/weights/architectures/deberta_v2": "models/weights/architectures/test_relatives.py",
    "models/weights/architectures/xlm_roberta_xl": "models/weights/architectures/test_families.py",
    "models/weights/architectures/electra": "models/weights/architectures/test_families.py",
    "models/weights/architectures/ernie": "parity/test_small_models.py",
    "models/weights/architectures/static": "models/weights/test_static_folder.py",
    "models/weights/architectures/mpnet": "models/weights/architectures/test_families.py",
    "models/weights/architectures/decoder": "models/weights/architectures/test_families.py",
    "models/weights/architectures/gemma3_text": "models/weights/architectures/test_families.py",
    "models/weights/architectures/gte": "models/weights/architectures/test_families.py",
    "models/weights/architectures/jina_bert": "models/weights/architectures/test_families.py",
    "models/weights/architectures/jina_v3": "models/weights/architectures/test_families.py",
    "models/weights/architectures/llama": "models/weights/architectures/test_families.py",
    "models/weights/architectures/mistral": "models/weights/architectures/test_families.py",
    "models/weights/architectures/modernbert": "models/weights/architectures/test_families.py",
    "models/weights/architectures/nomic_bert": "models/weights/architectures/test_families.py",
    "models/weights/architectures/qwen2": "models/weights/architectures/test_families.py",
    "models/weights/architectures/qwen3": "models/weights/architectures/test_families.py",
    "models/weights/architectures/roberta": "models/weights/architectures/test_families.py",
    "models/weights/json_file": "models/weights/test_folder_contents.py",
    "models/weights/open_file": "models/weights/test_torch_file.py",
    "models/weights/tensor_types": "models/weights/test_torch_file.py",
    "models/weights/weight_maps": "parity/test_small_models.py",
    "models/weights/zip_directory": "models/weights/test_torch_file.py",
    "models/save_token_encoder": "parity/test_small_late.py",
    "models/sparse_encoder": "parity/test_small_sparse.py",
    "optimization/form_hook": "optimization/test_pruning.py",
    "optimization/measure_process": "optimization/test_compress.py",
    "optimization/recipes/base": "optimization/test_recipes.py",
    "optimization/recipes/cluster": "optimization/test_recipes.py",
    "optimization/recipes/distill": "optimization/test_recipes.py",
    "optimization/recipes/order": "optimization/test_recipes.py",
    "optimization/recipes/prune": "optimization/test_recipes.py",
    "optimization/recipes/quantize": "optimization/test_recipes.py",
    "optimization/recipes/quantize_aware": "optimization/test_recipes.py",
    "deployment/targets/compose": "deployment/targets/test_docker.py",
    "optimization/recipes/quantize_vectors": "optimization/test_recipes.py",
    "optimization/recipes/reduce": "optimization/test_recipes.py",
    "optimization/recipes/shrink": "optimization/test_recipes.py",
    "optimization/recipes/trim_vocabulary": "optimization/test_trim_vocabulary.py",
    "optimization/report_folder": "optimization/test_report.py",
    "optimization/tuning/folder": "optimization/tuning/test_tune.py",
    "optimization/tuning/hparams": "optimization/tuning/test_tune.py",
    "optimization/tuning/search_identity": "optimization/tuning/test_tune.py",
    "optimization/tuning/tuner": "optimization/tuning/test_tune.py",
    "runtime/quiet_stderr": "examples/test_examples.py",
    "runtime/random_state": "models/test_ambient_state.py",
    "tasks/answers": "tasks/classification/test_graph.py",
    "tasks/heads": "tasks/classification/test_logistic_head.py",
    "training/losses/arguments": "training/losses/test_contract.py",
    "training/losses/base": "training/losses/test_contract.py",
    "training/losses/contrastive": "training/losses/test_labelled.py",
    "training/losses/cosent": "training/losses/test_labelled.py",
    "training/losses/cosine_mse": "training/losses/test_parity.py",
    "training/losses/distillation": "training/losses/test_parity.py",
    "training/losses/embed_distill": "training/losses/test_parity.py",
    "training/losses/guided": "training/losses/test_in_batch.py",
    "training/losses/label_checks": "training/losses/test_contract.py",
    "training/losses/matryoshka": "training/losses/test_parity.py",
    "training/losses/simcse": "training/losses/test_in_batch.py",
    "training/losses/triplet": "training/losses/test_labelled.py",
    "training/mining/negative_choice": "training/mining/test_mine.py",
    "training/mining/pair_scores": "training/mining/test_mine.py",
    "tasks/late_interaction/graph": "chains/test_late_interaction.py",
    "tasks/late_interaction/maxsim_graph": "chains/test_late_interaction.py",
    "tasks/late_interaction/task": "chains/test_late_interaction.py",
    "tasks/reranking/graph": "chains/test_reranking.py",
    "tasks/search/native_second_stage": "tasks/search/test_second_stage.py",
    "tasks/search/reranked_graph": "deployment/server/text/test_rerank.py",
    "tasks/search/second_stage_graph": "deployment/server/text/test_rerank.py",
}


def find_imported(path: Path) -> set[str]:
    """The modules of tfchain that a file names: imported, or written out in a text, as patches and programs do."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("tfchain."):
            found |= {node.value, node.value.rpartition(".")[0]}
    return found


def has_logic(path: Path) -> bool:
    """Whether a module has a function that does something."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    bodies = (node.body for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(not isinstance(line, ast.Expr | ast.Pass | ast.Raise) for body in bodies for line in body)


@pytest.fixture(scope="module")
def untested() -> set[str]:
    """The modules that have no test file of their own, and none in their room that imports them."""
    tests = {path: find_imported(path) for path in (ROOT / "tests").rglob("test_*.py")}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        own = ROOT / "tests" / place.parent / f"test_{place.stem}.py"
        if own.exists() or not has_logic(path):
            continue
        module = ".".join(("tfchain", *place.with_suffix("").parts)).removesuffix(".__init__")
        room = ROOT / "tests" / place.parts[0]
        if not any(module in named for test, named in tests.items() if test.is_relative_to(room)):
            found.add(place.with_suffix("").as_posix())
    return found


def test_every_module_with_logic_has_a_test_file(untested: set[str]) -> None:
    missing = sorted(untested - set(TESTED_BY))
    assert not missing, f"Write tests for them, or name in TESTED_BY the file that has them: {missing}"


def test_what_is_named_here_is_there_and_needed(untested: set[str]) -> None:
    assert set(TESTED_BY) <= untested, "they have tests of their own now: take them out of TESTED_BY"
    assert not [name for name in TESTED_BY.values() if not (ROOT / "tests" / name).is_file()]
