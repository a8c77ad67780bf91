"""Triggers start things: webhooks, schedules, events and changes of models.

Each calls the engine's verbs, as code, the API and operators do; the engine knows none of them.
What the end of another workflow starts is no business of this package: it happens in the engine,
in the transaction of that end (`engine.sequels`).
"""
