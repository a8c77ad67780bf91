"""Settings of the demo project under another theme of the admin: ``SPANE_THEME`` names its app.

Its rows are those of ``SPANE_THEMED_DATABASE``, such as the database of the tests that look at it.
"""

import os

from demo_project.settings import *  # noqa: F403  # they are what is themed
from demo_project.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [os.environ["SPANE_THEME"], *INSTALLED_APPS]
DATABASES["default"]["NAME"] = os.environ.get("SPANE_THEMED_DATABASE", DATABASES["default"]["NAME"])
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}
JAZZMIN_UI_TWEAKS = {"default_theme_mode": "auto"}
