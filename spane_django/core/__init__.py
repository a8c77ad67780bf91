"""Core decides: pure rules, with no database, queue, clock or framework.

Everything here is a function of its arguments.  `definition` says what a workflow is,
`graph` how its nodes hang together, `statuses` what may become of them, `plan` what
happens next, `inputs` what a node receives, `outcome` what it may answer, `retry` when
it runs again, and `expressions` and `schema` how configs are evaluated and checked.
"""
