"""What watches the engine: readers of its rows and receivers of its signals.

Metrics, traces, logs, alerts and the stream of events.  The engine knows nothing of them;
whatever fails here changes no execution.

Nothing is imported here: ``LOGGING`` names what is in `logs` before any model may be imported.
"""
