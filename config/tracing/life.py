"""The life of a record in steps, from its arrival to the statement that bills it, as far as its reader may see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.contrib.auth.models import User

from config.tracing.finding import Place, Record, batch_of
from config.tracing.origins import trace_record
from ingestion.models import ImportException, LeftOutRecord
from mediation.admin.marks import exact
from mediation.core.structure.combining import PART_OF
from mediation.models import Udr, UdrBatch, VoidedUdr
from mediation.selectors import COUNTING
from rating.core.explaining import About, Chapter, Fact
from rating.models import Charge, RatingException
from rating.services.explaining import explain_charge

IMPORT = "ingestion.view_usageimport"
EXCEPTION = "ingestion.view_importexception"
LEFT_OUT = "ingestion.view_leftoutrecord"
UDR = "mediation.view_udr"
CHARGE = "rating.view_charge"
RATING_EXCEPTION = "rating.view_ratingexception"
STATEMENT = "rating.view_statement"

MOST_CHARS = 20_000
MOST_EXPLAINED = 3  # parts of one record that are priced apart


@dataclass(frozen=True)
class Step:
    """Something that happened to a record. at: when, where that was noted; status: as badges show it.

    needs: the permission to see it. chapters: the whole story of it. records: others that it leads to.
    """

    name: str
    title: str
    at: datetime | None
    status: str
    needs: str
    facts: tuple[Fact, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    records: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Life:
    """The steps of a record in the order of time, and where it stands today: (status, words) each."""

    steps: tuple[Step, ...]
    standing: tuple[tuple[str, str], ...]
    withheld: tuple[str, ...]


def life_of(record: Record, by: User) -> Life:
    """What became of a record; steps that its reader may not see are named and otherwise withheld."""
    tellers: tuple[Callable[[Record], Iterator[Step]], ...] = (
        _received,
        _mediated,
        _exceptions,
        _left_out,
        _waiting,
        _udrs,
        _repeats,
        _charges,
        _rating_exceptions,
        _statements,
    )
    told = [step for tell in tellers for step in tell(record)]
    began = record.usage_import.received_at
    # What happened at one moment stays in the order of the walk; what has no moment yet is last.
    steps = sorted(told, key=lambda step: (step.at is None, step.at or began))
    seen = [_explained(step, record, by) for step in steps if by.has_perm(step.needs)]
    withheld = dict.fromkeys(step.title for step in steps if not by.has_perm(step.needs))
    return Life(tuple(seen), tuple(_standing(record)), tuple(withheld))


def _explained(step: Step, record: Record, by: User) -> Step:
    """The steps that have a story of their own, with it: told only to whoever may see them, since it is dear."""
    if step.name == "received":
        origin = trace_record(usage_import=record.usage_import, number=record.number, udr=None)
        told = (fact for chapter in origin for fact in chapter.facts)
        # Another text is a step of its own; of changed fields it is told here what they were.
        raw = (fact for fact in told if fact.name != "corrected" or fact.raw is None)
        return replace(step, facts=(*step.facts, *raw))
    if step.name == "udr":
        udr = next(udr for udr in record.udrs if udr.pk == _number(step))
        chapters = trace_record(usage_import=record.usage_import, number=record.number, udr=udr)[1:]
        return replace(step, chapters=tuple(replace(one, title="How it was read") for one in chapters))
    if step.name == "charge" and _number(step) in {charge.pk for charge in record.standing_charges[:MOST_EXPLAINED]}:
        charge = next(charge for charge in record.charges if charge.pk == _number(step))
        return replace(step, chapters=explain_charge(charge=charge, by=by, has_origin=False).chapters)
    return step


def _number(step: Step) -> int | None:
    about = step.facts[0].about if step.facts else None
    return about.number if about else None


def _received(record: Record) -> Iterator[Step]:
    usage_import = record.usage_import
    who = f" from {usage_import.received_by}" if usage_import.received_by else ""
    came = f"It came by {usage_import.get_source_display()}{who}, tracking id {usage_import.tracking_id}."
    yield Step("received", "Received", usage_import.received_at, "received", IMPORT, (Fact("source", came),))


def _mediated(record: Record) -> Iterator[Step]:
    for chunk in record.chunks:
        version = record.versions[chunk.profile_version_id]
        facts = [Fact("version", f"Read by Data Profile {version}.", about=About("profile_version", version.pk))]
        if chunk.attempts > 1:
            facts.append(Fact("tries", f"Workers tried this part of the import {chunk.attempts} times."))
        if chunk.error and chunk.ended_at is None:
            facts.append(Fact("error", "The last try failed:", raw=chunk.error[-2_000:]))
        title = "Mediated" if chunk.attempt == 1 else f"Mediated again, attempt {chunk.attempt}"
        batch = record.batches.get(chunk.batch_id or 0)
        # Its UDRs bear the moment at which the work on them began.
        at = batch.mediated_at if batch else chunk.ended_at
        yield Step("mediated", title, at, chunk.status, IMPORT, tuple(facts))


def _exceptions(record: Record) -> Iterator[Step]:
    for exception in record.exceptions:
        about = About("exception", exception.pk)
        field = f" in field {exception.field}" if exception.field else ""
        code = exception.code.replace("_", " ")
        facts = [Fact("exception", f"{code}{field}: {exception.message}", about=about)]
        if exception.next_try_at is not None:
            facts.append(Fact("next", f"It is tried again by itself at {exception.next_try_at:%Y-%m-%d %H:%M} UTC."))
        title = _in_attempt("An exception", exception.attempt)
        yield Step("exception", title, exception.created_at, "exception", EXCEPTION, tuple(facts))
        yield from _revisions(exception)
        yield from _comments(exception, EXCEPTION)
        if exception.last_tried_at > exception.created_at and exception.closed_at != exception.last_tried_at:
            still = (Fact("tried", "It was mediated again, and stayed an exception.", about=about),)
            yield Step("tried", "Tried again", exception.last_tried_at, exception.status, EXCEPTION, still)
        if exception.closed_at is not None:
            yield _closed(exception)


def _revisions(exception: ImportException) -> Iterator[Step]:
    for revision in sorted(exception.revisions.all(), key=lambda each: each.number):
        who = f" by {revision.created_by}" if revision.created_by else ""
        why = f": {revision.reason}" if revision.reason else "."
        about = About("correction", revision.correction_id) if revision.correction_id else None
        raw = None if revision.raw is None else revision.raw[:MOST_CHARS]
        facts = [Fact("revision", f"Revision {revision.number}{who}{why}", about=about, raw=raw)]
        for field, text in (revision.changes or {}).items():
            becomes = "has no value" if text is None else f"is “{text[:MOST_CHARS]}”"
            facts.append(Fact("change", f"Field {field} {becomes}."))
        yield Step("revision", "Corrected", revision.created_at, "running", EXCEPTION, tuple(facts))
        if revision.withdrawn_at is not None:
            text = f"Revision {revision.number} was withdrawn, as the correction of its group was undone."
            undone = (Fact("withdrawn", text, about=about),)
            yield Step("withdrawn", "Correction undone", revision.withdrawn_at, "superseded", EXCEPTION, undone)


def _comments(exception: ImportException | RatingException, needs: str) -> Iterator[Step]:
    for comment in exception.comments.all():
        said = Fact("comment", f"{comment.created_by or 'Somebody'}: {comment.text[:MOST_CHARS]}")
        yield Step("comment", "Comment", comment.created_at, "comment", needs, (said,))


CLOSED = {
    ImportException.Status.RESOLVED: "Mediated again, it is an exception no more.",
    ImportException.Status.SUPERSEDED: "The whole import was mediated again, so that this attempt counts no more.",
}


def _closed(exception: ImportException) -> Step:
    who = f" by {exception.closed_by}" if exception.closed_by else ""
    reason = f"It was given up{who}: {exception.close_reason}"
    text = CLOSED.get(ImportException.Status(exception.status), reason)
    title = f"Exception {exception.get_status_display()}"
    facts = (Fact("closed", text, about=About("exception", exception.pk)),)
    return Step("closed", title, exception.closed_at, exception.status, EXCEPTION, facts)


def _left_out(record: Record) -> Iterator[Step]:
    ended = {chunk.attempt: chunk.ended_at for chunk in record.chunks}
    for row in record.left_out:
        if row.outcome == LeftOutRecord.Outcome.DUPLICATE:
            title, text = "Left out as a duplicate", f"Its uniqueness key was seen before: {row.reason}"
        elif row.reason.startswith(PART_OF):
            title, text = "Part of another record", f"It is {row.reason}."
        else:
            title, text = "Skipped by a filter", f"The profile skips it: {row.reason}"
        title = _in_attempt(title, row.attempt)
        yield Step(
            "left_out",
            title,
            ended.get(row.attempt),
            row.outcome,
            LEFT_OUT,
            (Fact("left_out", text),),
            records=_repeated(row),
        )


def _repeated(row: LeftOutRecord) -> tuple[Place, ...]:
    """The record that a duplicate repeats."""
    udr = Udr.objects.filter(pk=row.udr_id).values_list("import_id", "record_number").first() if row.udr_id else None
    return (Place(*udr),) if udr else ()


def _waiting(record: Record) -> Iterator[Step]:
    part = record.waiting_part
    if part is None:
        return
    if part.record_import_id is None or part.record_row is None:
        text = f"It waits for the other rows of record “{part.key}”, until {part.expires_at:%Y-%m-%d %H:%M:%S} UTC."
        yield Step("part", "Waits for other rows", part.received_at, "waiting", LEFT_OUT, (Fact("waits", text),))
        return
    place = Place(part.record_import_id, part.record_row)
    if place != record.place:
        facts = (Fact("taken", f"With other rows it makes one record, “{part.key}”."),)
        yield Step("part", "Part of a record", part.received_at, "done", LEFT_OUT, facts, records=(place,))


def _udrs(record: Record) -> Iterator[Step]:
    for udr in record.udrs:
        batch = record.batches[batch_of(udr)]
        entry = record.attempt_of(udr)
        measured = f"{exact(udr.value)} of class “{udr.usage_class}” at {udr.date:%Y-%m-%d %H:%M:%S} UTC"
        facts = [
            Fact("udr", f"UDR {udr.pk}: {measured}.", about=About("udr", udr.pk)),
            Fact("batch", f"It was written in UDR batch {batch.pk}.", about=About("batch", batch.pk)),
        ]
        title = _in_attempt("Became a UDR", entry.attempt if entry else 1)
        void = record.voids.get(udr.pk)
        is_counting = batch.status in COUNTING and void is None
        yield Step("udr" if is_counting else "old_udr", title, batch.mediated_at, "imported", UDR, tuple(facts))
        if void is not None:
            yield _voided(void)
        elif batch.status == UdrBatch.Status.HELD:
            held = (Fact("held", "It came by a backfill that is not closed: it counts nowhere until that is."),)
            yield Step("held", "Held", batch.mediated_at, "held", UDR, held)
        elif not is_counting and batch.status != UdrBatch.Status.STAGED:
            text = f"UDR {udr.pk} counts no more: a later attempt took its place. What it was charged is taken back."
            at = batch.finished_at if batch.status == UdrBatch.Status.REVERSED else None
            replaced = (Fact("replaced", text, about=About("udr", udr.pk)),)
            yield Step("superseded", "Replaced", at, batch.status, UDR, replaced)


def _voided(void: VoidedUdr) -> Step:
    who = f" by {void.voided_by}" if void.voided_by else ""
    how = "replaced by a backfill" if void.backfill_id else "voided"
    facts = [
        Fact("voided", f"UDR {void.pk} counts no more: it was {how}{who}. {void.reason}", about=About("udr", void.pk))
    ]
    if void.replaced_by is not None:
        text = f"UDR {void.replaced_by} amends it: it came later with the same key."
        facts.append(Fact("amended", text, about=About("udr", void.replaced_by)))
    if void.settled_at is None:
        facts.append(Fact("unsettled", "What it was charged is still to be taken back."))
    return Step("voided", "Voided", void.voided_at, "voided", UDR, tuple(facts))


def _repeats(record: Record) -> Iterator[Step]:
    if record.repeats:
        facts = (Fact("repeats", "Records that came again with the same key and content; they are charged nowhere."),)
        places = tuple(Place(row.usage_import_id, row.record_number) for row in record.repeats)
        yield Step("repeats", "Came again", None, "duplicate", LEFT_OUT, facts, records=places)


def _charges(record: Record) -> Iterator[Step]:
    for charge in record.charges:
        is_reversal = charge.kind == Charge.Kind.REVERSAL
        part = f", part {charge.part + 1}" if charge.part else ""
        text = (
            f"{exact(charge.amount)} {charge.currency}{part} to account {charge.account}, service {charge.service}, "
            f"by {charge.rate} of {charge.version}."
        )
        facts = (Fact("charge", text, about=About("charge", charge.pk)),)
        title = "Taken back" if is_reversal else "Charged"
        status = "reversed" if is_reversal else "rated"
        yield Step("reversal" if is_reversal else "charge", title, charge.rated_at, status, CHARGE, facts)


def _rating_exceptions(record: Record) -> Iterator[Step]:
    for exception in record.rating_exceptions:
        about = About("rating_exception", exception.pk)
        cause = f"{exception.get_cause_display()}: {exception.message}"
        facts = [Fact("rating_exception", cause, about=about)]
        if exception.attempts > 1:
            last = f"the last at {exception.last_tried_at:%Y-%m-%d %H:%M:%S} UTC"
            facts.append(Fact("tried", f"It was tried {exception.attempts} times, {last}."))
        yield Step("uncharged", "Not charged", exception.created_at, "exception", RATING_EXCEPTION, tuple(facts))
        yield from _comments(exception, RATING_EXCEPTION)
        if exception.closed_at is not None:
            who = f" by {exception.closed_by}" if exception.closed_by else ""
            why = f": {exception.close_reason}" if exception.close_reason else "."
            closed = (Fact("closed", f"{exception.get_status_display().capitalize()}{who}{why}", about=about),)
            title = f"Rating exception {exception.get_status_display()}"
            yield Step("settled", title, exception.closed_at, exception.status, RATING_EXCEPTION, closed)


def _statements(record: Record) -> Iterator[Step]:
    for statement in record.statements:
        text = f"Statement {statement} of account {statement.period.account} for {statement.period} bills it."
        facts = (Fact("statement", text, about=About("statement", statement.period_id)),)
        yield Step("statement", "Billed", statement.issued_at, "closed", STATEMENT, facts)


def _in_attempt(title: str, attempt: int) -> str:
    return title if attempt == 1 else f"{title}, in attempt {attempt}"


def _standing(record: Record) -> Iterator[tuple[str, str]]:
    """Where the record ended up, as (status, words)."""
    if record.counting_udr is not None:
        yield "imported", "imported"
        yield _money(record)
        return
    if record.voids:
        yield "voided", "voided"
        return
    if any(batch.status == UdrBatch.Status.HELD for batch in record.batches.values()):
        yield "held", "held until its backfill is closed"
        return
    current = record.usage_import.attempt
    for exception in record.exceptions:
        if exception.attempt == current:
            yield "exception", f"exception, {exception.get_status_display()}"
            return
    for row in record.left_out:
        if row.attempt == current:
            yield row.outcome, row.outcome
            return
    yield "waiting", "not mediated yet"


def _money(record: Record) -> tuple[str, str]:
    if record.standing_charges:
        is_billed = {charge.period_id for charge in record.standing_charges} <= {
            statement.period_id for statement in record.statements
        }
        return ("closed", "charged and billed") if is_billed else ("rated", "charged")
    if any(one.status == RatingException.Status.OPEN for one in record.rating_exceptions):
        return "exception", "not charged"
    if record.rating_exceptions:
        return "resolved", f"not charged, {record.rating_exceptions[-1].get_status_display()}"
    return "waiting", "waits to be rated"
