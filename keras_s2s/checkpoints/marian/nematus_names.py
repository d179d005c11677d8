"""Nematus' names of tensors, which `type: nematus` and `type: amun` have in a file, and those of
Marian's own `s2s`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Types of models whose files have Nematus' names.
TYPES = ("nematus", "amun")

#: Nematus' names -> Marian's; normalisations end in _lns and _lnb on both sides.
_NAMES = {
    "decoder_U": "decoder_cell1_U",
    "decoder_Ux": "decoder_cell1_Ux",
    "decoder_W": "decoder_cell1_W",
    "decoder_Wx": "decoder_cell1_Wx",
    "decoder_b": "decoder_cell1_b",
    "decoder_bx": "decoder_cell1_bx",
    "decoder_U_nl": "decoder_cell2_U",
    "decoder_Ux_nl": "decoder_cell2_Ux",
    "decoder_Wc": "decoder_cell2_W",
    "decoder_Wcx": "decoder_cell2_Wx",
    "decoder_b_nl": "decoder_cell2_b",
    "decoder_bx_nl": "decoder_cell2_bx",
    "ff_logit_prev_W": "decoder_ff_logit_l1_W0",
    "ff_logit_lstm_W": "decoder_ff_logit_l1_W1",
    "ff_logit_ctx_W": "decoder_ff_logit_l1_W2",
    "ff_logit_prev_b": "decoder_ff_logit_l1_b0",
    "ff_logit_lstm_b": "decoder_ff_logit_l1_b1",
    "ff_logit_ctx_b": "decoder_ff_logit_l1_b2",
    "ff_logit_l1_gamma0": "decoder_ff_logit_l1_gamma0",
    "ff_logit_l1_gamma1": "decoder_ff_logit_l1_gamma1",
    "ff_logit_l1_gamma2": "decoder_ff_logit_l1_gamma2",
    "ff_logit_prev_ln_s": "decoder_ff_logit_l1_ln_s0",
    "ff_logit_lstm_ln_s": "decoder_ff_logit_l1_ln_s1",
    "ff_logit_ctx_ln_s": "decoder_ff_logit_l1_ln_s2",
    "ff_logit_prev_ln_b": "decoder_ff_logit_l1_ln_b0",
    "ff_logit_lstm_ln_b": "decoder_ff_logit_l1_ln_b1",
    "ff_logit_ctx_ln_b": "decoder_ff_logit_l1_ln_b2",
    "ff_logit_W": "decoder_ff_logit_l2_W",
    "ff_logit_b": "decoder_ff_logit_l2_b",
    "ff_state_W": "decoder_ff_state_W",
    "ff_state_b": "decoder_ff_state_b",
    "ff_state_gamma": "decoder_ff_state_gamma",
    "ff_state_ln_s": "decoder_ff_state_ln_s",
    "ff_state_ln_b": "decoder_ff_state_ln_b",
    "Wemb_dec": "decoder_Wemb",
    "Wemb": "encoder_Wemb",
    **{
        f"encoder{r}_{w}": f"encoder_bi{r}_{w}"
        for r in ("", "_r")
        for w in ("U", "Ux", "W", "Wx", "b", "bx", "gamma1", "gamma2")
    },
}
#: Cells behind the first of an encoder, and behind the second of a decoder.
_DEEP = (
    (
        re.compile(r"encoder(_r)?_(U|Ux|b|bx)_drt_(\d+)(_ln[sb])?"),
        "encoder_bi{0}_cell{1}_{2}{3}",
        1,
    ),
    (re.compile(r"decoder()_(U|Ux|b|bx)_nl_drt_(\d+)(_ln[sb])?"), "decoder{0}_cell{1}_{2}{3}", 2),
)


def marian_name(name: str, *, shared: bool = False) -> str:
    """Returns Marian's name of a tensor of Nematus.

    Args:
        shared: source and target have one table, which is called `Wemb` everywhere.

    Example:
        >>> marian_name("decoder_Wcx_lns"), marian_name("encoder_r_Ux_drt_1")
        ('decoder_cell2_Wx_lns', 'encoder_bi_r_cell2_Ux')
    """
    if name == "Wemb" and shared:
        return name
    for pattern, form, first in _DEEP:
        if match := pattern.fullmatch(name):
            place, weight, number, end = (part or "" for part in match.groups())
            return form.format(place, int(number) + first, weight, end)
    for end in ("_lns", "_lnb"):
        stem = name.removesuffix(end)
        if stem != name and stem in _NAMES and name not in _NAMES:
            return _NAMES[stem] + end
    return _NAMES.get(name, name)


def nematus_names(names: Iterable[str], depth: int, *, shared: bool = False) -> dict[str, str]:
    """Returns Nematus' names of Marian's tensors, by the latter.

    Args:
        names: Marian's.
        depth: of the deepest cell.
        shared: as in `marian_name`.
    """
    known = {
        *_NAMES,
        *(stem + end for stem in _NAMES for end in ("_lns", "_lnb")),
        *(
            f"{side}_{w}{middle}_drt_{d}{end}"
            for side, middle in (("encoder", ""), ("encoder_r", ""), ("decoder", "_nl"))
            for w in ("U", "Ux", "b", "bx")
            for d in range(1, depth + 1)
            for end in ("", "_lns", "_lnb")
        ),
    }
    theirs = {marian_name(name, shared=shared): name for name in sorted(known)}
    return {name: theirs.get(name, name) for name in names}
