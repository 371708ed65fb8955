"""What belongs to the product's maker and may stay in a ticket.

What lives here: the vendor's own hosts, addresses and names, taken from the product's facts, and
which paths of its app are features rather than a customer's workspace. What does not: the rules
that use them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from supportbot_dagster.product import Product
from supportbot_dagster.tickets.words import fold, word_set


@dataclass(frozen=True)
class Vendor:
    """The product's own identity, in lower case.

    Args:
        name: the product's name, such as ``tracklight``.
        domains: registrable domains, such as ``tracklight.example``.
        docs_url: URL below which links in replies count as links to the docs; empty for any URL
            of the vendor.
        emails: mailboxes that stay readable.
        tools: names of other products that are no companies or persons.
    """

    name: str = ""
    domains: tuple[str, ...] = ()
    docs_url: str = ""
    emails: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()

    @cached_property
    def words(self) -> frozenset[str]:
        """Folded words that name the product or another one."""
        return frozenset(fold(self.name).split()) | self.tools

    @classmethod
    def of(cls, product: Product) -> Vendor:
        """The vendor that a product file describes."""
        facts = product.facts
        urls = [facts.docs_url, facts.pricing_url, facts.status_url, product.docs.public_url or ""]
        hosts = [urlsplit(url if "//" in url else f"https://{url}").hostname or "" for url in urls]
        mails = [facts.support_email, facts.security_email]
        mail_hosts = [mail.partition("@")[2].lower() for mail in mails]
        return cls(
            name=product.name.lower(),
            domains=_registrable([*hosts, *mail_hosts], product.slug),
            docs_url=facts.docs_url,
            emails=frozenset(mail.lower() for mail in mails),
            tools=frozenset(word for tool in facts.other_tools for word in fold(tool).split()),
        )

    def owns_host(self, host: str) -> bool:
        """Whether ``host`` is one of the vendor's domains or below it."""
        host = host.lower().rstrip(".")
        return any(host == domain or host.endswith(f".{domain}") for domain in self.domains)

    def is_docs_link(self, url: str) -> bool:
        """Whether ``url`` leads to the docs."""
        if self.docs_url:
            base = _without_scheme(self.docs_url).rstrip("/")
            head, rest = _without_scheme(url)[: len(base)], _without_scheme(url)[len(base) :]
            return head == base and rest[:1] in {"", "/", "?", "#"}
        return self.owns_host(urlsplit(url).hostname or "")


_SHARED_HOSTS = word_set(
    "github.io gitlab.io readthedocs.io gitbook.io netlify.app vercel.app zendesk.com "
    "intercom.help "
    "gmail.com outlook.com freshdesk.com helpscoutdocs.com notion.site"
)
_SECOND_LEVEL = word_set("co com org net ac gov")


def _without_scheme(url: str) -> str:
    return url.lower().partition("://")[2] or url.lower()


def _registrable(hosts: Iterable[str], slug: str) -> tuple[str, ...]:
    """The vendor's domains: ``acme.com`` of ``docs.acme.com``, unless a shared host is meant."""
    found: set[str] = set()
    for host in filter(None, hosts):
        labels = host.lower().split(".")
        compact = slug.replace("-", "")
        at = next((i for i, label in enumerate(labels) if compact in label.replace("-", "")), None)
        if at is None or at == len(labels) - 1:
            at = 0 if ".".join(labels[-2:]) in _SHARED_HOSTS else max(0, len(labels) - 2)
            if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL:
                at = len(labels) - 3
        found.add(".".join(labels[at:]))
    return tuple(sorted(found))
