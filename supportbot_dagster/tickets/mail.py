"""What mail programs add to a message, and messages that no person wrote.

What lives here: stripping of quoted history, signatures and disclaimers; recognition of automatic
replies, spam and bare thanks. What does not: redaction, and the greeting and sign-off that the
person typed (:mod:`supportbot_dagster.tickets.single_turn`).
"""

from __future__ import annotations

import html
import re
import unicodedata

from supportbot_dagster.tickets.words import word_set

_M = re.IGNORECASE | re.MULTILINE

_QUOTE_START = re.compile(
    r"^[ \t>]*(?:"
    r"On .{4,120}\n?.{0,120}\bwrote:|"
    r"Am .{4,120}\n?.{0,120}\bschrieb\b.*:|"
    r"Le .{4,120}\n?.{0,120}a \u00e9crit ?:|"
    r"El .{4,120}\n?.{0,120}escribi\u00f3:|"
    r"Op .{4,120}\n?.{0,120}schreef.*:|"
    r"-{2,} ?(?:Original Message|Forwarded message|Urspr\u00fcngliche Nachricht|Message d'origine|"
    r"Mensaje original)[ -]*$|"
    r"Begin forwarded message:|"
    r"_{10,}\s*\nFrom:|"
    r"\*?From:\*? .{2,120}\n\*?(?:Sent|Date|To|Subject):|"
    r"##-? ?(?:Please type your reply|In replies all text)"
    r").*$",
    _M,
)
_SIGNATURE_START = re.compile(
    r"^[ \t]*--[ \t]*$|^[ \t]*[_]{5,}[ \t]*$|^[ \t]*[-*=]{5,}[ \t]*$", re.MULTILINE
)
_DEVICE_LINE = re.compile(
    r"^[ \t]*(?:Sent (?:from|via|with) (?:my |a )?(?:i?phone|ipad|mac|android|samsung|mobile|"
    r"outlook|mail|"
    r"yahoo|gmail|proton|blackberry|superhuman|spark|tablet|galaxy|pixel|hey|front|"
    r"windows)[^\n]{0,60}|"
    r"Get Outlook for \w+[^\n]{0,60}|Von meinem (?:iPhone|iPad|Handy)[^\n]{0,40}|"
    r"Envoy\u00e9 de(?:puis)? mon [^\n]{0,40}|Enviado desde mi [^\n]{0,40}|"
    r"(?:please )?(?:excuse|forgive|pardon) (?:any |my |the )?(?:brevity|typos|"
    r"spelling)[^\n]{0,60}|"
    r"typed on (?:a|my) phone[^\n]{0,60})[ \t]*$",
    _M,
)
_DISCLAIMER = re.compile(
    r"^[ \t*_]*(?:(?:this|the) (?:e-?mail|message|communication|information|"
    r"transmission)[^\n]{0,120}"
    r"(?:confidential|privileged|intended (?:only|solely)|legally)|"
    r"confidentiality (?:notice|note)|disclaimer ?:|legal notice|"
    r"if you (?:are not|have received|received) (?:the intended|this (?:e-?mail|message))|"
    r"please consider the environment|think before you print|think green|"
    r"this message was scanned|virus-free|scanned by|\[?cid:|"
    r"registered (?:in england|office)|unsubscribe|you (?:are receiving|received) this)",
    _M,
)
_CONTACT_LINE = re.compile(
    r"(?:^|\b)(?:tel|phone|mobile|mob|cell|fax|office|direct|t|m|p|e|w|e-?mail|web|skype|"
    r"linkedin)[.:]\s*\S|"
    r"\+\d[\d ()\-.]{6,}|\(?\d{3}\)?[ .\-]\d{3}[ .\-]\d{4}|\b0\d{2,4}[ \-]\d{3,4}[ \-]?\d{3,4}|"
    r"^\S+@\S+\.\S+$|^(?:https?://|www\.)\S+$|^[\w\-]+(?:\.[\w\-]+)+$",
    re.IGNORECASE,
)
_CLOSER_LINE = re.compile(
    r"^[ \t]*(?:(?:many )?thanks|thank you|thx|ty|cheers|(?:kind|best|warm|warmest|kindest)(?: "
    r"(?:regards|wishes))?|"
    r"best|regards|sincerely|yours[\w ]*|all the best|respectfully|take care|br|rgds|"
    r"mit freundlichen gr\w+|cordialement|saludos)(?: (?:so much|again|a lot|in advance|and \w+ "
    r"regards))?[ ,.!]*$",
    re.IGNORECASE,
)
_TITLE_LINE = re.compile(
    r"\b(?:head|director|manager|engineer|developer|lead|officer|ceo|cto|cfo|coo|founder|ops|"
    r"operations|"
    r"consultant|analyst|designer|coordinator|vp|president|assistant|administrator|specialist|"
    r"architect|"
    r"she/her|he/him|they/them|inc|llc|ltd|gmbh|limited|corp)\b|[|\u2022\u00b7]",
    re.IGNORECASE,
)


