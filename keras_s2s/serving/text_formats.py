"""What LibreTranslate's `format` says a text is: the place where documents are plugged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from keras_s2s.serving.errors import RequestError

#: Generates for texts that are none of them blank: a list of results for each, best first.
Translate = Callable[[list[str]], Awaitable[list[list[str]]]]

#: Puts the results of a format together: texts of a request, and what generates.
Format = Callable[[Sequence[str], Translate], Awaitable[list[list[str]]]]


async def plain_text(texts: Sequence[str], translate: Translate) -> list[list[str]]:
    """Returns the results for plain texts. A blank one stays as it is.

    Args:
        texts: of a request.
        translate: generates for texts that are not blank.
    """
    real = [i for i, text in enumerate(texts) if text.strip()]
    found = await translate([texts[i] for i in real]) if real else []
    results = [[text] for text in texts]
    for i, each in zip(real, found, strict=True):
        results[i] = each
    return results


async def html(texts: Sequence[str], translate: Translate) -> list[list[str]]:
    """Refuses HTML, whose tags would be read as words.

    Raises:
        RequestError: 400.
    """
    raise RequestError(
        400, "format 'html' is not supported yet; send the text of the page with format 'text'"
    )


#: A function for each value of `format`.
FORMATS: dict[str, Format] = {"text": plain_text, "html": html}
