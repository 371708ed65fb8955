"""Whether the runtime reads text as training did: token ids, the beginning and the end of a turn.

What lives here: the comparison of transformers' tokenizer with the one inside a GGUF. What does
not: the weights (:mod:`supportbot_dagster.export.fidelity`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.llama import LlamaModel
from supportbot_dagster.export.prompt import render_prompt

QUESTIONS = (
    "Customer question: How do I export all my issues to CSV?",
    "Customer question: cant figure out where to change my workspace url",
    "Customer question: What's the difference between projects and initiatives?",
    "Customer question: How much is the Business plan, 10,000 seats?",
    "Customer question: does it work with  naïve café names — or emoji 😀?\n\nThanks",
)
"""User messages for where there are no held-out ones; typos, digits and non-ASCII on purpose."""

TEXTS = (
    *QUESTIONS,
    "how do i exort all teh isues to csv plzzz",
    "WHY DOES IT SAY ERROR 403???!!! i allready payd",
    "tehre is no buton ,, were is it .. ?",
    "i   have    many     spaces\tand\ttabs \t and trailing  ",
    "line one\nline two\r\nline three\n\n\n\nline seven\n",
    "    four spaces, then a\u00a0no-break space, a\u200bzero-width one and a\u2009thin one",
    'def f(x: int) -> str:\n\treturn f"{x!r}"  # ok\n',
    "curl -X POST https://api.example.com/v1/issues?limit=50&cursor=a%20b -d '{\"a\": [1, 2]}'",
    "SELECT * FROM issues WHERE id IN (1,2,3) AND name LIKE '%x_';",
    '<div class="a">&amp; <b>bold</b></div>\n```json\n{"key": null}\n```',
    "for (let i=0;i<10;i++){console.log(`${i}`)} // done",
    "C:\\Users\\anna\\file.txt and /usr/local/bin:$PATH and ~/x",
    "sha 3f786850e387550fdab836ed7e6dc881de23001b v1.12.0-rc.3+build.5",
    "1234567890 3.14159 1,000,000.00 -5 +49 30 1234 2026-11-27T10:00:00Z 0x1F 1e-9 ½ ² Ⅷ",
    "Ctrl+Shift+K → ⌘K, Settings > General » Export … “quoted” ‘single’ — dash – en",
    "😀 👍🏽 👩‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 ❤️ ☎ ©®™",
    "Grüße aus Köln, Straße 5, Ärger! Ça va? Où? À bientôt – naïve façade",
    "¿Cómo exporto los datos? ¡Gracias! mañana",
    "Как экспортировать все задачи в CSV?",
    "Πώς εξάγω τα δεδομένα;",
    "как Ёж и ещё е\u0308",
    "כיצד מייצאים נתונים? שָׁלוֹם",
    "كيف أصدّر البيانات؟ ١٢٣",
    "मैं डेटा कैसे निर्यात करूँ? क्षत्रिय",
    "ฉันจะส่งออกข้อมูลได้อย่างไร",
    "データをCSVにエクスポートするには?カタカナ",
    "如何将所有问题导出为 CSV 文件?",
    "모든 이슈를 CSV로 내보내려면? ㅋㅋㅋ",
    "Xuất dữ liệu như thế nào? Tiếng Việt",
    "e\u0301 n\u0303 (decomposed) é ñ (composed) ﬁ ligature ＦＵＬＬ　ｗｉｄｔｈ",
    "\u202eright to left override\u202c \ufeffbyte order mark",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ---------- ========== ......... !!!!!!",
    "don't we'll I'VE they're O'Brien's 'tis",
    "a<b>c [x](y) {z} |p| _u_ *s* #h @n $d %p ^c &a ~t `g \\b",
    "<s> </s> <|end|> <|user|> <bos> <eos> <|turn> <turn|> <|eot_id|> <|begin_of_text|>",
    "Zürich\u2028line separator\u2029paragraph separator\u0085next line\x0bvertical\x0cform",
    " leading space",
    "x",
    "▁ lower one eighth block ▁▁",
)
"""Texts of every kind that a customer may paste: typos, code, paths, numbers, emoji, scripts, all
sorts of white space, and what looks like control tokens."""


@dataclass(frozen=True)
class TokenReport:
    """How a GGUF reads text, beside transformers.

    Args:
        texts: texts compared, each plain and as a chat prompt.
        differing: of these, with other token ids.
        first_difference: where they differ first, in words; empty if they do not.
        bos_count: most beginning-of-sequence tokens in a chat prompt, of texts that hold none
            themselves; 1 is right, 0 means that the model has no such token.
        end_of_turn: the token that the template writes behind an answer.
        stops: whether the runtime ends its answer at that token.
    """

    texts: int
    differing: int
    first_difference: str
    bos_count: int
    end_of_turn: str
    stops: bool

    @property
    def identical(self) -> bool:
        """Whether every text had the same token ids on both sides."""
        return self.differing == 0

    @property
    def problems(self) -> list[str]:
        """What makes the file unfit whatever it answers; empty if nothing does."""
        found: list[str] = []
        if self.differing:
            found.append(f"token ids differ from transformers: {self.first_difference}")
        if self.bos_count > 1:
            found.append(f"a prompt holds {self.bos_count} beginning-of-sequence tokens, not one")
        if not self.stops:
            found.append(
                f"{self.end_of_turn!r}, which ends an answer, does not stop the runtime, so that "
                "it would never end"
            )
        return found


def check_token_ids(
    hf_dir: Path, gguf: Path, texts: Sequence[str] = (), tokenizer: Any = None
) -> TokenReport:
    """Compare the tokenizer inside a GGUF with that of a model folder.

    Args:
        hf_dir: model folder.
        gguf: its GGUF; only the vocabulary is loaded.
        texts: compared on top of :data:`TEXTS`.
        tokenizer: that of the folder, where it is loaded already.

    Raises:
        UserError: if a folder or file cannot be read.
    """
    tokenizer = tokenizer or load_tokenizer(hf_dir)
    wanted = list(dict.fromkeys((*TEXTS, *texts)))
    differences: list[str] = []
    bos_count = 0
    with LlamaModel(gguf, vocab_only=True) as model:
        template = model.header.chat_template
        for text in wanted:
            plain = [int(token) for token in tokenizer(text)["input_ids"]]
            found = _difference(plain, model.tokenize(text, add_special=True), text)
            if template is not None:
                rendered, ours = rendered_prompt(model, template, text)
                found = found or _difference(chat_ids(tokenizer, text), ours, rendered)
                if model.bos >= 0 and model.bos not in plain[1:]:
                    bos_count = max(bos_count, ours.count(model.bos))
            differences.append(found)
        token, stops = _end_of_turn(tokenizer, model) if template is not None else ("", True)
    return TokenReport(
        texts=len(wanted),
        differing=sum(map(bool, differences)),
        first_difference=next(filter(None, differences), ""),
        bos_count=bos_count,
        end_of_turn=token,
        stops=stops,
    )


def load_tokenizer(hf_dir: Path) -> Any:
    """The tokenizer of a model folder.

    Raises:
        UserError: if it has none that can be read.
    """
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(hf_dir, local_files_only=True)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{hf_dir} has no readable tokenizer ({first}). Download the model again."
        ) from None


def chat_ids(tokenizer: Any, question: str, answer: str | None = None) -> list[int]:
    """Token ids of a question as a chat prompt, or of a question and its answer."""
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=answer is None, tokenize=True, return_dict=True
    )["input_ids"]
    return [int(token) for token in ids]


def rendered_prompt(model: LlamaModel, template: str, text: str) -> tuple[str, list[int]]:
    """A question as the runtime sees it: rendered, and in its token ids."""
    rendered = render_prompt(
        template,
        [{"role": "user", "content": text}],
        bos_token=model.header.token("bos") or "",
        eos_token=model.header.token("eos") or "",
    )
    return rendered, model.tokenize_prompt(rendered)


def _end_of_turn(tokenizer: Any, model: LlamaModel) -> tuple[str, bool]:
    """The first token behind an answer, and whether the runtime stops there."""
    question, answer = "Where?", "There."
    prompt, whole = chat_ids(tokenizer, question), chat_ids(tokenizer, question, answer)
    known = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
    behind = [token for token in whole[len(prompt) :] if token in known]
    if not behind:
        return "the end of the text", False
    return str(tokenizer.convert_ids_to_tokens(behind[0])), model.is_end(behind[0])


def _difference(expected: list[int], found: list[int], text: str) -> str:
    if expected == found:
        return ""
    pairs = zip(expected, found, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(found)))
    return (
        f"{text!r} from token {at} on ({expected[at : at + 4]} in transformers, "
        f"{found[at : at + 4]} in llama.cpp)"
    )
