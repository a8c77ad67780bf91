"""What the engine tells after it has committed.  A receiver that fails harms nothing.

Signals are sent in the process that made the change: a worker's for the end of an execution,
usually.  Each is skipped while nobody listens.
"""

from django.dispatch import Signal

execution_finished = Signal()
"""An execution has ended.  Arguments: ``execution_id`` (UUID), ``status`` (str)."""
