"""YAML as people mean it: what tenants write, in a file or a request, is read in this one way.

>>> parse_yaml("joins: [{dataset: songs, on: song_id}]")
{'joins': [{'dataset': 'songs', 'on': 'song_id'}]}
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from tenancy.analytics.errors import InvalidRequestError


class _Loader(yaml.SafeLoader):
    """`on` and `no` are words, as in YAML 1.2, and nothing is an alias of something else.

    Aliases would let a few lines stand for billions.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))


def parse_yaml(text: str, what: str = "document") -> Any:
    """The value that this YAML (or JSON) text stands for; None for an empty one.

    Raises InvalidRequestError that names `what` and the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{what} line {mark.line + 1}, column {mark.column + 1}" if mark else what
        raise InvalidRequestError(where, error.problem, "give valid YAML") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidRequestError(what, str(error)[:200], "give valid YAML") from None
