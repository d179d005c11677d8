"""Splits texts that are longer than a model can read, and joins the texts of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_s2s.documents.sentence_model import KerasSentenceModel
from keras_s2s.documents.splitting.sentences import Span, sentence_language, sentence_spans
from keras_s2s.documents.translation import joined_parts, spans_of_parts

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


@dataclass(frozen=True)
class SplitText:
    """A text, and the parts of it that a model reads one by one.

    Attributes:
        text: the whole text.
        spans: of the parts; between them is white space.
    """

    text: str
    spans: list[Span]

    @property
    def parts(self) -> list[str]:
        """The texts of the parts."""
        return [self.text[start:end] for start, end in self.spans]

    def joined(self, generated: Sequence[str]) -> str:
        """Returns one text, from what was generated for each part.

        Args:
            generated: a text for each part.

        Example:
            >>> text = SplitText("One. Two.", [Span(0, 4), Span(5, 9)])
            >>> text.joined(["Eins.", "Zwei."])
            'Eins. Zwei.'
        """
        unfinished = [False] * len(self.spans)
        return joined_parts(self.text, self.spans, generated, unfinished).text


def split_texts(
    model: Seq2SeqLM,
    texts: Sequence[str],
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
) -> list[SplitText]:
    """Splits texts into sentences, and these, where they are too long, at clauses.

    Args:
        model: a model with a preprocessor.
        texts: none is blank.
        src_lang, tgt_lang: languages, as in `Seq2SeqLM.generate`.

    Raises:
        ValueError: a character alone is too long for the model.
        ImportError: sentencex is not installed.

    Example:
        >>> split_texts(model, ["ein Hund. eine Katze."])[0].parts
        ['ein Hund.', 'eine Katze.']
    """
    language = sentence_language(src_lang, model.preprocessor)
    reader = KerasSentenceModel(model, language, src_lang, tgt_lang)
    result = []
    for text in texts:
        spans = []
        sentences = sentence_spans(text, language)
        parts = spans_of_parts(reader, [text[start:end] for start, end in sentences])
        for sentence, own in zip(sentences, parts, strict=True):
            first = sentence.start
            spans += [Span(first + start, first + end) for start, end in own]
        result.append(SplitText(text, spans))
    return result