def clean_message(body: str) -> str:
    """A comment without quoted history, mail signature, device line and disclaimer.

    The greeting, the sign-off and the name below it stay.
    """
    text = html.unescape(body) if re.search(r"&(?:amp|lt|gt|nbsp|quot|#\d+);", body) else body
    text = (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\u00a0", " ")
        .replace("\u2028", "\n")
    )
    quote = _QUOTE_START.search(text)
    if quote and text[: quote.start()].strip():
        text = text[: quote.start()]
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(">")]
    text = "\n".join(lines)
    signature = _SIGNATURE_START.search(text)
    if signature and text[: signature.start()].strip():
        # a dashed rule amid a long message divides; a short rest below it is a signature
        rest = text[signature.end() :].strip()
        if text[signature.start() : signature.end()].strip() == "--" or rest.count("\n") <= 8:
            text = text[: signature.start()]
    disclaimer = _DISCLAIMER.search(text)
    if disclaimer and text[: disclaimer.start()].strip():
        text = text[: disclaimer.start()]
    text = _DEVICE_LINE.sub("", text)
    text = _without_contact_block(text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)).strip()


def _without_contact_block(text: str) -> str:
    """Drop job title, company, phone and web lines below the name of a sign-off."""
    lines = text.rstrip().split("\n")
    for index in range(max(0, len(lines) - 12), len(lines)):
        if not _CLOSER_LINE.match(lines[index]):
            continue
        block = [number for number in range(index + 1, len(lines)) if lines[number].strip()]
        if not block or any(len(lines[number]) > 90 for number in block):
            continue
        if any("?" in lines[number] for number in block):
            continue
        marked = [
            number
            for number in block[1:]
            if _CONTACT_LINE.search(lines[number].strip()) or _TITLE_LINE.search(lines[number])
        ]
        if marked:
            return "\n".join(lines[: block[0] + 1])
    while len(lines) > 1 and (not lines[-1].strip() or _is_contact_only(lines[-1])):
        lines.pop()
    return "\n".join(lines)


def _is_contact_only(line: str) -> bool:
    text = line.strip()
    if re.fullmatch(r"(?:https?://|www\.)\S+", text) and "/" in text.removeprefix("https://"):
        return False  # a link on its own line may be the answer
    match = _CONTACT_LINE.search(text)
    return bool(match and match.start() <= 12 and len(text) <= 60 and not re.search(r"[?!]", text))


