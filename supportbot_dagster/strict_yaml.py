"""YAML in which a key stands once.

What lives here: a loader that refuses a key given twice, where YAML's own takes the last one
without a word. What does not: the schemas of the files.
"""

from typing import Any

import yaml


def load_yaml(text: str) -> Any:
    """The value of a YAML document; plain types alone.

    Raises:
        yaml.YAMLError: if it is not YAML, or a mapping holds a key twice; both lines are named.
    """
    return yaml.load(text, Loader=_OneKeyEach)


class _OneKeyEach(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value} stands on line {first[key.value]} and again on "
                    f"line {line}",
                    key.start_mark,
                )
            first[key.value] = line
        return super().construct_mapping(node, deep)
