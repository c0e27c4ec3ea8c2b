"""The WordPiece tokenizer: a worked example, then the ids that the tokenizers package gives."""

import functools
import itertools
import json
import unicodedata

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from forgeline.serving.reader import WordPiece

TINY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "a", "cafe", ",", "[", "]", "mask", "漢"]
# Unicode 3.2 is in every Python: what it knows is what both sides must agree on, but for categories that changed since.
CHANGED = "\u166d\u1734\u1885\u1886"
RULES = [(True, True, None, True), (False, False, False, False), (True, True, False, True), (True, False, True, False)]
SENTENCES = [
    "The café’s naïve façade, it's #1!",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ İSTANBUL ẞ",
    "漢字かな交じり文。한국어 도 \U00020000\U0002b81fa\U0002b820b\U0002b920\U0002f800 e\u0301漢\u0301",
    "שָׁלוֹם السَّلام हिन्दी",
    "a\u200bb\u00adc\td\ne\x0bf\x85g\u3000h\xa0i\ufffdj\x00k\x1cl\ufffem\u0378\ue000n",
    "\U0001f469\u200d\U0001f467 🙂🏽 ☃\ufe0f 🇩🇪",
    "[MASK] [CLS]a[SEP]",
    "≠ \u037e \u1fef \u212a \u212b \u2329",
]


def described(*vocab, rules=RULES[0], **changes):
    """A tokenizer.json of the package's own making, with some of its parts replaced."""
    ids = {piece: place for place, piece in enumerate(vocab)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=20))
    made.normalizer = tokenizers.normalizers.BertNormalizer(*rules[:2], strip_accents=rules[2], lowercase=rules[3])
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    ends = [(name, ids[name]) for name in ("[CLS]", "[SEP]")]
    made.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return json.dumps(json.loads(made.to_str()) | changes).encode()


@functools.cache
def characters():
    """Those that Unicode 3.2 knows, with few of the Han and Hangul ones."""
    codes = itertools.chain(range(0x3500), range(0xA000, 0xAC20), range(0xF900, 0x1D800), [0x20000, 0x2F800, 0xE0001])
    known = [chr(code) for code in codes if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs")]
    return [each for each in known if each not in CHANGED]


@functools.cache
def pair(rules):
    """The tokenizer and the package's, with a vocabulary where nothing of what is tested hides behind [UNK]."""
    seen = {*characters(), *"".join(SENTENCES)}
    seen |= {part for each in seen for part in unicodedata.normalize("NFD", each) + each.lower()}
    seen |= {part for each in seen for part in each.lower()}
    data = described(*TINY[:5], *sorted(seen - {""}), *(f"##{each}" for each in sorted(seen)), rules=rules)
    theirs = tokenizers.Tokenizer.from_str(data.decode())
    theirs.encode_special_tokens = True  # as text
    return WordPiece(data), theirs


def same(text, rules, most=10**6):
    ours, theirs = pair(rules)
    theirs.enable_truncation(most)
    assert ours.ids(text, most) == theirs.encode(text).ids


def test_a_worked_example():
    tiny = WordPiece(described(*TINY))
    assert tiny.ids("UNAFFABLE, un\tCafé 漢a", 99) == [2, 5, 6, 7, 10, 5, 9, 14, 8, 3]
    assert tiny.ids("unaffected a", 99) == [2, 1, 8, 3]  # the whole word is unknown where one piece is
    assert tiny.ids("", 99) == tiny.ids(" \n\u200b", 99) == [2, 3]


def test_truncation_keeps_the_end():
    tiny = WordPiece(described(*TINY))
    assert [tiny.ids("unaffable a", most) for most in (2, 3, 4, 6, 7)] == [
        [2, 3], [2, 5, 3], [2, 5, 6, 3], [2, 5, 6, 7, 8, 3], [2, 5, 6, 7, 8, 3]]  # fmt: skip


def test_a_word_that_is_too_long_is_unknown():
    tiny = WordPiece(described(*TINY, "##a"))
    assert tiny.ids("a" * 20 + " " + "a" * 21, 99) == [2, 8, *[15] * 19, 1, 3]


def test_special_tokens_in_the_text_are_text():
    assert WordPiece(described(*TINY)).ids("[MASK]", 99) == [2, 11, 13, 12, 3]


def test_what_is_long_is_not_remembered():
    tiny = WordPiece(described(*TINY))
    assert tiny.ids("é" * 1000 + " a a", 99) == [2, 1, 8, 8, 3]
    assert tiny.remembered.cache_info().currsize == 1


def test_the_settings_of_the_file_for_truncation_and_padding_are_not_followed():
    made = tokenizers.Tokenizer.from_str(described(*TINY).decode())
    made.enable_truncation(3)
    made.enable_padding(length=8)
    assert WordPiece(made.to_str().encode()).ids("a a a", 99) == [2, 8, 8, 8, 3]


def test_both_post_processors_are_read():
    ends = {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}
    assert WordPiece(described(*TINY, post_processor=ends)).ids("a", 99) == [2, 8, 3]


@pytest.mark.parametrize(("changes", "said"), [
    ({"model": {"type": "BPE"}}, "model BPE of tokenizer.json is not supported, only WordPiece"),
    ({"normalizer": {"type": "NFC"}}, "normalizer NFC of tokenizer.json is not supported, only BertNormalizer"),
    ({"normalizer": None}, "normalizer None of"),
    ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer Whitespace of"),
    ({"post_processor": {"type": "RobertaProcessing"}}, "post_processor RobertaProcessing of"),
    ({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}}, "only one token before"),
    ({"model": {"type": "WordPiece", "unk_token": "?", "vocab": {"a": 0}}}, "the unk_token \\? of"),
    ({"added_tokens": [{"content": "<user>", "special": False}]}, "not supported: \\['<user>'\\]"),
])  # fmt: skip
def test_a_file_that_asks_for_more_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        WordPiece(described(*TINY, **changes))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe"])
def test_what_is_no_tokenizer_file_is_refused(data):
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        WordPiece(data)


@pytest.mark.parametrize("rules", RULES)
def test_every_known_character_is_as_the_package_has_it(rules):
    for start in range(0, len(characters()), 256):
        same("".join(f"a{each}B {each}" for each in characters()[start : start + 256]), rules)


@pytest.mark.parametrize("rules", RULES)
def test_sentences_are_as_the_package_has_them(rules):
    for text, most in itertools.product(SENTENCES, (2, 3, 10, 999)):
        same(text, rules, most)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(data=st.data(), rules=st.sampled_from(RULES), most=st.integers(2, 40))
def test_any_text_is_as_the_package_has_it(data, rules, most):
    likely = st.sampled_from([*"aZé1,.$ \n\u0301\u0323\u200dΣ漢🙂\x1c", *"".join(SENTENCES).split()])
    parts = data.draw(st.lists(likely | st.sampled_from(characters()), max_size=40))
    same("".join(parts), rules, most)
