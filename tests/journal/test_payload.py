"""What is stored can be opened again, or is refused in words."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.journal.payload import Payload, seal, unseal

words = st.text(st.characters(exclude_categories=["Cs"]))
payloads = st.builds(
    Payload,
    encoding=st.sampled_from(["json", "json+zstd", "json+zstd+aes256gcm"]) | words,
    type=words,
    type_version=st.integers(0, 2**63 - 1),
    key_id=words,
    blob=words,
    content=st.binary(),
)


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


@given(payloads | st.builds(Payload, content=st.binary(min_size=1)))
@example(Payload(content=b"\x01looks like an envelope"))
@example(Payload(content=b"\n1"))
def test_whatever_is_sealed_is_opened_as_it_was(payload: Payload) -> None:
    is_null = payload == Payload()  # no bytes at all stand for it
    assert unseal(seal(payload)) == (Payload(content=b"null") if is_null else payload)


@given(st.binary())
@example(b"\x91\xa1\xff")
@example(b"\x97\xa0\xa0\x00\xa0\xa0\xc4\x00" + b"\x91" * 5000)
def test_an_envelope_of_any_bytes_is_opened_or_refused_in_words(damaged: bytes) -> None:
    _open_or_refuse(b"\x01" + damaged)


@given(payloads, st.data())
def test_an_envelope_in_which_one_byte_is_another_is_opened_or_refused_in_words(
    payload: Payload, data: st.DataObject
) -> None:
    sealed = bytearray(seal(msgspec.structs.replace(payload, type="Order")))
    sealed[data.draw(st.integers(1, len(sealed) - 1))] = data.draw(st.integers(0, 255))
    _open_or_refuse(bytes(sealed))


def _open_or_refuse(sealed: bytes) -> None:
    try:
        opened = unseal(sealed)
    except InvalidInput:
        return
    assert isinstance(opened, Payload)
