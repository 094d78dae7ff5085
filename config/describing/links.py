"""What follows what: which value of an answer names the thing that another operation is about."""

from typing import Any

TRACKED = {"tracking_id": "$response.body#/tracking_id"}
FIRST_TRACKED = {"tracking_id": "$response.body#/results/0/tracking_id"}
NUMBERED = {"id": "$response.body#/id"}
FIRST_NUMBERED = {"id": "$response.body#/results/0/id"}
OF_IMPORT = ("get_an_import", "list_the_records_of_an_import", "list_exceptions_of_an_import", "reprocess_an_import")
OF_EXCEPTION = ("get_an_exception", "correct_an_exception", "write_off_an_exception", "reprocess_an_exception")
# By operation and status: what is named there, and the operations that are about it.
LINKS: dict[tuple[str, str], list[tuple[dict[str, str], tuple[str, ...]]]] = {
    ("send_usage", "202"): [(TRACKED, OF_IMPORT)],
    ("amend_usage", "202"): [(TRACKED, OF_IMPORT)],
    ("send_a_file", "202"): [(TRACKED, OF_IMPORT)],
    ("list_imports", "200"): [(FIRST_TRACKED, OF_IMPORT)],
    ("void_usage", "202"): [(TRACKED, ("get_a_void",))],
    ("list_voids", "200"): [(FIRST_TRACKED, ("get_a_void",))],
    ("list_exceptions", "200"): [(FIRST_NUMBERED, OF_EXCEPTION)],
    ("list_charges", "200"): [(FIRST_NUMBERED, ("get_a_charge_with_its_explanation",))],
    ("ask_for_a_rerate", "202"): [(NUMBERED, ("get_a_rerate", "list_the_accounts_of_a_rerate", "apply_a_rerate"))],
    ("ask_what_if", "202"): [(NUMBERED, ("get_a_what_if", "list_the_accounts_of_a_what_if"))],
    ("send_rows_by_the_second_door", "200"): [
        ({"reference": "$response.body#/trackingId"}, ("get_an_import_by_the_second_door",)),
    ],
}


def tell_links(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Answers name the operations that go on from there."""
    by_name = {
        operation["operationId"]: operation
        for operations in result["paths"].values()
        for operation in operations.values()
    }
    for (name, status), targets in LINKS.items():
        links = {
            target: {"operationId": target, "parameters": parameters}
            for parameters, names in targets
            for target in names
            if target in by_name
        }
        if name in by_name:
            by_name[name]["responses"][status]["links"] = links
    return result
