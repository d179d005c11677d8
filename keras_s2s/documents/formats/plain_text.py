"""Reads plain text as blocks: one for each line, since line breaks stay where they are."""

from __future__ import annotations

from keras_s2s.documents.formats.blocks import Block


def text_blocks(document: str) -> list[Block]:
    """Returns the lines of a text that are not blank, as blocks.

    Args:
        document: the text, with line breaks of any kind.

    Example:
        >>> [block.text for block in text_blocks("One.\\r\\n\\r\\n  Two. Three.")]
        ['One.', '  Two. Three.']
    """
    blocks, start = [], 0
    for line in document.splitlines(keepends=True):
        text = line.splitlines()[0]
        if text.strip():
            end = start + len(text)
            blocks.append(Block(text, range(start, end), range(start + 1, end + 1)))
        start += len(line)
    return blocks
