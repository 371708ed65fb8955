"""Customer-like noise on clean questions: typos, case, courtesy, dropped words.

What lives here: the augmentation that the embedded base sees while it is trained, so that it reads
through spelling it has never met. What does not: training rows of a bot; these are used as they
come from customers and teachers.
"""

import random
import re
from functools import cache
from pathlib import Path

FILLERS = Path(__file__).parent / "pocket_fillers.txt"
"""Sentences that stand around any question and say nothing about it, one a line."""
FILLER_SHARE = 0.25
"""Share of the noisy forms that get one or two of them."""
_NEIGHBOURS = {
    "a": "sqz", "b": "vgn", "c": "xvd", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy",
    "i": "uok", "j": "hku", "k": "jli", "l": "ko", "m": "n", "n": "bmh", "o": "ipl", "p": "ol",
    "q": "wa", "r": "etf", "s": "adw", "t": "ryg", "u": "yij", "v": "cbf", "w": "qes", "x": "zcs",
    "y": "tuh", "z": "xa",
}  # fmt: skip
_SHORT = {
    "you": "u", "are": "r", "to": "2", "for": "4", "please": "pls", "because": "cuz", "with": "w/",
    "and": "&", "what": "wat", "where": "were", "how": "hw", "can't": "cant", "cannot": "cant",
    "don't": "dont", "doesn't": "doesnt", "I'm": "im", "thanks": "thx", "people": "ppl",
    "before": "b4", "our": "our", "there": "ther", "their": "thier", "receive": "recieve",
}  # fmt: skip
_WORDS = (
    ("issues", "tickets", "tasks", "bugs", "items", "cards"),
    ("issue", "ticket", "task", "bug", "item", "card"),
    ("change", "edit", "modify", "update", "switch", "alter"),
    ("delete", "remove", "get rid of", "trash", "wipe"),
    ("create", "make", "add", "set up", "start"),
    ("find", "see", "locate", "look up", "get to"),
    ("teammate", "colleague", "coworker", "team member"),
    ("boss", "manager", "supervisor"),
    ("screen", "page", "menu", "window"),
    ("stop", "turn off", "disable", "switch off"),
    ("turn on", "enable", "switch on", "activate"),
    ("download", "export", "save", "pull"),
    ("link", "url", "address"),
    ("quickly", "fast", "at once"),
    ("all", "every one of"),
    ("company", "organisation", "firm"),
)
_ALTERNATIVES = {word: group for group in _WORDS for word in group if " " not in word}
_BEFORE = (
    "hi", "hello", "hey", "hi there", "hey team", "hello support", "good morning", "quick question",
    "sorry to bother you", "help", "hi all", "question", "dear support", "hey guys", "morning",
    "hi, hope you're well", "i need help", "not sure if this is the right place but",
)  # fmt: skip
_SIGNED = (
    "<PERSON>", "<PERSON>, <COMPANY>", "<PERSON>, <COMPANY>, <PHONE>",
    "<PERSON> | <COMPANY> | <EMAIL>",
    "<EMAIL>", "Best, <PERSON>", "Regards, <PERSON>, <COMPANY>", "my number is <PHONE>",
    "Workspace: <WORKSPACE_URL>", "(<WORKSPACE_URL>)", "<PERSON> <EMAIL>", "<COMPANY>, <ADDRESS>",
    "ref <REFERENCE>", "<PERSON>, born <DATE_OF_BIRTH>", "Thanks, <PERSON> (<COMPANY>)",
)  # fmt: skip
"""What redaction leaves of signatures."""
_AFTER = (
    "thanks", "thank you", "thx", "please help", "any ideas?", "cheers", "thanks in advance",
    "can you help?", "asap please", "many thanks", "ty", "let me know", "please advise",
    "this is urgent", "what am i missing?", "help!", "it's driving me mad",
)  # fmt: skip


@cache
def fillers() -> tuple[str, ...]:
    """The sentences of :data:`FILLERS`."""
    return tuple(FILLERS.read_text(encoding="utf-8").split("\n")[:-1])


def noisy(question: str, rng: random.Random) -> str:
    """One noisy form of ``question``; about one in six comes back unchanged."""
    if rng.random() < 0.15:
        return question
    words = question.split()
    if rng.random() < 0.5:
        words = [_replace(word, rng) if rng.random() < 0.3 else word for word in words]
    if len(words) > 4 and rng.random() < 0.5:
        words = [word for word in words if rng.random() > 0.15] or words
    if len(words) > 3 and rng.random() < 0.1:
        place = rng.randrange(len(words) - 1)
        words[place], words[place + 1] = words[place + 1], words[place]
    rate = rng.choice((0.0, 0.0, 0.05, 0.12, 0.25))
    words = [_misspell(word, rng) if rng.random() < rate else word for word in words]
    text = " ".join(words)
    if rng.random() < 0.2:
        text = f"{rng.choice(_BEFORE)}{rng.choice((', ', ' ', '. ', '! ', ' - '))}{text}"
    if rng.random() < 0.2:
        text = f"{text}{rng.choice((' ', ', ', '. ', ' - '))}{rng.choice(_AFTER)}"
    draw = rng.random()
    if draw < 0.35:
        text = text.lower()
    elif draw < 0.38:
        text = text.upper()
    if rng.random() < 0.3:
        text = re.sub(r"[?.!,']", "", text)
    elif rng.random() < 0.05:
        text = text.rstrip("?.!") + rng.choice(("??", "???", "!!", "?!"))
    if rng.random() < FILLER_SHARE:
        for _ in range(rng.choice((1, 1, 2))):
            filler = rng.choice(fillers())
            text = f"{filler} {text}" if rng.random() < 0.6 else f"{text} {filler}"
    if rng.random() < 0.1:
        text = f"{text} {rng.choice(_SIGNED)}"
    return text.strip() or question


def _replace(word: str, rng: random.Random) -> str:
    bare = word.strip(".,?!").lower()
    if bare in _ALTERNATIVES and rng.random() < 0.6:
        return word.lower().replace(bare, rng.choice(_ALTERNATIVES[bare]))
    return _SHORT.get(word, word)


def _misspell(word: str, rng: random.Random) -> str:
    if len(word) < 3:
        return word
    place = rng.randrange(len(word) - 1)
    kind = rng.random()
    if kind < 0.3:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if kind < 0.6:
        return word[:place] + word[place + 1 :]
    if kind < 0.75:
        return word[:place] + word[place] + word[place:]
    neighbours = _NEIGHBOURS.get(word[place].lower())
    return word[:place] + rng.choice(neighbours) + word[place + 1 :] if neighbours else word
