"""Notes: what is accepted and seldom meant is said, with its place, and nothing of what is usual."""

from __future__ import annotations

import pytest

from modelhub.preview.prompts.notes import notes
from modelhub.preview.prompts.tag_notes import tag_notes

NOTES = {
    "a (dog": "nothing closes this bracket, so all that follows weighs more: a >>>(<<<dog",
    "a [dog": "nothing closes this bracket, so all that follows weighs less: a >>>[<<<dog",
    "a dog) b": "nothing opens this bracket, so it is text: a dog>>>)<<< b",
    "(a:much)": "no number, so it is text that weighs 1.1: (a:>>>much<<<)",
    "a | [b:c:3]": "does not change on the way, because this belongs to no [one|another]: a >>>|<<< [b:c:3]",
    "(a BREAK b)": "BREAK in brackets is a word",
    "a dog :1.5": "weight of the whole prompt: 1.5",
    "[a:b:soon] c": "no number, so it is text that does not change: [a:b:>>>soon<<<] c",
    "a:0.5 AND  AND b": "Of 3 prompts that AND joins, number 2 has no words",
    "a dog AND": "Of 2 prompts that AND joins, number 2 has no words",
    "a\u200b dog\x00": r"what nobody sees, and the model reads: a>>>\u200b<<< dog\x00",
}


@pytest.mark.parametrize(("prompt", "said"), NOTES.items(), ids=NOTES)
def test_what_is_accepted_and_seldom_meant_is_noted(prompt: str, said: str) -> None:
    (note,) = notes(prompt)
    assert said in note


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        r"a (dog:1.2), [cat:bird:3] \( [x|y] BREAK z",
        "a :1.2 AND b",
        "[a:b:3] c, ((d)) [e]",
        "a | b",
        "[a: b]",
        "👩\u200d👧 ❤\ufe0f\n",
    ],
)
def test_what_is_usual_is_not(prompt: str) -> None:
    assert notes(prompt) == ()


def test_notes_are_few_and_tell_the_prompts_apart() -> None:
    assert len(notes(")" * 50)) == 5
    assert notes("a AND b", negative=True) == ("AND is a word in the negative prompt; only prompts are joined by it.",)
    assert notes("a AND b:5000", negative=True) == notes("a AND b", negative=True)
    (note,) = notes("(a", negative=True)
    assert note.startswith("In the negative prompt nothing closes")


def test_what_cannot_be_read_as_a_whole_has_none() -> None:
    for prompt in ("[(a:1..2):b:0]", "(" * 60 + ")" * 60 + "[" * 101 + "]" * 101):
        assert notes(prompt) == ()


def test_brackets_that_are_text_need_no_partner() -> None:
    assert notes("(a [b (BREAK) (c:1..2)", emphasis="None") == ()
    assert len(notes("a | [b:c:3]", emphasis="None")) == 1


def test_embeddings_that_are_not_there_are_named() -> None:
    (note,) = notes("a cat, (embedding:nowhere:1.2)")
    assert note == "In the prompt this embedding is not known, so it is text: a cat, (embedding:>>>nowhere<<<:1.2)"


TAGS = {
    "[<lora:a:1>:<lora:b:0.5>:0.5] <lora:c>": ["[>>><lora:a:1><<<:", ":>>><lora:b:0.5><<<:"],
    "[x|<LORA:a>] [<lora:b>]": ["whole picture, as in A1111: [x|>>><LORA:a><<<]"],
    "a <lora:x:1> (<lyco:y>)": [],
    "a <wildcard:colour> cat": ["no LoRA, and so left out, as in A1111: a >>><wildcard:colour><<< cat"],
    "[" * 101 + "<lora:a>": [],
    "a <lora:x:0.8": ["no whole tag of a LoRA, and so text: a >>><lora:x:0.8<<<"],
    "<lora:> <LORA:y <lora:x:1> <3": ["text: >>><lora:><<< ", "text: <lora:> >>><LORA:y <<<"],
}


@pytest.mark.parametrize(("prompt", "said"), TAGS.items(), ids=range(len(TAGS)))
def test_tags_that_do_something_else_than_they_seem_to(prompt: str, said: list[str]) -> None:
    found = list(tag_notes(prompt))
    assert len(found) == len(said) and all(words in note for words, note in zip(said, found, strict=True))


def test_a_tag_in_the_negative_prompt_is_text() -> None:
    (note,) = tag_notes("", "bad <lora:x:1>")
    assert note == "In the negative prompt a LoRA's tag is only text: bad >>><lora:x:1><<<"
