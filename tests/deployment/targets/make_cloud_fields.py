"""Writes `cloud_fields.json`: fields and types of the clouds' published APIs, read off their own Python packages.

Run it where these packages are installed (tfchain itself is not needed):

    pip install google-cloud-aiplatform==2.7.0 botocore==1.44.8
    python -m tests.deployment.targets.make_cloud_fields

The tables have the form of `tests/jobs/make_api_fields.py`.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.jobs.make_api_fields import read_protobuf

PLACE = Path(__file__).with_name("cloud_fields.json")
VERTEX = {
    "Model": ("Model", "ModelContainerSpec", "Port"),
    "Endpoint": ("Endpoint",),
    "DeployedModel": ("DeployedModel", "DedicatedResources", "MachineSpec", "AutoscalingMetricSpec"),
}
AWS = {
    "CreateModel": "sagemaker",
    "CreateEndpointConfig": "sagemaker",
    "CreateEndpoint": "sagemaker",
    "UpdateEndpoint": "sagemaker",
    "RegisterScalableTarget": "application-autoscaling",
    "PutScalingPolicy": "application-autoscaling",
}
PLAIN = {"string": "string", "boolean": "boolean", "integer": "integer", "long": "integer"}
PLAIN |= {"float": "number", "double": "number", "timestamp": "time"}


def read_shape(root: Any) -> dict[str, Any]:
    """The tables of a request of AWS, from its shape on; enumerations keep their values."""
    found: dict[str, Any] = {}

    def to_type(shape: Any) -> str:
        if shape.type_name == "list":
            return f"[{to_type(shape.member)}]"
        if shape.type_name == "map":
            return f"{{{to_type(shape.value)}}}"
        if getattr(shape, "enum", None) and shape.name != "ProductionVariantInstanceType":
            found[shape.name] = list(shape.enum)
            return str(shape.name)
        if shape.type_name != "structure":
            return PLAIN[shape.type_name]
        if shape.name not in found:
            found[shape.name] = {}
            for name, member in shape.members.items():
                found[shape.name][name] = to_type(member) + "!" * (name in shape.required_members)
        return str(shape.name)

    return {"root": to_type(root), "types": found}


def main() -> None:
    import botocore.loaders
    import botocore.model
    from google.cloud import aiplatform_v1

    tables: dict[str, Any] = {}
    for name, needed in VERTEX.items():
        message = getattr(aiplatform_v1, name)
        found = read_protobuf(message.pb(message()).DESCRIPTOR)
        packages = {"google-cloud-aiplatform": version("google-cloud-aiplatform")}
        tables[name] = {"packages": packages, "root": name, "types": {one: found[one] for one in needed}}
    loader = botocore.loaders.Loader()
    for name, service in AWS.items():
        model = botocore.model.ServiceModel(loader.load_service_model(service, "service-2"))
        shape = model.operation_model(name).input_shape
        tables[name] = {"packages": {"botocore": version("botocore")}, **read_shape(shape)}
    text = json.dumps(tables, indent=0)
    PLACE.write_text(re.sub(r"\n(?=\])", "", text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
