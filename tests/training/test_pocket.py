from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training import pocket, pocket_examples
from supportbot_dagster.training.encode import IGNORED
from supportbot_dagster.training.pocket import Recipe, train_base
from supportbot_dagster.training.pocket_examples import UNLABELLED, Asked, Corpus, Crossed
from supportbot_dagster.training.pocket_members import Members

WORDS = (
    "amber basil cedar delta ember fjord grove heron ivory jade krill lotus maple nylon opal prism "
    "quartz raven sable tulip umber velvet willow xenon yarrow zephyr anchor bridge candle dolphin"
).split()


def small_corpus() -> Corpus:
    """Three topics that a word each gives away, and deflections that another gives away."""
    rng = random.Random(0)

    def asked(word: str, answer: str, topic: str) -> list[Asked]:
        return [
            Asked(f"how is the {word} of {' '.join(rng.sample(WORDS, 3))}", answer, topic)
            for _ in range(40)
        ]

    pairs = [
        *asked("export", "Choose Export in the toolbar and save the file.", "a#export"),
        *asked("import", "Open Settings and choose the importer that you want.", "a#import"),
        *asked("label", "Labels are made in the team's settings by an admin.", "b#label"),
    ]
    deflections = asked("price", "I do not have access to prices.", "unanswerable: pricing")
    texts = [f"Page {number} > {word}\nAll about {word}." for number, word in enumerate(WORDS)]
    return Corpus(texts, pairs[1:], deflections[1:], [pairs[0], deflections[0]], 0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (pocket, "VOCABULARY", 512),
        (pocket, "LAYERS", 2),
        (pocket, "WARM_UP", 2),
        (pocket_examples, "SEQUENCES", 8),
    ):
        monkeypatch.setattr(module, name, value)


def trained(out: Path, **changes: Any) -> Path:
    settings = {"steps": 3, "members": 2, "cycles": 1, "workers": 0, "compiled": False, **changes}
    train_base(small_corpus(), out, Recipe(**settings))
    return out


