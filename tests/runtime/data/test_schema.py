from typing import Any

import pytest
from hypothesis import given

from keepstep.runtime.data.schema import Misfit, check, schema_of

from .orders import Cat, Dog, Item, Order, Tree
from .test_codec import trees

ORDER = schema_of(Order)


@given(trees)
def test_recursive_values_fit_their_schema(tree: Tree) -> None:
    def plain(node: Tree) -> dict[str, Any]:
        return {"name": node.name, "children": [plain(child) for child in node.children]}

    check(plain(tree), schema_of(Tree))


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (ORDER, {"lines": []}, "expected Order (an object with 'id'), found {\"lines\":[]}"),
        (ORDER, {"id": 1}, ".id: expected string, found 1"),
        (ORDER, {"id": "o", "lines": [{"sku": "s", "count": True, "price": "1"}]}, ".lines[0].count: expected integer"),
        (ORDER, {"id": "o", "note": 3}, ".note: expected string or null, found 3"),
        (ORDER, "x", 'expected Order (object), found "x"'),
        (schema_of(tuple[int, str]), [1, 2], "[1]: expected string, found 2"),
        (schema_of(tuple[int, str]), [1], "expected at least 2 items, found [1]"),
        (schema_of(dict[str, int]), {"a": "b"}, "['a']: expected integer, found \"b\""),
        (
            schema_of(Item),
            {"price": "1", "type": "green"},
            '.type: expected Colour (one of "red", "blue"), found "green"',
        ),
        (schema_of(Cat | Dog), {"type": "Dog"}, "expected Dog (an object with 'name')"),
        ({"type": "integer", "minimum": 3}, 2, "expected at least 3, found 2"),
        ({"type": "number", "exclusiveMaximum": 3}, 3, "expected less than 3, found 3"),
        ({"const": 1}, True, "expected one of 1, found true"),
        ({"type": "string", "maxLength": 2}, "abc", "expected at most 2 characters"),
        ({"type": "string", "pattern": "^a"}, "b", "expected text that matches ^a"),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"b": 1},
            "expected only the members 'a', found {\"b\":1}",
        ),
        ({"allOf": [{"type": "integer"}, {"maximum": 3}]}, 4, "expected at most 3, found 4"),
        (False, 1, "expected nothing, found 1"),
    ],
)
def test_a_misfit_names_path_expectation_and_finding(schema: Any, value: Any, message: str) -> None:
    with pytest.raises(Misfit) as caught:
        check(value, schema)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, object),
        (True, 1),
        ({"type": "string", "format": "date"}, "not judged"),
        ({"$ref": "#/$defs/missing"}, 1),
        ({"type": ["integer", "null"]}, None),
        ({"unknown": 1, "type": "later"}, 1),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
        ({"enum": [1, "a", None]}, None),
        ({"type": "number"}, 3),
        ({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, [1, "a", "b"]),
        (schema_of(Cat | Dog), {"type": "Cat", "lives": 9}),
    ],
)
def test_what_fits_or_cannot_be_judged_passes(schema: Any, value: Any) -> None:
    check(value, schema)
