"""Dispatch delivers: it wakes workers through Redis and runs what they claim.

`rq` sends and receives the wakes, `drain` is a worker's loop, `pool` runs node code on threads
and on an event loop.  Redis carries hints only: all of it may be lost at any moment.
"""
