"""The part of the compose specification that tfchain writes, by its published fields (compose-spec.json); no others."""

TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}
SIZE = {"type": "string", "pattern": "^[0-9]+[bkmgBKMG]?$"}
DURATION = {"type": "string", "pattern": "^([0-9]+(h|m|s))+$"}

COMPOSE = {
    "type": "object",
    "required": ["services"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {"^[a-zA-Z0-9._-]+$": {"$ref": "#/$defs/service"}},
        },
        "secrets": {
            "type": "object",
            "patternProperties": {
                "^[a-zA-Z0-9._-]+$": {"type": "object", "properties": {"file": TEXT}, "additionalProperties": False}
            },
        },
    },
    "$defs": {
        "service": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "build": {"type": "object", "properties": {"context": TEXT}, "additionalProperties": False},
                "image": TEXT,
                "command": TEXTS,
                "user": {"type": "string", "pattern": "^[0-9]+:[0-9]+$"},
                "read_only": {"type": "boolean"},
                "tmpfs": TEXTS,
                "cap_drop": TEXTS,
                "security_opt": TEXTS,
                "init": {"type": "boolean"},
                "pids_limit": {"type": "integer"},
                "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                "stop_grace_period": DURATION,
                "ports": {"type": "array", "items": {"type": "string", "pattern": "^([0-9.]+:)?[0-9]+:[0-9]+$"}},
                "secrets": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"source": TEXT, "target": TEXT},
                        "additionalProperties": False,
                    },
                },
                "logging": {
                    "type": "object",
                    "properties": {
                        "driver": TEXT,
                        "options": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "additionalProperties": False,
                },
                "deploy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "resources": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "limits": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {"cpus": TEXT, "memory": SIZE},
                                }
                            },
                        }
                    },
                },
            },
        }
    },
}
