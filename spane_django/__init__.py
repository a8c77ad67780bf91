"""Durable workflow orchestration for any Django project."""

__version__ = "0.1.0"
