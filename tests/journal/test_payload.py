"""What is stored can be opened again, or is refused in words."""

from __future__ import annotations

import pytest

from keepstep.journal import InvalidInput
from keepstep.journal.payload import Payload, seal, unseal


def test_plain_json_travels_without_an_envelope() -> None:
    assert seal(Payload(content=b'{"n":1}')) == b'{"n":1}'
    assert unseal(b'{"n":1}') == Payload(content=b'{"n":1}')
    assert unseal(b"") == Payload(content=b"null")


@pytest.mark.parametrize(
    "payload",
    [
        Payload(content=b"\x00\x01", encoding="binary"),
        Payload(content=b"1", type="Order"),
        Payload(content=b"1", type_version=2),
        Payload(content=b"1", key_id="k"),
        Payload(content=b"", blob="s3://somewhere"),
    ],
)
def test_what_the_content_alone_does_not_say_travels_in_an_envelope(payload: Payload) -> None:
    sealed = seal(payload)
    assert sealed != payload.content
    assert unseal(sealed) == payload


def test_a_format_of_a_later_version_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="payload format 31 is not known to this version of Keepstep; upgrade it"):
        unseal(b"\x1fwhatever")


def test_a_damaged_envelope_is_refused_in_words() -> None:
    sealed = seal(Payload(content=b"1", type="Order"))
    with pytest.raises(InvalidInput, match="payload envelope is damaged"):
        unseal(sealed[:-1])
