"""Sapling's tokenizer: a small byte-level BPE whose tokens are the world's words, and which loses nothing."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ponderosa.core.format import ASSISTANT, MARKERS, USER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"
MAX_LENGTH = 1024

_FIXED = (USER, ASSISTANT, *MARKERS)

# Digits stand alone (so that numbers are copied digit by digit), words keep the space before them, and the wording that
# every solution shares is one piece.
_PIECES = (
    r"\n# Step|\n# Now print the final answer|The answer is \\boxed\{|\n {4}|\n\n"
    r"| ?\d| ?[A-Za-zĉĝĥĵŝŭĈĜĤĴŜŬ]+|\n| ?//| ?\*\*| ?[^\sA-Za-zĉĝĥĵŝŭĈĜĤĴŜŬ\d]|\s"
)

# The prompt of our format for the last user message, so that chat servers render what the policy was trained on.
_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    + f"{USER}\n{{{{ message['content'] }}}}\n{ASSISTANT}"
    + "{% elif message['role'] == 'assistant' %}{{ message['content'] }}{% endif %}{% endfor %}"
)


def train_tokenizer(
    documents: Iterable[str], words: Iterable[str] = (), vocabulary: int = 1024, fixed: tuple[str, ...] = ()
) -> "PreTrainedTokenizerFast":
    """Trains the tokenizer on documents. Markers, the prompt's fixed lines and the texts `fixed` are a token each, and
    stay visible.

    Each of `words` becomes one token, whether a space comes before it or not, in lower case too.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = (*_FIXED, *fixed)
    added = [AddedToken(text, special=False, normalized=False) for text in texts]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(added),
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    forms = " ".join(f"{w} {w.lower()}\n{w}\n{w.lower()}\n" for w in words)
    tokenizer.train_from_iterator([*_without(texts, documents), *[forms] * 1000], trainer)
    tokenizer.add_tokens(added)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        padding_side="left",
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
        chat_template=_CHAT_TEMPLATE,
    )


def _without(texts: Iterable[str], documents: Iterable[str]) -> Iterable[str]:
    longest_first = sorted(texts, key=len, reverse=True)  # an instruction may name a marker
    for document in documents:
        for text in longest_first:
            document = document.replace(text, "\n")
        yield document
