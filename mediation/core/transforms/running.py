"""Running a chain of transforms over a column of texts, and keeping what each step made for who wants to see it."""

from collections.abc import Iterator, Sequence

import polars as pl

from mediation.core.transforms.frames import Around, Ran, Transform, no_faults


def run_chain(transforms: Sequence[Transform], text: pl.Series, around: Around) -> Ran:
    """The texts after every transform; a text that one of them could not take is null, and in the faults once."""
    faults = [no_faults()]
    for ran in steps(transforms, text, around):
        text = ran.text
        faults.append(ran.faults)
    return Ran(text, pl.concat(faults))


def steps(transforms: Sequence[Transform], text: pl.Series, around: Around) -> Iterator[Ran]:
    """What each transform makes, one after the other: the trace that a preview shows."""
    for transform in transforms:
        ran = transform.run(text, around)
        text = ran.text
        yield ran
