"""Two documents beside each other: every place that differs, and the lines that do."""

from mediation.core.differences import MISSING, differences, side_by_side


def told(before, after):
    return [(one.pointer, one.kind, one.before, one.after) for one in differences(before, after)]


def test_equal_documents_do_not_differ_whatever_the_order_of_their_members():
    assert told({"a": 1, "b": [1, {"c": None}]}, {"b": [1, {"c": None}], "a": 1}) == []


def test_each_difference_is_named_by_its_place():
    before = {"format": {"delimiter": ","}, "fields": {"Value": {"source": "a"}, "Amount": {"source": "b"}}}
    after = {"format": {"delimiter": ";"}, "fields": {"Value": {"source": "a", "round_to": 2}}}
    assert told(before, after) == [
        ("/format/delimiter", "changed", ",", ";"),
        ("/fields/Value/round_to", "added", MISSING, 2),
        ("/fields/Amount", "removed", {"source": "b"}, MISSING),
    ]


def test_lists_are_compared_place_by_place():
    assert told({"skip": ["a", "b"]}, {"skip": ["a", "c", "d"]}) == [
        ("/skip/1", "changed", "b", "c"),
        ("/skip/2", "added", MISSING, "d"),
    ]


def test_null_is_a_value_and_true_is_not_one():
    assert told({"a": None}, {}) == [("/a", "removed", None, MISSING)]
    assert told({"a": 1}, {"a": True}) == [("/a", "changed", 1, True)]


def test_a_name_with_a_slash_is_escaped_as_pointers_want_it():
    assert told({"a/b~c": 1}, {"a/b~c": 2}) == [("/a~1b~0c", "changed", 1, 2)]


def test_lines_stand_beside_their_equals():
    pairs = side_by_side("one\ntwo\nthree", "one\n2\nthree\nfour")
    assert [(pair.kind, pair.before_number, pair.after_number) for pair in pairs] == [
        ("same", 1, 1),
        ("changed", 2, 2),
        ("same", 3, 3),
        ("added", None, 4),
    ]
