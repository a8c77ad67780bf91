"""Examples of what goes over the wire, for the document.

They tell one story: a workflow ``hello`` that greets somebody, and an execution of it.
"""

from __future__ import annotations

from typing import Any

WORKFLOW: dict[str, Any] = {
    "id": "hello",
    "name": "Hello",
    "entryNodeId": "greet",
    "nodes": [
        {
            "id": "greet",
            "type": "set",
            "config": {"values": {"greeting": "Hello {{ input.name }}"}},
            "inputs": [],
            "outputs": [],
        }
    ],
}
REGISTERED = {"workflowId": "hello", "version": 1}
START = {"initialData": {"name": "Ada"}, "priority": 7}
STARTED = {"executionId": "0198f2c4-5f0e-7c3a-9b1e-6d2f4a8c7e10"}
STATUS: dict[str, Any] = {
    **STARTED,
    "workflowId": "hello",
    "status": "completed",
    "reason": "",
    "createdAt": "2025-08-29T09:30:00Z",
    "startAt": None,
    "startedAt": "2025-08-29T09:30:00Z",
    "deadlineAt": None,
    "finishedAt": "2025-08-29T09:30:00.250Z",
    "durationMs": 250.0,
}
LISTED: dict[str, Any] = {**STATUS, "version": 1, "priority": 7, "parent": None}
EXECUTION: dict[str, Any] = {
    **LISTED,
    "input": {"name": "Ada"},
    "output": {"greeting": "Hello Ada"},
    "nodeResults": {
        "greet": {
            "type": "set",
            "status": "completed",
            "success": True,
            "skipped": False,
            "data": {"greeting": "Hello Ada"},
            "error": None,
            "errorType": None,
            "nextNodes": None,
            "reason": "",
            "attempt": 1,
            "availableAt": "2025-08-29T09:30:00Z",
            "startedAt": "2025-08-29T09:30:00.120Z",
            "finishedAt": "2025-08-29T09:30:00.250Z",
        }
    },
    "children": {},
    "metadata": {},
    "payloadsHidden": False,
    "dataClearedAt": None,
}
PAGE: dict[str, Any] = {"results": [LISTED], "next": None, "previous": None}
PROBLEM: dict[str, Any] = {
    "error": {
        "code": "invalid_input",
        "message": "Start refused: priority: 11 is greater than the maximum of 10",
        "details": [
            {
                "path": "priority",
                "code": "schema",
                "message": "11 is greater than the maximum of 10",
            }
        ],
    }
}
REASON = {"reason": "not needed any more"}
BULK = {"verb": "cancel", "selection": {"workflow": "hello", "status": ["running"]}}
COUNTED = {"verb": "cancel", "dryRun": True, "count": 17}
SIGNAL = {"name": "paid", "key": "4711", "payload": {"cents": 990}}
DECISION = {"comment": "within the budget"}
MIGRATE = {"toVersion": 3, "fromVersion": 2, "rename": {"mail": "send-mail"}}
SUMMARY: dict[str, Any] = {
    "workflowId": "hello",
    "name": "Hello",
    "description": "",
    "isEnabled": True,
    "version": 1,
    "tenant": None,
    "createdAt": "2025-08-29T09:00:00Z",
    "publishedAt": "2025-08-29T09:00:00Z",
}
AMENDED = {"isEnabled": True, "priority": 7, "maxExecutions": 20}
ENDED: dict[str, Any] = {**STATUS, "output": {"greeting": "Hello Ada"}, "payloadsHidden": False}
BATCH = {"inputs": [{"name": "Ada"}, {"name": "Grace"}], "priority": 3}
BATCH_STARTED = {
    "executionIds": [
        "0198f2c4-5f0e-7c3a-9b1e-6d2f4a8c7e10",
        "0198f2c4-5f0e-7c3a-9b1e-6d2f4a8c7e11",
    ]
}
BY_HAND = {"executionId": STARTED["executionId"], "inputData": {"name": "Grace"}}
EXPLAINED: dict[str, Any] = {
    "sentence": "It is running; 1 node is ready, running or waiting.",
    "facts": ["Node 'greet' is ready and waits for a worker of queue 'spane'."],
    "queues": ["spane"],
}
LETTERS = {"workflow": "hello", "errorType": "ConnectTimeout", "dryRun": False}
