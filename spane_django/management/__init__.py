"""Management commands ask: parse, one verb of the engine, present.

`base` is the command that all others are, `parsing` reads what people type, `selecting` turns
options into querysets, `showing` turns rows into JSON and tables.
"""
