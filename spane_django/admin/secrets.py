"""Secrets: a value is typed in and never shown again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..engine.advice import uses_of
from ..engine.scope import EVERYTHING, Scope, exists, has_tenants, scope_of
from ..engine.secrets import create_secret, delete_secret, replace_secret, secret_faults
from ..models import Secret, Workflow
from .base import ReadOnlyAdmin, has_perm
from .present import instant, lately, list_of

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Secret]
else:
    _ModelForm = forms.ModelForm

_TOLD = ("created", "updated", "value_set", "updated_by", "used_by")


class SecretForm(_ModelForm):
    """What may be typed in.  The value is never sent back, not even after a fault.

    Attributes:
        scope: Whose secrets the user may store.
    """

    scope: ClassVar[Scope] = EVERYTHING

    value = forms.CharField(
        label=_("Value"),
        strip=False,
        required=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=_("Nothing shows it again. Of a secret that is there: empty leaves it."),
    )

    class Meta:
        model = Secret
        fields = ("tenant", "name", "description")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        value = given.get("value", "")
        faults = secret_faults(
            name=given.get("name"),
            value=value if value or self.instance.pk is None else None,
            description=given.get("description"),
        )
        for fault in faults:
            self.add_error(fault.path if fault.path in self.fields else None, fault.message)
        if "name" in given and "tenant" not in self.fields and self._is_taken(given["name"]):
            self.add_error("name", _("There is a secret of this name already."))
        return given

    def _is_taken(self, name: str) -> bool:
        # Django checks a constraint only if the form has all of its fields.
        others = Secret.objects.exclude(pk=self.instance.pk)
        return others.filter(tenant=self.instance.tenant, name=name).exists()

    def clean_tenant(self) -> str:
        tenant = str(self.cleaned_data["tenant"])
        if not self.scope.covers(tenant) or (tenant and not exists(tenant)):
            raise forms.ValidationError(_("There is no such tenant."))
        return tenant


@admin.register(Secret)
class SecretAdmin(ReadOnlyAdmin):
    """Secrets by name: store, replace, delete, and see who uses them."""

    form = SecretForm
    change_form_template = "admin/change_form.html"
    list_display = ("name", "tenant", "description", "used_by", "lately")
    list_defer = ("sealed",)
    search_fields = ("name", "description")
    actions = ("delete_selected",)
    empty_hint = _("No secret is stored yet. Add one here, or on the command line:")
    empty_command = "python manage.py spane_secrets set NAME"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return has_perm(request, "add_secret")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return has_perm(request, "change_secret")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return has_perm(request, "delete_secret")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_of(_user(request)).within(super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        typed = ["tenant", "name"] if has_tenants() or (obj and obj.tenant) else ["name"]
        may_type = self.has_change_permission(request, obj) or obj is None
        value = ["value"] if may_type else []
        return [*typed, "description", *value, *(_TOLD if obj else ())]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["tenant", "name", *_TOLD] if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        made = super().get_form(request, obj, change, **kwargs)
        return type(made.__name__, (made,), {"scope": scope_of(_user(request))})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except SpaneError as error:  # somebody was faster
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(list_of(Secret, self.site))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = {"tenant": obj.tenant, "description": form.cleaned_data["description"]}
        value, now = form.cleaned_data["value"], current_time()
        if change:
            replace_secret(obj.name, value=value or None, **given, now=now, by=_user(request))
        else:
            obj.pk = create_secret(obj.name, value, **given, now=now, by=_user(request)).pk

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_secret(obj.name, tenant=obj.tenant, now=current_time(), by=_user(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for secret in queryset:
            self.delete_model(request, secret)

    def facts(self, obj: Any) -> Iterator[tuple[str, Any]]:
        return iter(())  # the form shows them

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        uses = uses_of(rows, scope=scope)
        for row in rows:
            row.uses = uses[row.pk]

    @admin.display(description=_("used by"))
    def used_by(self, secret: Any) -> object:
        if not hasattr(secret, "uses"):
            self.prepare([secret], EVERYTHING)
        links = (
            (list_of(Workflow, self.site, q=use.workflow), use.workflow, use.version)
            for use in secret.uses
        )
        return format_html_join(", ", '<a href="{}">{} v{}</a>', links) or _("nobody")

    @admin.display(description=_("created"))
    def created(self, secret: Secret) -> SafeString | None:
        return instant(secret.created_at)

    @admin.display(description=_("updated"))
    def updated(self, secret: Secret) -> SafeString | None:
        return instant(secret.updated_at)

    @admin.display(description=_("value set"))
    def value_set(self, secret: Secret) -> SafeString | None:
        return instant(secret.rotated_at)

    @admin.display(description=_("value set"))
    def lately(self, secret: Secret) -> SafeString | None:
        return lately(secret.rotated_at)


def _user(request: HttpRequest) -> AbstractBaseUser:
    return cast(AbstractBaseUser, request.user)
