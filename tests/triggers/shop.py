"""Orders of a shop: models of a project that workflows are about."""

from __future__ import annotations

import uuid

from django.db import models

from spane_django import SpaneExecutions, TriggeringQuerySet


class Customer(models.Model):
    email = models.CharField(max_length=100)

    class Meta:
        app_label = "demo_project"

    def __str__(self) -> str:
        return self.email


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True)
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    note = models.CharField(max_length=100, default="")

    objects = TriggeringQuerySet.as_manager()
    executions = SpaneExecutions()

    class Meta:
        app_label = "demo_project"

    def __str__(self) -> str:
        return f"order {self.pk}"


class Gift(Order):
    """An order with a table of its own."""

    card = models.CharField(max_length=100, default="")

    class Meta:
        app_label = "demo_project"


class UrgentOrder(Order):
    """An order under another name."""

    class Meta:
        app_label = "demo_project"
        proxy = True


class Parcel(models.Model):
    """What makes its key itself."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    weight = models.IntegerField(default=0)

    class Meta:
        app_label = "demo_project"

    def __str__(self) -> str:
        return str(self.id)


MODELS = (Customer, Order, Gift, Parcel)
