"""The engine's options, as the JSON of a definition holds them: what a workflow and a node may say.

Options of `NODE_OPTIONS` stand in a node's ``config`` or beside it (which wins); the others of a
node only beside it, so that a node type may use their names in its config.  Times are
milliseconds.  A *body* is a node without edges that runs on its own: an undo, what runs finally.
"""

from __future__ import annotations

from .plan import JoinRule
from .schema import Schema

NODE_OPTIONS = frozenset(
    {
        "timeout",
        "retries",
        "retryPolicy",
        "onFail",
        "continueOnFail",
        "join",
        "queue",
        "priority",
    }
)

NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 100,
    "pattern": r"^[^\x00-\x1f\x7f]*$",
}
# A hundred years: longer is a mistake, and far from where instants end.
_LONGEST_MS = 3_155_760_000_000
_MILLISECONDS: Schema = {"type": "number", "minimum": 0, "maximum": _LONGEST_MS}
_TIMEOUT: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": _LONGEST_MS}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
_IDS: Schema = {"type": "array", "items": {"type": "string"}}
_EXPRESSION: Schema = {"type": "string", "minLength": 1, "maxLength": 1_000}

_OPTIONS: dict[str, Schema] = {
    "timeout": _TIMEOUT,
    "retries": {"type": "integer", "minimum": 0, "maximum": 99},
    "retryPolicy": {
        "type": "object",
        "properties": {
            "maxAttempts": {"type": "integer", "minimum": 1, "maximum": 100},
            "backoff": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["exponential", "linear", "fixed"]},
                    "delay": _MILLISECONDS,
                    "maxDelay": _MILLISECONDS,
                    "factor": {"type": "number", "minimum": 1, "maximum": 100},
                    "jitter": {"type": "number", "minimum": 0, "maximum": 1},
                },
                "additionalProperties": False,
            },
            "retryOn": {"type": "array", "items": {"type": "string"}},
            "giveUpOn": {"type": "array", "items": {"type": "string"}},
            "continueOnFail": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
    "onFail": {"enum": ["fail", "continue", "branch"]},
    "continueOnFail": {"type": "boolean"},
    "join": {
        "anyOf": [
            {"enum": ["all", "any", "all_done", "none_failed"]},
            {
                "type": "object",
                "properties": {
                    "rule": {"enum": [rule.value for rule in JoinRule]},
                    "n": {"type": "integer", "minimum": 1},
                },
                "required": ["rule"],
                "additionalProperties": False,
            },
        ]
    },
    "queue": NAME,
    "priority": {"type": "integer", "minimum": 1, "maximum": 10},
}
_LIMIT: Schema = {
    "type": "object",
    "properties": {
        "name": {**NAME, "description": "Nodes with the same name share it; else the node's."},
        "max": {**_COUNT, "description": "So many at once."},
        "rate": {
            "type": "object",
            "properties": {"count": _COUNT, "perMs": _TIMEOUT},
            "required": ["count", "perMs"],
            "additionalProperties": False,
        },
        "perKey": {"type": "boolean", "description": "One limit for each key of executions."},
    },
    "additionalProperties": False,
}
_BREAKER: Schema = {
    "type": "object",
    "properties": {
        "failureThreshold": {**_COUNT, "description": "Failures in a row that open it."},
        "successThreshold": {**_COUNT, "description": "Successes that close it again."},
        "timeout": {**_TIMEOUT, "description": "How long it stays open."},
    },
    "additionalProperties": False,
}
LIMITS: Schema = {
    "type": "object",
    "additionalProperties": {
        **_LIMIT,
        "properties": {**_LIMIT["properties"], "circuitBreaker": _BREAKER},
    },
}
BODY: Schema = {
    "type": "object",
    "properties": {
        **_OPTIONS,
        "type": NAME,
        "config": {"type": "object", "properties": _OPTIONS},
        "limit": _LIMIT,
        "circuitBreaker": _BREAKER,
    },
    "required": ["type"],
}
_NODE: Schema = {
    "type": "object",
    "properties": {
        **BODY["properties"],
        "id": NAME,
        "inputs": _IDS,
        "outputs": _IDS,
        "errorOutputs": {**_IDS, "description": "Of the outputs: taken if the node fails."},
        "losers": {"enum": ["cancel", "leave"], "description": "Of an early join: what is late."},
        "undo": BODY,
    },
    "required": ["id", "type"],
}
_KEEP_DAYS: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 36_525}
DEFINITION_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "id": {**NAME, "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]*$"},
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "description": {"type": "string"},
        "entryNodeId": {"type": "string", "minLength": 1},
        "nodes": {"type": "array", "items": _NODE, "minItems": 1},
        "queue": NAME,
        "priority": {"type": "integer", "minimum": 1, "maximum": 10},
        "failFast": {"type": "boolean"},
        "timeout": _TIMEOUT,
        "inputSchema": {"type": ["object", "boolean"]},
        "maxConcurrency": {**_COUNT, "description": "Nodes of one execution at once."},
        "maxExecutions": {
            "anyOf": [
                _COUNT,
                {
                    "type": "object",
                    "properties": {
                        "max": _COUNT,
                        "perKey": {"type": "boolean"},
                        "overflow": {"enum": ["queue", "reject", "cancelOldest"]},
                    },
                    "required": ["max"],
                    "additionalProperties": False,
                },
            ]
        },
        "key": {**_EXPRESSION, "description": "Over the input: whose the execution is."},
        "onDuplicate": {
            "type": "object",
            "properties": {
                "key": {**_EXPRESSION, "description": "Over the input: what makes it one."},
                "action": {"enum": ["allow", "reject", "return", "replace", "debounce"]},
                "wait": {**_TIMEOUT, "description": "Of debounce."},
            },
            "required": ["action"],
            "additionalProperties": False,
        },
        "onError": {
            "type": "object",
            "properties": {"workflowId": NAME},
            "required": ["workflowId"],
            "additionalProperties": False,
        },
        "finally": BODY,
        "triggers": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {"type": NAME, "config": {"type": "object"}},
                "required": ["type"],
                "additionalProperties": False,
            },
        },
        "saveData": {"enum": ["all", "failed", "none"]},
        "keepDays": {
            "type": "object",
            "properties": {
                "completed": _KEEP_DAYS,
                "failed": _KEEP_DAYS,
                "cancelled": _KEEP_DAYS,
            },
            "additionalProperties": False,
        },
    },
    "required": ["id", "name", "entryNodeId", "nodes"],
}
