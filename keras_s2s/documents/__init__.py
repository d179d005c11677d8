"""Whole documents: split into sentences, generated in full batches, and put back as they were."""

from __future__ import annotations

from keras_s2s.documents.document import (
    DocumentFormat,
    GeneratedDocument,
    GeneratedSentence,
    generate_document,
)

__all__ = ["DocumentFormat", "GeneratedDocument", "GeneratedSentence", "generate_document"]
