"""What watches the engine: readers of its rows and receivers of its signals.

The engine knows nothing of it; whatever fails here changes no execution.
"""
