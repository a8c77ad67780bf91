"""The application: on start it learns the project's node types and workflows."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SpaneDjangoConfig(AppConfig):
    """Adds durable workflows to a project."""

    name = "spane_django"
    label = "spane_django"
    verbose_name = _("Workflows")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.utils.module_loading import autodiscover_modules

        from . import checks, triggers  # noqa: F401 - registers the system checks
        from .nodes import register_built_ins
        from .observability.connect import connect

        register_built_ins()
        triggers.connect()
        autodiscover_modules("nodes", "workflows")
        connect()