def test_it_learns_to_read_and_gives_a_whole_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from supportbot_dagster.training.base import check_base_dir

    folder = trained(tmp_path / "base", steps=30)
    check_base_dir(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.hidden_size % 256 == model.config.intermediate_size % 256 == 0
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size == 512
    told = capsys.readouterr().err.splitlines()
    for name in ("member 1", "member 2", "all together"):
        last = next(line for line in told if f"held back, {name}:" in line)
        assert "section right 100.0%" in last, last
        assert "unanswerable told 100.0%" in last, last


def test_the_same_seed_gives_the_same_base_and_another_does_not(tmp_path: Path) -> None:
    weights = [
        sha256_file(trained(tmp_path / name, seed=seed) / "model.safetensors")
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_members_are_the_means_of_the_cycles_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    written: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    load = Members.load

    def loading(self: Members, weights: dict[str, Any]) -> None:
        ends.append({name: weight.detach().clone() for name, weight in self.weights.items()})
        load(self, weights)
        ends.append({name: weight.detach().clone() for name, weight in self.weights.items()})

    def saving(members: Members, path: Path, corpus: Corpus) -> None:
        save(members, path, corpus)
        written.append(load_file(path))

    save = pocket._save_members
    monkeypatch.setattr(Members, "load", loading)
    monkeypatch.setattr(pocket, "_save_members", saving)
    trained(tmp_path / "base", steps=9, cycles=3, keep=tmp_path / "kept")
    # Each cycle loads the means and then its own weights again, to go on from these.
    own, back = ends[0::4], ends[3::4]
    assert len(written) == len(own) == 3
    for name in written[2]:
        assert all(torch.equal(one[name], two[name]) for one, two in zip(own, back, strict=True))
        assert torch.allclose(
            written[2][name].float(), sum(end[name] for end in own) / 3, atol=2e-3
        )
    assert not torch.equal(own[0]["lm_head.weight"], own[2]["lm_head.weight"])
    base = load_file(tmp_path / "base" / "model.safetensors")
    head = base["lm_head.weight"]
    assert any(torch.equal(head, member) for member in written[2]["lm_head.weight"])


def test_the_rate_falls_once_in_each_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = pocket.cycle_ends(100, 3)
    assert ends == [64, 82, 100]
    assert pocket.cycle_ends(100, 1) == [100]
    rates = [pocket.rate_share(step, ends) for step in range(1, 101)]
    for begin, end, peak in ((0, 64, 1.0), (64, 82, 0.4), (82, 100, 0.4)):
        cycle = rates[begin:end]
        assert 0.9 * peak < max(cycle) <= peak
        assert cycle.index(max(cycle)) < 3, "a short warm-up, then it falls"
        assert cycle[2:] == sorted(cycle[2:], reverse=True)
        assert cycle[-1] == pytest.approx(pocket.FINAL_SHARE * peak)


def test_it_goes_on_from_kept_members_or_from_a_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def topic_loss() -> float:
        found = re.search(r"step 1 of 1, .* of topics ([\d.]+),", capsys.readouterr().err)
        assert found
        return float(found[1])

    kept = tmp_path / "kept"
    first = trained(tmp_path / "one", steps=30, keep=kept)
    before = sha256_file(kept / pocket.KEPT)
    assert not (first / pocket.KEPT).exists(), "the base alone is shipped"
    again = trained(tmp_path / "two", steps=1, rate=0.0, start=kept)
    known = topic_loss()
    assert sha256_file(kept / pocket.KEPT) == before
    assert not (again / pocket.KEPT).exists()
    assert sha256_file(again / "tokenizer.json") == sha256_file(first / "tokenizer.json")
    trained(tmp_path / "three", steps=1, rate=0.0, start=first, seed=5)
    assert known < 0.7 < topic_loss(), "a new head knows nothing"


def test_kept_heads_follow_their_topics(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    kept, corpus = tmp_path / "kept", small_corpus()
    trained(tmp_path / "one", steps=30, keep=kept)
    added = Asked("how is the amber of basil", "Amber is in the basil menu.", "a#amber")
    wider = replace(corpus, pairs=[added, *corpus.pairs])
    settings = Recipe(steps=1, members=2, rate=0.0, start=kept, keep=tmp_path / "again", workers=0)
    train_base(wider, tmp_path / "two", settings)
    one, two = (
        load_file(folder / pocket.KEPT)["topics.bias"] for folder in (kept, tmp_path / "again")
    )
    assert next(iter(wider.topics)) == "a#amber"
    assert two.shape[1] == one.shape[1] + 1
    assert torch.allclose(two[:, 1:], one, atol=1e-3)


def test_the_mean_of_two_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import load_file

    one, two = trained(tmp_path / "one"), trained(tmp_path / "two", steps=4)
    pocket.main(["--average", str(one), str(two), "--out", str(tmp_path / "mean")])
    first, second, mean = (
        load_file(folder / "model.safetensors") for folder in (one, two, tmp_path / "mean")
    )
    for name, weight in mean.items():
        wanted = (first[name].float() + second[name].float()) / 2
        assert torch.allclose(weight.float(), wanted, atol=1e-3)
    assert any(not torch.equal(mean[name], first[name]) for name in mean)
    with pytest.raises(UserError, match="nowhere holds no model"):
        pocket.average_bases([one, tmp_path / "nowhere"], tmp_path / "mean")
    shutil.copytree(one, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(UserError, match=r"broken/model\.safetensors cannot be read"):
        pocket.average_bases([one, tmp_path / "broken"], tmp_path / "mean")
    monkeypatch.setattr(pocket, "LAYERS", 3)
    with pytest.raises(UserError, match="another tokenizer or shape"):
        pocket.average_bases([one, trained(tmp_path / "three")], tmp_path / "mean")


def test_what_cannot_be_gone_on_from_is_told(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(UserError, match=r"nowhere holds no model\.safetensors"):
        trained(tmp_path / "one", start=tmp_path / "nowhere")
    kept = tmp_path / "kept"
    out = trained(tmp_path / "two", keep=kept)
    before = sha256_file(out / "model.safetensors")
    with pytest.raises(UserError, match=r"members\.safetensors does not hold such members"):
        trained(out, start=kept, members=3)
    weights = load_file(kept / pocket.KEPT)
    save_file(weights, kept / pocket.KEPT)
    with pytest.raises(UserError, match=r"does not hold such members as are wanted \(KeyError"):
        trained(out, start=kept)
    (kept / pocket.KEPT).write_bytes(b"no members")
    with pytest.raises(UserError, match=r"does not hold such members"):
        trained(out, start=kept)
    assert sha256_file(out / "model.safetensors") == before, "nothing is written before all fits"
    (kept / pocket.KEPT).unlink()
    trained(out, start=kept, rate=0.0, steps=1)


@pytest.mark.parametrize("content", [None, "", "{nope", "[]", '{"a": 1}', "\udcff"])
def test_a_file_that_is_no_corpus_is_told_in_one_line(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "corpus.json"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SystemExit) as stopped:
        pocket.main(["--corpus", str(path), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path} holds no corpus")
    assert not (tmp_path / "out").exists()


class Numbers:
    """The special tokens of the pocket base."""

    bos_token_id, eos_token_id, pad_token_id = 1, 2, 3


class Letters(Numbers):
    """A tokenizer with one token a letter; ``th`` is one too, and can be split."""

    backend_tokenizer = SimpleNamespace(
        to_str=lambda: json.dumps(
            {"model": {"vocab": {"t": 116, "h": 104, "th": 400}, "merges": [["t", "h"]]}}
        )
    )

    def apply_chat_template(self, messages: Any, **_: Any) -> str:
        return f"({messages[0]['content']})"

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        pieces = re.findall(r"th|.", text, re.DOTALL)
        return {"input_ids": [400 if piece == "th" else ord(piece) for piece in pieces]}


def _batches_of_letters() -> Any:
    return pocket_examples.batches(small_corpus(), Letters(), random.Random(0))


def test_labels_of_a_batch_are_the_next_tokens_and_the_topic_stands_before_the_answer() -> None:
    ids, labels, weights, told, classes, _, _, documents, _ = next(_batches_of_letters())
    assert ids.shape == labels.shape == weights.shape == (8, pocket_examples.WINDOW)
    learned = labels != IGNORED
    within = learned[:, :-1] & (documents[:, 1:] == documents[:, :-1])
    assert bool((labels[:, :-1][within] == ids[:, 1:][within]).all())
    assert bool((weights[~learned] == 0).all())
    assert bool((ids == 400).any())
    assert bool(((ids[:, :-1] == 116) & (ids[:, 1:] == 104)).any()), "some are split"
    asked = told[classes != IGNORED]
    assert len(asked) > 0
    assert set(ids.flatten()[asked].tolist()) == {ord(")")}
    # A question alone ends its document; what it learns is how its answer begins.
    last = learned.clone()
    last[:, :-1] &= documents[:, 1:] != documents[:, :-1]
    assert set(last.flatten().nonzero().flatten().tolist()) <= set(asked.tolist())
    begun = {chr(letter) for letter in labels[last].tolist()}
    assert begun == {"C", "O", "L", "I"}, "the first letters of the four answers"
    assert set(weights[last].tolist()) == {pocket_examples.DECISIVE_WEIGHT}


def test_crossings_are_asked_with_their_views_and_without_a_label() -> None:
    corpus = small_corpus()
    crossed = [Crossed("how is this", [2, 0], [0.75, 0.25])]
    stream = pocket_examples.batches(replace(corpus, crossed=crossed), Letters(), random.Random(0))
    ids, labels, _, told, classes, views, chances, _, _ = next(stream)
    made_up = classes == UNLABELLED
    assert bool(made_up.any())
    assert bool((classes >= 0).any())
    assert views[made_up][:, :2].unique(dim=0).tolist() == [[2, 0]]
    assert chances[made_up].unique(dim=0).tolist() == [[0.75, 0.25, 0, 0, 0, 0]]
    assert float(chances[~made_up].sum()) == 0
    assert set(ids.flatten()[told[made_up]].tolist()) == {ord(")")}
    assert set(labels.flatten()[told[made_up]].tolist()) == {IGNORED}


def test_workers_give_the_same_batches_every_time_and_differ_from_each_other() -> None:
    import torch

    def first(count: int, seed: int) -> list[Any]:
        stream = pocket_examples.stream_batches(small_corpus(), Letters(), seed, 2)
        return [next(stream)[0] for _ in range(count)]

    one, again, other = first(4, 0), first(4, 0), first(1, 1)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], one[1]), "the workers draw different examples"
    assert not torch.equal(one[0], other[0])


def test_a_split_token_spells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path / "base"))
    text = "how is the export of amber basil cedar?"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    splits = pocket_examples.splits_of(tokenizer)
    monkeypatch.setattr(pocket_examples, "SPLIT_SHARE", 0.5)
    forms = [pocket_examples.split_some(ids, splits, random.Random(seed)) for seed in range(20)]
    assert {tokenizer.decode(form) for form in forms} == {text}
    assert len({tuple(form) for form in forms}) > 10
    monkeypatch.setattr(pocket_examples, "SPLIT_SHARE", 0.0)
    assert pocket_examples.split_some(ids, splits, random.Random(0)) == ids


def test_a_corpus_file_gives_the_same_corpus(tmp_path: Path) -> None:
    corpus = small_corpus()
    corpus.write(tmp_path / "corpus.json")
    assert Corpus.read(tmp_path / "corpus.json") == corpus


def test_the_command_trains_from_a_corpus_file_and_needs_little_but_pytorch(tmp_path: Path) -> None:
    small_corpus().write(tmp_path / "corpus.json")
    files = ["--corpus", str(tmp_path / "corpus.json"), "--out", str(tmp_path / "base")]
    pocket.main([*files, "--steps", "1", "--workers", "0", "--device", "cpu"])
    assert (tmp_path / "base" / "model.safetensors").is_file()
    imported = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, supportbot_dagster.training.pocket; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "supportbot_dagster.training.pocket_examples" in imported
    assert {"pydantic", "lxml", "httpx", "upath", "presidio_analyzer"}.isdisjoint(imported)
