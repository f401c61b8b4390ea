from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolkit.report.markup import element, fragment, visible


def test_text_is_escaped_when_it_becomes_a_child() -> None:
    assert element("p", "a < b & c") == "<p>a &lt; b &amp; c</p>"


def test_attribute_values_are_escaped_and_cannot_close_the_attribute() -> None:
    assert element("a", title='"><x') == '<a title="&quot;&gt;&lt;x"></a>'


def test_markup_is_not_escaped_twice() -> None:
    assert element("p", element("b", "&")) == "<p><b>&amp;</b></p>"


def test_attribute_names_become_those_of_html() -> None:
    made = element("td", class_="number", data_label="p50", hidden=None, checked=True)
    assert made == '<td class="number" data-label="p50" checked></td>'


def test_coordinates_are_rounded_to_a_tenth_of_a_pixel() -> None:
    assert element("line", x1=1 / 3, x2=2.0) == '<line x1="0.3" x2="2"></line>'


def test_an_element_that_has_no_content_is_not_closed() -> None:
    assert element("input", type="radio") == '<input type="radio">'


def test_characters_that_hide_or_reorder_text_are_spelled_out() -> None:
    assert visible("a\u202eb\x00\ud800") == "a\\u202eb\\u0000\\ud800"
    assert visible("क्‍ष") == "क्‍ष"  # a joiner that the script needs


@given(st.text(), st.text())
def test_no_text_brings_markup_of_its_own(child: str, attribute: str) -> None:
    made = fragment(element("p", child, title=attribute))
    assert made.count("<") == 2
    assert made.count(">") == 2
    assert made.count('"') - child.count('"') == 2
