"""What no row may hold: a chat template's tokens, and characters that nobody sees.

What lives here: recognizing both in a text. What does not: what becomes of the text
(:mod:`supportbot_dagster.synthesis.filters`, :mod:`supportbot_dagster.dataset.merge`).

A tokenizer may read a template's token in a row as the token itself, and so end a turn in the midst
of an answer. Unseen characters let a text show other words than it holds.
"""

import re
from unicodedata import normalize

_TEMPLATE = re.compile(
    r"<\|/?[\w\"▁-]{1,40}\|?>|</?[\w\"▁-]{1,40}\|>|"  # <|im_start|>, <|turn>, <turn|>
    r"</?(?:start_of_\w{1,20}|end_of_\w{1,20}|begin_of_\w{1,20}|bos|eos|pad|unk|mask|cls|sep|s|"
    r"unused\d{1,5}|reserved_\w{1,30}|0x[0-9a-f]{2}|think|tool_call|tool_response|image_soft_token|"
    r"endoftext)>|"
    r"<</?sys>>|\[/?(?:inst|available_tools|tool_calls|tool_results|system_prompt)\]|"
    r"###\s*(?:instruction|response|human|assistant|system|user)\s*:",
    re.IGNORECASE,
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # all but what counts as white space
    "\u202a-\u202e\u2066-\u2069"  # turn the direction of writing
    "\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_ALIKE = "[\u0400-\u04ffαεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ]"
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060-\u2064\u206a-\u206f"
    "\u3164\ufeff\uffa0]|"
    # A joiner is a letter's or a picture's, but none stands beside a plain letter.
    "(?<=[!-~])[\u200c\u200d]|[\u200c\u200d](?=[!-~])|"
    # A letter of another script amid plain ones, and marks heaped on one letter.
    f"(?<=[a-zA-Z]){_ALIKE}|{_ALIKE}(?=[a-zA-Z])|[\u0300-\u036f]{{3,}}"
)


def template_token(text: str) -> str:
    """The first token of a chat template in a text, of whatever model, or nothing."""
    found = _TEMPLATE.search(normalize("NFKC", text))
    return found[0] if found else ""


def has_controls(text: str) -> bool:
    """Whether a text holds characters that control a machine or the direction of writing."""
    return _CONTROLS.search(text) is not None


def has_unseen(text: str) -> bool:
    """Whether a text holds controls or other characters that nobody sees, or sees as others.

    People's own texts hold some of the latter, from telephones and word processors.
    """
    return has_controls(text) or _HIDDEN.search(text) is not None
