"""The admin at /admin/, the API at /api/ and the health checks at /health."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("spane_django.urls"))]