_AUTO_SUBJECT = re.compile(
    r"^\s*(?:(?:re|aw|fw|fwd|sv|vs):\s*)*(?:\[auto\w*\]|\[?(?:ticket|request|case) (?:received|"
    r"created|logged)\b|automatic reply|auto(?:matic)?[ -]?(?:reply|response|responder|antwort)|"
    r"auto:|out[ -]of[ -](?:the[ -])?office(?:[ -]?(?:reply|message|auto\w*|"
    r"notification))?\s*(?:[:\-(\u2013]|$|re:|until|till|from)|ooo\s*[:\-]|"
    r"abwesen\w*|automatische antwort|r\u00e9ponse automatique|respuesta autom\u00e1tica|"
    r"resposta autom\u00e1tica|"
    r"risposta automatica|automatisch antwoord|autosvar|\u81ea\u52d5|undeliver(?:able|ed)|"
    r"mail delivery (?:failed|failure|subsystem|status)|delivery (?:status notification|failure|"
    r"has failed|incomplete|delayed)|"
    r"returned mail|failure notice|message (?:not delivered|undeliverable|blocked)|non[ "
    r"-]?delivery|"
    r"(?:i am |i'm )?on (?:annual |parental |maternity |sick )?leave\b|(?:on )?vacation(?: reply|"
    r" message| response)|away from (?:the |my )?(?:office|desk))",
    re.IGNORECASE,
)
_AUTO_HEADER = re.compile(
    r"^(?:auto-submitted: ?auto|x-auto\w*:|x-failed-recipients:|precedence: ?(?:auto_reply|bulk|"
    r"junk)|"
    r"reporting-mta:|final-recipient:|diagnostic-code:|action: ?failed|content-type: "
    r"?multipart/report)",
    _M,
)
_AUTO_BODY = re.compile(
    r"^\W*(?:(?:hi|hello|dear)[^\n]{0,40}\n+\s*)?(?:thank(?:s| you) for (?:your |the |contacting "
    r"|reaching |getting |emailing |writing)[^\n.!]{0,60}[.!]\s*)?"
    r"(?:please note (?:that )?)?(?:"
    r"i(?:'m| am| will be) (?:currently |now |presently )?(?:out of (?:the )?office|on (?:annual "
    r"|parental |maternity |paternity |sick |holiday )?(?:leave|vacation|holiday)|"
    r"away (?:from|until|on|and)|travell?ing (?:until|with|and)|ooo\b)|"
    r"i no longer work (?:at|for|with)|"
    r"(?:-- ?)?please (?:reply|type)[^\n]{0,20} above this line|this is an automat(?:ic|"
    r"ed)(?:ally generated)? (?:confirmation|acknowledge?ment|reply|response|message|e-?mail|"
    r"notification)|"
    r"this mailbox is (?:not|no longer) (?:monitored|in use)|"
    r"(?:your message|delivery|the following message)[^\n]{0,80}(?:could ?n[o']t be delivered|"
    r"was not delivered|wasn't delivered|has failed|undeliverable|failed permanently)|"
    r"this message was created automatically by mail delivery|"
    r"delivery (?:to the following|has failed)|address not found|"
    r"we have received your (?:e-?mail|message|request|enquiry|inquiry)[^\n]{0,80}(?:ticket|"
    r"reference|case|shortly|within)|"
    r"ich bin (?:derzeit|zurzeit|aktuell|bis)[^\n]{0,40}(?:nicht im b\u00fcro|abwesend|im urlaub|"
    r"nicht erreichbar)|"
    r"je suis (?:actuellement )?absente?|estoy fuera de la oficina|estou fora do escrit\u00f3rio)",
    re.IGNORECASE,
)
_ROBOT_SENDER = re.compile(
    r"mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounce|auto-?(?:reply|responder)",
    re.IGNORECASE,
)


def is_automatic(subject: str, body: str, sender: str) -> bool:
    """Whether a program wrote the message: vacation notice, delivery failure, receipt.

    Args:
        subject: of the ticket, for its first message; empty for a later one.
        body: of the message, raw.
        sender: address or name of the author, as far as known.
    """
    if subject and _AUTO_SUBJECT.match(subject) and "?" not in subject:
        return True
    if _AUTO_HEADER.search(body[:2000]):
        return True
    # "I'm on leave next week, how do I hand it over?" was typed by a person
    if _AUTO_BODY.match(body) and "?" not in body[:400]:
        return True
    return bool(re.search(r"mailer-daemon|postmaster", sender, re.IGNORECASE)) or (
        bool(_ROBOT_SENDER.search(sender)) and "?" not in body
    )


