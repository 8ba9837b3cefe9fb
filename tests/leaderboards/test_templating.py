"""Templates escape what they are given."""

import pytest
from jinja2 import UndefinedError

from leaderboards.templating import breakable, environment


def test_every_value_is_escaped():
    text = environment().from_string("<p>{{ x }}</p>").render(x="<script>'\"&")
    assert text == "<p>&lt;script&gt;&#39;&#34;&amp;</p>"


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_long_ids_may_break_after_their_marks():
    assert breakable("a/b_c#<x>@") == "a/<wbr>b_<wbr>c#<wbr>&lt;x&gt;@"
    assert breakable(3) == "3"
