"""The chaos runner: mixed executions under faults, then every invariant against an oracle.

`plan` draws everything from a seed: `shapes` the workflows, then what is started, what operators
say and which faults strike when.  `load` and `faults` carry it out against the `plant`: real
workers and schedulers on `hosts` of their own, which can be cut off from the `servers`.  Meanwhile
triggers of the database keep a `history`, and each node's body says in a file what it did
(`nodes`, `record`): neither is the engine's word.  In the end `checks` compares what the engine
has recorded with both, by the rules as `oracle` knows them.

The package is an app of the workers, too: they load the node types from it.
"""
