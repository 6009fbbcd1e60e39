"""What a server calls a file, in every spelling that servers use."""

from __future__ import annotations

import pytest

from modelhub.fetch.names.served import disposition_name, served_name, url_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a.safetensors"', "a.safetensors"),
        ("attachment; filename=a.safetensors", "a.safetensors"),
        ("attachment;filename=a.safetensors;size=3", "a.safetensors"),
        ("inline; filename*=UTF-8''na%C3%AFve%20x.ckpt; filename=\"naive.ckpt\";", "naïve x.ckpt"),
        ("attachment; filename=\"plain.ckpt\"; filename*=utf-8'en'%e7%8c%ab.ckpt", "猫.ckpt"),
        ("attachment; FileName*=ISO-8859-1''caf%e9.pt", "café.pt"),
        ('attachment; filename="a \\"b\\" \\\\c.pt"', 'a "b" \\c.pt'),
        ('attachment; filename="a;b.pt"', "a;b.pt"),
        ('attachment; filename="猫.pt"'.encode().decode("latin-1"), "猫.pt"),
        ('attachment; filename="caf\xe9.pt"', "café.pt"),
        ('filename="only.pt"', "only.pt"),
        ('attachment; filename="../../etc/passwd"', "../../etc/passwd"),
        ("attachment; filename*=x-unknown''a.pt; filename=b.pt", "b.pt"),
        ("attachment; filename*=broken; filename=b.pt", "b.pt"),
        ('attachment; filename="open', "open"),
        ("attachment", None),
        ("attachment; filename=", None),
        ('attachment; filename=""', None),
        ("", None),
        ("attachment; xfilename=a.pt", None),
        ('attachment; name="x; filename=evil.pt"; filename=good.pt', "good.pt"),
    ],
)
def test_content_disposition(header: str, name: str | None):
    assert disposition_name(header) == name


def test_the_name_of_the_answer_goes_before_those_of_addresses():
    said = {"Content-Disposition": 'attachment; filename="said.safetensors"'}
    assert served_name(said, "https://x/a.safetensors") == "said.safetensors"
    assert served_name({}, "https://x/a.safetensors?b=c.ckpt", "https://cdn/0a1b") == "a.safetensors"
    assert served_name({}, "https://x/download", "https://cdn/b.safetensors") == "b.safetensors"
    assert served_name({}, "https://x/download?id=3", "https://cdn/") == "download"
    assert served_name({}, "https://x/", "https://cdn") is None


def test_names_of_addresses_are_decoded():
    assert url_name("https://x/a/My%20LoRA%2B1.safetensors?x=1#y") == "My LoRA+1.safetensors"
    assert url_name("https://x/a/..%2F..%2Fb") == "../../b"
    assert url_name("https://[x") is None


def test_a_long_header_takes_no_time():
    assert disposition_name("attachment; " + 'filename="' * 20_000) is not None
    assert disposition_name("; filename" * 20_000 + ' = "\\' + "\\\\" * 20_000) is not None