_SPAM = re.compile(
    r"\b(?:seo (?:services?|agency|expert|audit|packages?|company)|(?:high[- ]quality "
    r")?back-?links?\b|guest post(?:s|ing)?|link (?:building|insertion)|"
    r"domain authority|rank (?:#?1|first|higher|your)[^.\n]{0,30}google|google (?:first page|"
    r"rankings?)|increase (?:your )?(?:traffic|sales|followers)|"
    r"web (?:design|development) (?:company|services)|lead generation|e-?mail lists? (?:for sale|"
    r"of)|verified leads|"
    r"casino|viagra|cialis|forex|crypto (?:investment|signals)|bitcoin (?:investment|doubl\w+)|"
    r"(?:million|inheritance|beneficiary)[^.\n]{0,40}(?:usd|dollars|fund|transfer)|lottery|"
    r"you(?:'ve| have) won|"
    r"work from home (?:and )?earn|cheap (?:meds|watches)|hot singles|adult (?:dating|cam)|"
    r"payday loan|unsecured loan)\b",
    re.IGNORECASE,
)


def is_spam(tags: tuple[str, ...], subject: str, body: str) -> bool:
    """Whether the help desk marked the ticket as spam, or two marks of advertising meet in it."""
    if any(tag.lower() in {"spam", "junk", "phishing"} for tag in tags):
        return True
    marks = {match[0].lower() for match in _SPAM.finditer(f"{subject}\n{body}")}
    links = len(re.findall(r"https?://", body))
    return len(marks) >= 2 or (len(marks) == 1 and links >= 2)


_THANKS = word_set(
    "thanks thank thx tnx ty tysm thankyou cheers perfect great awesome brilliant excellent "
    "amazing lovely super "
    "wonderful worked works working solved sorted fixed resolved done appreciated legend "
    "lifesaver merci danke gracias "
    "grazie obrigado obrigada mahalo kiitos exactly star heaps appreciate spot wow yay woohoo "
    "nice cool fantastic superb found helped helpful tanks thnks thanx thankss"
)
_MORE = re.compile(
    r"\?|\b(?:but|however|still|also|another|one more|except|unfortunately|although|not|doesn'?t|"
    r"didn'?t|"
    r"isn'?t|can'?t|cannot|won'?t|wasn'?t|how|why|what|where|which|instead|issue is|problem is|"
    r"wondering|"
    r"please|could you|can you|follow[- ]up|next question|wait|hmm|actually|error|wrong|fails?|"
    r"failed)\b",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"no (?:more|further|other) (?:questions?|help)|not? (?:a )?problem|no worries|can'?t thank "
    r"you enough|"
    r"could ?n[o']t be (?:happier|better)|how (?:silly|easy|simple|stupid|quick)[\w ]*|didn'?t "
    r"(?:see|notice|spot|know)[\w ]*|"
    r"(?:exactly |just )?what i (?:needed|wanted|hoped|was (?:looking for|after)|meant)(?: for)?|"
    r"that'?s it\b|"
    r"what a[\w ]*|(?:please )?(?:feel free to )?(?:you can )?close (?:this|the) (?:ticket|case)|"
    r"please close(?: this| it)?",
    re.IGNORECASE,
)


def is_thanks_only(text: str) -> bool:
    """Whether a customer's last message only says thanks: nothing is left to answer."""
    folded = unicodedata.normalize("NFC", text.lower().replace("\u2019", "'"))
    rest = _HARMLESS.sub(" thanks ", folded)
    tokens = re.findall(r"[^\W\d_]+", rest)
    if not tokens:
        return bool(re.fullmatch(r"[^\w?]{1,20}", text.strip()))
    if len(tokens) > 30 or _MORE.search(rest):
        return False
    if any(token in _THANKS for token in tokens):
        return True
    return len(tokens) <= 3 and set(tokens) <= {
        "ok",
        "okay",
        "got",
        "it",
        "yes",
        "yep",
        "yay",
        "all",
        "good",
        "k",
    }
