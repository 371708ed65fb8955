"""The light edit that turns a question and its reply into a training pair.

What lives here: taking greeting, opener, sign-off and link lines off, and nothing else; typos and
sentences stay as they were written. What does not: redaction, which comes first; placeholders such
as ``<PERSON>`` count as names here.
"""

from __future__ import annotations

import re

_NAME = r"(?:<[A-Z_]+>|[A-Z\u00c0-\u00de][\w'\u2019.\-\u00c0-\u024f]{0,24})"
_NAMES = _NAME + r"(?:(?: |, | and | & |/)" + _NAME + r"){0,3}"
_CI = re.IGNORECASE
_HELLO = (
    r"(?i:hi|hello|hey|hiya|heya|howdy|dear|good (?:morning|afternoon|evening|day)|morning|"
    r"afternoon|evening|greetings|"
    r"hallo|hola|bonjour|ciao|moin|yo|sup|kia ora|aloha|namaste|gr\u00fcezi|servus|salaam|shalom)"
)
_CALLED = (
    r"(?i:there|again|all|team|folks|guys|everyone|everybody|support(?: team| folks)?|friends?|"
    r"sir(?: or | ?/ ?)madam|sir|"
    r"madam|people|y'all|to whom it may concern|[\w]+ (?:support )?team|[\w]+ (?:support|folks|"
    r"people))"
)
_GREETING = re.compile(
    r"\A\s*(?:(?i:to whom it may concern)[,.:]?|"
    + _HELLO
    + r"(?:[ ,]{1,2}(?:"
    + _CALLED
    + r"|"
    + _NAMES
    + r")){0,3}[ ]?(?:(?:[,!.:;\u2013\u2014]+|-(?=\s))(?:[ ]?[:;]-?[)D(])?|[:;]-?[)D(]|\n|(?= "
    r"(?i:i|we|how|"
    r"what|where|can|is|my|our|the|a|quick|just|sorry|so|when|why|"
    r"do|does|there|this|im|ive|i'm|i've|trying|need|please|pls|got|any|having|could|is|are|if|"
    r"in|it|looking|would|want|not|after|since)\b)|\Z))\s*",
)
_NAME_GREETING = re.compile(
    r"\A\s*(?:<PERSON>|[a-z]{2,15} [a-z]+ team|(?i:hi|hello|hey) [a-z]{2,15})[ ]?[,!:]\s*"
)
_LONE_NAME = re.compile(r"\A\s*" + _NAMES + r"[,!][ ]?(?:\n|\Z)\s*")
_OPENER = re.compile(
    r"\A\s*(?:"
    + _NAME
    + r", )?(?i:(?:(?:many )?thanks(?: so much| a lot| very much)?|thank you(?: so much| very "
    r"much)?|thx|cheers)"
    r"(?:[ ,](?:"
    + _NAME
    + r"))?[ ](?:for|so much for)[ ](?:(?:the|your|sharing|taking|all|that|those|these|such|a|"
    r"this)\b|reaching|writing|getting|contacting|"
    r"asking|checking|messaging|emailing|e-mailing|dropping|flagging|reporting|letting|waiting|"
    r"being|bringing|raising|pinging|sending|following|"
    r"choosing|using|coming)[^.!?\n]{0,110}[.!]+|"
    r"(?:i )?(?:hope|trust) (?:you(?:'re| are)|this (?:e-?mail|message|finds)|all is|your|that "
    r"you)[^.!?\n]{0,70}[.!]+|"
    r"(?:great|good|excellent|fair|nice|lovely|super|quick) question[^.!?\n]{0,40}[.!]+|"
    r"(?:(?:i'?m |we'?re |so |very |really )*(?:happy|glad|pleased|delighted) to (?:help|hear|"
    r"assist|see)|sure(?: thing| can do)?|of course|no problem(?: at all)?|"
    r"no worries(?: at all)?|absolutely|certainly|gladly|you bet|my pleasure|good to hear from "
    r"you|nice to hear from you|"
    r"i'?d be (?:happy|glad) to help|welcome(?: back| aboard)?|all good|easy one|happy to)(?:[ "
    r"](?:with (?:that|this)|with (?:that|this) one|from you|you out|here|there|this one))?(?:[ "
    r",]" + _NAME + r")?[.!]+|"
    r"(?:i'?m |we'?re |so |very |really )*sorry (?:to hear|for|about|that|you)[^.!?\n]{0,110}[.!]+|"
    r"(?:apologies|my apologies) (?:for)[^.!?\n]{0,90}[.!]+|"
    r"(?:this is |it'?s |i'?m |my name is )?(?:<PERSON>|[A-Z][\w\u00c0-\u024f]+) here(?: "
    r"from[^.!?\n]{0,40})?[,.!\u2013-]+|"
    r"(?:my name is|this is|i'?m) (?:<PERSON>|[A-Z][\w\u00c0-\u024f]+),? (?:and i(?:'ll| will| "
    r"can)[^.!?\n]{0,60}|from[^.!?\n]{0,50}|(?:and )?happy to help)[.!]+)\s*"
)
_LETME = (
    r"(?:(?:please |just |but |and |do )*(?:let (?:me|us) know|shout|ping (?:me|us)|reach out|"
    r"get (?:back )?in touch|feel free|don'?t hesitate|"
    r"reply (?:here|to this|back)|just reply|write back|drop (?:me|us) a (?:line|note)|give "
    r"(?:me|us) a shout|holler|come back to (?:me|us))[^.!?\n]{0,130}[.!?]*|"
    r"if (?:(?:you|there|that|this|it|anything|something)[^.!?\n,]{0,80}),? (?:(?:please |just "
    r")?(?:let (?:me|us) know|shout|reply|write|reach out|feel free|don'?t hesitate|"
    r"get (?:back )?in touch|ping|we'?re here|i'?m here|come back|drop|give (?:me|us)|i'?m happy|"
    r"we'?re happy|happy to))[^.!?\n]{0,100}[.!?]*|"
    r"(?:i )?hope (?:this|that|it)(?:'s| is| was)? ?(?:helps?|clears?|answers?|sorts?|does|gets|"
    r"works|useful|helpful)[^.!?\n]{0,70}[.!?]*|"
    r"(?:does|did|is) (?:that|this) (?:answer|help|clear|work|what|make|do)[^.!?\n]{0,60}[?!.]*|"
    r"(?:is there |was there )?anything else (?:i|we) can[^.!?\n]{0,60}[.!?]*|"
    r"(?:i'?m|we'?re|always) (?:here|around|happy to help|just an? e-?mail "
    r"away)[^.!?\n]{0,70}[.!?]*|happy to help(?: further)?[^.!?\n]{0,50}[.!?]*|"
    r"(?:have|enjoy) (?:a|an|your|the rest)[^.!?\n]{0,50}[.!?]*|(?:thanks|thank you)(?: again| "
    r"so much| for[^.!?\n]{0,80}| and[^.!?\n]{0,50})?[.!?,]*|"
    r"(?:best|good) luck[^.!?\n]{0,40}[.!?]*|take care[.!?,]*|talk soon[.!?,]*|sorry (?:again "
    r")?(?:for|about)[^.!?\n]{0,60}[.!?]*|"
    r"(?:looking|look) forward[^.!?\n]{0,60}[.!?]*|(?:any|further) (?:more |other |further "
    r")?questions[^.!?\n]{0,60}[.!?]*|shout if[^.!?\n]{0,80}[.!?]*|"
    r"(?:enjoy|cheers|happy \w+ing|have fun[^.!?\n]{0,30})[.!?,]*|(?:that should do it|you'?re "
    r"all set|that'?s it|all set|hth)[.!?]*)"
)
_TRAILING_SENTENCE = re.compile(r"(?:(?<=[.!?:)>])[ ]+|\n\s*|\A\s*)" + r"(?i:" + _LETME + r")\s*\Z")
_CLOSER = (
    r"(?i:(?:many |thanks and )?(?:kind|best|warm|warmest|kindest|all the best|with best)?[ "
    r"]?(?:regards|wishes)|best|thanks(?: (?:a (?:lot|bunch|million)|so much|again|in advance|"
    r"very much|all|guys|team|for (?:any|your|the) [\w ]{2,30}))?|"
    r"thank you(?: (?:so much|very much|in advance|again|all|kindly|for (?:any|your|the) [\w "
    r"]{2,30}))?|many thanks|cheers|sincerely|yours(?: (?:sincerely|truly|faithfully))?|"
    r"all the best|respectfully|take care|br|rgds|thx(?: (?:in advance|a lot|guys|again))?|tnx|"
    r"ty|tia|xx?|talk soon|warmly|cordially|"
    r"mit freundlichen gr\w+|mfg|lg|vg|cordialement|saludos|appreciate(?: it| (?:the|your|any) "
    r"help)?|much appreciated|have a (?:nice|great|good|lovely) (?:day|one|weekend|evening|week)|"
    r"plz help|pls help|please help|help|help me|please advise|pls advise)"
)
_SIGN_OFF = re.compile(
    r"(?:\n\s*|(?<=[.!?,;)>:])[ ]+|\A\s*)"
    + _CLOSER
    + r"[ ]?[,.!\-\u2013\u2014~:)(]*\s*(?:[-\u2013\u2014~]\s*)?"
    r"(?:"
    + _NAME
    + r"(?:[ ,|/]{1,3}"
    + _NAME
    + r"){0,4}|[a-z][a-z'.\-]{1,14}(?: [a-z][a-z'.\-]{1,14})?(?=\s*\Z))?[ ,.!:)(]*"
    r"(?:\n[^\n?]{0,70}){0,4}\s*\Z"
)
_DASHED_NAME = re.compile(
    r"(?:\n\s*|(?<=[.!?)>])[ ]+)[-\u2013\u2014~/]{1,2}[ ]?" + _NAMES + r"[ .!]*\Z"
)
_LAST_NAME_LINE = re.compile(
    r"\n\s*(?:<PERSON>|"
    + _NAME
    + r"(?: "
    + _NAME
    + r")?)(?:[ ]?(?:,|\||from|at|@|/|-)[ ]?(?:the )?(?:<[A-Z_]+>|[A-Z][\w ]{0,30}))?[ .,!]*\Z"
)
_AGENT_TEAM_LINE = re.compile(
    r"\n\s*(?:the )?[A-Z][\w ]{0,30}(?:support|team|help(?:desk)?|customer success|success)[ "
    r".!]*\Z",
    _CI,
)
_LINK_INTRO = (
    r"(?:more(?: (?:details?|info(?:rmation)?|on (?:this|that)|about (?:this|that|it)|here|"
    r"help))?|details?|docs?|(?:the )?(?:full )?(?:guide|article|steps|page|docs|documentation|"
    r"help (?:page|article|centre|center)|walkthrough|write-?up)(?: (?:is|are|lives?|on this))?|"
    r"read more|"
    r"see(?: also)?|here(?:'?s| is| are) (?:the|a|our) (?:link|guide|article|page|doc|docs|help "
    r"page|relevant page|help article|full guide)|link|source|reference|further reading|learn "
    r"more|full (?:details|guide|steps)|"
    r"you can (?:read|find) (?:more|the (?:details|full guide|steps)|all the details)|"
    r"(?:there'?s|here is|there is) (?:more|a guide|an article|the guide|the page)|also see|for "
    r"(?:more|further|reference|details|the full \w+)|"
    r"this page (?:has|covers|explains)|screenshots?|step by step|steps with screenshots|it'?s "
    r"(?:all )?(?:documented|described|explained|covered)|i'?ve (?:linked|attached) the \w+)"
)
_URL = r"<?\(?\[?(?:https?://|www\.)[^\s<>]+|<URL>"
_LINK_LINE = re.compile(
    r"^[ \t*\-\u2022>]*(?:(?i:"
    + _LINK_INTRO
    + r")[^\n.!?]{0,60}?[:\-\u2013\u2014 ]*)?(?:"
    + _URL
    + r")[)\]>.,!]*[ \t]*$\n?",
    re.MULTILINE,
)
_LINK_SENTENCE = re.compile(
    r"(?:(?<=[.!?)])[ ]+|(?<=\n)|\A)(?i:"
    + _LINK_INTRO
    + r")[^\n.!?]{0,70}?[:\-\u2013\u2014 ]+(?:"
    + _URL
    + r")[)\]>.,!]*(?=\s|\Z)"
)


