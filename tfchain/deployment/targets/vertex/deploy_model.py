#!/usr/bin/env python3
"""Sends model.json, endpoint.json and deployment.json, which lie beside it, to Vertex AI.

The target `vertex` copies this file. It needs google-cloud-aiplatform and the credentials of `gcloud auth
application-default login`, and nothing of tfchain.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NEW = "0"  # in a traffic split: the model that the request deploys
WAIT_SECONDS = 3600


def main(arguments: Sequence[str] | None = None) -> None:
    """Uploads and deploys the model, or changes which deployed model answers."""
    options = read_arguments(arguments)
    from google.cloud import aiplatform_v1

    where = {"api_endpoint": f"{options.region}-aiplatform.googleapis.com"}
    endpoints = aiplatform_v1.EndpointServiceClient(client_options=where)
    parent = f"projects/{options.project}/locations/{options.region}"
    name = options.endpoint
    if name and "/" not in name:
        name = f"{parent}/endpoints/{name}"
    if options.promote or options.roll_back:
        move_traffic(endpoints, name, promote=options.promote)
        return
    models = aiplatform_v1.ModelServiceClient(client_options=where)
    upload = {"parent": parent, "model": read("model.json", aiplatform_v1.Model)}
    model = models.upload_model(request=upload).result(timeout=WAIT_SECONDS).model
    print(f"Uploaded {model}")
    if not name:
        create = {"parent": parent, "endpoint": read("endpoint.json", aiplatform_v1.Endpoint)}
        name = endpoints.create_endpoint(request=create).result(timeout=WAIT_SECONDS).name
        print(f"Created {name}")
    deployed = read("deployment.json", aiplatform_v1.DeployedModel)
    deployed.model = model
    live = dict(endpoints.get_endpoint(request={"name": name}).traffic_split)
    request = {"endpoint": name, "deployed_model": deployed, "traffic_split": split(live, options.percent)}
    endpoints.deploy_model(request=request).result(timeout=WAIT_SECONDS)
    print(f"{name} sends {request['traffic_split'][NEW]} % of the requests to {deployed.display_name}")


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--endpoint", help="the number or the name of an endpoint; default: a new one")
    parser.add_argument("--percent", type=int, default=100, help="the new model's share of the requests; default: 100")
    parser.add_argument("--promote", action="store_true", help="give the newest deployed model all requests")
    parser.add_argument("--roll-back", action="store_true", help="give the one before all requests again")
    options = parser.parse_args(arguments)
    if not 0 <= options.percent <= 100:
        parser.error(f"--percent must be from 0 to 100. Received: {options.percent}.")
    if (options.promote or options.roll_back) and not options.endpoint:
        parser.error("--promote and --roll-back need --endpoint.")
    if options.promote and options.roll_back:
        parser.error("Give --promote or --roll-back, not both.")
    return options


def read(name: str, kind: Any) -> Any:
    """Reads a request's part as a message; an unknown field is an error."""
    return kind.from_json(json.dumps(json.loads((HERE / name).read_text(encoding="utf-8"))))


def split(live: Mapping[str, int], percent: int) -> dict[str, int]:
    """Returns the traffic split that gives a new model its share, and the live ones the rest in their proportions."""
    live = {name: share for name, share in live.items() if share}
    percent = percent if live else 100
    total = sum(live.values())
    shares = {name: share * (100 - percent) // total for name, share in live.items()}
    if shares:
        largest = max(shares, key=lambda name: shares[name])
        shares[largest] += 100 - percent - sum(shares.values())
    return {**{name: share for name, share in shares.items() if share}, NEW: percent}


def move_traffic(endpoints: Any, name: str, *, promote: bool) -> None:
    """Gives the newest deployed model all requests, or the one before it."""
    endpoint = endpoints.get_endpoint(request={"name": name})
    by_age = sorted(endpoint.deployed_models, key=lambda model: model.create_time)
    if len(by_age) < 2 and not promote:
        raise SystemExit(f"{name} has no model to roll back to. Deploy the one before again.")
    if not by_age:
        raise SystemExit(f"{name} has no model. Deploy one first.")
    chosen = by_age[-1 if promote else -2]
    endpoint.traffic_split = {chosen.id: 100}
    endpoints.update_endpoint(request={"endpoint": endpoint, "update_mask": {"paths": ["traffic_split"]}})
    print(f"{name} sends all requests to {chosen.display_name}")


if __name__ == "__main__":
    main()
