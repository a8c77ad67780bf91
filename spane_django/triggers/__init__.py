"""Triggers start things: webhooks, schedules, events and changes of models.

Each calls the engine's verbs, as code, the API and operators do; the engine knows none of them.
"""
