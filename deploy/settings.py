"""Settings of a deployment: the demo project behind nginx, everything else from the environment.

Take it as a pattern for a project of your own.  `SECRET_KEY`, `DATABASE_URL`, `REDIS_URL`,
`ALLOWED_HOSTS` (with commas) and `DATA_DIR` must be set; ``manage.py check --deploy`` is quiet.
``HTTPS=0`` is for a trial without certificates.
"""

import os

os.environ["SPANE_DATA_DIR"] = os.environ["DATA_DIR"]

from demo_project.settings import *  # noqa: F403
from demo_project.settings import DATA_DIR, DATABASES

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
HAS_TLS = os.environ.get("HTTPS", "1") == "1"

# nginx ends TLS and says so; it also overwrites what a client may have sent under this name.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HAS_TLS
# Probes come from inside, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HAS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HAS_TLS

# Each request to an ASGI server runs on a thread of its own: there, connections must not be kept.
DATABASES["default"]["CONN_MAX_AGE"] = int(os.environ.get("CONN_MAX_AGE", "60"))

STATIC_ROOT = DATA_DIR / "static"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
    }
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
