"""Mending what makes exceptions where it comes from: the profile, a lookup table, a name, an identifier, a plan.

a group ─► offers          which mends help against which code or cause, as one table
     of records ─► reading      its first records as the active version reads them, and the text that is lacking
          ─► value_maps, lookups, names     the mend itself, by the services of the room that owns the thing
     of usage ─► identifiers, plans         who had the identifier, whose plan lacks what
     ─► the group is reprocessed or rated again, and the page says what happened
"""
