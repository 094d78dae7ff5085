"""Records of an import read as they were corrected, wherever the import is read as a whole."""

from collections.abc import Callable, Mapping

import polars as pl

from ingestion.core.fixing import Corrected, lay_over

ROWS = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}


def with_corrections(
    *,
    records: pl.DataFrame,
    import_id: int,
    corrections: Mapping[int, Corrected],
    read: Callable[[pl.DataFrame], pl.DataFrame],
) -> pl.DataFrame:
    """RECORDS of an import: those with another text read from it, and the changes of fields laid over.

    corrections: by record number. read: rows (import_id, record_number, raw) into RECORDS.
    """
    present = set(records["record_number"].to_list()) & corrections.keys()
    texts = {number: raw for number in sorted(present) if (raw := corrections[number].raw) is not None}
    if texts:
        rows = [(import_id, number, raw) for number, raw in texts.items()]
        corrected = read(pl.DataFrame(rows, schema=ROWS, orient="row"))
        untouched = records.filter(~pl.col("record_number").is_in(list(texts)))
        records = pl.concat([untouched, corrected], how="diagonal").sort("record_number")
    return lay_over(records, {(import_id, number): corrections[number].changes for number in present})
