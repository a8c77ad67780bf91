"""The admin at /admin/; the API joins it with one more include."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
