"""How targets are generated from sources, and given targets scored.

A call of `Seq2SeqLM.generate` runs through these modules, from the top down:

    requests/          the call, checked: sources, prefixes; strategy, plan and limits of options
    generator.py       batches of padded sources, and the programs that are kept between calls
    schedule.py        which batch runs next, and which two are joined
    segments.py        one batch: runs of steps, between which sources leave and join
    drivers/           runs of steps, in the way of each backend
    loop.py            one step: network, strategy, new order of the rows

`scoring_model.py` and `forced_scoring.py` score given targets, in one teacher-forced pass. The
strategies themselves are in `samplers/`. Of the other modules some serve one option each: compute
types, CUDA graphs, seeds, drafts (`drafted_loop.py`); `diagnosis.py` finds the cause of logits that
are not finite.
"""
