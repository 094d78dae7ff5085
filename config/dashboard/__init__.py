"""The front page: what came in, what became of it, what it is worth, and what is out of the usual range.

imports, charges, exceptions ─► figures     counted by workers, no more often than is cheap
hourly and daily figures ─► anomalies       what is unusual for a feed or an account; pure
findings ─► noticing                        one open notice a kind and subject, renewed, closed, acknowledged
figures, notices, rows that wait ─► panels  what a person may see of it, drawn by charts
"""
