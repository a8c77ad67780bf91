"""The engine commits: one module per verb, and nobody else changes rows.

`publish start claim settle run control retry sweep prune`.  Every verb owns its transaction or
joins the caller's, takes ``now`` as an argument, and takes locks in one order: executions by
id, then their node runs.  What is decided is decided in `spane_django.core`.
"""
