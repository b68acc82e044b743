"""Writes `api_fields.json`: fields and types of the published APIs, read off their own Python models.

Run it where these packages are installed (tfchain itself is not needed):

    pip install kubeflow-trainer-api==2.3.0 kubeflow-training==1.9.4 google-cloud-aiplatform==2.7.0
    python tests/jobs/make_api_fields.py

Each API is a table from type to field to type: `string`, `integer`, `number`, `boolean`, `time`, `quantity`, `int64`
(a number or its digits), `object` (anything), `[T]` a list, `{T}` a mapping, `T!` where the field must be there; the
values of an enumeration are a list. Of types that no launcher writes only the names are kept.
"""

import inspect
import json
import re
import types
import typing
from importlib.metadata import version
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_name("api_fields.json")

POD = (
    *("PodTemplateSpec", "PodSpec", "Container", "EnvVar", "EnvVarSource", "ObjectFieldSelector", "ContainerPort"),
    *("ResourceRequirements", "Toleration", "Volume", "VolumeMount", "EmptyDirVolumeSource"),
    *("PersistentVolumeClaimVolumeSource", "ObjectMeta"),
)
NEEDED = {
    "JobSet": ("JobSet", "JobSetSpec", "Network", "FailurePolicy", "ReplicatedJob", "JobTemplateSpec", "JobSpec", *POD),
    "TFJob": ("TFJob", "TFJobSpec", "RunPolicy", "ReplicaSpec", *POD),
    "CustomJob": (
        *("CustomJob", "CustomJobSpec", "WorkerPoolSpec", "MachineSpec", "AcceleratorType", "ContainerSpec", "EnvVar"),
        *("Scheduling", "DiskSpec"),
    ),
}
PREFIX = re.compile(
    r"^(?:IoK8sApiCoreV1|IoK8sApiBatchV1|IoK8sApimachineryPkgApisMetaV1|IoK8sApimachineryPkgApi|JobsetV1alpha2"
    r"|KubeflowOrgV1|CoreV1|V1)(?=[A-Z])"
)
PLAIN = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "datetime": "time",
    "object": "object",
}


def to_name(name: str) -> str:
    """A type's name without its package."""
    name = PREFIX.sub("", name)
    return {"ResourceQuantity": "quantity"}.get(name, name)


def read_pydantic(root: Any) -> dict[str, Any]:
    """The tables of pydantic models, from one of them on."""
    found: dict[str, Any] = {}

    def to_type(kind: Any) -> str:
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return to_type(inner[0])
        if origin in (typing.Union, types.UnionType):
            kept = {to_type(one) for one in inner if one is not type(None)}
            return kept.pop() if len(kept) == 1 else "object"
        if origin is list:
            return f"[{to_type(inner[0])}]"
        if origin is dict:
            return f"{{{to_type(inner[1])}}}"
        name = "object" if origin is not None or kind is Any else PLAIN.get(kind.__name__) or to_name(kind.__name__)
        is_union = "actual_instance" in getattr(kind, "model_fields", {})
        if is_union and name != "quantity":
            return "object"
        if hasattr(kind, "model_fields") and not is_union and name not in found:
            found[name] = {}
            for field_name, field in kind.model_fields.items():
                found[name][field.alias or field_name] = to_type(field.annotation) + "!" * field.is_required()
        return name

    to_type(root)
    return found


def read_openapi(root: str, modules: list[Any]) -> dict[str, Any]:
    """The tables of OpenAPI Generator's older classes, from one of them on."""
    found: dict[str, Any] = {}

    def to_type(text: str) -> str:
        if match := re.fullmatch(r"list\[(.+)\]", text):
            return f"[{to_type(match[1])}]"
        if match := re.fullmatch(r"dict\(str, (.+)\)", text):
            return f"{{{to_type(match[1])}}}"
        if text in PLAIN:
            return PLAIN[text]
        name = to_name(text)
        names = (text, f"V1{name}", f"CoreV1{name}")
        kind = next((getattr(module, one) for module in modules for one in names if hasattr(module, one)), None)
        if kind is None:
            return "object"
        if name not in found:
            found[name] = {}
            for field_name, field in kind.openapi_types.items():
                setter = inspect.getsource(getattr(kind, field_name).fset)
                is_needed = "must not be `None`" in setter
                found[name][kind.attribute_map[field_name]] = to_type(field) + "!" * is_needed
        return name

    to_type(root)
    return found


def read_protobuf(message: Any) -> dict[str, Any]:
    """The tables of protobuf messages as REST writes them in JSON, from one of them on.

    The Python package keeps in its docstrings alone which fields are needed, and which only the server writes.
    """
    from google.cloud.aiplatform_v1 import types as documented

    found: dict[str, Any] = {}
    plain = {"string": "string", "bytes": "string", "bool": "boolean", "int32": "integer", "int64": "int64"}
    plain |= {"float": "number", "double": "number"}
    wrapped = {"Timestamp": "time", "Duration": "string", "Struct": "object", "Value": "object"}

    def to_type(field: Any) -> str:
        if field.enum_type is not None:
            found[field.enum_type.name] = [value.name for value in field.enum_type.values]
            return str(field.enum_type.name)
        if field.message_type is not None:
            return wrapped.get(field.message_type.name) or read(field.message_type)
        names = {getattr(field, f"TYPE_{name.upper()}"): kind for name, kind in plain.items()}
        return names[field.type]

    def read(descriptor: Any) -> str:
        if descriptor.name not in found:
            table = found[descriptor.name] = {}
            docstring = getattr(getattr(documented, descriptor.name, None), "__doc__", "") or ""
            for field in descriptor.fields:
                match = re.search(rf"^\s+{field.name} \([^)]*\):\s+(Required|Output only)\.", docstring, re.MULTILINE)
                behavior = match[1] if match else ""
                if behavior == "Output only":
                    continue
                is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
                if is_map:
                    kind = f"{{{to_type(field.message_type.fields_by_name['value'])}}}"
                else:
                    kind = f"[{to_type(field)}]" if field.is_repeated else to_type(field)
                table[field.json_name] = kind + "!" * (behavior == "Required")
        return str(descriptor.name)

    read(message)
    return found


def main() -> None:
    import kubernetes.client.models
    from google.cloud.aiplatform_v1.types import CustomJob
    from kubeflow.training import models as training
    from kubeflow_trainer_api import models as trainer

    read = {
        "JobSet": (("kubeflow-trainer-api",), read_pydantic(trainer.JobsetV1alpha2JobSet)),
        "TFJob": (
            ("kubeflow-training", "kubernetes"),
            read_openapi("KubeflowOrgV1TFJob", [training, kubernetes.client.models]),
        ),
        "CustomJob": (("google-cloud-aiplatform",), read_protobuf(CustomJob.pb(CustomJob()).DESCRIPTOR)),
    }
    tables = {
        name: {
            "packages": {package: version(package) for package in packages},
            "types": {one: found[one] for one in NEEDED[name]},
        }
        for name, (packages, found) in read.items()
    }
    PLACE.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