_GREETING_PARAGRAPH = re.compile(r"\A\s*" + _HELLO + r"\b(?:[ ]\S+){1,10}[ ]*\n\s*\n\s*(?=\S)")
_COURTESY_LINE = re.compile(
    r"\n\s*(?i:[^\n>:/\d?.]{2,40},|(?:i )?(?:hope|happy|good luck|sorry|no harm|you(?:'ve| have) "
    r"got|stay|enjoy|keep|all the best|"
    r"fingers|see you|until|glad|great|nice|well done|congrat\w*|yay|have|best of|welcome|until|"
    r"safe)\b[^\n>:/\d?]{0,60}[!.,]?)\s*\Z"
)


def light_edit(agent_text: str) -> str:
    """A support reply without greeting, opener, sign-off, offers of more help and link lines.

    The sentences of the answer stay verbatim. A reply that is nothing but courtesies gives an empty
    string.

    Args:
        agent_text: the reply, redacted or not.
    """
    text = agent_text.replace("\r\n", "\n").strip()
    text = _LINK_LINE.sub("", text)
    text = _LINK_SENTENCE.sub("", text).strip()
    text = _strip_end(
        text,
        (
            _COURTESY_LINE,
            _SIGN_OFF,
            _DASHED_NAME,
            _AGENT_TEAM_LINE,
            _LAST_NAME_LINE,
            _TRAILING_SENTENCE,
        ),
    )
    text = _strip_start(text, (_GREETING_PARAGRAPH, _GREETING, _NAME_GREETING, _LONE_NAME, _OPENER))
    return _fold_space(text)


def customer_question(text: str) -> str:
    """A customer's message without greeting and sign-off, whitespace folded, typos kept.

    If nothing would be left, the message itself is returned with its whitespace folded.

    Args:
        text: the message, redacted or not.
    """
    body = text.replace("\r\n", "\n").strip()
    edited = _strip_start(body, (_GREETING, _NAME_GREETING))
    edited = _strip_end(edited, (_SIGN_OFF, _DASHED_NAME, _LAST_NAME_LINE))
    return " ".join((edited or body).split())


def _strip_start(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for _ in range(4):
        before = text
        for pattern in patterns:
            match = pattern.match(text)
            if match and match.end() and text[match.end() :].strip():
                text = text[match.end() :].lstrip(" \n,!-\u2013\u2014")
            elif match and match.end() == len(text):
                return ""
        if text == before:
            break
    return text


def _strip_end(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for _ in range(6):
        before = text
        for pattern in patterns:
            match = pattern.search(text)
            if match:
                text = text[: match.start()].rstrip()
        if text == before:
            break
    return text


def _fold_space(text: str) -> str:
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" *\n *", "\n", text)).strip()
