"""What the nodes leave behind."""

from django.db import models


class Run(models.Model):
    """One run of a node's body."""

    execution_id = models.UUIDField()
    node_id = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.node_id
