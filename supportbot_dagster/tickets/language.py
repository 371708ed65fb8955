"""Which language a ticket is in, decided so that a short English text with typos stays English.

What lives here: script, function words, and langdetect for the rest. What does not: the choice of
the language that counts, which is the product file's.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_FUNCTION_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(text.split())
    for language, text in {
        "en": "the a an i you we is are was were be been to of and in on for with my our your it "
        "this that "
        "how do does did can cant can't cannot what where why when which who have has not dont "
        "don't if but so "
        "there from at any all just please help me u ur im i'm its it's or as by they them she "
        "he hi hello hey "
        "thanks thank will would should could want need get got after before only no yes still",
        "de": "der die das und ich ist nicht wie kann wir ein eine einen zu mit auf f\u00fcr bei "
        "mein meine wenn "
        "aber auch sie es dem den von im wo haben hat bitte danke hallo unsere kein keine oder "
        "nach wird warum "
        "noch mehr \u00fcber wurde guten gr\u00fc\u00dfe gru\u00df m\u00f6chte k\u00f6nnen als "
        "um uns mir mich was",
        "fr": "le la les des et je est pas nous vous un une dans pour avec sur mon ma mes "
        "comment que qui bonjour "
        "merci notre mais ou ce cette il elle ne plus du au aux sont puis-je peux j'ai c'est "
        "votre faire si par "
        "l'espace d'un quand o\u00f9 pourquoi cordialement depuis \u00eatre",
        "es": "el la los las y es no c\u00f3mo como puedo que qu\u00e9 de en un una para con mi "
        "mis nuestro pero "
        "por se hola gracias su est\u00e1 hay cuando donde d\u00f3nde tengo si al del lo "
        "m\u00e1s porque "
        "quiero saludos usted he todos sin",
        "pt": "o os as e \u00e9 n\u00e3o como posso que de em um uma para com meu minha nosso "
        "mas por se ol\u00e1 "
        "obrigado obrigada est\u00e1 quando onde tenho do da no na ao mais porque quero "
        "voc\u00ea todos sem pelo",
        "it": "il lo la gli e \u00e8 non come posso che di in un una per con mio mia nostro ma "
        "si ciao grazie "
        "quando dove ho del della nel pi\u00f9 perch\u00e9 vorrei buongiorno questo sono al da "
        "se tutti",
        "nl": "de het een en ik is niet hoe kan wij we van te met op voor mijn onze maar ook als "
        "er hallo bedankt "
        "dank wat waar heb heeft naar dit dat zijn om bij nog geen graag groeten",
        "sv": "och jag \u00e4r inte hur kan vi en ett att med p\u00e5 f\u00f6r min v\u00e5r men "
        "det som hej tack "
        "var har n\u00e4r av till fr\u00e5n om den ska",
        "da": "og jeg er ikke hvordan kan vi en et at med p\u00e5 for min vores men det som hej "
        "tak hvor har "
        "n\u00e5r af til fra om den skal",
        "pl": "nie jak mog\u0119 jest i w na z do to si\u0119 dla m\u00f3j nasz ale dzie\u0144 "
        "dobry "
        "dzi\u0119kuj\u0119 czy mam gdzie kiedy prosz\u0119 o po od",
        "tr": "ve bir bu i\u00e7in nas\u0131l ne de da ben biz merhaba te\u015fekk\u00fcrler ile "
        "ama var yok "
        "olarak m\u0131 mi nerede neden",
        "fi": "ja on ei miten voin me ett\u00e4 hei kiitos mutta se kun miss\u00e4 olen "
        "t\u00e4m\u00e4 minun "
        "meid\u00e4n kuinka mit\u00e4",
    }.items()
}
_SCRIPTS = {
    "cyrillic": (re.compile("[\u0400-\u04ff]"), frozenset({"ru", "uk", "bg", "mk", "sr"})),
    "greek": (re.compile("[\u0370-\u03ff]"), frozenset({"el"})),
    "cjk": (re.compile("[\u3040-\u30ff\u3400-\u9fff]"), frozenset({"ja", "zh"})),
    "hangul": (re.compile("[\uac00-\ud7af]"), frozenset({"ko"})),
    "arabic": (re.compile("[\u0600-\u06ff]"), frozenset({"ar", "fa", "ur"})),
    "hebrew": (re.compile("[\u0590-\u05ff]"), frozenset({"he"})),
    "thai": (re.compile("[\u0e00-\u0e7f]"), frozenset({"th"})),
    "devanagari": (re.compile("[\u0900-\u097f]"), frozenset({"hi", "mr", "ne"})),
}
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NOISE = re.compile(r"https?://\S+|\S+@\S+|`[^`]*`|<[A-Z_]+>|\S+\.\S+/\S*")


def is_other_language(text: str, language: str) -> bool:
    """Whether ``text`` is clearly in another language than ``language``.

    Conservative: a text without clear evidence counts as the wanted language.

    Args:
        language: ISO 639-1 code.
    """
    text = _NOISE.sub(" ", text)
    latin = len(_LATIN.findall(text))
    for pattern, languages in _SCRIPTS.values():
        count = len(pattern.findall(text))
        if count >= 4 and count * 2 > latin:
            return language not in languages
    if language in {code for _, codes in _SCRIPTS.values() for code in codes}:
        return latin >= 20
    tokens = [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]
    if len(tokens) < 3:
        return False
    wanted = _FUNCTION_WORDS.get(language, frozenset())
    share = {
        code: sum(token in listed for token in tokens) / len(tokens)
        for code, listed in _FUNCTION_WORDS.items()
    }
    mine = share.get(language, 0.0)
    # only words that the wanted language does not have speak against it
    against = {
        code: [token for token in tokens if token in listed and token not in wanted]
        for code, listed in _FUNCTION_WORDS.items()
        if code != language
    }
    best = max(against.values(), key=len, default=[])
    if wanted:
        if len(best) >= 3 and len(best) / len(tokens) > max(0.12, 1.5 * mine):
            return True
        if len(best) >= 2 and mine == 0 and len(best) / len(tokens) >= 0.25:
            return True
        if mine >= 0.12 or len(tokens) < 8:
            return False
    return _detected_other(" ".join(tokens), language)


@cache
def _factory() -> Any:
    from langdetect import detector_factory  # type: ignore[import-untyped]

    factory = detector_factory.DetectorFactory()
    # a seed of this factory alone: the package's own default factory is global and random
    factory.seed = 0
    factory.load_profile(detector_factory.PROFILES_DIRECTORY)
    return factory


def _detected_other(text: str, language: str) -> bool:
    from langdetect.lang_detect_exception import LangDetectException  # type: ignore[import-untyped]

    detector = _factory().create()
    detector.append(text)
    try:
        ranked = detector.get_probabilities()
    except LangDetectException:
        return False
    top = ranked[0] if ranked else None
    return bool(top and top.lang.split("-")[0] != language and top.prob > 0.97 and len(text) >= 40)
