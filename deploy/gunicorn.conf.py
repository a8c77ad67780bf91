"""gunicorn for the API and the admin; streams of events go to uvicorn instead.

A request that waits for an execution (``?wait=``) or for a webhook's answer holds a thread, so
there are more threads than cores would need.
"""

import os

bind = os.environ.get("BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 60
graceful_timeout = 30
# Behind nginx: connections are kept open.
keepalive = 75
# What a library may leak goes with its process; not all at once.
max_requests = 20_000
max_requests_jitter = 2_000
accesslog = "-"
