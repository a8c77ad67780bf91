"""``transform``, ``set``, ``log`` and ``function`` make values without a world outside."""

from __future__ import annotations

import pytest

from spane_django.core.expressions import ExpressionError
from spane_django.core.outcome import Permanent
from spane_django.nodes import function as function_module
from spane_django.nodes.function import DuplicateFunction, FunctionNode, register_function
from spane_django.nodes.log import LogNode
from spane_django.nodes.set import SetNode
from spane_django.nodes.transform import TransformNode

ORDER = {"lines": [{"sku": "a", "price": 2}, {"sku": "b", "price": 3}], "send-mail": {"ok": True}}


def test_a_transform_makes_the_whole_value(context):
    config = {"expression": "lines[?price > `2`].sku"}

    assert TransformNode().execute(context(config, ORDER)) == ["b"]


def test_a_transform_makes_an_object_key_by_key(context):
    config = {"mapping": {"total": "sum(lines[].price)", "mailed": "send-mail.ok", "none": "x.y"}}

    made = TransformNode().execute(context(config, ORDER))

    assert made == {"total": 5, "mailed": True, "none": None}


def test_a_transform_that_cannot_be_evaluated_is_not_tried_again(context):
    with pytest.raises(ExpressionError, match="'sum\\(lines\\)'") as raised:
        TransformNode().execute(context({"expression": "sum(lines)"}, ORDER))

    assert not raised.value.is_retryable


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "give one of 'expression' and 'mapping'"),
        ({"expression": "a", "mapping": {}}, "give one of 'expression' and 'mapping'"),
        ({"expression": "a["}, "'expression': the expression ends too early"),
        ({"mapping": {"fine": "a", "bad": "a["}}, "'mapping.bad': the expression ends too early"),
        ({"mapping": {"bad": "{{ input.a }}"}}, "'mapping.bad' is an expression already"),
        ({"mapping": {"bad": 1}}, "1 is not of type 'string'"),
    ],
)
def test_a_faulty_transform_is_refused(faults, config, part):
    assert part in "; ".join(faults(TransformNode, config))


def test_set_puts_values_over_the_input(context):
    given = {"a": 1, "b": {"x": 1}}

    made = SetNode().execute(context({"values": {"b": {"y": 2}, "c": None}}, given))

    assert made == {"a": 1, "b": {"y": 2}, "c": None}
    assert given == {"a": 1, "b": {"x": 1}}
    assert SetNode().execute(context({"values": {"c": 3}}, None)) == {"c": 3}


@pytest.mark.parametrize("given", [[1], "text", 7])
def test_set_needs_an_object(context, given):
    with pytest.raises(Permanent, match="set in an object"):
        SetNode().execute(context({"values": {}}, given))


def test_log_writes_a_line_and_hands_on_its_input(context):
    ctx = context({"message": "paid", "level": "warning"}, {"a": 1})
    other = context({"message": {"from": "a template"}}, {"a": 1})

    assert LogNode().execute(ctx) == {"a": 1}
    LogNode().execute(other)

    assert ctx.log.lines == [("warning", "paid")]
    assert other.log.lines == [("info", '{"from":"a template"}')]


def test_log_levels_are_known(faults):
    assert "'loud' is not one of" in "; ".join(faults(LogNode, {"message": "m", "level": "loud"}))


@pytest.fixture
def functions(monkeypatch):
    monkeypatch.setattr(function_module, "_functions", {})

    @register_function("price")
    def price(sku, quantity=1):
        return {"sku": sku, "total": 2 * quantity}

    @register_function("who")
    def who(ctx):
        return ctx.node_id

    @register_function("broken")
    def broken():
        raise TypeError("from inside")


@pytest.mark.usefixtures("functions")
def test_a_registered_function_is_called_with_its_arguments(context):
    config = {"name": "price", "arguments": {"sku": "a", "quantity": 3}}

    assert FunctionNode().execute(context(config)) == {"sku": "a", "total": 6}
    assert FunctionNode().execute(context({"name": "who"})) == "n"


@pytest.mark.usefixtures("functions")
def test_what_a_function_raises_is_its_own_failure(context):
    with pytest.raises(TypeError, match="from inside"):
        FunctionNode().execute(context({"name": "broken"}))


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"name": "os.system"}, "unknown function 'os.system'; registered are: broken, price, who"),
        ({"name": "builtins.eval", "arguments": {}}, "unknown function"),
        ({"name": "price"}, "do not fit the function 'price': missing a required argument: 'sku'"),
        ({"name": "price", "arguments": {"sku": 1, "x": 2}}, "unexpected keyword argument 'x'"),
        ({"name": "price", "arguments": "text"}, "'arguments' must be an object"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_when_published_and_when_run(
    context, faults, config, part
):
    assert part in "; ".join(faults(FunctionNode, config))
    with pytest.raises(Permanent) as raised:
        FunctionNode().execute(context(config))
    assert part in str(raised.value)


@pytest.mark.usefixtures("functions")
def test_arguments_from_one_template_are_checked_when_they_are_known(faults):
    assert faults(FunctionNode, {"name": "price", "arguments": "{{ input }}"}) == []


@pytest.mark.usefixtures("functions")
def test_functions_have_one_name_each_and_are_not_async():
    with pytest.raises(DuplicateFunction, match="two functions are named 'price'"):
        register_function("price")(len)
    with pytest.raises(TypeError, match="@node"):

        @register_function("later")
        async def later(): ...
