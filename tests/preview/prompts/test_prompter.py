"""Prompts as each architecture reads them, against transformers: layers, joins, weights, embeddings, timing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flux_names import t5_shapes
from ldm_names import random_tensors
from small_encoders import END, clip, hidden, pooled, wrap

from modelhub.errors import IncompatibleError, UsageError
from modelhub.preview.denoising.text import Conditioning, Text
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer
from modelhub.preview.prompts.embeddings import ANY, Embedding
from modelhub.preview.prompts.prompter import Prompter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def small() -> tuple[TextEncoder, Any]:
    return clip(40)


@pytest.fixture(scope="module")
def large() -> tuple[TextEncoder, Any]:
    return clip(72)


class Letters:
    """A tokenizer for T5: a token for each letter."""

    def ids(self, text: str) -> list[int]:
        return [3 + ord(letter) % 40 for letter in text if letter != " "]


@pytest.fixture(scope="module")
def t5() -> T5:
    tensors = random_tensors(t5_shapes())
    network = T5({name: tuple(value.shape) for name, value in tensors.items()})
    network.load_state_dict({name: tensors[name] for name, _ in network.named_parameters()}, assign=True)
    return network.eval()


def ids(text: str, pad: int = END) -> list[int]:
    return wrap(clip_tokenizer().ids(text), pad)


def only(told: Conditioning) -> Text:
    (branch,) = told.prompt
    ((_, text),) = branch.script.texts
    return text


def negative(told: Conditioning) -> Text:
    ((_, text),) = told.negative.texts
    return text


@torch.inference_mode()
def ask(prompter: Prompter, prompt: str, avoid: str | None = "", steps: int = 10, **options: Any) -> Conditioning:
    return prompter(prompt, avoid, steps=steps, **options)


def near(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=2e-4)


# -- architectures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_sd1_takes_the_layer_of_clip_skip_and_pads_with_ends(small: tuple[TextEncoder, Any], skip: int) -> None:
    encoder, oracle = small
    told = ask(Prompter("sd1", {"clip-l": encoder}), "a red circle", "blurry", clip_skip=skip)
    near(only(told).tokens, hidden(oracle, ids("a red circle"), skip, normed=True))
    near(negative(told).tokens, hidden(oracle, ids("blurry"), skip, normed=True))
    assert only(told).pooled is None


@pytest.mark.parametrize(("layers", "skip", "layer"), [(3, 1, 2), (3, 2, 2), (3, 3, 3), (23, 1, 1), (23, 2, 2)])
def test_sd2_takes_the_last_layer_but_one_and_pads_with_zeros(layers: int, skip: int, layer: int) -> None:
    encoder, oracle = clip(40, layers=layers)
    told = ask(Prompter("sd2", {"openclip-h": encoder}), "a red circle", clip_skip=skip)
    near(only(told).tokens, hidden(oracle, ids("a red circle", 0), layer, normed=True))


@pytest.mark.parametrize("skip", [1, 2])
def test_sdxl_joins_two_encoders(small: tuple[TextEncoder, Any], large: tuple[TextEncoder, Any], skip: int) -> None:
    prompter = Prompter("sdxl", {"clip-l": small[0], "clip-g": large[0]})
    told = ask(prompter, "a red circle", "blurry", clip_skip=skip)
    for text, said in ((only(told), "a red circle"), (negative(told), "blurry")):
        left = hidden(small[1], ids(said), 2, normed=False)
        right = hidden(large[1], ids(said, 0), 2, normed=False)
        near(text.tokens, torch.cat([left, right], dim=-1))
        assert text.pooled is not None
        near(text.pooled, pooled(large[1], ids(said, 0), projected=True))


def test_an_empty_negative_prompt_of_sdxl_is_zeros(
    small: tuple[TextEncoder, Any], large: tuple[TextEncoder, Any]
) -> None:
    prompter = Prompter("sdxl", {"clip-l": small[0], "clip-g": large[0]})
    text = negative(ask(prompter, "", ""))
    assert text.tokens.shape == (77, 112) and text.pooled is not None and text.pooled.shape == (36,)
    assert not text.tokens.any() and not text.pooled.any()
    assert only(ask(prompter, "", "")).tokens.abs().sum() > 0
    assert negative(ask(prompter, "", " ")).tokens.abs().sum() > 0
    assert ask(prompter, "", "[:a:5]").negative.at(1).tokens.abs().sum() > 0


def test_the_refiner_has_one_encoder(large: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sdxl-refiner", {"clip-g": large[0]})
    told = ask(prompter, "a red circle")
    near(only(told).tokens, hidden(large[1], ids("a red circle", 0), 2, normed=False))
    assert not negative(told).tokens.any()


def test_the_whole_text_is_the_first_chunk(large: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sdxl-refiner", {"clip-g": large[0]})
    text = only(ask(prompter, "a (red:1.5) circle BREAK a dog"))
    assert text.tokens.shape == (154, 72) and text.pooled is not None
    near(text.pooled, pooled(large[1], ids("a red circle", 0), projected=True))


def test_flux_reads_tokens_by_t5_and_the_whole_by_clip(t5: T5, small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("flux1", {"t5xxl": t5, "clip-l": small[0]}, t5_tokenizer=Letters())
    text = only(ask(prompter, "a red circle"))
    own = [*Letters().ids("a red circle"), 1]
    with torch.inference_mode():
        near(text.tokens, t5(torch.tensor([own + [0] * (256 - len(own))]))[0])
    assert text.pooled is not None
    near(text.pooled, pooled(small[1], ids("a red circle"), projected=False))


def test_t5_reads_long_texts_at_once_and_breaks_only_at_break(t5: T5, small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("flux1", {"t5xxl": t5, "clip-l": small[0]}, t5_tokenizer=Letters())
    text = only(ask(prompter, "ab" * 150))
    with torch.inference_mode():
        near(text.tokens, t5(torch.tensor([[*Letters().ids("ab" * 150), 1]]))[0])
    assert len(only(ask(prompter, "ab BREAK cd")).tokens) == 512
    assert len(only(ask(prompter, "a" * 255)).tokens) == 256 and len(only(ask(prompter, "a" * 256)).tokens) == 257
    weighed, plain = (only(ask(prompter, said, emphasis="No norm")).tokens for said in ("(ab:2)", "ab"))
    near(weighed[:2], 2 * plain[:2])
    near(weighed[2:], plain[2:])


# -- weights -----------------------------------------------------------------------------------------------------------


def by_hand(parts: list[tuple[str, float]]) -> tuple[list[int], torch.Tensor]:
    """Ids of one chunk, and a weight for each."""
    found = [(token, weight) for text, weight in parts for token in clip_tokenizer().ids(text)]
    weights = torch.ones(77)
    for place, (_, weight) in enumerate(found):
        weights[place + 1] = weight
    return wrap([token for token, _ in found]), weights[:, None]


def test_weights_multiply_and_the_mean_is_kept(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    said = "a (red:1.4) circle, [blue] sky"
    tokens, weights = by_hand([("a", 1), ("red", 1.4), ("circle,", 1), ("blue", 1 / 1.1), ("sky", 1)])
    plain = hidden(small[1], tokens, 1, normed=True)
    weighed = plain * weights
    near(only(ask(prompter, said)).tokens, weighed * plain.mean() / weighed.mean())
    near(only(ask(prompter, said, emphasis="No norm")).tokens, weighed)
    near(only(ask(prompter, said, emphasis="Ignore")).tokens, plain)
    literal = hidden(small[1], ids(said), 1, normed=True)
    near(only(ask(prompter, said, emphasis="None")).tokens, literal)
    assert not torch.allclose(literal, plain) and not torch.allclose(plain, weighed)


def test_each_chunk_keeps_its_own_mean(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    found = only(ask(prompter, "(a red:2) circle BREAK (dog:0.3)")).tokens
    for place, said in ((0, [("a red", 2.0), ("circle", 1.0)]), (77, [("dog", 0.3)])):
        tokens, weights = by_hand(said)
        plain = hidden(small[1], tokens, 1, normed=True)
        weighed = plain * weights
        near(found[place : place + 77], weighed * plain.mean() / weighed.mean())


def test_all_texts_of_a_prompt_keep_their_common_mean(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    told = ask(prompter, "a [red|(blue:3)] circle", steps=3)
    red, blue = (by_hand([("a", 1), (said, weight), ("circle", 1)]) for said, weight in (("red", 1.0), ("blue", 3.0)))
    plain = [hidden(small[1], tokens, 1, normed=True) for tokens, _ in (red, blue, red)]
    weighed = [one * weights for one, (_, weights) in zip(plain, (red, blue, red), strict=True)]
    factor = torch.stack(plain).mean() / torch.stack(weighed).mean()
    script = told.prompt[0].script
    for call, wanted in ((2, weighed[0]), (3, weighed[1]), (4, weighed[2])):
        near(script.at(call).tokens, wanted * factor)


# -- lengths and timing ------------------------------------------------------------------------------------------------


def test_prompts_of_unequal_length_stay_unequal(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    told = ask(prompter, "dog", " ".join(["cat"] * 80))
    assert len(only(told).tokens) == 77 and len(negative(told).tokens) == 154


def test_texts_of_one_prompt_are_filled_up_with_empty_chunks(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    script = ask(prompter, "dog[ BREAK cat::4]").prompt[0].script
    near(script.at(9).tokens, torch.cat([hidden(small[1], ids(said), 1, normed=True) for said in ("dog", "")]))


def test_prompts_joined_by_and_are_filled_up_with_their_last_vector(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    short, long = ask(prompter, "dog :0.5 AND cat BREAK bird").prompt
    assert (short.weight, long.weight) == (0.5, 1.0)
    tokens = short.script.at(1).tokens
    assert len(tokens) == len(long.script.at(1).tokens) == 154
    near(tokens[:77], hidden(small[1], ids("dog"), 1, normed=True))
    assert torch.equal(tokens[77:], tokens[76:77].expand(77, -1))


def test_a_negative_prompt_is_not_split(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    near(negative(ask(prompter, "x", "a AND b :2")).tokens, hidden(small[1], ids("a AND b :2"), 1, normed=True))


def changes(told: Conditioning, most: int = 60) -> list[int]:
    """The calls before which the text is another one."""
    script = told.prompt[0].script
    return [call for call in range(2, most) if script.at(call) is not script.at(call - 1)]


def test_a_change_is_made_after_as_many_calls_as_in_a1111(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    assert changes(ask(prompter, "[a:b:3]")) == [5, 12]  # steps count from 0; after the last, the first text again
    assert changes(ask(prompter, "[a:b:0.5]")) == [7, 12]
    assert changes(ask(prompter, "[a:b:0.5]", calls=2)) == [12, 22]
    assert changes(ask(prompter, "[a:b:5]", calls=2)) == [7, 22]
    assert changes(ask(prompter, "[a|b]", steps=4)) == [3, 4, 5, 6]
    assert changes(ask(prompter, "a")) == []
    assert changes(ask(prompter, "[a:b:0.5]", hires_from=20)) == []
    assert changes(ask(prompter, "[a:b:1.5]", hires_from=20)) == [7, 12]
    assert changes(ask(prompter, "[a:b:22]", hires_from=20)) == [4, 12]


def test_what_nobody_asks_for_is_not_encoded(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    told = ask(prompter, "a dog", None)
    assert told.negative is told.prompt[0].script


def test_the_same_text_is_encoded_once(small: tuple[TextEncoder, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    encode = small[0].encode

    def counted(*args: Any, **options: Any) -> torch.Tensor:
        seen.append(1)
        return encode(*args, **options)

    monkeypatch.setattr(small[0], "encode", counted)
    prompter = Prompter("sd1", {"clip-l": small[0]})
    first = ask(prompter, "a (red:1.2) dog", "a (red:1.4) dog")
    assert len(seen) == 1
    again = ask(prompter, "a [red|red] dog", "", emphasis="Ignore")
    assert len(seen) == 2 and again.prompt[0].script.at(1) is again.prompt[0].script.at(5)
    assert torch.equal(only(ask(prompter, "a (red:1.2) dog")).tokens, only(first).tokens)
    ask(prompter, "a red dog", "", clip_skip=2)
    assert len(seen) == 4


def test_tokens_and_the_whole_text_are_of_one_run(
    small: tuple[TextEncoder, Any], large: tuple[TextEncoder, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    for number, layer in enumerate(large[0].parts().layers):
        monkeypatch.setattr(layer, "forward", _counting(layer.forward, number, seen))
    prompter = Prompter("sdxl", {"clip-l": small[0], "clip-g": large[0]})
    text = only(ask(prompter, "a red dog BREAK a cat"))
    assert sorted(seen) == [0, 0, 1, 1, 2]  # the last layer is for the first chunk alone
    assert text.pooled is not None
    near(text.pooled, pooled(large[1], ids("a red dog", 0), projected=True))
    ask(prompter, "a red dog")
    ask(prompter, "a cat")
    assert sorted(seen) == [0, 0, 0, 1, 1, 1, 2, 2]


def _counting(forward: Any, number: int, seen: list[int]) -> Any:
    def counted(x: torch.Tensor) -> torch.Tensor:
        seen.append(number)
        return forward(x)  # type: ignore[no-any-return]

    return counted


# -- embeddings --------------------------------------------------------------------------------------------------------


def vectors(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def with_vectors(oracle: Any, found: torch.Tensor, tokens: list[int], place: int, **options: Any) -> torch.Tensor:
    """What transformers says where tokens nobody uses have the vectors of an embedding."""
    table, free = oracle.text_model.embeddings.token_embedding.weight.data, 40_000
    kept = table[free : free + len(found)].clone()
    table[free : free + len(found)] = found
    told = hidden(oracle, [*tokens[:place], *range(free, free + len(found)), *tokens[place + len(found) :]], **options)
    table[free : free + len(found)] = kept
    return told


@pytest.mark.parametrize("word", ["sundisc", "SunDisc", "embedding:sundisc", "embedding:sundisc.pt"])
def test_a_word_stands_for_the_vectors_of_an_embedding(small: tuple[TextEncoder, Any], word: str) -> None:
    found = vectors(3, 40)
    prompter = Prompter("sd1", {"clip-l": small[0]}, [Embedding("sundisc", {ANY: found})])
    before = clip_tokenizer().ids("a red")
    tokens = wrap([*before, 0, 0, 0, *clip_tokenizer().ids("sky")])
    wanted = with_vectors(small[1], found, tokens, 1 + len(before), skip=1, normed=True)
    near(only(ask(prompter, f"a red {word} sky")).tokens, wanted)
    assert [one.name for one in prompter.used(f"a {word}", "x", 9)] == ["sundisc"]
    assert prompter.used("a sun disc", "[sunset|dog]", 9) == ()
    assert prompter.used(f"[{word}:b:0.1]", f"[a:{word}:12]", 9) == ()
    assert [one.name for one in prompter.used(f"(a:1..2) {word}", "", 9, "None")] == ["sundisc"]
    assert [one.name for one in prompter.used("x", f"[[a:b:4]|({word}:1.2)|c]", 9)] == ["sundisc"]


def test_sdxl_embeddings_have_vectors_for_both(small: tuple[TextEncoder, Any], large: tuple[TextEncoder, Any]) -> None:
    left, right = vectors(2, 40), vectors(2, 72)
    encoders = {"clip-l": small[0], "clip-g": large[0]}
    prompter = Prompter("sdxl", encoders, [Embedding("sundisc", {"clip-l": left, "clip-g": right})])
    text = only(ask(prompter, "sundisc"))
    near(text.tokens[:, :40], with_vectors(small[1], left, wrap([0, 0]), 1, skip=2, normed=False))
    near(text.tokens[:, 40:], with_vectors(large[1], right, wrap([0, 0], 0), 1, skip=2, normed=False))


def test_flux_may_have_an_embedding_for_either(t5: T5, small: tuple[TextEncoder, Any]) -> None:
    encoders: dict[str, TextEncoder | T5] = {"t5xxl": t5, "clip-l": small[0]}
    plain = only(ask(Prompter("flux1", encoders, t5_tokenizer=Letters()), "sundisc"))
    one = Embedding("sundisc", {"t5xxl": vectors(300, t5.width)})
    found = only(ask(Prompter("flux1", encoders, [one], Letters()), "sundisc"))
    assert len(found.tokens) == 301 and torch.equal(_pooled(found), _pooled(plain))
    other = Embedding("sundisc", {"clip-l": vectors(2, 40)})
    found = only(ask(Prompter("flux1", encoders, [other], Letters()), "sundisc"))
    assert torch.equal(found.tokens, plain.tokens) and not torch.equal(_pooled(found), _pooled(plain))


def _pooled(text: Text) -> torch.Tensor:
    assert text.pooled is not None
    return text.pooled


MISFITS: list[dict[str, torch.Tensor]] = [
    {ANY: vectors(1, 48)},
    {"clip-l": vectors(1, 40), "clip-g": vectors(1, 72)},
    {ANY: vectors(76, 40)},
]


@pytest.mark.parametrize("misfit", MISFITS, ids=["width", "sdxl", "length"])
def test_an_embedding_that_does_not_fit_is_refused_or_a_word(
    small: tuple[TextEncoder, Any], misfit: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(IncompatibleError, match="The embedding sundisc") as caught:
        Prompter("sd1", {"clip-l": small[0]}, [Embedding("sundisc", misfit)])
    assert caught.value.hint
    found = Prompter("sd1", {"clip-l": small[0]}, [Embedding("sundisc", misfit, asked=False)])
    near(only(ask(found, "a sundisc")).tokens, hidden(small[1], ids("a sundisc"), 1, normed=True))
    assert any("read as a word" in note for note in found.notes("a sundisc"))
    assert found.used("a sundisc", "", 9) == ()


def test_the_error_names_both_widths(small: tuple[TextEncoder, Any], large: tuple[TextEncoder, Any]) -> None:
    encoders = {"clip-l": small[0], "clip-g": large[0]}
    with pytest.raises(IncompatibleError) as caught:
        Prompter("sdxl", encoders, [Embedding("sundisc", {ANY: vectors(1, 40)})])
    said = caught.value.message
    assert "width 40;" in said and "CLIP-L text encoder takes 40" in said and "OpenCLIP-G text encoder takes 72" in said


# -- errors -------------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named(small: tuple[TextEncoder, Any]) -> None:
    with pytest.raises(IncompatibleError, match="the OpenCLIP-G text encoder"):
        Prompter("sdxl", {"clip-l": small[0]})
    with pytest.raises(IncompatibleError, match="How pixart reads prompts is not known"):
        Prompter("pixart", {})


def test_errors_show_the_place_in_either_prompt(small: tuple[TextEncoder, Any]) -> None:
    prompter = Prompter("sd1", {"clip-l": small[0]})
    for prompt, avoid in (("a (dog:1..2)", ""), ("", "a (dog:1..2)")):
        with pytest.raises(UsageError, match=r"a \(dog:>>>1\.\.2<<<\)"):
            ask(prompter, prompt, avoid)
    with pytest.raises(UsageError, match="Clip skip 9"):
        ask(prompter, "a", clip_skip=9)


def test_what_cannot_be_read_is_told_before_anything_is_encoded(
    small: tuple[TextEncoder, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> torch.Tensor:
        raise AssertionError("it was encoded")

    monkeypatch.setattr(small[0], "encode", never)
    with pytest.raises(UsageError, match=">>>1..2<<<"):
        ask(Prompter("sd1", {"clip-l": small[0]}), "a dog", "a (cat:1..2)")
