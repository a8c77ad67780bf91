"""The workflows and node classes that installed apps bring along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps

from spane_django import Context, Node, Workflow, register, workflows
from spane_django.authoring import DuplicateWorkflow
from spane_django.nodes import DuplicateNodeType, registry

Modules = dict[str, ModuleType]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Modules:
    """Empty ``workflows`` modules of two installed apps, in place of what they have."""
    for config in apps.get_app_configs():
        monkeypatch.delitem(sys.modules, f"{config.name}.workflows", raising=False)
    made = {}
    for name in ("demo_project", "spane_django"):
        made[name] = ModuleType(f"{name}.workflows")
        monkeypatch.setitem(sys.modules, f"{name}.workflows", made[name])
    return made


@pytest.fixture
def own_types() -> Iterator[None]:
    before = dict(registry._types)
    yield
    registry._types.clear()
    registry._types.update(before)


def test_the_workflows_of_installed_apps_are_found(modules: Modules) -> None:
    modules["demo_project"].first = Workflow("first")  # type: ignore[attr-defined]
    modules["spane_django"].second = Workflow("second")  # type: ignore[attr-defined]

    assert set(workflows()) == {"first", "second"}


def test_a_workflow_built_elsewhere_belongs_to_nobody(modules: Modules) -> None:
    Workflow("for-a-moment")

    assert workflows() == {}


def test_a_workflow_imported_by_another_app_counts_once(modules: Modules) -> None:
    shared = Workflow("shared")
    modules["demo_project"].shared = shared  # type: ignore[attr-defined]
    modules["spane_django"].alias = shared  # type: ignore[attr-defined]

    assert workflows() == {"shared": shared}


def test_two_workflows_of_one_id_are_an_error_that_names_both_modules(modules: Modules) -> None:
    modules["demo_project"].flow = Workflow("same")  # type: ignore[attr-defined]
    modules["spane_django"].flow = Workflow("same")  # type: ignore[attr-defined]

    with pytest.raises(DuplicateWorkflow, match=r"demo_project\.workflows.*spane_django\.workf"):
        workflows()


@pytest.mark.usefixtures("own_types")
def test_a_registered_class_is_a_node_type() -> None:
    @register
    class Greet(Node):
        type = "greet"

        def execute(self, ctx: Context) -> Any:
            return {"greeting": "hello"}

    assert isinstance(registry.get("greet"), Greet)


@pytest.mark.usefixtures("own_types")
def test_a_class_is_no_node_type_until_it_is_registered() -> None:
    class Base(Node):
        type = "base-of-others"

        def execute(self, ctx: Context) -> Any:
            return None

    assert Base.type not in registry


def test_a_class_without_a_type_or_without_work_is_refused() -> None:
    class Nameless(Node):
        def execute(self, ctx: Context) -> Any:
            return None

    class Idle(Node):
        type = "idle"

    with pytest.raises(TypeError, match="has no type"):
        register(Nameless)
    with pytest.raises(TypeError, match="define execute"):
        register(Idle)


@pytest.mark.usefixtures("own_types")
def test_two_classes_cannot_have_one_type() -> None:
    class First(Node):
        type = "taken"

        def execute(self, ctx: Context) -> Any:
            return None

    class Second(First):
        pass

    register(First)

    with pytest.raises(DuplicateNodeType):
        register(Second)
